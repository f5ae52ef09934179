//! `hopwatch outbox`: what waits to be delivered, and whether receivers take it.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::Outcome;
use crate::app::output::delivery::outbox_path;
use crate::cli::outbox_args::OutboxArgs;
use crate::clock::now;
use crate::config;
use crate::deliver::store::{Listed, State, Store};
use crate::deliver::trial;
use crate::escape::json::to_pretty_writer;
use crate::escape::printable;
use crate::layout::{columns, table};
use crate::wording::many;

/// Deliveries that are shown.
const SHOWN: u64 = 1_000;

/// What to do with the outbox.
#[derive(Debug, clap::Subcommand)]
pub enum OutboxCommand {
    /// Show what waits to be delivered, and what its receiver refused
    List {
        #[command(flatten)]
        of: Of,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Try again now what waits or was refused
    Retry(Chosen),
    /// Remove what waits or was refused: it is never delivered
    Drop(Chosen),
    /// Send a test alert to sinks of the configuration, without the outbox, and show what each answers
    Test {
        /// The sinks [default: all]
        sinks: Vec<String>,
        /// Configuration file [default: /etc/hopwatch/hopwatch.yaml, if there is one]
        #[arg(short, long, value_name = "FILE")]
        config: Option<PathBuf>,
    },
}

/// Which outbox, and of which sink.
#[derive(Debug, clap::Args)]
pub struct Of {
    /// Only of this sink
    #[arg(long, value_name = "SINK")]
    sink: Option<String>,
    #[command(flatten)]
    at: OutboxArgs,
}

/// Which deliveries.
#[derive(Debug, clap::Args)]
#[command(group = clap::ArgGroup::new("which").required(true).multiple(true).args(["sink", "number", "all"]))]
pub struct Chosen {
    #[command(flatten)]
    of: Of,
    /// Only this delivery, by its number in `hopwatch outbox list`
    #[arg(long, value_name = "NUMBER")]
    number: Option<i64>,
    /// All of them
    #[arg(long)]
    all: bool,
}

impl OutboxArgs {
    /// Opens it, beside a hopwatch that may be running.
    pub fn open(&self) -> anyhow::Result<Store> {
        let configured = config::load(self.config.as_deref())?.config.state_dir;
        let path = outbox_path(self.state_dir.as_deref().or(configured.as_deref()))?;
        Ok(Store::visit(&path)?)
    }
}

/// Runs the command.
pub fn run(command: OutboxCommand) -> anyhow::Result<Outcome> {
    match command {
        OutboxCommand::List { of, json } => {
            let listed = of.at.open()?.list(of.sink.as_deref(), SHOWN)?;
            show(&listed, json)?;
        }
        OutboxCommand::Retry(chosen) => {
            let count = chosen.of.at.open()?.retry(chosen.of.sink.as_deref(), chosen.number, now())?;
            print(&format!("{} tried again within 30 s\n", are(count)))?;
        }
        OutboxCommand::Drop(chosen) => {
            let count = chosen.of.at.open()?.remove(chosen.of.sink.as_deref(), chosen.number)?;
            print(&format!("{} removed\n", are(count)))?;
        }
        OutboxCommand::Test { sinks, config } => return try_sinks(&sinks, config.as_deref()),
    }
    Ok(Outcome::Done)
}

fn are(count: u64) -> String {
    let verb = if count == 1 { "is" } else { "are" };
    format!("{} {verb}", many(count, "delivery").replace("deliverys", "deliveries"))
}

fn show(listed: &[Listed], json: bool) -> anyhow::Result<()> {
    let mut out = anstream::stdout().lock();
    if json {
        return to_pretty_writer(&mut out, &listed).context("writing to standard output");
    }
    if listed.is_empty() {
        return print("nothing waits, and nothing was refused\n");
    }
    let row = |one: &Listed| {
        let state = if one.state == State::Dead { "refused" } else { "waits" };
        let error = one.error.as_deref().map(printable).unwrap_or_default();
        let number = one.seq.to_string();
        let alert = format!("{}/{}", one.id, one.update);
        vec![
            number,
            one.sink.clone(),
            state.to_owned(),
            one.attempts.to_string(),
            one.added.readable(),
            alert,
            one.rule.clone(),
            error,
        ]
    };
    let rows: Vec<_> = listed.iter().map(row).collect();
    let titles = ["NUMBER", "SINK", "STATE", "TRIED", "SINCE", "ALERT/UPDATE", "RULE", "WHY"];
    out.write_all(table(&titles, &rows, 3, columns()).as_bytes()).context("writing to standard output")
}

fn try_sinks(names: &[String], config: Option<&Path>) -> anyhow::Result<Outcome> {
    let sinks = config::load(config)?.config.sinks;
    let known: Vec<_> = sinks.iter().map(|sink| sink.name.as_str()).collect();
    for name in names {
        anyhow::ensure!(
            known.contains(&name.as_str()),
            "there is no sink {name:?}; the configuration has: {}",
            known.join(", ")
        );
    }
    anyhow::ensure!(!sinks.is_empty(), "the configuration has no sinks; docs/delivery.md shows how to add one");
    let chosen: Vec<_> = sinks.iter().filter(|sink| names.is_empty() || names.contains(&sink.name)).collect();
    let mut failed = 0;
    for sink in &chosen {
        match trial::send(sink) {
            Ok(()) => print(&format!("{}: taken\n", sink.name))?,
            Err(why) => {
                failed += 1;
                print(&format!("{}: NOT taken: {}\n", sink.name, printable(&why)))?;
            }
        }
    }
    anyhow::ensure!(failed == 0, "{failed} of {} did not take the test alert", many(chosen.len() as u64, "sink"));
    Ok(Outcome::Done)
}

fn print(text: &str) -> anyhow::Result<()> {
    anstream::stdout().write_all(text.as_bytes()).context("writing to standard output")
}
