//! A bounded queue with one thread that writes to one sink.
//!
//! Contract: [`Overflow`] says what a full queue means. With [`Overflow::DropAndCount`] nothing here waits longer than [`PATIENCE`], an
//! error of the sink is retried every [`RETRY`], and every alert ends as delivered or as undelivered with a reason. With
//! [`Overflow::Block`] the first error ends the queue and is returned. Limits: [`CAPACITY`] alerts.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, SendTimeoutError, Sender, TrySendError};

use super::AlertSink;
use crate::alert::Alert;
use crate::app::summary::Summary;
use crate::clock::instant;
use crate::incident::Incident;
use crate::sink_counters::{SinkCounters, Undelivered};

/// Alerts that may wait for a sink.
pub const CAPACITY: usize = 1024;
/// How long the end of a run waits for its sinks.
pub const PATIENCE: Duration = Duration::from_millis(800);
/// And for each at least, when others took all of that.
pub const LEAST: Duration = Duration::from_millis(200);
/// The longest end: one sink takes all, the other its least.
pub const LONGEST_END: Duration = Duration::from_secs(1);
/// Between two attempts after an error, such as a full disk.
const RETRY: Duration = Duration::from_secs(1);
/// How often a retry checks whether the run ends.
const CHECK: Duration = Duration::from_millis(50);

/// What happens when a queue is full.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overflow {
    /// The alert is dropped and counted: the sender must not wait.
    DropAndCount,
    /// The sender waits for room: nothing is lost.
    Block,
}

enum Job {
    Alert(Arc<Alert>),
    Incident(Arc<Incident>),
    End(Box<Summary>),
}

/// The sender's side of a sink's queue.
#[derive(Debug)]
pub(super) struct SinkQueue {
    jobs: Sender<Job>,
    done: Receiver<io::Result<()>>,
    overflow: Overflow,
    counters: Arc<SinkCounters>,
    has_reader: bool,
    /// The run ends: no more retries.
    stopping: Arc<AtomicBool>,
}

impl SinkQueue {
    pub(super) fn start(sink: Box<dyn AlertSink>, overflow: Overflow) -> io::Result<Self> {
        Self::with_capacity(sink, overflow, CAPACITY)
    }

    fn with_capacity(sink: Box<dyn AlertSink>, overflow: Overflow, capacity: usize) -> io::Result<Self> {
        let (jobs, received) = crossbeam_channel::bounded(capacity);
        let (result, done) = crossbeam_channel::bounded(1);
        let counters = Arc::new(SinkCounters::new(sink.name()));
        let has_reader = sink.has_reader();
        let stopping = Arc::new(AtomicBool::new(false));
        let mut worker = Worker { sink, overflow, counters: Arc::clone(&counters), stopping: Arc::clone(&stopping) };
        let run = move || {
            let outcome = worker.run(&received);
            // The one that waits for the result sees that the queue is closed.
            drop(received);
            let _ = result.send(outcome);
        };
        thread::Builder::new().name(format!("to-{}", counters.name())).spawn(run)?;
        Ok(Self { jobs, done, overflow, counters, has_reader, stopping })
    }

    pub(super) const fn counters(&self) -> &Arc<SinkCounters> {
        &self.counters
    }

    /// Whether a reader can be waited for, and has closed it.
    pub(super) fn reader_is_gone(&self) -> Option<bool> {
        self.has_reader.then(|| self.counters.is_gone())
    }

    pub(super) fn alert(&self, alert: &Arc<Alert>) -> io::Result<()> {
        self.hand_over(Job::Alert(Arc::clone(alert)))
    }

    pub(super) fn incident(&self, incident: &Arc<Incident>) -> io::Result<()> {
        self.hand_over(Job::Incident(Arc::clone(incident)))
    }

    /// Counts an alert that was lost on its way to here.
    #[cfg(feature = "live")]
    pub(super) fn lose(&self, why: Undelivered) {
        self.counters.waits();
        self.counters.lost(why);
    }

    fn hand_over(&self, job: Job) -> io::Result<()> {
        self.counters.waits();
        match self.overflow {
            Overflow::Block => self.jobs.send(job).map_err(|_| self.failure()),
            Overflow::DropAndCount => {
                match self.jobs.try_send(job) {
                    Ok(()) => {}
                    Err(TrySendError::Full(_)) => self.counters.lost(Undelivered::QueueFull),
                    Err(TrySendError::Disconnected(_)) => self.counters.lost(Undelivered::Gone),
                }
                Ok(())
            }
        }
    }

    /// Why the thread has ended.
    fn failure(&self) -> io::Error {
        match self.done.recv() {
            Ok(Err(error)) => error,
            Ok(Ok(())) | Err(_) => io::Error::other(format!("the thread of {} has ended", self.counters.name())),
        }
    }

    /// Errors are not retried any more: the run ends.
    pub(super) fn stop(&self) {
        if self.overflow == Overflow::DropAndCount {
            self.stopping.store(true, Ordering::Relaxed);
        }
    }

    pub(super) fn finish(&self, summary: &Summary, deadline: Instant) -> io::Result<()> {
        let end = Job::End(Box::new(summary.clone()));
        if self.overflow == Overflow::Block {
            return match self.jobs.send(end) {
                Ok(()) => self.done.recv().unwrap_or(Ok(())),
                Err(_) => Err(self.failure()),
            };
        }
        let handed_over = match self.jobs.send_deadline(end, deadline) {
            Ok(()) | Err(SendTimeoutError::Disconnected(_)) => true,
            Err(SendTimeoutError::Timeout(_)) => false,
        };
        match self.done.recv_deadline(deadline) {
            Ok(Err(error)) if error.kind() != io::ErrorKind::BrokenPipe => {
                tracing::warn!(sink = self.counters.name(), "the summary was not delivered: {error}");
            }
            Ok(_) => {}
            Err(_) => {
                let what = if handed_over { "it does not take what waits" } else { "its queue is full" };
                tracing::error!(sink = self.counters.name(), "the end does not wait for this sink any longer: {what}");
            }
        }
        // Also what came after the thread had ended.
        self.counters.left_behind();
        if let Some(warning) = self.counters.warning() {
            tracing::warn!(sink = self.counters.name(), "{warning}");
        }
        Ok(())
    }
}

/// The thread's side.
struct Worker {
    sink: Box<dyn AlertSink>,
    overflow: Overflow,
    counters: Arc<SinkCounters>,
    stopping: Arc<AtomicBool>,
}

impl Worker {
    fn run(&mut self, jobs: &Receiver<Job>) -> io::Result<()> {
        for job in jobs {
            if let Job::End(summary) = job {
                return self.sink.finish(&summary);
            }
            if let Err(error) = self.deliver(&job) {
                self.counters.gone();
                for _ in jobs.try_iter().filter(|job| !matches!(job, Job::End(_))) {
                    self.counters.lost(Undelivered::Gone);
                }
                return Err(error);
            }
        }
        Ok(())
    }

    /// Until it is delivered or given up; an error when the sink takes nothing any more.
    fn deliver(&mut self, job: &Job) -> io::Result<()> {
        loop {
            self.counters.begins();
            let delivered = match job {
                Job::Alert(alert) => self.sink.alert(alert),
                Job::Incident(incident) => self.sink.incident(incident),
                Job::End(_) => Ok(()),
            };
            match delivered {
                Ok(()) => {
                    self.counters.delivered();
                    return Ok(());
                }
                Err(error) if self.overflow == Overflow::Block || error.kind() == io::ErrorKind::BrokenPipe => {
                    self.counters.lost(Undelivered::Gone);
                    return Err(error);
                }
                Err(error) => self.counters.failed(&error),
            }
            if self.stops_within(RETRY) {
                self.counters.lost(Undelivered::Failed);
                return Ok(());
            }
        }
    }

    fn stops_within(&self, wait: Duration) -> bool {
        let end = instant() + wait;
        while !self.stopping.load(Ordering::Relaxed) {
            let left = end.saturating_duration_since(instant());
            if left.is_zero() {
                return false;
            }
            thread::sleep(left.min(CHECK));
        }
        true
    }
}

#[cfg(test)]
pub(super) mod tests;
