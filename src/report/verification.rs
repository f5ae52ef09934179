//! Whether traffic kept to its path, as data: JSON `hopwatch.verification/1`.
//!
//! Contract: fields are only ever added within version 1; `docs/verify.md` says what each means. The verdicts add up to `flows.total`, the
//! exceptions to `bypassed + partial`, the reasons to `unobservable`. Limits: text from the runtime stands here as it came; JSON escapes it.

mod beside;
mod conclusion;
mod make;
mod phrases;
mod run;
mod text;
mod unseen;

pub use conclusion::{Conclusion, Outcome};
pub use run::{PointRead, Run};

use schemars::JsonSchema;
use serde::Serialize;

use super::paths::{HopView, WorkloadView};
use crate::input::{Endpoint, Protocol};
use crate::path::{Evidence, EvidenceKind, HopKind, MissingHop, Selector, Unobservable};
use crate::time::Timestamp;

/// Name and version of the shape.
pub const VERIFICATION_SCHEMA: &str = "hopwatch.verification/1";

/// The whole answer.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Verification {
    /// Always `hopwatch.verification/1`.
    pub schema: &'static str,
    /// What was asked.
    pub question: QuestionView,
    /// What was looked at.
    pub observed: Observed,
    /// The answer.
    pub conclusion: Conclusion,
    /// Flows that the question is about, by verdict.
    pub flows: FlowCounts,
    /// Why flows could not be judged.
    pub unobservable: Vec<ReasonView>,
    /// Flows that did not pass the hop, by destination.
    pub exceptions: Vec<ExceptionView>,
    /// Such flows to further destinations.
    pub exceptions_omitted: u64,
    /// The workloads that were asked about.
    pub workloads: Vec<WorkloadSeen>,
    /// Flows of workloads that are not listed.
    pub workloads_omitted: u64,
    /// Flows of which it is not known whose they are.
    pub unattributed: u64,
    /// The hop, and what could prove it at the end.
    pub hop: HopView,
    /// What could not be seen.
    pub not_seen: Vec<NotSeen>,
    /// Further windows in which something was not seen.
    pub not_seen_omitted: u64,
    /// What else went wrong.
    pub warnings: Vec<String>,
    /// Names of the workloads that there were.
    #[serde(skip)]
    names: Vec<String>,
}

/// What was asked.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct QuestionView {
    /// Whose traffic; any of these.
    pub workloads: Vec<Selector>,
    /// What it must pass.
    pub through: HopAsked,
    /// To where.
    pub to: Vec<String>,
    /// To which ports; empty: any.
    pub ports: Vec<String>,
    /// Destinations that are not asked about.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub except: Vec<String>,
    /// Of 100 flows, or of 100 bytes, so many may be unobservable.
    pub max_unobservable_percent: f64,
    /// What may have hidden flows and was accepted by the question, with the reason.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub accepted: Vec<Accepted>,
}

/// The hop that was named.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct HopAsked {
    /// Its name.
    pub name: String,
    /// What kind of place it is.
    pub kind: HopKind,
    /// Workloads that are it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub workloads: Vec<Selector>,
    /// Addresses that are it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub addresses: Vec<String>,
    /// Its interfaces, as globs.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub interfaces: Vec<String>,
    /// Ports at which it serves; empty: any.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<String>,
    /// Kinds of evidence of which one is enough.
    pub evidence: Vec<EvidenceKind>,
}

/// Where the packets came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Source {
    /// This host, as it happened.
    Live,
    /// A recording or a capture.
    Recording,
}

/// What was looked at.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Observed {
    /// Where the packets came from.
    pub source: Source,
    /// Beginning.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<Timestamp>,
    /// End.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// Packets captured at all points.
    pub packets: u64,
    /// Packets and events that were lost where the question's traffic passes.
    pub lost: u64,
    /// The points, in order of name.
    pub observation_points: Vec<PointView>,
}

/// An observation point.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct PointView {
    /// Its name.
    pub name: String,
    /// Packets captured.
    pub packets: u64,
    /// Whether the question's traffic, or its hop's, passes there.
    pub relevant: bool,
}

/// Flows by verdict.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct FlowCounts {
    /// All of them.
    pub total: u64,
    /// Passed the hop, with evidence.
    pub verified: u64,
    /// Went around it.
    pub bypassed: u64,
    /// Passed it in part.
    pub partial: u64,
    /// Could not be judged.
    pub unobservable: u64,
    /// Of `total`, bytes on the wire.
    pub bytes: u64,
    /// Of `unobservable`, bytes on the wire.
    pub unobservable_bytes: u64,
    /// Not in `total`: flows to what is not asked about.
    pub excepted: u64,
}

/// A reason, how often, when and where.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct ReasonView {
    /// One word of a closed list.
    pub reason: Unobservable,
    /// The same in words.
    pub text: &'static str,
    /// Flows.
    pub count: u64,
    /// Beginning of the first.
    pub first_seen: Timestamp,
    /// Beginning of the last.
    pub last_seen: Timestamp,
    /// Where they were seen first.
    pub observation_points: Vec<String>,
}

/// The exceptions to one destination.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct ExceptionView {
    /// The end that answers.
    pub destination: Endpoint,
    /// IP protocol number.
    pub protocol: Protocol,
    /// Its name.
    pub protocol_name: String,
    /// Flows.
    pub count: u64,
    /// Of them, bypassed.
    pub bypassed: u64,
    /// Of them, partial.
    pub partial: u64,
    /// Beginning of the first.
    pub first_seen: Timestamp,
    /// Beginning of the last.
    pub last_seen: Timestamp,
    /// The first ones.
    pub flows: Vec<ExceptionFlow>,
    /// Further ones.
    pub flows_omitted: u64,
}

/// One exception.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct ExceptionFlow {
    /// Its first packet.
    pub at: Timestamp,
    /// Name of the workload; absent when nobody could be named.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workload: Option<String>,
    /// Its id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workload_id: Option<String>,
    /// `bypassed` or `partial`.
    pub verdict: &'static str,
    /// The end that asked.
    pub orig: Endpoint,
    /// The end that answers.
    pub resp: Endpoint,
    /// Community ID v1, seed 0.
    pub community_id: String,
    /// Where it was seen.
    pub observation_points: Vec<String>,
    /// Whether an answer was seen.
    pub answered: bool,
    /// The hop that was skipped, and where it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub missing_hop: Option<MissingHop>,
    /// Why this is said.
    pub evidence: Vec<Evidence>,
}

/// A workload that was asked about.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct WorkloadSeen {
    /// Who it is, and where its traffic was seen while it ran.
    #[serde(flatten)]
    pub workload: WorkloadView,
    /// Its flows that the question is about.
    pub flows: u64,
}

/// A kind of blindness that the question accepts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Accepted {
    /// One of the kinds of `not_seen`.
    pub what: &'static str,
    /// Why it hides nothing, in the words of the person who asked.
    pub reason: String,
}

/// Something that could not be seen.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct NotSeen {
    /// `loss`, `point_down`, `runtime_silent`, `translations`, `network`, `hop`, `not_decoded`, `payload`, `input`, `absent`,
    /// `renamed` or `daemon_resolver`.
    pub what: &'static str,
    /// Whether it may have hidden flows of the question, so that nothing can be said; `--accept` takes it back.
    pub hides: bool,
    /// In a sentence.
    pub text: String,
    /// Where.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub observation_point: Option<String>,
    /// Beginning.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// End; absent while it goes on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
    /// How much was lost, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
    /// Packets that it is about, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub packets: Option<u64>,
    /// Bytes that it is about, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// How long it lasted, in seconds, where that is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seconds: Option<f64>,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fix: Option<String>,
}

impl NotSeen {
    /// Of this kind; nothing else is known of it.
    pub(super) const fn new(what: &'static str) -> Self {
        Self {
            what,
            hides: false,
            text: String::new(),
            observation_point: None,
            since: None,
            until: None,
            count: None,
            packets: None,
            bytes: None,
            seconds: None,
            fix: None,
        }
    }
}
