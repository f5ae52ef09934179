//! Windows in which something was not seen, so that absence proves nothing.
//!
//! Contract: a loss at a point, or everywhere, is a window; so is the time in which a point was down. A point counts as observed from the time
//! at which it was reported up, or showed its first flow. A source reports a loss within [`LOSS_REPORTED_WITHIN`]; until then, absence proves nothing.
//! Limits: [`super::windows`]'s; [`MAX_POINTS`] points, beyond which all count as new.
//! A flow that was evicted early was seen, so a full flow table is no loss here.

use std::collections::BTreeMap;
use std::time::Duration;

use super::windows::Windows;
use crate::input::{LinkEvent, Loss, LossReason, Mac, ObservationPoint};
use crate::time::Timestamp;

/// A source of observations reports what it lost within this time after the loss. Each live source holds its own interval to it.
pub const LOSS_REPORTED_WITHIN: Duration = Duration::from_millis(300);
/// One a running container, and the bridges.
const MAX_POINTS: usize = 32_768;

/// Where, whose where only one source lost something, and how.
type LostPlace = (Option<ObservationPoint>, Option<Mac>, LossKind);

/// How frames went unseen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LossKind {
    /// They were lost, or nothing was captured.
    Lost,
    /// The filter that hopwatch was given hid them.
    Hidden,
}

/// A window: how, where (nowhere: everywhere), from, until.
type LossWindow<'a> = (LossKind, Option<&'a ObservationPoint>, Timestamp, Timestamp);

#[derive(Clone, Copy, Debug)]
struct Seen {
    since: Timestamp,
    down_since: Option<Timestamp>,
}

/// The windows that are remembered, and since when each point is observed.
#[derive(Debug, Default)]
pub struct Losses {
    lost: Windows<LostPlace>,
    points: BTreeMap<ObservationPoint, Seen>,
    forgotten_points: u64,
    facts: u64,
}

impl Losses {
    /// Grows with everything that is taken in and changes an answer.
    pub(in crate::path) const fn facts(&self) -> u64 {
        self.facts
    }

    /// Takes in a loss that was reported at a time.
    pub fn apply(&mut self, at: Timestamp, loss: &Loss) {
        self.facts += 1;
        if loss.reason != LossReason::FlowTable {
            let how = if loss.reason == LossReason::Filter { LossKind::Hidden } else { LossKind::Lost };
            self.lost.add((loss.point.clone(), loss.source, how), loss.since, at);
        }
    }

    /// Takes in what was reported about a link at a time.
    pub fn apply_link(&mut self, at: Timestamp, link: &LinkEvent) {
        self.facts += 1;
        match (link.up, self.points.get_mut(&link.point)) {
            (true, Some(seen)) => {
                if let Some(since) = seen.down_since.take() {
                    self.lost.add((Some(link.point.clone()), None, LossKind::Lost), since, at);
                }
            }
            (true, None) => _ = self.see(&link.point, at),
            (false, Some(seen)) => _ = seen.down_since.get_or_insert(at),
            (false, None) => {}
        }
    }

    /// A point showed something at a time; whether it is new.
    pub fn see(&mut self, point: &ObservationPoint, at: Timestamp) -> bool {
        if self.points.contains_key(point) {
            return false;
        }
        self.facts += 1;
        if self.points.len() >= MAX_POINTS {
            self.forgotten_points += self.points.len() as u64;
            self.points.clear();
        }
        self.points.insert(point.clone(), Seen { since: at, down_since: None });
        true
    }

    /// Windows forgotten because there were too many.
    pub const fn forgotten_windows(&self) -> u64 {
        self.lost.forgotten()
    }

    /// Points forgotten because there were too many.
    pub const fn forgotten_points(&self) -> u64 {
        self.forgotten_points
    }

    /// Since when a point is observed; `None` while it never was, or is not now.
    pub fn observed_since(&self, point: &ObservationPoint) -> Option<Timestamp> {
        self.points.get(point).filter(|seen| seen.down_since.is_none()).map(|seen| seen.since)
    }

    /// Every point that is observed now.
    pub fn observed(&self) -> impl Iterator<Item = &ObservationPoint> {
        self.points.iter().filter(|(_, seen)| seen.down_since.is_none()).map(|(point, _)| point)
    }

    /// Whether anything was lost at this point (or everywhere) between two times.
    pub fn overlap(&self, point: &ObservationPoint, from: Timestamp, until: Timestamp) -> bool {
        self.overlap_of(point, |_| true, from, until)
    }

    /// The same, of what only one source lost counting those that are meant.
    pub fn overlap_of(
        &self,
        point: &ObservationPoint,
        is_meant: impl Fn(Mac) -> bool,
        from: Timestamp,
        until: Timestamp,
    ) -> bool {
        let down = self.points.get(point).and_then(|seen| seen.down_since).is_some_and(|since| since <= until);
        let is_lost = |(place, source, _): &LostPlace| {
            place.as_ref().is_none_or(|place| place == point) && source.is_none_or(&is_meant)
        };
        down || self.lost.overlap(is_lost, from, until)
    }

    /// The windows of one place that reach to a time or beyond: how, where, from and until; of what only one source lost, those of a source that is meant.
    pub fn windows_of(
        &self,
        is_place: impl Fn(&ObservationPoint) -> bool,
        is_meant: impl Fn(Mac) -> bool,
        since: Timestamp,
    ) -> impl Iterator<Item = LossWindow<'_>> {
        let is_its = move |((place, source, _), _, until): &(&LostPlace, Timestamp, Timestamp)| {
            *until >= since && place.as_ref().is_none_or(&is_place) && source.is_none_or(&is_meant)
        };
        let windows = self.lost.iter().map(|(place, from, until)| (place, *from, *until)).filter(is_its);
        windows.map(|((point, _, how), from, until)| (*how, point.as_ref(), from, until))
    }

    /// Since when a point is down; `None` while it is observed, or was never seen.
    pub fn down_since(&self, point: &ObservationPoint) -> Option<Timestamp> {
        self.points.get(point).and_then(|seen| seen.down_since)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_secs(1000 + seconds)
    }

    fn link(name: &str, up: bool) -> LinkEvent {
        LinkEvent { point: ObservationPoint::new(name), up, ..LinkEvent::default() }
    }

    #[test]
    fn a_loss_counts_at_its_point_and_one_without_a_point_everywhere() {
        let (here, there) = (ObservationPoint::new("br-a"), ObservationPoint::new("br-b"));
        let mut losses = Losses::default();
        let loss = |point, reason| Loss { point, reason, count: 1, since: at(10), source: None };
        losses.apply(at(12), &loss(Some(here.clone()), LossReason::Kernel));
        assert!(losses.overlap(&here, at(11), at(11)) && !losses.overlap(&there, at(11), at(11)));
        assert!(!losses.overlap(&here, at(13), at(14)));
        losses.apply(at(12), &loss(None, LossReason::FlowTable));
        assert!(!losses.overlap(&there, at(11), at(11)), "an evicted flow was seen");
        losses.apply(at(12), &loss(None, LossReason::Queue));
        assert!(losses.overlap(&there, at(11), at(11)));
    }

    #[test]
    fn what_one_source_lost_is_no_loss_of_others() {
        let (point, mac) = (ObservationPoint::new("br-a"), |last| Mac([2, 0, 0, 0, 0, last]));
        let mut losses = Losses::default();
        let shed =
            |source| Loss { point: Some(point.clone()), reason: LossReason::Shed, count: 9, since: at(10), source };
        losses.apply(at(12), &shed(Some(mac(1))));
        let lost = |losses: &Losses, last| losses.overlap_of(&point, |of| of == mac(last), at(11), at(11));
        assert!(lost(&losses, 1) && !lost(&losses, 2) && losses.overlap(&point, at(11), at(11)));
        losses.apply(at(12), &shed(None));
        assert!(lost(&losses, 2), "it may have been anybody's");
    }

    #[test]
    fn a_point_that_is_down_sees_nothing() {
        let point = ObservationPoint::new("br-a");
        let mut losses = Losses::default();
        assert_eq!(losses.observed_since(&point), None);
        losses.apply_link(at(1), &link("br-a", true));
        losses.apply_link(at(5), &link("br-a", false));
        assert!(losses.overlap(&point, at(4), at(6)) && losses.observed_since(&point).is_none());
        losses.apply_link(at(7), &link("br-a", true));
        assert_eq!(losses.observed_since(&point), Some(at(1)));
        assert!(losses.overlap(&point, at(6), at(6)) && !losses.overlap(&point, at(8), at(9)));
    }
}
