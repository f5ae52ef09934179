//! What each alert sink delivered, what it lost, and whether it takes alerts now.
//!
//! Contract: every alert handed to a sink ends as delivered, as undelivered with a reason, or still waits.

use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use crate::clock::instant;
use crate::sync;
use crate::time::Timestamp;
use crate::wording::many;

/// A sink that takes longer for one alert does not take alerts.
const SLOW: Duration = Duration::from_secs(2);

/// Why an alert was not delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Undelivered {
    /// The sink was slower than the alerts, and its queue was full.
    QueueFull,
    /// Its reader closed it.
    Gone,
    /// Writing failed until the run ended.
    Failed,
    /// The run ended before the sink took it.
    Ended,
    /// The receiver refused it for good.
    Refused,
    /// It was tried for as long as a delivery is tried.
    TooOld,
    /// Too many waited, and it was the oldest of the lowest severity.
    OutboxFull,
    /// It is longer than the outbox keeps.
    TooLarge,
}

impl Undelivered {
    /// All of them.
    pub const ALL: [Self; 8] = [
        Self::QueueFull,
        Self::Gone,
        Self::Failed,
        Self::Ended,
        Self::Refused,
        Self::TooOld,
        Self::OutboxFull,
        Self::TooLarge,
    ];

    /// As the metric's label.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::QueueFull => "queue_full",
            Self::Gone => "sink_gone",
            Self::Failed => "write_failed",
            Self::Ended => "run_ended",
            Self::Refused => "refused",
            Self::TooOld => "too_old",
            Self::OutboxFull => "outbox_full",
            Self::TooLarge => "too_large",
        }
    }
}

/// Sinks whose counters are shown; which they are may change.
pub trait CountedSinks: std::fmt::Debug + Send + Sync {
    /// Of those in force now.
    fn counters(&self) -> Vec<Arc<SinkCounters>>;
}

/// Counters of one sink, written by the engine's and the sink's thread.
#[derive(Debug)]
pub struct SinkCounters {
    name: String,
    handed_over: AtomicU64,
    delivered: AtomicU64,
    undelivered: [AtomicU64; Undelivered::ALL.len()],
    gone: AtomicBool,
    /// Alerts are dropped, which the log has said.
    dropping: AtomicBool,
    failures: AtomicU64,
    /// When the receiver last took something, in nanoseconds since 1970; 0: not in this run.
    last_success: AtomicI64,
    /// When the oldest that waits was added; 0: nothing waits.
    oldest: AtomicI64,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// Since when it has been busy with one alert.
    busy_since: Option<Instant>,
    /// After which time with one alert it is slow; none: [`SLOW`].
    slow_after: Option<Duration>,
    error: Option<String>,
}

impl SinkCounters {
    /// Nothing delivered yet.
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            handed_over: AtomicU64::new(0),
            delivered: AtomicU64::new(0),
            undelivered: Default::default(),
            gone: AtomicBool::new(false),
            dropping: AtomicBool::new(false),
            failures: AtomicU64::new(0),
            last_success: AtomicI64::new(0),
            oldest: AtomicI64::new(0),
            state: Mutex::default(),
        }
    }

    /// The sink's name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// An alert is handed over.
    pub fn waits(&self) {
        self.handed_over.fetch_add(1, Ordering::Relaxed);
    }

    /// How many wait, and since when the oldest does, by the count of the one who keeps them: what waits may also be superseded, come from
    /// an earlier run, or be removed by a person.
    pub fn set_waiting(&self, waiting: u64, oldest: Option<Timestamp>) {
        let ended = self.delivered_total() + self.undelivered_total();
        self.handed_over.store(ended + waiting, Ordering::Relaxed);
        self.oldest.store(oldest.map_or(0, Timestamp::as_nanos), Ordering::Relaxed);
    }

    /// The receiver has taken one, perhaps beside others that it did not take.
    pub fn took_one(&self, now: Timestamp) {
        self.last_success.store(now.as_nanos(), Ordering::Relaxed);
        self.delivered.fetch_add(1, Ordering::Relaxed);
    }

    /// Attempts that failed.
    pub fn failures(&self) -> u64 {
        self.failures.load(Ordering::Relaxed)
    }

    /// When the receiver last took something; `None`: not in this run.
    pub fn last_success(&self) -> Option<Timestamp> {
        Some(self.last_success.load(Ordering::Relaxed)).filter(|at| *at != 0).map(Timestamp::from_nanos)
    }

    /// When the oldest that waits was added.
    pub fn oldest(&self) -> Option<Timestamp> {
        Some(self.oldest.load(Ordering::Relaxed)).filter(|at| *at != 0).map(Timestamp::from_nanos)
    }

    /// An alert may take so long before the sink counts as slow; none: as long as that of any other.
    pub fn slow_after(&self, time: Option<Duration>) {
        self.state().slow_after = time;
    }

    /// The sink begins with an alert, or tries it again.
    pub fn begins(&self) {
        self.state().busy_since.get_or_insert_with(instant);
    }

    /// The sink has taken it.
    pub fn delivered(&self) {
        self.delivered.fetch_add(1, Ordering::Relaxed);
        self.works();
    }

    /// The sink answers as it should.
    pub fn works(&self) {
        let mut state = self.state();
        state.busy_since = None;
        // While something waits, the next alert may be dropped again.
        let caught_up = self.waiting() == 0 && self.dropping.swap(false, Ordering::Relaxed);
        let recovered = state.error.take().is_some() || caught_up;
        drop(state);
        if recovered {
            let lost = self.undelivered_total();
            tracing::info!(sink = self.name, lost, "{} takes alerts again; {lost} were lost so far", self.name);
        }
    }

    /// An attempt failed; it will be repeated.
    pub fn failed(&self, error: &std::io::Error) {
        self.failures.fetch_add(1, Ordering::Relaxed);
        let error = error.to_string();
        let known = self.state().error.replace(error.clone());
        if known.is_none_or(|known| known != error) {
            tracing::error!(sink = self.name, "writing to {} failed, trying again: {error}", self.name);
        }
    }

    /// An alert will not be delivered.
    pub fn lost(&self, reason: Undelivered) {
        self.count(reason, 1);
        if reason == Undelivered::QueueFull && !self.dropping.swap(true, Ordering::Relaxed) {
            tracing::error!(
                sink = self.name,
                "{} does not take alerts fast enough: further ones are dropped and counted; does its reader still read?",
                self.name
            );
        }
        if reason != Undelivered::QueueFull {
            self.state().busy_since = None;
        }
    }

    fn count(&self, reason: Undelivered, count: u64) {
        if let Some(counter) = self.undelivered.get(reason as usize) {
            counter.fetch_add(count, Ordering::Relaxed);
        }
    }

    /// The reader closed it: nothing more can be delivered.
    pub fn gone(&self) {
        self.gone.store(true, Ordering::Relaxed);
    }

    /// Whether the reader closed it.
    pub fn is_gone(&self) -> bool {
        self.gone.load(Ordering::Relaxed)
    }

    /// The run has ended: what still waits is lost.
    pub fn left_behind(&self) {
        self.count(Undelivered::Ended, self.waiting());
    }

    /// Alerts that wait now.
    pub fn waiting(&self) -> u64 {
        let ended = self.delivered_total() + self.undelivered_total();
        self.handed_over.load(Ordering::Relaxed).saturating_sub(ended)
    }

    /// Alerts delivered so far.
    pub fn delivered_total(&self) -> u64 {
        self.delivered.load(Ordering::Relaxed)
    }

    fn undelivered_total(&self) -> u64 {
        self.undelivered().map(|(_, count)| count).sum()
    }

    /// Alerts lost so far, by reason.
    pub fn undelivered(&self) -> impl Iterator<Item = (&'static str, u64)> + '_ {
        let counts = self.undelivered.iter().map(|count| count.load(Ordering::Relaxed));
        Undelivered::ALL.into_iter().map(Undelivered::as_str).zip(counts)
    }

    /// What the summary says about lost alerts.
    pub fn warning(&self) -> Option<String> {
        let lost = self.undelivered_total();
        let reasons = self.undelivered().filter(|(_, count)| *count > 0);
        let reasons: Vec<_> = reasons.map(|(reason, count)| format!("{reason} {count}")).collect();
        let were = if lost == 1 { "was" } else { "were" };
        (lost > 0)
            .then(|| format!("{} {were} not delivered to {} ({})", many(lost, "alert"), self.name, reasons.join(", ")))
    }

    /// Why it takes no alerts now.
    pub fn not_ready(&self) -> Option<String> {
        let (name, lost) = (&self.name, self.undelivered_total());
        if self.is_gone() {
            return Some(format!("{name} was closed by its reader; {} lost", many(lost, "alert")));
        }
        let state = self.state();
        if let Some(error) = &state.error {
            return Some(format!("writing alerts to {name} fails: {error}; {} waiting, {lost} lost", self.waiting()));
        }
        let slow = state.slow_after.unwrap_or(SLOW);
        let busy =
            state.busy_since.map(|since| instant().saturating_duration_since(since)).filter(|busy| *busy >= slow)?;
        let seconds = busy.as_secs();
        Some(format!("{name} has not taken an alert for {seconds} s; {} waiting, {lost} lost", self.waiting()))
    }

    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        sync::lock(&self.state)
    }
}
