//! The state of a flow as a record.
//!
//! Contract: a record is a snapshot, without first-payload facts.

use super::cold::Extras;
use super::{Cold, Hot, LowCounters, Mark};
use crate::flow::id::IdMaker;
use crate::flow::links::OtherLink;
use crate::input::{Counters, FlowRecord, ObservationPoint, Protocol, RareFacts, Side, TcpFacts};

/// What only some records have.
fn rare(hot: &Hot, extras: Option<&Extras>) -> Option<Box<RareFacts>> {
    if extras.is_none() && !hot.tcp.is_turned() {
        return None;
    }
    let kept = extras.map(|extras| &extras.rare);
    let other_links = extras.map_or_else(Vec::new, |extras| extras.links.iter().map(OtherLink::share).collect());
    let facts = RareFacts { other_links, reoriented: hot.tcp.is_turned(), ..kept.cloned().unwrap_or_default() };
    (facts != RareFacts::default()).then(|| Box::new(facts))
}

/// What originator and responder sent so far in the record.
#[inline]
pub(in crate::flow) fn counters(hot: &Hot, cold: &Cold) -> [Counters; 2] {
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
pub(in crate::flow) fn record(point: &ObservationPoint, ids: IdMaker, hot: &Hot, cold: &Cold) -> FlowRecord {
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
        end: cold.end(hot),
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
