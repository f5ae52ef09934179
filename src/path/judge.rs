//! One flow against the contracts: covered or not, and the verdict.
//!
//! Contract: pure. `verified` needs the responder to be the hop; `bypassed` needs a responder that provably is not; everything
//! else that a contract covers, or may cover, is `unobservable` with the reason.
//! Limits: `peer` evidence only; a hop in the host's network namespace is known by its socket, or must be named by address.
//! Design: contracts are tried in order, DNS first; the first that covers the flow judges it.

use std::sync::Arc;

use super::source::responder_of;
use super::{Contract, Evidence, MissingHop, Oriented, Service, Unobservable, Verdict};
use crate::input::{Endpoint, FiveTuple, Protocol, Workload, WorkloadState};
use crate::inventory::{Owner, Timeline};

/// What a contract says of a flow.
#[derive(Clone, Debug, PartialEq)]
pub struct Judgement {
    /// Name of the contract.
    pub contract: Arc<str>,
    /// What traffic the contract is about.
    pub service: Service,
    /// The verdict.
    pub verdict: Verdict,
    /// The hop that was skipped, for `bypassed`.
    pub missing_hop: Option<MissingHop>,
    /// How the hop was skipped, for `bypassed`, and for `unobservable (hop_not_ready)`; it decides which rule speaks.
    pub skip: Option<Skip>,
    /// What the verdict rests on.
    pub evidence: Vec<Evidence>,
}

/// How a hop was skipped: the most telling explanation, so that one flow makes one alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Skip {
    /// Before the hop was ready for the first time since the workload started.
    Startup,
    /// Over a network that the contract does not name.
    Network,
    /// Over IPv6, while the workload keeps the contract over IPv4.
    Ipv6,
    /// A resolver.
    Resolver,
    /// What came in did not come from the ingress.
    Ingress,
    /// A gateway.
    Gateway,
    /// An inline or mirror hop.
    Monitor,
    /// A sidecar.
    Sidecar,
    /// A proxy, or no path is allowed at all.
    Proxy,
}

/// The contracts in the order in which they are tried.
#[derive(Debug)]
pub struct Judge {
    contracts: Vec<(Arc<str>, Contract)>,
}

/// Whether a contract's `from` means the source.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Cover {
    Yes,
    No,
    Maybe,
}

impl Judge {
    /// Orders the contracts: DNS before others, else as configured.
    pub fn new(contracts: Vec<Contract>) -> Self {
        let mut contracts: Vec<_> = contracts.into_iter().map(|c| (Arc::from(c.name.as_str()), c)).collect();
        contracts.sort_by_key(|(_, contract)| contract.service);
        Self { contracts }
    }

    /// The names of all contracts.
    pub fn names(&self) -> impl Iterator<Item = &Arc<str>> {
        self.contracts.iter().map(|(name, _)| name)
    }

    /// The verdict of the first contract that covers the flow; `None` when none does, or when a hop sends on what a contract
    /// brings to it.
    pub fn judge(&self, timeline: &Timeline, flow: &Oriented, source: &Owner) -> Option<Judgement> {
        if self.contracts.iter().any(|(_, contract)| sends_on(contract, flow, source)) {
            return None;
        }
        self.contracts.iter().find_map(|(name, contract)| {
            let verdict = verdict(timeline, contract, flow, source)?;
            Some(judgement(timeline, name, contract, flow, verdict))
        })
    }
}

/// Whether the source is the contract's hop and the flow is of the kind that the contract steers to it.
fn sends_on(contract: &Contract, flow: &Oriented, source: &Owner) -> bool {
    let Some(hop) = contract.hops().next() else { return false };
    let is_hop = match source {
        Owner::Workload { workload, .. } => hop.is_workload(workload),
        _ => false,
    };
    (is_hop || hop.is_address(flow.tuple.orig.ip)) && in_reach(contract, &flow.tuple)
}

fn judgement(
    timeline: &Timeline,
    name: &Arc<str>,
    contract: &Contract,
    flow: &Oriented,
    verdict: Verdict,
) -> Judgement {
    let expected = expected(timeline, contract);
    let evidence = vec![evidence(contract, &flow.tuple, verdict, &expected)];
    let hop = contract.hops().next();
    let (name_of_hop, kind) = (hop.map(|hop| hop.name.clone()).unwrap_or_default(), hop.map(|hop| hop.kind));
    let missing_hop = (verdict == Verdict::Bypassed).then_some(MissingHop { name: name_of_hop, kind, expected });
    let skip = (verdict == Verdict::Bypassed).then_some(match contract.service {
        Service::Dns => Skip::Resolver,
        Service::Egress => Skip::Proxy,
        Service::Ingress => Skip::Ingress,
    });
    Judgement { contract: Arc::clone(name), service: contract.service, verdict, missing_hop, skip, evidence }
}

fn verdict(timeline: &Timeline, contract: &Contract, flow: &Oriented, source: &Owner) -> Option<Verdict> {
    let cover = covers_source(timeline, contract, flow.tuple.orig, source);
    if cover == Cover::No {
        return None;
    }
    let responder = responder(timeline, contract, flow)?;
    Some(match (cover, responder, flow.certain) {
        (Cover::Maybe, ..) => Verdict::Unobservable(Unobservable::UnattributedAddress),
        (_, _, false) => Verdict::Unobservable(Unobservable::OneSided),
        (_, Responder::Hop, _) => Verdict::Verified,
        (_, Responder::Other, _) => Verdict::Bypassed,
        (_, Responder::Unclear, _) => Verdict::Unobservable(Unobservable::UnattributedAddress),
    })
}

fn covers_source(timeline: &Timeline, contract: &Contract, orig: Endpoint, source: &Owner) -> Cover {
    if contract.hops().any(|hop| hop.is_address(orig.ip)) {
        return Cover::No;
    }
    match source {
        Owner::Workload { workload, .. } => covers_workload(contract, workload),
        Owner::Ambiguous { candidates, host } => {
            let covers: Vec<_> = candidates.iter().map(|workload| covers_workload(contract, workload)).collect();
            match covers.first() {
                Some(first) if *host && *first == Cover::Yes => Cover::Maybe,
                Some(first) if covers.iter().all(|cover| cover == first) => *first,
                _ => Cover::Maybe,
            }
        }
        Owner::Unknown => bare(contract, orig, Cover::Maybe),
        Owner::Host => bare(contract, orig, Cover::No),
        Owner::External => {
            let hidden = !timeline.is_complete() && !super::is_internet(orig.ip) && is_unicast(orig);
            bare(contract, orig, if hidden { Cover::Maybe } else { Cover::No })
        }
    }
}

fn covers_workload(contract: &Contract, workload: &Workload) -> Cover {
    let covered = contract.workloads.iter().any(|selector| selector.matches(workload))
        && !contract.hops().any(|hop| hop.is_workload(workload));
    if covered { Cover::Yes } else { Cover::No }
}

/// Without a workload only the address parts of selectors can tell; `otherwise` is the answer when they cannot.
fn bare(contract: &Contract, orig: Endpoint, otherwise: Cover) -> Cover {
    let answers: Vec<_> = contract.workloads.iter().map(|selector| selector.matches_bare_address(orig.ip)).collect();
    if answers.contains(&Some(true)) {
        Cover::Yes
    } else if answers.iter().all(|answer| *answer == Some(false)) {
        Cover::No
    } else {
        otherwise
    }
}

fn is_unicast(end: Endpoint) -> bool {
    !(end.ip.is_multicast() || end.ip.is_unspecified() || end.ip.is_loopback())
}

enum Responder {
    Hop,
    Other,
    Unclear,
}

/// Who answers: the hop, somebody else in the contract's reach, or nobody that it is about (`None`).
fn responder(timeline: &Timeline, contract: &Contract, flow: &Oriented) -> Option<Responder> {
    let FiveTuple { protocol, orig, resp } = flow.tuple;
    let hop = contract.hops().next()?;
    let serves = hop.serves(protocol, resp.port);
    if hop.is_address(resp.ip) {
        return if serves { Some(Responder::Hop) } else { in_reach(contract, &flow.tuple).then_some(Responder::Other) };
    }
    let owner = responder_of(timeline, flow);
    match &owner {
        Owner::Workload { workload, .. } if hop.is_workload(workload) && serves => return Some(Responder::Hop),
        Owner::Ambiguous { candidates: all, .. } if serves && all.iter().any(|workload| hop.is_workload(workload)) => {
            return Some(Responder::Unclear);
        }
        _ => {}
    }
    if !in_reach(contract, &flow.tuple) || orig.ip == resp.ip || !is_unicast(resp) {
        return None;
    }
    let unclear = match owner {
        Owner::Unknown => !hop.workloads.is_empty(),
        Owner::External => hop_may_be_hidden(timeline, contract),
        // A hop in the host's namespace would be among the candidates, or be named by its socket.
        Owner::Host | Owner::Workload { .. } | Owner::Ambiguous { .. } => false,
    };
    Some(if unclear { Responder::Unclear } else { Responder::Other })
}

/// A hop named by workload, none of which was ever heard of, while the runtime does not answer.
fn hop_may_be_hidden(timeline: &Timeline, contract: &Contract) -> bool {
    let named_only = contract.hops().all(|hop| !hop.workloads.is_empty() && hop.addresses.is_empty());
    named_only && !timeline.is_complete() && hop_workloads(timeline, contract).next().is_none()
}

fn in_reach(contract: &Contract, tuple: &FiveTuple) -> bool {
    contract.remotes.iter().any(|set| set.contains(tuple.resp.ip))
        && (contract.ports.is_empty()
            || contract.ports.iter().any(|spec| spec.matches(tuple.protocol, tuple.resp.port)))
        && is_request(tuple)
}

/// ICMP counts only where it can carry a conversation: an echo request (RFC 792 type 8, RFC 4443 type 128).
fn is_request(tuple: &FiveTuple) -> bool {
    match tuple.protocol {
        Protocol::ICMP => tuple.orig.port == 8,
        Protocol::ICMPV6 => tuple.orig.port == 128,
        _ => true,
    }
}

fn hop_workloads<'a>(timeline: &'a Timeline, contract: &'a Contract) -> impl Iterator<Item = &'a Arc<Workload>> {
    timeline.running().filter(|workload| {
        workload.state != WorkloadState::Exited && contract.hops().any(|hop| hop.is_workload(workload))
    })
}

/// Where the hop could have been reached, for the alert.
fn expected(timeline: &Timeline, contract: &Contract) -> Vec<String> {
    const MOST: usize = 8;
    let Some(hop) = contract.hops().next() else { return Vec::new() };
    let ports: Vec<_> = hop.ports.iter().map(|spec| spec.port).collect();
    let with_ports = |ip: std::net::IpAddr| match ports.first() {
        Some(port) => Endpoint { ip, port: *port }.to_string(),
        None => ip.to_string(),
    };
    let by_workload = hop_workloads(timeline, contract)
        .flat_map(|workload| workload.addresses().map(move |ip| (workload, ip)))
        .map(|(workload, ip)| format!("{} ({})", with_ports(ip), workload.name));
    let by_address = hop
        .addresses
        .iter()
        .map(|range| if range.size() == 1u32.into() { with_ports(range.ip()) } else { range.to_string() });
    by_address.chain(by_workload).take(MOST).collect()
}

fn evidence(contract: &Contract, tuple: &FiveTuple, verdict: Verdict, expected: &[String]) -> Evidence {
    let hop = contract.hops().next().map_or("", |hop| hop.name.as_str());
    let known = if expected.is_empty() { "no running workload is that hop".to_owned() } else { expected.join(", ") };
    let text = match verdict {
        Verdict::Verified => format!("the responder {} is the hop {hop}", tuple.resp),
        Verdict::Bypassed => {
            format!("the responder {} ({}) is not the hop {hop}; that is {known}", tuple.resp, tuple.protocol)
        }
        Verdict::Partial => format!("hop {hop} seen in part"),
        Verdict::Unobservable(reason) => format!("hop {hop} could not be judged: {}", reason.as_str()),
    };
    Evidence { kind: "peer".to_owned(), text }
}
