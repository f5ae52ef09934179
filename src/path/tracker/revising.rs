//! When a judgement is revised (ADR 11).
//!
//! Contract: a verdict gets worse, or an `unobservable` one becomes known; an attempt becomes more than an attempt. Nothing else is emitted.
//! Design: what cannot change the result is not judged again: a bypass that succeeded stays one, whatever comes later.

use std::sync::Arc;

use super::asked::Observed;
use super::judging::{binding_of, goes_on, is_remnant, stays_open};
use super::tracked_flow::TrackedFlow;
use super::{Deadline, Step, Tracker};
use crate::input::FlowId;
use crate::path::{JudgeContext, JudgedFlow, Judgement, Verdict};
use crate::time::Timestamp;

impl Tracker {
    /// Something new is known of a flow: it is judged, or judged again.
    pub(super) fn judge_or_revise(&mut self, context: JudgeContext<'_>, id: FlowId, now: Timestamp, step: &mut Step) {
        if self.waiting.contains(id) {
            self.waiting.note(id);
            self.try_judge(context, id, now, Deadline::Grace, step);
        } else {
            self.revise(context, id, now, step);
        }
    }

    /// Judges a flow again where the result may have changed.
    pub(super) fn revise(&mut self, context: JudgeContext<'_>, id: FlowId, now: Timestamp, step: &mut Step) {
        let Some(tracked) = self.flows.of(id) else { return };
        let (Some(observed), Some(before)) = (&tracked.observed, &tracked.judged) else { return };
        let compares = || before.judgement.as_ref().is_some_and(|judgement| self.compares_points(judgement));
        if !may_change(before, tracked.answered, observed, compares) {
            return;
        }
        let Some(mut after) = self.judge_again(context, tracked, observed, now) else { return };
        let binding = binding_of(context, &tracked.point, &tracked.tuple, tracked.start);
        if !is_revision(before, &after) || self.ended_early.is_said(binding, tracked, &after) {
            // A translation that was reported later changed nothing.
            if !stays_open(before) && !stays_open(&after) {
                self.close(id);
            }
            return;
        }
        after.revised_from = before.judgement.as_ref().map(|judgement| judgement.verdict);
        after.again = true;
        let after = Arc::new(after);
        step.judged.push(Arc::clone(&after));
        if let Some(tracked) = self.flows.of_mut(id) {
            tracked.judged = Some(after);
        }
    }

    /// Nothing more can be said of a flow that no contract covers.
    fn close(&mut self, id: FlowId) {
        let spent = self.flows.of_mut(id).and_then(|tracked| tracked.observed.take());
        self.spent.push(spent);
    }

    /// The flow has ended: another point may still report what it saw of it.
    pub(super) fn linger(&mut self, context: JudgeContext<'_>, id: FlowId, now: Timestamp, step: &mut Step) {
        let tracked = self.flows.of(id);
        let judgement = tracked.and_then(|tracked| tracked.judged.as_ref()?.judgement.as_ref());
        if judgement.is_some_and(|judgement| judgement.verdict == Verdict::Verified && self.compares_points(judgement))
        {
            self.lingering.insert(id);
            step.timers.push((now.plus(context.grace.transit), id));
        } else {
            self.end(context, id, now, step);
        }
    }

    /// The time for what other points may report of an ended flow is over; a point for which it has not ended reports within a report interval.
    pub(super) fn end_or_linger(&mut self, context: JudgeContext<'_>, id: FlowId, now: Timestamp, step: &mut Step) {
        let tracked = self.flows.of(id);
        let last = tracked.and_then(TrackedFlow::ended_at_some_points).map(|over| over.plus(context.grace.reports()));
        match last.filter(|last| *last > now) {
            Some(last) => step.timers.push((last, id)),
            None => self.end(context, id, now, step),
        }
    }

    /// Judges a flow for the last time, and forgets it.
    pub(super) fn end(&mut self, context: JudgeContext<'_>, id: FlowId, now: Timestamp, step: &mut Step) {
        if self.waiting.contains(id) {
            self.try_judge(context, id, now, Deadline::Now, step);
        } else {
            self.revise(context, id, now, step);
        }
        if context.path.bindings.is_watched_now()
            && let Some(tracked) = self.flows.of(id)
        {
            self.ended_early.remember(tracked.key.in_use(), tracked, now);
        }
        self.forget(id, step);
    }

    /// Whether a verdict rests on what several points, or several frames, show.
    fn compares_points(&self, judgement: &Judgement) -> bool {
        self.judge.compares_points(&judgement.contract)
    }
}

/// Whether more of a flow can change what was said of it.
fn may_change(before: &JudgedFlow, answered: bool, observed: &Observed, compares: impl Fn() -> bool) -> bool {
    let record = &observed.record;
    let Some(judgement) = &before.judgement else {
        return goes_on(record) || (answered && !before.answered);
    };
    let sent = record.orig.counters.payload_bytes > 0;
    match judgement.verdict {
        Verdict::Bypassed => before.is_attempt() && (answered || sent),
        Verdict::Partial => false,
        Verdict::Unobservable(_) if is_remnant(&before.view.record) => goes_on(record),
        Verdict::Unobservable(_) => true,
        Verdict::Verified => observed.sightings.iter().any(|sighting| !sighting.links.is_empty()) || compares(),
    }
}

fn is_revision(before: &JudgedFlow, after: &JudgedFlow) -> bool {
    let (Some(old), Some(new)) = (&before.judgement, &after.judgement) else { return after.judgement.is_some() };
    match (old.verdict, new.verdict) {
        (Verdict::Bypassed | Verdict::Partial, Verdict::Verified | Verdict::Unobservable(_)) => false,
        (old, new) if old != new => true,
        (Verdict::Bypassed | Verdict::Partial, _) => before.is_attempt() && !after.is_attempt(),
        _ => false,
    }
}
