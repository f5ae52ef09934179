//! What happened around a change of a container, and who asked for it.
//!
//! Contract: of a finding about a changed setting: what the runtime reported of the container before it, and which clients of a runtime the kernel's
//! audit saw run just before. Neither proves who it was, and nothing is guessed: without audit it is not known, and it says how it would be. Limits: [`MAX_NAMED`] of each.
//! Design: asked once an alert, when it is raised; a rule asks for it by [`Finding::changed_at`].

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

const UNKNOWN: &str = "not known: a runtime does not report who asks it, and no entry of the kernel's audit names a client that ran in the minute \
     before; `auditctl -w /usr/bin/docker -p x -k docker` lets it";

/// Says of a finding about a changed setting what happened around it and who asked.
pub fn add_changed_by(recent: &RecentActs, finding: &mut Finding) {
    let (Some(at), Some(workload)) = (finding.changed_at, &finding.workload) else { return };
    let acts = recent.of(&workload.id, at.plus(REPORTED_WITHIN), ACTS_WITHIN);
    if !acts.is_empty() {
        finding.evidence.push(Evidence::new("events", acts_text(&acts)));
    }
    finding.evidence.push(Evidence::new("who", who(recent, at)));
}

fn acts_text(acts: &[&ContainerEvent]) -> String {
    let latest = acts.get(acts.len().saturating_sub(MAX_NAMED)..).unwrap_or_default();
    let texts: Vec<String> =
        latest.iter().map(|event| format!("{} it {}", event.at.readable_clock(), event.action)).collect();
    format!("reported by the runtime: {}", texts.join("; "))
}

/// Clients that ran before; which of several it was cannot be told.
fn who(recent: &RecentActs, at: Timestamp) -> String {
    let mut named: Vec<String> = Vec::new();
    for call in recent.calls(at, ASKED_WITHIN) {
        let by = call.by.as_ref().map_or_else(|| "a process".to_owned(), ToString::to_string);
        named.push(format!("{} {by}", call.at.readable_clock()));
    }
    if named.is_empty() {
        return UNKNOWN.to_owned();
    }
    let latest = named.split_off(named.len().saturating_sub(MAX_NAMED));
    format!("not proven; the kernel's audit saw these clients run before: {}", latest.join("; "))
}
