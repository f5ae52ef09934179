//! The checked configuration, from the sections and what was made of the parts that refer to each other.
//!
//! Contract: cannot fail; scalars were checked where they were read.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use ipnetwork::IpNetwork;

use super::selectors;
use crate::alert::{AlertBudget, Exception, SeverityPolicy};
use crate::config::file::{Alerts, Capture, Detection, Evidence, FileConfig, Flows, Response, Runtime};
use crate::config::scalar::Socket;
use crate::config::{CaptureConfig, Config, EvidenceConfig, IpfixConfig, ResponseConfig, RuntimesConfig, SinkConfig};
use crate::detect::LocalNetworks;
use crate::engine::{EngineConfig, Timings};
use crate::evidence::{BudgetLimits, RingLimits};
use crate::input::RuntimeKind;
use crate::inventory::TimelineLimits;
use crate::inventory::command_words::Vocabulary;
use crate::inventory::configuration::ShownLabels;
use crate::inventory::discover::Sought;
use crate::path::{Contract, Hop, Monitors};

/// MiB to bytes.
const MIB: u32 = 1 << 20;

/// What was made of the parts of the file that refer to each other.
pub(super) struct Checked {
    pub destinations: BTreeMap<String, Vec<IpNetwork>>,
    pub hops: BTreeMap<String, Arc<Hop>>,
    pub contracts: Vec<Contract>,
    pub exceptions: Vec<Exception>,
    pub severities: SeverityPolicy,
    pub baseline: Option<PathBuf>,
    pub sinks: Vec<SinkConfig>,
    pub shown_labels: ShownLabels,
}

/// Puts it together.
pub(super) fn assemble(file: FileConfig, checked: Checked) -> Config {
    let programs = Arc::new(Vocabulary::new(file.monitors.programs.iter().map(|name| name.0.clone())));
    Config {
        capture: capture(&file.capture),
        runtimes: runtimes(file.runtime, &programs, checked.shown_labels),
        listen: file.serve.listen.0,
        meter: file.flows.limits(),
        ipfix: file
            .flows
            .ipfix
            .as_ref()
            .map(|ipfix| IpfixConfig { collector: ipfix.collector.clone(), enterprise: ipfix.enterprise.small() }),
        state_dir: file.state.dir.map(|dir| PathBuf::from(dir.0)),
        sandbox: file.sandbox,
        evidence: evidence(&file.evidence),
        response: response(&file.response),
        sinks: checked.sinks,
        hops: checked.hops.clone(),
        destinations: checked.destinations,
        baseline: checked.baseline,
        baseline_key: file.baseline_key.map(|key| key.0),
        time_zone: file.time_zone.map(|zone| zone.0),
        engine: EngineConfig {
            config_sha256: None,
            rule_page: file.alerts.link.as_ref().map(|link| link.0.as_str().into()),
            contracts: checked.contracts,
            monitors: Monitors {
                workloads: selectors(&file.monitors.workloads),
                programs,
                hops: checked.hops.into_values().collect(),
            },
            exceptions: checked.exceptions,
            severities: checked.severities,
            rules: file.rules,
            local: LocalNetworks::new(file.actors.local.into_iter().map(|range| range.0).collect()),
            baseline: None,
            timings: timings(&file.detection, &file.flows, &file.alerts),
            timeline: TimelineLimits {
                workloads: file.inventory.max_workloads.size(),
                remember: file.inventory.remember.get(),
            },
            max_flows: file.detection.max_flows.size(),
            max_alerts: file.alerts.max_open.size(),
            max_destinations: file.alerts.max_destinations.size(),
            incidents: file.incidents.limits(),
            alert_budget: AlertBudget { burst: file.alerts.burst.small(), refill: file.alerts.refill.get() },
        },
    }
}

fn capture(file: &Capture) -> CaptureConfig {
    CaptureConfig {
        interfaces: file.interfaces.iter().map(|glob| glob.0.clone()).collect(),
        snap_length: file.snap_length,
        payload_snap_length: file.payload_snap_length.small(),
        ring_bytes: file.ring_mib.small().saturating_mul(MIB),
        ring_budget_bytes: u64::from(file.ring_budget_mib.small()) * u64::from(MIB),
        threads: file.threads.size(),
        exclude_own: file.exclude_own,
        inside_namespaces: file.inside_namespaces,
    }
}

fn evidence(file: &Evidence) -> EvidenceConfig {
    let bytes = |mib: u64| mib.saturating_mul(u64::from(MIB));
    let memory = |mib: u64| usize::try_from(bytes(mib)).unwrap_or(usize::MAX);
    EvidenceConfig {
        enabled: file.enabled,
        dir: file.dir.as_ref().map(|dir| PathBuf::from(&dir.0)),
        ring: RingLimits { bytes: memory(file.ring_mib.0), age: file.age.get(), snap: file.snap_length.size() },
        ring_budget: memory(file.ring_budget_mib.0),
        payload: file.payload,
        after: file.after.get(),
        budget: BudgetLimits {
            bundle: bytes(file.bundle_mib.0),
            hour: bytes(file.hour_mib.0),
            total: bytes(file.total_mib.0),
        },
    }
}

fn response(file: &Response) -> ResponseConfig {
    ResponseConfig {
        enabled: file.enabled,
        protected: selectors(&file.protected),
        limit: file.limit.size(),
        period: file.limit_period.get(),
        undo_after: file.undo_after.get(),
    }
}

fn timings(detection: &Detection, flows: &Flows, alerts: &Alerts) -> Timings {
    Timings {
        attribution_grace: detection.attribution_grace.get(),
        answer_grace: detection.answer_grace.get(),
        transit_grace: detection.transit_grace.get(),
        report_interval: flows.limits().update_interval,
        hop_ready: detection.startup_grace.get(),
        update_interval: alerts.update_interval.get(),
        close_after: alerts.close_after.get(),
    }
}

fn runtimes(file: Runtime, vocabulary: &Arc<Vocabulary>, shown_labels: ShownLabels) -> RuntimesConfig {
    let Runtime { discover, reconcile_interval, docker, podman, containerd, cri } = file;
    let texts = |sockets: Vec<Socket>| sockets.into_iter().map(|socket| socket.0).collect::<Vec<_>>();
    let sockets = [
        (RuntimeKind::Docker, texts(docker.socket.into_iter().chain(docker.sockets).collect())),
        (RuntimeKind::Podman, texts(podman.sockets)),
        (RuntimeKind::Containerd, texts(containerd.sockets)),
        (RuntimeKind::Cri, texts(cri.sockets)),
    ];
    RuntimesConfig {
        sought: Sought { discover, sockets: sockets.into() },
        reconcile_interval: reconcile_interval.get(),
        docker_reconcile_interval: docker.reconcile_interval.unwrap_or(reconcile_interval).get(),
        vocabulary: Arc::clone(vocabulary),
        shown_labels,
    }
}
