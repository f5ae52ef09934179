//! What the headers of one IP packet said.
//!
//! Contract: plain values without a borrow, so that the frame may go away. Limits: at most [`VlanStack::MAX`] VLAN tags.
//! Design: `payload_at` keeps the place of the payload in the frame for the reader of first-payload facts.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr};

use crate::input::{Mac, Protocol};

/// VLAN identifiers, outermost first, without an allocation.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub struct VlanStack {
    ids: [u16; Self::MAX],
    len: u8,
}

impl VlanStack {
    /// Tags that are kept; a frame with more is not decoded.
    pub const MAX: usize = 4;

    /// The identifiers, outermost first.
    pub fn as_slice(&self) -> &[u16] {
        self.ids.get(..usize::from(self.len)).unwrap_or(&[])
    }

    /// Adds an inner tag; false when full.
    pub(super) fn push(&mut self, id: u16) -> bool {
        match self.ids.get_mut(usize::from(self.len)) {
            Some(place) => {
                *place = id;
                self.len += 1;
                true
            }
            None => false,
        }
    }
}

impl fmt::Debug for VlanStack {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.as_slice()).finish()
    }
}

/// A piece of a fragmented packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fragment {
    /// Identification: the pieces of one packet have the same.
    pub id: u32,
    /// Where its data belongs in the packet, in bytes.
    pub offset: u32,
    /// Whether more pieces follow.
    pub more: bool,
    /// The protocol as the IPv4 header names it, which tells pieces of different packets apart; 0 for IPv6, where the
    /// identification alone does (RFC 8200).
    pub protocol: Protocol,
}

impl Fragment {
    /// Whether it is the piece that holds the transport header.
    pub const fn is_first(self) -> bool {
        self.offset == 0
    }
}

/// What a TCP header said (RFC 9293).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TcpHeader {
    /// Flag bits ([`crate::input::tcp_flags`]).
    pub flags: u8,
    /// Sequence number of the first payload byte, or of the SYN.
    pub seq: u32,
    /// Acknowledgement number; meaningful with ACK.
    pub ack: u32,
    /// Window, not scaled.
    pub window: u16,
}

/// What the headers of one IP packet said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Headers {
    /// Source MAC, where the link has one.
    pub src_mac: Option<Mac>,
    /// Destination MAC, where the link has one.
    pub dst_mac: Option<Mac>,
    /// VLAN identifiers.
    pub vlans: VlanStack,
    /// Source address.
    pub src: IpAddr,
    /// Destination address.
    pub dst: IpAddr,
    /// Transport protocol: what follows the last IPv6 extension header.
    pub protocol: Protocol,
    /// Source port; for ICMP the type; 0 where there is none, where it was cut off, and in later fragments.
    pub src_port: u16,
    /// Destination port; for ICMP the counterpart's type or the code ([`super::icmp_ports`]).
    pub dst_port: u16,
    /// ICMP that has no reply: both directions are flows of their own.
    pub one_way: bool,
    /// TCP; `None` for other protocols, later fragments, and where it was not captured up to its window.
    pub tcp: Option<TcpHeader>,
    /// Where the IP header starts in the frame.
    pub ip_at: u32,
    /// The packet names its way: an IPv4 source route, an IPv6 routing header.
    pub has_route: bool,
    /// Length of the IP packet, as its header says.
    pub ip_bytes: u32,
    /// Bytes above the transport header, as the headers say.
    pub payload_bytes: u32,
    /// Where those bytes start in the frame; beyond its end where they were not captured.
    pub payload_at: u32,
    /// Set for pieces of a fragmented packet.
    pub fragment: Option<Fragment>,
}

impl Headers {
    /// Of no packet: a place to decode into.
    pub const EMPTY: Self = Self {
        src_mac: None,
        dst_mac: None,
        vlans: VlanStack { ids: [0; VlanStack::MAX], len: 0 },
        src: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        dst: IpAddr::V4(Ipv4Addr::UNSPECIFIED),
        protocol: Protocol(0),
        src_port: 0,
        dst_port: 0,
        one_way: false,
        tcp: None,
        ip_at: 0,
        has_route: false,
        ip_bytes: 0,
        payload_bytes: 0,
        payload_at: 0,
        fragment: None,
    };

    /// TCP flags; `None` for other protocols, later fragments, and where they were not captured.
    pub fn tcp_flags(&self) -> Option<u8> {
        self.tcp.map(|tcp| tcp.flags)
    }

    /// The captured part of the payload in the frame that was decoded.
    pub fn payload<'a>(&self, frame: &'a [u8]) -> &'a [u8] {
        let start = (self.payload_at as usize).min(frame.len());
        let end = start.saturating_add(self.payload_bytes as usize).min(frame.len());
        frame.get(start..end).unwrap_or(&[])
    }
}
