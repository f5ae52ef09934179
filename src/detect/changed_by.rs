//! What happened around a change of a container, and who asked for it.
//!
//! Contract: of a finding about a changed setting: what the runtime reported of the container before it, and which clients of a runtime the kernel's
//! audit saw run just before, each user's last run of each. Neither proves who it was, and nothing is guessed: without audit it is not known, and the alert says how to watch for it. Limits: [`MAX_NAMED`] of each.
//! Design: asked once an alert, when it is raised; a rule asks for it by [`Finding::is_change`].

use std::collections::BTreeMap;
use std::time::Duration;

use super::Finding;
use crate::input::ContainerEvent;
use crate::inventory::RecentActs;
use crate::path::Evidence;
use crate::time::Timestamp;

/// Acts, and clients, that are named.
const MAX_NAMED: usize = 8;
/// Acts so long before a change may have to do with it.
const ACTS_WITHIN: Duration = Duration::from_mins(10);
/// A client that ran so long before a change may have asked for it: a pull of the image lies between.
const ASKED_WITHIN: Duration = Duration::from_mins(1);

/// Docker reports the start of a container some milliseconds after it.
const REPORTED_WITHIN: Duration = Duration::from_secs(2);

const UNKNOWN: &str = "not known: a runtime does not report who asks it, and the kernel's audit reported no client that ran in the minute before; the rule \
     `auditctl -w /usr/bin/docker -p x -k docker` makes it report them";

/// Says of a finding about a changed setting what happened around it and who asked.
pub fn add_changed_by(recent: &RecentActs, finding: &mut Finding) {
    let Some(workload) = finding.workload.as_ref().filter(|_| finding.is_change) else { return };
    let at = finding.at;
    let acts = recent.of(&workload.id, at.plus(REPORTED_WITHIN), ACTS_WITHIN);
    if !acts.is_empty() {
        finding.evidence.push(Evidence::new("events", acts_text(&acts)));
    }
    finding.evidence.push(Evidence::new("who", who(recent, at)));
}

fn acts_text(acts: &[&ContainerEvent]) -> String {
    let texts = acts.iter().map(|event| format!("{} it {}", event.at.readable_clock(), event.action));
    format!("reported by the runtime: {}", latest(&texts.collect::<Vec<_>>()))
}

/// Clients that ran before; which of several it was cannot be told.
fn who(recent: &RecentActs, at: Timestamp) -> String {
    let mut last: BTreeMap<_, (Timestamp, String)> = BTreeMap::new();
    for call in recent.calls(at, ASKED_WITHIN) {
        let by = call.by.clone().unwrap_or_default();
        last.insert((by.login, by.uid, by.program.clone()), (call.at, by.to_string()));
    }
    if last.is_empty() {
        return UNKNOWN.to_owned();
    }
    let mut last: Vec<_> = last.into_values().collect();
    last.sort();
    let texts = last.into_iter().map(|(at, by)| format!("{} {by}", at.readable_clock()));
    format!("not proven; the kernel's audit saw these clients run before: {}", latest(&texts.collect::<Vec<_>>()))
}

/// The latest of them, and how many more there are.
fn latest(texts: &[String]) -> String {
    let more = texts.len().saturating_sub(MAX_NAMED);
    let text = texts.get(more..).unwrap_or_default().join("; ");
    if more == 0 { text } else { format!("{text}; and {more} before") }
}
