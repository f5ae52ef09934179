//! The live state of one flow.
//!
//! Contract: what a packet touches is in [`Hot`], what only events need is in [`Cold`].
//! Design: a flow outlives its records: after the active timeout it is dormant (no open record) until its next packet, and
//! keeps its direction, its TCP state and its MACs' order.

mod cold;
mod hot;
mod record;

pub(super) use self::cold::Cold;
pub(super) use self::hot::{Hot, Mark, Opening};
pub(super) use self::record::{counters, record};
use super::direction::Direction;
use super::macs::Macs;
use crate::decode::{Headers, TcpHeader};
use crate::input::{Tunnel, tcp_flags};
use crate::time::Timestamp;

/// Packets, frame bytes, IP bytes, payload bytes of one direction: the lower halves.
type LowCounters = [u32; 4];

/// Whether a packet answers: anything from the responder but a refusal.
pub(super) fn is_answer(direction: Direction, headers: &Headers) -> bool {
    direction == Direction::Resp && headers.tcp_flags().is_none_or(|flags| flags & tcp_flags::RST == 0)
}

/// What a TCP packet means for its connection.
#[derive(Clone, Copy, Default)]
pub(super) struct TcpEffect {
    /// It ended the connection.
    pub(super) has_ended: bool,
    /// It brings the first payload again.
    pub(super) is_repeated: bool,
}

/// Takes a TCP packet into the connection's state.
#[inline]
pub(super) fn see_tcp(
    hot: &mut Hot,
    cold: &mut Cold,
    direction: Direction,
    tcp: &TcpHeader,
    headers: &Headers,
) -> TcpEffect {
    let mut is_repeated = false;
    let from_resp = direction == Direction::Resp;
    if hot.tcp.plain(from_resp, tcp, headers.payload_bytes) {
        hot.marks.clear(Mark::Eventful);
    } else {
        hot.marks.set(Mark::Eventful);
        is_repeated = hot.tcp.repeats_start(from_resp, tcp, headers.payload_bytes);
        hot.tcp.packet(&mut cold.history, from_resp, tcp, headers.payload_bytes);
    }
    TcpEffect { has_ended: hot.see_flags(direction, tcp.flags), is_repeated }
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
    cold.resumed = 0;
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

/// Whether a packet asks for a new TCP connection.
const fn is_syn(flags: u8) -> bool {
    flags & (tcp_flags::SYN | tcp_flags::ACK | tcp_flags::RST | tcp_flags::FIN) == tcp_flags::SYN
}
