//! From findings and inventory to the parts of an alert.

use super::model::{
    AlertActor, AlertFlow, AlertWorkload, AttributionInfo, Compose, Destination, Direction, Translated, VerdictInfo,
};
use crate::detect::{Actor, Finding};
use crate::flow::community_id;
use crate::input::{Endpoint, FiveTuple, FlowRecord, ObservationPoint, Protocol, Side, Workload};
use crate::inventory::{Doubt, Owner};
use crate::path::{ObservedFlow, Verdict};

impl AlertWorkload {
    /// A workload as alerts show it.
    pub fn of(of: &Workload) -> Self {
        workload(of)
    }
}

impl AlertFlow {
    /// A flow as alerts show it.
    pub fn of(view: &ObservedFlow) -> Self {
        flow(view)
    }
}

impl AttributionInfo {
    /// An owner as alerts show it.
    pub fn of(owner: &Owner) -> Self {
        attribution(owner)
    }
}

pub(super) fn workload(workload: &Workload) -> AlertWorkload {
    let compose = workload.compose_project().zip(workload.compose_service());
    AlertWorkload {
        id: workload.id.to_string(),
        name: workload.name.clone(),
        image: workload.image.clone(),
        digest: workload.image_digest.clone(),
        labels: workload.labels.clone(),
        runtime: workload.runtime.to_string(),
        compose: compose.map(|(project, service)| Compose { project: project.to_owned(), service: service.to_owned() }),
    }
}

pub(super) fn actor(finding: &Finding) -> Option<AlertActor> {
    let actor = finding.actor.as_ref()?;
    let kind = match actor {
        Actor::Service(_) => "service",
        Actor::Address(_) => "address",
    };
    Some(AlertActor { kind, name: actor.to_string(), assumed: finding.is_actor_assumed })
}

pub(super) fn flow(view: &ObservedFlow) -> AlertFlow {
    record(&view.record, view.points.clone(), view.translated.map(translated))
}

fn translated(tuple: FiveTuple) -> Translated {
    Translated { orig: tuple.orig, resp: tuple.resp, community_id: community_id(&tuple, 0) }
}

pub(super) fn record(
    record: &FlowRecord,
    observation_points: Vec<ObservationPoint>,
    translated: Option<Translated>,
) -> AlertFlow {
    let direction =
        |endpoint, side: &Side| Direction { endpoint, packets: side.counters.packets, bytes: side.counters.ip_bytes };
    AlertFlow {
        protocol: record.tuple.protocol,
        protocol_name: record.tuple.protocol.to_string(),
        orig: direction(record.tuple.orig, &record.orig),
        resp: direction(record.tuple.resp, &record.resp),
        community_id: community_id(&record.tuple, 0),
        observation_points,
        translated,
    }
}

pub(super) const fn verdict(verdict: Verdict) -> VerdictInfo {
    let reason = match verdict {
        Verdict::Unobservable(reason) => Some(reason.as_str()),
        _ => None,
    };
    VerdictInfo { verdict: verdict.as_str(), reason }
}

pub(super) fn attribution(owner: &Owner) -> AttributionInfo {
    let plain = |result| AttributionInfo { result, how: None, confidence: None, why: None, candidates: Vec::new() };
    match owner {
        Owner::Workload { how, confidence, why, .. } => AttributionInfo {
            how: Some(*how),
            confidence: Some(*confidence),
            why: why.map(Doubt::as_str),
            ..plain("workload")
        },
        Owner::Ambiguous { candidates, host } => {
            let host = host.then(|| "the host itself".to_owned());
            AttributionInfo {
                candidates: candidates.iter().map(|workload| workload.name.clone()).chain(host).collect(),
                ..plain("ambiguous")
            }
        }
        Owner::Host => plain("host"),
        Owner::Unknown => plain("unknown"),
        Owner::External => plain("external"),
    }
}

/// The first of a finding's destination.
pub(super) fn destination(endpoint: Endpoint, finding: &Finding) -> Destination {
    let protocol = finding.flow.as_ref().map_or(Protocol::TCP, |flow| flow.record.tuple.protocol);
    let (name, name_known_by) = finding.name.clone().map(|known| (known.name, known.by)).unzip();
    Destination { endpoint, name, name_known_by, count: 1, first_seen: finding.at, last_seen: finding.at, protocol }
}
