//! Decode and flow table of one observation point.

use std::time::Duration;

use crate::decode::LinkType;
use crate::input::{Input, ObservationPoint};
use crate::time::Timestamp;

/// Bounds and timeouts of a meter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MeterLimits {
    /// Flows held at once; at the bound the longest idle is evicted and counted.
    pub max_flows: usize,
    /// A flow without a packet for so long ends; zero switches it off.
    pub idle_timeout: Duration,
    /// A flow longer than this is reported and goes on in a new record; zero switches it off.
    pub active_timeout: Duration,
    /// `Updated` is sent at most this often.
    pub update_interval: Duration,
}

/// What a meter counted so far.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MeterStats {
    /// Packets read.
    pub packets: u64,
    /// Their bytes on the wire.
    pub frame_bytes: u64,
    /// Flows started.
    pub flows: u64,
    /// Flows held now.
    pub active_flows: u64,
    /// Packets counted into flows.
    pub flow_packets: u64,
    /// Well-formed frames that carry no IP (ARP, LLDP …).
    pub non_ip: u64,
    /// Packets not decoded, by reason (`DecodeReason::as_str`), only non-zero ones.
    pub not_decoded: Vec<(&'static str, u64)>,
    /// Flows evicted because the table was full.
    pub evicted_flows: u64,
}

/// Packets of one observation point into flow events.
#[derive(Debug)]
pub struct Meter {
    _point: ObservationPoint,
}

impl Meter {
    /// A meter with an empty table.
    pub fn new(point: ObservationPoint, _link: LinkType, _limits: MeterLimits) -> Self {
        Self { _point: point }
    }

    /// One captured packet: `wire_len` bytes long on the wire, `data` of them captured.
    pub fn packet(&mut self, _at: Timestamp, _wire_len: u32, _data: &[u8], _out: &mut Vec<Input>) {}

    /// Time passed without a packet: expires and reports.
    pub fn advance(&mut self, _now: Timestamp, _out: &mut Vec<Input>) {}

    /// The observation ends: every flow ends with `ForcedEnd`, in order of flow start.
    pub fn drain(&mut self, _out: &mut Vec<Input>) {}

    /// Counters so far.
    pub fn stats(&self) -> MeterStats {
        MeterStats::default()
    }
}
