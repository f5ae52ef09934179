//! How time passes at the points of a replay: also at those that see nothing, and until the observation ended.
//!
//! Contract: what a point reports by itself (a flow is idle, goes on, or is over because the observation ended) has the time that it had when the
//! recording was made, and is there before anything later is passed on. Limits: of several points, packets that come up to [`WINDOW`] after later ones of
//! another point count at their own time; a point that comes back sooner than that after its end keeps its records; a point that was alone for a window
//! does not wait for one that comes later, unless the facts speak of several. Design: a tap looks at its clock
//! when nothing comes; a replay has no clock, so every meter is told the time of the packets, a window late, at most once in [`STEP`].

use std::collections::{BTreeSet, VecDeque};
use std::time::Duration;

use super::in_order::WINDOW;
use super::points::ReplayPoints;
use crate::input::{Fact, Input, ObservationPoint, RecordedFact};
use crate::time::Timestamp;

/// Meters of several points are told the time as often as this.
const STEP: Duration = Duration::from_millis(50);

/// Up to when time has passed at every point.
#[derive(Debug)]
pub(super) struct PassingTime {
    /// When the observation of a point ended, in order.
    ends: VecDeque<(Timestamp, ObservationPoint)>,
    reached: Timestamp,
    /// The first packet.
    first: Option<Timestamp>,
    /// Whether the facts speak of several points: another one may have seen something from the start, and be written late.
    expects_several: bool,
    /// Whether one point was alone for a window.
    is_alone: bool,
}

impl PassingTime {
    /// With the ends of points among these facts, which are in order.
    pub(super) fn new(facts: &[Input]) -> Self {
        let end = |input: &Input| match &input.fact {
            Fact::Recorded(RecordedFact::Ended { point: Some(point) }) => Some((input.at, point.clone())),
            _ => None,
        };
        let points = facts.iter().filter_map(|input| match &input.fact {
            Fact::Recorded(RecordedFact::Link(link)) => Some(&link.point),
            _ => None,
        });
        Self {
            ends: facts.iter().filter_map(end).collect(),
            reached: Timestamp::MIN,
            first: None,
            expects_several: points.collect::<BTreeSet<_>>().len() > 1,
            is_alone: false,
        }
    }

    /// Up to when it passes before the next packet is metered, which is of this time; `None` where that is not worth while.
    #[inline]
    pub(super) fn due(&mut self, packet: Timestamp, are_several: bool) -> Option<Timestamp> {
        let first = *self.first.get_or_insert(packet);
        if are_several || self.expects_several {
            let until = packet.minus(WINDOW);
            return (until >= self.reached.plus(STEP)).then_some(until);
        }
        if !self.is_alone && packet >= first.plus(WINDOW) {
            return Some(packet);
        }
        // One point alone is told by its own packets.
        self.ends.front().map(|(at, _)| *at).filter(|at| *at < packet)
    }

    /// Time passes; what that causes comes in order of time for each point.
    pub(super) fn pass(&mut self, until: Timestamp, points: &mut ReplayPoints, out: &mut Vec<Input>) {
        self.reached = self.reached.max(until);
        while let Some((at, point)) = self.ends.pop_front_if(|(at, _)| *at <= until) {
            points.end(&point, at, out);
        }
        points.advance(until, out);
        let may_be_alone = !points.are_several() && !self.expects_several;
        self.is_alone |= may_be_alone && self.first.is_some_and(|first| until >= first.plus(WINDOW));
    }

    /// Whether what comes waits for what another point may have seen before it.
    #[inline]
    pub(super) const fn waits(&self, are_several: bool) -> bool {
        are_several || !self.is_alone
    }

    /// Up to when it has passed.
    pub(super) const fn reached(&self) -> Timestamp {
        self.reached
    }
}
