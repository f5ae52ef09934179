//! Netlink: a socket, requests that are dumps, and the reading of messages and attributes.
//!
//! Contract: the readers are total; what is cut ends the reading, what is not known is skipped by its caller. Limits: one answer of
//! a dump holds at most 32 KiB, an answer longer than [`BUFFER`] is refused. Sources: netlink(7), `linux/netlink.h`.
//! Design: written by hand, as in `links.rs`: the attributes needed (a socket's cgroup, packet sockets) are in no crate.

use std::os::fd::{AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::sockopt::{RcvBufForce, ReceiveTimeout};
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, sendto, setsockopt, socket,
};
use nix::sys::time::{TimeVal, TimeValLike};

use crate::host::HostError;

/// Room for one answer.
pub(super) const BUFFER: usize = 64 * 1024;
/// A dump that goes on and on is given up: 1,024 answers are far more than all tables of the collector hold.
const MAX_ANSWERS: usize = 1024;
/// What a subscription may hold until the next look.
const NEWS_BYTES: usize = 1024 * 1024;
const HEADER: usize = 16;
const ERROR: u16 = 2;
const DONE: u16 = 3;
const REQUEST: u16 = 0x1;
const DUMP: u16 = 0x300;
const INTERRUPTED: u16 = 0x10;
/// Nested, and in network byte order: bits beside the kind of an attribute.
const KIND: u16 = 0x3fff;

/// One message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Message<'a> {
    pub(super) kind: u16,
    pub(super) flags: u16,
    pub(super) sequence: u32,
    pub(super) body: &'a [u8],
}

/// A socket for requests, which may also hear what happens: one descriptor a namespace does both.
#[derive(Debug)]
pub(super) struct Netlink {
    socket: OwnedFd,
    sequence: u32,
    /// Heard while something else was asked.
    heard: Heard,
}

impl Netlink {
    /// In the network namespace of the calling thread, where it then stays; subscribed to a mask of groups.
    pub(super) fn open(protocol: SockProtocol, groups: u32) -> Result<Self, nix::Error> {
        let socket = socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, protocol)?;
        setsockopt(&socket, ReceiveTimeout, &TimeVal::seconds(2))?;
        bind(socket.as_raw_fd(), &NetlinkAddr::new(0, groups))?;
        Ok(Self { socket, sequence: 0, heard: Heard::default() })
    }

    /// Lets it hold more until the next look, where this process may (`CAP_NET_ADMIN`).
    pub(super) fn enlarge(&self) {
        let _ = setsockopt(&self.socket, RcvBufForce, &NEWS_BYTES);
    }

    /// Takes what was heard, at most so many messages, without waiting.
    pub(super) fn drain(&mut self, most: usize, buffer: &mut [u8], mut each: impl FnMut(&Message<'_>)) -> Heard {
        let mut heard = std::mem::take(&mut self.heard);
        for _ in 0..most {
            match recv(self.socket.as_raw_fd(), buffer, MsgFlags::MSG_DONTWAIT) {
                Ok(length) => {
                    heard.any = true;
                    let known = messages(buffer.get(..length).unwrap_or_default()).map_while(Result::ok);
                    known.for_each(|message| each(&message));
                }
                Err(Errno::ENOBUFS) => heard = Heard { any: true, lost: true },
                Err(Errno::EINTR) => {}
                Err(_) => break,
            }
        }
        heard
    }

    /// Asks for all objects of a kind; whether they changed while they were told.
    pub(super) fn dump(
        &mut self,
        kind: u16,
        body: &[u8],
        buffer: &mut [u8],
        mut each: impl FnMut(&Message<'_>),
    ) -> Result<bool, HostError> {
        self.send(kind, REQUEST | DUMP, body)?;
        let mut changed = false;
        for _ in 0..MAX_ANSWERS {
            for message in messages(receive(&self.socket, &mut self.heard, buffer)?) {
                let message = message?;
                if message.sequence != self.sequence {
                    self.heard.any = true;
                    continue;
                }
                changed |= message.flags & INTERRUPTED != 0;
                match message.kind {
                    DONE => return Ok(changed),
                    ERROR => refusal(message.body)?,
                    _ => each(&message),
                }
            }
        }
        Err(HostError::TooMany { limit: MAX_ANSWERS })
    }

    /// Asks for one object.
    pub(super) fn ask<T>(
        &mut self,
        kind: u16,
        body: &[u8],
        buffer: &mut [u8],
        read: impl Fn(&Message<'_>) -> Option<T>,
    ) -> Result<Option<T>, HostError> {
        self.send(kind, REQUEST, body)?;
        for _ in 0..MAX_ANSWERS {
            for message in messages(receive(&self.socket, &mut self.heard, buffer)?) {
                let message = message?;
                match message.kind {
                    _ if message.sequence != self.sequence => self.heard.any = true,
                    ERROR => return refusal(message.body).map(|()| None),
                    _ => return Ok(read(&message)),
                }
            }
        }
        Ok(None)
    }

    fn send(&mut self, kind: u16, flags: u16, body: &[u8]) -> Result<(), HostError> {
        self.sequence = self.sequence.wrapping_add(1);
        let length = u32::try_from(HEADER + body.len()).unwrap_or(u32::MAX);
        let mut bytes = Vec::with_capacity(HEADER + body.len());
        bytes.extend(length.to_ne_bytes());
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(flags.to_ne_bytes());
        bytes.extend(self.sequence.to_ne_bytes());
        bytes.extend([0; 4]);
        bytes.extend(body);
        sendto(self.socket.as_raw_fd(), &bytes, &NetlinkAddr::new(0, 0), MsgFlags::empty())?;
        Ok(())
    }
}

fn receive<'a>(socket: &OwnedFd, heard: &mut Heard, buffer: &'a mut [u8]) -> Result<&'a [u8], HostError> {
    for _ in 0..MAX_ANSWERS {
        match recv(socket.as_raw_fd(), buffer, MsgFlags::empty()) {
            Ok(length) => return Ok(buffer.get(..length).unwrap_or_default()),
            // The news did not fit; an answer is never lost by that.
            Err(Errno::ENOBUFS) => *heard = Heard { any: true, lost: true },
            Err(Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Err(HostError::TooMany { limit: MAX_ANSWERS })
}

/// The kernel's "no", if it is one.
fn refusal(body: &[u8]) -> Result<(), HostError> {
    match number(body, 0).map(|code| i32::from_ne_bytes(code.to_ne_bytes())) {
        Some(0) => Ok(()),
        code => Err(HostError::Interfaces(nix::Error::from_raw(code.unwrap_or(0).saturating_neg()))),
    }
}

/// What a socket heard of the groups that it is subscribed to.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Heard {
    /// Something.
    pub(super) any: bool,
    /// More than it could hold.
    pub(super) lost: bool,
}

/// The messages of one answer; ends with an error where it makes no sense.
pub(super) fn messages(answer: &[u8]) -> impl Iterator<Item = Result<Message<'_>, HostError>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        if at >= answer.len() {
            return None;
        }
        let message = message(answer.get(at..).unwrap_or_default());
        let malformed = HostError::Malformed { at };
        at = match &message {
            Some((_, length)) => at.saturating_add(align(*length)),
            None => answer.len(),
        };
        Some(message.map(|(message, _)| message).ok_or(malformed))
    })
}

fn message(bytes: &[u8]) -> Option<(Message<'_>, usize)> {
    let length = usize::try_from(number(bytes, 0)?).ok()?;
    let body = bytes.get(..length)?.get(HEADER..)?;
    Some((Message { kind: short(bytes, 4)?, flags: short(bytes, 6)?, sequence: number(bytes, 8)?, body }, length))
}

/// The attributes of a message, as far as they make sense.
pub(super) fn attributes(bytes: &[u8]) -> impl Iterator<Item = (u16, &[u8])> {
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
pub(super) fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let mut bytes = u16::try_from(4 + value.len()).unwrap_or(u16::MAX).to_ne_bytes().to_vec();
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(value);
    bytes.resize(align(bytes.len()), 0);
    bytes
}

/// A text that ends at its first NUL.
pub(super) fn text(value: &[u8]) -> String {
    String::from_utf8_lossy(value.split(|byte| *byte == 0).next().unwrap_or_default()).into_owned()
}

pub(super) fn long(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

pub(super) fn number(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

pub(super) fn short(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

const fn align(length: usize) -> usize {
    length.saturating_add(3) & !3
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    pub(super) fn framed(kind: u16, body: &[u8]) -> Vec<u8> {
        let mut bytes = u32::try_from(HEADER + body.len()).expect("short").to_ne_bytes().to_vec();
        bytes.extend(kind.to_ne_bytes());
        bytes.resize(HEADER, 0);
        bytes.extend(body);
        bytes.resize(align(bytes.len()), 0);
        bytes
    }

    #[test]
    fn messages_and_attributes_come_back_as_they_were_written() {
        let body = [attribute(3, b"eth0\0"), attribute(0x8000 | 0x12, &[1, 2])].concat();
        let answer = [framed(16, &body), framed(17, &[])].concat();
        let read: Vec<_> = messages(&answer).map(|message| message.expect("sound")).collect();
        assert_eq!(read.iter().map(|message| message.kind).collect::<Vec<_>>(), [16, 17]);
        let attributes: Vec<_> = attributes(read[0].body).collect();
        assert_eq!(attributes, [(3, &b"eth0\0"[..]), (18, &[1, 2][..])]);
        assert_eq!(text(attributes[0].1), "eth0");
    }

    #[test]
    fn a_length_that_claims_more_or_nothing_ends_the_reading() {
        let cut = &framed(16, &[0; 8])[..20];
        assert!(matches!(messages(cut).collect::<Vec<_>>()[..], [Err(HostError::Malformed { at: 0 })]));
        assert_eq!(messages(&[0; 64]).count(), 1, "no endless loop");
        assert_eq!(attributes(&[0; 64]).count(), 0, "no endless loop");
        assert_eq!(attributes(&[255, 255, 1, 0, 9, 9]).count(), 0);
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            for message in messages(&bytes).flatten() {
                prop_assert!(attributes(message.body).count() <= bytes.len());
            }
            let _ = attributes(&bytes).count();
        }
    }
}
