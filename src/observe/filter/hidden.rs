//! What a filter hid at one point, told as a loss.
//!
//! Contract: pure. Every hidden frame is in one loss, and in its window; the window's end is at most [`TOLD_WITHIN`] behind the last frame in it. Windows of
//! a filter that hides again within [`GATHER`] touch, so that hours of them are one. Design: two times and a count, however much is hidden.

use std::time::Duration;

use crate::input::{Input, Loss, LossReason, ObservationPoint};
use crate::time::Timestamp;

/// A hidden frame is told within this time.
pub const TOLD_WITHIN: Duration = Duration::from_millis(100);
/// Windows with less between them are one.
const GATHER: Duration = Duration::from_secs(10);

/// Frames that were hidden at a point.
#[derive(Clone, Copy, Debug, Default)]
pub struct HiddenFrames {
    total: u64,
    told: u64,
    /// Of those that were not told.
    first: Option<Timestamp>,
    last: Timestamp,
    /// Where the last window ended.
    until: Option<Timestamp>,
}

impl HiddenFrames {
    /// One more.
    pub fn hide(&mut self, at: Timestamp) {
        self.total += 1;
        self.first = Some(self.first.map_or(at, |first| first.min(at)));
        self.last = if self.told + 1 == self.total { at } else { self.last.max(at) };
    }

    /// So far.
    pub const fn total(&self) -> u64 {
        self.total
    }

    /// How many were not told, and since when; the window ends at `now`, or shortly behind the last of them.
    pub fn tell(&mut self, now: Timestamp) -> Option<Told> {
        let first = self.first.take()?;
        let until = now.min(self.last.plus(TOLD_WITHIN)).max(self.last);
        let count = self.total - std::mem::replace(&mut self.told, self.total);
        let before = self.until.replace(until).filter(|before| first.since(*before) < GATHER);
        Some(Told { count, since: before.map_or(first, |before| before.min(first)), until })
    }
}

/// A loss to be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Told {
    /// Frames.
    pub count: u64,
    /// Beginning of the window.
    pub since: Timestamp,
    /// Its end.
    pub until: Timestamp,
}

impl Told {
    /// As a fact.
    pub fn into_input(self, point: ObservationPoint) -> Input {
        let Self { count, since, until } = self;
        Input::new(until, Loss { point: Some(point), reason: LossReason::Filter, count, since, source: None })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_nanos(1_000_000_000_000 + millis * 1_000_000)
    }

    #[test]
    fn a_window_holds_its_frames_and_touches_the_one_shortly_before() {
        let mut hidden = HiddenFrames::default();
        assert_eq!(hidden.tell(at(0)), None);
        hidden.hide(at(10));
        hidden.hide(at(30));
        assert_eq!(hidden.tell(at(40)), Some(Told { count: 2, since: at(10), until: at(40) }));
        assert_eq!(hidden.tell(at(50)), None, "told once");
        hidden.hide(at(5_000));
        let told = Told { count: 1, since: at(40), until: at(5_100) };
        assert_eq!(hidden.tell(at(60_000)), Some(told), "of a minute later nothing is said");
        hidden.hide(at(60_000));
        assert_eq!(hidden.tell(at(60_000)), Some(Told { count: 1, since: at(60_000), until: at(60_000) }));
        assert_eq!(hidden.total(), 4);
    }

    #[test]
    fn a_frame_from_before_the_last_window_is_in_the_next() {
        let mut hidden = HiddenFrames::default();
        hidden.hide(at(1000));
        hidden.tell(at(1050));
        hidden.hide(at(500));
        assert_eq!(hidden.tell(at(1060)), Some(Told { count: 1, since: at(500), until: at(600) }));
    }
}
