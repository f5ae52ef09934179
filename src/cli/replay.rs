//! `hopwatch replay`.

use std::io;
use std::path::PathBuf;

use anyhow::Context as _;
use indicatif::ProgressBar;

use super::Outcome;
use super::filter::FilterArgs;
use super::local::LocalArgs;
use super::recordings::Sources;
use crate::alert::Alert;
use crate::app::baseline;
use crate::app::output::{AlertSink, Format, Output, Overflow, StdoutSink};
use crate::app::replay::{self, ReplayOptions};
use crate::app::summary::Summary;
use crate::config;
use crate::detect::Severity;
use crate::escape::printable;
use crate::incident::Incident;

/// Judge recordings and captures: the same engine, the same alerts as live
///
/// A PATH is a scenario folder (traffic.pcapng, facts.jsonl, hopwatch.yaml, as `hopwatch record` writes it), or a pcap or pcapng
/// file (also .gz and .zst; - is standard input).
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Scenario folders or capture files
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Facts of the runtime: facts.jsonl, `hopwatch inventory --format json`, or the output of `docker inspect`
    #[arg(long, value_name = "FILE")]
    facts: Vec<PathBuf>,
    /// Configuration file [default: the folder's hopwatch.yaml, else /etc/hopwatch/hopwatch.yaml]
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    local: LocalArgs,
    #[command(flatten)]
    filter: FilterArgs,
    /// Format of alerts [default: text on a terminal, json otherwise]
    #[arg(long, value_enum)]
    format: Option<Format>,
    /// Exit with 1 if an alert has at least this severity
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
    let sources = Sources::of(args.paths, args.facts, args.config)?;
    let mut config = config::load(sources.config.as_deref())?.config;
    baseline::load_unwatched(&mut config)?;
    args.local.apply(&mut config);
    let format = args.format.unwrap_or_else(Format::for_stdout);
    let (report, output) = sources.replay(&config, |options, bar| {
        let stdout = StdoutSink::new(format).context("opening standard output")?;
        let sink = BesideBar { stdout, bar: bar.clone() };
        let output = Output::to(Box::new(sink), Overflow::Block).context("starting the thread for the output")?;
        let options = ReplayOptions { filter: args.filter.get(), ..options };
        let report = replay::run(options, &output, &mut |bytes| bar.set_position(bytes))?;
        anyhow::Ok((report, output))
    })?;
    for warning in &report.summary.warnings {
        tracing::warn!("{}", printable(warning));
    }
    output.finish(&report.summary).context("writing to standard output")?;
    let failed = args.fail_on.is_some_and(|limit| report.worst.is_some_and(|worst| worst >= limit));
    Ok(if failed { Outcome::Alerts } else { Outcome::Done })
}

/// Standard output, with the progress bar out of the way while an alert is written.
struct BesideBar {
    stdout: StdoutSink,
    bar: ProgressBar,
}

impl AlertSink for BesideBar {
    fn name(&self) -> &'static str {
        self.stdout.name()
    }

    fn alert(&mut self, alert: &Alert) -> io::Result<()> {
        self.bar.suspend(|| self.stdout.alert(alert))
    }

    fn incident(&mut self, incident: &Incident) -> io::Result<()> {
        self.bar.suspend(|| self.stdout.incident(incident))
    }

    fn finish(&mut self, summary: &Summary) -> io::Result<()> {
        self.stdout.finish(summary)
    }
}
