//! A netlink socket: requests, and what the kernel reports to groups.
//!
//! Contract: only the kernel is listened to; another process that sends to this socket is a stranger. An answer is never mixed with
//! a report or with the rest of an answer before. Limits: one answer holds at most 32 KiB, a longer one than [`BUFFER`] is refused;
//! a list ends after as many answers as its [`Query`] allows; a request waits two seconds for one. Source: netlink(7).

use std::io::IoSliceMut;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::sockopt::{RcvBuf, RcvBufForce, ReceiveTimeout};
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recvmsg, sendto, setsockopt, socket,
};
use nix::sys::time::{TimeVal, TimeValLike};

use super::message::{Message, Step, messages, request};
use crate::host::HostError;

/// Room for one answer.
pub(in crate::host) const BUFFER: usize = 64 * 1024;
/// Far more answers than most lists have.
const ANSWERS: usize = 1024;
const REQUEST: u16 = 0x1;
/// `NLM_F_ROOT` and `NLM_F_MATCH`.
const DUMP: u16 = 0x300;
/// `NLM_F_DUMP_INTR`.
const INTERRUPTED: u16 = 0x10;

/// What is asked.
#[derive(Clone, Copy, Debug)]
pub(in crate::host) struct Query {
    /// In words, for errors.
    pub(in crate::host) asked: &'static str,
    /// The kind of the request.
    pub(in crate::host) kind: u16,
    /// Answers that are read at most.
    pub(in crate::host) answers: usize,
}

impl Query {
    pub(in crate::host) const fn new(asked: &'static str, kind: u16) -> Self {
        Self { asked, kind, answers: ANSWERS }
    }

    /// The kernel's error as one of this query.
    pub(in crate::host) const fn failed(&self, source: Errno) -> HostError {
        HostError::Netlink { asked: self.asked, source }
    }
}

/// One datagram, as it comes.
#[derive(Debug)]
pub(in crate::host) enum Event<'a> {
    Datagram(&'a [u8]),
    /// The kernel had no room for some.
    Overrun,
    /// Not from the kernel, or a signal came in between.
    Stranger,
    Nothing,
}

/// What a socket received of the groups that it is subscribed to.
#[derive(Clone, Copy, Debug, Default)]
pub(in crate::host) struct Received {
    /// Something.
    pub(in crate::host) any: bool,
    /// More than it could hold.
    pub(in crate::host) lost: bool,
}

/// A socket for requests, which may also receive reports: one descriptor a namespace does both.
#[derive(Debug)]
pub(in crate::host) struct Netlink {
    socket: OwnedFd,
    sequence: u32,
    /// While something else was asked.
    received: Received,
}

impl Netlink {
    /// In the network namespace of the calling thread, where it then stays; subscribed to a mask of groups.
    pub(in crate::host) fn open(protocol: SockProtocol, groups: u32) -> Result<Self, Errno> {
        let socket = socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, protocol)?;
        setsockopt(&socket, ReceiveTimeout, &TimeVal::seconds(2))?;
        bind(socket.as_raw_fd(), &NetlinkAddr::new(0, groups))?;
        Ok(Self { socket, sequence: 0, received: Received::default() })
    }

    /// Lets so many bytes wait in the kernel, or as many as `net.core.rmem_max` allows without `CAP_NET_ADMIN`.
    pub(in crate::host) fn enlarge(&self, bytes: usize) {
        if setsockopt(&self.socket, RcvBufForce, &bytes).is_err() {
            let _ = setsockopt(&self.socket, RcvBuf, &bytes);
        }
    }

    /// One datagram, without waiting.
    pub(in crate::host) fn event<'a>(&self, buffer: &'a mut [u8]) -> Result<Event<'a>, Errno> {
        match receive(&self.socket, buffer, MsgFlags::MSG_DONTWAIT) {
            Ok(Some(datagram)) => Ok(Event::Datagram(datagram)),
            Ok(None) | Err(Errno::EINTR) => Ok(Event::Stranger),
            Err(Errno::ENOBUFS) => Ok(Event::Overrun),
            Err(Errno::EAGAIN) => Ok(Event::Nothing),
            Err(error) => Err(error),
        }
    }

    /// Takes what was reported, at most so many datagrams, without waiting.
    pub(in crate::host) fn drain(
        &mut self,
        most: usize,
        buffer: &mut [u8],
        mut each: impl FnMut(&Message<'_>),
    ) -> Received {
        let mut received = std::mem::take(&mut self.received);
        for _ in 0..most {
            match self.event(buffer) {
                Ok(Event::Datagram(datagram)) => {
                    received.any = true;
                    messages(datagram).map_while(Result::ok).for_each(|message| each(&message));
                }
                Ok(Event::Overrun) => received = Received { any: true, lost: true },
                Ok(Event::Stranger) => {}
                Ok(Event::Nothing) | Err(_) => break,
            }
        }
        received
    }

    /// Asks for all objects of a kind; whether they changed while they were listed.
    pub(in crate::host) fn dump(
        &mut self,
        query: &Query,
        body: &[u8],
        buffer: &mut [u8],
        mut each: impl FnMut(&Message<'_>),
    ) -> Result<bool, HostError> {
        let mut changed = false;
        self.answer(query, DUMP, body, buffer, |message| {
            changed |= message.flags & INTERRUPTED != 0;
            each(message);
            true
        })?;
        Ok(changed)
    }

    /// Whether there is an object of a kind. The rest of a list is not read, so the socket is of no more use.
    pub(in crate::host) fn has(
        mut self,
        query: &Query,
        body: &[u8],
        is_one: impl Fn(&Message<'_>) -> bool,
    ) -> Result<bool, HostError> {
        let mut found = false;
        self.answer(query, DUMP, body, &mut vec![0; BUFFER], |message| {
            found |= is_one(message);
            !found
        })?;
        Ok(found)
    }

    /// Asks for one object.
    pub(in crate::host) fn ask<T>(
        &mut self,
        query: &Query,
        body: &[u8],
        buffer: &mut [u8],
        read: impl Fn(&Message<'_>) -> Option<T>,
    ) -> Result<Option<T>, HostError> {
        let mut found = None;
        self.answer(query, 0, body, buffer, |message| {
            found = read(message);
            false
        })?;
        Ok(found)
    }

    /// Sends a request and reads its answer, as long as `each` wants more.
    fn answer(
        &mut self,
        query: &Query,
        flags: u16,
        body: &[u8],
        buffer: &mut [u8],
        mut each: impl FnMut(&Message<'_>) -> bool,
    ) -> Result<(), HostError> {
        self.sequence = self.sequence.wrapping_add(1);
        let bytes = request(query.kind, REQUEST | flags, self.sequence, body);
        sendto(self.socket.as_raw_fd(), &bytes, &NetlinkAddr::new(0, 0), MsgFlags::empty())
            .map_err(|error| query.failed(error))?;
        for _ in 0..query.answers {
            let datagram = match receive(&self.socket, buffer, MsgFlags::empty()) {
                Ok(datagram) => datagram.unwrap_or_default(),
                // Reports did not fit; an answer is never lost by that.
                Err(Errno::ENOBUFS) => {
                    self.received = Received { any: true, lost: true };
                    continue;
                }
                Err(Errno::EINTR) => continue,
                Err(error) => return Err(query.failed(error)),
            };
            for message in messages(datagram) {
                let message = message.map_err(|at| HostError::Malformed { asked: query.asked, at })?;
                match message.step(self.sequence).map_err(|error| query.failed(error))? {
                    Step::Foreign => self.received.any = true,
                    Step::Object if each(&message) => {}
                    Step::Object | Step::End => return Ok(()),
                }
            }
        }
        Err(HostError::TooMany { asked: query.asked, limit: query.answers })
    }
}

impl AsFd for Netlink {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// A datagram of the kernel, or nothing if it is another's.
fn receive<'a>(socket: &OwnedFd, buffer: &'a mut [u8], flags: MsgFlags) -> Result<Option<&'a [u8]>, Errno> {
    let (length, from_kernel) = {
        let mut parts = [IoSliceMut::new(buffer)];
        let received = recvmsg::<NetlinkAddr>(socket.as_raw_fd(), &mut parts, None, flags)?;
        (received.bytes, received.address.is_some_and(|from| from.pid() == 0))
    };
    Ok(from_kernel.then(|| buffer.get(..length).unwrap_or_default()))
}
