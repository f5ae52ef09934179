//! PROXY protocol, version 1 and 2 (<https://www.haproxy.org/download/3.0/doc/proxy-protocol.txt>).
//!
//! Contract: the header and its length; what follows it is the connection itself. `LOCAL`, `UNKNOWN` and families other than
//! TCP or UDP over IP state no addresses. Limits: version 2 headers of [`MAX_HEADER`] bytes; their TLVs are passed over.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::Parsed;
use super::reader::Reader;
use crate::input::ProxyHeader;

/// Longest header that is read, in bytes; senders use below 536.
pub const MAX_HEADER: usize = 2048;
/// Longest header of version 1, with its end.
const MAX_LINE: usize = 107;

const VERSION_1: &[u8] = b"PROXY ";
const VERSION_2: &[u8] = b"\r\n\r\n\0\r\nQUIT\n";

type Address = (IpAddr, u16);

/// Reads the header at the start of a stream, and its length. With `last`, nothing more will come.
pub fn header(stream: &[u8], last: bool) -> Parsed<(ProxyHeader, usize)> {
    if stream.starts_with(VERSION_1) {
        return line(stream, last);
    }
    if stream.starts_with(VERSION_2) {
        return binary(stream, last);
    }
    let may_be = !last && !stream.is_empty() && [VERSION_1, VERSION_2].iter().any(|start| start.starts_with(stream));
    if may_be { Parsed::More } else { Parsed::Other }
}

fn line(stream: &[u8], last: bool) -> Parsed<(ProxyHeader, usize)> {
    let head = stream.get(..MAX_LINE).unwrap_or(stream);
    let Some(end) = head.windows(2).position(|pair| pair == b"\r\n") else {
        return if last || head.len() == MAX_LINE { Parsed::Other } else { Parsed::More };
    };
    let text = head.get(..end).and_then(|line| std::str::from_utf8(line).ok()).unwrap_or("");
    let parts: Vec<&str> = text.split(' ').collect();
    let ends = match parts.as_slice() {
        [_, "UNKNOWN", ..] => None,
        [_, "TCP4" | "TCP6", src, dst, src_port, dst_port] => match (address(src, src_port), address(dst, dst_port)) {
            (Some(src), Some(dst)) => Some((src, dst)),
            _ => return Parsed::Other,
        },
        _ => return Parsed::Other,
    };
    Parsed::Whole((facts(1, ends), end + 2))
}

fn address(ip: &str, port: &str) -> Option<Address> {
    Some((ip.parse().ok()?, port.parse().ok()?))
}

fn facts(version: u8, ends: Option<(Address, Address)>) -> ProxyHeader {
    ProxyHeader { version, source: ends.map(|ends| ends.0), destination: ends.map(|ends| ends.1) }
}

fn binary(stream: &[u8], last: bool) -> Parsed<(ProxyHeader, usize)> {
    let missing = || if last { Parsed::Other } else { Parsed::More };
    let mut rest = Reader(stream.get(VERSION_2.len()..).unwrap_or(&[]));
    let (Some(command), Some(family), Some(len)) = (rest.u8(), rest.u8(), rest.u16().map(usize::from)) else {
        return missing();
    };
    if command >> 4 != 2 || command & 0x0f > 1 || len > MAX_HEADER {
        return Parsed::Other;
    }
    let Some(body) = rest.take(len) else { return missing() };
    let ends = if command & 0x0f == 1 { addresses(family, Reader(body)) } else { None };
    Parsed::Whole((facts(2, ends), VERSION_2.len() + 4 + len))
}

fn addresses(family: u8, mut body: Reader<'_>) -> Option<(Address, Address)> {
    let mut next = || -> Option<IpAddr> {
        match family {
            0x11 | 0x12 => body.u32().map(|bits| Ipv4Addr::from_bits(bits).into()),
            0x21 | 0x22 => {
                let octets: [u8; 16] = body.take(16)?.try_into().ok()?;
                Some(Ipv6Addr::from(octets).into())
            }
            _ => None,
        }
    };
    let (src, dst) = (next()?, next()?);
    Some(((src, body.u16()?), (dst, body.u16()?)))
}
