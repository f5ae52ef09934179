//! When a flow is judged, and as what it is read.

use std::sync::Arc;
use std::time::Duration;

use super::open::{Open, Phase, Waiting};
use super::{JudgedFlow, Patience, Step, Tracker};
use crate::input::{FiveTuple, FlowId, FlowRecord, NatBinding, ObservationPoint, Protocol, TcpFacts, tcp_flags};
use crate::inventory::{Owner, Sighting};
use crate::path::judge::{Judgement, Outcome, Scene};
use crate::path::source::{is_unsettled, responder_of, source_of};
use crate::path::trail::Trail;
use crate::path::{Oriented, Service, Verdict, orientations, resolution};
use crate::time::Timestamp;

/// For so long after its first packet, and after a loss, a point may see answers whose request it missed.
const WARM_UP: Duration = Duration::from_secs(5);
/// A binding is told so soon after its first packet.
const TOLD_LATE: Duration = Duration::from_millis(150);
/// A relay connects to its target within so long.
const RELAYED: Duration = Duration::from_secs(2);
/// What is left of a connection is no more packets than this.
const REMNANT_PACKETS: u64 = 8;

/// A direction in which a flow can be read, and what the contracts say then.
struct Reading {
    oriented: Oriented,
    source: Owner,
    outcome: Outcome,
}

impl Tracker {
    /// Judges the flow unless it is worth waiting for the runtime, for an answer or for evidence.
    pub(super) fn try_judge(
        &mut self,
        scene: Scene<'_>,
        id: FlowId,
        now: Timestamp,
        patience: Patience,
        step: &mut Step,
    ) {
        let Some(key) = self.tuples.get(&id).copied() else { return };
        let Some(open) = self.flows.get(&key) else { return };
        let Phase::Waiting(waiting) = &open.phase else { return };
        let age = now.since(open.start);
        let waited = |grace| patience == Patience::None || age >= grace;
        let binding = binding_of(scene, &open.point, &open.tuple, open.start);
        let Some(reading) = self.read(scene, open, waiting, binding, (now, waited(self.longest(scene)), patience))
        else {
            return;
        };
        if self.is_worth_waiting(open, &waiting.record, &reading, &waited) {
            return;
        }
        let remnant = is_remnant(&waiting.record);
        let judgement = match reading.outcome {
            Outcome::Judged(judgement) if !remnant => Some(*judgement),
            _ => None,
        };
        let translated = binding.map(|binding| crate::path::trail::twin(binding, &open.tuple));
        let view = waiting.view(translated);
        let judged = Arc::new(JudgedFlow {
            reached: reached(scene, &reading.oriented, judgement.as_ref()),
            view: if reading.oriented.forward { view } else { view.reversed() },
            oriented: reading.oriented,
            source: reading.source,
            answered: open.answered,
            judgement,
            took: age,
            over: open.over,
            again: false,
        });
        self.settle(scene, (id, key), judged, remnant, step);
    }

    fn settle(
        &mut self,
        scene: Scene<'_>,
        (id, key): (FlowId, FiveTuple),
        judged: Arc<JudgedFlow>,
        remnant: bool,
        step: &mut Step,
    ) {
        self.waiting.remove(&id);
        step.judged.push(Arc::clone(&judged));
        let over = judged.over;
        let judged = self.judge_content(scene, &judged, &judged.view.record, step).unwrap_or(judged);
        if over {
            self.forget(id);
        } else if let Some(open) = self.flows.get_mut(&key) {
            open.settle(judged, remnant);
        }
    }

    /// An attempt waits for an answer; what looks like the rest of a connection waits for more of it.
    fn is_worth_waiting(
        &self,
        open: &Open,
        record: &FlowRecord,
        reading: &Reading,
        waited: &impl Fn(Duration) -> bool,
    ) -> bool {
        let skipped = match &reading.outcome {
            Outcome::Wait => return true,
            Outcome::Uncovered => false,
            Outcome::Judged(judgement) => matches!(judgement.verdict, Verdict::Bypassed | Verdict::Partial),
        };
        let may_skip = || skipped || resolution::by_content(record).is_some();
        let is_attempt = record.tuple.protocol == Protocol::TCP && !open.answered && may_skip();
        (is_attempt || is_remnant(record)) && !open.over && !waited(self.limits.answer_grace)
    }

    /// The reading that a contract covers, or else the likeliest; `None` while the runtime may still tell.
    fn read(
        &self,
        scene: Scene<'_>,
        open: &Open,
        waiting: &Waiting,
        binding: Option<&NatBinding>,
        (now, waited, patience): (Timestamp, bool, Patience),
    ) -> Option<Reading> {
        let record = &waiting.record;
        let settled = waited || patience == Patience::None || now.since(open.start) >= self.limits.attribution_grace;
        let mut likeliest = None;
        for oriented in self.readings(scene, record, binding) {
            let source = asked_by(scene, record, &oriented, binding);
            if !settled && is_unsettled(scene.timeline, &source, &oriented) {
                return None;
            }
            let trail = Trail {
                flow: &oriented,
                record,
                sightings: &waiting.sightings,
                binding,
                answered: open.answered,
                now,
                patient: !waited,
            };
            let outcome = self.judge.judge(scene, &trail, &source);
            let covered = outcome != Outcome::Uncovered;
            let reading = Reading { oriented, source, outcome };
            if covered {
                return Some(reading);
            }
            likeliest.get_or_insert(reading);
        }
        likeliest
    }

    /// The directions in which a flow can be read; connection tracking knows the one.
    fn readings(&self, scene: Scene<'_>, record: &FlowRecord, binding: Option<&NatBinding>) -> Vec<Oriented> {
        let watched_since = self.watched_since.get(&record.point).copied().unwrap_or(record.start);
        let losses = &scene.path.losses;
        let warming_up = record.start < watched_since.plus(WARM_UP)
            || losses.overlap(&record.point, record.start.minus(WARM_UP), record.start);
        let Some(binding) = binding else { return orientations(record, warming_up) };
        let forward = [binding.before, binding.after].contains(&record.tuple);
        let tuple = if forward { record.tuple } else { record.tuple.reversed() };
        vec![Oriented { tuple, point: record.point.clone(), at: record.start, forward, certain: true }]
    }

    /// What a flow's content says of name resolution, for flows that no DNS contract judged; `record` is read from the end that asked. A flow
    /// that a DNS contract has judged is not asked again.
    pub(super) fn judge_content(
        &self,
        scene: Scene<'_>,
        judged: &JudgedFlow,
        record: &FlowRecord,
        step: &mut Step,
    ) -> Option<Arc<JudgedFlow>> {
        if judged.judgement.as_ref().is_some_and(|judgement| judgement.service == Service::Dns) {
            return None;
        }
        let binding = binding_of(scene, &record.point, &record.tuple, record.start);
        let open = self.flows.get(&self.trail_of(record.tuple));
        let answered = judged.answered || open.is_some_and(|open| open.answered);
        let trail = Trail {
            flow: &judged.oriented,
            record,
            sightings: &[],
            binding,
            answered,
            now: record.end,
            patient: false,
        };
        let judgement = self.judge.judge_content(scene, &trail, &judged.source)?;
        let mut again = judged.clone();
        again.view.record = record.clone();
        again.answered = answered;
        again.took = record.end.since(record.start);
        again.judgement = Some(judgement);
        again.again = true;
        let again = Arc::new(again);
        step.judged.push(Arc::clone(&again));
        Some(again)
    }

    /// Comes back to a flow that still waits at the next time at which something is decided.
    pub(super) fn wait(&self, scene: Scene<'_>, id: FlowId, now: Timestamp, step: &mut Step) {
        let waits = self.waiting.contains(&id);
        let Some(open) = self.tuples.get(&id).filter(|_| waits).and_then(|key| self.flows.get(key)) else { return };
        let graces = [
            TOLD_LATE,
            self.limits.answer_grace,
            self.limits.attribution_grace,
            scene.patience.transit,
            self.longest(scene),
        ];
        let deadlines = graces.iter().map(|grace| open.start.plus(*grace));
        if let Some(next) = deadlines.filter(|deadline| *deadline > now).min() {
            step.wake.push((next, id));
        }
    }

    /// The longest that evidence is waited for.
    fn longest(&self, scene: Scene<'_>) -> Duration {
        if self.relays { scene.patience.transit.max(RELAYED) } else { scene.patience.transit }
    }
}

/// The translation of what was seen at a point; a namespace's own only where it is looked at from inside.
fn binding_of<'a>(
    scene: Scene<'a>,
    point: &ObservationPoint,
    tuple: &FiveTuple,
    at: Timestamp,
) -> Option<&'a NatBinding> {
    let is_inside = || scene.timeline.link(point).is_some_and(|link| link.inside.is_some());
    let bindings = &scene.path.bindings;
    bindings.find(tuple, at).or_else(|| bindings.find_inside(tuple, at).filter(|_| is_inside()))
}

/// Who asked; behind a translation, who asked before it.
fn asked_by(scene: Scene<'_>, record: &FlowRecord, oriented: &Oriented, binding: Option<&NatBinding>) -> Owner {
    let hidden = binding.filter(|binding| binding.after == oriented.tuple && binding.before.orig != binding.after.orig);
    match hidden {
        Some(binding) => {
            let ip = binding.before.orig.ip;
            let sighting = Sighting { point: &oriented.point, ip, socket: None, mac: None, at: oriented.at };
            scene.timeline.attribute(&sighting)
        }
        None => source_of(scene.timeline, record, oriented),
    }
}

/// Who was reached, where a contract about what comes in judged it.
fn reached(scene: Scene<'_>, oriented: &Oriented, judgement: Option<&Judgement>) -> Option<Owner> {
    let is_inbound = judgement.is_some_and(|judgement| judgement.service == Service::Ingress);
    is_inbound.then(|| responder_of(scene.timeline, oriented))
}

/// Whether more than the rest of a connection shows: data, or a start. FINs that are sent again and again are still the rest.
pub(super) fn goes_on(record: &FlowRecord) -> bool {
    record.orig.counters.payload_bytes + record.resp.counters.payload_bytes > 0
        || record.tcp.is_some_and(TcpFacts::direction_known)
}

/// The rest of a connection whose translation has ended: FIN or RST without a start and without data, with the container's own address.
fn is_remnant(record: &FlowRecord) -> bool {
    let sent = record.orig.counters.payload_bytes + record.resp.counters.payload_bytes;
    let packets = record.orig.counters.packets + record.resp.counters.packets;
    record.tcp.is_some_and(|tcp: TcpFacts| {
        let flags = tcp.orig_flags | tcp.resp_flags;
        !tcp.direction_known() && flags & (tcp_flags::FIN | tcp_flags::RST) != 0
    }) && sent == 0
        && packets <= REMNANT_PACKETS
}
