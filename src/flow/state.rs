//! The live state of one flow.
//!
//! Contract: what a packet touches is in [`Hot`], what only events need is in [`Cold`].
//! Design: [`Hot`] fills two cache lines. Its counters keep the lower halves only; every four gigabytes a carry goes to
//! [`Cold`]. A flow outlives its records: after the active timeout it is dormant (no open record) until its next packet, and
//! keeps its direction, its TCP state and its MACs' order.

use super::id::IdMaker;
use super::key::FlowKey;
use crate::decode::{Headers, VlanStack};
use crate::input::{Counters, FiveTuple, FlowRecord, Mac, ObservationPoint, Protocol, Side, TcpFacts, tcp_flags};
use crate::time::Timestamp;

/// Who sent a packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Direction {
    Orig,
    Resp,
}

impl Direction {
    pub(super) const fn index(self) -> usize {
        self as usize
    }
}

/// Packets, frame bytes, IP bytes, payload bytes of one direction: the lower halves.
type LowCounters = [u32; 4];

/// What every packet touches.
#[derive(Debug)]
#[repr(align(64))]
#[allow(clippy::struct_excessive_bools, reason = "independent facts that share a cache line")]
pub(super) struct Hot {
    pub(super) key: FlowKey,
    /// The meter's clock at the last packet.
    pub(super) last: Timestamp,
    /// The latest packet time of the record.
    end: Timestamp,
    counters: [LowCounters; 2],
    pub(super) hash: u32,
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
    /// Started or updated within the last update interval.
    pub(super) recent: bool,
}

/// What only events need.
#[derive(Debug)]
pub(super) struct Cold {
    pub(super) start: Timestamp,
    /// The meter's clock when the record started.
    pub(super) started: Timestamp,
    /// The meter's clock at the last `Started` or `Updated`.
    pub(super) reported: Timestamp,
    /// Records of this tuple before this one with the same start.
    again: u32,
    macs: [Option<Mac>; 2],
    vlans: VlanStack,
    /// Upper halves of the counters, once there are any.
    carries: Option<Box<[LowCounters; 2]>>,
}

/// State of a flow whose first packet this is; its record is not open yet.
pub(super) fn first_packet(key: FlowKey, hash: u32, from_low: bool, headers: &Headers) -> (Hot, Cold) {
    let handshake = tcp_flags::SYN | tcp_flags::ACK;
    let is_syn_ack = headers.tcp_flags().is_some_and(|flags| flags & (handshake | tcp_flags::RST) == handshake);
    let hot = Hot {
        key,
        hash,
        last: Timestamp::MIN,
        end: Timestamp::MIN,
        counters: [LowCounters::default(); 2],
        flags: [0; 2],
        orig_is_low: from_low != is_syn_ack,
        closed: false,
        open: false,
        answered: false,
        dirty: false,
        recent: false,
    };
    let cold = Cold {
        start: Timestamp::MIN,
        started: Timestamp::MIN,
        reported: Timestamp::MIN,
        again: 0,
        macs: [None; 2],
        vlans: VlanStack::default(),
        carries: None,
    };
    (hot, cold)
}

impl Hot {
    /// Who sent a packet of this flow.
    pub(super) const fn direction(&self, from_low: bool) -> Direction {
        if from_low == self.orig_is_low { Direction::Orig } else { Direction::Resp }
    }

    /// Originator to responder.
    pub(super) fn tuple(&self) -> FiveTuple {
        let tuple = self.key.tuple();
        if self.orig_is_low { tuple } else { tuple.reversed() }
    }

    /// Counts a packet; true when a counter's lower half overflowed (see [`Cold::carry`]).
    #[inline]
    pub(super) fn count(&mut self, direction: Direction, at: Timestamp, wire_len: u32, headers: &Headers) -> bool {
        let mut carried = false;
        let counters = &mut self.counters[direction.index()];
        for (counter, more) in counters.iter_mut().zip([1, wire_len, headers.ip_bytes, headers.payload_bytes]) {
            let (sum, overflowed) = counter.overflowing_add(more);
            *counter = sum;
            carried |= overflowed;
        }
        self.end = self.end.max(at);
        self.dirty = true;
        carried
    }

    /// Notes what TCP did; true when the packet ended the connection.
    #[inline]
    pub(super) fn see_tcp(&mut self, direction: Direction, flags: u8) -> bool {
        self.flags[direction.index()] |= flags;
        let both_fin = self.flags[0] & self.flags[1] & tcp_flags::FIN != 0;
        let ended = !self.closed && (both_fin || flags & tcp_flags::RST != 0);
        self.closed |= ended;
        ended
    }

    /// Reads a word of each of its cache lines.
    #[inline]
    pub(super) const fn warm(&self) -> u32 {
        self.flags[0] as u32 ^ self.hash
    }

    /// Whether a direction has had one packet so far, in this record.
    #[inline]
    pub(super) const fn is_first_of(&self, direction: Direction) -> bool {
        self.counters[direction.index()][0] == 1
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
    before: Option<(Timestamp, u32)>,
) {
    hot.open = true;
    hot.answered = false;
    hot.recent = true;
    hot.end = at;
    hot.counters = [LowCounters::default(); 2];
    cold.again = before.filter(|(start, _)| *start == at).map_or(0, |(_, again)| again.saturating_add(1));
    cold.start = at;
    cold.started = now;
    cold.reported = now;
    cold.macs = [None; 2];
    cold.vlans = headers.vlans;
    cold.carries = None;
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

    /// Keeps what overflowed when `added` was added to the counters of a direction.
    #[cold]
    pub(super) fn carry(&mut self, hot: &Hot, direction: Direction, added: LowCounters) {
        let carries = self.carries.get_or_insert_default();
        for (place, carry) in carries[direction.index()].iter_mut().enumerate() {
            *carry += u32::from(hot.counters[direction.index()][place] < added[place]);
        }
    }

    fn counters(&self, hot: &Hot, side: usize) -> Counters {
        let whole = |place: usize| {
            let upper = self.carries.as_ref().map_or(0, |carries| carries[side][place]);
            u64::from(upper) << 32 | u64::from(hot.counters[side][place])
        };
        Counters { packets: whole(0), frame_bytes: whole(1), ip_bytes: whole(2), payload_bytes: whole(3) }
    }
}

/// The record as it stands.
pub(super) fn record(point: &ObservationPoint, ids: IdMaker, hot: &Hot, cold: &Cold) -> FlowRecord {
    let side = |index: usize| Side { mac: cold.macs[index], counters: cold.counters(hot, index) };
    let tcp = TcpFacts { orig_flags: hot.flags[0], resp_flags: hot.flags[1], ..TcpFacts::default() };
    let tuple = hot.tuple();
    FlowRecord {
        id: ids.id(&tuple, cold.start, cold.again),
        point: point.clone(),
        tuple,
        start: cold.start,
        end: hot.end,
        orig: side(0),
        resp: side(1),
        vlans: cold.vlans.as_slice().to_vec(),
        fragments: 0,
        tunnels: Vec::new(),
        app: None,
        tcp: (tuple.protocol == Protocol::TCP).then_some(tcp),
    }
}
