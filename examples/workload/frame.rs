//! One frame of a made conversation, with right lengths and checksums.

use std::net::Ipv4Addr;

use anyhow::Context as _;
use etherparse::PacketBuilder;
use hopwatch::input::tcp_flags;

/// Ethernet, IPv4 and TCP headers without options.
pub const TCP_HEADERS: usize = 54;
/// Ethernet, IPv4 and UDP headers.
pub const UDP_HEADERS: usize = 42;

/// One end of a conversation.
#[derive(Clone, Copy, Debug)]
pub struct End {
    pub ip: Ipv4Addr,
    pub port: u16,
}

impl End {
    /// The MAC address that a container runtime gives to such an address.
    fn mac(self) -> [u8; 6] {
        let [_, b, c, d] = self.ip.octets();
        [2, 0x42, 0xac, b, c, d]
    }
}

/// What TCP says in a segment.
#[derive(Clone, Copy, Debug)]
pub struct Segment {
    pub flags: u8,
    pub seq: u32,
    pub ack: u32,
}

/// Writes a TCP frame over `frame`.
pub fn tcp(frame: &mut Vec<u8>, from: End, to: End, segment: Segment, payload: &[u8]) -> anyhow::Result<()> {
    frame.clear();
    let has = |flag| segment.flags & flag != 0;
    let ip = PacketBuilder::ethernet2(from.mac(), to.mac()).ipv4(from.ip.octets(), to.ip.octets(), 64);
    let mut step = ip.tcp(from.port, to.port, segment.seq, u16::MAX);
    if has(tcp_flags::SYN) {
        step = step.syn();
    }
    if has(tcp_flags::FIN) {
        step = step.fin();
    }
    if has(tcp_flags::PSH) {
        step = step.psh();
    }
    if has(tcp_flags::ACK) {
        step = step.ack(segment.ack);
    }
    step.write(frame, payload).context("a TCP frame")
}

/// Writes a UDP frame over `frame`.
pub fn udp(frame: &mut Vec<u8>, from: End, to: End, payload: &[u8]) -> anyhow::Result<()> {
    frame.clear();
    let ip = PacketBuilder::ethernet2(from.mac(), to.mac()).ipv4(from.ip.octets(), to.ip.octets(), 64);
    ip.udp(from.port, to.port).write(frame, payload).context("a UDP frame")
}
