//! What `record --headers-only` keeps of a packet.
//!
//! Contract: link, network and transport headers, and neighbour discovery and ARP whole; nothing an application wrote. Limits: of what is
//! not decoded, [`UNKNOWN`] bytes stay. Payload facts (names in DNS, TLS and HTTP), and packets inside UDP tunnels are not in such a
//! recording, so rules that need them stay silent in its replay.

use crate::decode::{Decoded, LinkType, decode};
use crate::input::Protocol;

/// Bytes kept of a frame without IP, or one that is not decoded.
const UNKNOWN: usize = 64;
/// Bytes kept behind the IP header of protocols without ports: enough for GRE and its key.
const OTHER: usize = 12;

/// How many bytes of a frame are headers.
pub(super) fn length(link: LinkType, wire_len: u32, data: &[u8]) -> usize {
    let Ok(Decoded::Ip(headers)) = decode(link, wire_len, data) else { return data.len().min(UNKNOWN) };
    let payload = headers.payload_at as usize;
    let kept = match headers.protocol {
        Protocol::ICMPV6 if (133..=137).contains(&headers.src_port) => data.len(),
        Protocol::TCP | Protocol::UDP | Protocol::ICMP | Protocol::ICMPV6 if headers.fragment.is_none() => payload,
        _ => payload + OTHER,
    };
    kept.min(data.len())
}

#[cfg(test)]
mod tests {
    use etherparse::PacketBuilder;

    use super::*;

    fn kept(frame: &[u8]) -> &[u8] {
        &frame[..length(LinkType::ETHERNET, u32::try_from(frame.len()).expect("small"), frame)]
    }

    fn built(step: etherparse::PacketBuilderStep<etherparse::UdpHeader>, payload: &[u8]) -> Vec<u8> {
        let mut frame = Vec::new();
        step.write(&mut frame, payload).expect("a buffer takes all");
        frame
    }

    #[test]
    fn nothing_that_an_application_wrote_is_kept() {
        let ethernet = || PacketBuilder::ethernet2([2; 6], [4; 6]);
        let udp = built(ethernet().ipv4([192, 0, 2, 1], [192, 0, 2, 2], 64).udp(40_000, 53), b"secret");
        assert_eq!(kept(&udp).len(), 14 + 20 + 8);
        let mut tcp = Vec::new();
        let step = ethernet().ipv6([1; 16], [2; 16], 64).tcp(40_000, 80, 1, 1024);
        step.write(&mut tcp, b"Authorization: Bearer secret").expect("a buffer takes all");
        assert_eq!(kept(&tcp).len(), 14 + 40 + 20);
        let mut ping = Vec::new();
        let step = ethernet().ipv4([192, 0, 2, 1], [192, 0, 2, 2], 64).icmpv4_echo_request(1, 2);
        step.write(&mut ping, b"secret").expect("a buffer takes all");
        assert!(!kept(&ping).windows(6).any(|bytes| bytes == b"secret"));
    }

    #[test]
    fn unknown_frames_keep_their_beginning_only() {
        let lldp = [&[2; 12][..], &[0x88, 0xcc], &[7; 400]].concat();
        assert_eq!(kept(&lldp).len(), UNKNOWN);
    }
}
