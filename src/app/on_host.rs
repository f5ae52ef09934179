//! What the commands that also read recordings do on this host: `paths`, `audit`, `verify`.
//!
//! Contract: `paths` and `audit` look once at runtimes, links and (as far as permitted) the kernel, and change nothing; `verify` watches for a time.
//! Limits: a runtime that does not answer is a warning. Design: the same facts as `sniff` gathers, given to a timeline alone; what is common with
//! a recording lies in the file of the command.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;

use super::first_configuration::FoundHost;
use super::live::{self, LiveOptions, Needs};
use super::output::Output;
use super::{audit, paths, runtime_snapshot, verify};
use crate::clock::now;
use crate::config::{Config, InsideNamespaces};
use crate::host;
use crate::input::{
    FirewallFact, HostLoggingFact, InventoryEvent, KernelFact, LinkEvent, NatFact, ObservationPoint, Workload,
    WorkloadId, WorkloadState,
};
use crate::inventory::discover::{Discovery, Places};
use crate::inventory::{Timeline, Watched, mount_places};
use crate::path::{PathState, coverage};
use crate::report::Question;
use crate::report::audit::Audit;
use crate::report::paths::Paths;
use crate::report::verification::{Source, Verification};
use crate::time::Timestamp;

/// Events that may wait while it is tried whether connection tracking tells; none is read.
const TRACKING_BYTES: usize = 1 << 16;

/// What one look at this host shows.
#[derive(Debug)]
struct Looked {
    timeline: Timeline,
    path: PathState,
    warnings: Vec<String>,
}

impl Looked {
    /// What proves the contracts.
    fn paths(&self, config: &Config) -> Paths {
        let covered = coverage(&self.timeline, &config.engine.contracts, &self.path);
        Paths::new(&self.timeline, &self.path, &covered, self.warnings.clone())
    }
}

/// How things stand on this host.
pub fn paths(config: &Config) -> anyhow::Result<Paths> {
    Ok(look(config)?.paths(config))
}

/// What is known of every container now; verdicts are not.
pub fn audit(config: &Config) -> anyhow::Result<Audit> {
    let looked = look(config)?;
    let at = now();
    Ok(audit::audit(config, at, false, &looked.timeline, &looked.path, &looked.paths(config), None))
}

/// What a first configuration says of this host.
pub fn found(config: &Config) -> anyhow::Result<FoundHost> {
    let bridges = captured_links(config)?.iter().map(|link| link.point.to_string()).collect();
    let runtimes = Discovery::new(config.runtimes.sought.clone(), Places::here()).look();
    let runtimes = runtimes.into_iter().map(|runtime| format!("{} at {}", runtime.name, runtime.host)).collect();
    Ok(FoundHost { bridges, uplinks: host::default_route_interfaces(), runtimes })
}

/// Watches for a time, or until it is interrupted, and judges by this question alone.
pub fn verify(question: &Question, mut options: LiveOptions) -> anyhow::Result<Verification> {
    let runtimes = &mut options.config.runtimes;
    runtimes.shown_labels = verify::with_labels_of(question, &runtimes.shown_labels);
    verify::warn_of_unknown(question, &running(&options));
    options.verdict_log = Some(verify::prepare(question, &mut options.config.engine));
    live::confine(&options.config, Needs::default())?;
    let (asked, from) = (options.duration, now());
    let ended = live::run(options, Output::none())?;
    let run = verify::run(Source::Live, Some((from, ended_at(from, asked))), ended.summary);
    Ok(Verification::new(question, &ended.engine, run))
}

/// Looks once at runtimes, links and the kernel.
fn look(config: &Config) -> anyhow::Result<Looked> {
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
    let facts = host::kernel::observe_once(&first_processes(&events), mount_places::matters);
    for fact in &facts {
        timeline.apply_kernel(at, fact);
    }
    warnings.extend(kernel_word_missing(&timeline));
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
    if let Some(HostLoggingFact::Unwatched { part, why }) = super::live::syslog_unwatched() {
        warnings.push(format!("the host's logs are not read in part ({part}): {why}"));
    }
    warnings.extend(super::last_entries::silent(at));
    warnings.extend(paths::log_files_unwatched(&super::live::try_log_files(timeline.running())));
    Ok(Looked { timeline, path, warnings })
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

/// The containers that run now; none where no runtime answers, which is reported elsewhere.
fn running(options: &LiveOptions) -> Vec<Arc<Workload>> {
    let events = runtime_snapshot::query(&options.config.runtimes);
    let workload = |event| match event {
        InventoryEvent::Workload(workload) => Some(workload),
        _ => None,
    };
    events.unwrap_or_default().into_iter().filter_map(workload).collect()
}

/// Now, but for the time that it takes to end what was to last so long.
fn ended_at(from: Timestamp, asked: Option<Duration>) -> Timestamp {
    asked.map_or(now(), |asked| now().min(from.plus(asked)))
}

/// Of how many containers only the runtime says what they may do and what is mounted in them.
fn kernel_word_missing(timeline: &Timeline) -> Option<String> {
    let (known, unknown): (Vec<_>, Vec<_>) =
        timeline.running().partition(|workload| timeline.kernel().rights(workload).is_some());
    let (unknown, all) = (unknown.len(), known.len() + unknown.len());
    (unknown > 0).then(|| {
        format!(
            "of {unknown} of {all} containers the kernel does not show what their first process may do and what is mounted for it: run hopwatch as \
             root, in the host's process namespace"
        )
    })
}
