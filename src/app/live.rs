//! The live sniffer: a few threads with taps, one engine, a small runtime for sockets.
//!
//! Contract: capture never waits for the engine, and the engine never for a sink; what a full queue costs is counted. Ends on SIGINT,
//! SIGTERM, after `duration`, or when the reader of standard output has closed it; then everything in flight is drained before the
//! summary, within 5 s whatever a source or a sink does.
//! Design: the engine runs on the calling thread; taps, the runtime's reader and the interface watch feed it over one channel.

mod async_tasks;
mod baseline_watch;
mod blindness;
mod capture_plan;
mod conntrack;
mod engine_sink;
mod firewall;
mod host_capture;
mod host_logging;
mod kernel_poller;
mod log_files;
mod message;
mod namespace_capture;
mod options;
mod outbox;
mod pace;
mod runtimes;
mod snapshots;
mod source;
mod status;

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, RwLock};
use std::time::Duration;

use anyhow::Context as _;
use crossbeam_channel::{Receiver, RecvTimeoutError};

use super::baseline;
use super::logging;
use super::output::{self, Output};
use super::recorder::Recorder;
use super::reorder::Reorder;
use super::screen::{self, Screen};
use super::summary::Summary;
use crate::alert::Alert;
use crate::clock::{instant, now};
use crate::config::{Config, InsideNamespaces};
use crate::detect::rules;
use crate::engine::{Engine, WorkloadStats};
use crate::flow::Backlog;
use crate::host;
use crate::input::{Fact, Input, InventoryEvent, RecordedFact};
use crate::observe::live::{self, Progress};
use crate::path::{LOSS_REPORTED_WITHIN, MayCover};
use crate::serve::SharedCounters;
use crate::time::Timestamp;
use blindness::Blindness;
pub(super) use firewall::unwatched as firewall_unwatched;
use capture_plan::CapturePlan;
pub(super) use host_capture::globs as interface_globs;
pub(super) use log_files::try_all as try_log_files;
use message::SourceMessage;
pub use options::{Ended, LiveOptions};
use pace::Pace;
use snapshots::SnapshotPublisher;
use source::{Source, SourceContext};
use status::SourceStatus;

/// How long an input waits for others that happened earlier, at most: no longer for a source that is further behind.
const LATENESS: Duration = Duration::from_millis(200);
/// Messages that may wait for the engine. What flows take while they wait is bounded by [`pace`].
const QUEUE: usize = 16_384;
/// How long the end waits for what the sources still have.
const DRAIN: Duration = Duration::from_secs(2);
/// How long the engine waits for an input while nothing is pending.
const IDLE: Duration = Duration::from_millis(250);
/// Shortest wait while inputs are pending.
const TURN: Duration = Duration::from_millis(2);
const _: () = {
    let most = LOSS_REPORTED_WITHIN.as_millis();
    assert!(live::LOSS_INTERVAL.as_millis() <= most, "a tap reports losses before absence counts");
    assert!(conntrack::LOSS_INTERVAL.as_millis() <= most, "connection tracking reports losses before absence counts");
    let end = DRAIN.as_millis() + source::PATIENCE.as_millis() + async_tasks::GRACE.as_millis();
    let end = end + output::queue::LONGEST_END.as_millis() + logging::PATIENCE.as_millis();
    assert!(end <= 4500, "a run ends within 5 s, although each waits as long as it may");
};

/// Runs until it is asked to stop, and returns the summary.
pub fn run_for_summary(options: LiveOptions, output: Output) -> anyhow::Result<Summary> {
    run(options, output).map(|ended| ended.summary)
}

/// Runs until it is asked to stop.
pub fn run(options: LiveOptions, output: Output) -> anyhow::Result<Ended> {
    let stop = options.screen.as_ref().map(Screen::stop).unwrap_or_default();
    let (sender, receiver) = crossbeam_channel::bounded(QUEUE);
    let recorder = options.record.as_deref().map(|folder| record(folder, &options)).transpose()?;
    let shared = Arc::new(SharedCounters::starting());
    output.counters().for_each(|sink| shared.add_sink(sink));
    let publisher = SnapshotPublisher::new(Arc::clone(&shared), options.screen.clone());
    let (backlog, progress) = (Arc::new(Backlog::new(Pace::default().capacity())), Arc::<Progress>::default());
    let covered = Arc::new(RwLock::new(MayCover::new(&options.config.engine.contracts)));
    let waiting =
        Waiting { backlog: Arc::clone(&backlog), progress: Arc::clone(&progress), covered: Arc::clone(&covered) };
    let (own, stopping) = (recorder.clone(), Arc::clone(&stop));
    let context = SourceContext { sender, recorder: own, shared, backlog, covered, progress, stop: stopping };
    let mut sources = start_sources(&options, &context)?;
    if let Some(file) = &options.baseline {
        sources.push(baseline_watch::start(file.clone(), &context)?);
    }
    let listeners = sources.iter().filter_map(Source::events).collect();
    let tasks = async_tasks::start(&options, context, listeners)?;
    let params = &options.config.engine.rules;
    // A question to the verdict log is answered by verdicts: that a rule cannot fire hides nothing from it.
    let speaks = |rule: &&str| options.ledger.is_none() && rules::is_enabled(params, rule) == Some(true);
    let enabled = rules::ALL.iter().map(|rule| rule.name).filter(speaks).collect();
    let status = SourceStatus::new(Blindness::new(enabled, host::missing_capabilities()));
    let mut engine = Engine::new(options.config.engine);
    if options.screen.is_some() {
        engine.observe(Box::new(WorkloadStats::new(screen::LIMITS)));
    }
    if let Some(ledger) = options.ledger {
        engine.observe(Box::new(ledger));
    }
    if let Some(observer) = options.observer {
        engine.observe(observer);
    }
    let mut engine_loop =
        EngineLoop { waiting, status, ..EngineLoop::new(engine, recorder.clone(), &output, publisher) };
    let outcome = engine_loop.run(&receiver, &stop);
    stop.store(true, Ordering::Relaxed);
    tasks.tell_to_stop();
    let summary = engine_loop.finish(&receiver);
    let engine = engine_loop.engine;
    // A source may wait for room in it.
    drop(receiver);
    source::join_all(sources)?;
    tasks.stop();
    outcome?;
    let mut summary = summary?;
    let finished = recorder.map_or(Ok(()), |recorder| recorder.finish());
    summary.warnings.extend(finished.as_ref().err().map(ToString::to_string));
    summary.warnings.extend(output.warnings());
    output.finish(&summary).context("writing to standard output")?;
    finished?;
    Ok(Ended { summary, engine })
}

/// Starts a recording.
fn record(folder: &Path, options: &LiveOptions) -> anyhow::Result<Arc<Recorder>> {
    let baseline = options.baseline.as_ref();
    let config = match (&options.config_text, baseline) {
        (Some(text), Some(_)) => Some(baseline::beside_the_recording(text)),
        (text, _) => text.clone(),
    };
    let recorder = Arc::new(Recorder::create(folder, options.headers_only, config.as_deref())?);
    if let Some(baseline) = baseline {
        recorder.beside(baseline::RECORDED, baseline.in_force())?;
    }
    recorder.flush_regularly().context("starting the recorder's thread")?;
    Ok(recorder)
}

/// All sources but the runtimes.
fn start_sources(options: &LiveOptions, context: &SourceContext) -> anyhow::Result<Vec<Source>> {
    let Config { capture, meter, .. } = &options.config;
    let plan = || CapturePlan::new(capture, *meter, options.listen, context.recorder.is_some());
    let mut sources = vec![
        kernel_poller::start(context, &options.config.engine.monitors.programs)?,
        log_files::start(context)?,
        firewall::start(context)?,
        host_logging::start(context)?,
        conntrack::start(context, Arc::clone(&context.shared.conntrack))?,
    ];
    if capture.inside_namespaces != InsideNamespaces::Never {
        sources.push(namespace_capture::start(capture, plan(), context)?);
    }
    sources.push(host_capture::start(capture, plan(), context)?);
    Ok(sources)
}

/// What the engine's thread shares with the taps.
#[derive(Debug, Default)]
struct Waiting {
    backlog: Arc<Backlog>,
    progress: Arc<Progress>,
    covered: Arc<RwLock<MayCover>>,
}

/// The engine's thread.
struct EngineLoop<'a> {
    engine: Engine,
    reorder: Reorder,
    waiting: Waiting,
    pace: Pace,
    /// When the latest event of a tap happened.
    latest_flow: Option<Timestamp>,
    status: SourceStatus,
    recorder: Option<Arc<Recorder>>,
    output: &'a Output,
    publisher: SnapshotPublisher,
    alerts: Vec<Alert>,
}

impl<'a> EngineLoop<'a> {
    fn new(engine: Engine, recorder: Option<Arc<Recorder>>, output: &'a Output, publisher: SnapshotPublisher) -> Self {
        let (status, alerts) = (SourceStatus::default(), Vec::new());
        let waiting = Waiting::default();
        Self {
            engine,
            reorder: Reorder::default(),
            waiting,
            pace: Pace::default(),
            latest_flow: None,
            status,
            recorder,
            output,
            publisher,
            alerts,
        }
    }

    fn run(&mut self, receiver: &Receiver<SourceMessage>, stop: &AtomicBool) -> anyhow::Result<()> {
        while !stop.load(Ordering::Relaxed) && !self.output.is_gone() {
            match receiver.recv_timeout(self.patience(now())) {
                Ok(message) => self.take(message),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            // Whatever else is waiting, without another wait.
            for message in receiver.try_iter().take(QUEUE) {
                self.take(message);
            }
            let time = now();
            let (reached, future) = (self.reached(time), time.plus(LATENESS));
            self.release(reached, future)?;
            // Not for what others say meanwhile: connection tracking answers to this, and would keep everybody awake.
            let waits = self.latest_flow.is_some_and(|at| reached < at && at <= future);
            self.waiting.progress.set_awaited(waits, time);
            if self.publisher.is_due(time) {
                self.status.log(time);
                self.publisher.publish(time, &mut self.engine, &self.status);
            }
        }
        Ok(())
    }

    /// Up to when nothing is to come any more, by what the capture threads have reached.
    fn reached(&self, now: Timestamp) -> Timestamp {
        let (earliest, latest) = (now.minus(LATENESS), now.minus(live::HELD_BACK));
        self.waiting.progress.reached().map_or(latest, |reached| reached.min(latest).max(earliest))
    }

    /// How long there is nothing to do, unless a message comes: until the first input that is held may be released, or the first timer is due.
    fn patience(&self, now: Timestamp) -> Duration {
        let due = [self.reorder.first(), self.engine.next_due()].into_iter().flatten().min();
        due.map_or(IDLE, |due| due.plus(live::HELD_BACK).since(now).clamp(TURN, IDLE))
    }

    /// Everything in flight, then the end. The channel closes when the last source has ended; one that hangs is not waited for.
    fn finish(&mut self, receiver: &Receiver<SourceMessage>) -> anyhow::Result<Summary> {
        let deadline = instant() + DRAIN;
        loop {
            match receiver.recv_deadline(deadline) {
                Ok(message) => self.take(message),
                Err(RecvTimeoutError::Disconnected) => break,
                Err(RecvTimeoutError::Timeout) => {
                    tracing::warn!("a source does not end within {DRAIN:?}; what it still has is lost");
                    break;
                }
            }
        }
        self.release(Timestamp::MAX, Timestamp::MAX)?;
        self.consume(&Input::new(now(), Fact::Recorded(RecordedFact::Ended {})))?;
        self.engine.finish(&mut self.alerts);
        self.deliver()?;
        self.publisher.publish(now(), &mut self.engine, &self.status);
        let unjudged = &self.engine.path().unjudged;
        Ok(Summary::new(&self.engine.stats(), unjudged, self.status.points(), self.status.warnings()))
    }

    fn take(&mut self, mut message: SourceMessage) {
        let receipt = message.receipt();
        let is_tap = matches!(message, SourceMessage::Tap(_));
        let inputs = self.status.take(message);
        if let Some(last) = inputs.last().filter(|_| is_tap) {
            self.latest_flow = self.latest_flow.max(Some(last.at));
        }
        self.reorder.hold(inputs, receipt);
    }

    /// Passes on what happened up to `reached`, and what a clock that was set back left beyond `future`.
    fn release(&mut self, reached: Timestamp, future: Timestamp) -> anyhow::Result<()> {
        let mut began = instant();
        while let Some(input) = self.reorder.pop(reached, future) {
            self.consume(&input)?;
            if self.pace.step() {
                self.pace.stretch(began.elapsed());
                self.waiting.backlog.set_capacity(self.pace.capacity());
                began = instant();
            }
        }
        self.pace.rest();
        if reached != Timestamp::MAX {
            self.consume(&Input::new(reached, Fact::Tick))?;
        }
        Ok(())
    }

    fn consume(&mut self, input: &Input) -> anyhow::Result<()> {
        if let (Some(recorder), Fact::Recorded(fact)) = (&self.recorder, &input.fact) {
            recorder.fact(input.at, fact);
        }
        if let Fact::Recorded(RecordedFact::Inventory(InventoryEvent::Workload(workload))) = &input.fact
            && let Ok(mut covered) = self.waiting.covered.write()
        {
            covered.add(workload);
        }
        self.engine.push(input, &mut self.alerts);
        self.publisher.beat();
        self.deliver()
    }

    fn deliver(&mut self) -> anyhow::Result<()> {
        if let Some(recorder) = self.recorder.as_ref().filter(|_| !self.alerts.is_empty()) {
            recorder.flush();
        }
        for alert in self.alerts.drain(..) {
            self.output.alert(alert).context("delivering an alert")?;
        }
        for incident in self.engine.take_incidents() {
            self.output.incident(incident).context("delivering an incident")?;
        }
        Ok(())
    }
}
