//! The thread of one sink: takes the next delivery from the outbox, tries it, notes what became of it.
//!
//! Contract: one attempt at a time, in order within an alert. After a failure the sink waits, longer each time; another alert is then
//! tried first, so that one that a receiver chokes on holds up no other. Stops within one attempt when it is told to.

use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use super::outcome::Outcome;
use super::receiver::Receiver;
use super::store::{Delivery, Store, StoreError};
use crate::clock::{instant, now};
use crate::serve::{SinkCounters, Undelivered};
use crate::sync;
use crate::time::Timestamp;

/// Longest wait without a look.
const IDLE: Duration = Duration::from_secs(30);
/// After an error of the outbox itself.
const STORE_RETRY: Duration = Duration::from_secs(1);

/// Wakes the workers: something was added, or the run ends.
#[derive(Debug, Default)]
pub struct Bell {
    state: Mutex<BellState>,
    rung: Condvar,
}

#[derive(Clone, Copy, Debug, Default)]
struct BellState {
    /// How often something was added.
    added: u64,
    stopping: bool,
}

impl Bell {
    /// Something was added.
    pub fn added(&self) {
        let mut state = sync::lock(&self.state);
        state.added = state.added.wrapping_add(1);
        drop(state);
        self.rung.notify_all();
    }

    /// What is due is tried once more, then the workers end.
    pub fn stop(&self) {
        sync::lock(&self.state).stopping = true;
        self.rung.notify_all();
    }

    fn is_stopping(&self) -> bool {
        sync::lock(&self.state).stopping
    }

    /// Until something is added after `seen`, the run ends, or the time is over. Returns what was seen.
    fn wait(&self, seen: u64, most: Duration) -> u64 {
        let state = sync::lock(&self.state);
        let waited = self.rung.wait_timeout_while(state, most, |state| state.added == seen && !state.stopping);
        waited.map_or(seen, |(state, _)| state.added)
    }
}

/// One sink.
pub struct Worker {
    /// Its name.
    pub sink: String,
    /// The outbox.
    pub store: Arc<Store>,
    /// The far side.
    pub receiver: Box<dyn Receiver>,
    /// What it did.
    pub counters: Arc<SinkCounters>,
    /// What wakes it.
    pub bell: Arc<Bell>,
    /// Failures in a row.
    failures: u32,
    /// No attempt before.
    paused: Option<Instant>,
}

impl Worker {
    /// Nothing tried yet.
    pub fn new(
        sink: String,
        store: Arc<Store>,
        receiver: Box<dyn Receiver>,
        counters: Arc<SinkCounters>,
        bell: Arc<Bell>,
    ) -> Self {
        Self { sink, store, receiver, counters, bell, failures: 0, paused: None }
    }

    /// Until the run ends.
    pub fn run(mut self) {
        let mut seen = 0;
        loop {
            let worked = self.step(now());
            if worked.is_err() {
                seen = self.bell.wait(seen, STORE_RETRY);
            }
            if self.bell.is_stopping() && !worked.unwrap_or(false) {
                return;
            }
            if !worked.unwrap_or(true) {
                seen = self.bell.wait(seen, self.pause(now()));
            }
        }
    }

    /// Tries what is due; whether there was anything.
    fn step(&mut self, now: Timestamp) -> Result<bool, ()> {
        if self.paused.is_some_and(|until| instant() < until) {
            return Ok(false);
        }
        self.paused = None;
        if let Some(outcome) = self.receiver.keep_up(now) {
            self.note_health(&outcome);
            return Ok(true);
        }
        let next = self.store.next(&self.sink, now).map_err(|error| self.broken(&error))?;
        let Some(delivery) = next else { return Ok(false) };
        self.counters.begins();
        let outcome = self.receiver.send(&delivery, now);
        self.note(&delivery, &outcome).map_err(|error| self.broken(&error))?;
        Ok(true)
    }

    fn note(&mut self, delivery: &Delivery, outcome: &Outcome) -> Result<(), StoreError> {
        let time = now();
        let pause = self.note_health(outcome);
        match outcome {
            Outcome::Delivered => {
                self.store.delivered(delivery.seq)?;
                self.counters.delivered_at(time);
            }
            Outcome::Refused { why } => {
                self.store.refused(delivery.seq, why)?;
                self.counters.lost(Undelivered::Refused);
                tracing::error!(
                    sink = self.sink,
                    alert = delivery.id,
                    "refused for good; `hopwatch outbox list` shows it: {why}"
                );
            }
            Outcome::Again { why, .. } | Outcome::Configuration { why } => {
                let maybe_taken = matches!(outcome, Outcome::Again { maybe_taken: true, .. });
                // Twice the sink's own pause, so that another alert is tried first.
                let at = time.plus(pause.saturating_mul(2));
                if !self.store.again(delivery.seq, at, maybe_taken, why, time)? {
                    self.counters.lost(Undelivered::TooOld);
                }
            }
        }
        self.counters.set_oldest(self.store.counts(&self.sink)?.oldest);
        Ok(())
    }

    /// What an outcome says about the receiver; how long the sink pauses.
    fn note_health(&mut self, outcome: &Outcome) -> Duration {
        match outcome {
            Outcome::Delivered | Outcome::Refused { .. } => self.failures = 0,
            Outcome::Again { why, .. } | Outcome::Configuration { why } => {
                self.failures = self.failures.saturating_add(1);
                self.counters.failed(&std::io::Error::other(why.clone()));
            }
        }
        let pause = outcome.wait(self.failures, jitter());
        self.paused = pause.map(|pause| instant() + pause);
        pause.unwrap_or_default()
    }

    fn broken(&self, error: &StoreError) {
        self.counters.failed(&std::io::Error::other(error.to_string()));
    }

    /// Until the next thing is due.
    fn pause(&self, now: Timestamp) -> Duration {
        if let Some(until) = self.paused {
            return until.saturating_duration_since(instant()).min(IDLE);
        }
        let waiting = self.store.next_at(&self.sink).ok().flatten();
        let due = [waiting, self.receiver.next_due()].into_iter().flatten().min();
        due.map_or(IDLE, |due| due.since(now).clamp(Duration::from_millis(1), IDLE))
    }
}

/// From 0 to 1.
fn jitter() -> f64 {
    let number = getrandom::u32().unwrap_or(u32::MAX / 2);
    f64::from(number) / f64::from(u32::MAX)
}
