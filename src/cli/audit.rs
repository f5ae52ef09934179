//! `hopwatch audit`.

use std::io::Write as _;
use std::path::PathBuf;

use anyhow::Context as _;

use super::recordings::Sources;
use super::{Outcome, on_host};
use crate::app::{audit, baseline, hash_key};
use crate::config::{self, Config};
use crate::detect::Severity;
use crate::escape::json;
use crate::layout::columns;
use crate::report::audit::Audit;

/// Show the posture of every running container: how it logs, who sees it, which hops it must pass, what is dangerous or differs
///
/// Asks runtimes and the kernel once and changes nothing. A line that begins with `!` says what hopwatch cannot see.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Configuration file [default: a recording's hopwatch.yaml, else /etc/hopwatch/hopwatch.yaml, if there is one]
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Report on this recording instead, as it was at its end
    #[arg(long, value_name = "PATH")]
    read: Vec<PathBuf>,
    /// Facts of the runtime, for a capture: facts.jsonl, `hopwatch inventory --format json`, or the output of `docker inspect`
    #[arg(long, value_name = "FILE")]
    facts: Vec<PathBuf>,
    /// The baseline's file [default: `baseline` of the configuration]
    #[arg(short, long, value_name = "FILE")]
    baseline: Option<PathBuf>,
    /// Folder of what is kept between runs [default: `$STATE_DIRECTORY`, else /var/lib/hopwatch for root, `$XDG_STATE_HOME`/hopwatch for others]
    #[arg(long, value_name = "DIR")]
    state_dir: Option<PathBuf>,
    /// Output format: table for a person, json (hopwatch.audit/1) for a program, html for a page that needs nothing else
    #[arg(long, value_enum, default_value_t = Shape::Table)]
    format: Shape,
    /// Exit with 1 if a finding has at least this severity
    #[arg(long, value_name = "SEVERITY", value_enum)]
    fail_on: Option<Severity>,
}

/// How it is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Shape {
    Table,
    Json,
    Html,
}

/// Runs the command.
pub fn run(args: &Args) -> anyhow::Result<Outcome> {
    let is_live = args.read.is_empty() && args.facts.is_empty();
    let audit = if is_live { live(args)? } else { recording(args)? };
    let mut out = anstream::stdout().lock();
    match args.format {
        Shape::Table => out.write_all(audit.text(columns()).as_bytes()),
        Shape::Json => json::to_writer(&mut out, &audit).and_then(|()| writeln!(out)),
        Shape::Html => out.write_all(audit.html().as_bytes()),
    }
    .context("writing to standard output")?;
    let failed = args.fail_on.is_some_and(|limit| audit.worst().is_some_and(|worst| worst >= limit));
    Ok(if failed { Outcome::Alerts } else { Outcome::Done })
}

fn loaded(args: &Args, recording: Option<&std::path::Path>) -> anyhow::Result<Config> {
    let mut config = config::load(args.config.as_deref().or(recording))?.config;
    config.state_dir = args.state_dir.clone().or(config.state_dir);
    config.baseline = args.baseline.clone().or(config.baseline);
    Ok(config)
}

fn live(args: &Args) -> anyhow::Result<Audit> {
    let mut config = loaded(args, None)?;
    hash_key::prepare(config.state_dir.as_deref())?;
    baseline::load(&mut config)?;
    on_host::audit(&config)
}

fn recording(args: &Args) -> anyhow::Result<Audit> {
    let sources = Sources::of(args.read.clone(), args.facts.clone(), None)?;
    let mut config = loaded(args, sources.config.as_deref())?;
    baseline::load_unwatched(&mut config)?;
    sources.replay(&config, |options, bar| audit::recording(&config, options, &mut |bytes| bar.set_position(bytes)))
}
