//! Who owned an address at a time.
//!
//! Contract: the owner is decided by the time of the packet, not of delivery; an answer that rests on anything less than a
//! dated interval that covers that time says so. Limits: [`TimelineLimits`]; what they cost is in [`TimelineCounts`]. An
//! address is not split by network: two networks with the same range give ambiguous owners unless MAC or veth decides.
//! Design: [`lives`] knows when each workload ran, [`index`] what it owned then, [`networks`] what is the host's or nobody's.

mod index;
mod lives;
mod networks;
mod owner;
mod watched;

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use self::index::{Claims, Key, Span};
use self::lives::Lives;
pub use self::lives::TimelineCounts;
use self::networks::Networks;
pub use self::owner::{Attribution, AttributionMethod, Confidence, Doubt, Owner, Sighting, SocketSighting};
pub use self::watched::{Unseen, Watched};
use super::KernelState;
use crate::input::{
    Attachment, InventoryEvent, KernelFact, LinkEvent, Mac, ObservationPoint, RuntimeName, RuntimeNetwork, Workload,
    WorkloadId, WorkloadState,
};
use crate::time::Timestamp;

/// Bounds of the timeline.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TimelineLimits {
    /// Workloads remembered, the dead included.
    pub workloads: usize,
    /// How long the dead are remembered.
    pub remember: std::time::Duration,
}

/// The workloads and what they owned, over time.
#[derive(Debug)]
pub struct Timeline {
    lives: Lives,
    networks: Networks,
    kernel: KernelState,
    /// Runtimes heard of, and whether their word is complete.
    runtimes: BTreeMap<RuntimeName, Hearing>,
    snapshot: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hearing {
    /// Answers, but its first list is not complete.
    Connected,
    /// Answers, and its list was complete.
    Reconciled,
    /// Does not answer.
    Lost,
}

/// Docker, podman, containerd, cri, and rootless ones of some users.
const MAX_RUNTIMES: usize = 64;

impl Timeline {
    /// An empty timeline.
    pub fn new(limits: TimelineLimits) -> Self {
        let (networks, kernel, runtimes) = (Networks::default(), KernelState::default(), BTreeMap::new());
        Self { lives: Lives::new(limits), networks, kernel, runtimes, snapshot: false }
    }

    /// Takes in what a runtime told at a time.
    pub fn apply(&mut self, at: Timestamp, event: &InventoryEvent) {
        self.lives.advance(at);
        match event {
            InventoryEvent::Workload(workload) => {
                self.snapshot |= workload.since.is_none() && !matches!(workload.state, WorkloadState::Created);
                workload.attachments.iter().for_each(|attachment| self.networks.tell_gateways(attachment));
                self.lives.tell(at, workload);
            }
            InventoryEvent::Stopped { id, until } => {
                self.lives.stop(id, *until);
                self.kernel.forget(id);
            }
            InventoryEvent::Network(network) => {
                let told = self.networks.tell(network);
                self.lives.counts.networks_refused += u64::from(!told);
            }
            InventoryEvent::NetworkRemoved { id } => self.networks.remove(id),
            InventoryEvent::Connected { runtime } => self.hear(runtime, Hearing::Connected),
            InventoryEvent::Disconnected { runtime, .. } => self.hear(runtime, Hearing::Lost),
            InventoryEvent::Reconciled { runtime, running } => {
                self.hear(runtime, Hearing::Reconciled);
                self.lives.reconcile(at, runtime, running);
            }
        }
    }

    /// Takes in what the host says of an interface.
    pub fn apply_link(&mut self, link: &LinkEvent) {
        let told = self.networks.tell_link(link);
        self.lives.counts.networks_refused += u64::from(!told);
    }

    /// Takes in what the kernel showed at a time.
    pub fn apply_kernel(&mut self, at: Timestamp, fact: &KernelFact) {
        self.lives.advance(at);
        self.kernel.apply(fact);
    }

    /// What the kernel showed, as it stands.
    pub const fn kernel(&self) -> &KernelState {
        &self.kernel
    }

    /// A link as it was last told, up or not.
    pub fn link(&self, point: &ObservationPoint) -> Option<&LinkEvent> {
        self.networks.link(point)
    }

    /// Whether the runtime answers and its list was complete.
    pub fn is_heard(&self, runtime: &str) -> bool {
        self.runtimes.get(runtime) == Some(&Hearing::Reconciled)
    }

    /// A network by id, or else by name.
    pub fn network(&self, id: &str, name: &str) -> Option<&Arc<RuntimeNetwork>> {
        self.networks.by_id_or_name(id, name)
    }

    /// Notes which MAC the host has at a point, as somebody saw it on frames; what a link told goes before it.
    pub fn learn_host_mac(&mut self, point: &ObservationPoint, mac: Mac) {
        let learned = self.networks.learn_host_mac(point, mac);
        self.lives.counts.networks_refused += u64::from(!learned);
    }

    /// Who was behind this.
    pub fn attribute(&self, sighting: &Sighting<'_>) -> Owner {
        let ip = sighting.ip.to_canonical();
        if is_no_host(ip) {
            return Owner::External;
        }
        let claims = self.lives.index.claims(&Key::Ip(ip), sighting.at);
        if let Claims::Dated(spans) = &claims {
            return self.decide(spans, sighting, AttributionMethod::Address, None);
        }
        if self.networks.is_host(ip) {
            return Owner::Host;
        }
        match &claims {
            Claims::Late(spans) => self.decide(spans, sighting, AttributionMethod::Address, Some(Doubt::Late)),
            Claims::Undated(spans) => self.decide(spans, sighting, AttributionMethod::Snapshot, Some(Doubt::Undated)),
            Claims::Dated(_) | Claims::None if self.networks.is_directed_broadcast(ip) => Owner::External,
            Claims::Dated(_) | Claims::None if self.networks.is_inside(ip) => Owner::Unknown,
            Claims::Dated(_) | Claims::None => Owner::External,
        }
    }

    /// One claim is the owner; of several, MAC or veth must decide.
    fn decide(&self, spans: &[&Span], sighting: &Sighting<'_>, how: AttributionMethod, why: Option<Doubt>) -> Owner {
        if let [span] = spans {
            let why = why.or_else(|| self.mac_differs(span, sighting).then_some(Doubt::MacDiffers));
            let confidence = if why.is_some() { Confidence::Likely } else { Confidence::Exact };
            return Owner::Workload { workload: span.workload.clone(), how, confidence, why };
        }
        let ip = sighting.ip.to_canonical();
        let by_mac = |attachment: &Attachment| attachment.mac.is_some() && attachment.mac == sighting.mac;
        let by_veth = |a: &Attachment| a.host_interface.as_deref() == Some(sighting.point.as_str());
        let likely = |span: &Span, how, why| Owner::Workload {
            workload: span.workload.clone(),
            how,
            confidence: Confidence::Likely,
            why: Some(why),
        };
        if let Some(span) = the_only(spans, ip, by_mac) {
            return likely(span, AttributionMethod::Mac, Doubt::MacDecides);
        }
        if let Some(span) = the_only(spans, ip, by_veth) {
            return likely(span, AttributionMethod::Veth, Doubt::VethDecides);
        }
        Owner::Ambiguous { candidates: spans.iter().map(|span| span.workload.clone()).collect(), host: false }
    }

    /// Whether the frame's MAC speaks for somebody else: a spoofed address, or a workload that routes for this one.
    fn mac_differs(&self, span: &Span, sighting: &Sighting<'_>) -> bool {
        let Some(mac) = sighting.mac else { return false };
        let Claims::Dated(owners) = self.lives.index.claims(&Key::Mac(mac), sighting.at) else { return false };
        owners.iter().all(|owner| owner.serial != span.serial)
    }

    /// The workload as it was last known.
    pub fn workload(&self, id: &WorkloadId) -> Option<&Arc<Workload>> {
        self.lives.get(id)
    }

    /// Whether a workload runs now.
    pub fn is_running(&self, id: &WorkloadId) -> bool {
        self.lives.is_running(id)
    }

    /// All workloads that run now, in order of id.
    pub fn running(&self) -> impl Iterator<Item = &Arc<Workload>> {
        self.lives.running()
    }

    /// How many workloads are remembered, by state.
    pub fn states(&self) -> BTreeMap<&'static str, usize> {
        let mut states = BTreeMap::from(WorkloadState::ALL.map(|state| (state.as_str(), 0)));
        for state in self.lives.states() {
            *states.entry(state.as_str()).or_default() += 1;
        }
        states
    }

    /// The network whose bridge this observation point is (or whose veth, or, failing that, that holds the address).
    pub fn network_at(&self, point: &ObservationPoint, ip: IpAddr) -> Option<&Arc<RuntimeNetwork>> {
        let by_veth = || {
            let span = self.lives.index.newest(&Key::Veth(point.clone()))?;
            let is_here = |a: &&Attachment| a.host_interface.as_deref() == Some(point.as_str());
            let attachment = span.workload.attachments.iter().find(is_here)?;
            self.networks.by_id_or_name(&attachment.network_id, &attachment.network)
        };
        let by_bridge = self.networks.by_bridge(point.as_str());
        by_bridge.or_else(by_veth).or_else(|| self.networks.by_address(ip.to_canonical()))
    }

    /// The host's own MAC at an observation point, as told or as learned from the gateway's frames.
    pub fn host_mac(&self, point: &ObservationPoint) -> Option<Mac> {
        self.networks.host_mac(point)
    }

    /// The workload that owned a MAC at a time; nobody when several could have.
    pub fn owner_of_mac(&self, mac: Mac, at: Timestamp) -> Option<&Arc<Workload>> {
        match self.lives.index.claims(&Key::Mac(mac), at) {
            Claims::Dated(spans) | Claims::Undated(spans) => match spans[..] {
                [span] => Some(&span.workload),
                _ => None,
            },
            // A MAC comes back with its address: the runtime gives both to the next workload.
            Claims::Late(_) | Claims::None => None,
        }
    }

    /// Whether the runtime's word is complete now: at least one runtime is connected, or a snapshot was loaded.
    pub fn is_complete(&self) -> bool {
        self.snapshot || self.runtimes.values().any(|hearing| *hearing == Hearing::Reconciled)
    }

    /// How many workloads are remembered, the dead included.
    pub fn len(&self) -> usize {
        self.lives.len()
    }

    /// Whether nothing is remembered.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What the bounds cost so far.
    pub const fn counts(&self) -> TimelineCounts {
        self.lives.counts
    }

    fn hear(&mut self, runtime: &RuntimeName, hearing: Hearing) {
        if self.runtimes.len() < MAX_RUNTIMES || self.runtimes.contains_key(runtime) {
            self.runtimes.insert(runtime.clone(), hearing);
        }
    }
}

/// Addresses that no single machine owns, or that mean something else on each link.
fn is_no_host(ip: IpAddr) -> bool {
    let odd = match ip {
        IpAddr::V4(ip) => ip.is_link_local() || ip.is_broadcast(),
        IpAddr::V6(ip) => ip.is_unicast_link_local(),
    };
    odd || ip.is_unspecified() || ip.is_multicast()
}

/// The one claim that has an attachment with this address for which `holds` answers true.
fn the_only<'a>(spans: &[&'a Span], ip: IpAddr, holds: impl Fn(&Attachment) -> bool) -> Option<&'a Span> {
    let holds = |span: &&&Span| {
        span.workload
            .attachments
            .iter()
            .any(|attachment| attachment.addresses.iter().any(|own| own.to_canonical() == ip) && holds(attachment))
    };
    let mut matching = spans.iter().filter(holds);
    matching.next().copied().filter(|_| matching.next().is_none())
}

#[cfg(test)]
mod tests;
