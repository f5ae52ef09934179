//! Flows made by hand, for tests of rules and of what is told of them; with the words they are made of.

use std::sync::Arc;
use std::time::Duration;

use super::{Context, Finding, Findings, Rule};
pub use crate::input::*;
use crate::inventory::{AttributionMethod, Confidence, Owner, Timeline, TimelineLimits};
pub use crate::path::*;
use crate::time::Timestamp;

pub const NOW: Timestamp = Timestamp::from_secs(1000);

pub fn timeline() -> Timeline {
    Timeline::new(TimelineLimits { workloads: 10, remember: Duration::from_mins(1) })
}

pub fn owned_by(name: &str) -> Owner {
    let workload = Arc::new(Workload {
        id: WorkloadId::new(name),
        name: name.to_owned(),
        image: "app:1".to_owned(),
        image_digest: "sha256:aa".to_owned(),
        labels: [].into(),
        runtime: "docker".into(),
        network_mode: NetworkMode::Own,
        attachments: vec![],
        pid: Some(1),
        pod: None,
        state: WorkloadState::Running,
        since: Some(Timestamp::from_secs(1)),
    });
    Owner::Workload { workload, how: AttributionMethod::Address, confidence: Confidence::Exact, why: None }
}

pub fn judgement(verdict: Verdict, skip: Option<Skip>) -> Judgement {
    let missing = MissingHop { name: "hop".to_owned(), kind: Some(HopKind::Gateway), expected: vec![] };
    Judgement {
        contract: "contract".into(),
        service: Service::Egress,
        verdict,
        missing_hop: (verdict != Verdict::Verified).then_some(missing),
        skip,
        evidence: vec![Evidence { kind: "next_hop".to_owned(), text: "what the judge saw".to_owned() }],
        passed: vec![],
    }
}

/// A TCP flow of workload `app` from 172.20.0.10 to 198.51.100.7:443 that was answered, seen on `br-net`.
pub fn flow(judgement: Option<Judgement>) -> JudgedFlow {
    let tuple = FiveTuple {
        protocol: Protocol::TCP,
        orig: Endpoint { ip: [172, 20, 0, 10].into(), port: 40_000 },
        resp: Endpoint { ip: [198, 51, 100, 7].into(), port: 443 },
    };
    let point = ObservationPoint::new("br-net");
    let record = FlowRecord {
        id: FlowId(1),
        point: point.clone(),
        tuple,
        start: NOW,
        end: NOW,
        orig: Side::default(),
        resp: Side::default(),
        vlans: vec![],
        fragments: 0,
        tunnels: vec![],
        app: None,
        tcp: Some(TcpFacts::default()),
    };
    JudgedFlow {
        view: FlowView { record, points: vec![point.clone()], translated: None },
        oriented: Oriented { tuple, point, at: NOW, forward: true, certain: true },
        source: owned_by("app"),
        answered: true,
        judgement,
        took: Duration::ZERO,
        over: false,
        reached: None,
        again: false,
    }
}

/// What a rule says of a flow.
pub fn found(rule: &mut dyn Rule, flow: &JudgedFlow) -> Vec<Finding> {
    let mut findings = Findings::default();
    let (timeline, path) = (timeline(), PathState::default());
    rule.on_flow(Context { timeline: &timeline, path: &path, now: NOW }, flow, &mut findings);
    findings.into_parts().0
}
