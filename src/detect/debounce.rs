//! What a rule suspects, until it is sure or has reported it.
//!
//! Contract: a suspicion is reported when it still stands at the end of its waiting time, or at once when no time is given; reported once, it is not reported
//! again while it stands. Limits: [`MAX_HELD`] at once; beyond, a suspicion is reported at once and not remembered (the grouping counts repetitions).
//! Design: runtime and kernel report in any order and not together; waiting a moment lets both report. The rule looks at a subject anew each time, so
//! nothing but the standing of each suspicion is kept.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::input::{InventoryEvent, RecordedFact, WorkloadId};
use crate::inventory::Timeline;
use crate::time::{Timestamp, duration_text, parse_duration};

/// Findings held at once by one rule.
const MAX_HELD: usize = 65_536;

/// The longest waiting time of a rule.
const LONGEST: Duration = Duration::from_hours(1);

/// A waiting time as the configuration writes it: `500ms`, `1s`; at most an hour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String", example = &"500ms")]
pub struct HoldTime(Duration);

impl HoldTime {
    /// Whole seconds.
    pub const fn secs(seconds: u64) -> Self {
        Self(Duration::from_secs(seconds))
    }

    /// Milliseconds.
    pub const fn millis(millis: u64) -> Self {
        Self(Duration::from_millis(millis))
    }

    /// The waiting time.
    pub const fn get(self) -> Duration {
        self.0
    }
}

impl TryFrom<String> for HoldTime {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let wrong = || {
            format!(
                "{:?} is not a waiting time of at most an hour; write one like 500ms, 1s, 1m",
                text.chars().take(40).collect::<String>()
            )
        };
        parse_duration(&text).filter(|time| *time <= LONGEST).map(Self).ok_or_else(wrong)
    }
}

impl From<HoldTime> for String {
    fn from(settle: HoldTime) -> Self {
        duration_text(settle.0)
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Waiting(Timestamp),
    Reported,
}

/// What to do about a suspicion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Next {
    /// Report it.
    Report,
    /// Come back then.
    Schedule(Timestamp),
    /// It waits, or was reported.
    Nothing,
}

/// Pending findings about subjects (workloads, namespaces), each for a cause.
#[derive(Debug)]
pub struct PendingFindings<S, C> {
    held: BTreeMap<S, BTreeMap<C, State>>,
    due: BTreeSet<(Timestamp, S)>,
    count: usize,
}

impl<S, C> Default for PendingFindings<S, C> {
    fn default() -> Self {
        Self { held: BTreeMap::new(), due: BTreeSet::new(), count: 0 }
    }
}

impl<C: Ord> PendingFindings<WorkloadId, C> {
    /// Forgets containers that ended, and those that a runtime's whole list does not name.
    pub fn follow(&mut self, timeline: &Timeline, fact: &RecordedFact) {
        match fact {
            RecordedFact::Inventory(InventoryEvent::Stopped { id, .. }) => self.forget(id),
            RecordedFact::Inventory(InventoryEvent::Reconciled { .. }) => {
                self.keep_subjects(|id| timeline.is_running(id));
            }
            _ => {}
        }
    }
}

impl<S: Ord + Clone, C: Ord> PendingFindings<S, C> {
    /// A suspicion stands now; it may be reported at `until`.
    pub fn observe(&mut self, subject: &S, cause: C, now: Timestamp, until: Timestamp) -> Next {
        let full = self.count >= MAX_HELD;
        let causes = self.held.get_mut(subject);
        match causes.as_ref().and_then(|causes| causes.get(&cause)) {
            Some(State::Reported) => return Next::Nothing,
            Some(State::Waiting(due)) if *due > now && until > now => return Next::Nothing,
            Some(State::Waiting(_)) => {}
            None if full => return Next::Report,
            None => self.count += 1,
        }
        let (state, next) = if self.is_ripe(subject, &cause, now) || until <= now {
            (State::Reported, Next::Report)
        } else {
            self.due.insert((until, subject.clone()));
            (State::Waiting(until), Next::Schedule(until))
        };
        self.held.entry(subject.clone()).or_default().insert(cause, state);
        next
    }

    fn is_ripe(&self, subject: &S, cause: &C, now: Timestamp) -> bool {
        let state = self.held.get(subject).and_then(|causes| causes.get(cause));
        matches!(state, Some(State::Waiting(due)) if *due <= now)
    }

    /// Whether this was suspected before and waits.
    pub fn waits(&self, subject: &S, cause: &C) -> bool {
        matches!(self.held.get(subject).and_then(|causes| causes.get(cause)), Some(State::Waiting(_)))
    }

    /// Subjects whose waiting time is over; the caller looks at each anew.
    pub fn ripe(&mut self, now: Timestamp) -> BTreeSet<S> {
        let mut ripe = BTreeSet::new();
        while self.due.first().is_some_and(|(due, _)| *due <= now) {
            ripe.extend(self.due.pop_first().map(|(_, subject)| subject));
        }
        ripe
    }

    /// Forgets the causes that do not stand any more.
    pub fn keep(&mut self, subject: &S, stands: impl Fn(&C) -> bool) {
        let Some(causes) = self.held.get_mut(subject) else { return };
        let before = causes.len();
        causes.retain(|cause, _| stands(cause));
        self.count -= before - causes.len();
        if causes.is_empty() {
            self.forget(subject);
        }
    }

    /// Forgets a subject.
    pub fn forget(&mut self, subject: &S) {
        if let Some(causes) = self.held.remove(subject) {
            self.count -= causes.len();
        }
    }

    /// Forgets the subjects that do not answer to this any more.
    pub fn keep_subjects(&mut self, stands: impl Fn(&S) -> bool) {
        let gone: Vec<S> = self.held.keys().filter(|subject| !stands(subject)).cloned().collect();
        for subject in gone {
            self.forget(&subject);
        }
    }

    /// How much is held.
    #[cfg(test)]
    pub const fn len(&self) -> usize {
        self.count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Timestamp {
        Timestamp::from_secs(1000).plus(Duration::from_millis(millis))
    }

    #[test]
    fn a_suspicion_that_stands_is_reported_once_at_its_time() {
        let mut held = PendingFindings::default();
        assert_eq!(held.observe(&1, "a", at(0), at(1000)), Next::Schedule(at(1000)));
        assert_eq!(held.observe(&1, "a", at(500), at(1500)), Next::Nothing);
        assert!(held.ripe(at(999)).is_empty() && held.waits(&1, &"a"));
        assert_eq!(held.ripe(at(1000)), BTreeSet::from([1]));
        assert_eq!(held.observe(&1, "a", at(1000), at(2000)), Next::Report);
        assert_eq!(held.observe(&1, "a", at(9000), at(9000)), Next::Nothing);
    }

    #[test]
    fn one_that_fell_is_forgotten_and_may_come_again() {
        let mut held = PendingFindings::default();
        held.observe(&1, "a", at(0), at(1000));
        held.observe(&1, "b", at(0), at(0));
        held.keep(&1, |cause| *cause == "b");
        assert_eq!((held.len(), held.waits(&1, &"a")), (1, false));
        held.keep(&1, |_| false);
        assert_eq!((held.len(), held.held.len()), (0, 0));
        assert_eq!(held.observe(&1, "b", at(1), at(1)), Next::Report);
    }

    #[test]
    fn a_full_table_tells_at_once_and_holds_no_more() {
        let mut held = PendingFindings::default();
        for subject in 0..MAX_HELD {
            assert_eq!(held.observe(&subject, (), at(0), at(1000)), Next::Schedule(at(1000)));
        }
        assert_eq!(held.observe(&MAX_HELD, (), at(0), at(1000)), Next::Report);
        assert_eq!(held.len(), MAX_HELD);
    }

    #[test]
    fn a_waiting_time_is_read_as_it_is_written() {
        for (text, millis) in
            [("500ms", 500), ("1s", 1000), ("2m", 120_000), ("0s", 0), ("1h", 3_600_000), ("1m30s", 90_000)]
        {
            assert_eq!(HoldTime::try_from(text.to_owned()).map(HoldTime::get), Ok(Duration::from_millis(millis)));
        }
        assert_eq!(String::from(HoldTime::secs(2)), "2s");
        assert_eq!(String::from(HoldTime(Duration::from_millis(1500))), "1500ms");
        for text in ["", "1", "s", "-1s", "1.5s", "2h", "99999999999999999999s", "18446744073709551615h", "1 s"] {
            assert!(HoldTime::try_from(text.to_owned()).is_err(), "{text}");
        }
    }
}
