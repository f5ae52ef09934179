//! `exception-expires`.
//!
//! Contract: an exception is reported once when it is about to expire, and once more when it has expired and held back nothing; the report ends when
//! it was taken out, got another date, or has expired after it was used. Times are those of events, so that a replay says the same, and what is over
//! at the start is reported with the time at which it came about: the alert has the same id after each restart.
//! Limits: one small record for each name among the exceptions of the configuration. Of several with one name the last date counts.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::detect::params::rule_params;
use crate::detect::{Context, ExceptionTerm, Finding, Findings, Rule};
use crate::path::Evidence;
use crate::time::Timestamp;
use crate::wording::many;

mod strategy;

pub use strategy::META;

/// Hours of a day.
const DAY: u64 = 24;

rule_params! {
    /// How many days before its date an exception is reported.
    #[schemars(range(min = 1, max = 36_500))]
    days: u32 = 14,
}

/// The rule; it remembers what each exception held back, and what was reported of it.
#[derive(Debug)]
struct ExceptionExpires {
    before: Duration,
    terms: BTreeMap<String, Term>,
    /// They were told; what comes later comes by a reload.
    is_told: bool,
    /// Reported ones that are gone, or have another date, and in which words.
    ended: Vec<(String, String)>,
}

/// The rule with its parameters.
pub fn rule(params: &Params) -> impl Rule + use<> {
    let days = u64::from(params.days.clamp(1, 36_500));
    let before = Duration::from_hours(days * DAY);
    ExceptionExpires { before, terms: BTreeMap::new(), is_told: false, ended: Vec::new() }
}

/// One exception.
#[derive(Debug)]
struct Term {
    of: ExceptionTerm,
    held_back: u64,
    stage: Stage,
    /// From the start on: what had come about before has its own time.
    from_start: bool,
}

/// How much was said of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    /// Nothing.
    Valid,
    /// That it expires soon.
    Soon,
    /// All there is to say; `reported`: an alert about it may be open.
    Expired { reported: bool },
}

impl Rule for ExceptionExpires {
    fn exceptions(&mut self, terms: &[ExceptionTerm]) -> Option<Timestamp> {
        let mut known = std::mem::take(&mut self.terms);
        for term in latest(terms) {
            let same = known.remove(&term.name);
            let before = same.as_ref().filter(|before| before.of.expires != term.expires && before.is_reported());
            if before.is_some() {
                self.ended.push((term.name.clone(), format!("it now expires at {}", term.expires.readable())));
            }
            let same = same.filter(|before| before.of.expires == term.expires);
            let begun = Term { of: term.clone(), held_back: 0, stage: Stage::Valid, from_start: !self.is_told };
            let term_now = same.map_or(begun, |before| Term { of: term.clone(), ..before });
            self.terms.insert(term.name.clone(), term_now);
        }
        self.is_told = true;
        let gone = known.into_iter().filter(|(_, term)| term.is_reported());
        self.ended.extend(gone.map(|(name, _)| (name, "it was taken out of the configuration".to_owned())));
        // What has ended is due at once.
        if self.ended.is_empty() { self.next_due() } else { Some(Timestamp::MIN) }
    }

    fn held_back(&mut self, exception: &str) {
        if let Some(term) = self.terms.get_mut(exception) {
            term.held_back += 1;
        }
    }

    fn on_time(&mut self, context: Context<'_>, findings: &mut Findings) {
        let now = context.now;
        findings.extend(self.ended.drain(..).map(|(name, text)| over(now, &name, text)));
        let mut found: Vec<_> = self.terms.values_mut().filter_map(|term| term.look(self.before, now)).collect();
        found.sort_by_key(|finding| finding.at);
        findings.extend(found);
        if let Some(next) = self.next_due() {
            findings.schedule(next);
        }
    }
}

impl ExceptionExpires {
    /// When the next exception comes near its date, or reaches it.
    fn next_due(&self) -> Option<Timestamp> {
        self.terms.values().filter_map(|term| term.due(self.before)).min()
    }
}

/// The one with the last date for each name.
fn latest(terms: &[ExceptionTerm]) -> impl Iterator<Item = &ExceptionTerm> {
    let mut latest: BTreeMap<&str, &ExceptionTerm> = BTreeMap::new();
    for term in terms {
        let known = latest.entry(&term.name).or_insert(term);
        if known.expires < term.expires {
            *known = term;
        }
    }
    latest.into_values()
}

impl Term {
    const fn is_reported(&self) -> bool {
        matches!(self.stage, Stage::Soon | Stage::Expired { reported: true })
    }

    /// When there is something to say of it.
    fn due(&self, before: Duration) -> Option<Timestamp> {
        match self.stage {
            Stage::Valid => Some(self.of.expires.minus(before)),
            Stage::Soon => Some(self.of.expires),
            Stage::Expired { .. } => None,
        }
    }

    /// Says what is due.
    fn look(&mut self, before: Duration, now: Timestamp) -> Option<Finding> {
        let was_reported = self.is_reported();
        if now < self.due(before)? {
            return None;
        }
        let at = |due: Timestamp| if self.from_start { due } else { now };
        if now < self.of.expires {
            let at = at(self.of.expires.minus(before));
            self.stage = Stage::Soon;
            return Some(self.finding(at, "expires"));
        }
        let (is_unused, at) = (self.held_back == 0, at(self.of.expires));
        self.stage = Stage::Expired { reported: is_unused };
        if is_unused {
            return Some(self.finding(at, "expired"));
        }
        was_reported.then(|| over(now, &self.of.name, format!("it has expired; {}", self.used())))
    }

    fn finding(&self, at: Timestamp, word: &str) -> Finding {
        let ExceptionTerm { name, rule, owner, reason, expires } = &self.of;
        let until = expires.readable();
        let evidence = vec![
            Evidence::new(
                "exception",
                format!("exception {name} (owner: {owner}) to {rule} {word} at {until}: {reason}"),
            ),
            Evidence::new("used", self.used()),
        ];
        Finding::of_nobody(&META, at, name, evidence)
    }

    fn used(&self) -> String {
        match self.held_back {
            0 => "it has held back nothing since hopwatch started".to_owned(),
            times => format!("it has held back {} since hopwatch started", many(times, "finding")),
        }
    }
}

/// What was reported of an exception no longer holds.
fn over(now: Timestamp, name: &str, text: String) -> Finding {
    Finding { is_over: true, ..Finding::of_nobody(&META, now, name, vec![Evidence::new("exception", text)]) }
}

#[cfg(test)]
#[path = "exception_expires/tests.rs"]
mod tests;
