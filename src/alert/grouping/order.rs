//! Open alerts in order of time: which was quiet longest, and which update is due first.
//!
//! Contract: every open alert is in the order of age; those that counted something since their last line are in the order of updates. Equal times
//! are in order of key. Limits: as many as the open alerts. Design: two ordered sets, so that each change costs the logarithm of their size.

use std::collections::BTreeSet;
use std::sync::Arc;

use super::key::Key;
use crate::time::Timestamp;

/// Where an alert stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Place {
    /// Its last finding.
    pub(super) last_seen: Timestamp,
    /// When its update is due, where there is one.
    pub(super) due: Option<Timestamp>,
}

#[derive(Debug, Default)]
pub(super) struct Order {
    by_age: BTreeSet<(Timestamp, Arc<Key>)>,
    by_due: BTreeSet<(Timestamp, Arc<Key>)>,
}

impl Order {
    pub(super) fn insert(&mut self, key: &Arc<Key>, place: Place) {
        self.by_age.insert((place.last_seen, Arc::clone(key)));
        self.by_due.extend(place.due.map(|due| (due, Arc::clone(key))));
    }

    pub(super) fn remove(&mut self, key: &Arc<Key>, place: Place) {
        self.by_age.remove(&(place.last_seen, Arc::clone(key)));
        if let Some(due) = place.due {
            self.by_due.remove(&(due, Arc::clone(key)));
        }
    }

    pub(super) fn change(&mut self, key: &Arc<Key>, before: Place, now: Place) {
        if before.last_seen != now.last_seen {
            self.by_age.remove(&(before.last_seen, Arc::clone(key)));
            self.by_age.insert((now.last_seen, Arc::clone(key)));
        }
        if before.due != now.due {
            if let Some(due) = before.due {
                self.by_due.remove(&(due, Arc::clone(key)));
            }
            self.by_due.extend(now.due.map(|due| (due, Arc::clone(key))));
        }
    }

    /// The alert that was quiet longest.
    pub(super) fn quietest(&self) -> Option<Arc<Key>> {
        self.by_age.first().map(|(_, key)| Arc::clone(key))
    }

    /// Takes out the alerts whose updates are due, in order of key.
    pub(super) fn take_due(&mut self, now: Timestamp) -> Vec<Arc<Key>> {
        let mut due = Vec::new();
        while self.by_due.first().is_some_and(|(at, _)| *at <= now) {
            due.extend(self.by_due.pop_first().map(|(_, key)| key));
        }
        due.sort_unstable();
        due
    }

    #[cfg(test)]
    pub(super) fn sizes(&self) -> (usize, usize) {
        (self.by_age.len(), self.by_due.len())
    }
}
