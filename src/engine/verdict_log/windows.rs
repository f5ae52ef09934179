//! The windows in which something was not seen.
//!
//! Contract: a window is reported when it has begun; one that goes on has no end. Losses of one kind at one point that follow each other within
//! [`GATHER`] are one window. Limits: as many as the log allows; further ones are counted.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::input::{InventoryEvent, Loss, LossReason, NatFact, ObservationPoint, RecordedFact, RuntimeId};
use crate::time::Timestamp;

/// Losses are reported about once a second while they go on.
const GATHER: Duration = Duration::from_secs(2);

/// What was not seen.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum WindowKind {
    /// Packets or events, for this reason.
    Lost(LossReason),
    /// Anything at a point that was down or gone.
    Down,
    /// What a runtime would have reported.
    Silent(RuntimeId),
    /// Address translations.
    Translations,
}

/// A stretch of time in which absence proves nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Window {
    /// What was not seen.
    pub kind: WindowKind,
    /// Where; absent when it concerns every point.
    pub point: Option<ObservationPoint>,
    /// How much, where that is known.
    pub count: u64,
    /// Beginning.
    pub since: Timestamp,
    /// End; absent while it goes on.
    pub until: Option<Timestamp>,
}

type Place = (WindowKind, Option<ObservationPoint>);

#[derive(Debug)]
pub(super) struct Windows {
    most: usize,
    all: Vec<Window>,
    omitted: u64,
    /// The latest window of each kind and place.
    latest: BTreeMap<Place, usize>,
}

impl Windows {
    pub(super) const fn new(most: usize) -> Self {
        Self { most, all: Vec::new(), omitted: 0, latest: BTreeMap::new() }
    }

    /// All of them, in order of beginning.
    pub(super) fn all(&self) -> Vec<Window> {
        let mut all = self.all.clone();
        all.sort_by(|a, b| (a.since, &a.kind, &a.point).cmp(&(b.since, &b.kind, &b.point)));
        all
    }

    pub(super) const fn omitted(&self) -> u64 {
        self.omitted
    }

    pub(super) fn on_fact(&mut self, fact: &RecordedFact, now: Timestamp) {
        match fact {
            RecordedFact::Loss(loss) => self.lost(loss, now),
            RecordedFact::Link(link) if link.up => self.close(&WindowKind::Down, Some(&link.point), now),
            RecordedFact::Link(link) => self.open(WindowKind::Down, Some(link.point.clone()), now),
            RecordedFact::Nat(NatFact::Missed { count, since }) => {
                self.add(WindowKind::Translations, None, *count, *since, Some(now));
            }
            RecordedFact::Nat(NatFact::Unwatched { netns: None, .. }) => self.open(WindowKind::Translations, None, now),
            RecordedFact::Nat(NatFact::Watched { netns: None }) => self.close(&WindowKind::Translations, None, now),
            RecordedFact::Inventory(InventoryEvent::Disconnected { runtime, .. }) => {
                self.open(WindowKind::Silent(*runtime), None, now);
            }
            RecordedFact::Inventory(
                InventoryEvent::Reconciled { runtime, .. } | InventoryEvent::GivenUp { runtime },
            ) => self.close(&WindowKind::Silent(*runtime), None, now),
            _ => {}
        }
    }

    fn lost(&mut self, loss: &Loss, now: Timestamp) {
        let kind = WindowKind::Lost(loss.reason);
        if let Some(window) = self.latest_of(&kind, loss.point.as_ref())
            && window.until.is_some_and(|until| loss.since <= until.plus(GATHER))
        {
            window.count = window.count.saturating_add(loss.count);
            window.since = window.since.min(loss.since);
            window.until = window.until.max(Some(now));
            return;
        }
        self.add(kind, loss.point.clone(), loss.count, loss.since, Some(now));
    }

    fn open(&mut self, kind: WindowKind, point: Option<ObservationPoint>, now: Timestamp) {
        let is_open = self.latest_of(&kind, point.as_ref()).is_some_and(|window| window.until.is_none());
        if !is_open {
            self.add(kind, point, 0, now, None);
        }
    }

    fn close(&mut self, kind: &WindowKind, point: Option<&ObservationPoint>, now: Timestamp) {
        if let Some(window) = self.latest_of(kind, point) {
            window.until.get_or_insert(now);
        }
    }

    fn add(
        &mut self,
        kind: WindowKind,
        point: Option<ObservationPoint>,
        count: u64,
        since: Timestamp,
        until: Option<Timestamp>,
    ) {
        if self.all.len() >= self.most {
            self.omitted += 1;
            return;
        }
        self.latest.insert((kind.clone(), point.clone()), self.all.len());
        self.all.push(Window { kind, point, count, since, until });
    }

    fn latest_of(&mut self, kind: &WindowKind, point: Option<&ObservationPoint>) -> Option<&mut Window> {
        let index = *self.latest.get(&(kind.clone(), point.cloned()))?;
        self.all.get_mut(index)
    }
}
