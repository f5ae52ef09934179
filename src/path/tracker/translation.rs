//! The sides of a translated connection are one trail.
//!
//! Contract: the trail begins with the side that shows best who asked, whenever the translation is reported, so that no frame that came before the flow
//! turns it; what no contract seemed to cover is looked at again where the translation shows another end. Design: with `br_netfilter` a connection has up
//! to four sides, and each point may show two of them; which one is reported first is a race of microseconds.

use super::judging::binding_of;
use super::key::TrailKey;
use super::{Step, Tracker};
use crate::input::{FlowEventKind, FlowRecord, NatBinding};
use crate::path::JudgeContext;
use crate::time::Timestamp;

/// How well a side shows who asked: the better is the smaller.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Rank {
    /// The translation hides who asked.
    is_hidden: bool,
    /// The one who answers sent the first packet, or all of them.
    is_answer: bool,
    /// It began before the translation was made: an earlier connection, or a stranger's frame.
    is_older: bool,
    start: Timestamp,
}

impl Rank {
    fn of(context: JudgeContext<'_>, binding: &NatBinding, record: &FlowRecord) -> Self {
        let forward = binding.reads_forward(&record.tuple);
        let orig = if forward { record.tuple.orig } else { record.tuple.resp };
        let is_answer = !forward || record.orig.counters.packets == 0;
        let is_older = binding_of(context, &record.point, &record.tuple, record.start) != Some(binding);
        Self { is_hidden: orig != binding.before.orig, is_answer, is_older, start: record.start }
    }
}

impl Tracker {
    /// A translation was reported: its sides are one trail, which begins where the first of them was seen.
    pub fn on_binding(&mut self, context: JudgeContext<'_>, binding: &NatBinding, now: Timestamp, step: &mut Step) {
        self.judge.catch_up(context.timeline);
        let keys = binding.tuples().map(TrailKey::of);
        let rank = |key: &TrailKey| Some(Rank::of(context, binding, &*self.flows.get(key)?.record()?));
        let first = keys.into_iter().filter(|_| binding.netns.is_none()).filter_map(|key| Some((rank(&key)?, key)));
        let first = first.min_by_key(|(rank, _)| *rank).map(|(_, key)| key);
        for key in keys.into_iter().filter(|key| Some(*key) != first) {
            if let Some(first) = first.filter(|_| self.flows.contains_key(&key)) {
                self.merge(first, key, step);
            }
        }
        for key in keys {
            if let Some(tracked) = self.flows.get_mut(&key) {
                tracked.reopen(binding);
                let id = tracked.id;
                self.judge_or_revise(context, id, now, step);
            }
        }
    }

    /// The twin's sightings belong to the trail that goes on.
    fn merge(&mut self, before: TrailKey, after: TrailKey, step: &mut Step) {
        let Some([twin, tracked]) = self.flows.both_mut(&after, &before) else { return };
        let (id, sightings, answered) = (twin.id, twin.take_sightings(), twin.answered);
        tracked.take_over_judgements(twin, &mut step.gone);
        self.forget(id, step);
        if let Some(tracked) = self.flows.get_mut(&before) {
            tracked.answered |= answered;
            tracked.join(sightings);
            if tracked.add_twin(after) {
                self.twins.insert(after, before);
            }
        }
    }

    /// The key of a followed trail that this record is a side of, by what is known of its translation.
    pub(super) fn joined(&self, context: JudgeContext<'_>, record: &FlowRecord) -> Option<TrailKey> {
        let binding = context.path.bindings.find(&record.tuple, record.start)?;
        let others = binding.tuples().map(TrailKey::of).into_iter().filter(|key| *key != TrailKey::of(record.tuple));
        others.into_iter().find(|key| self.flows.contains_key(key))
    }

    /// A side of a followed trail starts.
    pub(super) fn witness_twin(
        &mut self,
        context: JudgeContext<'_>,
        trail: TrailKey,
        record: &FlowRecord,
        now: Timestamp,
        step: &mut Step,
    ) {
        let Some(tracked) = self.flows.get_mut(&trail) else { return };
        let binding = context.path.bindings.find(&record.tuple, record.start);
        let reversed = binding
            .is_some_and(|binding| binding.reads_forward(&record.tuple) != binding.reads_forward(&tracked.tuple));
        let is_better = binding
            .zip(tracked.record())
            .is_some_and(|(binding, known)| Rank::of(context, binding, record) < Rank::of(context, binding, &known));
        tracked.witness(record, FlowEventKind::Started, reversed);
        let (old, own) = (tracked.id, TrailKey::of(record.tuple));
        let is_first = is_better && !reversed && tracked.begin_with(record);
        if tracked.add_twin(own) {
            self.twins.insert(own, trail);
        }
        if is_first {
            self.renumber(old, record.id, trail);
        }
        self.judge_or_revise(context, if is_first { record.id } else { old }, now, step);
    }
}
