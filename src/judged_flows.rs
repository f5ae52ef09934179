//! Judged flows, one line each: who talked to whom, and whether that passed the hops that it had to.
//!
//! Contract: every flow that the engine judges is a line, also one that no contract covers; a verdict that is revised is another line, which names the
//! one that it replaces. Fields are only ever added within version 1 (`docs/judged-flow.schema.json`). Limits: counters are those at the time of the
//! judgement. Text of runtimes and of packets stands here as it came; who prints it escapes it.

mod filter;
mod text;

pub use filter::{BadFilter, FlowFilter, Kind, Target};
pub use text::{Detail, HEAD, render};

use std::sync::Arc;

use schemars::JsonSchema;
use serde::Serialize;

use crate::alert::{AlertFlow, AlertWorkload, AttributionInfo, MissingHop};
use crate::detect::known_name;
use crate::inventory::Timeline;
use crate::names::{KnownBy, Names};
use crate::path::{Evidence, JudgedFlow, Unobservable, Verdict, responder_of};
use crate::time::Timestamp;

/// Name and version of the shape.
pub const JUDGED_FLOW_SCHEMA: &str = "hopwatch.judged-flow/1";

/// One judgement of one flow.
#[derive(Clone, Debug, PartialEq, Serialize, JsonSchema)]
#[schemars(rename = "JudgedFlow")]
pub struct FlowLine {
    /// Always `hopwatch.judged-flow/1`.
    pub schema: &'static str,
    /// Event time of the flow's first packet.
    pub first_seen: Timestamp,
    /// Milliseconds of event time from there to this judgement.
    pub judged_after_ms: u64,
    /// `verified`, `bypassed`, `partial`, `unobservable`; `uncovered` where no contract is about it, `sent_on` where a hop sends on what its contract
    /// brought to it.
    pub verdict: &'static str,
    /// Why it is unobservable.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<Unobservable>,
    /// The verdict that this one replaces.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub revised_from: Option<&'static str>,
    /// Whether this flow was judged before: its verdict is revised, or its content says that another contract is about it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub again: bool,
    /// The contract that it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub contract: Option<Arc<str>>,
    /// The hop that was skipped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub missing_hop: Option<MissingHop>,
    /// Hops that were proven to be passed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub passed: Vec<String>,
    /// What the verdict rests on.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub evidence: Vec<Evidence>,
    /// The workload that asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workload: Option<AlertWorkload>,
    /// How it is known that it asked.
    pub attribution: AttributionInfo,
    /// The flow, from the end that asked to the end that answers.
    pub flow: AlertFlow,
    /// The workload that was asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub destination_workload: Option<AlertWorkload>,
    /// The name of the end that was asked, in lower case.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<Arc<str>>,
    /// How that name is known: `sni` and `host` stand in the flow itself, `dns` was asked for by the same end, `shared` by somebody else.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name_known_by: Option<KnownBy>,
    /// Whether an answer was seen.
    pub answered: bool,
}

impl FlowLine {
    /// Of a flow as it was judged.
    pub fn new(timeline: &Timeline, names: &Names, judged: &JudgedFlow) -> Self {
        let (judgement, record) = (judged.judgement.as_ref(), &judged.view.record);
        let (name, name_known_by) = known_name(names, judged, record).map(|known| (known.name, known.by)).unzip();
        let verdict = judgement.map(|judgement| judgement.verdict);
        let responder = responder_of(timeline, &judged.oriented);
        Self {
            schema: JUDGED_FLOW_SCHEMA,
            first_seen: judged.oriented.at,
            judged_after_ms: u64::try_from(judged.took.as_millis()).unwrap_or(u64::MAX),
            verdict: match verdict {
                Some(verdict) => verdict.as_str(),
                None if judged.sent_on => "sent_on",
                None => "uncovered",
            },
            reason: verdict.and_then(|verdict| match verdict {
                Verdict::Unobservable(reason) => Some(reason),
                _ => None,
            }),
            revised_from: judged.revised_from.map(Verdict::as_str),
            again: judged.again,
            contract: judgement.map(|judgement| Arc::clone(&judgement.contract)),
            missing_hop: judgement.and_then(|judgement| judgement.missing_hop.clone()),
            passed: judgement
                .map(|judgement| judgement.passed.iter().map(|hop| hop.name.clone()).collect())
                .unwrap_or_default(),
            evidence: judgement.map(|judgement| judgement.evidence.clone()).unwrap_or_default(),
            workload: judged.source.workload().map(|workload| AlertWorkload::of(workload)),
            attribution: AttributionInfo::of(&judged.source),
            flow: AlertFlow::of(&judged.view),
            destination_workload: responder.workload().map(|workload| AlertWorkload::of(workload)),
            name,
            name_known_by,
            answered: judged.answered,
        }
    }
}

/// The JSON Schema of a line.
pub fn json_schema() -> serde_json::Value {
    let settings = schemars::generate::SchemaSettings::draft2020_12().for_serialize();
    settings.into_generator().into_root_schema_for::<FlowLine>().to_value()
}

#[cfg(test)]
mod tests;
