//! IPv6 extension headers, and the authentication header, which IPv4 has too.
//!
//! Contract: a header is understood when it was captured whole and lies within the packet. A chain that the capture cut is not decodable
//! ([`DecodeReason::TruncatedExtensions`]): a protocol or port that nobody saw is never made up. A frame that was captured whole and ends
//! within a header has nothing behind it; where the packet says that it goes on, it is of the protocol that this header announces, else of
//! that header's own.
//! Limits: at most [`MAX_EXTENSIONS`] headers. The protocol of a later fragment is the one after its fragment header, even if
//! that is a further extension header.
//! Design: etherparse reads each header (ADR 7); the chain is walked here, because its walk expects the order of RFC 8200.

use etherparse::{IpAuthHeaderSlice, Ipv6FragmentHeaderSlice, Ipv6RawExtHeaderSlice};

use super::segment::Segment;
use super::{DecodeReason, Fragment, array};
use crate::input::Protocol;

/// Extension headers that are walked: more than a packet of 1500 bytes can have.
const MAX_EXTENSIONS: usize = 256;

const HOP_BY_HOP: u8 = 0;
pub(super) const ROUTING: u8 = 43;
const FRAGMENT: u8 = 44;
pub(super) const AUTHENTICATION: u8 = 51;
const DESTINATION_OPTIONS: u8 = 60;
const SHIM6: u8 = 140;

/// Whether a header of this number leads to another.
#[inline]
pub(super) const fn is_extension(next: u8) -> bool {
    matches!(next, HOP_BY_HOP | ROUTING | FRAGMENT | AUTHENTICATION | DESTINATION_OPTIONS | SHIM6)
}

/// What extension headers led to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Walk {
    pub(super) protocol: u8,
    pub(super) segment: Segment,
    pub(super) fragment: Option<Fragment>,
    /// A routing header was among them.
    pub(super) has_route: bool,
}

impl Walk {
    /// At a header that a frame, captured whole, does not hold to its end.
    fn cut(mut self, captured: &[u8]) -> Self {
        if let Some((next, size)) = announced(captured, self.protocol, self.segment) {
            (self.protocol, self.segment) = (next, self.segment.behind(size));
        }
        self
    }
}

/// The protocol that a header announces whose end is not there, and the header's length, if the packet has room for it.
pub(super) fn announced(captured: &[u8], number: u8, segment: Segment) -> Option<(u8, usize)> {
    let [next, units] = array(captured, 0)?;
    let size = match number {
        AUTHENTICATION => 4 * (2 + usize::from(units)),
        FRAGMENT => return None,
        _ => 8 * (1 + usize::from(units)),
    };
    (size <= segment.len).then_some((next, size))
}

/// Walks to the transport header, or to a later fragment's data; `each` sees every header, with its number. `is_whole`: the frame was not cut by
/// the capture.
#[cold]
pub(super) fn walk<'a>(
    data: &'a [u8],
    first: u8,
    segment: Segment,
    is_whole: bool,
    mut each: impl FnMut(u8, &'a [u8]),
) -> Result<Walk, DecodeReason> {
    let mut walk = Walk { protocol: first, segment, fragment: None, has_route: false };
    for _ in 0..MAX_EXTENSIONS {
        let is_later = walk.fragment.is_some_and(|piece| !piece.is_first());
        if is_later || !is_extension(walk.protocol) {
            return Ok(walk);
        }
        let number = walk.protocol;
        let captured = walk.segment.captured(data);
        let Some(header) = step(captured, &mut walk) else {
            return if is_whole { Ok(walk.cut(captured)) } else { Err(DecodeReason::TruncatedExtensions) };
        };
        walk.has_route |= number == ROUTING;
        walk.segment = walk.segment.behind(header.len());
        each(number, header);
    }
    Err(DecodeReason::TruncatedExtensions)
}

/// The header at the start of `data`; the number of the next one goes to `walk`.
fn step<'a>(data: &'a [u8], walk: &mut Walk) -> Option<&'a [u8]> {
    let (next, header) = match walk.protocol {
        AUTHENTICATION => authentication(data)?,
        FRAGMENT => {
            let header = Ipv6FragmentHeaderSlice::from_slice(data).ok()?;
            // A lone piece that is whole ("atomic", RFC 6946) is no fragment.
            walk.fragment = header.is_fragmenting_payload().then(|| Fragment {
                id: header.identification(),
                offset: u32::from(header.fragment_offset().value()) * 8,
                more: header.more_fragments(),
                protocol: Protocol(0),
            });
            (header.next_header().0, header.slice())
        }
        _ => {
            let header = Ipv6RawExtHeaderSlice::from_slice(data).ok()?;
            (header.next_header().0, header.slice())
        }
    };
    walk.protocol = next;
    Some(header)
}

/// An authentication header (RFC 4302): the number of the next header, and its bytes.
pub(super) fn authentication(data: &[u8]) -> Option<(u8, &[u8])> {
    let header = IpAuthHeaderSlice::from_slice(data).ok()?;
    Some((header.next_header().0, header.slice()))
}
