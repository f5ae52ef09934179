//! What a daemon's events say happened to a container, and how far they can be believed.
//!
//! Contract: id, action and time of an event are the daemon's; the labels of a container overwrite the other attributes (moby,
//! `daemon/events.go`), so those are taken only where no label has their name, and what an exec is asked about must agree with its event.
//! Limits: [`MAX_TEXT`] bytes of a name; an exec that is asked about and gone is known by its event's text, where Docker writes one.
//! Design: the health check of a container runs as an exec every few seconds; one with its text is counted and not reported.

use std::collections::BTreeMap;
use std::time::Duration;

use sha2::{Digest as _, Sha256};

use crate::input::{ContainerAct, ExecutedCommand, Workload, WorkloadId};
use crate::inventory::command_words::Vocabulary;
use crate::inventory::docker::api::{Container, ExecInspect, Section};
use crate::time::Timestamp;

/// Of a network's or a user's name.
pub(super) const MAX_TEXT: usize = 256;
/// Commands of one container that are reported in a period.
const EXECS: u32 = 200;
/// The period.
const PERIOD: Duration = Duration::from_secs(10);
/// Health checks that are known.
const MAX_CHECKS: usize = 65_536;

/// How many commands of a container are reported: [`EXECS`] in [`PERIOD`], so that a flood costs its container alone.
#[derive(Debug, Default)]
pub(super) struct ExecBudget {
    spent: BTreeMap<WorkloadId, u32>,
    since: Option<Timestamp>,
}

impl ExecBudget {
    /// Whether one more is reported.
    pub(super) fn admit(&mut self, id: &WorkloadId, at: Timestamp) -> bool {
        if self.since.is_none_or(|since| at.since(since) >= PERIOD || at < since) {
            self.spent.clear();
            self.since = Some(at);
        }
        if self.spent.len() >= MAX_CHECKS && !self.spent.contains_key(id) {
            return false;
        }
        let spent = self.spent.entry(id.clone()).or_default();
        *spent = spent.saturating_add(1);
        *spent <= EXECS
    }
}

/// What happened to a container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Happened {
    Act(ContainerAct),
    /// A program was started inside it.
    Exec(ExecEvent),
}

/// What an event says of an exec.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct ExecEvent {
    /// Program and arguments with a space between; empty where the runtime does not write them. May hold secrets.
    text: String,
    /// By whose id it can be asked about, unless a label has overwritten it.
    pub(super) id: Option<String>,
}

impl std::fmt::Debug for ExecEvent {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ExecEvent").field("id", &self.id).finish_non_exhaustive()
    }
}

impl ExecEvent {
    pub(super) fn new(text: &str, id: Option<String>) -> Self {
        Self { text: text.to_owned(), id }
    }
}

impl Happened {
    /// Whether it ends the container, or its run.
    pub(super) const fn is_end(&self) -> bool {
        matches!(self, Self::Act(ContainerAct::Died { .. } | ContainerAct::Removed))
    }
}

/// Leaves out what a label of the container may have written.
pub(super) fn believed(act: ContainerAct, workload: Option<&Workload>) -> ContainerAct {
    let is_label =
        |names: &[&str]| workload.is_none_or(|known| names.iter().any(|name| known.labels.contains_key(*name)));
    match act {
        ContainerAct::Killed { .. } if is_label(&["signal"]) => ContainerAct::Killed { signal: None },
        ContainerAct::Died { .. } if is_label(&["exitCode", "containerExitCode"]) => {
            ContainerAct::Died { exit_code: None }
        }
        act => act,
    }
}

/// The command of an exec: by what the runtime answers about it, if that agrees with the event, else by the event's text.
pub(super) fn command(
    container: &WorkloadId,
    event: &ExecEvent,
    answer: Option<&ExecInspect>,
    vocabulary: &Vocabulary,
) -> ExecutedCommand {
    let answer = answer.filter(|answer| answer.container == container.as_str());
    let asked = answer.map(|answer| {
        let process = &answer.process;
        let words: Vec<String> =
            std::iter::once(process.get("entrypoint")).chain(process.get::<Vec<String>>("arguments")).collect();
        (process, words)
    });
    let agrees = |words: &[String]| event.text.is_empty() || words.join(" ") == event.text;
    let Some((process, words)) = asked.filter(|(_, words)| agrees(words)) else {
        let (program, words) = vocabulary.shown(event.text.split_whitespace());
        return ExecutedCommand { program, words, ..ExecutedCommand::default() };
    };
    let (program, words) = vocabulary.shown(words.iter().map(String::as_str));
    let user = process.get::<String>("user");
    let user = user.get(..user.floor_char_boundary(MAX_TEXT)).filter(|user| !user.is_empty()).map(str::to_owned);
    ExecutedCommand { program, words, user, privileged: process.get("privileged"), terminal: process.get("tty") }
}

/// The health checks of containers, as digests of the texts that their events have.
#[derive(Debug, Default)]
pub(super) struct HealthChecks {
    known: BTreeMap<WorkloadId, [u8; 32]>,
}

impl HealthChecks {
    /// Takes in what an inspect says.
    pub(super) fn learn(&mut self, id: &WorkloadId, container: &Container) {
        match text_of_check(&container.config) {
            Some(text) if self.known.len() < MAX_CHECKS || self.known.contains_key(id) => {
                self.known.insert(id.clone(), digest(&text));
            }
            _ => self.forget(id),
        }
    }

    pub(super) fn forget(&mut self, id: &WorkloadId) {
        self.known.remove(id);
    }

    /// Whether an exec has the text of its container's health check.
    pub(super) fn is_one(&self, id: &WorkloadId, event: &ExecEvent) -> bool {
        !event.text.is_empty() && self.known.get(id).is_some_and(|known| *known == digest(&event.text))
    }
}

/// What the event of a health check says: its words, or the shell with its text.
fn text_of_check(config: &Section) -> Option<String> {
    let test: Vec<String> = config.get::<Section>("Healthcheck").get("Test");
    let (how, words) = test.split_first()?;
    match how.as_str() {
        "CMD" => Some(words.join(" ")),
        "CMD-SHELL" => {
            let shell: Vec<String> = config.get("Shell");
            let shell = if shell.is_empty() { "/bin/sh -c".to_owned() } else { shell.join(" ") };
            Some(format!("{shell} {}", words.first()?))
        }
        _ => None,
    }
}

fn digest(text: &str) -> [u8; 32] {
    Sha256::digest(text.as_bytes()).into()
}

#[cfg(test)]
mod tests;
