//! The thread of one sink: takes the next deliveries from the outbox, tries them, notes what became of each.
//!
//! Contract: one attempt at a time, with as many deliveries as the receiver takes at once, in order within an alert. After a failure the sink waits, longer each time; another alert is then
//! tried first, so that one that a receiver chokes on holds up no other. An attempt is noted before the next begins, so that a full disk
//! repeats no delivery. Stops within one attempt when it is told to.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::bell::Bell;
use super::outcome::Outcome;
use super::receiver::Receiver;
use super::store::{Delivery, Store, StoreError};
use crate::clock::{instant, now};
use crate::sink_counters::{SinkCounters, Undelivered};
use crate::time::Timestamp;

/// Longest wait without a look.
const IDLE: Duration = Duration::from_secs(30);
/// After an error of the outbox itself.
const STORE_RETRY: Duration = Duration::from_secs(1);

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
    /// No attempt before, unless somebody changes the outbox from outside.
    paused: Option<Instant>,
    /// The outbox when the pause began.
    version: Option<i64>,
    /// The last attempt was not a delivery.
    kept_up: bool,
    /// What the outbox could not note: the receiver has its say only once.
    unnoted: VecDeque<Attempt>,
}

/// An attempt with one delivery that has ended.
struct Attempt {
    delivery: Delivery,
    outcome: Outcome,
    /// When it ended.
    at: Timestamp,
    /// How long the sink pauses.
    pause: Duration,
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
        Self {
            sink,
            store,
            receiver,
            counters,
            bell,
            failures: 0,
            paused: None,
            version: None,
            kept_up: false,
            unnoted: VecDeque::new(),
        }
    }

    /// Until the run ends, or another one takes its place; returns the far side.
    pub fn run(mut self) -> Box<dyn Receiver> {
        let mut seen = 0;
        self.receiver.heed(&self.bell);
        self.counters.slow_after(self.receiver.slow_after());
        while !self.bell.is_retired() {
            let worked = self.step(now());
            if worked.is_err() {
                seen = self.bell.wait(seen, STORE_RETRY);
            }
            if self.bell.is_stopping() && !worked.unwrap_or(false) {
                break;
            }
            if !worked.unwrap_or(true) {
                seen = self.bell.wait(seen, self.pause(now()));
            }
        }
        self.receiver
    }

    /// Tries what is due; whether there was anything.
    fn step(&mut self, now: Timestamp) -> Result<bool, ()> {
        if !self.unnoted.is_empty() {
            self.note()?;
        }
        if self.is_paused() {
            return Ok(false);
        }
        // In turn, where both are due: a receiver that chokes on one must not hold up the other.
        let deliver_first = std::mem::take(&mut self.kept_up);
        if !deliver_first && self.keep_up(now) {
            return Ok(true);
        }
        let next = self.store.take_some(&self.sink, now, self.receiver.most());
        let next = next.map_err(|error| self.broken(&error))?;
        if next.is_empty() {
            self.show_waiting().map_err(|error| self.broken(&error))?;
            return Ok(deliver_first && self.keep_up(now));
        }
        self.attempt(next, now)?;
        Ok(true)
    }

    fn attempt(&mut self, deliveries: Vec<Delivery>, now: Timestamp) -> Result<(), ()> {
        self.counters.begins();
        let mut outcomes = self.receiver.send_some(&deliveries, now);
        outcomes.resize_with(deliveries.len(), || Outcome::ambiguous("the receiver said nothing about it"));
        let pause = outcomes.iter().max_by_key(|outcome| outcome.gravity()).map(|worst| self.note_health(worst));
        let (at, pause) = (crate::clock::now(), pause.unwrap_or_default());
        let ended = deliveries.into_iter().zip(outcomes);
        self.unnoted.extend(ended.map(|(delivery, outcome)| Attempt { delivery, outcome, at, pause }));
        self.note()
    }

    /// Does what is due without a delivery; whether anything was.
    fn keep_up(&mut self, now: Timestamp) -> bool {
        let outcome = self.receiver.keep_up(now);
        if let Some(outcome) = &outcome {
            self.note_health(outcome);
        }
        self.kept_up = outcome.is_some();
        self.kept_up
    }

    fn is_paused(&mut self) -> bool {
        let Some(until) = self.paused else { return false };
        // `hopwatch outbox retry` is another process.
        let is_changed = self.version.is_some() && self.store.version().ok() != self.version;
        if instant() < until && !is_changed {
            return true;
        }
        self.paused = None;
        false
    }

    /// Notes what became of an attempt; where the outbox fails, it is noted later, and nothing else is tried before.
    fn note(&mut self) -> Result<(), ()> {
        while let Some(attempt) = self.unnoted.pop_front() {
            if let Err(error) = self.try_to_note(&attempt) {
                self.broken(&error);
                self.unnoted.push_front(attempt);
                return Err(());
            }
        }
        self.show_waiting().map_err(|error| self.broken(&error))?;
        if self.failures == 0 {
            self.counters.works();
        }
        Ok(())
    }

    fn try_to_note(&self, attempt: &Attempt) -> Result<(), StoreError> {
        let Attempt { delivery, outcome, at, pause } = attempt;
        match outcome {
            Outcome::Delivered => {
                self.store.delivered(delivery.seq)?;
                self.counters.took_one(*at);
            }
            // One that was superseded meanwhile is no loss.
            Outcome::Refused { why } if self.store.refused(delivery.seq, why)? => {
                self.counters.lost(Undelivered::Refused);
                tracing::error!(
                    sink = self.sink,
                    alert = delivery.id,
                    "refused for good; `hopwatch outbox list` shows it: {why}"
                );
            }
            Outcome::Refused { .. } => {}
            Outcome::Again { why, .. } | Outcome::Configuration { why } => {
                let is_new = matches!(outcome, Outcome::Again { maybe_taken: true, .. });
                // Twice the sink's own pause, so that another alert is tried first.
                let next = at.plus(pause.saturating_mul(2));
                let too_old = self.store.again(delivery.seq, next, delivery.maybe_taken || is_new, why, *at)?;
                (0..too_old).for_each(|_| self.counters.lost(Undelivered::TooOld));
            }
        }
        Ok(())
    }

    fn show_waiting(&self) -> Result<(), StoreError> {
        let waiting = self.store.waiting(&self.sink)?;
        self.counters.set_waiting(waiting.count, waiting.oldest);
        Ok(())
    }

    /// What an outcome says about the receiver; how long the sink pauses.
    fn note_health(&mut self, outcome: &Outcome) -> Duration {
        match outcome {
            Outcome::Delivered | Outcome::Refused { .. } => {
                self.failures = 0;
                self.counters.works();
            }
            Outcome::Again { why, .. } | Outcome::Configuration { why } => {
                self.failures = self.failures.saturating_add(1);
                self.counters.failed(&std::io::Error::other(why.clone()));
            }
        }
        let pause = outcome.wait(self.failures, jitter());
        self.paused = pause.map(|pause| instant() + pause);
        self.version = self.paused.and_then(|_| self.store.version().ok());
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
        let waiting = self.store.due_after(&self.sink, now).ok().flatten();
        let due = [waiting, self.receiver.next_due()].into_iter().flatten().min();
        due.map_or(IDLE, |due| due.since(now).clamp(Duration::from_millis(1), IDLE))
    }
}

/// From 0 to 1.
fn jitter() -> f64 {
    let number = getrandom::u32().unwrap_or(u32::MAX / 2);
    f64::from(number) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests;
