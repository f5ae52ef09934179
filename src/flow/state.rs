//! The live state of one flow.
//!
//! Contract: what a packet touches is in [`Hot`], what only events need is in [`Cold`].
//! Design: a flow outlives its records: after the active timeout it is dormant (no open record) until its next packet, and
//! keeps its direction, its TCP state and its MACs' order.

use super::id::IdMaker;
use super::key::{FlowKey, receiver, sender};
use crate::decode::{Headers, VlanStack};
use crate::input::{
    Counters, FiveTuple, FlowId, FlowRecord, Mac, ObservationPoint, Protocol, Side, TcpFacts, tcp_flags,
};
use crate::time::Timestamp;

/// Who sent a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    Orig,
    Resp,
}

impl Direction {
    const fn index(self) -> usize {
        self as usize
    }
}

/// What every packet touches.
#[derive(Debug)]
#[allow(clippy::struct_excessive_bools, reason = "independent facts that share a cache line")]
pub(super) struct Hot {
    pub(super) key: FlowKey,
    pub(super) hash: u64,
    /// The meter's clock at the last packet.
    pub(super) last: Timestamp,
    /// The latest packet time of the record.
    end: Timestamp,
    counters: [Counters; 2],
    /// TCP flags by direction, of all records.
    flags: [u8; 2],
    orig_is_low: bool,
    /// TCP has ended: RST, or FIN from both.
    pub(super) closed: bool,
    /// A record is open.
    pub(super) open: bool,
    /// The responder has answered in this record.
    pub(super) answered: bool,
    /// Packets came since the last event.
    pub(super) dirty: bool,
}

/// What only events need.
#[derive(Debug)]
pub(super) struct Cold {
    pub(super) tuple: FiveTuple,
    pub(super) start: Timestamp,
    /// The meter's clock when the record started.
    pub(super) started: Timestamp,
    /// The meter's clock at the last `Started` or `Updated`.
    pub(super) reported: Timestamp,
    id: FlowId,
    /// Records of this tuple before this one with the same start.
    again: u32,
    macs: [Option<Mac>; 2],
    vlans: VlanStack,
}

/// State of a flow whose first packet this is; its record is not open yet.
pub(super) fn first_packet(key: FlowKey, hash: u64, from_low: bool, headers: &Headers) -> (Hot, Cold) {
    let handshake = tcp_flags::SYN | tcp_flags::ACK;
    let is_syn_ack = headers.tcp_flags().is_some_and(|flags| flags & (handshake | tcp_flags::RST) == handshake);
    let sent = FiveTuple { protocol: headers.protocol, orig: sender(headers), resp: receiver(headers) };
    let hot = Hot {
        key,
        hash,
        last: Timestamp::MIN,
        end: Timestamp::MIN,
        counters: [Counters::default(); 2],
        flags: [0; 2],
        orig_is_low: from_low != is_syn_ack,
        closed: false,
        open: false,
        answered: false,
        dirty: false,
    };
    let cold = Cold {
        tuple: if is_syn_ack { sent.reversed() } else { sent },
        start: Timestamp::MIN,
        started: Timestamp::MIN,
        reported: Timestamp::MIN,
        id: FlowId(0),
        again: 0,
        macs: [None; 2],
        vlans: VlanStack::default(),
    };
    (hot, cold)
}

impl Hot {
    /// What was counted in this record, originator first.
    pub(super) const fn counters(&self) -> [Counters; 2] {
        self.counters
    }

    /// Who sent a packet of this flow.
    pub(super) const fn direction(&self, from_low: bool) -> Direction {
        if from_low == self.orig_is_low { Direction::Orig } else { Direction::Resp }
    }

    /// Counts a packet; true when it ended the TCP connection.
    pub(super) fn count(&mut self, direction: Direction, at: Timestamp, wire_len: u32, headers: &Headers) -> bool {
        let counters = &mut self.counters[direction.index()];
        counters.packets += 1;
        counters.frame_bytes += u64::from(wire_len);
        counters.ip_bytes += u64::from(headers.ip_bytes);
        counters.payload_bytes += u64::from(headers.payload_bytes);
        self.end = self.end.max(at);
        self.dirty = true;
        let Some(flags) = headers.tcp_flags() else { return false };
        self.flags[direction.index()] |= flags;
        let both_fin = self.flags[0] & self.flags[1] & tcp_flags::FIN != 0;
        let ended = !self.closed && (both_fin || flags & tcp_flags::RST != 0);
        self.closed |= ended;
        ended
    }
}

/// Whether a packet answers: anything from the responder but a refusal.
pub(super) fn is_answer(direction: Direction, headers: &Headers) -> bool {
    direction == Direction::Resp && headers.tcp_flags().is_none_or(|flags| flags & tcp_flags::RST == 0)
}

/// Whether a packet asks for a new TCP connection.
pub(super) fn is_syn(headers: &Headers) -> bool {
    let asked = tcp_flags::SYN | tcp_flags::ACK | tcp_flags::RST | tcp_flags::FIN;
    headers.tcp_flags().is_some_and(|flags| flags & asked == tcp_flags::SYN)
}

/// Opens a record with its first packet; the packet itself is counted by [`Hot::count`].
/// `before` is the record of the same tuple that ended right before, if any.
pub(super) fn open_record(
    (hot, cold): (&mut Hot, &mut Cold),
    (at, now): (Timestamp, Timestamp),
    headers: &Headers,
    ids: IdMaker,
    before: Option<(Timestamp, u32)>,
) {
    hot.open = true;
    hot.answered = false;
    hot.end = at;
    hot.counters = [Counters::default(); 2];
    cold.again = before.filter(|(start, _)| *start == at).map_or(0, |(_, again)| again.saturating_add(1));
    cold.start = at;
    cold.started = now;
    cold.reported = now;
    cold.id = ids.id(&cold.tuple, at, cold.again);
    cold.macs = [None; 2];
    cold.vlans = headers.vlans;
}

impl Cold {
    /// Start of the record and how many before it had the same.
    pub(super) const fn position(&self) -> (Timestamp, u32) {
        (self.start, self.again)
    }

    /// Keeps the MAC of a direction's first packet.
    pub(super) fn see_mac(&mut self, direction: Direction, headers: &Headers) {
        let mac = &mut self.macs[direction.index()];
        if mac.is_none() {
            *mac = headers.src_mac;
        }
    }
}

/// Whether this is the first packet of its direction in the record, once it is counted.
pub(super) fn is_first_of_direction(hot: &Hot, direction: Direction) -> bool {
    hot.counters[direction.index()].packets == 1
}

/// The record as it stands.
pub(super) fn record(point: &ObservationPoint, hot: &Hot, cold: &Cold) -> FlowRecord {
    let side = |index: usize| Side { mac: cold.macs[index], counters: hot.counters[index] };
    let tcp = TcpFacts { orig_flags: hot.flags[0], resp_flags: hot.flags[1], ..TcpFacts::default() };
    FlowRecord {
        id: cold.id,
        point: point.clone(),
        tuple: cold.tuple,
        start: cold.start,
        end: hot.end,
        orig: side(0),
        resp: side(1),
        vlans: cold.vlans.as_slice().to_vec(),
        fragments: 0,
        tunnels: Vec::new(),
        app: None,
        tcp: (cold.tuple.protocol == Protocol::TCP).then_some(tcp),
    }
}
