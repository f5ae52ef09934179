//! A flow that is being followed.
//!
//! Contract: the record of the point nearest the originator meters it; other points witness, each with its own counters. Limits: [`MAX_TWINS`]
//! translated twins. Design: what the judge looks at stays until the flow ends where a contract covers it (ADR 11), and is dropped else.

use std::borrow::Cow;
use std::sync::Arc;

use super::asked::Observed;
use super::key::TrailKey;
use crate::input::{FiveTuple, FlowEventKind, FlowId, FlowRecord, NatBinding, ObservationPoint, TcpFacts, tcp_flags};
use crate::inventory::Timeline;
use crate::path::trail::{self, Sighting};
use crate::path::{JudgeContext, JudgedFlow};
use crate::time::Timestamp;

const MAX_TWINS: usize = 4;

#[derive(Debug)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts, each with its own cause")]
pub(super) struct TrackedFlow {
    /// What leads to it.
    pub(super) key: TrailKey,
    /// The record that meters it.
    pub(super) id: FlowId,
    pub(super) tuple: FiveTuple,
    pub(super) point: ObservationPoint,
    pub(super) start: Timestamp,
    pub(super) sequence: u64,
    /// Whether a stranger sent its first packet.
    pub(super) forged: bool,
    /// Whether the meter remembers an originator that may be the wrong end.
    pub(super) unsure: bool,
    pub(super) answered: bool,
    /// The meter reported its active timeout: the next record of this tuple goes on with this flow.
    pub(super) continues: bool,
    /// When the meter said that it ended.
    pub(super) over: Option<Timestamp>,
    pub(super) twins: Vec<TrailKey>,
    /// Records that began with a stranger's frames, and belong to it.
    pub(super) rejoined: Vec<FlowId>,
    /// `None` once it is judged and no contract covers it.
    pub(super) observed: Option<Box<Observed>>,
    /// `None` while it waits for its first judgement.
    pub(super) judged: Option<Arc<JudgedFlow>>,
    /// What a contract about name resolution says of its content.
    pub(super) content: Option<Arc<JudgedFlow>>,
    /// Records that were reported as flows of their own before the translation that joins them was known: they go on under their own names.
    told: Vec<(FlowId, Arc<JudgedFlow>)>,
}

impl TrackedFlow {
    pub(super) fn new(key: TrailKey, record: &FlowRecord, sequence: u64, observed: Box<Observed>) -> Self {
        Self {
            key,
            id: record.id,
            tuple: record.tuple,
            point: record.point.clone(),
            start: record.start,
            sequence,
            forged: key.stranger.is_some(),
            unsure: false,
            answered: false,
            continues: false,
            over: None,
            twins: Vec::new(),
            rejoined: Vec::new(),
            observed: Some(observed),
            judged: None,
            content: None,
            told: Vec::new(),
        }
    }

    /// Takes over what was said of a translated twin before it was known to be one: what is said of either side is said of the connection, and not said
    /// twice. What the host seemed to send was this flow, and is not counted again. `gone` gets the flows of which nothing more is reported.
    pub(super) fn take_over_judgements(&mut self, twin: &mut Self, gone: &mut Vec<FlowId>) {
        let says_more = |judged: &JudgedFlow| {
            judged.judgement.is_some() && self.judged.as_ref().is_some_and(|own| own.judgement.is_none())
        };
        let mut told = std::mem::take(&mut twin.told);
        match twin.judged.take() {
            Some(judged) if says_more(&judged) => {
                gone.extend(self.judged.replace(judged).map(|own| own.view.record.id));
            }
            Some(judged) if judged.source.workload().is_some() => told.push((twin.id, judged)),
            judged => gone.extend(judged.map(|judged| judged.view.record.id)),
        }
        for one in told {
            if self.told.len() < MAX_TWINS {
                self.told.push(one);
            } else {
                gone.push(one.1.view.record.id);
            }
        }
    }

    /// What goes on under names of its own.
    pub(super) fn told(&self) -> impl Iterator<Item = FlowId> {
        self.told.iter().map(|(_, judged)| judged.view.record.id)
    }

    /// The flow that a record was reported as before it was joined.
    pub(super) fn told_as(&self, id: FlowId) -> Option<&Arc<JudgedFlow>> {
        self.told.iter().find(|(told, _)| *told == id).map(|(_, judged)| judged)
    }

    /// The record that meters it, as it stands now.
    pub(super) fn update(&mut self, record: &FlowRecord, kind: FlowEventKind) {
        self.witness(record, kind, record.tuple != self.tuple);
        if let Some(observed) = &mut self.observed {
            observed.record.clone_from(record);
        }
    }

    /// The next record of the same flow.
    pub(super) fn go_on(&mut self, record: &FlowRecord) {
        self.id = record.id;
        (self.over, self.continues) = (None, false);
        self.update(record, FlowEventKind::Started);
    }

    /// When its end was reported, where a point goes on with it.
    pub(super) fn ended_at_some_points(&self) -> Option<Timestamp> {
        let mut sightings = self.observed.iter().flat_map(|observed| &observed.sightings);
        sightings.any(|sighting| !sighting.ended).then_some(self.over)?
    }

    /// Whether this record of some point counts in it.
    pub(super) fn knows(&self, record: &FlowRecord) -> bool {
        let mut sightings = self.observed.iter().flat_map(|observed| &observed.sightings);
        sightings.any(|sighting| sighting.shows(record))
    }

    /// Whether a record's last packet came before its first one: it is what is left of an earlier flow of this five-tuple.
    pub(super) fn is_younger_than(&self, record: &FlowRecord) -> bool {
        record.end < self.start && self.id != record.id && !self.knows(record)
    }

    /// What one point shows of it now; `reversed` where the record reads the trail against its direction. True when the point is new.
    pub(super) fn witness(&mut self, record: &FlowRecord, kind: FlowEventKind, reversed: bool) -> bool {
        let sightings = self.observed.as_mut().map(|observed| &mut observed.sightings);
        sightings.is_some_and(|sightings| trail::observe(sightings, (record, kind), reversed))
    }

    /// Takes over what was seen of a translated twin.
    pub(super) fn join(&mut self, sightings: Vec<Sighting>) {
        if let Some(observed) = &mut self.observed {
            for sighting in sightings {
                trail::add(&mut observed.sightings, sighting);
            }
        }
    }

    /// Whether the next record of the same point and direction is the same connection: after an active timeout, or after a SYN, which anybody may
    /// have forged, inside of a connection that nobody had closed.
    pub(super) fn goes_on_in(&self, record: &FlowRecord) -> bool {
        let closed = |tcp: TcpFacts| (tcp.orig_flags | tcp.resp_flags) & (tcp_flags::FIN | tcp_flags::RST) != 0;
        let last = self.observed.as_ref().and_then(|observed| observed.record.tcp);
        self.continues || (self.over.is_some() && self.tuple == record.tuple && last.is_some_and(|tcp| !closed(tcp)))
    }

    /// Gives up what other points saw of the flow that begins now with this record: they reported it first.
    pub(super) fn hand_over(&mut self, record: &FlowRecord) -> Vec<Sighting> {
        self.give_up_if(record, |sighting| sighting.at >= record.start)
    }

    /// Gives up what other points saw, to the trail of this record.
    pub(super) fn give_up(&mut self, record: &FlowRecord) -> Vec<Sighting> {
        self.give_up_if(record, |_| true)
    }

    fn give_up_if(&mut self, record: &FlowRecord, is_its: impl Fn(&Sighting) -> bool) -> Vec<Sighting> {
        let Some(observed) = &mut self.observed else { return Vec::new() };
        let goes = |sighting: &mut Sighting| sighting.point != record.point && is_its(sighting);
        let gone = observed.sightings.extract_if(.., goes);
        let is_turned = record.tuple != self.tuple;
        gone.map(|sighting| if is_turned { sighting.turned() } else { sighting }).collect()
    }

    /// It is judged; gives back what nobody looks at again.
    pub(super) fn settle(&mut self, judged: Arc<JudgedFlow>, stays_open: bool) -> Option<Box<Observed>> {
        self.judged = Some(judged);
        self.observed.take_if(|_| !stays_open)
    }

    /// The record that meters it, as it was when it was judged where no contract covers it.
    pub(super) fn record(&self) -> Option<Cow<'_, FlowRecord>> {
        let as_judged = || self.judged.as_ref().map(|judged| judged.view.record.oriented(judged.oriented.forward));
        self.observed.as_ref().map(|observed| Cow::Borrowed(&observed.record)).or_else(as_judged)
    }

    /// Looks again at what no contract seemed to cover, where a translation shows another end.
    pub(super) fn reopen(&mut self, binding: &NatBinding) {
        let is_told = self.tuple.canonical() == binding.before.canonical() && binding.before.resp == binding.after.resp;
        let Some(record) = self.record().filter(|_| self.observed.is_none() && !is_told).map(Cow::into_owned) else {
            return;
        };
        self.observed = Some(Box::new(Observed::of(&record)));
    }

    /// Another point saw it under the same tuple; true when that point is nearer to the originator (or as near, and earlier), and meters it from
    /// now on.
    pub(super) fn witness_same(&mut self, context: JudgeContext<'_>, record: &FlowRecord) -> bool {
        self.witness(record, FlowEventKind::Started, record.tuple != self.tuple);
        if self.judged.is_some() {
            return false;
        }
        if self.observed.is_none() {
            return false;
        }
        // By time and name where the distance is the same, so that the order in which two points report changes nothing.
        let rank = |point, start| (distance(context.timeline, point, record.tuple, record.start), start, point);
        let nearer = record.tuple == self.tuple && rank(&record.point, record.start) < rank(&self.point, self.start);
        if nearer {
            self.meter_by(record);
        }
        nearer
    }

    /// A translated side that shows better who asked meters it from now on; false where that was judged already.
    pub(super) fn begin_with(&mut self, record: &FlowRecord) -> bool {
        let is_open = self.judged.is_none();
        if is_open {
            self.tuple = record.tuple;
            self.meter_by(record);
        }
        is_open
    }

    fn meter_by(&mut self, record: &FlowRecord) {
        if let Some(observed) = &mut self.observed {
            observed.record.clone_from(record);
        }
        (self.id, self.point, self.start) = (record.id, record.point.clone(), record.start);
        (self.over, self.continues) = (None, false);
    }

    /// Records a translated twin; false when there is no room.
    pub(super) fn add_twin(&mut self, key: TrailKey) -> bool {
        let room = self.twins.len() < MAX_TWINS && !self.twins.contains(&key);
        if room {
            self.twins.push(key);
        }
        room
    }

    pub(super) fn take_sightings(&mut self) -> Vec<Sighting> {
        match (&mut self.observed, &self.judged) {
            (Some(observed), _) => std::mem::take(&mut observed.sightings),
            (None, Some(judged)) => vec![Sighting::of(&judged.view.record, !judged.oriented.forward)],
            (None, None) => Vec::new(),
        }
    }
}

/// The distance of the originator's veth.
pub(super) const OWN_LINK: u8 = 1;

/// How far a point is from the originator: inside its namespace, its veth, its bridge, anywhere else; another's veth shows copies.
pub(super) fn distance(timeline: &Timeline, point: &ObservationPoint, tuple: FiveTuple, at: Timestamp) -> u8 {
    let orig = tuple.orig.ip;
    let link = timeline.link(point);
    if link.is_some_and(|link| link.inside.is_some()) {
        return u8::from(!link.is_some_and(|link| link.addresses.contains(&orig))) * 3;
    }
    match timeline.network_of_point(point) {
        Some(network) if !network.subnets.iter().any(|subnet| subnet.contains(orig)) => 3,
        Some(network) if network.bridge.as_deref() == Some(point.as_str()) => 2,
        Some(_) => match timeline.owner_of_veth(point, at) {
            Some(owner) if owner.addresses().any(|own| own.to_canonical() == orig.to_canonical()) => OWN_LINK,
            _ => 3,
        },
        None => 3,
    }
}
