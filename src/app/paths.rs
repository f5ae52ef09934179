//! `hopwatch paths`: what proves each contract on this host, before any traffic flows.
//!
//! Contract: live it looks once at runtimes, links and (as far as permitted) the kernel, and changes nothing; of a recording it tells how things stood
//! at its end. Limits: a runtime that does not answer is a warning. Design: the same facts as `sniff` gathers, given to a timeline alone.

use anyhow::Context as _;

use super::output::Output;
use super::replay::{self, ReplayOptions};
use super::runtime_snapshot;
use crate::clock::now;
use crate::config::{Config, InsideNamespaces};
use crate::engine::LogFileStats;
use crate::host;
use crate::input::{
    FirewallFact, InventoryEvent, KernelFact, LinkEvent, NatFact, ObservationPoint, WorkloadId, WorkloadState,
};
use crate::inventory::{Timeline, Watched};
use crate::path::{PathState, coverage};
use crate::report::paths::Paths;

/// Events that may wait while it is tried whether connection tracking tells; none is read.
const TRACKING_BYTES: usize = 1 << 16;

/// What one look at this host shows.
#[derive(Debug)]
pub(super) struct Looked {
    pub(super) timeline: Timeline,
    pub(super) path: PathState,
    warnings: Vec<String>,
}

impl Looked {
    /// What proves the contracts.
    pub(super) fn paths(&self, config: &Config) -> Paths {
        let covered = coverage(&self.timeline, &config.engine.contracts, &self.path);
        Paths::new(&self.timeline, &self.path, &covered, self.warnings.clone())
    }
}

/// How things stand on this host.
pub fn live(config: &Config) -> anyhow::Result<Paths> {
    Ok(look(config)?.paths(config))
}

/// Looks once at runtimes, links and the kernel.
pub(super) fn look(config: &Config) -> anyhow::Result<Looked> {
    let mut warnings = Vec::new();
    let events = runtime_snapshot::query(&config.runtimes).unwrap_or_else(|error| {
        warnings.push(format!("no container runtime answers: {error:#}"));
        Vec::new()
    });
    let mut timeline = Timeline::new(config.engine.timeline);
    let at = now();
    for event in &events {
        timeline.apply(at, event);
    }
    let facts = host::kernel::observe_once(&first_processes(&events));
    for fact in &facts {
        timeline.apply_kernel(at, fact);
    }
    let captured = captured_links(config)?;
    if captured.is_empty() {
        warnings.push(format!("no interface is called {}", config.capture.interfaces.join(", ")));
    }
    for link in &captured {
        timeline.apply_link(link);
    }
    if config.capture.inside_namespaces != InsideNamespaces::Never {
        for link in inside_links(&timeline, &facts, config.capture.inside_namespaces) {
            timeline.apply_link(&link);
        }
    }
    let mut path = PathState::default();
    match host::conntrack::Watch::open(None, TRACKING_BYTES) {
        Ok(_) => path.bindings.apply(at, &NatFact::Watched { netns: None }),
        Err(error) => warnings.push(format!("address translation cannot be watched: {error}")),
    }
    if let Err(error) = host::firewall::Firewall::open().and_then(|mut firewall| firewall.list()) {
        warnings.push(format!("the host's firewall is not read (nftables): {error}"));
    }
    if let Some(FirewallFact::Unwatched { part, why }) = super::live::firewall_unwatched() {
        warnings.push(format!("the host's firewall is not read in part ({part}): {why}"));
    }
    if let Err(error) = host::logging::audit() {
        warnings.push(format!("the host's audit is not seen: {error}"));
    }
    warnings.extend(log_files_unwatched(&super::live::try_log_files(timeline.running())));
    Ok(Looked { timeline, path, warnings })
}

/// How things stood at the end of a recording.
pub fn recording(config: &Config, mut options: ReplayOptions, progress: &mut dyn FnMut(u64)) -> anyhow::Result<Paths> {
    options.engine = config.engine.clone();
    let report = replay::run(options, &Output::none(), progress)?;
    let (timeline, path) = (report.engine.timeline(), report.engine.path());
    let mut warnings = report.summary.warnings;
    let stats = report.engine.stats();
    let (files, firewall) = (stats.log_files, stats.firewall);
    if firewall.listed == 0 {
        warnings.push("nothing was recorded of the host's firewall: host-firewall-changed cannot fire".to_owned());
    }
    if stats.host_logging.states == 0 {
        warnings.push("nothing was recorded of the host's log daemons: host-audit-tampered cannot fire".to_owned());
    }
    let unread = stats.host_logging.unwatched.iter();
    warnings.extend(unread.map(|(part, why)| format!("of the host's logs, {part} was not seen: {why}")));
    let gaps = stats.host_logging.gaps.iter();
    warnings
        .extend(gaps.map(|(log, (count, why))| format!("{} has gaps of {count} entries or more: {why}", log.name())));
    let unread = firewall.unwatched.iter();
    warnings.extend(unread.map(|(part, why)| format!("the host's firewall is not read in part ({part}): {why}")));
    if files.watched + files.unwatched == 0 && timeline.running().next().is_some() {
        warnings.push("nothing was recorded of log files: log-files-tampered cannot fire".to_owned());
    } else {
        warnings.extend(log_files_unwatched(&files));
    }
    Ok(Paths::new(timeline, path, &coverage(timeline, &config.engine.contracts, path), warnings))
}

/// What log-files-tampered cannot see.
fn log_files_unwatched(files: &LogFileStats) -> Option<String> {
    let why = files.why.as_ref()?;
    Some(format!("log files of containers are not watched at {} places, the last because: {why}", files.unwatched))
}

fn first_processes(events: &[InventoryEvent]) -> Vec<(WorkloadId, u32)> {
    let of = |event: &InventoryEvent| match event {
        InventoryEvent::Workload(workload) if workload.state != WorkloadState::Exited => {
            workload.pid.map(|pid| (workload.id.clone(), pid))
        }
        _ => None,
    };
    events.iter().filter_map(of).collect()
}

/// The interfaces that a capture would be opened on.
fn captured_links(config: &Config) -> anyhow::Result<Vec<LinkEvent>> {
    let globs = super::live::interface_globs(&config.capture.interfaces)?;
    let found = host::interfaces_matching(&globs).context("asking the kernel for the host's interfaces")?;
    Ok(found.iter().map(host::Interface::link_event).collect())
}

/// The interfaces inside namespaces that would be captured too.
fn inside_links(timeline: &Timeline, facts: &[KernelFact], which: InsideNamespaces) -> Vec<LinkEvent> {
    let mut links = Vec::new();
    for fact in facts {
        let KernelFact::Namespace(view) = fact else { continue };
        let owner = view.workloads.iter().filter(|_| !view.host).find_map(|id| timeline.workload(id));
        let Some(workload) = owner else { continue };
        let seen = matches!(timeline.is_watched(workload), Watched::At(_));
        if seen && which == InsideNamespaces::Unwatched {
            continue;
        }
        links.extend(view.interfaces.iter().filter(|inside| inside.up && inside.name != "lo").map(|inside| {
            LinkEvent {
                point: ObservationPoint::new(&format!("{}:{}", workload.name, inside.name)),
                up: true,
                mac: inside.mac,
                addresses: inside.addresses.clone(),
                inside: Some(workload.id.clone()),
                ..LinkEvent::default()
            }
        }));
    }
    links
}
