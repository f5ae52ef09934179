//! Puts together what runtime and kernel reported: who was behind one end of a flow.
//!
//! Contract: the owner is decided by the time of the packet; the runtime's dated word goes first, then what is the host's, then what the
//! kernel shows inside namespaces, then what has just ended, then undated snapshots. Where several share a namespace, the socket names the one.
//! Limits: a frame carries no direction, so the veth names a sender only where a bridge cannot have flooded the frame to it.

use std::collections::BTreeSet;
use std::net::IpAddr;
use std::sync::Arc;

use super::candidates::{Candidate, stands_out};
use super::index::{MAX_OWNERS, Owners, Span};
use super::key::Key;
use super::{AttributionMethod, AttributionQuery, Confidence, Doubt, Owner, SocketQuery, Timeline, is_no_host};
use crate::input::{Endpoint, NetworkMode, ObservationPoint, Protocol, SocketView, Workload};
use crate::time::Timestamp;

/// What the sockets behind an end say.
enum Holder<'a> {
    /// No socket is known.
    Unseen,
    /// One that no workload holds.
    Nobody,
    /// A workload's; whether others hold it too.
    One(&'a Arc<Workload>, bool),
    /// Several workloads', in order of id, and whether a process of none holds it too. None: the runtime has not reported whose.
    Several(Vec<Arc<Workload>>, bool),
}

impl Timeline {
    /// Who was behind this.
    pub fn attribute(&self, query: &AttributionQuery<'_>) -> Owner {
        let ip = query.ip.to_canonical();
        if let Some(workload) = self.inside(query.point, ip) {
            return self.settle(workload, AttributionMethod::Namespace, None, query);
        }
        if is_no_host(ip) {
            return Owner::External;
        }
        let key = Key::Ip(ip);
        let by_runtime = self.lifecycles.index.owners(&key, query.at);
        let mut shown = self.shown(&key, query.at, &by_runtime);
        if let Owners::Dated(spans) = &by_runtime {
            if let ([span], true) = (&spans[..], shown.then.is_empty()) {
                return self.only_one(&span.workload, query, AttributionMethod::Address, None);
            }
            // An address on an interface that reaches the host's links speaks against the runtime's word; one behind it does not.
            shown
                .then
                .retain(|candidate| candidate.interface.is_some_and(|interface| interface.host_interface.is_some()));
            return self.decide(&with_shown(spans, shown.then), query, AttributionMethod::Address, None);
        }
        if self.networks.is_host(ip) {
            return self.of_host(query);
        }
        if !shown.then.is_empty() {
            return self.decide(&shown.then, query, AttributionMethod::Namespace, None);
        }
        match &by_runtime {
            // The one that had it last.
            Owners::Late(spans) if shown.ended() <= spans.iter().filter_map(|span| span.until).max() => {
                self.decide(&with_shown(spans, Vec::new()), query, AttributionMethod::Address, Some(Doubt::Late))
            }
            _ if !shown.late.is_empty() => {
                self.decide(&shown.late, query, AttributionMethod::Namespace, Some(Doubt::Late))
            }
            Owners::Undated(spans) => {
                self.decide(&with_shown(spans, Vec::new()), query, AttributionMethod::Snapshot, Some(Doubt::Undated))
            }
            _ if self.networks.is_directed_broadcast(ip) => Owner::External,
            _ if self.networks.is_inside(ip) => Owner::Unknown,
            _ => Owner::External,
        }
    }

    /// The workload in whose namespace the point is, when the address is one of that namespace.
    fn inside(&self, point: &ObservationPoint, ip: IpAddr) -> Option<&Arc<Workload>> {
        let link = self.networks.link_inside(point)?;
        let id = link.inside.as_ref()?;
        let own = ip.is_loopback() || link.addresses.iter().any(|own| own.to_canonical() == ip);
        self.workload(id).filter(|_| own)
    }

    /// One claim is the owner; of several, MAC or veth must decide.
    fn decide(
        &self,
        candidates: &[Candidate<'_>],
        query: &AttributionQuery<'_>,
        how: AttributionMethod,
        why: Option<Doubt>,
    ) -> Owner {
        if candidates.len() > MAX_OWNERS {
            return Owner::Ambiguous { candidates: Vec::new(), host: false };
        }
        if let [candidate] = candidates {
            let how = if candidate.by_runtime { how } else { AttributionMethod::Namespace };
            return self.only_one(candidate.workload, query, how, why);
        }
        if let Some(owner) = self.decide_together(candidates, query, how, why) {
            return owner;
        }
        let ip = query.ip.to_canonical();
        let by_mac = |candidate: &Candidate<'_>| query.mac.is_some_and(|mac| candidate.has_mac(ip, mac));
        let by_veth = |candidate: &Candidate<'_>| candidate.has_veth(ip, query.point);
        if let Some(candidate) = the_only(candidates, by_mac) {
            return certain(candidate.workload, AttributionMethod::Mac, Some(Doubt::MacDecides));
        }
        if let Some(candidate) = the_only(candidates, by_veth) {
            return certain(candidate.workload, AttributionMethod::Veth, Some(Doubt::VethDecides));
        }
        Owner::Ambiguous {
            candidates: candidates.iter().map(|candidate| Arc::clone(candidate.workload)).collect(),
            host: false,
        }
    }

    fn only_one(
        &self,
        workload: &Arc<Workload>,
        query: &AttributionQuery<'_>,
        how: AttributionMethod,
        why: Option<Doubt>,
    ) -> Owner {
        let why = why.or_else(|| self.mac_differs(workload, query).then_some(Doubt::MacDiffers));
        self.settle(workload, how, why, query)
    }

    /// All claims are of one namespace: its owner, or else the one whose socket it is.
    fn decide_together(
        &self,
        candidates: &[Candidate<'_>],
        query: &AttributionQuery<'_>,
        how: AttributionMethod,
        why: Option<Doubt>,
    ) -> Option<Owner> {
        let (first, others) = candidates.split_first()?;
        if !others.iter().all(|other| self.are_together(first.workload, other.workload, query.at)) {
            return None;
        }
        let mut by_runtime = candidates.iter().filter(|candidate| candidate.by_runtime);
        let only_by_runtime = || by_runtime.next().filter(|_| by_runtime.next().is_none());
        if let Some(owner) = stands_out(candidates, |candidate| candidate.workload).or_else(only_by_runtime) {
            let how = if owner.by_runtime { how } else { AttributionMethod::Namespace };
            return Some(self.settle(owner.workload, how, why, query));
        }
        let home = self.lifecycles.home_of(&first.workload.id, query.at)?;
        let Holder::One(holder, others) = self.holder(home, query) else { return None };
        let why = why.or(others.then_some(Doubt::SharedSocket));
        Some(certain(holder, AttributionMethod::Socket, why))
    }

    /// The owner of the address; where it shares its namespace, the one whose socket it is.
    fn settle(
        &self,
        workload: &Arc<Workload>,
        how: AttributionMethod,
        why: Option<Doubt>,
        query: &AttributionQuery<'_>,
    ) -> Owner {
        let home =
            if self.lifecycles.anybody_shares() { self.lifecycles.home_of(&workload.id, query.at) } else { None };
        if !self.lifecycles.anybody_shares() || !self.shares(workload, home, query.at) {
            return certain(workload, how, why);
        }
        match home.map_or(Holder::Unseen, |ns| self.holder(ns, query)) {
            Holder::One(holder, others) => {
                certain(holder, AttributionMethod::Socket, why.or(others.then_some(Doubt::SharedSocket)))
            }
            Holder::Several(candidates, false) if !candidates.is_empty() => {
                Owner::Ambiguous { candidates, host: false }
            }
            Holder::Several(..) | Holder::Nobody | Holder::Unseen => {
                certain(workload, how, why.or(Some(Doubt::SharedNamespace)))
            }
        }
    }

    /// Whether others were in its namespace then, reported by the runtime or not yet.
    fn shares(&self, workload: &Workload, home: Option<u64>, at: Timestamp) -> bool {
        let mut keys = vec![Key::Joined(workload.id.clone())];
        keys.extend(home.into_iter().flat_map(|ns| [Key::Home(ns), Key::Stray(ns)]));
        let others = self.lifecycles.present(&keys, at).iter().any(|span| span.workload.id != workload.id);
        others || home.is_some_and(|ns| self.lifecycles.has_unreported(ns))
    }

    /// Other workloads that were in a workload's network namespace then, by the runtime's word or the kernel's; in order of id.
    pub fn companions(&self, workload: &Workload, at: Timestamp) -> Vec<Arc<Workload>> {
        if !self.lifecycles.anybody_shares() {
            return Vec::new();
        }
        let home = self.lifecycles.home_of(&workload.id, at);
        let inside: Vec<_> = home.into_iter().flat_map(|ns| [Key::Home(ns), Key::Stray(ns)]).collect();
        let mut others: Vec<Arc<Workload>> = Vec::new();
        let mut seen = BTreeSet::from([workload.id.clone()]);
        let mut found = self.joined_with(workload, at);
        // One may join a container that has joined another itself.
        while let Some(next) = found.pop() {
            if seen.insert(next.id.clone()) {
                found.extend(self.joined_with(&next, at));
                others.push(next);
            }
        }
        others.extend(self.lifecycles.present(&inside, at).into_iter().map(|span| Arc::clone(&span.workload)));
        others.retain(|other| other.id != workload.id);
        others.sort_by(|a, b| a.id.cmp(&b.id));
        others.dedup_by(|a, b| a.id == b.id);
        others
    }

    /// By the runtime's word: the one that a workload joined, and those that joined it or the same one.
    fn joined_with(&self, workload: &Workload, at: Timestamp) -> Vec<Arc<Workload>> {
        let mut keys = vec![Key::Joined(workload.id.clone())];
        let mut others: Vec<Arc<Workload>> = Vec::new();
        if let NetworkMode::Container(joined) = &workload.network_mode {
            keys.push(Key::Joined(joined.clone()));
            others.extend(self.workload(joined).cloned());
        }
        others.extend(self.lifecycles.present(&keys, at).into_iter().map(|span| Arc::clone(&span.workload)));
        others
    }

    /// An address of the host: its own, unless a workload in its namespace holds the socket.
    fn of_host(&self, query: &AttributionQuery<'_>) -> Owner {
        let ns = self.namespaces.host();
        match ns.map_or(Holder::Unseen, |ns| self.holder(ns, query)) {
            Holder::Nobody => Owner::Host,
            Holder::One(workload, others) => {
                certain(workload, AttributionMethod::Socket, others.then_some(Doubt::SharedSocket))
            }
            Holder::Several(candidates, host) => Owner::Ambiguous { host: host || candidates.is_empty(), candidates },
            Holder::Unseen => {
                let mut keys = vec![Key::HostNetwork];
                keys.extend(ns.into_iter().flat_map(|ns| [Key::Home(ns), Key::Stray(ns)]));
                let there = self.lifecycles.present(&keys, query.at);
                if there.is_empty() {
                    return Owner::Host;
                }
                let candidates = there.iter().map(|span| Arc::clone(&span.workload)).collect();
                Owner::Ambiguous { candidates, host: true }
            }
        }
    }

    /// Whether the kernel's next look may show whose socket of the host's namespace this is: a process may have got in there unseen.
    pub fn kernel_may_know(&self, query: &AttributionQuery<'_>) -> bool {
        self.namespaces.host().is_some_and(|ns| matches!(self.holder(ns, query), Holder::Unseen))
    }

    /// The workload that answers on the host for an address that is not the host's, by a connected socket of the host's namespace (TPROXY).
    pub fn interceptor(
        &self,
        protocol: Protocol,
        own: Endpoint,
        remote: Endpoint,
        at: Timestamp,
    ) -> Option<&Arc<Workload>> {
        let ns = self.namespaces.host()?;
        let wanted = SocketQuery { protocol, port: own.port, remote };
        let sockets = self.sockets.connected(ns, own.ip.to_canonical(), &wanted, at);
        let owner = sockets.iter().flat_map(|socket| &socket.owners).next()?;
        self.resident(ns, owner, at)
    }

    /// Who held the socket behind an end, in a namespace.
    fn holder(&self, ns: u64, query: &AttributionQuery<'_>) -> Holder<'_> {
        let Some(wanted) = &query.socket else { return Holder::Unseen };
        let sockets = self.sockets.find(ns, query.ip.to_canonical(), wanted, query.at);
        let nobodys = sockets.iter().any(|socket| socket.owners.is_empty());
        let mut ids: Vec<_> = sockets.iter().flat_map(|socket: &&SocketView| &socket.owners).collect();
        ids.sort();
        ids.dedup();
        if ids.is_empty() {
            return if nobodys { Holder::Nobody } else { Holder::Unseen };
        }
        let known: Vec<_> = ids.iter().filter_map(|id| self.resident(ns, id, query.at)).collect();
        match known[..] {
            [only] if ids.len() == 1 => Holder::One(only, nobodys),
            _ => Holder::Several(known.into_iter().cloned().collect(), nobodys),
        }
    }

    /// The socket of a workload behind one of its ends, in its own namespace or the host's, where one was seen and no other is as likely.
    pub fn socket_of(
        &self,
        workload: &Workload,
        ip: IpAddr,
        wanted: &SocketQuery,
        at: Timestamp,
    ) -> Option<&SocketView> {
        let home = self.lifecycles.home_of(&workload.id, at);
        let places = home.into_iter().chain(self.namespaces.host().filter(|host| Some(*host) != home));
        places.into_iter().find_map(|ns| {
            let found = self.sockets.find(ns, ip.to_canonical(), wanted, at);
            let mut held = found.into_iter().filter(|socket| socket.owners.contains(&workload.id));
            held.next().filter(|_| held.next().is_none())
        })
    }

    /// A workload as it was in a namespace then, or else as it is known.
    fn resident(&self, ns: u64, id: &crate::input::WorkloadId, at: Timestamp) -> Option<&Arc<Workload>> {
        let there = self.lifecycles.index.owners(&Key::Home(ns), at);
        let then = match there {
            Owners::Dated(spans) => spans.iter().find(|span| span.workload.id == *id).copied(),
            _ => None,
        };
        then.map(|span| &span.workload).or_else(|| self.workload(id))
    }

    /// Whether the frame's MAC speaks for somebody else: a spoofed address, or a workload that routes for this one.
    fn mac_differs(&self, workload: &Workload, query: &AttributionQuery<'_>) -> bool {
        let Some(mac) = query.mac else { return false };
        let key = Key::Mac(mac);
        let by_runtime = self.lifecycles.index.owners(&key, query.at);
        let differ = |other: &Workload| !self.are_together(workload, other, query.at);
        if let Owners::Dated(spans) = &by_runtime {
            return spans.len() <= MAX_OWNERS && spans.iter().all(|span| differ(&span.workload));
        }
        let shown = self.shown(&key, query.at, &by_runtime).then;
        !shown.is_empty() && shown.iter().all(|candidate| differ(candidate.workload))
    }

    /// The workload on whose veth a frame came in, where that is certain whatever its address and MAC say.
    pub fn sender_by_veth(&self, query: &AttributionQuery<'_>, to: IpAddr) -> Option<&Arc<Workload>> {
        let (point, at) = (query.point, query.at);
        let (owner, mac) = (self.owner_of_veth(point, at)?, query.mac?);
        let to = to.to_canonical();
        if is_no_host(to) || self.has(owner, to, at) || self.may_be_flooded(point, to) {
            return None;
        }
        // What the host routes to the workload carries the MAC of its bridge, or of its end of the veth.
        let bridge = self.network_at(point, query.ip).and_then(|network| network.bridge.as_deref());
        let host_macs = [self.host_mac(point), bridge.and_then(|name| self.host_mac(&ObservationPoint::new(name)))];
        let from_network = self.may_be_flooded(point, query.ip.to_canonical());
        let hosts_known = host_macs.iter().any(Option::is_some);
        let from_host = host_macs.contains(&Some(mac)) || !(hosts_known || from_network);
        (!from_host).then_some(owner)
    }

    /// Whether a workload, or another in its namespace, has an address.
    fn has(&self, workload: &Workload, ip: IpAddr, at: Timestamp) -> bool {
        let key = Key::Ip(ip);
        let by_runtime = self.lifecycles.index.owners(&key, at);
        let shown = self.shown(&key, at, &by_runtime);
        let spans: &[&Span] = match &by_runtime {
            Owners::Dated(spans) | Owners::Late(spans) | Owners::Undated(spans) => spans,
            Owners::None => &[],
        };
        let mut all =
            spans.iter().map(|span| &span.workload).chain(shown.then.iter().map(|candidate| candidate.workload));
        spans.len() > MAX_OWNERS || all.any(|other| self.are_together(workload, other, at))
    }

    /// Whether a bridge may bring a frame for this address to every port: a neighbour's, whose place it does not know.
    fn may_be_flooded(&self, point: &ObservationPoint, ip: IpAddr) -> bool {
        let network = self.network_at(point, ip);
        let in_range = network.is_some_and(|network| network.subnets.iter().any(|subnet| subnet.contains(ip)));
        in_range && !self.networks.is_host(ip)
    }
}

/// Owners of the runtime's word, and those of others that only the kernel shows; in order of id.
fn with_shown<'a>(spans: &[&'a Span], shown: Vec<Candidate<'a>>) -> Vec<Candidate<'a>> {
    let mut candidates: Vec<Candidate<'a>> = spans.iter().map(|span| Candidate::by_runtime(span)).collect();
    for other in shown {
        if candidates.iter().all(|candidate| candidate.workload.id != other.workload.id) {
            candidates.push(other);
        }
    }
    candidates.sort_by(|a, b| a.workload.id.cmp(&b.workload.id));
    candidates
}

/// A workload, exactly unless there is a doubt.
fn certain(workload: &Arc<Workload>, how: AttributionMethod, why: Option<Doubt>) -> Owner {
    let confidence = if why.is_some() { Confidence::Likely } else { Confidence::Exact };
    Owner::Workload { workload: Arc::clone(workload), how, confidence, why }
}

/// The one claim for which `holds` answers true.
fn the_only<'a, 'b>(
    candidates: &'b [Candidate<'a>],
    holds: impl Fn(&Candidate<'a>) -> bool,
) -> Option<&'b Candidate<'a>> {
    let mut matching = candidates.iter().filter(|candidate| holds(candidate));
    matching.next().filter(|_| matching.next().is_none())
}
