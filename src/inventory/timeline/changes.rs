//! Which workloads changed, for those who remember something of each.
//!
//! Contract: a reader that looked at a revision learns which workloads were reported, ended or were forgotten since. Limits: the last [`MAX_CHANGES`];
//! a reader that comes later takes everything as changed.

use std::collections::VecDeque;

use crate::input::WorkloadId;

const MAX_CHANGES: usize = 1024;

/// The last changes, oldest first.
#[derive(Debug, Default)]
pub(super) struct Changes {
    last: VecDeque<WorkloadId>,
    revision: u64,
}

impl Changes {
    pub(super) fn note(&mut self, id: &WorkloadId) {
        if self.last.len() >= MAX_CHANGES {
            self.last.pop_front();
        }
        self.last.push_back(id.clone());
        self.revision += 1;
    }

    /// Grows with each change.
    pub(super) const fn revision(&self) -> u64 {
        self.revision
    }

    /// What changed since a revision; `None` where that is too long ago.
    pub(super) fn since(&self, revision: u64) -> Option<impl Iterator<Item = &WorkloadId>> {
        let missed = usize::try_from(self.revision.checked_sub(revision)?).ok()?;
        let first = self.last.len().checked_sub(missed)?;
        Some(self.last.range(first..))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_change_is_reported_once_and_a_late_look_takes_everything_as_changed() {
        let mut changes = Changes::default();
        let ids: Vec<WorkloadId> = (0..=MAX_CHANGES).map(|number| WorkloadId::new(&number.to_string())).collect();
        assert_eq!(changes.since(0).map(Iterator::count), Some(0));
        for id in &ids {
            changes.note(id);
        }
        let revision = changes.revision();
        assert!(changes.since(0).is_none());
        assert!(changes.since(1).is_some_and(|since| since.eq(&ids[1..])));
        assert!(changes.since(revision - 1).is_some_and(|since| since.eq(&ids[MAX_CHANGES..])));
        assert_eq!(changes.since(revision).map(Iterator::count), Some(0));
        assert!(changes.since(revision + 1).is_none());
    }
}
