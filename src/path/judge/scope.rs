//! Whether a contract is about a flow: whose it is, and where it goes.

use std::net::IpAddr;
use std::sync::Arc;

use super::Case;
use crate::input::{Endpoint, FiveTuple, FlowRecord, Mac, Protocol, TunnelKind, Workload};
use crate::inventory::{AttributionQuery, Doubt, Owner, SocketQuery, Timeline};
use crate::path::source::is_anothers;
use crate::path::trail::Trail;
use crate::path::{Contract, DestinationSet, Family, Hop, HopKind, Service, is_internet};

/// Whether a contract's workloads are meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum InScope {
    Yes,
    No,
    Maybe,
}

/// Whether the other end is one that the contract is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Destination {
    Inside,
    /// It is not, but what an encrypted tunnel carries there may be.
    Tunnel,
    Outside,
}

/// Whether this source is the contract's hop and the flow is of the kind that the contract steers to it.
pub(super) fn sends_on(
    contract: &Contract,
    timeline: &Timeline,
    trail: &Trail<'_>,
    (source, workload): (&Owner, &Workload),
) -> bool {
    // One that sends from an address that is not its own sends nothing on, unless it is there for that.
    let sends = |hop: &Hop| source.owns_address() || hop.passes_frames_on();
    let is_hop = |hop: &Hop| hop.kind != HopKind::Sidecar && sends(hop) && hop.is_workload(workload);
    contract.service != Service::Ingress
        && contract.hops().any(|hop| is_hop(hop))
        && is_destination(contract, timeline, trail, source)
}

/// Who really answers.
pub(super) fn responder(timeline: &Timeline, trail: &Trail<'_>) -> Owner {
    let (ends, flow) = (trail.ends(), trail.flow);
    // The far socket knows the originator by its translated address.
    let remote = trail.binding.map_or(ends.orig, |binding| binding.after.orig);
    let shown = matches!(ends.protocol, Protocol::TCP | Protocol::UDP);
    let socket = shown.then_some(SocketQuery { protocol: ends.protocol, port: ends.resp.port, remote });
    timeline.attribute(&AttributionQuery { point: &flow.point, ip: ends.resp.ip, socket, mac: None, at: flow.at })
}

pub(super) fn is_destination(contract: &Contract, timeline: &Timeline, trail: &Trail<'_>, source: &Owner) -> bool {
    let FiveTuple { protocol, orig, .. } = trail.flow.tuple;
    let resp = trail.meant();
    let of_family = |family: Family| Family::of(resp.ip) == family;
    // Every address on the way that a packet names counts.
    let via = routed_via(timeline, trail, source).iter().copied();
    let mut ways = std::iter::once(resp.ip).chain(via);
    contract.family.is_none_or(of_family)
        && ways.any(|ip| contract.remotes.iter().any(|set| is_remote(set, timeline, ip)))
        && (contract.ports.is_empty() || contract.ports.iter().any(|spec| spec.matches(protocol, resp.port)))
        && is_request(protocol, orig, trail.record)
}

/// The addresses that packets named as their way; none where other senders than the source named them.
pub(super) fn routed_via<'a>(timeline: &Timeline, trail: &Trail<'a>, source: &Owner) -> &'a [IpAddr] {
    let Some(rare) = &trail.record.rare else { return &[] };
    let is_anothers = |mac: &Mac| is_anothers(timeline, trail.record, *mac, source);
    let all_others = !rare.routed_by.is_empty() && rare.routed_by.iter().all(is_anothers);
    if all_others { &[] } else { &rare.routed_via }
}

/// `internet` is what lies outside of this host: container networks may have public ranges of their own.
fn is_remote(set: &DestinationSet, timeline: &Timeline, ip: IpAddr) -> bool {
    let is_local = || *set == DestinationSet::Internet && timeline.is_on_host(ip);
    set.contains(ip) && !is_local()
}

/// Every ICMP message that its sender chose to send. An error answers something (RFC 1122 §3.2.2, RFC 4443 §2.1): one that quotes a flow that was
/// seen is left out, and one that quotes nothing known is not.
fn is_request(protocol: Protocol, orig: Endpoint, record: &FlowRecord) -> bool {
    let is_error = match protocol {
        Protocol::ICMP => matches!(orig.port, 3 | 4 | 5 | 11 | 12),
        Protocol::ICMPV6 => orig.port <= 4,
        _ => false,
    };
    let quoting = record.rare.as_ref().map_or(0, |rare| rare.quoting_packets);
    !is_error || quoting < record.orig.counters.packets + record.resp.counters.packets
}

fn is_unicast(end: Endpoint) -> bool {
    !(end.ip.is_multicast() || end.ip.is_unspecified() || end.ip.is_loopback())
}

impl Case<'_> {
    /// Whether the contract's workloads are behind the flow's own end.
    pub(super) fn in_scope(&self) -> InScope {
        match self.contract.service {
            Service::Ingress => self.reached_in_scope(),
            Service::Egress | Service::Dns => self.source_in_scope(),
        }
    }

    fn source_in_scope(&self) -> InScope {
        let (contract, orig) = (self.contract, self.trail.ends().orig);
        if self.source.owns_address() && contract.hops().any(|hop| hop.is_address(orig.ip)) {
            return InScope::No;
        }
        let timeline = self.context.timeline;
        match self.source {
            Owner::Workload { workload, why: Some(Doubt::SharedNamespace), .. } => self.members_in_scope(workload),
            Owner::Workload { workload, .. } => self.namespace_in_scope(workload),
            Owner::Ambiguous { candidates, host } => self.one_of_in_scope(candidates, *host),
            Owner::Unknown => bare(contract, orig, InScope::Maybe),
            Owner::Host => bare(contract, orig, InScope::No),
            Owner::External => {
                let hidden = !timeline.is_complete() && !is_internet(orig.ip) && is_unicast(orig);
                bare(contract, orig, if hidden { InScope::Maybe } else { InScope::No })
            }
        }
    }

    fn one_of_in_scope(&self, candidates: &[Arc<Workload>], host: bool) -> InScope {
        let covers: Vec<_> = candidates.iter().map(|workload| self.workload_in_scope(workload)).collect();
        match covers.first() {
            Some(first) if host && *first == InScope::Yes => InScope::Maybe,
            Some(first) if covers.iter().all(|cover| cover == first) => *first,
            _ => InScope::Maybe,
        }
    }

    fn workload_in_scope(&self, workload: &Workload) -> InScope {
        let contract = self.contract;
        let is_hop = |hop: &Arc<Hop>| hop.kind != HopKind::Sidecar && self.is_hop(hop, workload);
        let named = self.judge.members.selects(self.number, contract, workload);
        if (named && !contract.hops().any(is_hop)) || self.speaks_for_covered(workload) {
            InScope::Yes
        } else {
            InScope::No
        }
    }

    /// A workload and those that share its network namespace then.
    fn members(&self, workload: &Arc<Workload>) -> Vec<Arc<Workload>> {
        let mut members = self.context.timeline.companions(workload, self.trail.flow.at);
        members.push(Arc::clone(workload));
        members
    }

    /// No socket tells which member of a namespace it was: the contract covers all where it covers one, unless one of them is its hop.
    fn members_in_scope(&self, workload: &Arc<Workload>) -> InScope {
        let members = self.members(workload);
        let is_hop = |member: &Arc<Workload>| self.contract.hops().any(|hop| self.is_hop(hop, member));
        if members.iter().any(is_hop) {
            return self.one_of_in_scope(&members, false);
        }
        let covered = members.iter().any(|member| self.workload_in_scope(member) == InScope::Yes);
        if covered { InScope::Yes } else { InScope::No }
    }

    /// Who joins the network namespace of a covered workload sends from its address: the contract covers it too, unless it is a hop.
    fn namespace_in_scope(&self, workload: &Arc<Workload>) -> InScope {
        let own = self.workload_in_scope(workload);
        if own == InScope::Yes || self.contract.hops().any(|hop| self.is_hop(hop, workload)) {
            return own;
        }
        let others = self.context.timeline.companions(workload, self.trail.flow.at);
        let covered = others.iter().any(|other| self.workload_in_scope(other) == InScope::Yes);
        if covered { InScope::Yes } else { own }
    }

    /// Whether it is the contract's sidecar, in the namespace of a workload that the contract covers.
    fn speaks_for_covered(&self, workload: &Workload) -> bool {
        let (contract, timeline) = (self.contract, self.context.timeline);
        let is_sidecar = contract.hops().any(|hop| hop.kind == HopKind::Sidecar && self.is_hop(hop, workload));
        is_sidecar
            && timeline
                .running_with(workload, self.trail.flow.at)
                .iter()
                .any(|other| self.judge.members.selects(self.number, contract, other))
    }

    /// Whether one that the contract covers is reached.
    fn reached_in_scope(&self) -> InScope {
        let resp = self.trail.ends().resp;
        match self.responder() {
            Owner::Workload { workload, .. } => self.workload_in_scope(workload),
            Owner::Ambiguous { candidates, host } => self.one_of_in_scope(candidates, *host),
            Owner::Unknown => bare(self.contract, resp, InScope::Maybe),
            Owner::Host | Owner::External => bare(self.contract, resp, InScope::No),
        }
    }

    /// Whether the contract is about the other end.
    pub(super) fn destination(&self) -> Destination {
        if self.contract.service == Service::Ingress {
            return self.inbound_destination();
        }
        let (contract, ends) = (self.contract, self.trail.ends());
        let endpoints = || contract.hops().filter(|hop| matches!(hop.kind, HopKind::Endpoint));
        if endpoints().any(|hop| self.answers(hop) || self.may_answer(hop)) {
            return Destination::Inside;
        }
        let talks_to_itself =
            ends.orig.ip == ends.resp.ip && self.trail.binding.is_none() && self.source.owns_address();
        if talks_to_itself || !is_unicast(self.trail.meant()) {
            return Destination::Outside;
        }
        if is_destination(contract, self.context.timeline, self.trail, self.source) {
            return Destination::Inside;
        }
        let is_closed = |kind: TunnelKind| matches!(kind, TunnelKind::Wireguard | TunnelKind::Esp);
        let hides = self.trail.record.tunnels.iter().any(|tunnel| is_closed(tunnel.kind));
        if hides && contract.service == Service::Egress { Destination::Tunnel } else { Destination::Outside }
    }

    fn inbound_destination(&self) -> Destination {
        let (contract, ends) = (self.contract, self.trail.ends());
        let inside = contract.family.is_none_or(|family| Family::of(ends.resp.ip) == family)
            && contract.remotes.iter().any(|set| set.contains(ends.orig.ip))
            && (contract.ports.is_empty()
                || contract.ports.iter().any(|spec| spec.matches(ends.protocol, ends.resp.port)))
            && ends.orig.ip != ends.resp.ip
            && is_unicast(ends.orig)
            && is_unicast(ends.resp)
            && is_request(ends.protocol, ends.orig, self.trail.record);
        if inside { Destination::Inside } else { Destination::Outside }
    }
}

/// Without a workload only the address parts of selectors can decide; `otherwise` is the answer when they cannot.
fn bare(contract: &Contract, end: Endpoint, otherwise: InScope) -> InScope {
    let answers: Vec<_> = contract.workloads.iter().map(|selector| selector.matches_bare_address(end.ip)).collect();
    if answers.contains(&Some(true)) {
        InScope::Yes
    } else if answers.iter().all(|answer| *answer == Some(false)) {
        InScope::No
    } else {
        otherwise
    }
}
