//! First contacts of one actor that failed, and when to speak of them.
//!
//! Contract: reported when a limit is crossed, when the severity rises, and then at powers of ten. Limits: ten failed targets are named.

use std::fmt::Display;

use super::explanation::{ExpectedFrom, Explanation};
use super::outcome::Outcome;
use super::walk::{MISSED, Move, Walk, limit};
use crate::detect::Severity;
use crate::input::Protocol;
use crate::time::{Timestamp, readable};

/// After so much silence what was counted is another story.
const GAP: std::time::Duration = std::time::Duration::from_hours(24);

/// What was counted of first contacts.
#[derive(Clone, Debug)]
pub struct Tally<K> {
    walk: Walk,
    /// First contacts that failed, and all of them.
    pub failed: u32,
    total: u32,
    by_outcome: [u32; 4],
    first: Timestamp,
    last: Timestamp,
    /// The first targets that failed.
    pub shown: Vec<K>,
    level: Option<Severity>,
    next: u32,
}

impl<K> Default for Tally<K> {
    fn default() -> Self {
        Self {
            walk: Walk::default(),
            failed: 0,
            total: 0,
            by_outcome: [0; 4],
            first: Timestamp::default(),
            last: Timestamp::default(),
            shown: Vec::new(),
            level: None,
            next: 0,
        }
    }
}

/// The shares of honest actors that may be accused, and how many failed targets are certain.
#[derive(Clone, Copy, Debug)]
pub struct Levels {
    /// For `low`.
    pub low: f64,
    /// For `medium`.
    pub medium: f64,
    /// Failed targets for `high`.
    pub high: u32,
}

impl<K> Tally<K> {
    /// Takes in a first contact that ended so.
    pub fn count(&mut self, key: K, outcome: Outcome, protocol: Protocol, at: Timestamp) {
        let Some(succeeded) = outcome.succeeded() else { return };
        if at.since(self.last) > GAP && self.last > Timestamp::default() {
            *self = Self::default();
        }
        self.last = self.last.max(at);
        self.total = self.total.saturating_add(1);
        if succeeded {
            return self.walk.step(Move::Down);
        }
        let is_one_way =
            outcome == Outcome::Silent && !matches!(protocol, Protocol::TCP | Protocol::ICMP | Protocol::ICMPV6);
        self.walk.step(if is_one_way { Move::HalfUp } else { Move::Up });
        if self.failed == 0 {
            self.first = at;
        }
        self.failed = self.failed.saturating_add(1);
        if let Some(count) = self.by_outcome.get_mut(place(outcome)) {
            *count = count.saturating_add(1);
        }
        if self.shown.len() < Explanation::MAX_OBJECTS {
            self.shown.push(key);
        }
    }

    /// After first contacts of the same kind that succeeded, of which nothing else is remembered.
    pub fn after(succeeded: u32) -> Self {
        let mut tally = Self { total: succeeded, ..Self::default() };
        // The walk has a floor of a few steps.
        (0..succeeded.min(8)).for_each(|_| tally.walk.step(Move::Down));
        tally
    }

    /// What the walk says.
    pub fn severity(&self, levels: Levels) -> Option<Severity> {
        let is_low = self.walk.exceeds(levels.low);
        if is_low && self.failed >= levels.high {
            return Some(Severity::High);
        }
        if self.walk.exceeds(levels.medium) {
            return Some(Severity::Medium);
        }
        is_low.then_some(Severity::Low)
    }

    /// Whether to speak now: for the first time, of more, or of ten times as much.
    pub fn is_due(&mut self, severity: Severity, amount: u32) -> bool {
        let rises = self.level.is_none_or(|level| severity > level);
        if !rises && amount < self.next {
            return false;
        }
        self.level = self.level.max(Some(severity));
        let mut next = 10;
        while next <= amount {
            next = next.saturating_mul(10);
            if next == u32::MAX {
                break;
            }
        }
        self.next = next;
        true
    }

    /// Of first contacts in a time, how many failed and how.
    pub fn observed(&self, what: &str) -> String {
        let kinds = KINDS.iter().zip(self.by_outcome).filter(|(_, count)| *count > 0);
        let kinds: Vec<String> = kinds.map(|(kind, count)| format!("{count} {}", kind.as_str())).collect();
        let span = self.last.since(self.first);
        let span = if span.as_millis() == 0 { "at once".to_owned() } else { format!("within {}", readable(span)) };
        format!("{} of {} first contacts with {what} failed {span} ({})", self.failed, self.total, kinds.join(", "))
    }

    /// The whole explanation of a walk.
    pub fn explain(&self, what: &str, levels: Levels, parameter: &str) -> Explanation
    where
        K: Display,
    {
        let expected = "an honest actor's first contacts succeed in four of five cases";
        let mut why = Explanation::new(self.observed(what), expected, ExpectedFrom::ErrorRates);
        let (low, medium) = (levels.low, levels.medium);
        let crossed = if self.walk.exceeds(medium) { medium } else { low };
        why.chance = Some(crossed);
        why.threshold = format!(
            "{} net failures: accuses 1 of {:.0} honest actors, misses {MISSED} of scanners; the walk is at {}",
            limit(crossed),
            1.0 / crossed,
            self.walk.failures()
        );
        parameter.clone_into(&mut why.parameter);
        let more = (self.failed as usize).saturating_sub(self.shown.len());
        let mut why = why.about(&self.shown);
        if more > 0 {
            why.objects.push(format!("and {more} more"));
        }
        why
    }
}

const KINDS: [Outcome; 4] = [Outcome::Refused, Outcome::Silent, Outcome::Empty, Outcome::Stealth];

fn place(outcome: Outcome) -> usize {
    KINDS.iter().position(|kind| *kind == outcome).unwrap_or(KINDS.len())
}
