//! What was done before: the audit log as entries, and what follows from them.
//!
//! Contract: an entry is written before what it announces and after what it reports; so an intent without an outcome was cut short, and [`Responses`] says so. Folding never fails: an entry
//! that fits no response is left out and counted. Limits: [`Entry::MAX_LINE`] bytes an entry; the file's size is bounded where it is written.

use std::collections::BTreeMap;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::action::Action;
use super::container::Container;
use super::step::{Seen, Step};
use crate::evidence::{Chain, Chained};
use crate::input::RuntimeId;
use crate::time::Timestamp;

/// A line of the audit log.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Entry {
    /// Its number, without gaps.
    pub seq: u64,
    /// SHA-256 of the line before.
    pub previous: String,
    /// When.
    pub at: Timestamp,
    /// What.
    pub event: Event,
}

impl Chained for Entry {
    const MAX_LINE: usize = 256 * 1024;

    fn seq(&self) -> u64 {
        self.seq
    }

    fn previous(&self) -> &str {
        &self.previous
    }

    fn is_sound(&self) -> bool {
        true
    }
}

/// What happened to a response; it is named by its number.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Event {
    /// It is about to be done.
    Intent {
        /// Its number.
        response: u64,
        /// What.
        intent: Box<Intent>,
    },
    /// All of it is in effect.
    Done {
        /// Its number.
        response: u64,
        /// How, in words.
        detail: String,
    },
    /// Nothing of it is in effect.
    Failed {
        /// Its number.
        response: u64,
        /// Why.
        detail: String,
    },
    /// It is about to be undone.
    UndoIntent {
        /// Its number.
        response: u64,
        /// Who.
        by: String,
        /// Why.
        why: String,
    },
    /// Nothing of it is in effect any more.
    Undone {
        /// Its number.
        response: u64,
        /// What was found and done.
        detail: String,
    },
    /// Something of it may still be in effect.
    UndoFailed {
        /// Its number.
        response: u64,
        /// Why.
        detail: String,
    },
    /// It was asked for and not done.
    Refused {
        /// The alert.
        alert: String,
        /// What.
        action: Action,
        /// The container's full id.
        container: String,
        /// Who.
        by: String,
        /// Why.
        why: Vec<String>,
    },
    /// The end of the file was not whole, as a crash leaves it, and was cut off: nothing that it announced was done.
    Cut {
        /// So many bytes.
        bytes: u64,
    },
}

/// What is about to be done, with all that its undo needs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Intent {
    /// The alert.
    pub alert: String,
    /// What.
    pub action: Action,
    /// To which container.
    pub target: Target,
    /// How.
    pub steps: Vec<Step>,
    /// When it is undone; none: by a person.
    pub until: Option<Timestamp>,
    /// Who.
    pub by: String,
    /// Whether doubts were set aside.
    pub forced: bool,
}

impl Intent {
    /// Whether it blocks addresses.
    pub fn has_block(&self) -> bool {
        self.steps.iter().any(|step| matches!(step, Step::Block { .. }))
    }

    /// Whether the container still has each address that is blocked for it.
    pub fn still_has_its_addresses(&self, seen: &Seen) -> bool {
        let Some(container) = seen.container.as_ref().filter(|container| container.running) else { return false };
        let pairs = self.steps.iter().filter_map(|step| match step {
            Step::Block { pairs, .. } => Some(pairs),
            _ => None,
        });
        let has = |ip| container.endpoints.iter().any(|endpoint| endpoint.addresses.contains(ip));
        pairs.flatten().all(|[own, _]| has(own))
    }
}

/// A container in one run.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Target {
    /// Its runtime.
    pub runtime: RuntimeId,
    /// The runtime's socket.
    pub host: String,
    /// Full id.
    pub id: String,
    /// Name.
    pub name: String,
    /// Start of the run.
    pub started: Timestamp,
}

impl Target {
    /// Of a container as it is now.
    pub fn of(container: &Container, runtime: RuntimeId, host: &str) -> Self {
        let (id, name) = (container.id.clone(), container.name.clone());
        Self { runtime, host: host.to_owned(), id, name, started: container.started }
    }
}

/// Where a response is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ResponseState {
    /// Its process died between intent and outcome.
    Unsettled,
    /// In effect.
    Active,
    /// Nothing was done.
    Failed,
    /// Its process died while it was undone.
    Undoing,
    /// Undone, or its container is gone.
    Undone,
    /// It could not be undone.
    UndoFailed,
}

impl ResponseState {
    /// As a list shows it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Unsettled => "unsettled",
            Self::Active => "active",
            Self::Failed => "failed",
            Self::Undoing => "being undone",
            Self::Undone => "undone",
            Self::UndoFailed => "undo failed",
        }
    }

    /// Whether something of it may be in effect.
    pub const fn is_standing(self) -> bool {
        !matches!(self, Self::Failed | Self::Undone)
    }
}

/// A response and where it is.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Response {
    /// Its number.
    pub number: u64,
    /// When it was begun.
    pub at: Timestamp,
    /// What.
    pub intent: Intent,
    /// Where it is.
    pub state: ResponseState,
    /// When that was written.
    pub since: Timestamp,
    /// What was written then.
    pub detail: String,
    /// How often its undo failed.
    pub undo_failures: u32,
}

/// Undos that fail so often are left to a person.
const MAX_UNDO_FAILURES: u32 = 30;
/// Between two attempts.
const UNDO_RETRY: Duration = Duration::from_mins(1);

impl Response {
    /// When it is to be undone, or its undo to be tried again.
    pub fn due(&self) -> Option<Timestamp> {
        match self.state {
            ResponseState::Active => self.intent.until,
            ResponseState::UndoFailed if self.undo_failures < MAX_UNDO_FAILURES => Some(self.since.plus(UNDO_RETRY)),
            _ => None,
        }
    }

    /// Whether that time has come.
    pub fn is_due(&self, now: Timestamp) -> bool {
        self.due().is_some_and(|due| due <= now)
    }

    /// Whether its process died in the middle.
    pub const fn is_cut_short(&self) -> bool {
        matches!(self.state, ResponseState::Unsettled | ResponseState::Undoing)
    }
}

/// All responses, by number.
#[derive(Clone, Debug, Default)]
pub struct Responses {
    all: BTreeMap<u64, Response>,
    /// Entries that fit none.
    pub strange: u64,
}

impl Responses {
    /// What follows from the log.
    pub fn of(log: &Chain<Entry>) -> Self {
        let mut responses = Self::default();
        for entry in &log.links {
            responses.apply(entry);
        }
        responses
    }

    /// What follows from one more entry.
    pub fn apply(&mut self, entry: &Entry) {
        let at = entry.at;
        match &entry.event {
            Event::Intent { response, intent } => {
                let response = Response {
                    number: *response,
                    at,
                    intent: (**intent).clone(),
                    state: ResponseState::Unsettled,
                    since: at,
                    detail: String::new(),
                    undo_failures: 0,
                };
                self.all.insert(response.number, response);
            }
            Event::Done { response, detail } => self.reach(*response, ResponseState::Active, detail, at),
            Event::Failed { response, detail } => self.reach(*response, ResponseState::Failed, detail, at),
            Event::UndoIntent { response, why, .. } => self.reach(*response, ResponseState::Undoing, why, at),
            Event::Undone { response, detail } => self.reach(*response, ResponseState::Undone, detail, at),
            Event::UndoFailed { response, detail } => {
                self.reach(*response, ResponseState::UndoFailed, detail, at);
                if let Some(response) = self.all.get_mut(response) {
                    response.undo_failures = response.undo_failures.saturating_add(1);
                }
            }
            Event::Refused { .. } | Event::Cut { .. } => {}
        }
    }

    fn reach(&mut self, number: u64, state: ResponseState, detail: &str, at: Timestamp) {
        match self.all.get_mut(&number) {
            Some(response) => (response.state, response.since, response.detail) = (state, at, detail.to_owned()),
            None => self.strange += 1,
        }
    }

    /// Every one, the oldest first.
    pub fn all(&self) -> impl DoubleEndedIterator<Item = &Response> {
        self.all.values()
    }

    /// Those in effect, the oldest first.
    pub fn standing(&self) -> impl DoubleEndedIterator<Item = &Response> {
        self.all().filter(|response| response.state.is_standing())
    }

    /// The number of the next.
    pub fn next_number(&self) -> u64 {
        self.all.last_key_value().map_or(1, |(number, _)| number.saturating_add(1))
    }

    /// How many were begun within this time.
    pub fn recent(&self, now: Timestamp, period: Duration) -> usize {
        let since = now.minus(period);
        self.all().filter(|response| response.at > since && response.state != ResponseState::Failed).count()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn intent(until: Option<Timestamp>) -> Intent {
        let target = Target {
            runtime: RuntimeId::DOCKER,
            host: "/run/docker.sock".to_owned(),
            id: "ab".repeat(32),
            name: "web".to_owned(),
            started: Timestamp::from_secs(1),
        };
        let steps = vec![Step::Pause];
        Intent {
            alert: "2491e3e63140177f".to_owned(),
            action: Action::Pause,
            target,
            steps,
            until,
            by: "root".to_owned(),
            forced: false,
        }
    }

    fn log(events: Vec<Event>) -> Chain<Entry> {
        let mut log = Chain::default();
        for (second, event) in (1..).zip(events) {
            let (seq, previous, at) = (log.next_seq(), log.head(), Timestamp::from_secs(second));
            log.links.push(Entry { seq, previous, at, event });
        }
        log
    }

    fn text() -> String {
        "text".to_owned()
    }

    #[test]
    fn an_intent_without_an_outcome_was_cut_short_and_so_was_an_undo() {
        let begun = || Event::Intent { response: 1, intent: Box::new(intent(Some(Timestamp::from_secs(100)))) };
        let undo = || Event::UndoIntent { response: 1, by: text(), why: text() };
        let done = || Event::Done { response: 1, detail: text() };
        for (events, state, cut_short, standing) in [
            (vec![begun()], ResponseState::Unsettled, true, true),
            (vec![begun(), done()], ResponseState::Active, false, true),
            (vec![begun(), Event::Failed { response: 1, detail: text() }], ResponseState::Failed, false, false),
            (vec![begun(), done(), undo()], ResponseState::Undoing, true, true),
            (vec![begun(), undo()], ResponseState::Undoing, true, true),
            (
                vec![begun(), done(), undo(), Event::Undone { response: 1, detail: text() }],
                ResponseState::Undone,
                false,
                false,
            ),
            (
                vec![begun(), done(), undo(), Event::UndoFailed { response: 1, detail: text() }],
                ResponseState::UndoFailed,
                false,
                true,
            ),
        ] {
            let responses = Responses::of(&log(events.clone()));
            let only = responses.all().next().expect("one");
            assert_eq!(
                (only.state, only.is_cut_short(), only.state.is_standing()),
                (state, cut_short, standing),
                "{events:?}"
            );
        }
        assert_eq!(Responses::of(&log(vec![done()])).strange, 1);
    }

    #[test]
    fn an_undo_is_due_at_its_time_and_again_after_it_failed_until_a_person_must_look() {
        let mut events = vec![
            Event::Intent { response: 1, intent: Box::new(intent(Some(Timestamp::from_secs(100)))) },
            Event::Done { response: 1, detail: text() },
        ];
        let due = |events: &[Event], second| {
            Responses::of(&log(events.to_vec())).all().next().expect("one").is_due(Timestamp::from_secs(second))
        };
        assert!(!due(&events, 99) && due(&events, 100));
        events.push(Event::UndoFailed { response: 1, detail: text() });
        assert!(!due(&events, 62) && due(&events, 63));
        events.extend((0..30).map(|_| Event::UndoFailed { response: 1, detail: text() }));
        assert!(!due(&events, 1_000_000));
    }

    #[test]
    fn the_log_reads_back_and_what_was_changed_is_found() {
        let written = log(vec![
            Event::Intent { response: 1, intent: Box::new(intent(None)) },
            Event::Refused { alert: text(), action: Action::Pause, container: text(), by: text(), why: vec![text()] },
            Event::Cut { bytes: 3 },
        ]);
        let lines: String = written.links.iter().map(|entry| entry.line() + "\n").collect();
        let read = Chain::<Entry>::read(&lines);
        assert_eq!((&read.links, read.wrong.len(), read.head()), (&written.links, 0, written.head()));
        assert!(!Chain::<Entry>::read(&lines.replacen("\"root\"", "\"nobody\"", 1)).wrong.is_empty());
    }
}
