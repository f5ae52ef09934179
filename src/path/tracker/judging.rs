//! When a flow is judged, and as what it is read.

use std::cell::OnceCell;
use std::sync::Arc;
use std::time::Duration;

use super::asked::Observed;
use super::key::TrailKey;
use super::tracked_flow::TrackedFlow;
use super::{Deadline, Step, Tracker};
use crate::input::{
    FiveTuple, FlowId, FlowRecord, Mac, NatBinding, ObservationPoint, Protocol, TcpFacts, Workload, tcp_flags,
};
use crate::inventory::{Confidence, Doubt, Owner};
use crate::path::JudgeContext;
use crate::path::source::{self, Roles, is_unsettled, responder_of};
use crate::path::trail::{self, Frames, Trail};
use crate::path::{
    DECIDED, JudgedFlow, LOSS_REPORTED_WITHIN, Orientations, Oriented, Outcome, Service, Unobservable, Verdict,
    dns_detection, orientations, rests_on_absence,
};
use crate::time::Timestamp;

/// For so long after its first packet, and after a loss, a point may see answers whose request it missed.
pub(super) const WARM_UP: Duration = Duration::from_secs(5);
/// A relay connects to its target within so long.
const RELAYED: Duration = Duration::from_secs(2);
/// What is left of a connection is no more packets than this.
const REMNANT_PACKETS: u64 = 8;

/// A direction in which a flow can be read, and what the contracts say then.
struct Reading {
    oriented: Oriented,
    source: Owner,
    responder: Option<Owner>,
    answered: bool,
    outcome: Outcome,
}

/// When a flow is looked at, and whether waiting for its evidence is over.
#[derive(Clone, Copy)]
pub(super) struct JudgingTime {
    now: Timestamp,
    deadline: Deadline,
    waited: bool,
}

impl Tracker {
    /// Judges the flow unless it is worth waiting for the runtime, for an answer or for evidence.
    pub(super) fn try_judge(
        &mut self,
        context: JudgeContext<'_>,
        id: FlowId,
        now: Timestamp,
        deadline: Deadline,
        step: &mut Step,
    ) {
        let Some(tracked) = self.flows.of(id).filter(|tracked| tracked.judged.is_none()) else { return };
        let key = tracked.key;
        let Some(observed) = &tracked.observed else { return };
        let age = now.since(tracked.start);
        let waited = |grace| deadline == Deadline::Now || age >= grace;
        let binding = binding_of(context, &tracked.point, &tracked.tuple, tracked.start);
        let time = JudgingTime { now, deadline, waited: waited(self.longest(context)) };
        if !waited(LOSS_REPORTED_WITHIN) && binding.is_none() && rests_on_absence(&observed.record) {
            return;
        }
        let Some(reading) = self.read(context, tracked, observed, binding, time) else { return };
        if self.is_worth_waiting(tracked, &observed.record, &reading, &waited) {
            return;
        }
        let judged = judged_flow(context, tracked, observed, reading, now);
        if self.ended_early.is_said(binding, tracked, &judged) {
            return self.forget(id, step);
        }
        self.settle(context, (id, key), Arc::new(judged), now, step);
    }

    fn settle(
        &mut self,
        context: JudgeContext<'_>,
        (id, key): (FlowId, TrailKey),
        judged: Arc<JudgedFlow>,
        now: Timestamp,
        step: &mut Step,
    ) {
        self.waiting.remove(id);
        step.judged.push(Arc::clone(&judged));
        let (over, by_content) = (judged.over, self.judge_content(context, key, &judged, &judged.view.record, step));
        if let Some(tracked) = self.flows.of_mut(id) {
            let stays_open = stays_open(&judged);
            tracked.content = by_content;
            let spent = tracked.settle(judged, stays_open);
            self.spent.push(spent);
        }
        if over {
            self.linger(context, id, now, step);
        }
    }

    /// What the contracts say of a judged flow now; `None` while evidence may still come.
    pub(super) fn judge_again(
        &self,
        context: JudgeContext<'_>,
        tracked: &TrackedFlow,
        observed: &Observed,
        now: Timestamp,
    ) -> Option<JudgedFlow> {
        let binding = binding_of(context, &tracked.point, &tracked.tuple, tracked.start);
        let waited = now.since(tracked.start) >= self.longest(context);
        let reading =
            self.read(context, tracked, observed, binding, JudgingTime { now, deadline: Deadline::Now, waited })?;
        let waits = reading.outcome == Outcome::Wait;
        (!waits).then(|| judged_flow(context, tracked, observed, reading, now))
    }

    /// An attempt waits for an answer, a flow without a direction for a translation or the other end, what looks like the rest of a connection for
    /// more of it.
    fn is_worth_waiting(
        &self,
        tracked: &TrackedFlow,
        record: &FlowRecord,
        reading: &Reading,
        waited: &impl Fn(Duration) -> bool,
    ) -> bool {
        let skipped = match &reading.outcome {
            Outcome::Wait => return true,
            Outcome::Uncovered | Outcome::SentOn => false,
            Outcome::Judged(judgement) => matches!(judgement.verdict, Verdict::Bypassed | Verdict::Partial),
        };
        let may_skip = || skipped || dns_detection::by_content(record).is_some();
        let one_sided = Verdict::Unobservable(Unobservable::OneSided);
        let is_open = matches!(&reading.outcome, Outcome::Judged(judgement) if judgement.verdict == one_sided);
        let is_attempt = record.tuple.protocol == Protocol::TCP && !reading.answered && may_skip();
        (is_attempt || is_open || is_remnant(record)) && tracked.over.is_none() && !waited(self.limits.answer_grace)
    }

    /// The reading that a contract covers, or else the first certain one, or else the first; `None` while the runtime may still report more.
    fn read(
        &self,
        context: JudgeContext<'_>,
        tracked: &TrackedFlow,
        observed: &Observed,
        binding: Option<&NatBinding>,
        JudgingTime { now, deadline, waited }: JudgingTime,
    ) -> Option<Reading> {
        let record = &observed.record;
        let settled = deadline == Deadline::Now || now.since(tracked.start) >= self.limits.attribution_grace;
        let mut likeliest: Option<Reading> = None;
        let all_reported = deadline == Deadline::Now || now.since(tracked.start) >= LOSS_REPORTED_WITHIN;
        let (reached, at) = (OnceCell::new(), record.start);
        let reached =
            || reached.get_or_init(|| source::owner_of(context.timeline, &record.point, record.tuple.resp, at));
        for oriented in self.readings(context, tracked, observed, (binding, now), &reached) {
            let (source, known) = self.asked_by(context, observed, (&oriented, now), binding);
            let is_sure = !tracked.forged || matches!(source, Owner::Workload { confidence: Confidence::Likely, .. });
            let source = if is_sure { source } else { source.less_sure(Doubt::AmongOthers) };
            let (unknown, behind) = (OnceCell::new(), OnceCell::new());
            let responder = known.unwrap_or(&unknown);
            let found = || responder.get_or_init(|| responder_of(context.timeline, &oriented));
            if !settled && is_unsettled(context.timeline, &source, &oriented, found) {
                return None;
            }
            // Another point may still show a frame of its own.
            if !all_reported && matches!(source, Owner::Workload { why: Some(Doubt::NotItsFrames), .. }) {
                return None;
            }
            let trail = Trail {
                flow: &oriented,
                record,
                sightings: &observed.sightings,
                binding,
                answered: tracked.answered && is_answered(context, observed, &oriented, &reached),
                now,
                may_wait: !waited,
                remnant: is_remnant(record),
                over: tracked.over,
            };
            // Where nothing is translated, who answers is found as it was above.
            let answers = if binding.is_none() { responder } else { &behind };
            let outcome = self.judge.judge(context, &trail, &source, answers);
            let covered = !matches!(outcome, Outcome::Uncovered | Outcome::SentOn);
            let (answered, responder) = (trail.answered, responder.get().cloned());
            let reading = Reading { oriented, source, responder, answered, outcome };
            if covered {
                return Some(reading);
            }
            let likelier = reading.oriented.certain && likeliest.as_ref().is_some_and(|first| !first.oriented.certain);
            if likelier || likeliest.is_none() {
                likeliest = Some(reading);
            }
        }
        likeliest
    }

    /// The directions in which a flow can be read; connection tracking knows the one.
    fn readings<'o>(
        &self,
        context: JudgeContext<'_>,
        tracked: &TrackedFlow,
        observed: &Observed,
        (binding, now): (Option<&NatBinding>, Timestamp),
        reached: &impl Fn() -> &'o Owner,
    ) -> Orientations {
        let record = &observed.record;
        let watched_since = self.watched_since.get(&record.point).copied().unwrap_or(record.start);
        let losses = &context.path.losses;
        let warming_up = record.start < watched_since.plus(WARM_UP)
            || now.since(record.start) < LOSS_REPORTED_WITHIN
            || losses.overlap_of(&record.point, |mac| is_of(record, mac), record.start.minus(WARM_UP), record.start);
        let is_router = |workload: &Workload| self.judge.is_router(workload);
        let is_mirror = |workload: &Workload| self.judge.is_mirror(workload);
        let roles = Roles { is_router: &is_router, is_mirror: &is_mirror };
        if let Some(reversed) =
            source::sent_by_the_other_end(context.timeline, record, &observed.sightings, roles, reached)
        {
            return Orientations::only(reversed);
        }
        if tracked.forged {
            return by_stranger(observed);
        }
        let Some(binding) = binding else {
            let read = |record: &FlowRecord| orientations(record, warming_up, observed.replied());
            return if tracked.unsure { read(&forgetful(record)) } else { read(record) };
        };
        let forward = binding.reads_forward(&record.tuple);
        let tuple = as_meant(binding, if forward { record.tuple } else { record.tuple.reversed() });
        Orientations::only(Oriented { tuple, point: record.point.clone(), at: record.start, forward, certain: true })
    }

    /// What a flow's content says of name resolution, for flows that no DNS contract judged; `record` is read from the end that asked. A flow
    /// that a DNS contract has judged is not asked again.
    pub(super) fn judge_content(
        &self,
        context: JudgeContext<'_>,
        key: TrailKey,
        judged: &JudgedFlow,
        record: &FlowRecord,
        step: &mut Step,
    ) -> Option<Arc<JudgedFlow>> {
        // Nearly no flow resolves names.
        dns_detection::by_content(record)?;
        let tracked = self.flows.get(&key);
        let is_dns = judged.judgement.as_ref().is_some_and(|judgement| judgement.service == Service::Dns);
        if is_dns || tracked.is_some_and(|tracked| tracked.content.is_some()) {
            return None;
        }
        let binding = binding_of(context, &record.point, &record.tuple, record.start);
        let answered = judged.answered || tracked.is_some_and(|tracked| tracked.answered);
        let trail = Trail {
            flow: &judged.oriented,
            record,
            sightings: &[],
            binding,
            answered,
            now: record.end,
            may_wait: false,
            remnant: false,
            over: judged.over.then_some(record.end),
        };
        let judgement = self.judge.judge_content(context, &trail, &judged.source)?;
        let mut again = judged.clone();
        again.view.record = record.clone();
        again.responder = responder_of(context.timeline, &again.oriented);
        again.answered = answered;
        again.took = record.end.since(record.start);
        again.judgement = Some(judgement);
        again.again = true;
        again.revised_from = None;
        let again = Arc::new(again);
        step.judged.push(Arc::clone(&again));
        Some(again)
    }

    /// What the first payload of a judged flow says.
    pub(super) fn judge_payload(
        &mut self,
        context: JudgeContext<'_>,
        key: TrailKey,
        judged: &JudgedFlow,
        record: &FlowRecord,
        step: &mut Step,
    ) {
        let read = judged.oriented.read(record);
        let by_content = self.judge_content(context, key, judged, &read, step);
        if let Some((by_content, tracked)) = by_content.zip(self.flows.get_mut(&key)) {
            tracked.content = Some(by_content);
        }
    }

    /// Comes back to a flow that still waits at the next time at which something is decided.
    pub(super) fn wait(&self, context: JudgeContext<'_>, id: FlowId, now: Timestamp, step: &mut Step) {
        let waits = self.waiting.contains(id);
        let Some(tracked) = self.flows.of(id).filter(|_| waits) else { return };
        let graces = [
            LOSS_REPORTED_WITHIN,
            self.limits.answer_grace,
            self.limits.attribution_grace,
            context.grace.absence(),
            self.longest(context),
        ];
        // Where connection tracking says up to when it is complete.
        let decided = context.path.bindings.says_when().then_some(DECIDED);
        let mut next = None;
        for deadline in graces.into_iter().chain(decided).map(|grace| tracked.start.plus(grace)) {
            if deadline > now && next.is_none_or(|next| deadline < next) {
                next = Some(deadline);
            }
        }
        step.timers.extend(next.map(|next| (next, id)));
    }

    /// The longest that evidence is waited for.
    fn longest(&self, context: JudgeContext<'_>) -> Duration {
        if self.relays { context.grace.absence().max(RELAYED) } else { context.grace.absence() }
    }
}

/// The directions of a record whose first packet a stranger forged. What nobody answered was asked by nobody else; frames of the other end may
/// be its own question or an answer to the forged one, and nothing shows which.
fn by_stranger(observed: &Observed) -> Orientations {
    let record = &observed.record;
    let read = |forward: bool, certain| Oriented {
        tuple: if forward { record.tuple } else { record.tuple.reversed() },
        point: record.point.clone(),
        at: record.start,
        forward,
        certain,
    };
    if record.orig.counters.packets == 0 {
        return Orientations::only(read(false, true));
    }
    if observed.replied() {
        Orientations::either(read(false, false), read(true, true))
    } else {
        Orientations::only(read(true, true))
    }
}

/// The translation of what was seen at a point; a namespace's own only where it is looked at from inside.
pub(super) fn binding_of<'a>(
    context: JudgeContext<'a>,
    point: &ObservationPoint,
    tuple: &FiveTuple,
    at: Timestamp,
) -> Option<&'a NatBinding> {
    let is_inside = || context.timeline.link(point).is_some_and(|link| link.inside.is_some());
    let bindings = &context.path.bindings;
    bindings.find(tuple, at).or_else(|| bindings.find_inside(tuple, at).filter(|_| is_inside()))
}

/// A tuple of a binding, read in its direction, as its originator sent it: with `br_netfilter`, a bridge shows it after the translation of one of its ends.
fn as_meant(binding: &NatBinding, tuple: FiveTuple) -> FiveTuple {
    let is_between = tuple != binding.before && tuple != binding.after;
    if is_between && tuple.orig == binding.before.orig { binding.before } else { tuple }
}

/// A record without the originator that the meter remembered.
fn forgetful(record: &FlowRecord) -> FlowRecord {
    let mut record = record.clone();
    if let Some(rare) = &mut record.rare {
        rare.remembered = false;
    }
    record
}

/// Whether a MAC sent, or was sent, frames of the record.
fn is_of(record: &FlowRecord, mac: Mac) -> bool {
    [&record.orig, &record.resp].iter().any(|side| side.mac == Some(mac) || side.next_hop == Some(mac))
}

/// Whether the other end answered itself: frames of a workload that is not it, and to which nothing was given, are a stranger's. `reached` says whose
/// address the end is that the record reached.
fn is_answered<'o>(
    context: JudgeContext<'_>,
    observed: &Observed,
    oriented: &Oriented,
    reached: &impl Fn() -> &'o Owner,
) -> bool {
    let (timeline, at, forward) = (context.timeline, oriented.at, oriented.forward);
    let record = &observed.record;
    let is_as_recorded = (&oriented.point, oriented.tuple.resp, at) == (&record.point, record.tuple.resp, record.start);
    let own = OnceCell::new();
    let find = || source::owner_of(timeline, &oriented.point, oriented.tuple.resp, at);
    let answers = || if is_as_recorded { reached() } else { own.get_or_init(find) };
    let is_peer = |sender: &Arc<Workload>| match answers() {
        Owner::Workload { workload, .. } => timeline.are_together(sender, workload, at),
        Owner::Ambiguous { .. } | Owner::Unknown => true,
        Owner::Host | Owner::External => false,
    };
    let sent = || observed.sightings.iter().flat_map(|sighting| sighting.frames(forward));
    let is_strangers = |answer: Frames| {
        let sender = answer.from.and_then(|mac| timeline.owner_of_mac(mac, at));
        sender.is_some_and(|sender| !is_peer(sender)) && sent().all(|sent| sent.to != answer.from)
    };
    let answers = observed.sightings.iter().filter(|sighting| sighting.sent(!forward).packets > 0);
    let mut answers = answers.flat_map(|sighting| sighting.frames(!forward)).peekable();
    answers.peek().is_none() || !answers.all(is_strangers)
}

/// A flow with what a reading of it says.
fn judged_flow(
    context: JudgeContext<'_>,
    tracked: &TrackedFlow,
    observed: &Observed,
    reading: Reading,
    now: Timestamp,
) -> JudgedFlow {
    let binding = binding_of(context, &tracked.point, &tracked.tuple, tracked.start);
    let shown = if reading.oriented.forward { reading.oriented.tuple } else { reading.oriented.tuple.reversed() };
    let mut view = observed.view(binding.map(|binding| trail::twin(binding, &shown)));
    view.record.tuple = shown;
    let sent_on = reading.outcome == Outcome::SentOn;
    let judgement = match reading.outcome {
        Outcome::Judged(judgement) => Some(judgement),
        Outcome::Uncovered | Outcome::SentOn | Outcome::Wait => None,
    };
    JudgedFlow {
        responder: reading.responder.unwrap_or_else(|| responder_of(context.timeline, &reading.oriented)),
        view: if reading.oriented.forward { view } else { view.reversed() },
        oriented: reading.oriented,
        source: reading.source,
        answered: reading.answered,
        judgement,
        sent_on,
        took: now.since(tracked.start),
        over: tracked.over.is_some(),
        again: false,
        revised_from: None,
    }
}

/// Whether a judged flow is looked at again without a reason from outside: a contract covers it, or who asked may show later, after an answer that came
/// first, or a frame that somebody forged.
pub(super) fn stays_open(judged: &JudgedFlow) -> bool {
    let is_answer = matches!(judged.source, Owner::External | Owner::Unknown) || !judged.source.owns_address();
    judged.judgement.is_some() || is_answer || is_remnant(&judged.view.record)
}

/// Whether more than the rest of a connection shows: data, or a start. FINs that are sent again and again are still the rest.
pub(super) fn goes_on(record: &FlowRecord) -> bool {
    record.orig.counters.payload_bytes + record.resp.counters.payload_bytes > 0
        || record.tcp.is_some_and(TcpFacts::direction_known)
}

/// The rest of a connection whose translation has ended: FIN or RST without a start and without data, with the container's own address.
pub(super) fn is_remnant(record: &FlowRecord) -> bool {
    let sent = record.orig.counters.payload_bytes + record.resp.counters.payload_bytes;
    let packets = record.orig.counters.packets + record.resp.counters.packets;
    record.tcp.is_some_and(|tcp: TcpFacts| {
        let flags = tcp.orig_flags | tcp.resp_flags;
        !tcp.direction_known() && flags & (tcp_flags::FIN | tcp_flags::RST) != 0
    }) && sent == 0
        && packets <= REMNANT_PACKETS
}
