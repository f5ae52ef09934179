//! A flow as the path sees it: where it was seen, and which end asked.
//!
//! Contract: [`orientations`] lists the ways a flow can be read, the likeliest first; only a certain one can be judged.
//! Design: a TCP flow whose handshake was not seen may be an answer to somebody outside; its ports give a hint, no proof.

use std::borrow::Cow;

use crate::input::{FiveTuple, FlowRecord, ObservationPoint, Protocol, tcp_flags};
use crate::time::Timestamp;

/// A flow and every point that saw it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObservedFlow {
    /// The record at the point that saw it first.
    pub record: FlowRecord,
    /// The first points that saw it, in the order in which they did.
    pub points: Vec<ObservationPoint>,
    /// What it looks like behind address translation, where that is known.
    pub translated: Option<FiveTuple>,
}

impl ObservedFlow {
    /// The same flow, read from the other end.
    #[must_use]
    pub fn reversed(self) -> Self {
        Self { record: self.record.reversed(), translated: self.translated.map(FiveTuple::reversed), ..self }
    }
}

/// A flow read in one direction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Oriented {
    /// From the end that asked to the end that answers.
    pub tuple: FiveTuple,
    /// Where it was seen.
    pub point: ObservationPoint,
    /// First packet.
    pub at: Timestamp,
    /// Whether `tuple` is the record's own direction.
    pub forward: bool,
    /// Whether the direction is known well enough to judge by it.
    pub certain: bool,
}

impl Oriented {
    /// A record of this flow, from the end that asked to the end that answers.
    pub fn read<'r>(&self, record: &'r FlowRecord) -> Cow<'r, FlowRecord> {
        record.oriented(self.forward)
    }
}

/// The directions in which a flow can be read, the likeliest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Orientations {
    likeliest: Oriented,
    other: Option<Oriented>,
}

impl Orientations {
    /// There is one.
    pub const fn only(one: Oriented) -> Self {
        Self { likeliest: one, other: None }
    }

    /// Either may be meant.
    pub const fn either(likeliest: Oriented, other: Oriented) -> Self {
        Self { likeliest, other: Some(other) }
    }
}

impl IntoIterator for Orientations {
    type Item = Oriented;
    type IntoIter = std::iter::Chain<std::iter::Once<Oriented>, std::option::IntoIter<Oriented>>;

    fn into_iter(self) -> Self::IntoIter {
        std::iter::once(self.likeliest).chain(self.other)
    }
}

/// Below this, ports are given to services (RFC 6335's dynamic range starts higher, but Linux hands out from here).
const FIRST_EPHEMERAL: u16 = 32_768;

/// Below this, ports are those of well-known services: no client sends from there.
const FIRST_UNPRIVILEGED: u16 = 1024;

/// Whether the direction depends on whether the point was warming up: it rests on the absence of an earlier packet.
pub fn rests_on_absence(record: &FlowRecord) -> bool {
    let replied = record.resp.counters.packets > 0;
    !matches!(start(record), Start::Request | Start::AnswerOnly)
        && orientations(record, true, replied) != orientations(record, false, replied)
}

/// The directions in which a flow can be read. `warming_up`: the point has not been watched long enough to have seen the request, or a loss of it
/// may still be reported. `replied`: frames of the responder were seen, at any point.
pub fn orientations(record: &FlowRecord, warming_up: bool, replied: bool) -> Orientations {
    let read = |forward, certain| Oriented {
        tuple: if forward { record.tuple } else { record.tuple.reversed() },
        point: record.point.clone(),
        at: record.start,
        forward,
        certain,
    };
    let ephemeral = |port| port >= FIRST_EPHEMERAL;
    let ports = (ephemeral(record.tuple.orig.port), ephemeral(record.tuple.resp.port));
    match start(record) {
        Start::Request => Orientations::only(read(true, true)),
        // A start in pieces of a few bytes shows no flags (RFC 1858).
        Start::AnswerOnly if record.fragments > 0 => Orientations::either(read(true, true), read(false, false)),
        Start::AnswerOnly => Orientations::either(read(true, false), read(false, false)),
        Start::Unmarked if !warming_up && replied && is_like_an_answer(&record.tuple) => {
            Orientations::either(read(true, true), read(false, false))
        }
        Start::Unmarked if !warming_up => Orientations::only(read(true, true)),
        Start::Missing if !warming_up && ports.0 == ports.1 => Orientations::only(read(true, true)),
        Start::Missing | Start::Unmarked => match ports {
            (true, false) => Orientations::only(read(true, true)),
            // The end that is taken for the one who asked must have sent something: a stranger frames nobody by an answer.
            (false, true) => Orientations::either(read(false, replied), read(true, false)),
            _ if record.tuple.protocol == Protocol::TCP => Orientations::either(read(true, false), read(false, false)),
            _ => Orientations::only(read(true, true)),
        },
    }
}

/// What a flow shows of its start.
enum Start {
    /// A SYN of the originator.
    Request,
    /// A SYN-ACK, and no SYN: its sender may have forged it.
    AnswerOnly,
    /// The protocol marks no start: the first packet is one on a point that has been watched.
    Unmarked,
    /// TCP without a handshake: its start was missed, or there was none.
    Missing,
}

fn start(record: &FlowRecord) -> Start {
    let syn = |flags: u8| flags & tcp_flags::SYN != 0;
    if record.rare.as_ref().is_some_and(|rare| rare.remembered) {
        return Start::Request;
    }
    match record.tcp {
        None => Start::Unmarked,
        Some(tcp) if syn(tcp.orig_flags) => Start::Request,
        Some(tcp) if syn(tcp.resp_flags) => Start::AnswerOnly,
        Some(_) => Start::Missing,
    }
}

/// Whether the first packet came from a service's port to a client's: where that one replies, it may be an answer whose question was not seen, or a
/// forged one.
fn is_like_an_answer(tuple: &FiveTuple) -> bool {
    let has_ports = matches!(tuple.protocol, Protocol::UDP | Protocol::SCTP);
    has_ports && tuple.orig.port < FIRST_UNPRIVILEGED && tuple.resp.port >= FIRST_EPHEMERAL
}
