//! The checked configuration, from the sections and what was made of contracts and exceptions.
//!
//! Contract: cannot fail; scalars were checked where they were read.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use crate::alert::{AlertBudget, Exception};
use crate::config::file::{FileConfig, Runtime};
use crate::config::scalar::Socket;
use crate::config::{CaptureConfig, Config, RuntimesConfig};
use crate::detect::LocalNetworks;
use crate::engine::{EngineConfig, Timings};
use crate::input::RuntimeKind;
use crate::inventory::TimelineLimits;
use crate::inventory::command_words::Vocabulary;
use crate::inventory::discover::Sought;
use crate::path::{Contract, Hop, Monitors};

/// MiB to bytes.
const MIB: u32 = 1 << 20;

/// Puts it together.
pub(super) fn assemble(
    file: FileConfig,
    hops: Vec<Arc<Hop>>,
    contracts: Vec<Contract>,
    exceptions: Vec<Exception>,
) -> Config {
    let FileConfig {
        capture,
        runtime,
        serve,
        flows,
        detection,
        inventory,
        actors,
        alerts,
        state,
        baseline_key,
        rules,
        monitors,
        incidents,
        ..
    } = file;
    let programs = Arc::new(Vocabulary::new(monitors.programs.into_iter().map(|name| name.0)));
    let workloads = monitors.workloads.into_iter().map(|selector| selector.value).collect();
    Config {
        capture: CaptureConfig {
            interfaces: capture.interfaces.into_iter().map(|glob| glob.0).collect(),
            snap_length: capture.snap_length,
            payload_snap_length: capture.payload_snap_length.small(),
            ring_bytes: capture.ring_mib.small().saturating_mul(MIB),
            ring_budget_bytes: u64::from(capture.ring_budget_mib.small()) * u64::from(MIB),
            threads: capture.threads.size(),
            exclude_own: capture.exclude_own,
            inside_namespaces: capture.inside_namespaces,
        },
        runtimes: runtimes(runtime, &programs),
        listen: serve.listen.0,
        meter: flows.limits(),
        sinks: Vec::new(),
        state_dir: state.dir.map(|dir| PathBuf::from(dir.0)),
        engine: EngineConfig {
            contracts,
            monitors: Monitors { workloads, programs, hops },
            exceptions,
            lowerings: Vec::new(),
            rules,
            local: LocalNetworks::new(actors.local.into_iter().map(|range| range.0).collect()),
            baseline: None,
            timings: Timings {
                attribution_grace: detection.attribution_grace.get(),
                answer_grace: detection.answer_grace.get(),
                transit_grace: detection.transit_grace.get(),
                report_interval: flows.limits().update_interval,
                hop_ready: detection.startup_grace.get(),
                update_interval: alerts.update_interval.get(),
                close_after: alerts.close_after.get(),
            },
            timeline: TimelineLimits { workloads: inventory.max_workloads.size(), remember: inventory.remember.get() },
            max_flows: detection.max_flows.size(),
            max_alerts: alerts.max_open.size(),
            max_destinations: alerts.max_destinations.size(),
            incidents: incidents.limits(),
            alert_budget: AlertBudget { burst: alerts.burst.small(), refill: alerts.refill.get() },
        },
        hops: BTreeMap::new(),
        destinations: BTreeMap::new(),
        baseline: None,
        baseline_key: baseline_key.map(|key| key.0),
    }
}

fn runtimes(file: Runtime, vocabulary: &Arc<Vocabulary>) -> RuntimesConfig {
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
    }
}
