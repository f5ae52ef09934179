//! The kernel's connection tracking: which connections are translated, from one five-tuple to which other.
//!
//! Contract: a [`Watch`] reads one network namespace; it subscribes before it takes the first snapshot, so nothing falls between.
//! Bindings are reported once, and released once; lost events are reported as [`NatFact::Missed`], and a new snapshot then reports what
//! stands and releases what does not. Connections that are not translated cost a look at their two tuples.
//! Limits: needs `CAP_NET_ADMIN`; [`MAX_REMEMBERED`] bindings are remembered, what is beyond is reported but may be reported again; an entry
//! that came and went while events were lost is not known. ICMP has no identifiers here, as in the flow meter: pings of the same two
//! ends are one binding. Source: `linux/netfilter/nfnetlink_conntrack.h`.
//! Design: no clock, a caller brings the time and decides when a snapshot is worth its price ([`Watch::wants`]). Not subscribed to
//! updates: a translation stands when the entry is made. No filter in the kernel by the NAT bits of the status: IPVS translates without them.

mod message;
mod socket;
mod table;

use std::os::fd::{AsFd as _, BorrowedFd};
use std::time::Duration;

use nix::errno::Errno;

pub use self::message::{Connection, Tally, read};
pub use self::table::MAX_REMEMBERED;
use self::table::Table;
use super::HostError;
use super::netlink::{Event, Netlink};
use crate::input::{NatFact, NetnsId};
use crate::time::Timestamp;

/// Room for one answer: the kernel packs at most 32 KiB into one.
pub const BUFFER: usize = 64 * 1024;
/// What may wait in the kernel: a burst of some ten thousand connections. Only what waits takes memory.
pub const EVENT_BYTES: usize = 16 * 1024 * 1024;
/// Messages taken at one look.
const MAX_MESSAGES: usize = 16_384;
/// While losses go on, they are reported this often.
pub const LOSS_INTERVAL: Duration = Duration::from_millis(200);

/// Why connection tracking cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ConntrackError {
    /// The kernel refused.
    #[error(
        "no permission to read connection tracking: hopwatch needs CAP_NET_ADMIN; run it as root, or give the binary that capability"
    )]
    Permission,
    /// There is none.
    #[error("the kernel does not report connection tracking: load the module nf_conntrack_netlink")]
    Missing,
    /// Switched off.
    #[error("the kernel reports no connection tracking events: set the sysctl net.netfilter.nf_conntrack_events to 1")]
    NoEvents,
    /// An answer makes no sense.
    #[error("the kernel's list of connections is not understood at byte {at}; report it with the kernel's version")]
    Malformed {
        /// Where in the answer.
        at: usize,
    },
    /// A list that does not end.
    #[error("the kernel's list of connections did not end after {answers} answers")]
    Endless {
        /// How many were read.
        answers: usize,
    },
    /// Anything else.
    #[error("connection tracking cannot be read: {0}")]
    Other(Errno),
}

impl From<Errno> for ConntrackError {
    fn from(error: Errno) -> Self {
        match error {
            Errno::EPERM | Errno::EACCES => Self::Permission,
            // What nfnetlink answers for a subsystem that is not there.
            Errno::EINVAL | Errno::EOPNOTSUPP | Errno::EPROTONOSUPPORT => Self::Missing,
            other => Self::Other(other),
        }
    }
}

impl From<HostError> for ConntrackError {
    fn from(error: HostError) -> Self {
        match error {
            HostError::Netlink { source, .. } => source.into(),
            HostError::Malformed { at, .. } => Self::Malformed { at },
            HostError::TooMany { limit, .. } => Self::Endless { answers: limit },
            HostError::OwnNamespace(error) => {
                Self::Other(error.raw_os_error().map_or(Errno::UnknownErrno, Errno::from_raw))
            }
        }
    }
}

/// Takes facts; `false` when one found no room and is lost.
pub type Taker<'a> = dyn FnMut(NatFact) -> bool + 'a;

/// What a snapshot would be good for now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Want {
    /// Nothing.
    Nothing,
    /// To see whether bindings ended whose end the kernel may not report: entries that are older than the first listener have no events.
    Refresh,
    /// To know again what stands: none was taken yet, or events were lost.
    Now,
}

/// What was read since the watch was opened.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Messages, and those that made no sense.
    pub tally: Tally,
    /// How often the kernel had no room for an event.
    pub overruns: u64,
}

impl Counts {
    /// Adds another watch's.
    pub const fn add(&mut self, other: Self) {
        self.tally.add(other.tally);
        self.overruns += other.overruns;
    }
}

/// Hears of the connections of one network namespace. After an error it is of no use any more.
#[derive(Debug)]
pub struct Watch {
    netns: Option<NetnsId>,
    events: Netlink,
    requests: Netlink,
    table: Table,
    counts: Counts,
    /// Up to when everything is known; absent until there was a snapshot.
    good: Option<Timestamp>,
    /// Something was lost since then, and when that was reported last.
    lost: Option<Timestamp>,
    /// More was lost after that report.
    unreported: bool,
}

impl Watch {
    /// Subscribes, in the network namespace of the calling thread; `netns` names it in facts. `event_bytes` may wait in the kernel.
    pub fn open(netns: Option<NetnsId>, event_bytes: usize) -> Result<Self, ConntrackError> {
        let events = socket::subscribe(event_bytes)?;
        let requests = socket::open()?;
        if socket::events_are_off() {
            return Err(ConntrackError::NoEvents);
        }
        let (table, counts) = (Table::new(netns), Counts::default());
        Ok(Self { netns, events, requests, table, counts, good: None, lost: None, unreported: false })
    }

    /// Can be read when there are events.
    pub fn as_fd(&self) -> BorrowedFd<'_> {
        self.events.as_fd()
    }

    /// What was read so far.
    pub const fn counts(&self) -> Counts {
        self.counts
    }

    /// Up to when everything is known; before the first snapshot, nothing is.
    pub const fn good(&self) -> Option<Timestamp> {
        self.good
    }

    /// Bindings that stand, as far as they are remembered.
    pub fn bindings(&self) -> usize {
        self.table.len()
    }

    /// Whether a snapshot is worth its price.
    pub const fn wants(&self) -> Want {
        match (self.good, self.lost) {
            (None, _) | (_, Some(_)) => Want::Now,
            _ if self.table.has_quiet() => Want::Refresh,
            _ => Want::Nothing,
        }
    }

    /// Takes the events that wait, without waiting for more.
    pub fn receive(&mut self, at: Timestamp, buffer: &mut [u8], out: &mut Taker<'_>) -> Result<(), ConntrackError> {
        let Self { events, table, counts, .. } = self;
        let (mut fits, mut overruns, mut emptied) = (true, 0, false);
        for _ in 0..MAX_MESSAGES {
            match events.event(buffer)? {
                Event::Datagram(datagram) => {
                    let tally = read(datagram, |connection| fits &= table.take(connection, out));
                    counts.tally.add(tally);
                }
                Event::Overrun => overruns += 1,
                Event::Stranger => {}
                Event::Nothing => {
                    emptied = true;
                    break;
                }
            }
        }
        counts.overruns += overruns;
        if overruns > 0 || !fits || self.unreported {
            self.tell_lost(at, overruns > 0 || self.unreported, out);
        } else if emptied && self.lost.is_none() && self.good.is_some() {
            self.good = self.good.max(Some(at));
        }
        Ok(())
    }

    /// Takes a snapshot of all connections; what waits as events is to be received afterwards.
    pub fn snapshot(&mut self, at: Timestamp, buffer: &mut [u8], out: &mut Taker<'_>) -> Result<(), ConntrackError> {
        let Self { requests, table, counts, .. } = self;
        table.begin();
        let mut fits = true;
        let mut each = |connection: &Connection| fits &= table.see(connection, out);
        counts.tally.add(socket::dump(requests, buffer, &mut each)?);
        fits &= table.sweep(out);
        let (before, lost) = (self.good, self.lost.take());
        self.unreported = false;
        match (before, lost) {
            // The whole is reported only after all of its parts.
            (None, _) if !fits || !out(NatFact::Watched { netns: self.netns }) => return Ok(()),
            (Some(since), Some(_)) if self.netns.is_none() => _ = out(NatFact::Missed { count: 0, since }),
            _ => {}
        }
        self.good = before.max(Some(at));
        if !fits {
            self.lost = Some(at);
        }
        Ok(())
    }

    /// A receiver that refused facts reports that itself. For a namespace other than the host's nothing is reported: no verdict depends on its being
    /// complete, and a process in it could make the host's look lossy.
    fn tell_lost(&mut self, at: Timestamp, by_kernel: bool, out: &mut Taker<'_>) {
        let recently = self.lost.is_some_and(|last| at.since(last) < LOSS_INTERVAL && at >= last);
        let is_reported = by_kernel && self.netns.is_none();
        self.unreported = is_reported && recently;
        let Some(since) = self.good.filter(|_| is_reported && !recently) else {
            self.lost.get_or_insert(Timestamp::MIN);
            return;
        };
        self.lost = Some(at);
        out(NatFact::Missed { count: 0, since });
    }
}
