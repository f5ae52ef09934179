//! The engine's thread: takes what the sources send, in event-time order, and delivers what the engine says of it.
//!
//! Contract: an input waits at most [`LATENESS`] for others that happened earlier; a tick follows, so that timers fire without inputs. At the end
//! everything in flight is consumed, for at most [`DRAIN`]. Design: the only thread that touches the engine; it waits for messages, never for
//! a sink.

use std::collections::{BTreeSet, VecDeque};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, RwLock};
use std::time::Duration;

use anyhow::Context as _;
use crossbeam_channel::{Receiver, RecvTimeoutError};

use super::QUEUE;
use super::message::{ConfigChange, SourceMessage};
use super::pace::Pace;
use super::snapshots::SnapshotPublisher;
use super::status::SourceStatus;
use super::supervisor::Supervisor;
use crate::alert::Alert;
use crate::app::evidence::keeping::Evidence;
use crate::app::output::Output;
use crate::app::recorder::Recorder;
use crate::app::reorder::Reorder;
use crate::app::summary::Summary;
use crate::clock::{instant, now};
use crate::detect::rules::{self, RuleParams};
use crate::engine::{Engine, EngineStats};
use crate::flow::{Backlog, Receipt};
use crate::input::{Fact, Input, InventoryEvent, OpenAlert, RecordedFact};
use crate::observe::live::{self, Progress};
use crate::path::MayCover;
use crate::time::Timestamp;
use crate::wording::many;

/// How long an input waits for others that happened earlier, at most: no longer for a source that is further behind.
const LATENESS: Duration = Duration::from_millis(200);
/// How long the end waits for what the sources still have.
pub(super) const DRAIN: Duration = Duration::from_secs(2);
/// How long the engine waits for an input while nothing is pending.
const IDLE: Duration = Duration::from_millis(250);
/// Shortest wait while inputs are pending.
const TURN: Duration = Duration::from_millis(2);

/// What the engine's thread shares with the taps.
#[derive(Debug)]
pub(super) struct SharedWithTaps {
    pub(super) backlog: Arc<Backlog>,
    pub(super) progress: Arc<Progress>,
    pub(super) covered: Arc<RwLock<MayCover>>,
}

/// The engine's thread.
pub(super) struct EngineLoop<'a> {
    pub(super) engine: Engine,
    reorder: Reorder,
    shared_with_taps: SharedWithTaps,
    pace: Pace,
    /// When the latest event of a tap happened.
    latest_flow: Option<Timestamp>,
    status: SourceStatus,
    recorder: Option<Arc<Recorder>>,
    evidence: Option<&'a Evidence>,
    output: &'a Output,
    publisher: SnapshotPublisher,
    supervisor: Supervisor,
    /// Configurations whose facts wait for their turn.
    changes: VecDeque<ConfigChange>,
    alerts: Vec<Alert>,
}

impl<'a> EngineLoop<'a> {
    pub(super) fn new(
        engine: Engine,
        shared_with_taps: SharedWithTaps,
        status: SourceStatus,
        recorder: Option<Arc<Recorder>>,
        evidence: Option<&'a Evidence>,
        output: &'a Output,
        publisher: SnapshotPublisher,
    ) -> Self {
        Self {
            engine,
            reorder: Reorder::default(),
            shared_with_taps,
            pace: Pace::default(),
            latest_flow: None,
            status,
            recorder,
            evidence,
            output,
            publisher,
            supervisor: Supervisor::of_this_process(),
            changes: VecDeque::new(),
            alerts: Vec::new(),
        }
    }

    /// What the run before left open becomes known, before anything else happens.
    pub(super) fn resume(&mut self, at: Timestamp, left: Vec<OpenAlert>) -> anyhow::Result<()> {
        left.into_iter()
            .try_for_each(|left| self.consume(&Input::new(at, Fact::Recorded(RecordedFact::OpenAlert(left)))))
    }

    pub(super) fn run(&mut self, receiver: &Receiver<SourceMessage>, stop: &AtomicBool) -> anyhow::Result<()> {
        self.supervisor.ready();
        while !stop.load(Ordering::Relaxed) && !self.output.is_gone() {
            match receiver.recv_timeout(self.patience(now())) {
                Ok(message) => self.take(message),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            // Before the messages: what a thread says it has reached, it has sent; asked later, it may speak of a batch that is not taken yet.
            let time = now();
            let (reached, future) = (self.reached(time), time.plus(LATENESS));
            // Whatever else is waiting, without another wait.
            for message in receiver.try_iter().take(QUEUE) {
                self.take(message);
            }
            self.release(reached, future)?;
            // Not for what others say meanwhile: connection tracking answers to this, and would keep everybody awake.
            let waits = self.latest_flow.is_some_and(|at| reached < at && at <= future);
            self.shared_with_taps.progress.set_awaited(waits, time);
            self.supervisor.alive();
            if self.publisher.is_due(time) {
                self.status.log(time);
                self.supervisor.status(|| status_line(self.status.points().len(), &self.engine.stats()));
                self.publisher.publish(time, &mut self.engine, &self.status);
            }
        }
        Ok(())
    }

    /// Up to when nothing is to come any more, by what the capture threads have reached.
    fn reached(&self, now: Timestamp) -> Timestamp {
        let (earliest, latest) = (now.minus(LATENESS), now.minus(live::HELD_BACK));
        self.shared_with_taps.progress.reached().map_or(latest, |reached| reached.min(latest).max(earliest))
    }

    /// How long there is nothing to do, unless a message comes: until the first input that is held may be released, or the first timer is due.
    fn patience(&self, now: Timestamp) -> Duration {
        let due = [self.reorder.first(), self.engine.next_due()].into_iter().flatten().min();
        due.map_or(IDLE, |due| due.plus(live::HELD_BACK).since(now).clamp(TURN, IDLE))
    }

    /// Everything in flight, then the end. The channel closes when the last source has ended; one that hangs is not waited for.
    pub(super) fn finish(&mut self, receiver: &Receiver<SourceMessage>) -> anyhow::Result<Summary> {
        self.supervisor.stopping();
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
        self.consume(&Input::new(now(), Fact::Recorded(RecordedFact::Ended { point: None })))?;
        self.engine.finish(&mut self.alerts);
        self.deliver()?;
        self.publisher.publish(now(), &mut self.engine, &self.status);
        let unjudged = &self.engine.path().unjudged;
        Ok(Summary::new(&self.engine.stats(), unjudged, self.status.points(), self.status.warnings()))
    }

    fn take(&mut self, mut message: SourceMessage) {
        if let SourceMessage::Reload(change) = message {
            self.reorder.hold(vec![change.fact.clone()], Receipt::default());
            return self.changes.push_back(change);
        }
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
                self.shared_with_taps.backlog.set_capacity(self.pace.capacity());
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
        if let (Some(evidence), Fact::Recorded(fact)) = (self.evidence, &input.fact) {
            evidence.fact(input.at, fact);
        }
        if let Fact::Recorded(RecordedFact::Inventory(InventoryEvent::Workload(workload))) = &input.fact
            && let Ok(mut covered) = self.shared_with_taps.covered.write()
        {
            covered.add(workload);
        }
        self.engine.push(input, &mut self.alerts);
        if matches!(input.fact, Fact::Recorded(RecordedFact::Reloaded(_)))
            && let Some(change) = self.changes.pop_front()
        {
            self.reconfigure(change)?;
        }
        self.publisher.beat();
        self.deliver()
    }

    /// Puts another configuration into force. What was raised before goes out first, with the evidence of the old one.
    fn reconfigure(&mut self, change: ConfigChange) -> anyhow::Result<()> {
        self.deliver()?;
        let ConfigChange { config, setup, done, .. } = change;
        self.status.enable(enabled_rules(&config.rules));
        if let Some(evidence) = self.evidence {
            evidence.reconfigure(setup);
        }
        let mut covered = MayCover::new(&config.contracts);
        self.engine.timeline().workloads().for_each(|workload| covered.add(workload));
        if let Ok(mut shared) = self.shared_with_taps.covered.write() {
            *shared = covered;
        }
        self.engine.reconfigure(*config, &mut self.alerts);
        // Nobody waits where it took too long.
        let _ = done.send(());
        Ok(())
    }

    fn deliver(&mut self) -> anyhow::Result<()> {
        if let Some(recorder) = self.recorder.as_ref().filter(|_| !self.alerts.is_empty()) {
            recorder.flush();
        }
        for mut alert in self.alerts.drain(..) {
            if let Some(evidence) = self.evidence {
                evidence.raised(&mut alert);
            }
            self.output.alert(alert).context("delivering an alert")?;
        }
        for incident in self.engine.take_incidents() {
            self.output.incident(incident).context("delivering an incident")?;
        }
        Ok(())
    }
}

/// The names of the rules that are switched on.
pub(super) fn enabled_rules(params: &RuleParams) -> BTreeSet<&'static str> {
    rules::ALL.iter().map(|rule| rule.name).filter(|rule| rules::is_enabled(params, rule) == Some(true)).collect()
}

/// For a person who asks the supervisor.
fn status_line(points: usize, stats: &EngineStats) -> String {
    let alerts: u64 = stats.alerts.values().sum();
    format!("{} captured, {} raised since the start", many(points as u64, "interface"), many(alerts, "alert"))
}
