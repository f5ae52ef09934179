//! What a live run left behind for each of its alerts: a bundle, which replays to the same alert or says why not.
//!
//! Contract: each alert has a bundle; one that says that it replays does so by the command line; the chain is whole. Limits: an alert may rest on more than
//! the rings hold, or on the kernel's state at the start; its bundle says why it does not replay, which is printed.

use anyhow::{Context, Result};
use serde_json::Value;

use crate::judge::{self, Said};
use crate::netns::{HOME, World};
use crate::process;
use crate::run::{Outcome, REPLAY};
use crate::watch::Line;

/// Looks at the bundles of all alerts.
pub fn check(world: &World, hopwatch: &str, sniffed: &Said, outcome: &mut Outcome) -> Result<()> {
    for alert in sniffed.alerts.iter().filter(|alert| alert.update == 0) {
        let path = world.path(format!("state/evidence/{}/manifest.json", alert.id));
        let Ok(manifest) = std::fs::read_to_string(&path) else {
            outcome.wrong.push(format!("evidence: there is none of {alert:?}"));
            continue;
        };
        let manifest: Value = serde_json::from_str(&manifest).context("a manifest")?;
        if manifest["replay"]["same_id"] != true {
            let why = manifest["replay"]["why"].as_str();
            println!("     evidence of {} does not replay: {}", alert.rule, why.unwrap_or_default());
            if why.is_none() {
                outcome.wrong.push(format!("evidence: that of {} neither replays nor says why", alert.rule));
            }
            continue;
        }
        let mut command = world.command(hopwatch);
        command.args(["replay", &format!("{HOME}/state/evidence/{}", alert.id), "--format", "json"]);
        let lines = process::output(&mut command, REPLAY)?;
        let lines: Vec<_> = lines.lines().map(|text| Line { at: 0, text: text.to_owned() }).collect();
        let said = judge::read(&lines).context("the replay of a bundle")?;
        if !said.alerts.iter().any(|again| again.id == alert.id) {
            outcome.wrong.push(format!("evidence: the replay of {} does not raise it", alert.id));
        }
    }
    let mut command = world.command(hopwatch);
    command.args(["evidence", "verify"]);
    let verified = process::run(&mut command, REPLAY)?;
    if !verified.status.success() {
        outcome.wrong.push(format!("evidence: verify ends with {}", verified.status));
    }
    Ok(())
}
