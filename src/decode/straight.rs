//! The frame that nearly all are, in one look: Ethernet, IPv4 without options or fragments, TCP or UDP.
//!
//! Contract: what it takes it reads as the long way does; a test compares them. Limits: the first [`HEAD`] bytes were captured, and the
//! packet states that it has them; the rest goes the long way.
//! Design: one bounds check, then fixed places.

use std::net::{IpAddr, Ipv4Addr};

use super::{Headers, TcpHeader, VlanStack, length};
use crate::input::{Mac, Protocol};

/// Ethernet 14, IPv4 20, TCP up to its window 16.
const HEAD: usize = 50;
const TRANSPORT: usize = 34;
const IPV4: u16 = 0x0800;
/// Version 4, five words.
const BARE: u8 = 0x45;
/// More fragments, and the offset.
const FRAGMENT: u16 = 0x3fff;

/// Fills in the headers; false where the frame is another, and `headers` is as it was.
#[inline]
pub(super) fn fill(data: &[u8], headers: &mut Headers) -> bool {
    let Some(head) = data.first_chunk::<HEAD>() else { return false };
    let word = |at: usize| u16::from_be_bytes([head[at], head[at + 1]]);
    let long = |at: usize| u32::from_be_bytes([head[at], head[at + 1], head[at + 2], head[at + 3]]);
    let total = usize::from(word(16));
    let protocol = Protocol(head[23]);
    let is_tcp = protocol == Protocol::TCP;
    if word(12) != IPV4
        || head[14] != BARE
        || word(20) & FRAGMENT != 0
        || total < HEAD - 14
        || !(is_tcp || protocol == Protocol::UDP)
    {
        return false;
    }
    let len = total - 20;
    let (header_len, len, tcp) = if is_tcp {
        let tcp = TcpHeader { flags: head[47], seq: long(38), ack: long(42), window: word(48) };
        ((usize::from(head[46] >> 4) * 4).max(20), len, Some(tcp))
    } else {
        let stated = usize::from(word(38));
        (8, if (8..=len).contains(&stated) { stated } else { len }, None)
    };
    let mac = |at: usize| Some(Mac([head[at], head[at + 1], head[at + 2], head[at + 3], head[at + 4], head[at + 5]]));
    *headers = Headers {
        src_mac: mac(6),
        dst_mac: mac(0),
        vlans: VlanStack::default(),
        src: IpAddr::V4(Ipv4Addr::from_bits(long(26))),
        dst: IpAddr::V4(Ipv4Addr::from_bits(long(30))),
        protocol,
        src_port: word(TRANSPORT),
        dst_port: word(TRANSPORT + 2),
        one_way: false,
        tcp,
        ip_at: 14,
        has_route: false,
        ip_bytes: length(total),
        payload_bytes: length(len.saturating_sub(header_len)),
        payload_at: length(TRANSPORT + header_len),
        fragment: None,
    };
    true
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::decode::{ip, link};

    proptest! {
        /// Any bytes behind the start of such a frame, most of them with lengths that may be true.
        #[test]
        fn reads_what_the_long_way_reads(
            mut frame in prop::collection::vec(any::<u8>(), 0..120),
            total in prop_oneof![0_u16..120, any::<u16>()],
            stated in 0_u16..120,
            protocol in prop::sample::select(vec![6_u8, 17, 1]),
            fragment in prop::sample::select(vec![0_u16, 0x4000, 0x2000, 1]),
        ) {
            let [total, stated, fragment] = [total, stated, fragment].map(u16::to_be_bytes);
            let fields: [(usize, &[u8]); 5] =
                [(12, &[8, 0, 0x45]), (16, &total), (20, &fragment), (23, &[protocol]), (38, &stated)];
            for (at, bytes) in fields {
                frame.iter_mut().skip(at).zip(bytes).for_each(|(place, byte)| *place = *byte);
            }
            let (mut ours, mut long_way) = (Headers::EMPTY, Headers::EMPTY);
            if fill(&frame, &mut ours) {
                let layer = link::plain(&frame).expect("Ethernet");
                ip::decode(&frame, &layer, frame.len(), &mut long_way).expect("IP");
                prop_assert_eq!(ours, long_way);
            }
        }
    }
}
