//! SOCKS requests: version 4 and 4a (the memos of NEC, 1992 and 1996), version 5 (RFC 1928, RFC 1929).
//!
//! Contract: reads what the client sends, from its first byte up to the request: the choice of methods and a password come
//! before it in version 5. Gives the request and how many bytes it all took; what follows goes to the target.
//! Limits: other authentication than a password is not understood, and then there is no request to tell.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::reader::Reader;
use super::{Parsed, text};
use crate::input::SocksRequest;

/// Bytes that a client may send up to its request.
pub const MAX_DIALOGUE: usize = 1024;
/// Longest user of version 4 that is believed.
const MAX_USER: usize = 255;

/// Whether the first segment of a stream may be a client's: nothing but a choice of methods, or one request.
pub fn may_begin(segment: &[u8]) -> bool {
    match segment {
        [4, 1 | 2, _, _, ..] => request4(segment).is_some_and(|(_, len)| len == segment.len()),
        [5, methods, offered @ ..] => {
            let is_method = |method: &u8| matches!(method, 0..=9 | 0x80..=0xfe);
            let is_choice = offered.len() == usize::from(*methods) && !offered.is_empty() && offered.len() <= 16;
            is_choice && offered.iter().all(is_method)
        }
        _ => false,
    }
}

/// Reads up to the request of a stream that [`may_begin`], and the bytes that were read. With `last`, nothing more will come.
pub fn request(stream: &[u8], last: bool) -> Parsed<(SocksRequest, usize)> {
    let found = match stream.first() {
        Some(4) => request4(stream),
        Some(5) => match dialogue(stream) {
            Parsed::Other => return Parsed::Other,
            Parsed::More => None,
            Parsed::Whole(found) => Some(found),
        },
        _ => return Parsed::Other,
    };
    match found {
        Some(found) => Parsed::Whole(found),
        None if last || stream.len() >= MAX_DIALOGUE => Parsed::Other,
        None => Parsed::More,
    }
}

fn command(code: u8) -> Option<String> {
    Some(["connect", "bind", "udp_associate"].get(usize::from(code).checked_sub(1)?)?.to_string())
}

/// Version, command, port, address, user; with an address of 0.0.0.x a name follows (4a).
fn request4(stream: &[u8]) -> Option<(SocksRequest, usize)> {
    let mut rest = Reader(stream);
    let (version, code, port, address) = (rest.u8()?, rest.u8()?, rest.u16()?, rest.u32()?);
    let user = until_zero(&mut rest)?;
    if version != 4 || code > 2 || !user.iter().all(u8::is_ascii_graphic) {
        return None;
    }
    let target = if (1..256).contains(&address) {
        let name = until_zero(&mut rest).filter(|name| !name.is_empty() && name.iter().all(u8::is_ascii_graphic))?;
        format!("{}:{port}", text(name, MAX_USER))
    } else {
        SocketAddr::new(Ipv4Addr::from_bits(address).into(), port).to_string()
    };
    Some((SocksRequest { version, command: command(code)?, target }, stream.len() - rest.0.len()))
}

fn until_zero<'a>(rest: &mut Reader<'a>) -> Option<&'a [u8]> {
    let end = rest.0.iter().take(MAX_USER + 1).position(|byte| *byte == 0)?;
    let bytes = rest.take(end);
    rest.u8();
    bytes
}

/// Choice of methods, password, request.
fn dialogue(stream: &[u8]) -> Parsed<(SocksRequest, usize)> {
    let mut rest = Reader(stream);
    let (Some(_), Some(_)) = (rest.u8(), rest.vec8()) else { return Parsed::More };
    if rest.0.first() == Some(&1) {
        let (Some(_), Some(_), Some(_)) = (rest.u8(), rest.vec8(), rest.vec8()) else { return Parsed::More };
    }
    match request5(&mut rest) {
        Some(Ok(request)) => Parsed::Whole((request, stream.len() - rest.0.len())),
        Some(Err(())) => Parsed::Other,
        None => Parsed::More,
    }
}

/// Version, command, reserved, address type, address, port. `None` where bytes are missing.
fn request5(rest: &mut Reader<'_>) -> Option<Result<SocksRequest, ()>> {
    let (version, code) = (rest.u8()?, rest.u8()?);
    let (Some(command), 5) = (command(code), version) else { return Some(Err(())) };
    let (_, kind) = (rest.u8()?, rest.u8()?);
    let target = match kind {
        1 => ip_target(Ipv4Addr::from_bits(rest.u32()?).into(), rest.u16()?),
        4 => {
            let octets: [u8; 16] = rest.take(16)?.try_into().ok()?;
            ip_target(Ipv6Addr::from(octets).into(), rest.u16()?)
        }
        3 => format!("{}:{}", text(rest.vec8()?, MAX_USER), rest.u16()?),
        _ => return Some(Err(())),
    };
    Some(Ok(SocksRequest { version, command, target }))
}

fn ip_target(ip: IpAddr, port: u16) -> String {
    SocketAddr::new(ip, port).to_string()
}
