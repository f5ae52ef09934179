//! Puts live inputs of many sources into event-time order.
//!
//! Contract: an input waits until `lateness` has passed since its event time, so that sources that deliver late still come in
//! order. One that comes even later is passed on at once; the engine's watermark takes it; and so is one from the future, as a clock
//! that was set back leaves them. Limits: holds what arrives within `lateness`; the queue in front of it is bounded.
//! Design: ties keep the order of arrival.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::input::Input;
use crate::time::Timestamp;

/// Inputs that wait for their turn.
#[derive(Debug)]
pub struct Reorder {
    lateness: Duration,
    held: BTreeMap<(Timestamp, u64), Input>,
    sequence: u64,
}

impl Reorder {
    /// Holds nothing.
    pub const fn new(lateness: Duration) -> Self {
        Self { lateness, held: BTreeMap::new(), sequence: 0 }
    }

    /// Takes an input in.
    pub fn hold(&mut self, input: Input) {
        self.held.insert((input.at, self.sequence), input);
        self.sequence += 1;
    }

    /// The next input whose turn has come at `now`.
    pub fn pop(&mut self, now: Timestamp) -> Option<Input> {
        let (limit, future) = (self.reached(now), now.plus(self.lateness));
        let entry = self.held.first_entry()?;
        let turn = entry.key().0 <= limit || entry.key().0 > future;
        turn.then(|| entry.remove())
    }

    /// The event time up to which everything was passed on at `now`.
    pub fn reached(&self, now: Timestamp) -> Timestamp {
        now.minus(self.lateness)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::input::Fact;

    #[test]
    fn late_sources_come_in_event_time_order() {
        let at = |millis: i64| Timestamp::from_nanos(millis * 1_000_000);
        let mut reorder = Reorder::new(Duration::from_millis(200));
        for millis in [30, 10, 20] {
            reorder.hold(Input::new(at(millis), Fact::Tick));
        }
        assert_eq!(reorder.pop(at(209)), None);
        assert_eq!(reorder.pop(at(225)).map(|input| input.at), Some(at(10)));
        assert_eq!(reorder.pop(at(225)).map(|input| input.at), Some(at(20)));
        assert_eq!(reorder.pop(at(225)), None);
        assert!(reorder.pop(at(-5000)).is_some(), "the clock was set back: it would wait for ever");
    }
}
