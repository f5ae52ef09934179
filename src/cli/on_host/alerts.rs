//! `hopwatch alerts`: the alerts that were kept, and what people decided about them.

use std::io::Write as _;
use std::thread;
use std::time::Duration;

use anyhow::Context as _;
use serde_json::Value;

use super::Outcome;
use crate::cli::outbox_args::OutboxArgs;
use crate::clock::now;
use crate::config;
use crate::deliver::store::{AlertState, Decision, Kept, Store, Which};
use crate::detect::Severity;
use crate::escape::json::{to_pretty_writer, to_writer};
use crate::escape::printable;
use crate::layout::{columns, hang, table};
use crate::wording::many;

/// Between two looks for new alerts.
const LOOK: Duration = Duration::from_millis(500);

/// What to do with alerts.
#[derive(Debug, clap::Subcommand)]
pub enum AlertsCommand {
    /// List alerts, the latest first
    List {
        #[command(flatten)]
        wanted: Wanted,
        /// Only alerts in this state
        #[arg(long, value_enum, default_value = "open", conflicts_with = "all")]
        state: AlertState,
        /// Alerts in every state
        #[arg(long)]
        all: bool,
        /// As many at most
        #[arg(long, value_name = "N", default_value_t = 50)]
        limit: usize,
        /// As JSON: each with its state and what was decided
        #[arg(long)]
        json: bool,
    },
    /// Show one alert with all its updates
    Show {
        /// Its id, or the beginning of it
        id: String,
        #[command(flatten)]
        at: OutboxArgs,
        /// As JSON Lines, one for each update
        #[arg(long)]
        json: bool,
    },
    /// Note that somebody works on an alert; it is open again when its severity rises
    Ack(Decide),
    /// Note that an alert is done with; it is open again when it goes on
    Close(Decide),
    /// Print alerts as they come
    Tail {
        #[command(flatten)]
        wanted: Wanted,
        /// The alerts of this time before, too
        #[arg(long, value_name = "DURATION", value_parser = config::parse_duration, default_value = "1h")]
        since: Duration,
        /// End after those that are there
        #[arg(long)]
        no_follow: bool,
        /// As JSON Lines
        #[arg(long)]
        json: bool,
    },
}

/// Which alerts.
#[derive(Debug, clap::Args)]
pub struct Wanted {
    #[command(flatten)]
    at: OutboxArgs,
    /// This severity or a higher one
    #[arg(long, value_enum, default_value = "low")]
    severity: Severity,
    /// Of this rule
    #[arg(long)]
    rule: Option<String>,
    /// About this workload, by its name
    #[arg(long, value_name = "NAME")]
    workload: Option<String>,
}

/// A decision about an alert.
#[derive(Debug, clap::Args)]
pub struct Decide {
    /// Its id, or the beginning of it
    id: String,
    /// Why
    #[arg(long, value_name = "TEXT")]
    why: String,
    /// Who [default: the user]
    #[arg(long, value_name = "NAME")]
    by: Option<String>,
    #[command(flatten)]
    at: OutboxArgs,
}

/// Runs the command.
pub fn run(command: AlertsCommand) -> anyhow::Result<Outcome> {
    match command {
        AlertsCommand::List { wanted, state, all, limit, json } => {
            list(&wanted, (!all).then_some(state), limit, json)?;
        }
        AlertsCommand::Show { id, at, json } => show(&at.open()?, &id, json)?,
        AlertsCommand::Ack(about) => decide(about, AlertState::Acknowledged)?,
        AlertsCommand::Close(about) => decide(about, AlertState::Closed)?,
        AlertsCommand::Tail { wanted, since, no_follow, json } => tail(&wanted, since, !no_follow, json)?,
    }
    Ok(Outcome::Done)
}

impl Wanted {
    fn which(&self) -> Which<'_> {
        Which { rule: self.rule.as_deref(), severity: self.severity as u8, ..Which::default() }
    }

    fn takes(&self, body: &Value) -> bool {
        self.workload.as_deref().is_none_or(|name| body["workload"]["name"] == name)
    }
}

/// An alert with where people are with it.
#[derive(serde::Serialize)]
struct Listed<'a> {
    state: AlertState,
    decision: &'a Option<Decision>,
    alert: Value,
}

fn list(wanted: &Wanted, state: Option<AlertState>, limit: usize, json: bool) -> anyhow::Result<()> {
    let kept = wanted.at.open()?.alerts(&wanted.which())?;
    let mut found = Vec::new();
    for one in kept.iter().filter(|one| state.is_none_or(|state| one.state == state)) {
        let alert = body(one)?;
        if wanted.takes(&alert) {
            found.push((one, alert));
        }
    }
    let more = found.len().saturating_sub(limit);
    found.truncate(limit);
    if json {
        let listed = found.into_iter().map(|(one, alert)| Listed { state: one.state, decision: &one.decision, alert });
        let listed: Vec<_> = listed.collect();
        return to_pretty_writer(&mut anstream::stdout().lock(), &listed).context("writing to standard output");
    }
    if found.is_empty() {
        let which = state.map_or("", AlertState::name);
        return print(&format!("no {which} alert was kept\n").replace("  ", " "));
    }
    let rows: Vec<_> = found.iter().map(|(one, alert)| row(one, alert)).collect();
    let titles = ["ID", "SEVERITY", "RULE", "WORKLOAD", "STATE", "COUNT", "LAST SEEN", "TITLE"];
    print(&table(&titles, &rows, 3, columns()))?;
    if more > 0 {
        print(&format!("{} more; see --limit\n", many(more as u64, "alert")))?;
    }
    print("\n`hopwatch alerts show ID` shows one with what to do\n")
}

fn row(one: &Kept, alert: &Value) -> Vec<String> {
    let text = |value: &Value| value.as_str().map(printable).unwrap_or_default();
    let severity = Severity::of_number(one.severity).map(|severity| severity.as_str().to_owned());
    vec![
        one.id.clone(),
        severity.unwrap_or_default(),
        one.rule.clone(),
        text(&alert["workload"]["name"]),
        one.state.name().to_owned(),
        alert["count"].as_u64().map(|count| count.to_string()).unwrap_or_default(),
        one.at.readable(),
        text(&alert["title"]),
    ]
}

fn show(store: &Store, id: &str, json: bool) -> anyhow::Result<()> {
    let id = the_one(store, id)?;
    let lines = store.lines(&Which { id: Some(&id), ..Which::default() })?;
    for line in &lines {
        write(line, json)?;
    }
    let Some(last) = lines.last().filter(|_| !json) else { return Ok(()) };
    let said = match &last.decision {
        None => format!("nobody has taken it; `hopwatch alerts ack {id} --why TEXT` says that you do"),
        Some(Decision { state, by, why, at }) => {
            let again = if *state == last.state { "" } else { "; it went on or got worse since, and is open again" };
            format!("{} by {} at {}: {}{again}", state.name(), printable(by), at.readable(), printable(why))
        }
    };
    print(&(hang("\n  state       ", "              ", &said, columns()) + "\n"))
}

fn decide(about: Decide, state: AlertState) -> anyhow::Result<()> {
    anyhow::ensure!(!about.why.trim().is_empty(), "--why needs a reason that others can read");
    let store = about.at.open()?;
    let last = latest(&store, &about.id)?;
    let by = about.by.unwrap_or_else(user);
    store.decide(&last, &Decision { state, by: by.clone(), why: about.why, at: now() })?;
    print(&format!("{} is {} by {}\n", last.id, state.name(), printable(&by)))
}

fn tail(wanted: &Wanted, since: Duration, follow: bool, json: bool) -> anyhow::Result<()> {
    let store = wanted.at.open()?;
    let mut which = Which { since: Some(now().minus(since)), ..wanted.which() };
    loop {
        for line in store.lines(&which)? {
            if wanted.takes(&body(&line)?) {
                write(&line, json)?;
            }
            (which.after, which.since) = (line.seq, None);
        }
        if !follow {
            return Ok(());
        }
        thread::sleep(LOOK);
    }
}

/// The latest state of an alert that was kept.
pub fn kept(store: &Store, id: &str) -> anyhow::Result<Value> {
    body(&latest(store, id)?)
}

/// The latest state of every alert.
pub fn all_kept(store: &Store) -> anyhow::Result<Vec<Value>> {
    store.alerts(&Which::default())?.iter().map(body).collect()
}

/// The same of one, and where people are with it.
pub(super) fn kept_with_state(store: &Store, id: &str) -> anyhow::Result<(Value, AlertState)> {
    let last = latest(store, id)?;
    Ok((body(&last)?, last.state))
}

fn latest(store: &Store, id: &str) -> anyhow::Result<Kept> {
    let id = the_one(store, id)?;
    let which = Which { id: Some(&id), ..Which::default() };
    store.alerts(&which)?.into_iter().next().with_context(|| format!("reading the alert {id}"))
}

/// The alert whose id begins so.
fn the_one(store: &Store, prefix: &str) -> anyhow::Result<String> {
    let ids = store.ids_like(prefix)?;
    match ids.as_slice() {
        [id] => Ok(id.clone()),
        [] => anyhow::bail!("no alert {prefix:?} was kept; see `hopwatch alerts list --all`"),
        several if several.iter().any(|id| id == prefix) => Ok(prefix.to_owned()),
        several => anyhow::bail!("{prefix:?} is not enough: {}", several.join(", ")),
    }
}

fn body(one: &Kept) -> anyhow::Result<Value> {
    serde_json::from_slice(&one.body).with_context(|| format!("reading the alert {} in the outbox", one.id))
}

fn write(line: &Kept, json: bool) -> anyhow::Result<()> {
    match &line.text {
        Some(text) if !json => print(text),
        _ => {
            let mut out = anstream::stdout().lock();
            to_writer(&mut out, &body(line)?).and_then(|()| out.write_all(b"\n")).context("writing to standard output")
        }
    }
}

/// Who runs this command, also behind sudo.
pub(super) fn user() -> String {
    let variable = |name| std::env::var(name).ok().filter(|name| !name.is_empty());
    variable("SUDO_USER").or_else(|| variable("USER")).unwrap_or_else(|| format!("uid {}", nix::unistd::getuid()))
}

fn print(text: &str) -> anyhow::Result<()> {
    anstream::stdout().write_all(text.as_bytes()).context("writing to standard output")
}
