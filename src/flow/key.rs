//! The canonical key of a biflow: the same for both directions.
//!
//! Contract: two packets have equal keys exactly when they belong to one biflow. One-way ICMP messages are not reversed:
//! each direction is a flow of its own. VLANs and MACs are no part of it.
//! Design: five words, so that comparing and hashing take no branch; a tuple is made from it only when somebody asks.

use std::hash::{Hash, Hasher};
use std::net::IpAddr;

use crate::decode::Headers;
use crate::input::{Endpoint, FiveTuple, Protocol};

/// The canonical key of a biflow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct FlowKey {
    /// The lower address, upper half first.
    low: [u64; 2],
    high: [u64; 2],
    /// Ports (low, high), protocol, address family, one-way.
    rest: u64,
}

impl FlowKey {
    /// Protocol, family and direction of an `ICMPv6` question or answer, as in neighbour discovery.
    const ICMPV6_PAIR: u64 = (Protocol::ICMPV6.0 as u64) << 8 | 2;
    /// The key of no packet: the bits between ports and protocol are never set. The rest is as [`Self::may_claim`] looks for.
    pub(super) const NONE: Self = Self { low: [0; 2], high: [0; 2], rest: u64::MAX << 16 | Self::ICMPV6_PAIR };

    /// Whether it is [`Self::NONE`].
    #[inline]
    pub(super) const fn is_none(&self) -> bool {
        self.rest == Self::NONE.rest
    }

    /// Whether it is [`Self::NONE`], or may be neighbour discovery: one comparison for every packet.
    #[inline]
    pub(super) const fn may_claim(&self) -> bool {
        self.rest & 0xffff == Self::ICMPV6_PAIR
    }

    /// The key, and whether the sender is its low end.
    #[inline]
    pub(super) fn new(headers: &Headers) -> (Self, bool) {
        let (src, dst) = (bits(headers.src), bits(headers.dst));
        let from_low = headers.one_way || (src, headers.src_port) <= (dst, headers.dst_port);
        let (low, high, low_port, high_port) = if from_low {
            (src, dst, headers.src_port, headers.dst_port)
        } else {
            (dst, src, headers.dst_port, headers.src_port)
        };
        let rest = u64::from(low_port) << 48
            | u64::from(high_port) << 32
            | u64::from(headers.protocol.0) << 8
            | u64::from(headers.src.is_ipv6()) << 1
            | u64::from(headers.one_way);
        (Self { low, high, rest }, from_low)
    }

    /// The protocol.
    pub(super) const fn protocol(&self) -> Protocol {
        Protocol((self.rest >> 8 & 0xff) as u8)
    }

    /// The tuple, with the low end as originator.
    pub(super) fn tuple(&self) -> FiveTuple {
        let end = |address: [u64; 2], shift: u32| Endpoint {
            ip: self.address(address),
            port: u16::try_from(self.rest >> shift & 0xffff).unwrap_or(0),
        };
        FiveTuple { protocol: self.protocol(), orig: end(self.low, 48), resp: end(self.high, 32) }
    }

    fn address(&self, [upper, lower]: [u64; 2]) -> IpAddr {
        if self.rest & 2 == 2 {
            IpAddr::V6((u128::from(upper) << 64 | u128::from(lower)).into())
        } else {
            IpAddr::V4(u32::try_from(lower).unwrap_or(0).into())
        }
    }
}

impl Hash for FlowKey {
    #[inline]
    fn hash<H: Hasher>(&self, state: &mut H) {
        for word in [self.low[0], self.low[1], self.high[0], self.high[1], self.rest] {
            state.write_u64(word);
        }
    }
}

#[inline]
fn bits(ip: IpAddr) -> [u64; 2] {
    match ip {
        IpAddr::V4(ip) => [0, u64::from(ip.to_bits())],
        IpAddr::V6(ip) => {
            let [upper, lower] =
                [0, 8].map(|at| ip.octets()[at..].first_chunk().map_or(0, |part| u64::from_be_bytes(*part)));
            [upper, lower]
        }
    }
}
