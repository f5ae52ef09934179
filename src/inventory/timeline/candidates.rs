//! Who claims an address, MAC or interface according to the kernel, and who speaks for a namespace that several share.
//!
//! Contract: the kernel shows what is in a namespace, the lifecycles of workloads say who was in it. What was there at the first look is taken to have
//! been there since the workload's start, unless somebody else had it according to the runtime. Limits: those of [`super::namespaces`].
//! Design: of several in one namespace a pod's sandbox owns it, else the one whose networks are its own; the others share.

use std::sync::Arc;

use super::Timeline;
use super::index::{Owners, Span};
use super::key::Key;
use super::namespaces::Inside;
use crate::input::{InsideInterface, Mac, NetworkMode, ObservationPoint, Workload, WorkloadId};
use crate::time::Timestamp;

/// A workload that may have owned something, and what speaks for it.
#[derive(Debug)]
pub(super) struct Candidate<'a> {
    pub(super) workload: &'a Arc<Workload>,
    /// The interface inside its namespace; absent when only the runtime reported it.
    pub(super) interface: Option<&'a InsideInterface>,
    /// Whether the runtime reported it.
    pub(super) by_runtime: bool,
    /// When that had ended, where it is late.
    ended: Option<Timestamp>,
}

/// What the kernel shows of a key at a time.
#[derive(Debug, Default)]
pub(super) struct Shown<'a> {
    /// Who had it then.
    pub(super) then: Vec<Candidate<'a>>,
    /// Who had it until shortly before.
    pub(super) late: Vec<Candidate<'a>>,
}

impl Shown<'_> {
    /// When the last of those who had it until shortly before lost it.
    pub(super) fn ended(&self) -> Option<Timestamp> {
        self.late.iter().filter_map(|candidate| candidate.ended).max()
    }
}

impl<'a> Candidate<'a> {
    pub(super) const fn by_runtime(span: &'a Span) -> Self {
        Self { workload: &span.workload, interface: None, by_runtime: true, ended: None }
    }

    /// Whether the interface with this MAC is the one that the claim rests on.
    pub(super) fn has_mac(&self, ip: std::net::IpAddr, mac: Mac) -> bool {
        let by_runtime = || self.workload.attachments.iter().any(|a| a.mac == Some(mac) && has(&a.addresses, ip));
        self.interface.is_some_and(|interface| interface.mac == Some(mac)) || by_runtime()
    }

    /// Whether this is the host's side of the interface that the claim rests on.
    pub(super) fn has_veth(&self, ip: std::net::IpAddr, point: &ObservationPoint) -> bool {
        let is_here = |name: Option<&str>| name == Some(point.as_str());
        let by_runtime =
            || self.workload.attachments.iter().any(|a| is_here(a.host_interface.as_deref()) && has(&a.addresses, ip));
        self.interface.is_some_and(|interface| is_here(interface.host_interface.as_deref())) || by_runtime()
    }
}

fn has(addresses: &[std::net::IpAddr], ip: std::net::IpAddr) -> bool {
    addresses.iter().any(|own| own.to_canonical() == ip)
}

impl Timeline {
    /// What the kernel shows of a key at a time, next to what the runtime reported; one claim a workload, in order of id.
    pub(super) fn shown(&self, key: &Key, at: Timestamp, by_runtime: &Owners<'_>) -> Shown<'_> {
        let mut shown = Shown::default();
        if self.namespaces.shows_nothing() {
            return shown;
        }
        for inside in self.namespaces.at(key) {
            if inside.covers(at) {
                let owners = self.owners_in(inside, at, by_runtime);
                shown.then.extend(owners);
                if shown.then.is_empty() {
                    shown.late.extend(self.just_left(inside, at));
                }
            } else if inside.late_at(at).is_some() {
                shown.late.extend(self.just_left(inside, at));
            }
        }
        let last = shown.ended();
        shown.late.retain(|candidate| candidate.ended == last);
        for candidates in [&mut shown.then, &mut shown.late] {
            candidates.sort_by(|a, b| a.workload.id.cmp(&b.workload.id));
            candidates.dedup_by(|a, b| a.workload.id == b.workload.id);
        }
        shown
    }

    /// Who owned something in a namespace then.
    fn owners_in<'a>(&'a self, inside: &'a Inside, at: Timestamp, by_runtime: &Owners<'_>) -> Vec<Candidate<'a>> {
        let Owners::Dated(residents) = self.lifecycles.index.owners(&Key::Home(inside.ns), at) else {
            return Vec::new();
        };
        // Seen only later: the one that had it according to the runtime until then is not driven out by a guess.
        let last_end = match by_runtime {
            _ if inside.seen <= at => None,
            Owners::Dated(_) => return Vec::new(),
            Owners::Late(spans) => spans.iter().filter_map(|span| span.until).max(),
            Owners::Undated(_) | Owners::None => None,
        };
        let came_after = |span: &&&Span| last_end.is_none_or(|end| span.from >= end);
        let residents: Vec<&Span> = residents.iter().filter(came_after).copied().collect();
        owners(&residents).into_iter().map(|span| shown_by(span, inside)).collect()
    }

    /// Who owned something in a namespace until shortly before: it went, or they did.
    fn just_left<'a>(&'a self, inside: &'a Inside, at: Timestamp) -> Vec<Candidate<'a>> {
        match self.lifecycles.index.owners(&Key::Home(inside.ns), at) {
            Owners::Late(spans) | Owners::Dated(spans) => {
                let ended = |span: &Span| span.late_at(at).into_iter().chain(inside.late_at(at)).min();
                let late = |span: &'a Span| Candidate { ended: ended(span), ..shown_by(span, inside) };
                owners(&spans).into_iter().map(late).collect()
            }
            Owners::Undated(_) | Owners::None => Vec::new(),
        }
    }

    /// The only one who had a MAC or interface at a time; nobody when several could have.
    pub(super) fn owner_of_key(&self, key: &Key, at: Timestamp) -> Option<&Arc<Workload>> {
        match self.lifecycles.index.owners(key, at) {
            // These come back with their address: the runtime gives both to the next workload.
            by_runtime @ (Owners::Late(_) | Owners::None) => match self.shown(key, at, &by_runtime).then[..] {
                [ref only] => Some(only.workload),
                _ => None,
            },
            Owners::Dated(spans) | Owners::Undated(spans) => match spans[..] {
                [only] => Some(&only.workload),
                _ => None,
            },
        }
    }

    /// The workload that owned a MAC at a time; nobody when several could have.
    pub fn owner_of_mac(&self, mac: Mac, at: Timestamp) -> Option<&Arc<Workload>> {
        self.owner_of_key(&Key::Mac(mac), at)
    }

    /// Whether nobody can have sent a frame with this MAC on the bridge of a network, or on a veth there: no workload has it, and it is not the
    /// host's. False where that is not known: while the runtimes' word is not complete, or where the host's own MAC was not reported.
    pub fn is_nobodys_mac(&self, point: &ObservationPoint, mac: Mac, at: Timestamp) -> bool {
        let bridge = || self.network_of_point(point)?.bridge.as_deref().map(ObservationPoint::new);
        let is_hosts = |bridge: &ObservationPoint| {
            let hosts = [bridge, point].map(|place| self.networks.host_mac(place));
            hosts[0].is_none() || hosts.contains(&Some(mac))
        };
        let is_owned = || {
            let key = Key::Mac(mac);
            let by_runtime = self.lifecycles.index.owners(&key, at);
            let shown = self.shown(&key, at, &by_runtime);
            !matches!(by_runtime, Owners::None) || !shown.then.is_empty() || !shown.late.is_empty()
        };
        !mac.is_multicast() && self.is_complete() && bridge().is_some_and(|bridge| !is_hosts(&bridge)) && !is_owned()
    }

    /// The workload behind a host-side interface at a time; nobody when several could be.
    pub fn owner_of_veth(&self, point: &ObservationPoint, at: Timestamp) -> Option<&Arc<Workload>> {
        self.owner_of_key(&Key::Veth(point.clone()), at)
    }

    /// The running workloads, other than itself, that were in the same namespace as a workload at a time.
    pub fn running_with(&self, workload: &Workload, at: Timestamp) -> Vec<&Arc<Workload>> {
        let home = self.lifecycles.anybody_shares().then(|| self.lifecycles.home_of(&workload.id, at)).flatten();
        let keys = home.map(Key::Home).into_iter().chain([Key::Joined(workload.id.clone())]);
        let mut ids: Vec<&WorkloadId> = Vec::new();
        for key in keys {
            ids.extend(self.lifecycles.index.ever(&key).map(|span| &span.workload.id));
        }
        if let NetworkMode::Container(joined) = &workload.network_mode {
            ids.push(joined);
        }
        ids.sort_unstable();
        ids.dedup();
        let running = ids.into_iter().filter(|id| **id != workload.id && self.is_running(id));
        running.filter_map(|id| self.workload(id)).filter(|other| self.are_together(workload, other, at)).collect()
    }

    /// Whether two workloads were in the same namespace at a time.
    pub fn are_together(&self, one: &Workload, other: &Workload, at: Timestamp) -> bool {
        let joined = |a: &Workload, b: &Workload| matches!(&a.network_mode, NetworkMode::Container(id) if *id == b.id);
        let home = || {
            self.lifecycles.home_of(&one.id, at).is_some_and(|ns| Some(ns) == self.lifecycles.home_of(&other.id, at))
        };
        one.id == other.id || joined(one, other) || joined(other, one) || (self.lifecycles.anybody_shares() && home())
    }
}

fn shown_by<'a>(span: &'a Span, inside: &'a Inside) -> Candidate<'a> {
    Candidate { workload: &span.workload, interface: Some(&*inside.interface), by_runtime: false, ended: None }
}

/// Of those in one namespace, the one that owns it: a pod's sandbox, else the one with networks of its own.
pub(super) fn stands_out<T>(all: &[T], workload: impl Fn(&T) -> &Workload) -> Option<&T> {
    let the_one = |is: &dyn Fn(&Workload) -> bool| {
        let mut those = all.iter().filter(|one| is(workload(one)));
        those.next().filter(|_| those.next().is_none())
    };
    let sandbox = the_one(&|workload| workload.pod.as_ref().is_some_and(|pod| pod.sandbox));
    sandbox.or_else(|| the_one(&|workload| workload.network_mode == NetworkMode::Own))
}

/// The one that owns a namespace, or else all that are in it.
fn owners<'a>(residents: &[&'a Span]) -> Vec<&'a Span> {
    stands_out(residents, |span| &span.workload).map_or_else(|| residents.to_vec(), |owner| vec![*owner])
}
