//! Bounds of a meter, and what it counted.

use std::time::Duration;

/// How long an ended TCP connection still takes in late packets, at most the idle timeout; its `Ended` comes after that.
pub const TCP_LINGER: Duration = Duration::from_secs(5);

/// Bounds and timeouts of a meter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MeterLimits {
    /// Flows held at once; at the bound the one nearest to its end (the longest idle) is evicted and counted.
    pub max_flows: usize,
    /// A flow without a packet for so long ends; zero switches it off.
    pub idle_timeout: Duration,
    /// A flow longer than this is reported and goes on in a new record; zero switches it off.
    pub active_timeout: Duration,
    /// `Updated` is sent at most this often; zero switches it off.
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
    /// Packets counted into flows; fragments that still wait for their first piece are among them.
    pub flow_packets: u64,
    /// Well-formed frames that carry no IP (ARP, LLDP …).
    pub non_ip: u64,
    /// Packets not decoded, by reason (`DecodeReason::as_str`), only non-zero ones.
    pub not_decoded: Vec<(&'static str, u64)>,
    /// Flows evicted because the table was full.
    pub evicted_flows: u64,
    /// Fragmented packets forgotten, and fragments counted without ports, because there were too many at once.
    pub evicted_fragments: u64,
    /// Times that payload was given up because too many flows were being looked at.
    pub payloads_refused: u64,
    /// Claims of ARP and neighbour discovery that were reported.
    pub claims_told: u64,
    /// Claims that were not reported, because the same one had been reported shortly before.
    pub claims_withheld: u64,
    /// Addresses whose claims were forgotten because there were too many; the next claim is reported as a new one.
    pub claims_forgotten: u64,
}
