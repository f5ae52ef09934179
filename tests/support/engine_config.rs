//! Configurations of the engine for tests and benchmarks. One place to change when the engine gets another setting.

use std::sync::Arc;
use std::time::Duration;

use hopwatch::alert::{AlertBudget, SeverityPolicy};
use hopwatch::detect::LocalNetworks;
use hopwatch::detect::rules::{RuleParams, exception_expires};
use hopwatch::engine::{EngineConfig, Timings};
use hopwatch::inventory::TimelineLimits;
use hopwatch::path::{
    Contract, DestinationSet, Hop, HopKind, Monitors, PortSpec, Selector, SelectorFile, Service, Stage,
};

/// Without contracts, with room for a small test.
pub fn for_tests() -> EngineConfig {
    EngineConfig {
        config_sha256: None,
        rule_page: None,
        contracts: vec![],
        monitors: Monitors::default(),
        exceptions: vec![],
        severities: SeverityPolicy::default(),
        // Exceptions of tests expire within seconds; the tests of that rule switch it on.
        rules: RuleParams {
            exception_expires: exception_expires::Params { enabled: false, ..Default::default() },
            ..RuleParams::default()
        },
        local: LocalNetworks::default(),
        baseline: None,
        timings: Timings {
            attribution_grace: Duration::from_millis(600),
            answer_grace: Duration::from_millis(400),
            transit_grace: Duration::from_millis(500),
            report_interval: Duration::from_secs(10),
            hop_ready: Duration::from_secs(30),
            update_interval: Duration::from_mins(1),
            close_after: Duration::from_mins(10),
        },
        timeline: TimelineLimits { workloads: 100, remember: Duration::from_mins(10) },
        max_flows: 1000,
        max_alerts: 100,
        max_destinations: 3,
        incidents: None,
        alert_budget: AlertBudget { burst: 20, refill: Duration::from_mins(1) },
    }
}

/// Workloads by the pattern of their name.
pub fn named(name: &str) -> Selector {
    Selector::try_from(SelectorFile { name: Some(name.to_owned()), ..SelectorFile::default() }).expect("a selector")
}

/// A hop of this kind that a workload of the same name is.
pub fn hop(name: &str, kind: HopKind) -> Hop {
    Hop {
        name: name.into(),
        kind,
        workloads: vec![named(name)],
        addresses: vec![],
        interfaces: vec![],
        ports: vec![],
        evidence: kind.evidence().to_vec(),
    }
}

/// A hop that connections end at.
pub fn endpoint(name: &str, ports: Vec<PortSpec>) -> Hop {
    Hop { ports, ..hop(name, HopKind::Endpoint) }
}

/// A contract with one hop.
pub fn contract(name: &str, service: Service, from: &str, to: DestinationSet, via: &Arc<Hop>) -> Contract {
    Contract {
        name: name.into(),
        service,
        workloads: vec![named(from)],
        remotes: vec![to],
        ports: vec![],
        family: None,
        networks: vec![],
        via: vec![Stage { any_of: vec![Arc::clone(via)] }],
    }
}
