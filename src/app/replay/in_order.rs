//! Puts what several observation points saw into one order.
//!
//! Contract: an input waits until packets of more than [`WINDOW`] later were read; what waits is passed on by time, then facts before frames, then by
//! the point's name. Limits: at most [`MAX_HELD`] inputs wait; one more, and the earliest goes. What is older than the window keeps its place in the file.
//! Design: a recording is written as packets reach it, and those of one point up to 150 ms after those of another one; live capture waits for
//! them, so a replay does, too. A capture of one point is in order, and costs nothing here after its first moment.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::input::{Input, ObservationPoint};
use crate::time::Timestamp;

/// As live.
pub(super) const WINDOW: Duration = Duration::from_millis(200);
/// Inputs that wait at once.
const MAX_HELD: usize = 65_536;

/// Inputs that wait for their turn.
#[derive(Debug, Default)]
pub(super) struct InOrder {
    held: BTreeMap<(Timestamp, Option<ObservationPoint>, u64), Input>,
    sequence: u64,
}

impl InOrder {
    /// Takes an input in.
    pub(super) fn hold(&mut self, input: Input) {
        self.held.insert((input.at, input.point().cloned(), self.sequence), input);
        self.sequence += 1;
    }

    /// The next input from up to a time; the earliest where too many wait.
    pub(super) fn pop(&mut self, until: Timestamp) -> Option<Input> {
        let held = self.held.len();
        let (first, ..) = self.held.first_key_value()?.0;
        let turn = *first <= until || held > MAX_HELD;
        turn.then(|| self.held.pop_first()).flatten().map(|(_, input)| input)
    }

    /// All that still waits.
    pub(super) fn rest(&mut self) -> impl Iterator<Item = Input> + use<> {
        std::mem::take(&mut self.held).into_values()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::input::{ClaimKind, Fact, Mac, NeighbourClaim};

    fn claim(millis: i64, point: &str) -> Input {
        let claim = NeighbourClaim {
            point: ObservationPoint::new(point),
            kind: ClaimKind::ArpReply,
            ip: [10, 0, 0, 1].into(),
            mac: Mac([2; 6]),
            asks: None,
            frame_mac: None,
            to: None,
        };
        Input::new(Timestamp::from_nanos(millis * 1_000_000), Fact::Claim(Box::new(claim)))
    }

    fn shown(input: &Input) -> (i64, &str) {
        (input.at.as_nanos() / 1_000_000, input.point().map_or("", ObservationPoint::as_str))
    }

    #[test]
    fn points_that_were_written_late_come_in_event_time_order_and_ties_by_name() {
        let mut order = InOrder::default();
        for input in [claim(150, "veth1"), claim(10, "veth2"), claim(10, "br-apps"), claim(10, "veth1")] {
            order.hold(input);
        }
        assert_eq!(order.pop(Timestamp::from_nanos(9_000_000)), None, "others may still come");
        let at = Timestamp::from_nanos(10_000_000);
        let come: Vec<Input> = std::iter::from_fn(|| order.pop(at)).collect();
        assert_eq!(come.iter().map(shown).collect::<Vec<_>>(), [(10, "br-apps"), (10, "veth1"), (10, "veth2")]);
        assert_eq!(order.rest().map(|input| shown(&input).0).collect::<Vec<_>>(), [150]);
    }

    #[test]
    fn what_waits_is_bounded() {
        let mut order = InOrder::default();
        for _ in 0..=MAX_HELD {
            order.hold(claim(0, "veth1"));
        }
        assert!(order.pop(Timestamp::MIN).is_some(), "one more than may wait");
        assert_eq!(order.pop(Timestamp::MIN), None);
    }
}
