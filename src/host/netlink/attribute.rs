//! Attributes of netlink messages, and numbers in them.
//!
//! Contract: total; an attribute that is cut, or shorter than its own head, ends the reading. Source: netlink(7).

/// Without the bits for "nested" and "in network byte order".
const KIND: u16 = 0x3fff;

/// The attributes in some bytes: kind and value.
pub(in crate::host) fn attributes(bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        let length = usize::from(short(rest, 0)?);
        let kind = short(rest, 2)? & KIND;
        let value = rest.get(4..length)?;
        rest = rest.get(align(length)..).unwrap_or_default();
        Some((kind, value))
    })
}

/// An attribute for a request.
pub(in crate::host) fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let mut bytes = u16::try_from(4 + value.len()).unwrap_or(u16::MAX).to_ne_bytes().to_vec();
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(value);
    bytes.resize(align(bytes.len()), 0);
    bytes
}

/// A text that ends at its first NUL.
pub(in crate::host) fn text(value: &[u8]) -> String {
    String::from_utf8_lossy(value.split(|byte| *byte == 0).next().unwrap_or_default()).into_owned()
}

pub(in crate::host) fn long(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

pub(in crate::host) fn number(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

pub(in crate::host) fn signed(bytes: &[u8], at: usize) -> Option<i32> {
    Some(i32::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

pub(super) fn short(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// Messages and attributes start at multiples of four.
pub(super) const fn align(length: usize) -> usize {
    length.saturating_add(3) & !3
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_length_that_claims_more_or_nothing_ends_the_reading() {
        assert_eq!(attributes(&[0; 64]).count(), 0, "no endless loop");
        assert_eq!(attributes(&[255, 255, 1, 0, 9, 9]).count(), 0);
    }

    #[test]
    fn attributes_come_back_as_they_were_written() {
        let body = [attribute(3, b"eth0\0"), attribute(0x8000 | 0x12, &[1, 2])].concat();
        let read: Vec<_> = attributes(&body).collect();
        assert_eq!(read, [(3, &b"eth0\0"[..]), (18, &[1, 2][..])]);
        assert_eq!(text(b"eth0\0"), "eth0");
    }
}
