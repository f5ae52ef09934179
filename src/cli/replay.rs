//! `hopwatch replay`.

use std::io;
use std::path::PathBuf;

use anyhow::Context as _;
use indicatif::ProgressBar;

use super::Outcome;
use super::captures::{captures_in, not_read, progress_bar};
use super::local::LocalArgs;
use crate::alert::Alert;
use crate::app::baseline;
use crate::app::output::{AlertSink, Format, Output, Overflow, StdoutSink};
use crate::app::recorder::missing_end;
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
    let mut sources = Sources { facts: args.facts, config: args.config, ..Sources::default() };
    for path in args.paths {
        sources.add(path)?;
    }
    let mut config = config::load(sources.config.as_deref())?.config;
    baseline::load_unwatched(&mut config)?;
    args.local.apply(&mut config);
    let bar = progress_bar(&sources.captures);
    let stdout = StdoutSink::new(args.format.unwrap_or_else(Format::for_stdout)).context("opening standard output")?;
    let sink = BesideBar { stdout, bar: bar.clone() };
    let output = Output::to(Box::new(sink), Overflow::Block).context("starting the thread for the output")?;
    let Sources { captures, facts, warnings, .. } = sources;
    let options = ReplayOptions {
        captures,
        facts,
        warnings,
        engine: config.engine,
        meter: config.meter,
        verdict_log: None,
        observer: None,
    };
    let report = replay::run(options, &output, &mut |bytes| bar.set_position(bytes))?;
    bar.finish_and_clear();
    for warning in &report.summary.warnings {
        tracing::warn!("{}", printable(warning));
    }
    output.finish(&report.summary).context("writing to standard output")?;
    let failed = args.fail_on.is_some_and(|limit| report.worst.is_some_and(|worst| worst >= limit));
    Ok(if failed { Outcome::Alerts } else { Outcome::Done })
}

/// What the paths stand for.
#[derive(Debug, Default)]
pub(super) struct Sources {
    pub captures: Vec<PathBuf>,
    pub facts: Vec<PathBuf>,
    pub config: Option<PathBuf>,
    /// What is missing in them.
    pub warnings: Vec<String>,
}

impl Sources {
    pub(super) fn add(&mut self, path: PathBuf) -> anyhow::Result<()> {
        if !path.is_dir() {
            let folder = path.parent().filter(|_| path.ends_with("traffic.pcapng"));
            self.warnings.extend(folder.and_then(missing_end));
            self.captures.push(path);
            return Ok(());
        }
        let folder = captures_in(&path)?;
        self.captures.extend(folder.captures);
        self.warnings.extend(folder.left_out.iter().map(|path| not_read(path)));
        self.warnings.extend(folder.gaps);
        self.warnings.extend(missing_end(&path));
        let existing = |name: &str| Some(path.join(name)).filter(|path| path.is_file());
        self.facts.extend(existing("facts.jsonl"));
        self.config = self.config.take().or_else(|| existing("hopwatch.yaml"));
        Ok(())
    }
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
