//! `hopwatch sweep`: who else shows the pattern of an alert.
//!
//! Contract: nothing is changed. Without `--read` this host is looked at: the alerts that were kept, the containers that run, and with `--for` the flows of that time. What
//! could not be looked at is a warning. Limits: those of [`crate::sweep`].

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};
use serde::Serialize;
use serde_json::Value;

use super::outbox_args::OutboxArgs;
use super::recordings::Recorded;
use super::{Outcome, on_host};
use crate::app::baseline;
use crate::app::output::Output;
use crate::app::replay::{self, ReplayOptions};
use crate::clock::now;
use crate::config;
use crate::escape::json::to_pretty_writer;
use crate::escape::printable;
use crate::input::{InventoryEvent, WorkloadState};
use crate::layout::{columns, hang, table};
use crate::sweep::{Findings, Found, Pattern, SCHEMA, Tracker, Where, Who};
use crate::time::Timestamp;
use crate::wording::many;

/// A file of alerts.
const MAX_FILE: u64 = 64 << 20;

const EXAMPLES: &str = "Examples:
  sudo hopwatch sweep --like 2491                          kept alerts, and containers that run
  sudo hopwatch sweep --like 2491 --for 10m                and the flows of ten minutes
  hopwatch sweep --like 2491 --read recording/             who else, in a recording
  hopwatch sweep --alert alert.json --read recording/ --json | jq -r '.found[] | select(.is_own | not) | .who.name'";

/// Find who else shows the pattern of an alert: the same destination or name and port, image, changed setting, or JA4 fingerprint
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// The alert's id, or the beginning of it
    #[arg(long, value_name = "ALERT", required_unless_present = "alert_file")]
    like: Option<String>,
    /// Read the alert from a file (its JSON, or JSON Lines as `hopwatch replay` writes them) and not from those that were kept
    #[arg(long = "alert", value_name = "FILE")]
    alert_file: Option<PathBuf>,
    #[command(flatten)]
    recorded: Recorded,
    /// Watch the flows of this host for so long, too, such as 10m
    #[arg(long = "for", value_name = "TIME", value_parser = config::parse_duration, conflicts_with_all = ["read", "facts"])]
    lasting: Option<Duration>,
    #[command(flatten)]
    at: OutboxArgs,
    /// Print JSON, hopwatch.sweep/1
    #[arg(long)]
    json: bool,
}

/// The answer.
#[derive(Serialize)]
struct Answer<'a> {
    schema: &'static str,
    /// What was looked for.
    like: &'a Pattern,
    /// How many others show some of it.
    others: usize,
    found: &'a [Found],
    /// Rows beyond the bound.
    omitted: u64,
    /// What was looked at.
    looked_at: &'a [String],
}

/// Runs the command.
pub fn run(args: &Args) -> anyhow::Result<Outcome> {
    let alert = alert(args)?;
    let pattern = Pattern::read(&alert).map_err(|why| anyhow::anyhow!("looking for others like this alert: {why}"))?;
    let (findings, pattern, looked_at) =
        if args.recorded.is_empty() { this_host(args, pattern)? } else { recordings(args, pattern)? };
    let found = findings.rows(&pattern);
    let mut others: Vec<&Who> = found.iter().filter(|row| !row.is_own).map(|row| &row.who).collect();
    others.dedup();
    let (others, omitted) = (others.len(), findings.omitted());
    if args.json {
        let answer = Answer { schema: SCHEMA, like: &pattern, others, found: &found, omitted, looked_at: &looked_at };
        to_pretty_writer(&mut anstream::stdout().lock(), &answer).context("writing to standard output")?;
        return Ok(Outcome::Done);
    }
    let mut text = rows(&found);
    text += &hang("looked at: ", "  ", &looked_at.join("; "), columns());
    text += &format!("\n{}\n", conclusion(&pattern, others, omitted));
    anstream::stdout().write_all(text.as_bytes()).context("writing to standard output")?;
    Ok(Outcome::Done)
}

/// The alert, from a file or as it was kept.
fn alert(args: &Args) -> anyhow::Result<Value> {
    let id = args.like.as_deref().unwrap_or_default();
    let Some(path) = &args.alert_file else { return on_host::kept_alert(&args.at, id) };
    let mut text = String::new();
    let file = File::open(path).and_then(|file| file.take(MAX_FILE + 1).read_to_string(&mut text));
    file.with_context(|| format!("reading {}", path.display()))?;
    anyhow::ensure!(text.len() as u64 <= MAX_FILE, "{} is larger than 64 MiB", path.display());
    of_text(&text, id).with_context(|| format!("{}: finding the alert", path.display()))
}

/// The last line of the one alert whose id begins so.
fn of_text(text: &str, id: &str) -> anyhow::Result<Value> {
    let alerts: Vec<Value> = match serde_json::from_str(text) {
        Ok(one) => vec![one],
        Err(_) => text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect(),
    };
    let is_meant = |alert: &&Value| {
        alert["schema"] == crate::alert::SCHEMA && alert["id"].as_str().is_some_and(|own| own.starts_with(id))
    };
    let meant: Vec<&Value> = alerts.iter().filter(is_meant).collect();
    let mut ids: Vec<&str> = meant.iter().filter_map(|alert| alert["id"].as_str()).collect();
    ids.sort_unstable();
    ids.dedup();
    match ids.as_slice() {
        [_] => meant.last().map(|last| (*last).clone()).context("it has no line"),
        [] => bail!("no alert (hopwatch.alert/1) is there whose id begins with {id:?}"),
        several => bail!("--like ID says which one: {}", printable(&several.join(", "))),
    }
}

type Looked = (Findings, Pattern, Vec<String>);

/// Replays recordings.
fn recordings(args: &Args, pattern: Pattern) -> anyhow::Result<Looked> {
    let sources = args.recorded.sources(args.at.config.clone())?;
    let mut config = config::load(sources.config.as_deref())?.config;
    baseline::load_unwatched(&mut config)?;
    let tracker = Tracker::new(pattern, Where::Recording);
    let mut report = sources.replay(&config, |options, bar| {
        let options = ReplayOptions { observer: Some(Box::new(tracker)), ..options };
        replay::run(options, &Output::none(), &mut |bytes| bar.set_position(bytes))
    })?;
    for warning in &report.summary.warnings {
        tracing::warn!("{}", printable(warning));
    }
    let tracker: Tracker = report.engine.take_observer().context("the replay lost what it observed")?;
    let (found, pattern) = tracker.into_findings();
    let looked_at = vec![format!("recordings, {}", many(report.summary.flows, "flow"))];
    Ok((found, pattern, looked_at))
}

/// What was kept, what runs, and what is watched.
fn this_host(args: &Args, pattern: Pattern) -> anyhow::Result<Looked> {
    let mut found = Findings::default();
    let mut looked_at = Vec::new();
    match on_host::kept_alerts(&args.at) {
        Ok(alerts) => {
            for alert in &alerts {
                see_alert(&mut found, &pattern, alert);
            }
            looked_at.push(many(alerts.len() as u64, "kept alert"));
        }
        Err(error) => tracing::warn!("alerts that were kept are not looked at: {}", printable(&format!("{error:#}"))),
    }
    match running(args.at.config.as_deref(), &mut found, &pattern) {
        Ok(containers) => looked_at.push(format!("{} that run", many(containers, "container"))),
        Err(error) => tracing::warn!("containers that run are not looked at: {}", printable(&format!("{error:#}"))),
    }
    let Some(lasting) = args.lasting else {
        anyhow::ensure!(!looked_at.is_empty(), "nothing could be looked at; --read RECORDING looks into a recording");
        return Ok((found, pattern, looked_at));
    };
    let tracker = Tracker::new(pattern, Where::Watched);
    let (watched, pattern) = on_host::sweep(args.at.config.as_deref(), lasting, tracker)?.into_findings();
    found.merge(watched);
    looked_at.push(format!("flows of {}", crate::time::readable(lasting)));
    Ok((found, pattern, looked_at))
}

fn see_alert(found: &mut Findings, pattern: &Pattern, alert: &Value) {
    let at: Option<Timestamp> = serde_json::from_value(alert["last_seen"].clone()).ok();
    if let Some((who, at)) = Pattern::who_of(alert).zip(at) {
        found.see(&who, pattern.of_alert(alert), Where::Alerts, at);
    }
}

/// How many containers run.
fn running(config: Option<&Path>, found: &mut Findings, pattern: &Pattern) -> anyhow::Result<u64> {
    let events = on_host::running(&config::load(config)?.config)?;
    let now = now();
    let mut containers = 0;
    for event in events {
        let InventoryEvent::Workload(workload) = event else { continue };
        if !matches!(workload.state, WorkloadState::Running | WorkloadState::Paused) {
            continue;
        }
        containers += 1;
        found.see(&Who::workload(&workload), pattern.of_image(&workload), Where::Running, now);
    }
    Ok(containers)
}

fn rows(found: &[Found]) -> String {
    if found.is_empty() {
        return String::new();
    }
    let row = |row: &Found| {
        let own = if row.is_own { " (its own)" } else { "" };
        vec![
            format!("{}{own}", printable(&row.who.name)),
            row.same.as_str().to_owned(),
            printable(&row.what),
            row.at.as_str().to_owned(),
            row.count.to_string(),
            row.first_seen.readable(),
            row.last_seen.readable(),
        ]
    };
    let rows: Vec<_> = found.iter().map(row).collect();
    table(&["WHO", "SAME", "WHAT", "IN", "COUNT", "FIRST SEEN", "LAST SEEN"], &rows, 3, columns()) + "\n"
}

fn conclusion(pattern: &Pattern, others: usize, omitted: u64) -> String {
    let like = format!("the alert {} ({})", printable(&pattern.alert), printable(&pattern.rule));
    let more = if omitted > 0 { format!("; {} more did not fit", many(omitted, "row")) } else { String::new() };
    match others {
        0 => format!("nobody else was found that is like {like}{more}"),
        1 => format!("1 other shares something with {like}{more}"),
        _ => format!("{others} others share something with {like}{more}"),
    }
}
