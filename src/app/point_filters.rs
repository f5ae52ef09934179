//! The filter of a run that reads files, at each of its observation points.
//!
//! Contract: what is hidden at a point is counted there; told as losses at event time, each before time passes that could make something of the absence.
//! Limits: a link type for which libpcap has no such filter ends the run, since nothing would be known of its point. Design: a program and a count a
//! point, by its place among the meters.

use crate::decode::LinkType;
use crate::flow::Frame;
use crate::input::{Input, LossReason, ObservationPoint};
use crate::observe::filter::{self, FilterError, FrameFilter, HiddenFrames, Program, TOLD_WITHIN, Told};
use crate::time::Timestamp;

/// A filter at all points.
#[derive(Debug)]
pub(super) struct PointFilters {
    filter: FrameFilter,
    points: Vec<FilteredPoint>,
    /// Since when hidden frames of any point wait to be reported.
    untold: Option<Timestamp>,
}

#[derive(Debug)]
struct FilteredPoint {
    name: ObservationPoint,
    program: Program,
    hidden: HiddenFrames,
}

impl PointFilters {
    pub(super) const fn new(filter: FrameFilter) -> Self {
        Self { filter, points: Vec::new(), untold: None }
    }

    /// The first packet of an interface whose meter is at this place.
    pub(super) fn meet(&mut self, place: usize, name: &ObservationPoint, link: LinkType) -> Result<(), FilterError> {
        // Places are given in turn; several interfaces may share one.
        if place >= self.points.len() {
            let program = self.filter.program(link)?;
            self.points.push(FilteredPoint { name: name.clone(), program, hidden: HiddenFrames::default() });
        }
        Ok(())
    }

    /// Whether a frame is looked at; one that is not is counted.
    pub(super) fn keeps(&mut self, place: usize, frame: &Frame<'_>) -> bool {
        let Some(point) = self.points.get_mut(place) else { return false };
        let keeps = filter::run(&point.program, frame.wire_len, frame.data) > 0;
        if !keeps {
            point.hidden.hide(frame.at);
            self.untold = Some(self.untold.map_or(frame.at, |since| since.min(frame.at)));
        }
        keeps
    }

    /// Whether there is something to tell before time passes to this.
    pub(super) fn is_due(&self, at: Timestamp) -> bool {
        self.untold.is_some_and(|since| at.since(since) >= TOLD_WITHIN)
    }

    /// What was hidden since it was last told, in order of time.
    pub(super) fn tell(&mut self, at: Timestamp) -> Vec<Input> {
        self.untold = None;
        let told =
            |point: &mut FilteredPoint| point.hidden.tell(at).map(|told| Told::into_input(told, point.name.clone()));
        let mut all: Vec<_> = self.points.iter_mut().filter_map(told).collect();
        all.sort_by_key(|input| input.at);
        all
    }

    /// How many frames were hidden at a place, for its counters.
    pub(super) fn hidden(&self, place: usize) -> Option<(&'static str, u64)> {
        let total = self.points.get(place)?.hidden.total();
        (total > 0).then_some((LossReason::Filter.as_str(), total))
    }
}
