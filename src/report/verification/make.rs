//! From what a run left to the report.

use std::time::Duration;

use super::beside::{beside, unobservable_bytes};
use super::run::{PointRead, Run};
use super::unseen::{Measure, Relevant, not_seen};
use super::{
    Accepted, Conclusion, ExceptionFlow, ExceptionView, FlowCounts, HopAsked, Observed, PointView, QuestionView,
    ReasonView, VERIFICATION_SCHEMA, Verification, WorkloadSeen,
};
use crate::engine::{
    Engine, ExceptionGroup, LoggedFlow, ReasonCount, Target, Traffic, VerdictLogContents, WorkloadLine,
};
use crate::flow::community_id;
use crate::path::{ContractCoverage, DestinationSet, Hop, HopKind, PortSpec, Unobservable, coverage};
use crate::report::Question;
use crate::report::paths::{HopView, WorkloadView, schema_of};

impl Verification {
    /// From what a run left.
    pub fn new(question: &Question, engine: &Engine, run: Run) -> Self {
        let page = engine.verdict_log().unwrap_or_default();
        let covered = coverage(engine.timeline(), &[question.contract()], engine.path());
        let hop = hop_of(&covered);
        let workloads: Vec<_> = page.workloads.values().map(|line| WorkloadSeen::new(engine, line)).collect();
        let relevant = Relevant::new(&workloads, &hop);
        let observed = Observed::new(&run, &page, &relevant);
        let measure = Measure { run: &run, most_percent: question.max_unobservable, accepted: &question.accepted };
        let unjudged = &engine.path().unjudged;
        let beside = beside(question, &page, unjudged, &measure);
        let not_seen = not_seen(&page.windows, &workloads, &hop, &relevant, (beside, &measure));
        let mut answer = Self {
            schema: VERIFICATION_SCHEMA,
            question: QuestionView::new(question),
            observed,
            conclusion: Conclusion::default(),
            flows: FlowCounts::new(&page),
            unobservable: page.reasons.iter().map(|(reason, count)| ReasonView::new(*reason, count)).collect(),
            exceptions: page.exceptions.iter().map(|(target, group)| ExceptionView::new(target, group)).collect(),
            exceptions_omitted: page.exceptions_omitted,
            not_seen,
            not_seen_omitted: page.windows_omitted,
            workloads,
            workloads_omitted: page.workloads_omitted,
            unattributed: page.unattributed,
            hop,
            warnings: run.warnings,
            names: page.names.into_iter().collect(),
        };
        answer.conclusion = Conclusion::new(&answer, &question.asked);
        answer
    }

    /// How long it was looked.
    pub fn lasted(&self) -> Option<Duration> {
        Some(self.observed.until?.since(self.observed.from?))
    }

    /// The published JSON Schema.
    pub fn json_schema() -> serde_json::Value {
        schema_of::<Self>()
    }
}

/// The contract has one stage with one hop.
fn hop_of(coverage: &[ContractCoverage]) -> HopView {
    let hop = coverage.iter().flat_map(|contract| contract.stages.iter().flatten()).next().map(HopView::new);
    hop.unwrap_or_else(|| HopView {
        name: String::new(),
        kind: HopKind::default(),
        workloads: Vec::new(),
        last_seen: None,
        evidence: Vec::new(),
    })
}

fn ports(ports: &[PortSpec]) -> Vec<String> {
    let word = |spec: &PortSpec| match spec.protocol {
        None => spec.port.to_string(),
        Some(protocol) => format!("{}/{protocol}", spec.port),
    };
    ports.iter().map(word).collect()
}

impl QuestionView {
    fn new(question: &Question) -> Self {
        Self {
            workloads: question.workloads.clone(),
            through: HopAsked::new(&question.hop),
            to: question.to.iter().map(|(name, set)| set_name(name, set)).collect(),
            ports: ports(&question.ports),
            except: question.except.iter().map(|(name, _)| name.clone()).collect(),
            max_unobservable_percent: question.max_unobservable,
            accepted: question
                .accepted
                .iter()
                .map(|(what, reason)| Accepted { what, reason: reason.clone() })
                .collect(),
        }
    }
}

/// `corp (10.20.0.0/16)`; what explains itself is not explained.
fn set_name(name: &str, set: &DestinationSet) -> String {
    match set {
        DestinationSet::Ranges(ranges) => {
            let ranges: Vec<_> = ranges.iter().map(ToString::to_string).collect();
            if ranges == [name] { name.to_owned() } else { format!("{name} ({})", ranges.join(", ")) }
        }
        DestinationSet::Any | DestinationSet::Internet => name.to_owned(),
    }
}

impl HopAsked {
    fn new(hop: &Hop) -> Self {
        Self {
            name: hop.name.clone(),
            kind: hop.kind,
            workloads: hop.workloads.clone(),
            addresses: hop.addresses.iter().map(ToString::to_string).collect(),
            interfaces: hop.interfaces.iter().map(|glob| glob.glob().to_string()).collect(),
            ports: ports(&hop.ports),
            evidence: hop.evidence.clone(),
        }
    }
}

impl Observed {
    fn new(run: &Run, page: &VerdictLogContents, relevant: &Relevant) -> Self {
        let lost = page.windows.iter().filter(|window| relevant.concerns(window.point.as_ref()));
        let point = |point: &PointRead| PointView {
            name: point.name.clone(),
            packets: point.packets,
            relevant: relevant.has(&point.name),
        };
        Self {
            source: run.source,
            from: run.span.map(|span| span.0),
            until: run.span.map(|span| span.1),
            packets: run.points.iter().map(|point| point.packets).sum(),
            lost: lost.map(|window| window.count).sum(),
            observation_points: run.points.iter().map(point).collect(),
        }
    }
}

impl FlowCounts {
    fn new(page: &VerdictLogContents) -> Self {
        let (unobservable_bytes, bytes) = unobservable_bytes(page);
        Self {
            bytes,
            unobservable_bytes,
            excepted: page.amounts.get(&Traffic::Excepted).map_or(0, |amount| amount.flows),
            total: page.flows(),
            verified: page.verified,
            bypassed: page.bypassed,
            partial: page.partial,
            unobservable: page.unobservable,
        }
    }
}

impl ReasonView {
    fn new(reason: Unobservable, count: &ReasonCount) -> Self {
        Self {
            reason,
            text: words(reason),
            count: count.count,
            first_seen: count.first.unwrap_or_default(),
            last_seen: count.last.unwrap_or_default(),
            observation_points: count.points.keys().map(ToString::to_string).collect(),
        }
    }
}

/// Why something could not be judged, for a person.
const fn words(reason: Unobservable) -> &'static str {
    match reason {
        Unobservable::NoObservationPoint => "nothing looks where the traffic passes",
        Unobservable::CaptureLoss => "capture loss",
        Unobservable::UnattributedAddress => "the owner of an address is unknown",
        Unobservable::RootlessStack => "a rootless network stack hides the container",
        Unobservable::UndecodedTunnel => "inside a tunnel that is not decoded",
        Unobservable::NatUnknown => "translated, and it is not known into what",
        Unobservable::HopNotReady => "the hop was not ready",
        Unobservable::OneSided => "only one direction was seen",
        Unobservable::Unanswered => "the hop did not answer",
    }
}

impl ExceptionView {
    fn new(target: &Target, group: &ExceptionGroup) -> Self {
        let listed = u64::try_from(group.flows.len()).unwrap_or(u64::MAX);
        Self {
            destination: target.end,
            protocol: target.protocol,
            protocol_name: target.protocol.to_string(),
            count: group.count(),
            bypassed: group.bypassed,
            partial: group.partial,
            first_seen: group.first,
            last_seen: group.last,
            flows: group.flows.iter().map(ExceptionFlow::new).collect(),
            flows_omitted: group.count().saturating_sub(listed),
        }
    }
}

impl ExceptionFlow {
    fn new(flow: &LoggedFlow) -> Self {
        let workload = flow.source.workload();
        Self {
            at: flow.record.start,
            workload: workload.map(|workload| workload.name.clone()),
            workload_id: workload.map(|workload| workload.id.to_string()),
            verdict: flow.verdict.as_str(),
            orig: flow.tuple.orig,
            resp: flow.tuple.resp,
            community_id: community_id(&flow.tuple, 0),
            observation_points: flow.points.iter().map(ToString::to_string).collect(),
            answered: flow.answered,
            missing_hop: flow.missing_hop.clone(),
            evidence: flow.evidence.clone(),
        }
    }
}

impl WorkloadSeen {
    fn new(engine: &Engine, line: &WorkloadLine) -> Self {
        Self { workload: WorkloadView::new(engine.timeline(), &line.workload, &line.watched), flows: line.flows }
    }
}
