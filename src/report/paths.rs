//! What proves the hops of contracts on this host, for a person's tree and for a program: `hopwatch.paths/1`.
//!
//! Contract: says what [`crate::path::coverage`] says, in words; `docs/verify.md` explains each field. Design: shared by `hopwatch paths` and
//! `hopwatch verify`.

use schemars::JsonSchema;
use serde::Serialize;

use super::Unjudged;
use crate::input::Workload;
use crate::inventory::{Timeline, Unseen, Watched};
use crate::path::{
    ContractCoverage, EvidenceCoverage, EvidenceKind, HopCoverage, HopKind, PathState, Provability, Service,
};
use crate::time::Timestamp;

/// Name and version of the shape.
pub const PATHS_SCHEMA: &str = "hopwatch.paths/1";
/// Workloads listed of one contract; more are counted.
const MOST_WORKLOADS: usize = 1000;

/// All contracts on this host.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Paths {
    /// Always `hopwatch.paths/1`.
    pub schema: &'static str,
    /// Contracts, in the order of the configuration.
    pub contracts: Vec<ContractView>,
    /// What the workloads of a recording sent without a verdict, by sender, contract and reason.
    pub unjudged: Unjudged,
    /// What kept this from being known better.
    pub warnings: Vec<String>,
}

/// A contract on this host.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct ContractView {
    /// Its name.
    pub name: String,
    /// What traffic it is about.
    pub service: Service,
    /// Whether every workload is seen on all its networks, and each stage can be proven.
    pub whole: bool,
    /// The running workloads that it covers.
    pub workloads: Vec<WorkloadView>,
    /// Further ones.
    pub workloads_omitted: usize,
    /// Its stages in order, each with its alternatives.
    pub stages: Vec<Vec<HopView>>,
}

/// A workload, and where its traffic is seen.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct WorkloadView {
    /// Its id.
    pub id: String,
    /// Its name.
    pub name: String,
    /// `watched` on all its networks, `partly`, `unwatched`, `no_traffic` or `unknown`.
    pub observation: &'static str,
    /// Where it is seen.
    pub observation_points: Vec<String>,
    /// Networks on which it is not.
    pub unseen: Vec<UnseenView>,
}

/// A network on which a workload's traffic is not seen.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct UnseenView {
    /// Its name.
    pub network: String,
    /// Why not.
    pub why: String,
    /// What to do about it.
    pub fix: String,
}

/// A hop, and what can prove it.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct HopView {
    /// Its name.
    pub name: String,
    /// What kind of place it is.
    pub kind: HopKind,
    /// Names of the running workloads that are it.
    pub workloads: Vec<String>,
    /// When a flow was last proven to have passed it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub last_seen: Option<Timestamp>,
    /// Each kind of evidence that counts for it.
    pub evidence: Vec<EvidenceView>,
}

/// One kind of evidence.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct EvidenceView {
    /// Which.
    pub kind: EvidenceKind,
    /// Whether it can hold now.
    pub can_hold: bool,
    /// By what: addresses, MACs, observation points, sockets.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub by: Vec<String>,
    /// Why it cannot.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub blind: Option<BlindView>,
}

/// Why evidence cannot hold.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct BlindView {
    /// One word of a closed list.
    pub reason: &'static str,
    /// The same in a sentence.
    pub why: String,
    /// What to do about it.
    pub fix: String,
}

impl Paths {
    /// From what the core says.
    pub fn new(timeline: &Timeline, path: &PathState, coverage: &[ContractCoverage], warnings: Vec<String>) -> Self {
        let contracts = coverage.iter().map(|contract| ContractView::new(timeline, contract)).collect();
        Self { schema: PATHS_SCHEMA, contracts, unjudged: Unjudged::new(&path.unjudged), warnings }
    }

    /// The published JSON Schema.
    pub fn json_schema() -> serde_json::Value {
        schema_of::<Self>()
    }
}

/// The published JSON Schema of something that is printed.
pub fn schema_of<T: JsonSchema>() -> serde_json::Value {
    let settings = schemars::generate::SchemaSettings::draft2020_12().for_serialize();
    settings.into_generator().into_root_schema_for::<T>().to_value()
}

impl ContractView {
    fn new(timeline: &Timeline, coverage: &ContractCoverage) -> Self {
        let listed = coverage.workloads.iter().take(MOST_WORKLOADS);
        Self {
            name: coverage.contract.clone(),
            service: coverage.service,
            whole: coverage.is_whole(),
            workloads: listed.map(|one| WorkloadView::new(timeline, &one.workload, &one.watched)).collect(),
            workloads_omitted: coverage.workloads.len().saturating_sub(MOST_WORKLOADS),
            stages: coverage.stages.iter().map(|hops| hops.iter().map(HopView::new).collect()).collect(),
        }
    }
}

impl WorkloadView {
    /// From where it is seen.
    pub fn new(timeline: &Timeline, workload: &Workload, watched: &Watched) -> Self {
        let names = |points: &[_]| points.iter().map(ToString::to_string).collect::<Vec<String>>();
        let (observation, observation_points, unseen) = match watched {
            Watched::At(points) => ("watched", names(points), Vec::new()),
            Watched::Partly { points, unseen } => {
                let unseen = unseen.iter().map(|(network, why)| UnseenView::new(timeline, network, why)).collect();
                (if points.is_empty() { "unwatched" } else { "partly" }, names(points), unseen)
            }
            Watched::NoTraffic => ("no_traffic", Vec::new(), Vec::new()),
            Watched::Unknown => ("unknown", Vec::new(), Vec::new()),
        };
        let (id, name) = (workload.id.to_string(), workload.name.clone());
        Self { id, name, observation, observation_points, unseen }
    }
}

impl UnseenView {
    fn new(timeline: &Timeline, network: &str, unseen: &Unseen) -> Self {
        let bridge = timeline.network("", network).and_then(|known| known.bridge.as_deref());
        let (why, fix) = match (unseen, bridge) {
            (Unseen::NoInterface, Some(bridge)) => (
                format!("{bridge}, the bridge of network {network}, is not captured"),
                format!("capture it too: -i {bridge}, or {bridge} under capture.interfaces"),
            ),
            _ => (unseen.why(network), unseen.fix().to_owned()),
        };
        Self { network: network.to_owned(), why, fix }
    }
}

impl HopView {
    /// From what can prove it.
    pub fn new(hop: &HopCoverage) -> Self {
        Self {
            name: hop.name.clone(),
            kind: hop.kind,
            workloads: hop.workloads.iter().map(|workload| workload.name.clone()).collect(),
            last_seen: hop.last_seen,
            evidence: hop.evidence.iter().map(EvidenceView::new).collect(),
        }
    }

    /// Whether any of its evidence can hold.
    pub fn can_be_proven(&self) -> bool {
        self.evidence.iter().any(|evidence| evidence.can_hold)
    }
}

impl EvidenceView {
    fn new(evidence: &EvidenceCoverage) -> Self {
        let (by, blind) = match &evidence.proof {
            Provability::By(by) => (by.clone(), None),
            Provability::Blind(blind) => {
                (Vec::new(), Some(BlindView { reason: blind.as_str(), why: blind.why(), fix: blind.fix() }))
            }
        };
        Self { kind: evidence.kind, can_hold: blind.is_none(), by, blind }
    }
}
