//! The sockets of namespaces in which more than one could own a flow, and who holds them.
//!
//! Contract: a socket is reported as nobody's only when two searches, of processes listed after it was seen, found no holder; where a
//! search was not complete it is counted and not reported. When a workload comes in, what was nobody's is searched again, and reported again
//! with its owner: runtimes report a container after it has started. Sockets that were destroyed without having been seen are counted.
//! Limits: [`MAX_SOCKETS`] a namespace. Design: looked at are the host's namespace while a workload is in it, and shared ones.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use nix::sys::socket::SockProtocol;

use super::diag::{self, DiagSocket};
use super::missed::Missed;
use super::namespaces::{Inhabitants, Namespaces, open_in};
use super::proc;
use super::socket_owners::{self, Found};
use super::workloads::Workloads;
use crate::host::netlink::Netlink;
use crate::input::{KernelFact, MissedKind, NetnsId, SocketEvidence, SocketView, WorkloadId};
use crate::time::Timestamp;

/// What may wait of destroyed sockets until the next scan.
const DESTROYED_BYTES: usize = 1024 * 1024;
const MAX_SOCKETS: usize = 16_384;
/// Messages of destroyed sockets taken at once.
const MAX_DESTROYED: usize = 16_384;
/// Dumps after which a socket that is not seen any more, and was not reported to be destroyed, is forgotten.
const FORGET: u32 = 16;
const RETRY: Duration = Duration::from_secs(10);

/// All namespaces whose sockets are looked at.
#[derive(Debug, Default)]
pub(super) struct Sockets {
    watched: BTreeMap<NetnsId, Watched>,
    refused: BTreeMap<NetnsId, Timestamp>,
}

#[derive(Debug)]
struct Watched {
    diag: Netlink,
    /// Absent where this process may not receive it.
    destroyed: Option<Netlink>,
    known: HashMap<u64, Known>,
    /// Cookies of sockets that were seen with a holder, and the last dump that had them.
    cookies: HashMap<u64, u32>,
    turn: u32,
    /// Time of the last dump.
    last: Option<Timestamp>,
    /// Sockets without room at the last dump.
    refused: usize,
    /// Of the namespace, at the last look.
    arrivals: u64,
}

#[derive(Debug)]
struct Known {
    socket: DiagSocket,
    since: Option<Timestamp>,
    seen: u32,
    standing: Standing,
}

/// How far a socket is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Standing {
    /// Not searched yet.
    New,
    /// One search found no holder.
    Unheld,
    /// Reported, with an owner.
    Reported,
    /// Reported as nobody's.
    Nobody,
    /// Its holder cannot be known; counted.
    Missed,
}

/// What a look needs from outside.
pub(super) struct ScanContext<'a> {
    pub(super) at: Timestamp,
    pub(super) workloads: &'a mut Workloads,
    pub(super) namespaces: &'a Namespaces,
    /// Processes were listed just before.
    pub(super) listed: bool,
    pub(super) buffer: &'a mut [u8],
    pub(super) missed: &'a mut Missed,
    pub(super) facts: &'a mut Vec<KernelFact>,
}

impl Sockets {
    /// Whether any namespace's sockets are looked at.
    pub(super) fn is_idle(&self) -> bool {
        self.watched.is_empty()
    }

    /// Looks at all namespaces that need it.
    pub(super) fn scan(&mut self, context: &mut ScanContext<'_>) {
        let host = context.namespaces.host();
        let all = context.namespaces.iter();
        let wanted: BTreeMap<NetnsId, &Inhabitants> =
            all.filter(|(netns, inside)| inside.with_process > usize::from(*netns != host)).collect();
        self.watched.retain(|netns, watched| {
            let stays = wanted.contains_key(netns);
            if !stays {
                context.facts.extend(watched.all_told().map(|inode| KernelFact::SocketClosed { netns: *netns, inode }));
            }
            stays
        });
        self.refused.retain(|netns, until| wanted.contains_key(netns) && *until > context.at);
        for (netns, inside) in wanted {
            if !self.watched.contains_key(&netns) && !self.refused.contains_key(&netns) {
                match Watched::open(netns, &inside.pids, netns == host) {
                    Ok(watched) => _ = self.watched.insert(netns, watched),
                    Err(_) => self.refuse(netns, context),
                }
            }
            let Some(watched) = self.watched.get_mut(&netns) else { continue };
            if !watched.scan(netns, inside.arrivals, context) {
                self.watched.remove(&netns);
                self.refuse(netns, context);
            }
        }
    }

    fn refuse(&mut self, netns: NetnsId, context: &mut ScanContext<'_>) {
        self.refused.insert(netns, context.at.plus(RETRY));
        context.missed.add(MissedKind::Namespace, 1);
    }
}

impl Watched {
    fn open(netns: NetnsId, pids: &[u32], here: bool) -> Result<Self, nix::Error> {
        let open = || {
            let destroyed = Netlink::open(SockProtocol::NetlinkSockDiag, diag::DESTROYED).ok();
            if let Some(destroyed) = &destroyed {
                destroyed.enlarge(DESTROYED_BYTES);
            }
            Ok((Netlink::open(SockProtocol::NetlinkSockDiag, 0)?, destroyed))
        };
        let (diag, destroyed) = if here { open()? } else { open_in(netns, pids, open)? };
        let (known, cookies) = (HashMap::new(), HashMap::new());
        Ok(Self { diag, destroyed, known, cookies, turn: 0, last: None, refused: 0, arrivals: 0 })
    }

    fn all_told(&self) -> impl Iterator<Item = u64> {
        self.known.iter().filter(|(_, known)| known.standing.is_told()).map(|(inode, _)| *inode)
    }

    /// One look; whether the kernel answered.
    fn scan(&mut self, netns: NetnsId, arrivals: u64, context: &mut ScanContext<'_>) -> bool {
        if let Some(destroyed) = self.destroyed.as_mut().filter(|_| self.last.is_none()) {
            // Before the first dump nothing was seen that could be missed.
            destroyed.drain(MAX_DESTROYED, context.buffer, |_| {});
        }
        let began = context.at;
        if !self.dump(netns, context) {
            context.facts.extend(self.all_told().map(|inode| KernelFact::SocketClosed { netns, inode }));
            return false;
        }
        self.close(netns, context);
        let again = std::mem::replace(&mut self.arrivals, arrivals) != arrivals;
        self.resolve(netns, again, context);
        self.count_destroyed(context);
        self.last = Some(began);
        true
    }

    fn dump(&mut self, netns: NetnsId, context: &mut ScanContext<'_>) -> bool {
        self.turn = self.turn.wrapping_add(1);
        let (turn, last) = (self.turn, self.last);
        let (known, cookies) = (&mut self.known, &mut self.cookies);
        let mut refused = 0_usize;
        let answer = diag::dump(&mut self.diag, context.buffer, |socket| {
            if socket.inode == 0 {
                // Nobody holds it any more, but it is the one that was seen.
                cookies.entry(socket.cookie).and_modify(|seen| *seen = turn);
                return;
            }
            let room = known.len() < MAX_SOCKETS;
            match known.get_mut(&socket.inode) {
                Some(known) if known.socket.same(&socket) => known.seen = turn,
                // A datagram socket was connected, or the number belongs to another socket now.
                Some(known) => {
                    if known.standing.is_told() {
                        context.facts.push(KernelFact::SocketClosed { netns, inode: socket.inode });
                    }
                    *known = Known { seen: turn, since: last, standing: Standing::New, socket: socket.clone() };
                }
                None if room => {
                    let fresh = Known { seen: turn, since: last, standing: Standing::New, socket: socket.clone() };
                    known.insert(socket.inode, fresh);
                }
                None => {
                    refused += 1;
                    return;
                }
            }
            cookies.insert(socket.cookie, turn);
        });
        context.missed.add(MissedKind::Overflow, refused.saturating_sub(self.refused));
        self.refused = refused;
        if last.is_none() {
            context.missed.add(MissedKind::Namespace, usize::from(matches!(answer, Ok(1..))));
        }
        answer.is_ok()
    }

    /// Those that are not there any more.
    fn close(&mut self, netns: NetnsId, context: &mut ScanContext<'_>) {
        let turn = self.turn;
        let gone = self.known.extract_if(|_, known| known.seen != turn);
        for (inode, known) in gone {
            match known.standing {
                Standing::Reported | Standing::Nobody => context.facts.push(KernelFact::SocketClosed { netns, inode }),
                Standing::New | Standing::Unheld => context.missed.add(MissedKind::SocketOwner, 1),
                Standing::Missed => {}
            }
        }
        self.cookies.retain(|_, seen| turn.wrapping_sub(*seen) < FORGET);
    }

    /// Finds the holders of those that are not reported yet, or `again` of all that have none.
    fn resolve(&mut self, netns: NetnsId, again: bool, context: &mut ScanContext<'_>) {
        let open = |known: &&mut Known| known.standing.is_open(again);
        if !self.known.values().any(|known| known.standing.is_open(again)) {
            return;
        }
        if !context.listed {
            context.workloads.scan_in(netns, context.missed, context.facts);
        }
        let groups = groups(context.workloads);
        for known in self.known.values_mut().filter(open) {
            let owner = known.socket.cgroup.and_then(|id| groups.get(&id));
            if let Some(owner) = owner {
                context.facts.push(known.report(netns, vec![owner.clone()], SocketEvidence::Cgroup, None));
            }
        }
        let wanted: HashSet<u64> = self.known.values_mut().filter(open).map(|known| known.socket.inode).collect();
        if wanted.is_empty() {
            return;
        }
        let found = socket_owners::find(context.workloads, netns, &wanted);
        for known in self.known.values_mut().filter(open) {
            known.search(netns, &found, context);
        }
    }

    fn count_destroyed(&mut self, context: &mut ScanContext<'_>) {
        let Some(destroyed) = &mut self.destroyed else { return };
        let (cookies, mut unseen) = (&mut self.cookies, 0);
        let received = destroyed.drain(MAX_DESTROYED, context.buffer, |message| {
            let cookie = diag::destroyed(message);
            unseen += usize::from(cookie.is_some_and(|cookie| cookies.remove(&cookie).is_none()));
        });
        // Where sockets had no room, those that were refused are no short ones.
        let short = if self.refused > 0 { 0 } else { unseen };
        context.missed.add(MissedKind::ShortSocket, short);
        context.missed.add(MissedKind::Overflow, usize::from(received.lost));
    }
}

impl Known {
    fn search(&mut self, netns: NetnsId, found: &Found, context: &mut ScanContext<'_>) {
        if let Some(holder) = found.holders.get(&self.socket.inode) {
            let owners = holder.owners.iter().cloned().collect();
            context.facts.push(self.report(netns, owners, SocketEvidence::Process, Some(holder.pid)));
            return;
        }
        match self.standing {
            Standing::New | Standing::Unheld if !found.complete => {
                self.standing = Standing::Missed;
                context.missed.add(MissedKind::SocketOwner, 1);
            }
            Standing::New => self.standing = Standing::Unheld,
            Standing::Unheld => {
                context.facts.push(self.report(netns, Vec::new(), SocketEvidence::Process, None));
                self.standing = Standing::Nobody;
            }
            Standing::Reported | Standing::Nobody | Standing::Missed => {}
        }
    }

    fn report(&mut self, netns: NetnsId, owners: Vec<WorkloadId>, how: SocketEvidence, pid: Option<u32>) -> KernelFact {
        let command = pid.map(proc::command).filter(|name| !name.is_empty());
        self.standing = Standing::Reported;
        KernelFact::SocketOpened(Arc::new(SocketView {
            netns,
            inode: self.socket.inode,
            protocol: self.socket.protocol,
            local: self.socket.local,
            remote: self.socket.remote,
            owners,
            how,
            command,
            pid,
            since: self.since,
        }))
    }
}

impl Standing {
    const fn is_told(self) -> bool {
        matches!(self, Self::Reported | Self::Nobody)
    }

    /// Whether its holder is searched; `again`: also where that found nothing before.
    const fn is_open(self, again: bool) -> bool {
        matches!(self, Self::New | Self::Unheld) || again && matches!(self, Self::Nobody | Self::Missed)
    }
}

impl DiagSocket {
    fn same(&self, other: &Self) -> bool {
        (self.cookie, self.local, self.remote) == (other.cookie, other.local, other.remote)
    }
}

/// Whose control group each id is.
fn groups(workloads: &Workloads) -> HashMap<u64, WorkloadId> {
    let each = workloads.iter().flat_map(|(id, running)| running.cgroup_ids().iter().map(|group| (*group, id.clone())));
    each.collect()
}
