//! The live state of one flow.
//!
//! Contract: what a packet touches is in [`Hot`], what only events need is in [`Cold`].
//! Design: [`Hot`] fills two cache lines. Its counters keep the lower halves only; every four gigabytes a carry goes to
//! [`Cold`]. A flow outlives its records: after the active timeout it is dormant (no open record) until its next packet, and
//! keeps its direction, its TCP state and its MACs' order.

use std::time::Duration;

use super::direction::Direction;
use super::id::IdMaker;
use super::key::FlowKey;
use super::links::{self, OtherLink};
use super::macs::Macs;
use super::packet::Packet;
use super::payload::{PayloadBudget, PayloadSlot};
use super::tcp::{TcpHistory, TcpState};
use crate::decode::{Headers, TcpHeader, VlanStack, route_addresses};
use crate::input::{
    Counters, FiveTuple, FlowRecord, Mac, ObservationPoint, Protocol, RareFacts, Side, TcpFacts, Tunnel, tcp_flags,
};
use crate::time::Timestamp;

/// Packets, frame bytes, IP bytes, payload bytes of one direction: the lower halves.
type LowCounters = [u32; 4];

/// A yes or no of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mark {
    /// The originator is the low end of the key.
    OrigIsLow = 1,
    /// TCP has ended: RST, or FIN from both, or FIN from the only one that was seen.
    Closed = 2,
    /// A record is open.
    Open = 4,
    /// The responder has answered in this record.
    Answered = 8,
    /// Packets came since the last event.
    Dirty = 16,
    /// Started or updated within the last update interval.
    Recent = 32,
    /// The last packet needed the TCP history in the cold entry, and so will the next one.
    Eventful = 64,
    /// The record has [`Extras`].
    Extras = 128,
}

/// The marks of a flow, in one byte.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Marks(u8);

impl Marks {
    #[inline]
    pub(super) const fn has(self, mark: Mark) -> bool {
        self.0 & mark as u8 != 0
    }

    #[inline]
    pub(super) const fn set(&mut self, mark: Mark) {
        self.0 |= mark as u8;
    }

    #[inline]
    pub(super) const fn clear(&mut self, mark: Mark) {
        self.0 &= !(mark as u8);
    }
}

/// What every packet touches: two cache lines, in this order.
#[derive(Debug)]
#[repr(C, align(64))]
pub(super) struct Hot {
    pub(super) key: FlowKey,
    /// The meter's clock at the last packet.
    pub(super) last: Timestamp,
    /// Tags of the link addresses that each direction's packets came with first; 0 before.
    links: [u32; 2],
    /// How many nanoseconds the latest packet time of the record is before `last`; [`Self::FAR`] where [`Extras`] has it.
    lag: u32,
    /// TCP flags by direction, of all records.
    flags: [u8; 2],
    pub(super) marks: Marks,
    /// Which payload is wanted.
    pub(super) budget: PayloadBudget,
    counters: [LowCounters; 2],
    tcp: TcpState,
}

const _: () = assert!(size_of::<Hot>() == 128 && std::mem::offset_of!(Hot, counters) == 64);

/// What only events need.
#[derive(Debug)]
pub(super) struct Cold {
    pub(super) start: Timestamp,
    /// The meter's clock when the record started.
    pub(super) started: Timestamp,
    /// The meter's clock at the last `Started` or `Updated`.
    pub(super) reported: Timestamp,
    history: TcpHistory,
    /// First-payload facts.
    pub(super) payload: PayloadSlot,
    /// Records of this tuple before this one with the same start.
    again: u32,
    /// The record was reported: its sink took its `Started`.
    pub(super) told: bool,
    macs: Macs,
    extras: Option<Box<Extras>>,
}

/// Every byte here is a megabyte at a million flows.
const _: () = assert!(size_of::<Cold>() <= 120);

/// What most records never have.
#[derive(Debug, Default)]
pub(super) struct Extras {
    /// Upper halves of the counters.
    carries: [LowCounters; 2],
    /// Next hops that [`Macs`] has no place for.
    hops: [Option<Mac>; 2],
    /// Fragments in the record.
    pub(super) fragments: u64,
    /// Tunnels around, or in, the record's first packet.
    tunnels: Box<[Tunnel]>,
    vlans: VlanStack,
    /// The latest packet time, where it is far behind the clock.
    end: Timestamp,
    pub(super) rare: RareFacts,
    links: Vec<OtherLink>,
}

impl Hot {
    /// The latest packet time is more than four seconds behind the clock.
    const FAR: u32 = u32::MAX;

    /// Of a flow whose first packet this is, at the meter's clock; its record is not open yet.
    pub(super) fn first(key: FlowKey, from_low: bool, headers: &Headers, now: Timestamp) -> Self {
        let handshake = tcp_flags::SYN | tcp_flags::ACK;
        let is_syn_ack = headers.tcp_flags().is_some_and(|flags| flags & (handshake | tcp_flags::RST) == handshake);
        let mut marks = Marks::default();
        if from_low != is_syn_ack {
            marks.set(Mark::OrigIsLow);
        }
        Self {
            key,
            last: now,
            links: [0; 2],
            lag: 0,
            flags: [0; 2],
            marks,
            budget: PayloadBudget::new(headers),
            counters: [LowCounters::default(); 2],
            tcp: TcpState::default(),
        }
    }

    /// The place is free.
    pub(super) const fn vacate(&mut self) {
        self.key = FlowKey::NONE;
        self.marks = Marks(0);
    }

    /// Who sent a packet of this flow.
    pub(super) const fn direction(&self, from_low: bool) -> Direction {
        if from_low == self.marks.has(Mark::OrigIsLow) { Direction::Orig } else { Direction::Resp }
    }

    /// Originator to responder.
    pub(super) fn tuple(&self) -> FiveTuple {
        let tuple = self.key.tuple();
        if self.marks.has(Mark::OrigIsLow) { tuple } else { tuple.reversed() }
    }

    /// Counts a packet; true when a counter's lower half overflowed (see [`Cold::carry`]).
    #[inline]
    pub(super) fn count(&mut self, direction: Direction, wire_len: u32, headers: &Headers) -> bool {
        let mut carried = false;
        let counters = &mut self.counters[direction.index()];
        for (counter, more) in counters.iter_mut().zip([1, wire_len, headers.ip_bytes, headers.payload_bytes]) {
            let (sum, overflowed) = counter.overflowing_add(more);
            *counter = sum;
            carried |= overflowed;
        }
        self.marks.set(Mark::Dirty);
        carried
    }

    /// What a packet says of the connection.
    #[inline]
    pub(super) fn opening(&self, from_low: bool, headers: &Headers) -> Opening {
        match headers.tcp {
            Some(tcp) if tcp.flags & tcp_flags::SYN != 0 => self.opening_by_syn(from_low, &tcp),
            _ => Opening::None,
        }
    }

    #[cold]
    fn opening_by_syn(&self, from_low: bool, tcp: &TcpHeader) -> Opening {
        if tcp.flags & (tcp_flags::RST | tcp_flags::FIN) != 0 {
            return Opening::None;
        }
        let from_orig = self.direction(from_low) == Direction::Orig;
        if is_syn(tcp.flags) && (self.marks.has(Mark::Closed) || from_orig && self.tcp.is_reuse(tcp)) {
            return Opening::Another;
        }
        if self.tcp.turns(!from_orig, tcp) { Opening::Turned } else { Opening::None }
    }

    /// Sets who is the originator, before the first record.
    pub(super) const fn set_origin(&mut self, is_low: bool) {
        if is_low {
            self.marks.set(Mark::OrigIsLow);
        } else {
            self.marks.clear(Mark::OrigIsLow);
        }
    }

    /// A packet came at the meter's clock, or was captured before.
    #[inline]
    pub(super) fn see_time(&mut self, cold: &mut Cold, at: Timestamp, now: Timestamp) {
        if at == now {
            self.lag = 0;
        } else {
            cold.set_late(self, at, now);
        }
        self.last = now;
    }

    /// Whether both ends took part, as far as its marks and flags say.
    pub(super) const fn is_two_sided(&self) -> bool {
        self.marks.has(Mark::Answered) || (self.flags[0] != 0 && self.flags[1] != 0)
    }

    /// Whether a packet went over other link addresses than the first of its direction in this record.
    #[inline]
    pub(super) const fn is_other_link(&self, direction: Direction, tag: u32) -> bool {
        self.links[direction.index()] != tag
    }

    /// Notes the flags of a packet; true when it ended the TCP connection.
    #[inline]
    fn see_flags(&mut self, direction: Direction, flags: u8) -> bool {
        self.flags[direction.index()] |= flags;
        if flags & (tcp_flags::FIN | tcp_flags::RST) == 0 || self.marks.has(Mark::Closed) {
            return false;
        }
        let other = self.flags[1 - direction.index()];
        let ended = flags & tcp_flags::RST != 0 || other & tcp_flags::FIN != 0 || other == 0;
        if ended {
            self.marks.set(Mark::Closed);
        }
        ended
    }

    /// Reads a word of each of its cache lines.
    #[inline]
    pub(super) const fn prefetch(&self) -> u32 {
        self.lag ^ self.counters[0][0]
    }

    /// Whether a direction has had one packet so far, in this record.
    #[inline]
    pub(super) const fn is_first_of(&self, direction: Direction) -> bool {
        self.counters[direction.index()][0] == 1
    }
}

/// What a packet says of the connection that it belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Opening {
    /// Nothing new.
    None,
    /// It is the first of another one: a SYN after the end, or the originator's with a new number.
    Another,
    /// The responder is the one who asked ([`TcpState::turns`]).
    Turned,
}

/// Whether a packet answers: anything from the responder but a refusal.
pub(super) fn is_answer(direction: Direction, headers: &Headers) -> bool {
    direction == Direction::Resp && headers.tcp_flags().is_none_or(|flags| flags & tcp_flags::RST == 0)
}

/// Whether a packet asks for a new TCP connection.
const fn is_syn(flags: u8) -> bool {
    flags & (tcp_flags::SYN | tcp_flags::ACK | tcp_flags::RST | tcp_flags::FIN) == tcp_flags::SYN
}

/// Takes a TCP packet into the connection's state: whether it ended the connection, and whether it brings the first payload again.
#[inline]
pub(super) fn see_tcp(
    hot: &mut Hot,
    cold: &mut Cold,
    direction: Direction,
    tcp: &TcpHeader,
    headers: &Headers,
) -> (bool, bool) {
    let mut is_repeated = false;
    let from_resp = direction == Direction::Resp;
    if hot.tcp.plain(from_resp, tcp, headers.payload_bytes) {
        hot.marks.clear(Mark::Eventful);
    } else {
        hot.marks.set(Mark::Eventful);
        is_repeated = hot.tcp.repeats_start(from_resp, tcp, headers.payload_bytes);
        hot.tcp.packet(&mut cold.history, from_resp, tcp, headers.payload_bytes);
    }
    (hot.see_flags(direction, tcp.flags), is_repeated)
}

/// The responder becomes the originator, for the record that is opened next.
pub(super) fn turn(hot: &mut Hot, cold: &mut Cold) {
    hot.set_origin(!hot.marks.has(Mark::OrigIsLow));
    hot.flags.swap(0, 1);
    hot.tcp.turn();
    hot.budget.turn();
    cold.history.turn();
    cold.payload.turn();
}

/// Opens a record with its first packet; the packet itself is counted by [`Hot::count`].
/// `before` is the record of the same tuple that ended right before, if any.
pub(super) fn open_record(
    (hot, cold): (&mut Hot, &mut Cold),
    (at, now): (Timestamp, Timestamp),
    headers: &Headers,
    tunnels: Option<Box<[Tunnel]>>,
    before: Option<(Timestamp, u32)>,
) {
    hot.marks.set(Mark::Open);
    hot.marks.set(Mark::Recent);
    hot.marks.clear(Mark::Answered);
    hot.links = [0; 2];
    hot.counters = [LowCounters::default(); 2];
    cold.again = before.filter(|(start, _)| *start == at).map_or(0, |(_, again)| again.saturating_add(1));
    cold.start = at;
    cold.started = now;
    cold.reported = now;
    cold.told = false;
    cold.macs = Macs::NONE;
    cold.extras = None;
    hot.marks.clear(Mark::Extras);
    (hot.last, hot.lag) = (at, 0);
    if tunnels.is_some() || !headers.vlans.as_slice().is_empty() {
        let extras = cold.extras(hot);
        extras.tunnels = tunnels.unwrap_or_default();
        extras.vlans = headers.vlans;
    }
}

impl Cold {
    /// Of a flow without a record.
    pub(super) fn first() -> Self {
        Self {
            start: Timestamp::MIN,
            started: Timestamp::MIN,
            reported: Timestamp::MIN,
            history: TcpHistory::default(),
            payload: PayloadSlot::new(),
            again: 0,
            told: false,
            macs: Macs::NONE,
            extras: None,
        }
    }

    /// Reads a word of what TCP needs.
    #[inline]
    pub(super) const fn prefetch(&self) -> u32 {
        self.history.prefetch()
    }

    /// Start of the record and how many before it had the same.
    pub(super) const fn position(&self) -> (Timestamp, u32) {
        (self.start, self.again)
    }

    /// Whether the ends send from two link addresses, as far as these are known: one host that forges the other end sends from one.
    /// Who sent the first packet of the originator.
    pub(super) fn sender(&self) -> Option<Mac> {
        self.macs.source(Direction::Orig.index())
    }

    pub(super) fn has_two_senders(&self) -> bool {
        let [orig, resp] = [0, 1].map(|side| self.macs.source(side));
        orig.is_none() || orig != resp
    }

    /// What most records never have.
    pub(super) fn extras(&mut self, hot: &mut Hot) -> &mut Extras {
        hot.marks.set(Mark::Extras);
        self.extras.get_or_insert_default()
    }

    /// Keeps what only the first packet of a direction says.
    pub(super) fn see_first(&mut self, hot: &mut Hot, direction: Direction, packet: &Packet) {
        let headers = &packet.headers;
        hot.links[direction.index()] = packet.link;
        let misfits = self.macs.see(direction.index(), headers.src_mac, headers.dst_mac);
        for (side, hop) in misfits.into_iter().flatten().flatten() {
            self.extras(hot).hops[side] = Some(hop);
        }
        self.payload.see_first(direction.index(), headers);
    }

    /// Keeps the latest packet time, where a packet is older than the meter's clock.
    #[cold]
    pub(super) fn set_late(&mut self, hot: &mut Hot, at: Timestamp, now: Timestamp) {
        let end = end(hot, self).max(at);
        hot.lag = Hot::FAR;
        if end <= now
            && let Ok(lag) = u32::try_from(now.since(end).as_nanos())
            && lag < Hot::FAR
        {
            hot.lag = lag;
        } else {
            self.extras(hot).end = end;
        }
    }

    /// Counts a packet by its link addresses; true when its pair is another than all before in its direction.
    #[cold]
    pub(super) fn see_link(
        &mut self,
        hot: &mut Hot,
        direction: Direction,
        tag: u32,
        headers: &Headers,
        wire_len: u32,
    ) -> bool {
        let first = &mut hot.links[direction.index()];
        if tag == 0 || *first == 0 {
            // Packets whose link addresses are gone say nothing.
            *first = if *first == 0 { tag } else { *first };
            return false;
        }
        links::count(&mut self.extras(hot).links, direction, tag, headers, wire_len)
    }

    /// Keeps the way that a packet names.
    pub(super) fn see_route(&mut self, hot: &mut Hot, headers: &Headers, data: &[u8]) {
        let rare = &mut self.extras(hot).rare;
        rare.routed_packets += 1;
        let sender = headers.src_mac.filter(|mac| !rare.routed_by.contains(mac));
        rare.routed_by.extend(sender.filter(|_| rare.routed_by.len() < RareFacts::MAX_ROUTED_BY));
        route_addresses(headers, data, |ip| {
            if rare.routed_via.len() < RareFacts::MAX_ROUTED_VIA && !rare.routed_via.contains(&ip) {
                rare.routed_via.push(ip);
            }
        });
    }

    /// Counts an ICMP error that quotes a flow of the table.
    pub(super) fn see_quote(&mut self, hot: &mut Hot) {
        self.extras(hot).rare.quoting_packets += 1;
    }

    /// The first message came again with other content.
    pub(super) fn see_rewritten(&mut self, hot: &mut Hot) {
        self.extras(hot).rare.rewritten = true;
    }

    /// Keeps what overflowed when `added` was added to the counters of a direction.
    #[cold]
    pub(super) fn carry(&mut self, hot: &mut Hot, direction: Direction, added: LowCounters) {
        let sums = hot.counters[direction.index()];
        let carries = &mut self.extras(hot).carries[direction.index()];
        for ((carry, sum), added) in carries.iter_mut().zip(sums).zip(added) {
            *carry += u32::from(sum < added);
        }
    }
}

/// The latest packet time of the record.
fn end(hot: &Hot, cold: &Cold) -> Timestamp {
    match &cold.extras {
        Some(extras) if hot.lag == Hot::FAR => extras.end,
        _ => hot.last.minus(Duration::from_nanos(u64::from(hot.lag))),
    }
}

/// What only some records have.
fn rare(hot: &Hot, extras: Option<&Extras>) -> Option<Box<RareFacts>> {
    let kept = extras.map(|extras| &extras.rare);
    let other_links = extras.map_or_else(Vec::new, |extras| extras.links.iter().map(OtherLink::share).collect());
    let facts = RareFacts { other_links, reoriented: hot.tcp.is_turned(), ..kept.cloned().unwrap_or_default() };
    (facts != RareFacts::default()).then(|| Box::new(facts))
}

/// What originator and responder sent so far in the record.
#[inline]
pub(super) fn counters(hot: &Hot, cold: &Cold) -> [Counters; 2] {
    // Without extras the cold entry is not touched.
    let extras = if hot.marks.has(Mark::Extras) { cold.extras.as_deref() } else { None };
    let carries = extras.map_or([LowCounters::default(); 2], |extras| extras.carries);
    [whole(hot.counters[0], carries[0]), whole(hot.counters[1], carries[1])]
}

#[inline]
const fn whole(low: LowCounters, high: LowCounters) -> Counters {
    const fn join(high: u32, low: u32) -> u64 {
        (high as u64) << 32 | low as u64
    }
    Counters {
        packets: join(high[0], low[0]),
        frame_bytes: join(high[1], low[1]),
        ip_bytes: join(high[2], low[2]),
        payload_bytes: join(high[3], low[3]),
    }
}

/// The record as it stands, without first-payload facts.
pub(super) fn record(point: &ObservationPoint, ids: IdMaker, hot: &Hot, cold: &Cold) -> FlowRecord {
    let [orig, resp] = counters(hot, cold);
    let extras = cold.extras.as_deref();
    let side = |index: usize, counters| {
        let next_hop = cold.macs.hop(index).or_else(|| extras.and_then(|extras| extras.hops[index]));
        Side { mac: cold.macs.source(index), next_hop, counters }
    };
    let tuple = hot.tuple();
    let tcp = || TcpFacts {
        orig_flags: hot.flags[0],
        resp_flags: hot.flags[1],
        state: hot.tcp.conn_state(&cold.history),
        history: cold.history.letters(),
    };
    FlowRecord {
        id: ids.id(&tuple, cold.start, cold.again),
        point: point.clone(),
        tuple,
        start: cold.start,
        end: end(hot, cold),
        orig: side(0, orig),
        resp: side(1, resp),
        vlans: extras.map_or_else(Vec::new, |extras| extras.vlans.as_slice().to_vec()),
        fragments: extras.map_or(0, |extras| extras.fragments),
        tunnels: extras.map_or_else(Vec::new, |extras| extras.tunnels.to_vec()),
        app: None,
        tcp: (tuple.protocol == Protocol::TCP).then(tcp),
        rare: rare(hot, extras),
    }
}
