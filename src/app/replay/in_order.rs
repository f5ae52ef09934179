//! Puts what several observation points saw into one order.
//!
//! Contract: an input waits until packets of more than [`WINDOW`] later were read; what waits is passed on by time, then facts before frames, then by
//! the point's name. Limits: at most [`MAX_HELD`] inputs wait; one more, and the earliest goes. What is older than the window keeps its place in the file.
//! Design: a recording is written as packets reach it, and those of one point up to 150 ms after those of another one; live capture waits for
//! them, so a replay does, too. A capture of one point is in order, and costs nothing here after its first moment.

use std::collections::{BTreeMap, VecDeque};
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
    /// Those that came in their order: most.
    straight: VecDeque<Input>,
    /// Those that came behind a later one. Of two with the same time and point, the one that came straight came first.
    late: BTreeMap<(Timestamp, Option<ObservationPoint>, u64), Input>,
    sequence: u64,
}

/// What the order goes by.
fn turn(input: &Input) -> (Timestamp, Option<&ObservationPoint>) {
    (input.at, input.point())
}

impl InOrder {
    /// Takes an input in.
    pub(super) fn hold(&mut self, input: Input) {
        if self.straight.back().is_none_or(|last| turn(last) <= turn(&input)) {
            self.straight.push_back(input);
        } else {
            self.late.insert((input.at, input.point().cloned(), self.sequence), input);
            self.sequence += 1;
        }
    }

    /// The next input from up to a time; the earliest where too many wait.
    pub(super) fn pop(&mut self, until: Timestamp) -> Option<Input> {
        let held = self.straight.len() + self.late.len();
        let (straight, late) = (self.straight.front().map(turn), self.late.first_key_value());
        let late = late.map(|((at, point, _), _)| (*at, point.as_ref()));
        let is_late = late.is_some_and(|late| straight.is_none_or(|straight| late < straight));
        let (first, _) = if is_late { late? } else { straight? };
        if first > until && held <= MAX_HELD {
            return None;
        }
        if is_late { self.late.pop_first().map(|(_, input)| input) } else { self.straight.pop_front() }
    }

    /// All that still waits.
    pub(super) fn rest(&mut self) -> impl Iterator<Item = Input> + use<> {
        let mut all = std::mem::take(self);
        std::iter::from_fn(move || all.pop(Timestamp::MAX))
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
