//! `hopwatch exceptions`: what is allowed although a rule fires, how often it was, here or in a recording, what each exception hides, and which have expired.

mod add;
mod expire;

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use anyhow::Context as _;
use serde::Serialize;

use super::exception_uses::ExceptionUses;
use super::recordings::{Recorded, Sources};
use super::{Outcome, on_host};
use crate::alert::{Alert, Exception};
use crate::app::baseline;
use crate::app::output::{AlertSink, Format, Output, Overflow, StdoutSink};
use crate::app::replay::{self, ReplayReport};
use crate::app::summary::Summary;
use crate::clock::now;
use crate::config::{self, Config};
use crate::escape::json::to_pretty_writer;
use crate::escape::printable;
use crate::incident::Incident;
use crate::layout::{columns, table};
use crate::path::Selector;
use crate::sync;
use crate::time::Timestamp;
use crate::wording::many;

/// Published as `schema` in the JSON.
const SCHEMA: &str = "hopwatch.exceptions/1";
/// One that ends within this time is listed as such.
const SOON: Duration = Duration::from_hours(14 * 24);
const DAY: Duration = Duration::from_hours(24);

/// What to do with exceptions.
#[derive(Debug, clap::Subcommand)]
pub enum ExceptionsCommand {
    /// List the exceptions of the configuration: until when, how often each was used, and when last
    ///
    /// The hopwatch that runs here is asked, at the address of `serve.listen`; with --read a recording is replayed instead. Those that expire within 14 days are marked.
    ///
    /// Example: hopwatch exceptions list --json | jq -r '.exceptions[] | select(.hits == 0) | .name'
    List {
        #[command(flatten)]
        of: Which,
        /// Print JSON, hopwatch.exceptions/1
        #[arg(long)]
        json: bool,
    },
    /// Print the alerts that a recording would raise without an exception
    Test {
        /// Name of the exception
        name: String,
        #[command(flatten)]
        of: Which,
        /// Format of alerts [default: text on a terminal, json otherwise]
        #[arg(long, value_enum)]
        format: Option<Format>,
    },
    /// Print the exception that allows an alert that was kept, as YAML
    ///
    /// It selects by the image's digest where that is known, and allows the destinations and ports of the alert alone.
    Add(add::Args),
    /// Print a patch that takes the expired exceptions out of the configuration's files
    ///
    /// Nothing is changed: `hopwatch exceptions expire | sudo patch -p1 -d /` does it, or --write FOLDER for new files. Comments of others stay.
    Expire(expire::Args),
}

/// Which exceptions, and where they are tried.
#[derive(Debug, clap::Args)]
pub struct Which {
    /// Configuration file [default: a recording's hopwatch.yaml, else /etc/hopwatch/hopwatch.yaml]
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    recorded: Recorded,
}

impl Which {
    fn sources(&self) -> anyhow::Result<Sources> {
        self.recorded.sources(self.config.clone())
    }

    fn config(&self) -> anyhow::Result<Config> {
        let mut config = config::load(self.sources()?.config.as_deref())?.config;
        if !self.recorded.is_empty() {
            baseline::load_unwatched(&mut config)?;
        }
        Ok(config)
    }

    /// Replays the recording; alerts go to `output`.
    fn replay(&self, config: &Config, output: &Output) -> anyhow::Result<ReplayReport> {
        let run =
            |options, bar: &indicatif::ProgressBar| replay::run(options, output, &mut |bytes| bar.set_position(bytes));
        Ok(self.sources()?.replay(config, run)?)
    }

    /// How often each was used: in the recording, else by the hopwatch that runs here, where one does.
    fn uses(&self, config: &Config) -> anyhow::Result<Option<ExceptionUses>> {
        if self.recorded.is_empty() {
            return Ok(asked(config));
        }
        let stats = self.replay(config, &Output::none())?.engine.stats();
        let names = config.engine.exceptions.iter().map(|exception| (exception.name.clone(), 0));
        let mut hits: BTreeMap<String, u64> = names.collect();
        hits.extend(stats.exception_hits);
        Ok(Some(ExceptionUses { hits, last: stats.exception_last_hits, since: None }))
    }
}

/// Runs the command.
pub fn run(command: ExceptionsCommand) -> anyhow::Result<Outcome> {
    match command {
        ExceptionsCommand::List { of, json } => list(&of, json)?,
        ExceptionsCommand::Test { name, of, format } => test(&name, &of, format.unwrap_or_else(Format::for_stdout))?,
        ExceptionsCommand::Add(args) => add::run(&args)?,
        ExceptionsCommand::Expire(args) => expire::run(&args)?,
    }
    Ok(Outcome::Done)
}

#[derive(Serialize)]
struct Listed<'a> {
    name: &'a str,
    rule: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    workload: Option<&'a Selector>,
    owner: &'a str,
    reason: &'a str,
    expires: Timestamp,
    /// `valid`, `ends_soon` or `expired`.
    state: &'static str,
    /// Days until then, begun ones not counted.
    days_left: u64,
    /// Findings that it held back, in the recording or since the start of the hopwatch that runs here; absent where neither is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    hits: Option<u64>,
    /// When the last one happened.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_hit: Option<Timestamp>,
}

#[derive(Serialize)]
struct Listing<'a> {
    schema: &'static str,
    /// Since when hits are counted, where that is not a whole recording.
    #[serde(skip_serializing_if = "Option::is_none")]
    counted_since: Option<Timestamp>,
    exceptions: Vec<Listed<'a>>,
}

fn list(of: &Which, json: bool) -> anyhow::Result<()> {
    let config = of.config()?;
    let used = of.uses(&config)?;
    let counted_since = used.as_ref().and_then(|used| used.since);
    let listed: Vec<_> =
        config.engine.exceptions.iter().map(|exception| Listed::new(exception, used.as_ref(), now())).collect();
    if json {
        let listing = Listing { schema: SCHEMA, counted_since, exceptions: listed };
        let mut out = anstream::stdout().lock();
        return to_pretty_writer(&mut out, &listing).context("writing to standard output");
    }
    if listed.is_empty() {
        return print("the configuration has no exception\n");
    }
    let rows: Vec<_> = listed.iter().map(Listed::row).collect();
    print(&table(&["NAME", "RULE", "STATE", "UNTIL", "USED", "LAST USED", "OWNER", "REASON"], &rows, 3, columns()))?;
    let since = counted_since.map(|since| format!("used: since hopwatch started, {}\n", since.readable()));
    since.map_or(Ok(()), |since| print(&since))
}

/// What the hopwatch that runs here counted; none where none answers.
fn asked(config: &Config) -> Option<ExceptionUses> {
    let uses = on_host::exception_uses(config.listen);
    let untold = |error: &anyhow::Error| {
        tracing::info!(
            "no hopwatch that runs here says how often each was used ({}); --read RECORDING counts that",
            printable(&format!("{error:#}"))
        );
    };
    uses.inspect_err(untold).ok()
}

impl<'a> Listed<'a> {
    fn new(exception: &'a Exception, used: Option<&ExceptionUses>, now: Timestamp) -> Self {
        let left = exception.expires.since(now);
        Self {
            name: &exception.name,
            rule: &exception.rule,
            workload: exception.workload.as_ref(),
            owner: &exception.owner,
            reason: &exception.reason,
            expires: exception.expires,
            state: if left.is_zero() {
                "expired"
            } else if left < SOON {
                "ends_soon"
            } else {
                "valid"
            },
            days_left: left.as_secs() / DAY.as_secs(),
            hits: used.and_then(|used| used.hits.get(&exception.name).copied()),
            last_hit: used.and_then(|used| used.last.get(&exception.name).copied()),
        }
    }

    fn state(&self) -> String {
        let days = many(self.days_left, "day");
        match self.state {
            "expired" => "expired".to_owned(),
            "ends_soon" => format!("soon: expires in {days}"),
            _ => format!("expires in {days}"),
        }
    }

    fn row(&self) -> Vec<String> {
        let used = self.hits.map(|hits| if hits == 0 { "never hit".to_owned() } else { hits.to_string() });
        vec![
            self.name.to_owned(),
            self.rule.to_owned(),
            self.state(),
            self.expires.readable(),
            used.unwrap_or_default(),
            self.last_hit.map(Timestamp::readable).unwrap_or_default(),
            printable(self.owner),
            printable(self.reason),
        ]
    }
}

/// Replays with and without the exception, and prints what only the second run raises.
fn test(name: &str, of: &Which, format: Format) -> anyhow::Result<()> {
    anyhow::ensure!(!of.recorded.is_empty(), "--read PATH names the recording to try the exception on");
    let mut config = of.config()?;
    let names: Vec<_> = config.engine.exceptions.iter().map(|exception| exception.name.as_str()).collect();
    anyhow::ensure!(
        names.contains(&name),
        "there is no exception {name:?}; the configuration has: {}",
        if names.is_empty() { "none".to_owned() } else { names.join(", ") }
    );
    let (with, _) = raised(of, &config)?;
    config.engine.exceptions.retain(|exception| exception.name != name);
    let (without, summary) = raised(of, &config)?;
    let known: BTreeSet<&str> = with.iter().map(|alert| alert.id.as_str()).collect();
    let mut stdout = StdoutSink::new(format).context("opening standard output")?;
    let mut hidden = BTreeSet::new();
    for alert in without.iter().filter(|alert| !known.contains(alert.id.as_str())) {
        hidden.insert(alert.id.as_str());
        stdout.alert(alert).context("writing to standard output")?;
    }
    for warning in &summary.warnings {
        tracing::warn!("{}", printable(warning));
    }
    let count = many(hidden.len() as u64, "alert");
    tracing::info!("the exception {name} hides {count} of this recording");
    Ok(())
}

/// All alerts and updates of the recording.
fn raised(of: &Which, config: &Config) -> anyhow::Result<(Vec<Alert>, Summary)> {
    let kept = Arc::<Mutex<Vec<Alert>>>::default();
    let sink = Box::new(Keeper(Arc::clone(&kept)));
    let output = Output::to(sink, Overflow::Block).context("starting the thread for the output")?;
    let summary = of.replay(config, &output)?.summary;
    output.finish(&summary).context("keeping the alerts")?;
    let alerts = std::mem::take(&mut *sync::lock(&kept));
    Ok((alerts, summary))
}

/// Keeps alerts in memory.
struct Keeper(Arc<Mutex<Vec<Alert>>>);

impl AlertSink for Keeper {
    fn name(&self) -> &'static str {
        "memory"
    }

    fn alert(&mut self, alert: &Alert) -> io::Result<()> {
        sync::lock(&self.0).push(alert.clone());
        Ok(())
    }

    fn incident(&mut self, _: &Incident) -> io::Result<()> {
        Ok(())
    }

    fn finish(&mut self, _: &Summary) -> io::Result<()> {
        Ok(())
    }
}

fn print(text: &str) -> anyhow::Result<()> {
    anstream::stdout().write_all(text.as_bytes()).context("writing to standard output")
}
