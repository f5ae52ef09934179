//! A flow that is being followed.
//!
//! Contract: the record of the point nearest the originator meters it, until it is judged; other points witness. Limits: [`MAX_TWINS`] translated
//! twins. Design: what only the judgement needs is dropped once it is made.

use std::sync::Arc;

use super::JudgedFlow;
use crate::input::{FiveTuple, FlowId, FlowRecord, ObservationPoint, Side};
use crate::inventory::Timeline;
use crate::path::ObservedFlow;
use crate::path::judge::JudgeContext;
use crate::path::trail::{self, Sighting};
use crate::time::Timestamp;

const MAX_TWINS: usize = 4;
/// Points that a judged flow names.
const MAX_SHOWN: usize = 8;

/// Before and after its judgement.
#[derive(Debug)]
pub(super) enum Phase {
    Waiting(Box<Waiting>),
    Judged(Arc<JudgedFlow>),
}

/// What the judge looks at.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) record: FlowRecord,
    pub(super) sightings: Vec<Sighting>,
}

#[derive(Debug)]
#[allow(clippy::struct_excessive_bools, reason = "three independent facts, each with its own cause")]
pub(super) struct TrackedFlow {
    /// The record that meters it.
    pub(super) id: FlowId,
    pub(super) tuple: FiveTuple,
    pub(super) point: ObservationPoint,
    pub(super) start: Timestamp,
    pub(super) sequence: u64,
    pub(super) answered: bool,
    /// The meter reported its active timeout: the next record of this tuple goes on with this flow.
    pub(super) continues: bool,
    /// The meter said that it ended.
    pub(super) over: bool,
    pub(super) twins: Vec<FiveTuple>,
    pub(super) phase: Phase,
    /// What was judged to be the rest of a connection: kept in case that it goes on.
    pub(super) rest: Option<Box<Waiting>>,
}

impl TrackedFlow {
    pub(super) fn new(record: &FlowRecord, sequence: u64) -> Self {
        let waiting = Waiting { record: record.clone(), sightings: vec![Sighting::of(record, false)] };
        Self {
            id: record.id,
            tuple: record.tuple,
            point: record.point.clone(),
            start: record.start,
            sequence,
            answered: false,
            continues: false,
            over: false,
            twins: Vec::new(),
            phase: Phase::Waiting(Box::new(waiting)),
            rest: None,
        }
    }

    /// The record as it stands now.
    pub(super) fn update(&mut self, record: &FlowRecord) {
        let tuple = self.tuple;
        if let Phase::Waiting(waiting) = &mut self.phase {
            waiting.record = record.clone();
            let new = Sighting::of(record, record.tuple != tuple);
            if let Some(known) = waiting.sightings.iter_mut().find(|known| known.point == record.point) {
                known.orig = new.orig;
                known.resp = new.resp;
            }
        }
    }

    /// The next record of the same flow.
    pub(super) fn go_on(&mut self, record: &FlowRecord) {
        self.id = record.id;
        self.continues = false;
        if let Phase::Waiting(waiting) = &mut self.phase {
            waiting.record = record.clone();
        }
    }

    /// Another point saw it.
    pub(super) fn witness(&mut self, sighting: Sighting) {
        match (&mut self.phase, &mut self.rest) {
            (Phase::Waiting(waiting), _) | (Phase::Judged(_), Some(waiting)) => {
                trail::add(&mut waiting.sightings, sighting);
            }
            (Phase::Judged(_), None) => {}
        }
    }

    /// It is judged; the rest of a connection is kept.
    pub(super) fn settle(&mut self, judged: Arc<JudgedFlow>, is_rest: bool) {
        let before = std::mem::replace(&mut self.phase, Phase::Judged(judged));
        if let (Phase::Waiting(waiting), true) = (before, is_rest) {
            self.rest = Some(waiting);
        }
    }

    /// What looked like the rest of a connection goes on: it waits for its judgement from now on.
    pub(super) fn revive(&mut self, now: Timestamp) {
        if let Some(waiting) = self.rest.take() {
            (self.phase, self.start) = (Phase::Waiting(waiting), now);
        }
    }

    /// Another point saw it under the same tuple; true when that point is nearer to the originator (or as near, and earlier), and meters it from
    /// now on.
    pub(super) fn witness_same(&mut self, context: JudgeContext<'_>, record: &FlowRecord) -> bool {
        self.witness(Sighting::of(record, record.tuple != self.tuple));
        let Phase::Waiting(waiting) = &mut self.phase else { return false };
        // By time and name where the distance is the same, so that the order in which two points tell changes nothing.
        let place = |point, start| (distance(context.timeline, point, record.tuple), start, point);
        let nearer = record.tuple == self.tuple && place(&record.point, record.start) < place(&self.point, self.start);
        if nearer {
            waiting.record = record.clone();
            (self.id, self.point, self.start) = (record.id, record.point.clone(), record.start);
        }
        nearer
    }

    /// Whether a flow that was judged is seen to leave its originator on another link, or to another next hop: it is judged again.
    pub(super) fn leaves_elsewhere(&self, context: JudgeContext<'_>, record: &FlowRecord) -> bool {
        let Phase::Judged(judged) = &self.phase else { return false };
        let Some(source) = judged.source.workload() else { return false };
        let new = if record.tuple == judged.oriented.tuple { &record.orig } else { &record.resp };
        let known = &judged.view.record.orig;
        let is_own = |side: &Side, at| {
            let sender = side.mac.filter(|_| side.next_hop.is_some_and(|hop| !hop.is_multicast()));
            let sender = sender.and_then(|mac| context.timeline.owner_of_mac(mac, at));
            sender.is_some_and(|sender| context.timeline.are_together(source, sender, at))
        };
        (known.mac, known.next_hop) != (new.mac, new.next_hop)
            && is_own(known, judged.oriented.at)
            && is_own(new, record.start)
    }

    /// Notes a translated twin; false when there is no room.
    pub(super) fn add_twin(&mut self, tuple: FiveTuple) -> bool {
        let room = self.twins.len() < MAX_TWINS && !self.twins.contains(&tuple);
        if room {
            self.twins.push(tuple);
        }
        room
    }

    pub(super) fn drain_sightings(&mut self) -> Vec<Sighting> {
        match &mut self.phase {
            Phase::Waiting(waiting) => std::mem::take(&mut waiting.sightings),
            Phase::Judged(judged) => vec![Sighting::of(&judged.view.record, !judged.oriented.forward)],
        }
    }
}

impl Waiting {
    pub(super) fn view(&self, translated: Option<FiveTuple>) -> ObservedFlow {
        let points = self.sightings.iter().take(MAX_SHOWN).map(|sighting| sighting.point.clone()).collect();
        ObservedFlow { record: self.record.clone(), points, translated }
    }
}

/// How far a point is from the originator: inside its namespace, its veth, its bridge, anywhere else.
fn distance(timeline: &Timeline, point: &ObservationPoint, tuple: FiveTuple) -> u8 {
    let orig = tuple.orig.ip;
    let link = timeline.link(point);
    if link.is_some_and(|link| link.inside.is_some()) {
        return u8::from(!link.is_some_and(|link| link.addresses.contains(&orig))) * 3;
    }
    match timeline.network_of_point(point) {
        Some(network) if !network.subnets.iter().any(|subnet| subnet.contains(orig)) => 3,
        Some(network) if network.bridge.as_deref() == Some(point.as_str()) => 2,
        Some(_) => 1,
        None => 3,
    }
}
