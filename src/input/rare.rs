//! What most flow records never have, and frames that belong to no flow because they could not be read.
//!
//! Contract: lists are bounded; what a packet says of its own way is a claim of its sender.

use std::net::IpAddr;

use super::{Mac, ObservationPoint};
use crate::time::Timestamp;

/// What most flow records never have.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RareFacts {
    /// Packets that named their own way: IPv4 source routes, IPv6 routing headers.
    pub routed_packets: u64,
    /// The addresses that they named, each once, in the order seen; at most [`Self::MAX_ROUTED_VIA`].
    pub routed_via: Vec<IpAddr>,
    /// Source MACs of these packets, each once, in the order seen; at most [`Self::MAX_ROUTED_BY`].
    pub routed_by: Vec<Mac>,
    /// What went over another pair of link addresses than the first of its direction; at most [`Self::MAX_LINKS`] pairs a
    /// direction, then one entry without addresses for all others.
    pub other_links: Vec<LinkShare>,
    /// ICMP errors that quote a packet of a flow that this observation point had in its table.
    pub quoting_packets: u64,
    /// A handshake showed another direction than the record before had. Both ends may have asked.
    pub reoriented: bool,
    /// The flow goes on after its idle timeout: its originator is that of the conversation before, not the end that speaks first now.
    pub remembered: bool,
    /// The first message came a second time with other content; which copy arrived is not known.
    pub rewritten: bool,
}

impl RareFacts {
    /// Addresses that are kept of the ways of a record.
    pub const MAX_ROUTED_VIA: usize = 16;
    /// Senders that are kept of packets that carry a source route.
    pub const MAX_ROUTED_BY: usize = 4;
    /// Pairs of link addresses that are kept for each direction of a record, beyond the first.
    pub const MAX_LINKS: usize = 4;

    /// The same facts, read from the other end.
    #[must_use]
    pub fn reversed(mut self) -> Self {
        for link in &mut self.other_links {
            link.from_orig = !link.from_orig;
        }
        self
    }
}

/// What one direction sent over one pair of link addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LinkShare {
    /// Whether the originator is the sender.
    pub from_orig: bool,
    /// Source MAC; absent where it stands for all pairs that are not kept.
    pub mac: Option<Mac>,
    /// Destination MAC.
    pub next_hop: Option<Mac>,
    /// Packets.
    pub packets: u64,
    /// Their bytes on the wire.
    pub frame_bytes: u64,
}

/// Frames of one sender that belong to no flow, since the last report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Undecoded {
    /// Where they were seen.
    pub point: ObservationPoint,
    /// Who sent them; absent where the link names no sender, and for all senders beyond the bound.
    pub mac: Option<Mac>,
    /// Why: a label of the counters `not_decoded`, or `non_ip` for what is neither IP nor ARP.
    pub reason: &'static str,
    /// How many.
    pub packets: u64,
    /// Their bytes on the wire.
    pub frame_bytes: u64,
    /// Event time of the last one; when they are reported depends on what else is captured.
    pub last: Timestamp,
}
