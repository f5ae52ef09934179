//! The incident as it is delivered: JSON `hopwatch.incident/1`.
//!
//! Contract: fields are only ever added within version 1; `docs/incident.md` says what each means, `docs/incident.schema.json` what each
//! looks like. Limits: text from the runtime stands here as it came; JSON escapes it, a terminal sink must.

use schemars::JsonSchema;
use serde::Serialize;

use crate::alert::Technique;
use crate::detect::Severity;
use crate::path::Evidence;
use crate::time::Timestamp;

/// Name and version of the shape.
pub const SCHEMA: &str = "hopwatch.incident/1";

/// Alerts and events of one chain.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Incident {
    /// Always `hopwatch.incident/1`.
    pub schema: &'static str,
    /// `incident-` and the id of its first alert; equal in every replay of the recording.
    pub id: String,
    /// 0 when it is first written, then 1, 2 … whenever it has grown.
    pub update: u32,
    /// The highest of its alerts; one higher where tampering with a monitor or with logs came before traffic that left its path.
    pub severity: Severity,
    /// The service that it is about, with its image's repository; absent where no workload is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub service: Option<String>,
    /// The workloads involved, in order of appearance; of very many the first.
    pub workloads: Vec<IncidentWorkload>,
    /// Event time of its first step.
    pub first_seen: Timestamp,
    /// Event time of its last step so far.
    pub last_seen: Timestamp,
    /// What happened, in order of event time.
    pub steps: Vec<Step>,
    /// Further steps, which are counted but not listed.
    pub steps_omitted: u64,
    /// Incidents that turned out to be this one: their ids. Nothing more is written about those.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub merged: Vec<String>,
    /// ATT&CK techniques of its alerts, in both namings.
    pub attack: Vec<Technique>,
}

/// A workload of an incident.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct IncidentWorkload {
    /// Full container id.
    pub id: String,
    /// Name.
    pub name: String,
    /// Image reference.
    pub image: String,
}

/// What a step is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum StepKind {
    /// The runtime did something to a container.
    Event,
    /// A rule fired.
    Alert,
}

/// Something that happened.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
pub struct Step {
    /// Event time.
    pub at: Timestamp,
    /// Whether it is an alert or an event of the runtime.
    pub kind: StepKind,
    /// The workload's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workload: Option<String>,
    /// What happened, in one line.
    pub text: String,
    /// The rule that fired.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<&'static str>,
    /// The alert's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alert: Option<String>,
    /// The alert's severity.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub severity: Option<Severity>,
    /// The path contract that was broken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contract: Option<String>,
    /// Why it is said; the first of the alert's evidence.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<Evidence>,
}

/// The published JSON Schema of an incident.
pub fn json_schema() -> serde_json::Value {
    let settings = schemars::generate::SchemaSettings::draft2020_12().for_serialize();
    settings.into_generator().into_root_schema_for::<Incident>().to_value()
}
