//! One question to rtnetlink, and its answer, message by message.
//!
//! Contract: the reader is total: every length is checked against what is there; an error that the kernel names is returned.
//! Limits: [`BUFFER`] bytes are read at once; who asks may stop early. Source: netlink(7), rtnetlink(7).
//! Design: written by hand because a few attributes of three messages are needed.

use std::os::fd::AsRawFd;

use nix::sys::socket::sockopt::ReceiveTimeout;
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, recv, sendto, setsockopt, socket,
};
use nix::sys::time::{TimeVal, TimeValLike};

use super::HostError;

/// The kernel packs at most 32 KiB into one answer of a dump.
const BUFFER: usize = 64 * 1024;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
/// Length of `struct nlmsghdr`.
const HEADER: usize = 16;

/// Whether more is wanted, or there is more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum More {
    Yes,
    No,
}

/// Asks for all objects of a kind; `each` sees the kind and the body of each message.
pub(super) fn dump(
    kind: u16,
    body: &[u8],
    mut each: impl FnMut(u16, &[u8]) -> Result<More, HostError>,
) -> Result<(), HostError> {
    let route = SockProtocol::NetlinkRoute;
    let socket = socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, route)?;
    setsockopt(&socket, ReceiveTimeout, &TimeVal::seconds(2))?;
    sendto(socket.as_raw_fd(), &request(kind, body), &NetlinkAddr::new(0, 0), MsgFlags::empty())?;
    let mut buffer = vec![0; BUFFER];
    loop {
        let length = recv(socket.as_raw_fd(), &mut buffer, MsgFlags::empty())?;
        if messages(buffer.get(..length).unwrap_or_default(), &mut each)? == More::No {
            return Ok(());
        }
    }
}

/// A request for all objects of a kind.
pub(super) fn request(kind: u16, body: &[u8]) -> Vec<u8> {
    /// `NLM_F_REQUEST`, `NLM_F_ROOT` and `NLM_F_MATCH`.
    const DUMP: u16 = 0x0301;
    let length = u32::try_from(HEADER + body.len()).unwrap_or(0);
    let mut bytes = Vec::with_capacity(HEADER + body.len());
    bytes.extend(length.to_ne_bytes());
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(DUMP.to_ne_bytes());
    bytes.resize(HEADER, 0);
    bytes.extend(body);
    bytes
}

/// Reads one answer; whether others follow.
pub(super) fn messages(
    answer: &[u8],
    each: &mut impl FnMut(u16, &[u8]) -> Result<More, HostError>,
) -> Result<More, HostError> {
    let mut at = 0;
    while at < answer.len() {
        let malformed = HostError::Malformed { at };
        let (Some(length), Some(kind)) = (number(answer, at), short(answer, at + 4)) else { return Err(malformed) };
        let length = usize::try_from(length).unwrap_or(usize::MAX);
        let body = length.checked_sub(HEADER).and_then(|body| answer.get(at + HEADER..)?.get(..body));
        let Some(body) = body else { return Err(malformed) };
        match kind {
            NLMSG_DONE => return Ok(More::No),
            NLMSG_ERROR => {
                let code = number(body, 0).map_or(0, |code| i32::from_ne_bytes(code.to_ne_bytes()));
                return Err(HostError::Interfaces(nix::Error::from_raw(code.saturating_neg())));
            }
            _ if each(kind, body)? == More::No => return Ok(More::No),
            _ => {}
        }
        at += align(length);
    }
    Ok(More::Yes)
}

/// The attributes in a body after its fixed part: kind without its flags, and value.
pub(super) fn attributes(body: &[u8], fixed: usize) -> impl Iterator<Item = (u16, &[u8])> {
    /// `NLA_F_NESTED` and `NLA_F_NET_BYTEORDER`.
    const FLAGS: u16 = 0xc000;
    let mut rest = body.get(fixed..).unwrap_or_default();
    std::iter::from_fn(move || {
        let (length, kind) = (usize::from(short(rest, 0)?), short(rest, 2)?);
        let value = rest.get(4..length)?;
        rest = rest.get(align(length)..).unwrap_or_default();
        Some((kind & !FLAGS, value))
    })
}

pub(super) fn number(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn short(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

const fn align(length: usize) -> usize {
    length.saturating_add(3) & !3
}

/// Messages as the kernel writes them, for tests of who reads them.
#[cfg(test)]
pub(super) mod build {
    use super::{HEADER, NLMSG_DONE, align};

    pub(crate) fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
        let mut bytes = u16::try_from(4 + value.len()).expect("short").to_ne_bytes().to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(value);
        bytes.resize(align(bytes.len()), 0);
        bytes
    }

    pub(crate) fn message(kind: u16, body: &[u8]) -> Vec<u8> {
        let mut bytes = u32::try_from(HEADER + body.len()).expect("short").to_ne_bytes().to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.resize(HEADER, 0);
        bytes.extend(body);
        bytes.resize(align(bytes.len()), 0);
        bytes
    }

    pub(crate) fn done() -> Vec<u8> {
        message(NLMSG_DONE, &[0; 4])
    }
}

#[cfg(test)]
mod tests {
    use super::build::{done, message};
    use super::*;

    fn read(answer: &[u8]) -> (Result<More, HostError>, usize) {
        let mut seen = 0;
        let more = messages(answer, &mut |_, _| {
            seen += 1;
            Ok(More::Yes)
        });
        (more, seen)
    }

    #[test]
    fn a_message_longer_than_the_answer_is_refused() {
        let whole = message(16, &[0; 8]);
        assert!(matches!(read(&whole[..20]), (Err(HostError::Malformed { at: 0 }), 0)));
        assert!(matches!(read(&[0; 16]), (Err(HostError::Malformed { at: 0 }), 0)), "no endless loop");
    }

    #[test]
    fn an_answer_ends_with_done_or_with_the_kernels_error() {
        assert!(matches!(read(&message(16, &[])), (Ok(More::Yes), 1)));
        assert!(matches!(read(&[message(16, &[]), done(), message(16, &[])].concat()), (Ok(More::No), 1)));
        let refused = message(NLMSG_ERROR, &(-libc_eperm()).to_ne_bytes());
        assert!(matches!(read(&refused), (Err(HostError::Interfaces(nix::Error::EPERM)), 0)));
    }

    fn libc_eperm() -> i32 {
        nix::Error::EPERM as i32
    }

    #[test]
    fn who_asked_may_stop_early() {
        let mut seen = 0;
        let two = [message(16, &[]), message(16, &[])].concat();
        let stop = messages(&two, &mut |_, _| {
            seen += 1;
            Ok(More::No)
        });
        assert!(matches!((stop, seen), (Ok(More::No), 1)));
    }
}
