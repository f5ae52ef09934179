//! A flow as the path sees it: where it was seen, and which end asked.
//!
//! Contract: [`orientations`] lists the ways a flow can be read, the likeliest first; only a certain one can be judged.
//! Design: a TCP flow whose handshake was not seen may be an answer to somebody outside; its ports give a hint, no proof.

use crate::input::{FiveTuple, FlowRecord, ObservationPoint, Protocol, TcpFacts};
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

/// Below this, ports are given to services (RFC 6335's dynamic range starts higher, but Linux hands out from here).
const FIRST_EPHEMERAL: u16 = 32_768;

/// The directions in which a flow can be read. `warming_up`: the point has not been watched long enough to have seen the request.
pub fn orientations(record: &FlowRecord, warming_up: bool) -> Vec<Oriented> {
    let read = |forward, certain| Oriented {
        tuple: if forward { record.tuple } else { record.tuple.reversed() },
        point: record.point.clone(),
        at: record.start,
        forward,
        certain,
    };
    let start_seen = match record.tuple.protocol {
        Protocol::TCP => record.tcp.is_some_and(TcpFacts::direction_known),
        _ => !warming_up,
    };
    let ephemeral = |port| port >= FIRST_EPHEMERAL;
    match (ephemeral(record.tuple.orig.port), ephemeral(record.tuple.resp.port)) {
        _ if start_seen => vec![read(true, true)],
        (true, false) => vec![read(true, true)],
        (false, true) => vec![read(false, true), read(true, false)],
        _ if record.tuple.protocol == Protocol::TCP => vec![read(true, false), read(false, false)],
        _ => vec![read(true, true)],
    }
}
