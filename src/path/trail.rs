//! A trail: every point at which a flow, or its translated twin, was seen.
//!
//! Contract: one trail a conversation; the point nearest the originator meters it, the others witness. Limits: [`MAX_SIGHTINGS`] points a trail.
//! Design: plain data; the tracker joins, the judge reads.

use super::Oriented;
use crate::input::{
    Counters, Endpoint, FiveTuple, FlowEventKind, FlowRecord, LinkShare, Mac, NatBinding, ObservationPoint, Side,
};
use crate::time::Timestamp;

/// Points remembered of one trail: veth, bridge, the hop's two, uplink, and those to which a bridge floods its first frame.
pub(super) const MAX_SIGHTINGS: usize = 64;
/// Pairs of MACs that are remembered of one point, over all records of a flow.
const MAX_LINKS: usize = 16;

/// The MACs of frames of one direction.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Frames {
    /// Who sent it on this link.
    pub from: Option<Mac>,
    /// Who was to take it on.
    pub to: Option<Mac>,
}

impl Frames {
    /// Those of a pair of MACs.
    pub const fn of(link: &LinkShare) -> Self {
        Self { from: link.mac, to: link.next_hop }
    }
}

/// What a point had counted of one direction by a time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Volume {
    /// Packets.
    pub packets: u64,
    /// Bytes on the wire, link header included.
    pub frame_bytes: u64,
    /// Bytes above the transport header.
    pub payload_bytes: u64,
}

/// The two directions of a flow at a point, and the time of the last packet that they include.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Volumes {
    /// Event time of the report.
    pub as_of: Timestamp,
    /// What the trail's originator sent, over all records of the flow.
    pub orig: Volume,
    /// What the trail's responder sent, over all records of the flow.
    pub resp: Volume,
}

/// A flow as one point saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Sighting {
    /// Where.
    pub point: ObservationPoint,
    /// First packet there.
    pub at: Timestamp,
    /// Frames of the trail's originator.
    pub orig: Frames,
    /// Frames of the trail's responder.
    pub resp: Frames,
    /// Other pairs of MACs than the first ones of the record that counts now, read in the trail's direction.
    pub links: Vec<LinkShare>,
    /// All pairs of MACs of earlier records.
    past: Vec<LinkShare>,
    /// What the point counted.
    pub now: Volumes,
    /// What it had counted two periodic reports before that: what other points report by now includes it.
    pub settled: Option<Volumes>,
    /// When frames of the originator, and of the responder, were first seen between new MACs.
    changed: [Timestamp; 2],
    /// Whether it reported that the flow has ended.
    pub ended: bool,
    /// The last two periodic reports, the older one first.
    periodic: (Option<Volumes>, Volumes),
    /// How the record that counts now is read.
    tuple: FiveTuple,
    /// Whether that is against the trail's direction.
    reversed: bool,
    /// Start of the record that counts now, and what earlier records of the flow had counted.
    record: (Timestamp, [Volume; 2]),
}

impl std::ops::Add for Volume {
    type Output = Self;

    fn add(self, more: Self) -> Self {
        Self {
            packets: self.packets + more.packets,
            frame_bytes: self.frame_bytes + more.frame_bytes,
            payload_bytes: self.payload_bytes + more.payload_bytes,
        }
    }
}

impl Sighting {
    /// What a record shows; `reversed` when it is read against the trail's direction.
    pub fn of(record: &FlowRecord, reversed: bool) -> Self {
        let ([orig, resp], now) = shown(record, reversed);
        Self {
            point: record.point.clone(),
            at: record.start,
            orig,
            resp,
            links: other_links(record, reversed).collect(),
            past: Vec::new(),
            now,
            settled: None,
            // When the other end first sent something, a record does not say.
            changed: if reversed { [record.end, record.start] } else { [record.start, record.end] },
            ended: false,
            periodic: (None, now),
            tuple: record.tuple,
            reversed,
            record: (record.start, [Volume::default(); 2]),
        }
    }

    /// What the point counted of one end.
    pub const fn sent(&self, from_orig: bool) -> Volume {
        if from_orig { self.now.orig } else { self.now.resp }
    }

    /// The first pair of MACs of one end's frames.
    pub const fn first(&self, from_orig: bool) -> Frames {
        if from_orig { self.orig } else { self.resp }
    }

    /// Whether the frames of each end were seen between one pair of MACs only.
    pub fn has_one_link(&self) -> bool {
        self.links.is_empty() && self.past.is_empty()
    }

    /// When frames of one end were first seen here between MACs that were not seen before.
    pub const fn changed(&self, from_orig: bool) -> Timestamp {
        if from_orig { self.changed[0] } else { self.changed[1] }
    }

    /// Every pair of MACs of one end's frames.
    pub fn frames(&self, from_orig: bool) -> impl Iterator<Item = Frames> + '_ {
        std::iter::once(self.first(from_orig)).chain(self.others(from_orig).map(Frames::of))
    }

    /// What went over each pair of MACs of one end's frames.
    pub fn shares(&self, from_orig: bool) -> impl Iterator<Item = LinkShare> + '_ {
        std::iter::once(self.first_share(from_orig)).chain(self.others(from_orig).copied())
    }

    fn others(&self, from_orig: bool) -> impl Iterator<Item = &LinkShare> {
        self.links.iter().chain(&self.past).filter(move |link| link.from_orig == from_orig)
    }

    /// What went over the first pair: all but what went over others.
    fn first_share(&self, from_orig: bool) -> LinkShare {
        let (Frames { from, to }, all) = (self.first(from_orig), self.sent(from_orig));
        let first =
            LinkShare { from_orig, mac: from, next_hop: to, packets: all.packets, frame_bytes: all.frame_bytes };
        self.others(from_orig).fold(first, |rest, link| LinkShare {
            packets: rest.packets.saturating_sub(link.packets),
            frame_bytes: rest.frame_bytes.saturating_sub(link.frame_bytes),
            ..rest
        })
    }

    /// The record that counted up to now is over: its pairs of MACs are kept.
    fn turn_page(&mut self, start: Timestamp) {
        let all: Vec<LinkShare> =
            [true, false].into_iter().flat_map(|side| self.shares(side).collect::<Vec<_>>()).collect();
        let mut kept: Vec<LinkShare> = Vec::new();
        for share in all.into_iter().filter(|share| share.packets > 0) {
            let is_same = |known: &&mut LinkShare| {
                (known.from_orig, known.mac, known.next_hop) == (share.from_orig, share.mac, share.next_hop)
            };
            let has_room = kept.len() < MAX_LINKS;
            match kept.iter_mut().find(is_same) {
                Some(known) => {
                    known.packets += share.packets;
                    known.frame_bytes += share.frame_bytes;
                }
                None if has_room => kept.push(share),
                None => {}
            }
        }
        self.past = kept;
        self.links.clear();
        self.record = (start, [self.now.orig, self.now.resp]);
    }

    /// Whether it is this record that counts now.
    pub fn shows(&self, record: &FlowRecord) -> bool {
        (&self.point, self.record.0) == (&record.point, record.start)
    }

    /// A later report of the same point.
    fn update(&mut self, record: &FlowRecord, kind: FlowEventKind) {
        if record.tuple == self.tuple.reversed() {
            // A frame of the far end came first, or was forged; the next record begins with the end that asked.
            (self.tuple, self.reversed) = (record.tuple, !self.reversed);
        }
        let (frames, new) = shown(record, self.reversed);
        if record.start > self.record.0 {
            self.turn_page(record.start);
        }
        let [orig, resp] = self.record.1;
        [self.orig, self.resp] = frames;
        for link in other_links(record, self.reversed) {
            let known = |known: &&mut LinkShare| {
                (known.from_orig, known.mac, known.next_hop) == (link.from_orig, link.mac, link.next_hop)
            };
            let has_room = self.links.len() < MAX_LINKS;
            match self.links.iter_mut().find(known) {
                Some(known) => *known = link,
                None if has_room => {
                    self.changed[usize::from(!link.from_orig)] = new.as_of;
                    self.links.push(link);
                }
                None => {}
            }
        }
        let as_of = new.as_of;
        let now = Volumes { as_of, orig: orig + new.orig, resp: resp + new.resp };
        for (side, (old, now)) in [(self.now.orig, now.orig), (self.now.resp, now.resp)].into_iter().enumerate() {
            if old.packets == 0 && now.packets > 0 {
                self.changed[side] = as_of;
            }
        }
        self.now = now;
        self.ended = kind.is_end();
        let is_periodic = matches!(kind, FlowEventKind::Updated | FlowEventKind::Ended(_));
        if is_periodic && now != self.periodic.1 {
            self.settled = self.periodic.0.replace(std::mem::replace(&mut self.periodic.1, now));
        }
    }
}

impl Sighting {
    /// The same, for a trail that is read from the other end.
    #[must_use]
    pub fn turned(mut self) -> Self {
        std::mem::swap(&mut self.orig, &mut self.resp);
        self.links.iter_mut().chain(&mut self.past).for_each(|link| link.from_orig = !link.from_orig);
        let volumes =
            [Some(&mut self.now), self.settled.as_mut(), self.periodic.0.as_mut(), Some(&mut self.periodic.1)];
        for volumes in volumes.into_iter().flatten() {
            std::mem::swap(&mut volumes.orig, &mut volumes.resp);
        }
        self.changed.reverse();
        self.record.1.reverse();
        self.reversed = !self.reversed;
        self
    }
}

/// What a record shows by itself, in the trail's direction: the first frames of each end, and what its point has counted.
fn shown(record: &FlowRecord, reversed: bool) -> ([Frames; 2], Volumes) {
    let (orig, resp) = if reversed { (&record.resp, &record.orig) } else { (&record.orig, &record.resp) };
    let frames = |side: &Side| Frames { from: side.mac, to: side.next_hop };
    let volume = |side: &Side| {
        let Counters { packets, frame_bytes, payload_bytes, .. } = side.counters;
        Volume { packets, frame_bytes, payload_bytes }
    };
    let now = Volumes { as_of: record.end, orig: volume(orig), resp: volume(resp) };
    ([frames(orig), frames(resp)], now)
}

/// The pairs of MACs beside the first ones of a record, in the trail's direction.
fn other_links(record: &FlowRecord, reversed: bool) -> impl Iterator<Item = LinkShare> + '_ {
    let links = record.rare.iter().flat_map(|rare| &rare.other_links).copied();
    links.map(move |link| LinkShare { from_orig: link.from_orig != reversed, ..link })
}

/// What a record shows of the trail: a new point, or more of a known one. `reversed`: read against the trail's direction, where the point is new.
/// True when the point is new.
pub(super) fn observe(
    sightings: &mut Vec<Sighting>,
    (record, kind): (&FlowRecord, FlowEventKind),
    reversed: bool,
) -> bool {
    if let Some(known) = sightings.iter_mut().find(|known| known.point == record.point) {
        known.update(record, kind);
        return false;
    }
    add(sightings, Sighting::of(record, reversed));
    true
}

/// Adds a sighting; one a point.
pub(super) fn add(sightings: &mut Vec<Sighting>, new: Sighting) {
    if sightings.len() < MAX_SIGHTINGS && sightings.iter().all(|known| known.point != new.point) {
        sightings.push(new);
    }
}

/// What the judge may look at.
#[derive(Clone, Copy, Debug)]
pub struct Trail<'a> {
    /// The flow, read in one direction.
    pub flow: &'a Oriented,
    /// The record at the point that meters it.
    pub record: &'a FlowRecord,
    /// Every point that saw it.
    pub sightings: &'a [Sighting],
    /// Its translation, where that is known.
    pub binding: Option<&'a NatBinding>,
    /// Whether an answer was seen.
    pub answered: bool,
    /// Event time.
    pub now: Timestamp,
    /// Whether more may still be waited for.
    pub may_wait: bool,
    /// Whether only the rest of a connection shows: FIN or RST without a start and without data.
    pub remnant: bool,
    /// When the flow's end was reported: the point that meters it will not report more of it.
    pub over: Option<Timestamp>,
}

impl Trail<'_> {
    /// The ends before and after translation: who really asked, and who really answers.
    pub fn ends(&self) -> FiveTuple {
        let tuple = self.flow.tuple;
        match self.binding {
            Some(binding) if binding.reads_forward(&tuple) => {
                let orig = if tuple.orig == binding.after.orig { binding.before.orig } else { tuple.orig };
                let resp = if tuple.resp == binding.before.resp { binding.after.resp } else { tuple.resp };
                FiveTuple { orig, resp, ..tuple }
            }
            _ => tuple,
        }
    }

    /// Where the originator meant to go.
    pub fn meant(&self) -> Endpoint {
        let tuple = self.flow.tuple;
        let is_translated = |binding: &&NatBinding| binding.reads_forward(&tuple) && binding.after.resp == tuple.resp;
        self.binding.filter(is_translated).map_or(tuple.resp, |binding| binding.before.resp)
    }

    /// What the originator sent, by a point's count.
    pub const fn sent_of(&self, volumes: &Volumes) -> Volume {
        if self.flow.forward { volumes.orig } else { volumes.resp }
    }

    /// Every pair of MACs of the frames of one end, by point; `by_originator`: of the end that asked.
    pub fn frames(&self, by_originator: bool) -> impl Iterator<Item = (&Sighting, Frames)> {
        let from_orig = self.flow.forward == by_originator;
        self.sightings.iter().flat_map(move |sighting| sighting.frames(from_orig).map(move |frames| (sighting, frames)))
    }

    /// The frames that the originator sent, by point.
    pub fn sent(&self) -> impl Iterator<Item = (&Sighting, Frames)> {
        let forward = self.flow.forward;
        self.sightings.iter().map(move |sighting| (sighting, if forward { sighting.orig } else { sighting.resp }))
    }
}

/// The other tuple of a binding, in the direction of `tuple`; between two translations, the one behind both.
pub(super) fn twin(binding: &NatBinding, tuple: &FiveTuple) -> FiveTuple {
    let NatBinding { before, after, .. } = *binding;
    let reversed = !binding.reads_forward(tuple);
    let forward = if reversed { tuple.reversed() } else { *tuple };
    let other = if forward == after { before } else { after };
    if reversed { other.reversed() } else { other }
}
