//! `exception-expires`.
//!
//! Contract: an exception is reported when it is about to expire, and once more when it has expired and held back nothing, but only where this run saw the whole time from `days` before
//! its date: what it held back before the start is not known. The first report ends when the exception was taken out, got another date, or has expired otherwise. What an exception held
//! back counts on when a reload gives it another date, or takes it out and brings it back. Times are those of events, so that a replay says the same, and what came near its date before
//! the start is reported with the time at which it did.
//! Limits: one small record for each name among the exceptions of the configuration, and [`MAX_GONE`]. Of several with one name the last date counts. Other parameters begin anew.

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
/// Exceptions that were used and taken out of the configuration, whose use is remembered.
const MAX_GONE: usize = 1024;

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
    /// From when on it knows what exceptions hold back.
    start: Option<Timestamp>,
    /// How often those were used that are no longer in the configuration.
    gone: BTreeMap<String, u64>,
    forgotten: u64,
    /// They were told; what comes later comes by a reload.
    is_told: bool,
    /// Reported ones that are gone, or have another date, and in which words.
    ended: Vec<(String, String)>,
}

/// The rule with its parameters.
pub fn rule(params: &Params) -> impl Rule + use<> {
    let days = u64::from(params.days.clamp(1, 36_500));
    let before = Duration::from_hours(days * DAY);
    ExceptionExpires {
        before,
        terms: BTreeMap::new(),
        start: None,
        gone: BTreeMap::new(),
        forgotten: 0,
        is_told: false,
        ended: Vec::new(),
    }
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
            let term_now = match known.remove(&term.name) {
                Some(before) if before.of.expires == term.expires => Term { of: term.clone(), ..before },
                before => self.begin(term, before),
            };
            self.terms.insert(term.name.clone(), term_now);
        }
        for (name, term) in known {
            self.leave(name, &term);
        }
        let is_first = !std::mem::replace(&mut self.is_told, true);
        // It has to know when it begins, and what has ended is due at once.
        if is_first || !self.ended.is_empty() { Some(Timestamp::MIN) } else { self.next_due() }
    }

    fn held_back(&mut self, exception: &str) {
        if let Some(term) = self.terms.get_mut(exception) {
            term.held_back += 1;
        }
    }

    fn on_time(&mut self, context: Context<'_>, findings: &mut Findings) {
        let now = context.now;
        let start = *self.start.get_or_insert(now);
        findings.extend(self.ended.drain(..).map(|(name, text)| over(now, &name, text)));
        let mut found: Vec<_> = self.terms.values_mut().filter_map(|term| term.look(self.before, start, now)).collect();
        found.sort_by_key(|finding| finding.at);
        findings.extend(found);
        if let Some(next) = self.next_due() {
            findings.schedule(next);
        }
    }

    fn forgotten(&self) -> u64 {
        self.forgotten
    }
}

impl ExceptionExpires {
    /// An exception that is new, or has another date than `before`; what it held back counts on.
    fn begin(&mut self, term: &ExceptionTerm, before: Option<Term>) -> Term {
        if before.as_ref().is_some_and(Term::is_reported) {
            self.ended.push((term.name.clone(), format!("it now expires at {}", term.expires.readable())));
        }
        let used = before.map(|before| before.held_back).or_else(|| self.gone.remove(&term.name));
        Term { of: term.clone(), held_back: used.unwrap_or_default(), stage: Stage::Valid, from_start: !self.is_told }
    }

    /// An exception that is no longer in the configuration.
    fn leave(&mut self, name: String, term: &Term) {
        if term.is_reported() {
            self.ended.push((name.clone(), "it was taken out of the configuration".to_owned()));
        }
        if term.held_back == 0 {
            return;
        }
        if self.gone.len() < MAX_GONE {
            self.gone.insert(name, term.held_back);
        } else {
            self.forgotten += 1;
        }
    }

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

    /// Says what is due; what it held back is known from `start` on.
    fn look(&mut self, before: Duration, start: Timestamp, now: Timestamp) -> Option<Finding> {
        let was_reported = self.is_reported();
        if now < self.due(before)? {
            return None;
        }
        let at = |due: Timestamp| if self.from_start { due } else { now };
        if now < self.of.expires {
            let at = at(self.of.expires.minus(before));
            self.stage = Stage::Soon;
            return Some(self.finding(at, start, "expires"));
        }
        let at = at(self.of.expires);
        let is_unused = self.held_back == 0 && start <= self.of.expires.minus(before);
        self.stage = Stage::Expired { reported: is_unused };
        if is_unused {
            return Some(self.finding(at, start, "expired"));
        }
        was_reported.then(|| over(now, &self.of.name, format!("it has expired; {}", self.used(start))))
    }

    fn finding(&self, at: Timestamp, start: Timestamp, word: &str) -> Finding {
        let ExceptionTerm { name, rule, owner, reason, expires } = &self.of;
        let until = expires.readable();
        let evidence = vec![
            Evidence::new(
                "exception",
                format!("exception {name} (owner: {owner}) to {rule} {word} at {until}: {reason}"),
            ),
            Evidence::new("used", self.used(start)),
        ];
        Finding::of_nobody(&META, at, name, evidence)
    }

    fn used(&self, start: Timestamp) -> String {
        let what = if self.held_back == 0 { "nothing".to_owned() } else { many(self.held_back, "finding") };
        format!("it has held back {what} since {}, when hopwatch began to count", start.readable())
    }
}

/// What was reported of an exception no longer holds.
fn over(now: Timestamp, name: &str, text: String) -> Finding {
    Finding { is_over: true, ..Finding::of_nobody(&META, now, name, vec![Evidence::new("exception", text)]) }
}

#[cfg(test)]
#[path = "exception_expires/tests.rs"]
mod tests;
