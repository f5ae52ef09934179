//! The stage before the sinks that adds the sender's process to an alert.
//!
//! Contract: an alert is looked at once, when it is raised; its updates say the same. Order is kept, and nothing waits here longer than
//! twice [`PATIENCE`]: what waited so long for others is not looked at, what cannot be found in that time goes out without it. Limits: while more than [`BUSY`] alerts wait none is looked at; [`REMEMBERED`]
//! alerts are remembered for their updates. Design: a thread of its own, so that the engine never waits for the kernel.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, Sender, TrySendError};

use super::queue::SinkQueue;
use crate::alert::{Alert, SenderProcess};
use crate::clock::instant;
use crate::incident::Incident;
use crate::sink_counters::Undelivered;

/// How long an alert waits for its process, and the end of a run for such alerts.
pub const PATIENCE: Duration = Duration::from_millis(100);
/// Alerts that wait here. A stage that only passes them on takes a million a second.
const CAPACITY: usize = 4096;
/// With more waiting, alerts pass without a look.
const BUSY: usize = 16;
/// Alerts whose process is known.
const REMEMBERED: usize = 1024;

/// Finds the process that sent what an alert is about; waits no longer than [`PATIENCE`].
pub trait FindProcess: Send {
    /// The process, if it is found in time.
    fn find(&self, alert: &Alert) -> Option<SenderProcess>;
}

enum Job {
    /// With the time since which it waits.
    Alert(Box<Alert>, Instant),
    Incident(Arc<Incident>),
}

/// The sender's side.
#[derive(Debug)]
pub(super) struct SenderStage {
    jobs: Sender<Job>,
    done: Receiver<()>,
    /// The run ends: no more looks.
    stopping: Arc<AtomicBool>,
    sinks: Vec<Arc<SinkQueue>>,
}

impl SenderStage {
    pub(super) fn start(finder: Box<dyn FindProcess>, sinks: &[Arc<SinkQueue>]) -> io::Result<Self> {
        let (jobs, received) = crossbeam_channel::bounded(CAPACITY);
        let (ended, done) = crossbeam_channel::bounded(1);
        let stopping = Arc::new(AtomicBool::new(false));
        let (own, sinks) = (sinks.to_vec(), sinks.to_vec());
        let mut worker = Worker { finder, sinks: own, stopping: Arc::clone(&stopping), known: VecDeque::new() };
        let run = move || {
            worker.run(&received);
            // Nobody waits any more where it took too long.
            let _ = ended.send(());
        };
        thread::Builder::new().name("senders".to_owned()).spawn(run)?;
        Ok(Self { jobs, done, stopping, sinks })
    }

    pub(super) fn alert(&self, alert: Alert) {
        self.hand_over(Job::Alert(Box::new(alert), instant()));
    }

    pub(super) fn incident(&self, incident: Arc<Incident>) {
        self.hand_over(Job::Incident(incident));
    }

    fn hand_over(&self, job: Job) {
        let why = match self.jobs.try_send(job) {
            Ok(()) => return,
            Err(TrySendError::Full(_)) => Undelivered::QueueFull,
            Err(TrySendError::Disconnected(_)) => Undelivered::Gone,
        };
        self.sinks.iter().for_each(|sink| sink.lose(why));
    }

    /// Everything that waits goes to the sinks.
    pub(super) fn finish(self, deadline: Instant) {
        self.stopping.store(true, Ordering::Relaxed);
        drop(self.jobs);
        if self.done.recv_deadline(deadline).is_err() {
            tracing::error!("the end does not wait any longer for alerts whose process is looked for");
        }
    }
}

struct Worker {
    finder: Box<dyn FindProcess>,
    sinks: Vec<Arc<SinkQueue>>,
    stopping: Arc<AtomicBool>,
    /// By alert, the oldest first.
    known: VecDeque<(String, SenderProcess)>,
}

impl Worker {
    fn run(&mut self, received: &Receiver<Job>) {
        for job in received {
            match job {
                Job::Alert(mut alert, since) => {
                    let has_time = received.len() <= BUSY && since.elapsed() < PATIENCE;
                    let may_look = has_time && !self.stopping.load(Ordering::Relaxed);
                    self.add_process(&mut alert, may_look);
                    let alert = Arc::<Alert>::from(alert);
                    self.pass_on(|sink| sink.alert(&alert));
                }
                Job::Incident(incident) => self.pass_on(|sink| sink.incident(&incident)),
            }
        }
    }

    fn pass_on(&self, to: impl Fn(&SinkQueue) -> io::Result<()>) {
        for sink in &self.sinks {
            // A live sink counts what it does not take, and never fails.
            let _ = to(sink);
        }
    }

    fn add_process(&mut self, alert: &mut Alert, may_look: bool) {
        if alert.sender.as_ref().is_none_or(|sender| sender.process.is_some()) {
            return;
        }
        let process = match alert.update {
            0 => may_look.then(|| self.finder.find(alert)).flatten().inspect(|process| self.remember(alert, process)),
            _ => self.known.iter().rev().find(|(id, _)| *id == alert.id).map(|(_, process)| process.clone()),
        };
        if let Some(sender) = &mut alert.sender {
            sender.process = process;
        }
    }

    fn remember(&mut self, alert: &Alert, process: &SenderProcess) {
        if self.known.len() >= REMEMBERED {
            self.known.pop_front();
        }
        self.known.push_back((alert.id.clone(), process.clone()));
    }
}

#[cfg(test)]
mod tests;
