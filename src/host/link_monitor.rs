//! Reports of the kernel that links, addresses or traffic control changed.
//!
//! Contract: says that something changed, not what; a caller then lists again. A lost message counts as a change.
//! Limits: [`MAX_DRAIN`] messages are taken at once. Source: rtnetlink(7), groups `RTMGRP_LINK`, `RTMGRP_TC`,
//! `RTMGRP_IPV4_IFADDR` and `RTMGRP_IPV6_IFADDR`.

use std::os::fd::AsFd;
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::SockProtocol;

use super::HostError;
use super::netlink::{Event, Netlink};

const GROUPS: u32 = 0x1 | 0x8 | 0x10 | 0x100;
/// A storm longer than this is looked at in between.
const MAX_DRAIN: usize = 4096;

/// An open subscription.
#[derive(Debug)]
pub struct LinkMonitor {
    netlink: Netlink,
}

impl LinkMonitor {
    /// Subscribes; what happens from now on is reported.
    pub fn subscribe() -> Result<Self, HostError> {
        let failed = |source| HostError::Netlink { asked: "reports of changed links", source };
        Ok(Self { netlink: Netlink::open(SockProtocol::NetlinkRoute, GROUPS).map_err(failed)? })
    }

    /// Waits at most so long; whether something changed.
    pub fn wait(&self, most: Duration) -> bool {
        let timeout = PollTimeout::try_from(most).unwrap_or(PollTimeout::MAX);
        let mut descriptors = [PollFd::new(self.netlink.as_fd(), PollFlags::POLLIN)];
        matches!(poll(&mut descriptors, timeout), Ok(1..)) && self.drain()
    }

    /// Takes all messages; whether there were some.
    pub fn drain(&self) -> bool {
        let mut buffer = [0; 64];
        // The rest of a longer message is dropped by the kernel, as it should be.
        let taken =
            (0..MAX_DRAIN).take_while(|_| !matches!(self.netlink.event(&mut buffer), Ok(Event::Nothing) | Err(_)));
        taken.count() > 0
    }
}
