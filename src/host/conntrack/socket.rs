//! The two sockets of a watch: one hears events, one asks for all connections.
//!
//! Contract: only the kernel is listened to; a process that may send to this socket is a stranger. Hearing never waits.
//! Limits: [`super::BUFFER`] bytes a message, [`MAX_ANSWERS`] answers of a dump; whoever asks waits two seconds for one.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::sockopt::{RcvBuf, RcvBufForce, ReceiveTimeout};
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recvfrom, sendto, setsockopt, socket,
};
use nix::sys::time::{TimeVal, TimeValLike};

use super::ConntrackError;
use super::message::{self, Connection, FIXED, Tally};
use crate::host::netlink::{More, request};

/// A table of some million connections: an answer holds about a hundred.
const MAX_ANSWERS: usize = 65_536;
/// `IPCTNL_MSG_CT_GET` of `NFNL_SUBSYS_CTNETLINK`.
const GET: u16 = 0x0101;
/// `NF_NETLINK_CONNTRACK_NEW` and `NF_NETLINK_CONNTRACK_DESTROY`.
const GROUPS: u32 = 0x1 | 0x4;

/// One of them.
#[derive(Debug)]
pub(super) struct Socket(OwnedFd);

/// What a look at the events brought.
#[derive(Debug)]
pub(super) enum Heard<'a> {
    Datagram(&'a [u8]),
    /// The kernel had no room for some.
    Overrun,
    /// Not from the kernel, or a signal came in between.
    Stranger,
    Nothing,
}

impl Socket {
    /// For questions, in the namespace of the calling thread.
    pub(super) fn open() -> Result<Self, Errno> {
        let this = Self::bound(0, SockFlag::empty())?;
        setsockopt(&this.0, ReceiveTimeout, &TimeVal::seconds(2))?;
        Ok(this)
    }

    /// Hears of connections from now on.
    pub(super) fn subscribe(bytes: usize) -> Result<Self, Errno> {
        let this = Self::bound(GROUPS, SockFlag::SOCK_NONBLOCK)?;
        if setsockopt(&this.0, RcvBufForce, &bytes).is_err() {
            // As much as net.core.rmem_max allows.
            let _ = setsockopt(&this.0, RcvBuf, &bytes);
        }
        Ok(this)
    }

    fn bound(groups: u32, flags: SockFlag) -> Result<Self, Errno> {
        let netfilter = SockProtocol::NetlinkNetFilter;
        let socket = socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC | flags, netfilter)?;
        bind(socket.as_raw_fd(), &NetlinkAddr::new(0, groups))?;
        Ok(Self(socket))
    }

    pub(super) fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }

    /// One datagram, without waiting.
    pub(super) fn hear<'a>(&self, buffer: &'a mut [u8]) -> Result<Heard<'a>, Errno> {
        match receive(&self.0, buffer) {
            Ok(Some(datagram)) => Ok(Heard::Datagram(datagram)),
            Ok(None) | Err(Errno::EINTR) => Ok(Heard::Stranger),
            Err(Errno::ENOBUFS) => Ok(Heard::Overrun),
            Err(Errno::EAGAIN) => Ok(Heard::Nothing),
            Err(error) => Err(error),
        }
    }

    /// Asks for all connections; `each` sees those that are translated. After an error the rest of the answers may come yet.
    pub(super) fn dump(&self, buffer: &mut [u8], each: &mut dyn FnMut(&Connection)) -> Result<Tally, ConntrackError> {
        sendto(self.0.as_raw_fd(), &request(GET, &[0; FIXED]), &NetlinkAddr::new(0, 0), MsgFlags::empty())?;
        let mut tally = Tally::default();
        for _ in 0..MAX_ANSWERS {
            let answer = match receive(&self.0, buffer) {
                Ok(answer) => answer.unwrap_or_default(),
                Err(Errno::EINTR) => continue,
                Err(error) => return Err(error.into()),
            };
            if message::answer(answer, &mut tally, each)? == More::No {
                return Ok(tally);
            }
        }
        Err(ConntrackError::Endless { answers: MAX_ANSWERS })
    }
}

/// A datagram of the kernel, or nothing if it is somebody else's.
fn receive<'a>(socket: &OwnedFd, buffer: &'a mut [u8]) -> Result<Option<&'a [u8]>, Errno> {
    let (length, from) = recvfrom::<NetlinkAddr>(socket.as_raw_fd(), buffer)?;
    let from_kernel = from.is_some_and(|from| from.pid() == 0);
    Ok(from_kernel.then(|| buffer.get(..length).unwrap_or_default()))
}

/// Whether the sysctl of the calling thread's namespace says that no events are made; one that is not there says nothing.
pub(super) fn events_are_off() -> bool {
    std::fs::read_to_string("/proc/sys/net/netfilter/nf_conntrack_events").is_ok_and(|value| value.trim() == "0")
}
