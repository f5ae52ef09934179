//! Which sockets the kernel showed in which namespace, over time.
//!
//! Contract: a socket is found by its namespace, protocol, own port and other end; one that is connected to the other end goes before one that
//! takes from anybody, one bound to the address before one bound to all, one that was open then before one that had just closed.
//! Limits: [`MAX_SOCKETS`], the closed included; at the bound the oldest closed goes first, and with none closed the newcomer is refused; both are
//! counted. Design: connected sockets are kept under their other end, so a busy server's port is no long list.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use super::index::late_at;
use crate::input::{Endpoint, Protocol, SocketView};
use crate::inventory::SocketQuery;
use crate::time::Timestamp;

/// A busy proxy's connections, several times.
pub(super) const MAX_SOCKETS: usize = 65_536;
/// A server's socket of a connection appears when it is accepted, shortly after the first packet.
const SOON: Duration = Duration::from_secs(1);

/// Where a socket is found: its namespace's number, protocol, own port, and the other end if it is connected.
type Door = (u64, Protocol, u16, Option<Endpoint>);

#[derive(Debug)]
struct Held {
    inode: u64,
    view: Arc<SocketView>,
    from: Timestamp,
    until: Option<Timestamp>,
}

#[derive(Debug, Default)]
pub(super) struct Sockets {
    doors: HashMap<Door, Vec<Held>, foldhash::fast::RandomState>,
    /// The open ones by namespace and inode.
    open: BTreeMap<(u64, u64), Door>,
    /// The closed ones in the order of their end.
    closed: VecDeque<(Timestamp, Door, u64)>,
    evicted: u64,
    refused: u64,
}

impl Sockets {
    /// A socket that is there now.
    pub(super) fn open(&mut self, at: Timestamp, ns: u64, view: &Arc<SocketView>) {
        let mut from = view.since.unwrap_or(Timestamp::MIN);
        let known = self.open.get(&(ns, view.inode)).copied();
        if let Some(held) = known.and_then(|door| self.held(door, view.inode)) {
            let same = held.view.local == view.local && held.view.remote == view.remote;
            if same && (held.view.owners.is_empty() || held.view.owners == view.owners) {
                // Its holder was found late, or nothing changed.
                held.view = Arc::clone(view);
                return;
            }
            from = at;
            self.close(at, ns, view.inode);
        }
        if !self.make_room() {
            self.refused += 1;
            return;
        }
        let remote = view.remote.map(canonical);
        let door = (ns, view.protocol, view.local.port, remote);
        self.doors.entry(door).or_default().push(Held { inode: view.inode, view: Arc::clone(view), from, until: None });
        self.open.insert((ns, view.inode), door);
    }

    /// A socket that is not there any more.
    pub(super) fn close(&mut self, at: Timestamp, ns: u64, inode: u64) {
        let Some(door) = self.open.remove(&(ns, inode)) else { return };
        if let Some(held) = self.held(door, inode) {
            held.until = Some(at);
            self.closed.push_back((at, door, inode));
        }
    }

    /// A namespace is gone, and so is every socket in it.
    pub(super) fn gone(&mut self, at: Timestamp, ns: u64) {
        let inodes: Vec<u64> = self.open.range((ns, 0)..=(ns, u64::MAX)).map(|((_, inode), _)| *inode).collect();
        for inode in inodes {
            self.close(at, ns, inode);
        }
    }

    /// Forgets what closed before a time.
    pub(super) fn forget(&mut self, horizon: Timestamp) {
        while self.closed.front().is_some_and(|(ended, ..)| *ended < horizon) {
            self.drop_oldest_closed();
        }
    }

    /// Closed ones forgotten early, and open ones refused.
    pub(super) const fn costs(&self) -> (u64, u64) {
        (self.evicted, self.refused)
    }

    /// The sockets behind one end of a flow, none when none is known; several when they are equally likely.
    pub(super) fn find(&self, ns: u64, ip: IpAddr, wanted: &SocketQuery, at: Timestamp) -> Vec<&SocketView> {
        if self.doors.is_empty() {
            return Vec::new();
        }
        let behind = |remote| {
            let held = self.doors.get(&(ns, wanted.protocol, wanted.port, remote));
            held.into_iter().flatten().filter(|held| takes(held.view.local.ip, ip)).collect::<Vec<_>>()
        };
        let connected = behind(Some(canonical(wanted.remote)));
        let found = at_that_time(&connected, at, true);
        if !found.is_empty() {
            return found;
        }
        let (bound, to_all): (Vec<_>, Vec<_>) =
            behind(None).into_iter().partition(|held| !held.view.local.ip.is_unspecified());
        let found = at_that_time(&bound, at, false);
        if found.is_empty() { at_that_time(&to_all, at, false) } else { found }
    }

    /// The sockets that are bound to this very address and connected to the other end.
    pub(super) fn connected(&self, ns: u64, ip: IpAddr, wanted: &SocketQuery, at: Timestamp) -> Vec<&SocketView> {
        let held = self.doors.get(&(ns, wanted.protocol, wanted.port, Some(canonical(wanted.remote))));
        let here: Vec<_> = held.into_iter().flatten().filter(|held| held.view.local.ip.to_canonical() == ip).collect();
        at_that_time(&here, at, true)
    }

    fn held(&mut self, door: Door, inode: u64) -> Option<&mut Held> {
        self.doors.get_mut(&door)?.iter_mut().find(|held| held.inode == inode && held.until.is_none())
    }

    fn make_room(&mut self) -> bool {
        while self.open.len() + self.closed.len() >= MAX_SOCKETS {
            if !self.drop_oldest_closed() {
                return false;
            }
            self.evicted += 1;
        }
        true
    }

    fn drop_oldest_closed(&mut self) -> bool {
        let Some((_, door, inode)) = self.closed.pop_front() else { return false };
        let Some(held) = self.doors.get_mut(&door) else { return true };
        if let Some(oldest) = held.iter().position(|held| held.inode == inode && held.until.is_some()) {
            held.remove(oldest);
        }
        if held.is_empty() {
            self.doors.remove(&door);
        }
        true
    }

    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.doors.values().map(Vec::len).sum()
    }
}

fn canonical(end: Endpoint) -> Endpoint {
    Endpoint { ip: end.ip.to_canonical(), port: end.port }
}

/// Whether a socket bound to `local` has to do with packets of `ip`. One bound to `::` takes IPv4 too, unless configured otherwise.
fn takes(local: IpAddr, ip: IpAddr) -> bool {
    match local.to_canonical() {
        local if local == ip => true,
        IpAddr::V4(local) => local.is_unspecified() && ip.is_ipv4(),
        IpAddr::V6(local) => local.is_unspecified(),
    }
}

/// Those that were open then, or else those that had closed last shortly before, or else (`soon`) those that opened first shortly after.
fn at_that_time<'a>(held: &[&'a Held], at: Timestamp, soon: bool) -> Vec<&'a SocketView> {
    let pick = |wanted: &dyn Fn(&Held) -> bool| -> Vec<&'a SocketView> {
        held.iter().filter(|held| wanted(held)).map(|held| &*held.view).collect()
    };
    let open = pick(&|held| held.from <= at && held.until.is_none_or(|until| at < until));
    if !open.is_empty() {
        return open;
    }
    if let Some(last) = held.iter().filter_map(|held| late_at(held.until, at)).max() {
        return pick(&|held| held.until == Some(last));
    }
    let after = |held: &Held| (soon && held.from > at && held.from.since(at) <= SOON).then_some(held.from);
    let first = held.iter().filter_map(|held| after(held)).min();
    pick(&|held| first.is_some() && after(held) == first)
}
