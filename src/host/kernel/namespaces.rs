//! The network namespaces that workloads' processes are in.
//!
//! Contract: each is entered once, on a thread of its own that ends; its socket stays there and reports changes, so that
//! interfaces are listed when something changed, and every [`AGAIN`] in any case. Limits: [`MAX_NAMESPACES`]; an open socket keeps
//! a namespace alive until the look that finds nobody in it. Source: `network_namespaces(7)`, setns(2), rtnetlink(7).

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs::File;
use std::os::fd::AsRawFd as _;
use std::sync::Arc;
use std::time::Duration;

use nix::sys::socket::SockProtocol;

use super::interfaces;
use super::missed::Missed;
use super::settings;
use super::workloads::Workloads;
use crate::host::links::LINKS;
use crate::host::netlink::{BUFFER, Netlink};
use crate::host::{HostError, Netns};
use crate::input::{InsideInterface, InterfaceSettings, KernelFact, MissedKind, NamespaceView, NetnsId, WorkloadId};
use crate::time::Timestamp;

const MAX_NAMESPACES: usize = 1024;
/// Listed again although nothing was reported.
const AGAIN: Duration = Duration::from_secs(5);
/// One that could not be entered is tried again.
const RETRY: Duration = Duration::from_secs(10);
/// Messages of a namespace taken at once.
const MAX_NEWS: usize = 1024;
/// `RTMGRP_LINK`, `RTMGRP_IPV4_IFADDR`, `RTMGRP_IPV6_IFADDR`, `RTNLGRP_IPV4_NETCONF`, `RTNLGRP_IPV6_NETCONF`.
const GROUPS: u32 = 0x1 | 0x10 | 0x100 | 0x80_0000 | 0x100_0000;
/// `RTM_NEWNETCONF`: forwarding, `rp_filter` or `proxy_arp` of an interface or of all has changed.
const NEWNETCONF: u16 = 80;
/// Settings of all interfaces are read again although nothing was reported: it takes a thread that enters the namespace.
const SETTINGS_AGAIN: Duration = Duration::from_mins(1);
/// Processes of a namespace that are tried for its door.
const MAX_DOORS: usize = 8;

/// Who is in a namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Inhabitants {
    /// Workloads whose first process is in it.
    pub(super) workloads: Vec<WorkloadId>,
    /// Workloads with any process in it.
    pub(super) with_process: usize,
    /// Some of the processes: doors to it.
    pub(super) pids: Vec<u32>,
    /// Grows when a workload comes in: what was nobody's before may be its.
    pub(super) arrivals: u64,
}

#[derive(Debug, Default)]
struct Known {
    inhabitants: Inhabitants,
    route: Option<Netlink>,
    stale: bool,
    listed: Option<Timestamp>,
    /// Not before this time again.
    refused: Option<Timestamp>,
    interfaces: Vec<InsideInterface>,
    settings: Option<InterfaceSettings>,
    settings_read: Option<Timestamp>,
    reported: Option<Arc<NamespaceView>>,
    counted: BTreeSet<MissedKind>,
}

/// All of them.
#[derive(Debug)]
pub(super) struct Namespaces {
    host: NetnsId,
    door: File,
    route: Netlink,
    /// Names of the host's links; absent when something changed there.
    links: Option<HashMap<u32, String>>,
    known: BTreeMap<NetnsId, Known>,
    overflowed: BTreeSet<NetnsId>,
}

impl Namespaces {
    /// The host's is the one of the calling thread.
    pub(super) fn new() -> Result<Self, HostError> {
        let host = Netns::own().map_err(HostError::OwnNamespace)?;
        let door = File::open("/proc/thread-self/ns/net").map_err(HostError::OwnNamespace)?;
        let route = Netlink::open(SockProtocol::NetlinkRoute, GROUPS).map_err(|error| LINKS.failed(error))?;
        Ok(Self { host, door, route, links: None, known: BTreeMap::new(), overflowed: BTreeSet::new() })
    }

    pub(super) const fn host(&self) -> NetnsId {
        self.host
    }

    /// Who is in each namespace that is looked at, the host's among them.
    pub(super) fn iter(&self) -> impl Iterator<Item = (NetnsId, &Inhabitants)> {
        self.known.iter().map(|(netns, known)| (*netns, &known.inhabitants))
    }

    /// The name of an interface inside.
    pub(super) fn interface(&mut self, netns: NetnsId, index: u32, buffer: &mut [u8]) -> Option<String> {
        if netns == self.host {
            if self.links.is_none() {
                self.links = interfaces::host_links(&mut self.route, buffer).ok();
            }
            return self.links.as_ref()?.get(&index).cloned();
        }
        let inside = self.known.get(&netns)?.interfaces.iter().find(|interface| interface.index == index);
        inside.map(|interface| interface.name.clone())
    }

    /// Notes who is where now; what is new or empty becomes known or goes.
    pub(super) fn settle(&mut self, workloads: &Workloads, missed: &mut Missed, facts: &mut Vec<KernelFact>) {
        let mut now = inhabitants(workloads);
        now.entry(self.host).or_default();
        self.overflowed.retain(|netns| now.contains_key(netns));
        self.known.retain(|netns, _| {
            let stays = now.contains_key(netns);
            if !stays {
                facts.push(KernelFact::NamespaceGone { netns: *netns });
            }
            stays
        });
        for (netns, mut inhabitants) in now {
            if let Some(known) = self.known.get_mut(&netns) {
                inhabitants.arrivals =
                    known.inhabitants.arrivals + u64::from(inhabitants.has_newcomer(&known.inhabitants));
                known.inhabitants = inhabitants;
            } else if self.known.len() < MAX_NAMESPACES || netns == self.host {
                self.known.insert(netns, Known { inhabitants, stale: true, ..Known::default() });
            } else if self.overflowed.insert(netns) {
                missed.add(MissedKind::Overflow, 1);
            }
        }
    }

    /// Receives the news, lists what changed, and reports what is new.
    pub(super) fn list(&mut self, at: Timestamp, buffer: &mut [u8], missed: &mut Missed, facts: &mut Vec<KernelFact>) {
        if self.route.drain(MAX_NEWS, buffer, |_| {}).any {
            self.links = None;
        }
        let Self { host, door, route, links, known, .. } = self;
        let mut again = true;
        let mut name = |index: u32, buffer: &mut [u8]| {
            if let Some(name) = links.as_ref().and_then(|all| all.get(&index)) {
                return Some(name.clone());
            }
            // A link may be younger than the news that were received.
            if std::mem::take(&mut again) {
                *links = interfaces::host_links(route, buffer).ok();
            }
            links.as_ref()?.get(&index).cloned()
        };
        for (netns, known) in known {
            if netns != host {
                known.scan(*netns, door, &mut name, at, buffer, missed);
            }
            facts.extend(known.report(*netns, netns == host));
        }
    }
}

impl Inhabitants {
    fn has_newcomer(&self, before: &Self) -> bool {
        self.with_process > before.with_process || self.workloads.iter().any(|id| !before.workloads.contains(id))
    }
}

type HostName<'a> = dyn FnMut(u32, &mut [u8]) -> Option<String> + 'a;

impl Known {
    fn scan(
        &mut self,
        netns: NetnsId,
        host: &File,
        name: &mut HostName<'_>,
        at: Timestamp,
        buffer: &mut [u8],
        missed: &mut Missed,
    ) {
        self.enter(netns, at, missed);
        let Some(route) = &mut self.route else { return };
        let mut is_set = false;
        self.stale |= route.drain(MAX_NEWS, buffer, |message| is_set |= message.kind == NEWNETCONF).any;
        self.read_settings(netns, at, is_set);
        self.stale |= self.listed.is_none_or(|listed| at.since(listed) >= AGAIN);
        if self.stale {
            self.list(host, name, at, buffer, missed);
        }
    }

    /// Puts its socket there, unless it is there, or was refused just now.
    fn enter(&mut self, netns: NetnsId, at: Timestamp, missed: &mut Missed) {
        if self.route.is_some() || self.refused.is_some_and(|until| until > at) {
            return;
        }
        self.stale = true;
        self.refused = None;
        match open_in(netns, &self.inhabitants.pids, || Netlink::open(SockProtocol::NetlinkRoute, GROUPS)) {
            Ok(route) => self.route = Some(route),
            Err(_) => self.refuse(at, missed),
        }
    }

    /// Lists its interfaces anew.
    fn list(&mut self, host: &File, name: &mut HostName<'_>, at: Timestamp, buffer: &mut [u8], missed: &mut Missed) {
        let Some(route) = &mut self.route else { return };
        // The host's names are listed with a buffer of their own: this one is in use while they are asked for.
        let mut second = Vec::new();
        let host_name = |index| {
            second.resize(BUFFER, 0);
            name(index, &mut second)
        };
        match interfaces::list(route, host.as_raw_fd(), host_name, buffer) {
            Ok(listed) => {
                self.interfaces = listed.interfaces;
                (self.stale, self.listed) = (listed.changed, Some(at));
                if listed.overflow > 0 && self.counted.insert(MissedKind::Overflow) {
                    missed.add(MissedKind::Overflow, listed.overflow);
                }
            }
            Err(_) => self.refuse(at, missed),
        }
    }

    /// Those of all interfaces, where they are news or were read long ago.
    fn read_settings(&mut self, netns: NetnsId, at: Timestamp, is_news: bool) {
        let is_due = self.settings_read.is_none_or(|read| at.since(read) >= SETTINGS_AGAIN || read > at);
        if is_news || is_due {
            self.settings_read = Some(at);
            let read = open_in(netns, &self.inhabitants.pids, || Ok(settings::read("all")));
            self.settings = read.ok().flatten().or(self.settings);
        }
    }

    fn refuse(&mut self, at: Timestamp, missed: &mut Missed) {
        self.route = None;
        self.refused = Some(at.plus(RETRY));
        if self.counted.insert(MissedKind::Namespace) {
            missed.add(MissedKind::Namespace, 1);
        }
    }

    fn report(&mut self, netns: NetnsId, host: bool) -> Option<KernelFact> {
        let same = self.reported.as_ref().is_some_and(|reported| {
            reported.workloads == self.inhabitants.workloads
                && reported.interfaces == self.interfaces
                && reported.settings == self.settings
        });
        if same {
            return None;
        }
        let (workloads, interfaces) = (self.inhabitants.workloads.clone(), self.interfaces.clone());
        let view = Arc::new(NamespaceView { netns, host, workloads, interfaces, settings: self.settings });
        self.reported = Some(Arc::clone(&view));
        Some(KernelFact::Namespace(view))
    }
}

fn inhabitants(workloads: &Workloads) -> BTreeMap<NetnsId, Inhabitants> {
    let mut all: BTreeMap<NetnsId, Inhabitants> = BTreeMap::new();
    for (id, running) in workloads.iter() {
        for netns in running.namespaces() {
            let here = all.entry(netns).or_default();
            here.with_process += 1;
            if running.netns() == Some(netns) {
                here.workloads.push(id.clone());
            }
            let room = MAX_DOORS.saturating_sub(here.pids.len());
            here.pids.extend(running.in_namespace(netns).iter().take(room));
        }
    }
    all
}

/// Opens something inside a namespace, by the door of one of its processes.
pub(super) fn open_in<T: Send>(
    netns: NetnsId,
    pids: &[u32],
    open: impl FnOnce() -> Result<T, nix::Error> + Send,
) -> Result<T, nix::Error> {
    let door = Netns::any_of(netns, pids).ok_or(nix::Error::ESRCH)?;
    door.enter(open).map_err(|_| nix::Error::EPERM)?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_host_is_told_once_and_a_workload_in_it_makes_it_news() {
        let (mut workloads, mut missed, mut facts) = (Workloads::new(), Missed::default(), Vec::new());
        let mut namespaces = Namespaces::new().expect("the host's namespace");
        let mut buffer = vec![0; BUFFER];
        for _ in 0..2 {
            namespaces.settle(&workloads, &mut missed, &mut facts);
            namespaces.list(Timestamp::from_secs(1), &mut buffer, &mut missed, &mut facts);
        }
        let [KernelFact::Namespace(host)] = &facts[..] else { panic!("{facts:?}") };
        assert!(host.host && host.workloads.is_empty() && host.interfaces.is_empty());
        let id = WorkloadId::new("one");
        workloads.start(&id, std::process::id());
        workloads.scan(true, &mut missed, &mut facts);
        facts.clear();
        namespaces.settle(&workloads, &mut missed, &mut facts);
        namespaces.list(Timestamp::from_secs(2), &mut buffer, &mut missed, &mut facts);
        let [KernelFact::Namespace(host)] = &facts[..] else { panic!("{facts:?}") };
        assert_eq!(host.workloads, [id]);
    }

    #[test]
    fn a_door_to_another_namespace_is_not_taken() {
        let opened = open_in(NetnsId(1), &[std::process::id()], || Ok(()));
        assert_eq!(opened, Err(nix::Error::ESRCH));
    }
}
