//! The canonical key of a biflow: the same for both directions.
//!
//! Contract: two packets have equal keys exactly when they belong to one biflow. One-way ICMP messages are not reversed:
//! each direction is a flow of its own. VLANs and MACs are no part of it.
//! Design: plain integers, so that comparing and hashing touch one cache line and no branch.

use std::hash::{Hash, Hasher};
use std::net::IpAddr;

use crate::decode::Headers;
use crate::input::Endpoint;

/// The canonical key of a biflow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FlowKey {
    low: u128,
    high: u128,
    /// Ports (low, high), protocol, address family, one-way.
    rest: u64,
}

impl FlowKey {
    /// The key, and whether the sender is its low end.
    pub(super) fn new(headers: &Headers) -> (Self, bool) {
        let src = (bits(headers.src), headers.src_port);
        let dst = (bits(headers.dst), headers.dst_port);
        let from_low = headers.one_way || src <= dst;
        let (low, high) = if from_low { (src, dst) } else { (dst, src) };
        let rest = u64::from(low.1) << 48
            | u64::from(high.1) << 32
            | u64::from(headers.protocol.0) << 8
            | u64::from(headers.src.is_ipv6()) << 1
            | u64::from(headers.one_way);
        (Self { low: low.0, high: high.0, rest }, from_low)
    }
}

impl Hash for FlowKey {
    fn hash<H: Hasher>(&self, state: &mut H) {
        state.write_u128(self.low);
        state.write_u128(self.high);
        state.write_u64(self.rest);
    }
}

fn bits(ip: IpAddr) -> u128 {
    match ip {
        IpAddr::V4(ip) => u128::from(ip.to_bits()),
        IpAddr::V6(ip) => ip.to_bits(),
    }
}

/// The sender of a packet.
pub(super) const fn sender(headers: &Headers) -> Endpoint {
    Endpoint { ip: headers.src, port: headers.src_port }
}

/// The receiver of a packet.
pub(super) const fn receiver(headers: &Headers) -> Endpoint {
    Endpoint { ip: headers.dst, port: headers.dst_port }
}
