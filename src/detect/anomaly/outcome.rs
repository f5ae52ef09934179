//! What became of a contact: the one function that all rules use.
//!
//! Contract: pure; `None` while more may come that decides. Loss over the time in question turns silence into [`Outcome::Unknown`]. Limits: an
//! answer of ICMP (unreachable) is not joined to the datagram that it quotes: that datagram was silent. Traceroute is known by its ports.
//! Source: the outcomes of Zeek's `conn_state`, and what scanners do to be none of them.

use std::time::Duration;

use crate::input::{ConnState, EndReason, FlowEventKind, FlowRecord, Protocol, TcpFacts, tcp_flags};
use crate::time::Timestamp;

/// Nothing within this time is no answer: beyond two retransmissions of a SYN (RFC 6298 starts at 1 s and doubles).
pub const SILENCE: Duration = Duration::from_secs(5);

/// At the end of the observation, so much silence is enough: after it a SYN would have been sent again (RFC 6298).
const CUT_SILENCE: Duration = Duration::from_secs(1);

/// Ports of the datagrams that traceroute sends.
const TRACEROUTE: std::ops::RangeInclusive<u16> = 33_434..=33_534;

/// What became of a contact.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Outcome {
    /// It was answered.
    Answered,
    /// Only one end was seen, and what it sent shows that the other one took part.
    OneSided,
    /// It was refused.
    Refused,
    /// Nobody answered.
    Silent,
    /// A connection that the originator ended at once, and that carried nothing.
    Empty,
    /// It began with flags that no connection begins with.
    Stealth,
    /// Its beginning was not seen.
    Midstream,
    /// An error about another flow, a rest of a connection, an answer that nobody asked for.
    Error,
    /// Something was lost, or the observation ended before an answer could come.
    Unknown,
}

impl Outcome {
    /// The word in alerts.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Answered => "answered",
            Self::OneSided => "one-sided",
            Self::Refused => "refused",
            Self::Silent => "silent",
            Self::Empty => "empty",
            Self::Stealth => "stealth",
            Self::Midstream => "midstream",
            Self::Error => "error",
            Self::Unknown => "unknown",
        }
    }

    /// Whether a first contact that ended so succeeded (`true`), failed (`false`), or says nothing.
    pub const fn succeeded(self) -> Option<bool> {
        match self {
            Self::Answered => Some(true),
            Self::Refused | Self::Silent | Self::Empty | Self::Stealth => Some(false),
            Self::OneSided | Self::Midstream | Self::Error | Self::Unknown => None,
        }
    }

    /// Whether both ends took part, as far as can be seen.
    pub const fn is_contact(self) -> bool {
        matches!(self, Self::Answered | Self::OneSided)
    }
}

/// How far a flow is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Progress {
    /// Event time.
    pub now: Timestamp,
    /// Whether it has ended of itself, or was cut off by the end of the observation.
    pub end: End,
    /// Whether anything was lost at its point since its start.
    pub is_lossy: bool,
}

/// Whether a flow has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It goes on.
    Open,
    /// It ended.
    Ended,
    /// Nothing more of it will be seen, but it may go on.
    Cut,
}

impl End {
    /// What an event says.
    pub const fn of(kind: FlowEventKind) -> Self {
        match kind {
            FlowEventKind::Ended(EndReason::IdleTimeout | EndReason::EndOfFlow) => Self::Ended,
            FlowEventKind::Ended(_) => Self::Cut,
            _ => Self::Open,
        }
    }
}

/// What became of a flow, read from the end that asked; `first_from_orig`: whether the first packet was that end's.
pub fn outcome(record: &FlowRecord, first_from_orig: bool, progress: Progress) -> Option<Outcome> {
    match record.tcp {
        Some(tcp) if record.tuple.protocol == Protocol::TCP => of_tcp(record, tcp, first_from_orig, progress),
        _ if is_error(record) => Some(Outcome::Error),
        _ => of_datagrams(record, progress),
    }
}

/// Whether it is a message that neither asks nor answers, or part of a traceroute.
fn is_error(record: &FlowRecord) -> bool {
    let (protocol, port) = (record.tuple.protocol, record.tuple.resp.port);
    match protocol {
        Protocol::ICMP => record.tuple.orig.port != 8,
        Protocol::ICMPV6 => record.tuple.orig.port != 128,
        Protocol::UDP => TRACEROUTE.contains(&port),
        _ => false,
    }
}

fn of_datagrams(record: &FlowRecord, progress: Progress) -> Option<Outcome> {
    match (record.orig.counters.packets, record.resp.counters.packets) {
        (0, _) => Some(Outcome::OneSided),
        (_, 0) => silent(record, progress),
        _ => Some(Outcome::Answered),
    }
}

/// Silence, when it has lasted.
fn silent(record: &FlowRecord, progress: Progress) -> Option<Outcome> {
    let age = progress.now.since(record.start);
    let enough = match progress.end {
        End::Ended => true,
        End::Open => age >= SILENCE,
        End::Cut => age >= CUT_SILENCE,
    };
    match (enough, progress.end) {
        (true, _) if progress.is_lossy => Some(Outcome::Unknown),
        (true, _) => Some(Outcome::Silent),
        (false, End::Cut) => Some(Outcome::Unknown),
        (false, _) => None,
    }
}

fn of_tcp(record: &FlowRecord, tcp: TcpFacts, first_from_orig: bool, progress: Progress) -> Option<Outcome> {
    let (asked, answered) = (tcp.orig_flags & tcp_flags::SYN != 0, tcp.resp_flags & tcp_flags::SYN != 0);
    if record.orig.counters.packets == 0 {
        let took_part =
            record.resp.counters.payload_bytes > 0 || matches!(tcp.state, ConnState::SHR | ConnState::RSTRH);
        return Some(if answered && took_part { Outcome::OneSided } else { Outcome::Error });
    }
    if is_impossible(record, tcp, asked, first_from_orig) {
        return Some(Outcome::Stealth);
    }
    match (asked, answered) {
        (false, false) => lone(record, tcp, first_from_orig, progress),
        (false, true) => Some(Outcome::OneSided),
        (true, true) => opened(record, tcp, progress),
        (true, false) if tcp.resp_flags & tcp_flags::RST != 0 => Some(Outcome::Refused),
        // It went on after its SYN: somebody answered out of sight.
        (true, false) if tcp.orig_flags & tcp_flags::ACK != 0 => Some(Outcome::OneSided),
        (true, false) if record.resp.counters.packets > 0 => Some(Outcome::OneSided),
        (true, false) => silent(record, progress),
    }
}

/// First flags that no connection begins with: none at all, FIN or more without ACK, SYN with FIN.
fn is_impossible(record: &FlowRecord, tcp: TcpFacts, asked: bool, first_from_orig: bool) -> bool {
    let flags = tcp.orig_flags;
    if asked {
        return flags & tcp_flags::FIN != 0 && tcp.history.as_str().starts_with(['Q', 'I']);
    }
    first_from_orig && flags & (tcp_flags::ACK | tcp_flags::RST) == 0 && record.orig.counters.payload_bytes == 0
}

/// No SYN from anybody: a lone segment that was answered by RST, or the middle of a connection.
fn lone(record: &FlowRecord, tcp: TcpFacts, first_from_orig: bool, progress: Progress) -> Option<Outcome> {
    let (sent, back) = (record.orig.counters, record.resp.counters);
    let is_reset = tcp.orig_flags & tcp_flags::RST != 0;
    if is_reset && back.packets == 0 {
        return Some(Outcome::Error);
    }
    let is_lone = first_from_orig && sent.packets == 1 && sent.payload_bytes == 0 && !is_reset;
    if !is_lone || back.payload_bytes > 0 || back.packets > 1 {
        return Some(Outcome::Midstream);
    }
    match (back.packets, tcp.resp_flags & tcp_flags::RST != 0) {
        (1, true) => Some(Outcome::Stealth),
        (0, _) if progress.end == End::Open && progress.now.since(record.start) < SILENCE => None,
        _ => Some(Outcome::Midstream),
    }
}

/// The handshake was answered.
fn opened(record: &FlowRecord, tcp: TcpFacts, progress: Progress) -> Option<Outcome> {
    if record.orig.counters.payload_bytes > 0 || record.resp.counters.payload_bytes > 0 {
        return Some(Outcome::Answered);
    }
    let by_originator = ended_by_originator(tcp);
    let is_brief = record.end.since(record.start) < SILENCE;
    match progress.end {
        End::Ended | End::Cut if by_originator && is_brief => Some(Outcome::Empty),
        End::Open if progress.now.since(record.start) < SILENCE => None,
        _ => Some(Outcome::Answered),
    }
}

/// Whether the first FIN or RST is the originator's.
fn ended_by_originator(tcp: TcpFacts) -> bool {
    tcp.history
        .as_str()
        .chars()
        .find(|letter| "FRfr".contains(*letter))
        .is_some_and(|letter| letter.is_ascii_uppercase())
}

#[cfg(test)]
mod tests;
