//! Which hop is missing, where it could have been reached, and which rule is to speak.

use std::net::IpAddr;
use std::sync::Arc;

use super::Case;
use crate::input::{Endpoint, Workload, WorkloadState};
use crate::path::{Family, Hop, HopKind, MissingHop, Service, Skip, Stage};

/// Places named for one hop.
const MOST: usize = 8;

impl Case<'_> {
    /// The most telling explanation of a skipped stage.
    pub(super) fn skip(&self, open: Option<&Stage>) -> Skip {
        let by_service = match self.contract.service {
            Service::Ingress => return Skip::Ingress,
            Service::Dns => Skip::Resolver,
            Service::Egress => Skip::Proxy,
        };
        let Some(hop) = open.and_then(|stage| stage.any_of.first()) else { return by_service };
        if self.is_startup(open) {
            return Skip::Startup;
        }
        if self.is_off_network() {
            return Skip::Network;
        }
        if self.leaks_ipv6() {
            return Skip::Ipv6;
        }
        match hop.kind {
            HopKind::Endpoint => by_service,
            HopKind::Gateway => Skip::Gateway,
            HopKind::Inline | HopKind::Mirror => Skip::Monitor,
            HopKind::Sidecar => Skip::Sidecar,
        }
    }

    /// Whether the workload had just started and no hop of the stage was ready yet.
    pub(super) fn is_startup(&self, open: Option<&Stage>) -> bool {
        let (Some(stage), Some(workload)) = (open, self.source.workload()) else { return false };
        let at = self.trail.flow.at;
        let just_started = workload.since.is_some_and(|since| at.since(since) <= self.context.grace.hop_ready);
        let waited_for = |hop: &Arc<Hop>| hop.addresses.is_empty() && !hop.workloads.is_empty() && !self.is_ready(hop);
        // One that was seen since the workload started was ready before.
        let seen = |hop: &Arc<Hop>| self.context.path.hops.get(&hop.name).and_then(|known| known.last_seen);
        let seen_before =
            |hop: &Arc<Hop>| seen(hop).is_some_and(|seen| workload.since.is_some_and(|since| seen >= since));
        just_started && stage.any_of.iter().all(waited_for) && !stage.any_of.iter().any(seen_before)
    }

    /// Whether a workload that is the hop ran when the flow began.
    pub(super) fn is_ready(&self, hop: &Hop) -> bool {
        let at = self.trail.flow.at;
        self.running(hop)
            .any(|workload| workload.state != WorkloadState::Created && workload.since.is_none_or(|since| since <= at))
    }

    /// Whether it left over a network that the contract does not name, or on which the hop is not.
    fn is_off_network(&self) -> bool {
        let (timeline, flow) = (self.context.timeline, self.trail.flow);
        let Some(network) = timeline.network_at(&flow.point, flow.tuple.orig.ip) else { return false };
        if !self.contract.networks.is_empty() {
            return !self.contract.networks.contains(&network.name);
        }
        let hops = self.contract.hops().flat_map(|hop| self.running(hop));
        let mut names =
            hops.flat_map(|hop| hop.attachments.iter().map(|attachment| attachment.network.as_str())).peekable();
        names.peek().is_some() && names.all(|name| name != network.name)
    }

    fn leaks_ipv6(&self) -> bool {
        let Some(workload) = self.source.workload() else { return false };
        Family::of(self.trail.meant().ip) == Family::Ipv6
            && self.context.path.hops.has_kept(self.name, &workload.id, Family::Ipv4)
    }

    /// The stage that was skipped.
    pub(super) fn missing(&self, open: Option<&Stage>) -> MissingHop {
        let Some(stage) = open else {
            return MissingHop { alternatives: Vec::new(), kind: None, expected: Vec::new() };
        };
        let alternatives = stage.any_of.iter().map(|hop| hop.name.clone()).collect();
        let expected = stage.any_of.iter().flat_map(|hop| self.expected(hop)).take(MOST).collect();
        MissingHop { alternatives, kind: stage.any_of.first().map(|hop| hop.kind), expected }
    }

    /// Where a hop could have been met, in words.
    pub(super) fn known(&self, hop: &Hop) -> String {
        let expected = self.expected(hop);
        if expected.is_empty() { "no running workload".to_owned() } else { expected.join(", ") }
    }

    pub(super) fn running(&self, hop: &Hop) -> impl Iterator<Item = &Arc<Workload>> + use<'_> {
        self.judge.members.running(hop)
    }

    fn expected(&self, hop: &Hop) -> Vec<String> {
        let port = hop.ports.first().map(|spec| spec.port);
        let place = |ip: IpAddr| port.map_or_else(|| ip.to_string(), |port| Endpoint { ip, port }.to_string());
        let by_address = hop.addresses.iter();
        let by_address =
            by_address.map(|range| if range.size() == 1u32.into() { place(range.ip()) } else { range.to_string() });
        let workloads = self.running(hop).flat_map(|workload| {
            let macs = hop.kind == HopKind::Gateway;
            workload.attachments.iter().flat_map(move |attachment| {
                let mac = attachment.mac.filter(|_| macs).map(|mac| format!(" at {mac}")).unwrap_or_default();
                let named = move |ip: &IpAddr| format!("{} ({}){mac}", place(*ip), workload.name);
                attachment.addresses.iter().map(named)
            })
        });
        by_address.chain(workloads).take(MOST).collect()
    }
}
