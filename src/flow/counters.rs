//! What is counted at an observation point: one struct from the meter to the metrics and the summaries.
//!
//! Contract: packets = in flows + non-IP + not decoded. The JSON names are those of the summaries. Limits: reasons come from closed lists.

use std::collections::BTreeMap;
use std::ops::AddAssign;

use serde::Serialize;

use crate::input::LossReason;

/// Counters of an observation point.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct PointCounters {
    /// Packets captured.
    pub packets: u64,
    /// Their bytes on the wire.
    pub frame_bytes: u64,
    /// Packets counted into flows; fragments that still wait for their first piece are among them.
    pub flow_packets: u64,
    /// Flows started.
    pub flows: u64,
    /// Well-formed frames that carry no IP (ARP, LLDP …).
    pub non_ip: u64,
    /// Packets not decoded, by reason (`DecodeReason::as_str`), only non-zero ones.
    pub not_decoded: BTreeMap<&'static str, u64>,
    /// Packets lost before the meter and events lost behind it, by reason (`LossReason::as_str`).
    pub dropped: BTreeMap<&'static str, u64>,
    /// Flows evicted early because the table was full.
    pub evicted_flows: u64,
    /// Fragmented packets forgotten, and fragments counted without ports, because there were too many at once.
    pub evicted_fragments: u64,
    /// Payloads not read because too many flows were being inspected.
    pub refused_payloads: u64,
    /// Claims of ARP and neighbour discovery that were reported.
    pub claims_reported: u64,
    /// Claims that were not reported, because the same one had been reported shortly before.
    pub claims_withheld: u64,
    /// Addresses whose claims were forgotten because there were too many; the next claim is reported as a new one.
    pub claims_forgotten: u64,
    /// Flows held now.
    #[serde(skip)]
    pub active_flows: u64,
}

impl PointCounters {
    /// Lost, for all reasons.
    pub fn lost(&self) -> u64 {
        self.dropped.values().sum::<u64>().saturating_sub(self.hidden())
    }

    /// Hidden by the filter that hopwatch was given.
    pub fn hidden(&self) -> u64 {
        self.dropped.get(LossReason::Filter.as_str()).copied().unwrap_or(0)
    }
}

impl AddAssign<&Self> for PointCounters {
    fn add_assign(&mut self, other: &Self) {
        // Every field by name: a new one that is not added here does not compile.
        let Self {
            packets,
            frame_bytes,
            flow_packets,
            flows,
            non_ip,
            not_decoded,
            dropped,
            evicted_flows,
            evicted_fragments,
            refused_payloads,
            claims_reported,
            claims_withheld,
            claims_forgotten,
            active_flows,
        } = self;
        for (mine, theirs) in [
            (packets, other.packets),
            (frame_bytes, other.frame_bytes),
            (flow_packets, other.flow_packets),
            (flows, other.flows),
            (non_ip, other.non_ip),
            (evicted_flows, other.evicted_flows),
            (evicted_fragments, other.evicted_fragments),
            (refused_payloads, other.refused_payloads),
            (claims_reported, other.claims_reported),
            (claims_withheld, other.claims_withheld),
            (claims_forgotten, other.claims_forgotten),
            (active_flows, other.active_flows),
        ] {
            *mine += theirs;
        }
        for (mine, theirs) in [(not_decoded, &other.not_decoded), (dropped, &other.dropped)] {
            for (reason, count) in theirs {
                *mine.entry(reason).or_default() += count;
            }
        }
    }
}
