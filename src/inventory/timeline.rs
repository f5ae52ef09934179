//! Who owned an address at a time.
//!
//! Contract: …

use std::net::IpAddr;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::input::{InventoryEvent, LinkEvent, Mac, ObservationPoint, RuntimeNetwork, Workload, WorkloadId};
use crate::time::Timestamp;

/// How the owner is known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AttributionMethod {
    /// By address, valid at that time.
    Address,
    /// By MAC.
    Mac,
    /// By the host-side veth it was seen on.
    Veth,
    /// By an undated snapshot (such as `docker inspect` output).
    Snapshot,
}

/// How sure it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Confidence {
    /// Nothing contradicts it.
    Exact,
    /// Best explanation; `why` says what is missing.
    Likely,
    /// More than one candidate.
    Ambiguous,
}

/// Who was behind an address.
#[derive(Clone, Debug, PartialEq)]
pub enum Owner {
    /// A workload.
    Workload {
        /// The workload as it was then.
        workload: Arc<Workload>,
        /// How it is known.
        how: AttributionMethod,
        /// How sure it is.
        confidence: Confidence,
        /// Why not surer.
        why: Option<&'static str>,
    },
    /// Several workloads could own it.
    Ambiguous(Vec<Arc<Workload>>),
    /// The host itself, or a network's gateway.
    Host,
    /// Inside a container network, but nobody owns it at that time.
    Unknown,
    /// Not an address of this host's networks.
    External,
}

/// Owner plus nothing else; kept as a name of its own because metrics count it.
pub type Attribution = Owner;

/// What was seen of one end of a flow.
#[derive(Clone, Copy, Debug)]
pub struct Sighting<'a> {
    /// Where.
    pub point: &'a ObservationPoint,
    /// Address.
    pub ip: IpAddr,
    /// Source MAC of its frames, where there is one.
    pub mac: Option<Mac>,
    /// When.
    pub at: Timestamp,
}

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
    limits: TimelineLimits,
}

impl Timeline {
    /// An empty timeline.
    pub fn new(limits: TimelineLimits) -> Self {
        Self { limits }
    }

    /// Takes in what a runtime told at a time.
    pub fn apply(&mut self, _at: Timestamp, _event: &InventoryEvent) {}

    /// Takes in what the host says of an interface.
    pub fn apply_link(&mut self, _link: &LinkEvent) {}

    /// Who was behind this.
    pub fn attribute(&self, _sighting: &Sighting<'_>) -> Owner {
        Owner::External
    }

    /// The workload as it was last known.
    pub fn workload(&self, _id: &WorkloadId) -> Option<&Arc<Workload>> {
        None
    }

    /// All workloads that run now, in order of id.
    pub fn running(&self) -> impl Iterator<Item = &Arc<Workload>> {
        std::iter::empty()
    }

    /// The network whose bridge this observation point is (or whose veth, or, failing that, that holds the address).
    pub fn network_at(&self, _point: &ObservationPoint, _ip: IpAddr) -> Option<&Arc<RuntimeNetwork>> {
        None
    }

    /// The host's own MAC at an observation point, as told or as learned from the gateway's frames.
    pub fn host_mac(&self, _point: &ObservationPoint) -> Option<Mac> {
        None
    }

    /// The workload that owned a MAC at a time.
    pub fn owner_of_mac(&self, _mac: Mac, _at: Timestamp) -> Option<&Arc<Workload>> {
        None
    }

    /// Whether the runtime's word is complete now: at least one runtime is connected, or a snapshot was loaded.
    pub fn is_complete(&self) -> bool {
        false
    }
}
