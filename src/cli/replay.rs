//! `hopwatch replay`.

use std::io;
use std::path::PathBuf;

use indicatif::ProgressBar;

use super::Outcome;
use super::captures::{captures_in, progress_bar};
use crate::alert::Alert;
use crate::app::delivery::{Delivery, Format};
use crate::app::replay::{self, ReplayOptions, ReplaySink};
use crate::config;
use crate::detect::Severity;

/// Judge captures after the fact: the same engine, the same alerts
///
/// A PATH is a scenario folder (traffic.pcapng, facts.jsonl, hopwatch.yaml, as `hopwatch record` writes it), or a pcap or pcapng
/// file (also .gz and .zst; - is standard input).
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Scenario folders or capture files
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// What the runtime knew: facts.jsonl, `hopwatch inventory --format json`, or the output of `docker inspect`
    #[arg(long, value_name = "FILE")]
    facts: Vec<PathBuf>,
    /// Configuration file [default: the folder's hopwatch.yaml, else /etc/hopwatch/hopwatch.yaml]
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// How to print alerts [default: text on a terminal, json otherwise]
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// Exit with 1 when an alert is at least so severe
    #[arg(long, value_name = "SEVERITY", value_enum)]
    fail_on: Option<Severity>,
}

impl clap::ValueEnum for Severity {
    fn value_variants<'a>() -> &'a [Self] {
        &Self::ALL
    }

    fn to_possible_value(&self) -> Option<clap::builder::PossibleValue> {
        Some(clap::builder::PossibleValue::new(self.as_str()))
    }
}

/// Runs the command.
pub fn run(args: Args) -> anyhow::Result<Outcome> {
    let mut sources = Sources { facts: args.facts, config: args.config, ..Sources::default() };
    for path in args.paths {
        sources.add(path)?;
    }
    let config = config::load(sources.config.as_deref())?.config;
    let delivery = Delivery::new(args.format.unwrap_or_else(Format::for_stdout));
    let mut sink = Sink { delivery, bar: progress_bar(&sources.captures) };
    let Sources { captures, facts, .. } = sources;
    let options = ReplayOptions { captures, facts, engine: config.engine, meter: config.meter, ledger: None };
    let report = replay::run(options, &mut sink)?;
    sink.bar.finish_and_clear();
    for warning in &report.summary.warnings {
        tracing::warn!("{warning}");
    }
    delivery.summary(&report.summary)?;
    let failed = args.fail_on.is_some_and(|limit| report.worst.is_some_and(|worst| worst >= limit));
    Ok(if failed { Outcome::Alerts } else { Outcome::Done })
}

/// What the paths stand for.
#[derive(Debug, Default)]
pub(super) struct Sources {
    pub captures: Vec<PathBuf>,
    pub facts: Vec<PathBuf>,
    pub config: Option<PathBuf>,
}

impl Sources {
    pub(super) fn add(&mut self, path: PathBuf) -> anyhow::Result<()> {
        if !path.is_dir() {
            self.captures.push(path);
            return Ok(());
        }
        self.captures.extend(captures_in(&path)?);
        let existing = |name: &str| Some(path.join(name)).filter(|path| path.is_file());
        self.facts.extend(existing("facts.jsonl"));
        self.config = self.config.take().or_else(|| existing("hopwatch.yaml"));
        Ok(())
    }
}

struct Sink {
    delivery: Delivery,
    bar: ProgressBar,
}

impl ReplaySink for Sink {
    fn alert(&mut self, alert: &Alert) -> io::Result<()> {
        self.bar.suspend(|| self.delivery.alert(alert))
    }

    fn progress(&mut self, bytes: u64) {
        self.bar.set_position(bytes);
    }
}
