//! What can prove each hop on this host as it stands, and what is blind: before any traffic flows.
//!
//! Contract: pure. What is said to hold can prove a flow that the workloads send now; what is blind says why, and how to fix it. Limits: it knows
//! what was reported about links, networks, namespaces and translations, not what a switch or firewall outside does.
//! Design: one answer a kind of evidence that the hop accepts; the same facts as the judge's, asked without a flow.

mod blind;

use std::collections::BTreeSet;
use std::sync::Arc;

pub use blind::Blind;

use super::{Contract, EvidenceKind, Hop, HopKind, PathState, Service};
use crate::input::{Endpoint, NetworkMode, ObservationPoint, Workload, WorkloadId};
use crate::inventory::{Timeline, Watched};
use crate::time::Timestamp;

/// Things named in one proof; more are not listed.
const MOST_NAMED: usize = 8;

/// A contract on this host.
#[derive(Clone, Debug, PartialEq)]
pub struct ContractCoverage {
    /// Its name.
    pub contract: String,
    /// What traffic it is about.
    pub service: Service,
    /// The running workloads that it covers, in order of id.
    pub workloads: Vec<WorkloadCoverage>,
    /// Its stages in order, each with its alternatives; none where no path is allowed.
    pub stages: Vec<Vec<HopCoverage>>,
}

/// A workload that a contract covers.
#[derive(Clone, Debug, PartialEq)]
pub struct WorkloadCoverage {
    /// Which.
    pub workload: Arc<Workload>,
    /// Where its traffic is seen.
    pub watched: Watched,
}

/// A hop on this host.
#[derive(Clone, Debug, PartialEq)]
pub struct HopCoverage {
    /// Its name.
    pub name: String,
    /// What kind of place it is.
    pub kind: HopKind,
    /// The running workloads that are it.
    pub workloads: Vec<Arc<Workload>>,
    /// When a flow was last proven to have passed it.
    pub last_seen: Option<Timestamp>,
    /// Each kind of evidence that counts.
    pub evidence: Vec<EvidenceCoverage>,
}

/// One kind of evidence for a hop.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EvidenceCoverage {
    /// Which.
    pub kind: EvidenceKind,
    /// Whether it can hold.
    pub proof: Provability,
}

/// Whether evidence can hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Provability {
    /// It can, by these.
    By(Vec<String>),
    /// It cannot.
    Blind(Blind),
}

impl HopCoverage {
    /// Whether any of its evidence can hold.
    pub fn can_be_proven(&self) -> bool {
        self.evidence.iter().any(|evidence| matches!(evidence.proof, Provability::By(_)))
    }
}

impl ContractCoverage {
    /// Whether every workload is seen on all its networks and each stage has a hop that can be proven.
    pub fn is_whole(&self) -> bool {
        let seen = |watched: &Watched| matches!(watched, Watched::At(_) | Watched::NoTraffic);
        self.workloads.iter().all(|covered| seen(&covered.watched))
            && self.stages.iter().all(|hops| hops.iter().any(HopCoverage::can_be_proven))
    }
}

/// What each contract covers now, and what proves its hops.
pub fn coverage(timeline: &Timeline, contracts: &[Contract], path: &PathState) -> Vec<ContractCoverage> {
    contracts.iter().map(|contract| of_contract(timeline, contract, path)).collect()
}

fn of_contract(timeline: &Timeline, contract: &Contract, path: &PathState) -> ContractCoverage {
    let is_covered = |workload: &&Arc<Workload>| {
        contract.workloads.iter().any(|selector| selector.matches(workload))
            && !contract.hops().any(|hop| hop.is_workload(workload))
    };
    let covered: Vec<_> = timeline.running().filter(is_covered).cloned().collect();
    let host = Host { timeline, path, covered: &covered };
    let stages = contract.via.iter().map(|stage| stage.any_of.iter().map(|hop| host.hop(hop)).collect());
    ContractCoverage {
        contract: contract.name.clone(),
        service: contract.service,
        stages: stages.collect(),
        workloads: covered
            .iter()
            .map(|workload| WorkloadCoverage { workload: Arc::clone(workload), watched: timeline.is_watched(workload) })
            .collect(),
    }
}

/// What a hop is looked at with.
struct Host<'a> {
    timeline: &'a Timeline,
    path: &'a PathState,
    covered: &'a [Arc<Workload>],
}

impl Host<'_> {
    fn hop(&self, hop: &Hop) -> HopCoverage {
        let is_hop = |workload: &&Arc<Workload>| {
            hop.is_workload(workload) || workload.addresses().any(|address| hop.is_address(address))
        };
        let running: Vec<_> = self.timeline.running().filter(is_hop).cloned().collect();
        let evidence = hop.evidence.iter().map(|kind| EvidenceCoverage {
            kind: *kind,
            proof: self.prove(*kind, hop, &running).map_or_else(Provability::Blind, Provability::By),
        });
        HopCoverage {
            name: hop.name.clone(),
            kind: hop.kind,
            last_seen: self.path.hops.get(&hop.name).and_then(|record| record.last_seen),
            evidence: evidence.collect(),
            workloads: running,
        }
    }

    fn prove(&self, kind: EvidenceKind, hop: &Hop, running: &[Arc<Workload>]) -> Result<Vec<String>, Blind> {
        if running.is_empty() && hop.addresses.is_empty() && hop.interfaces.is_empty() {
            return Err(Blind::NotRunning);
        }
        match kind {
            EvidenceKind::Peer => self.peer(hop, running),
            EvidenceKind::NextHop => self.next_hop(hop, running),
            EvidenceKind::Transit => self.transit(hop, running),
            EvidenceKind::Redirect => {
                let watched = self.path.bindings.is_watched_now();
                if watched { Ok(vec!["connection tracking".to_owned()]) } else { Err(Blind::NoTracking) }
            }
            EvidenceKind::Owner => self.owner(running),
            EvidenceKind::Relay => self.relay(hop, running),
        }
    }

    /// Its addresses; one that has none of its own is known by its sockets.
    fn peer(&self, hop: &Hop, running: &[Arc<Workload>]) -> Result<Vec<String>, Blind> {
        let by_workload = running.iter().flat_map(|workload| workload.addresses().map(move |ip| (workload, ip)));
        let by_workload = by_workload.map(|(workload, ip)| format!("{} ({})", served(hop, ip), workload.name));
        let is_one = |range: &ipnetwork::IpNetwork| range.size() == 1u32.into();
        let by_range =
            hop.addresses.iter().map(|range| if is_one(range) { served(hop, range.ip()) } else { range.to_string() });
        let named: Vec<_> = by_range.chain(by_workload).take(MOST_NAMED).collect();
        match running.first() {
            _ if !named.is_empty() => Ok(named),
            None => Err(Blind::NotRunning),
            Some(_) if !self.kernel_is_seen() => Err(Blind::NoSockets),
            Some(workload) => Ok(vec![format!("the sockets of {}", workload.name)]),
        }
    }

    /// Its MACs, on a network that the workloads are on; of the host as their gateway, the host's.
    fn next_hop(&self, hop: &Hop, running: &[Arc<Workload>]) -> Result<Vec<String>, Blind> {
        let networks: BTreeSet<&str> = self.covered.iter().flat_map(|workload| networks_of(workload)).collect();
        let attachments =
            || running.iter().flat_map(|workload| workload.attachments.iter().map(move |a| (workload, a)));
        let shared = |network: &str| self.covered.is_empty() || networks.contains(network);
        let on_shared = attachments().filter(|(_, attachment)| shared(&attachment.network));
        let by_workload =
            on_shared.filter_map(|(workload, attachment)| Some(format!("{} ({})", attachment.mac?, workload.name)));
        let macs: Vec<_> = by_workload.chain(self.host_as_gateway(hop)).take(MOST_NAMED).collect();
        match attachments().find_map(|(workload, attachment)| attachment.mac.map(|_| workload)) {
            _ if !macs.is_empty() => Ok(macs),
            Some(workload) => Err(Blind::NoSharedNetwork(workload.name.clone())),
            None => Err(Blind::NoMac),
        }
    }

    /// The host's MACs on the workloads' networks whose gateway is the hop.
    fn host_as_gateway(&self, hop: &Hop) -> Vec<String> {
        let attachments = self.covered.iter().flat_map(|workload| &workload.attachments);
        let networks = attachments.filter_map(|one| self.timeline.network(&one.network_id, &one.network));
        let macs = networks.filter_map(|network| {
            let gateway = network.gateways.iter().find(|ip| hop.is_address(**ip))?;
            let mac = self.timeline.host_mac(&ObservationPoint::new(network.bridge.as_deref()?))?;
            Some(format!("{mac} (the host at {gateway})"))
        });
        macs.collect::<BTreeSet<_>>().into_iter().collect()
    }

    /// Its own observation points.
    fn transit(&self, hop: &Hop, running: &[Arc<Workload>]) -> Result<Vec<String>, Blind> {
        let named = |points: &mut dyn Iterator<Item = ObservationPoint>| {
            points.take(MOST_NAMED).map(|point| point.to_string()).collect::<Vec<_>>()
        };
        if !hop.interfaces.is_empty() {
            let up = self.timeline.links().filter(|link| link.up).map(|link| &link.point);
            let found: BTreeSet<_> =
                up.chain(self.path.losses.observed()).filter(|point| hop.is_interface(point)).collect();
            let found = named(&mut found.into_iter().cloned());
            let globs = || hop.interfaces.iter().map(|glob| glob.glob().to_string()).collect();
            return if found.is_empty() { Err(Blind::NoSuchPoint(globs())) } else { Ok(found) };
        }
        let found = named(&mut running.iter().flat_map(|workload| self.timeline.own_points(workload)));
        if !found.is_empty() {
            return Ok(found);
        }
        let veths = running.iter().flat_map(|workload| &workload.attachments);
        let veths = veths.filter_map(|attachment| attachment.host_interface.clone());
        Err(Blind::NoPoint(veths.take(MOST_NAMED).collect()))
    }

    /// Its sockets, in a namespace that it shares with a workload.
    fn owner(&self, running: &[Arc<Workload>]) -> Result<Vec<String>, Blind> {
        let Some(hop) = running.first() else { return Err(Blind::NotRunning) };
        let shares = |hop: &&Arc<Workload>| {
            self.covered.is_empty() || self.covered.iter().any(|workload| self.are_in_one(hop, workload))
        };
        let named: Vec<_> =
            running.iter().filter(shares).take(MOST_NAMED).map(|hop| format!("the sockets of {}", hop.name)).collect();
        match (named.is_empty(), self.kernel_is_seen()) {
            (true, _) => Err(Blind::NotShared(hop.name.clone())),
            (false, false) => Err(Blind::NoSockets),
            (false, true) => Ok(named),
        }
    }

    /// What leaves it, beside what reaches it.
    fn relay(&self, hop: &Hop, running: &[Arc<Workload>]) -> Result<Vec<String>, Blind> {
        if running.is_empty() {
            return Err(Blind::NoSecondLeg(hop.name.clone()));
        }
        let mut seen = Vec::new();
        for workload in running {
            match self.timeline.is_watched(workload) {
                Watched::At(points) => seen.extend(points.iter().map(|point| format!("{} at {point}", workload.name))),
                _ => return Err(Blind::NoSecondLeg(workload.name.clone())),
            }
        }
        seen.truncate(MOST_NAMED);
        Ok(seen)
    }

    fn kernel_is_seen(&self) -> bool {
        self.timeline.kernel().host().is_some()
    }

    fn are_in_one(&self, hop: &Workload, workload: &Workload) -> bool {
        let kernel = self.timeline.kernel();
        let netns_of = |id: &WorkloadId| kernel.netns_of(id);
        let by_kernel = netns_of(&hop.id).is_some() && netns_of(&hop.id) == netns_of(&workload.id);
        by_kernel || home_of(hop) == home_of(workload)
    }
}

/// The workload whose network namespace this one is in, according to the runtime: itself, unless it joined another; none for the host's.
const fn home_of(workload: &Workload) -> Option<&WorkloadId> {
    match &workload.network_mode {
        NetworkMode::Container(owner) => Some(owner),
        NetworkMode::Host => None,
        _ => Some(&workload.id),
    }
}

fn networks_of(workload: &Workload) -> impl Iterator<Item = &str> {
    workload.attachments.iter().map(|attachment| attachment.network.as_str())
}

/// `10.0.0.3:3128`, or the address alone where any port will do.
fn served(hop: &Hop, ip: std::net::IpAddr) -> String {
    match hop.ports.first() {
        Some(spec) => Endpoint { ip, port: spec.port }.to_string(),
        None => ip.to_string(),
    }
}
