//! Any bytes as IPv6 extension headers, against etherparse's own walk over them.

use etherparse::err::ipv6_exts::HeaderSliceError;
use etherparse::{IpNumber, Ipv6ExtensionsSlice};
use hopwatch::decode::{DecodeReason, Decoded, LinkType, decode};

/// Hop-by-hop options behind other headers, and Shim6: only the meter walks them.
const OURS_ONLY: [u8; 2] = [0, 140];

/// One byte names the first header; then the headers.
pub fn check(input: &[u8]) {
    let Some((first, chain)) = input.split_first() else { return };
    let Ok(len) = u16::try_from(chain.len().min(1024)) else { return };
    let chain = &chain[..usize::from(len)];
    let mut packet = vec![0x60, 0, 0, 0, 0, 0, *first, 64];
    packet[4..6].copy_from_slice(&len.to_be_bytes());
    packet.extend([0x20; 32]);
    packet.extend(chain);
    // One byte more on the wire than was captured: what ends within a header was cut.
    let ours = decode(LinkType::RAW, u32::from(len) + 41, &packet);
    let (headers, number, _, error) = Ipv6ExtensionsSlice::from_slice_lax(IpNumber(*first), chain);
    if headers.is_fragmenting_payload() {
        return;
    }
    match error {
        Some((HeaderSliceError::Len(_), _)) => assert_eq!(ours, Err(DecodeReason::TruncatedExtensions)),
        None if !OURS_ONLY.contains(&number.0) => {
            let Ok(Decoded::Ip(headers)) = ours else { panic!("{ours:?}, and etherparse finds {number:?}") };
            assert_eq!(headers.protocol.0, number.0);
        }
        _ => {}
    }
}
