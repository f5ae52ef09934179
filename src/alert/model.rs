//! The alert as it is delivered: JSON `hopwatch.alert/1`.
//!
//! Contract: fields are only ever added within version 1; `docs/alert.md` says what each means, `docs/alert.schema.json` what each
//! looks like. Limits: text from the runtime stands here as it came; JSON escapes it, a terminal sink must.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::Serialize;

use crate::detect::Severity;
use crate::input::{Endpoint, FiveTuple, ObservationPoint, Protocol, RuntimeId, RuntimeKind};
use crate::inventory::{AttributionMethod, Confidence};
use crate::names::KnownBy;
use crate::path::Evidence;
use crate::time::Timestamp;

/// Name and version of the shape.
pub const SCHEMA: &str = "hopwatch.alert/1";

/// One alert, or a counted update of one that was raised before.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Alert {
    /// Always `hopwatch.alert/1`.
    pub schema: &'static str,
    /// Sixteen hexadecimal digits; equal in every replay of the recording. Updates carry the id of their alert.
    pub id: String,
    /// 0 when the alert is raised, then 1, 2 … for each counted update.
    pub update: u32,
    /// Rule that fired.
    pub rule: &'static str,
    /// What happened, in one line.
    pub title: &'static str,
    /// Highest severity so far.
    pub severity: Severity,
    /// Event time of the first packet or fact that showed it.
    pub first_seen: Timestamp,
    /// Event time of the last one so far.
    pub last_seen: Timestamp,
    /// How often it was found so far.
    pub count: u64,
    /// Whose doing; absent when it could not be attributed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workload: Option<AlertWorkload>,
    /// Who acts, where it is about what a service or a plain address does to others.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub actor: Option<AlertActor>,
    /// Why this is an anomaly, where it is one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub anomaly: Option<Box<Explanation>>,
    /// The first flow that showed it; absent for alerts about a workload's configuration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub flow: Option<AlertFlow>,
    /// The other ends, in order of appearance; of very many the latest, and every one is listed in some line.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub destinations: Vec<Destination>,
    /// How many of these, from the end, no earlier line has listed.
    #[serde(skip)]
    pub destinations_new: usize,
    /// Findings to further destinations, which are counted but no longer listed.
    pub destinations_omitted: u64,
    /// Path contract that was broken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contract: Option<String>,
    /// Verdict on the flow.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verdict: Option<VerdictInfo>,
    /// The hop that was skipped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub missing_hop: Option<MissingHop>,
    /// Why this is said.
    pub evidence: Vec<Evidence>,
    /// What could not be seen around its first packet when it was raised: `lost`, `unwatched`, `runtime`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub blind_spots: Vec<Evidence>,
    /// Addresses whose packets belong to its evidence, beside those of its workload, its flow and its hop.
    #[serde(skip)]
    pub witnesses: Vec<IpAddr>,
    /// How the workload is known to be the sender.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attribution: Option<AttributionInfo>,
    /// Who sent the frames: interface, MAC, process; absent where no flow or claim is involved, or nothing of it was seen.
    #[serde(skip_serializing_if = "says_nothing")]
    pub sender: Option<Box<FrameSender>>,
    /// ATT&CK techniques, in both namings.
    pub attack: Vec<Technique>,
    /// The technique that the whole family of rules grew from.
    pub seed_reference: &'static str,
    /// What to do, in order.
    pub response: Vec<String>,
    /// The rule's page.
    pub link: String,
    /// SHA-256 of the configuration that was in force when this line was written, in hexadecimal digits, as the metric `hopwatch_config_info` names it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config_sha256: Option<Arc<str>>,
    /// What it is about no longer holds; absent while it may hold.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub ended: bool,
    /// The first line of this run: the alert was raised, or goes on after a restart.
    #[serde(skip)]
    pub is_first_of_run: bool,
    /// What it is about, whenever it began.
    #[serde(skip)]
    pub condition: Option<Condition>,
    /// What is kept of packets and facts from before it; absent where nothing is, and in a replay.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bundle: Option<AlertBundle>,
}

pub use crate::detect::{Explanation, FrameSender, ProcessEvidence, SenderProcess, Technique};
pub use crate::path::{HopKind, MissingHop};

/// What an alert is about, whenever it began: after a restart the same one continues the alert.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Condition {
    /// A hash of rule, workload, contract and cause.
    pub hash: Arc<str>,
    /// It is a setting that each run looks at anew; otherwise it is something that happened.
    pub stands: bool,
}

/// Where evidence from before an alert is kept.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct AlertBundle {
    /// The folder on the host, a few seconds after the alert; `hopwatch replay` takes it.
    pub path: String,
    /// The chain of bundles up to here, as the hash of its last link: kept elsewhere, it proves that nothing before it was changed since.
    pub chain_head: String,
}

/// Who acts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct AlertActor {
    /// `service`, or `address` where no runtime explains the address.
    pub kind: &'static str,
    /// The service's name, or the address.
    pub name: String,
    /// Whether nothing shows that the address is ours: `--local` would tell. The severity is then `medium` at most.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub assumed: bool,
}

/// The workload as the runtime described it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct AlertWorkload {
    /// Full container id.
    pub id: String,
    /// Name.
    pub name: String,
    /// Image reference.
    pub image: String,
    /// Image digest.
    pub digest: String,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// Runtime that reported it.
    pub runtime: String,
    /// Docker Compose project and service, where it has them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compose: Option<Compose>,
}

/// Docker Compose names.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Compose {
    /// Project.
    pub project: String,
    /// Service.
    pub service: String,
}

/// The flow behind an alert.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct AlertFlow {
    /// IP protocol number.
    pub protocol: Protocol,
    /// Its name.
    pub protocol_name: String,
    /// Originator.
    pub orig: Direction,
    /// Responder.
    pub resp: Direction,
    /// Community ID v1, seed 0: joins with Zeek and Suricata.
    pub community_id: String,
    /// Where it was seen.
    pub observation_points: Vec<ObservationPoint>,
    /// What it looks like on the other side of address translation, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub translated: Option<Translated>,
}

/// The ends of a flow on the other side of address translation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Translated {
    /// Originator.
    pub orig: Endpoint,
    /// Responder.
    pub resp: Endpoint,
    /// Community ID v1, seed 0, of these.
    pub community_id: String,
}

/// One end of a flow and what it sent so far.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Direction {
    /// Address and port.
    #[serde(flatten)]
    pub endpoint: Endpoint,
    /// Packets sent.
    pub packets: u64,
    /// Bytes sent, IP headers included.
    pub bytes: u64,
}

/// A destination and how often it was found.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Destination {
    /// Address and port.
    #[serde(flatten)]
    pub endpoint: Endpoint,
    /// Its name, in lower case: what somebody asked for, or wrote.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<Arc<str>>,
    /// How the name is known: `sni` and `host` stand in the flow itself, `dns` was asked for by the sender, `shared` by somebody else.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name_known_by: Option<KnownBy>,
    /// Findings.
    pub count: u64,
    /// Event time of the first.
    pub first_seen: Timestamp,
    /// Event time of the last.
    pub last_seen: Timestamp,
    /// By which protocol it was reached; of some the port is none.
    #[serde(skip)]
    pub protocol: Protocol,
}

/// A verdict and its reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct VerdictInfo {
    /// `verified`, `bypassed`, `partial` or `unobservable`.
    pub verdict: &'static str,
    /// Why it is unobservable.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'static str>,
}

/// How the sender is known, and how sure that is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct AttributionInfo {
    /// `workload`, `ambiguous`, `host`, `unknown` or `external`.
    pub result: &'static str,
    /// How it is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub how: Option<AttributionMethod>,
    /// How sure it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub confidence: Option<Confidence>,
    /// Why not surer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<&'static str>,
    /// Names of all that it could be, when ambiguous.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub candidates: Vec<String>,
}

#[expect(clippy::ref_option, reason = "serde hands over the field as it is")]
fn says_nothing(sender: &Option<Box<FrameSender>>) -> bool {
    sender.as_deref().is_none_or(|sender| *sender == FrameSender::default())
}

impl Alert {
    /// Whether `hopwatch respond` can do something about its container.
    pub fn can_be_responded_to(&self) -> bool {
        let runtime = self.workload.as_ref().and_then(|workload| workload.runtime.parse::<RuntimeId>().ok());
        runtime.is_some_and(|runtime| matches!(runtime.kind(), RuntimeKind::Docker | RuntimeKind::Podman))
    }

    /// Whether it is about what the end that was asked sent: an answer of its flow, not the question.
    pub fn is_about_an_answer(&self) -> bool {
        let asked = self.flow.as_ref().map(|flow| flow.orig.endpoint);
        asked.is_some() && self.destinations.first().map(|to| to.endpoint) == asked
    }

    /// The rule's page, where it is an address that a browser opens.
    pub fn url(&self) -> Option<&str> {
        let is_address = ["https://", "http://"].iter().any(|scheme| self.link.starts_with(scheme));
        is_address.then_some(self.link.as_str())
    }
}

impl AlertFlow {
    /// The five-tuple, originator first.
    pub const fn tuple(&self) -> FiveTuple {
        FiveTuple { protocol: self.protocol, orig: self.orig.endpoint, resp: self.resp.endpoint }
    }
}

/// The published JSON Schema of an alert.
pub fn json_schema() -> serde_json::Value {
    let settings = schemars::generate::SchemaSettings::draft2020_12().for_serialize();
    settings.into_generator().into_root_schema_for::<Alert>().to_value()
}
