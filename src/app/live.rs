//! The live sniffer: a few threads with taps, one engine, a small runtime for sockets.
//!
//! Contract: capture never waits for the engine, and the engine never for a sink; what a full queue costs is counted. Ends on SIGINT,
//! SIGTERM, after `duration`, or when the reader of standard output has closed it; then everything in flight is drained before the
//! summary, within 5 s whatever a source or a sink does.
//! Design: the engine runs on the calling thread ([`engine_loop`]); taps, the runtimes' readers and the other sources feed it over one channel.

mod async_tasks;
mod baseline_watch;
mod blindness;
mod capture_plan;
mod confinement;
mod conntrack;
mod endpoint;
mod engine_loop;
mod engine_sink;
mod firewall;
mod flow_export;
mod host_capture;
mod host_logging;
mod host_logs;
mod interface_names;
mod kernel_poller;
mod log_files;
mod message;
mod namespace_capture;
mod options;
mod outbox;
mod pace;
mod process_questions;
mod reload;
mod reload_turns;
mod runtimes;
mod snapshots;
mod source;
mod status;
mod supervisor;

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, RwLock};

use anyhow::Context as _;

use super::evidence::keeping::{self, Evidence};
use super::logging;
use super::output::{self, Output};
use super::recorder::Recorder;
use super::screen::Screen;
use super::summary::Summary;
use crate::clock::{instant, now};
use crate::config::{Config, InsideNamespaces, KEPT_BASELINE};
use crate::engine::{Engine, WorkloadStats, WorkloadStatsLimits};
use crate::flow::Backlog;
use crate::host;
use crate::observe::filter::FrameFilter;
use crate::observe::live::{self, Progress};
use crate::path::{LOSS_REPORTED_WITHIN, MayCover};
use crate::sandbox;
use crate::serve::SharedCounters;
use blindness::Blindness;
use capture_plan::CapturePlan;
pub use confinement::{Needs, confine, try_out};
use engine_loop::{EngineLoop, SharedWithTaps, enabled_rules};
pub(super) use firewall::unwatched as firewall_unwatched;
use flow_export::ToCollector;
pub(super) use host_logs::{LastEntry, last_entries, syslog_unwatched};
pub(super) use interface_names::globs as interface_globs;
use interface_names::{InterfaceNames, Wanted};
pub(super) use log_files::try_all as try_log_files;
pub use options::{Ended, LiveOptions};
use pace::Pace;
use process_questions::Asked;
use reload::Reloader;
pub use reload::{ConfigReader, Reading, ReloadOptions};
use snapshots::SnapshotPublisher;
use source::{Source, SourceContext};
use status::SourceStatus;

/// Messages that may wait for the engine. What flows take while they wait is bounded by [`pace`].
const QUEUE: usize = 16_384;
const _: () = {
    let most = LOSS_REPORTED_WITHIN.as_millis();
    assert!(live::LOSS_INTERVAL.as_millis() <= most, "a tap reports losses before absence counts");
    assert!(conntrack::LOSS_INTERVAL.as_millis() <= most, "connection tracking reports losses before absence counts");
    let end = engine_loop::DRAIN.as_millis() + source::PATIENCE.as_millis() + async_tasks::GRACE.as_millis();
    let end = end + output::queue::LONGEST_END.as_millis() + logging::PATIENCE.as_millis();
    assert!(
        keeping::LONGEST_END.as_millis() <= end - engine_loop::DRAIN.as_millis(),
        "evidence is written while others end"
    );
    assert!(end <= 4500, "a run ends within 5 s, although each waits as long as it may");
};

/// Runs until it is asked to stop, and returns the summary.
pub fn run_for_summary(options: LiveOptions, output: Output) -> anyhow::Result<Summary> {
    run(options, output).map(|ended| ended.summary)
}

/// Runs until it is asked to stop.
pub fn run(mut options: LiveOptions, output: Output) -> anyhow::Result<Ended> {
    let stop = options.stop.take().or_else(|| options.screen.as_ref().map(Screen::stop)).unwrap_or_default();
    let (sender, receiver) = crossbeam_channel::bounded(QUEUE);
    let recorder = options.record.as_deref().map(|folder| record(folder, &options)).transpose()?;
    let shared = Arc::new(SharedCounters::starting());
    output.counters().iter().for_each(|sink| shared.add_sink(sink));
    let publisher = SnapshotPublisher::new(Arc::clone(&shared), options.screen.clone());
    let (backlog, progress) = (Arc::new(Backlog::new(Pace::default().capacity())), Arc::<Progress>::default());
    let covered = Arc::new(RwLock::new(MayCover::new(&options.config.engine.contracts)));
    let shared_with_taps = SharedWithTaps {
        backlog: Arc::clone(&backlog),
        progress: Arc::clone(&progress),
        covered: Arc::clone(&covered),
    };
    let (own, stopping) = (recorder.clone(), Arc::clone(&stop));
    let evidence = options.evidence.take().and_then(|setup| Evidence::start(&options.config, setup, &shared.evidence));
    let (questions, asked) = process_questions::channel();
    let output = output.with_processes(Box::new(questions)).context("starting the thread that looks for processes")?;
    let rings = evidence.as_ref().and_then(Evidence::rings);
    let context = SourceContext { sender, recorder: own, rings, shared, backlog, covered, progress, stop: stopping };
    let flow_counters = Arc::clone(&context.shared.flow_export);
    let names = Arc::new(InterfaceNames::new(Wanted::new(&options.config.capture.interfaces)?));
    // What the run before left open comes first, so its time is before that of everything that a source reports.
    let begun = now();
    let mut sources = start_sources(&options, &names, &context, asked)?;
    if let Some(file) = &options.baseline {
        sources.push(baseline_watch::start(file.clone(), &context)?);
    }
    let listeners = sources.iter().filter_map(Source::events).collect();
    let reloader = options.reload.take().map(|reload| Reloader::new(reload, names, &context));
    let tasks = async_tasks::start(&options, context, listeners, reloader)?;
    // A question to the verdict log is answered by verdicts: that a rule cannot fire hides nothing from it.
    let is_a_question = options.verdict_log.is_some();
    let enabled = if is_a_question { BTreeSet::new() } else { enabled_rules(&options.config.engine.rules) };
    // Of those who look at the kernel; this thread may have none.
    let missing = sandbox::look(host::missing_capabilities).context("starting a thread that looks at its rights")?;
    let filter = options.filter.as_ref().map(FrameFilter::warning);
    let status = SourceStatus::new(Blindness::new(enabled, missing).filtered(filter));
    let open_alerts = std::mem::take(&mut options.open_alerts);
    let mut engine = Engine::new(options.config.engine);
    let exporting = options.export.map(|to| flow_export::start(&to, &flow_counters)).transpose()?;
    let exporting = exporting.map(|(observer, exporting)| {
        engine.observe(Box::new(observer));
        exporting
    });
    if options.screen.is_some() {
        engine.observe(Box::new(WorkloadStats::new(WorkloadStatsLimits::SHOWN)));
    }
    if let Some(verdict_log) = options.verdict_log {
        engine.observe(Box::new(verdict_log));
    }
    if let Some(observer) = options.observer {
        engine.observe(observer);
    }
    let mut engine_loop =
        EngineLoop::new(engine, shared_with_taps, status, recorder.clone(), evidence.as_ref(), &output, publisher);
    engine_loop.resume(begun, open_alerts)?;
    let outcome = engine_loop.run(&receiver, &stop);
    stop.store(true, Ordering::Relaxed);
    tasks.tell_to_stop();
    let summary = engine_loop.finish(&receiver);
    let mut engine = engine_loop.engine;
    // It sends what is left while the others end.
    drop(engine.take_observer::<ToCollector>());
    let told_at = instant();
    // While the others end.
    let evidence_ends = evidence.map(Evidence::end);
    // A source may wait for room in it.
    drop(receiver);
    source::join_all(sources)?;
    tasks.stop();
    outcome?;
    let mut summary = summary?;
    let finished = recorder.map_or(Ok(()), |recorder| recorder.finish());
    summary.warnings.extend(finished.as_ref().err().map(ToString::to_string));
    summary.warnings.extend(output.warnings());
    let written = output.finish(&summary).context("writing to standard output");
    if let Some(ends) = evidence_ends {
        ends.wait();
    }
    if let Some(exporting) = exporting {
        exporting.end(told_at);
    }
    written?;
    finished?;
    Ok(Ended { summary, engine })
}

/// Starts a recording.
fn record(folder: &Path, options: &LiveOptions) -> anyhow::Result<Arc<Recorder>> {
    let baseline = options.baseline.as_ref();
    let recorder = Arc::new(Recorder::create(folder, options.headers_only, options.config_text.as_deref())?);
    if let Some(baseline) = baseline {
        recorder.beside(KEPT_BASELINE, baseline.in_force())?;
    }
    recorder.flush_regularly().context("starting the recorder's thread")?;
    Ok(recorder)
}

/// All sources but the runtimes.
fn start_sources(
    options: &LiveOptions,
    names: &Arc<InterfaceNames>,
    context: &SourceContext,
    asked: Asked,
) -> anyhow::Result<Vec<Source>> {
    let Config { capture, .. } = &options.config;
    let plan = || CapturePlan::new(capture, options, context.recorder.is_some());
    let mut sources = vec![
        kernel_poller::start(context, &options.config.engine.monitors.programs, asked)?,
        log_files::start(context)?,
        firewall::start(context)?,
        host_logging::start(context)?,
        host_logs::start(context, options.config.state_dir.as_deref())?,
        conntrack::start(context, Arc::clone(&context.shared.conntrack))?,
    ];
    if capture.inside_namespaces != InsideNamespaces::Never {
        sources.push(namespace_capture::start(capture, plan(), context)?);
    }
    sources.push(host_capture::start(capture.threads, Arc::clone(names), plan(), context)?);
    Ok(sources)
}
