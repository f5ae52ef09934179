//! The two sockets of a watch: one receives events, one asks for all connections.
//!
//! Contract: see [`crate::host::netlink`]. Limits: [`super::BUFFER`] bytes a message, as many answers of a list as [`CONNECTIONS`] says.

use nix::errno::Errno;
use nix::sys::socket::SockProtocol;

use super::ConntrackError;
use super::message::{self, Connection, FIXED, Tally};
use crate::host::netlink::{Netlink, Query};

/// `IPCTNL_MSG_CT_GET` of `NFNL_SUBSYS_CTNETLINK`. A table of some million connections: an answer holds about a hundred.
const CONNECTIONS: Query = Query { asked: "the list of connections", kind: 0x0101, answers: 65_536 };
/// `NF_NETLINK_CONNTRACK_NEW` and `NF_NETLINK_CONNTRACK_DESTROY`.
const GROUPS: u32 = 0x1 | 0x4;

/// For requests, in the namespace of the calling thread.
pub(super) fn open() -> Result<Netlink, Errno> {
    Netlink::open(SockProtocol::NetlinkNetFilter, 0)
}

/// Receives connections from now on.
pub(super) fn subscribe(bytes: usize) -> Result<Netlink, Errno> {
    let events = Netlink::open(SockProtocol::NetlinkNetFilter, GROUPS)?;
    events.enlarge(bytes);
    Ok(events)
}

/// Asks for all connections; `each` sees those that are translated.
pub(super) fn dump(
    requests: &mut Netlink,
    buffer: &mut [u8],
    each: &mut dyn FnMut(&Connection),
) -> Result<Tally, ConntrackError> {
    let mut tally = Tally::default();
    requests.dump(&CONNECTIONS, &[0; FIXED], buffer, |message| message::take(message, &mut tally, each))?;
    Ok(tally)
}

/// Whether the sysctl of the calling thread's namespace says that no events are made; one that is not there says nothing.
pub(super) fn events_are_off() -> bool {
    std::fs::read_to_string("/proc/sys/net/netfilter/nf_conntrack_events").is_ok_and(|value| value.trim() == "0")
}
