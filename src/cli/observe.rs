//! `hopwatch observe`.

use std::io::IsTerminal as _;
use std::path::PathBuf;

use anyhow::Context as _;

use super::host_args::HostArgs;
use super::recordings::Sources;
use super::{Outcome, on_host};
use crate::app::baseline;
use crate::app::observe::{self, FlowWriting, Form, LineFormat};
use crate::app::output::{Output, Overflow};
use crate::app::replay::{self, ReplayOptions};
use crate::config::{self, CollectorUrl};
use crate::engine::Observer;
use crate::escape::printable;
use crate::export::ipfix::EXAMPLE_ENTERPRISE;
use crate::judged_flows::{FlowFilter, Kind, Target};
use crate::time::Timestamp;

/// List flows with their verdicts: live on this host, or of recordings
///
/// One line per judgement: who talked to whom, whether that passed the hops that it had to, and what proves it. A verdict that is revised is another line. Without a PATH this host is watched until it is interrupted.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Scenario folders or capture files in place of this host
    #[arg(value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// Facts of the runtime, for captures: facts.jsonl, `hopwatch inventory --format json`, or the output of `docker inspect`
    #[arg(long, value_name = "FILE", requires = "paths")]
    facts: Vec<PathBuf>,
    /// Configuration file [default: the folder's hopwatch.yaml, else /etc/hopwatch/hopwatch.yaml]
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    host: HostArgs,
    #[command(flatten)]
    wanted: Wanted,
    /// Format [default: compact on a terminal, jsonl otherwise]
    #[arg(long, value_enum)]
    format: Option<LineFormat>,
    #[command(flatten)]
    export: Export,
    /// Stop after so many lines
    #[arg(short = 'n', long, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..))]
    limit: Option<u64>,
}

/// Which flows.
#[derive(Debug, clap::Args)]
struct Wanted {
    /// Only flows of workloads with this name or id, at either end (glob)
    #[arg(short, long, value_name = "GLOB")]
    workload: Vec<String>,
    /// Only flows with this verdict
    #[arg(long, value_enum, value_name = "VERDICT", value_delimiter = ',')]
    verdict: Vec<Kind>,
    /// Only flows that this contract is about (glob)
    #[arg(long, value_name = "GLOB")]
    contract: Vec<String>,
    /// Only flows to this address, range, name or workload (glob)
    #[arg(long, value_name = "WHERE")]
    to: Vec<String>,
    /// Only flows to this port
    #[arg(long, value_name = "PORT")]
    port: Vec<u16>,
    /// Only flows that began at this time or later, such as 2026-11-29T12:00:00Z
    #[arg(long, value_name = "TIME")]
    since: Option<Timestamp>,
}

impl Wanted {
    fn filter(&self) -> anyhow::Result<FlowFilter> {
        let to = self.to.iter().map(|text| Target::parse(text)).collect::<Result<_, _>>()?;
        let (kinds, ports) = (self.verdict.clone(), self.port.clone());
        Ok(FlowFilter { kinds, to, ports, since: self.since, ..FlowFilter::new(&self.workload, &self.contract)? })
    }
}

/// What a collector gets.
#[derive(Debug, clap::Args)]
struct Export {
    /// Send IPFIX messages to this collector, udp://HOST:PORT or tcp://HOST:PORT
    #[arg(long, value_name = "COLLECTOR")]
    collector: Option<CollectorUrl>,
    /// Enterprise number (PEN) of hopwatch's own elements in IPFIX; 32473 is the one for examples
    #[arg(long, value_name = "NUMBER", default_value_t = EXAMPLE_ENTERPRISE)]
    enterprise: u32,
}

/// Runs the command.
pub fn run(args: Args) -> anyhow::Result<Outcome> {
    let filter = args.wanted.filter()?;
    let form = form(args.format, args.export)?;
    if args.paths.is_empty() {
        let mut writing = None;
        let start = || {
            let (stream, started) = observe::start(filter, form, args.limit, Overflow::DropAndCount)?;
            let stop = writing.insert(started).stop();
            Ok((Box::new(stream) as Box<dyn Observer>, stop))
        };
        let ended = on_host::observe(args.config.as_deref(), &args.host, start);
        let written = writing.map(FlowWriting::finish).transpose();
        ended?;
        written?;
        return Ok(Outcome::Done);
    }
    let sources = Sources::of(args.paths, args.facts, args.config)?;
    let mut config = config::load(sources.config.as_deref())?.config;
    baseline::load_unwatched(&mut config)?;
    args.host.local.apply(&mut config);
    let (stream, writing) = observe::start(filter, form, args.limit, Overflow::Block)?;
    let stop = Some(writing.stop());
    let report = sources.replay(&config, |options, bar| {
        let options = ReplayOptions { observer: Some(Box::new(stream)), stop, ..options };
        replay::run(options, &Output::none(), &mut |bytes| bar.set_position(bytes))
    });
    // The engine must be gone before its last lines are waited for.
    let warnings = report.map(|report| report.summary.warnings);
    let written = writing.finish();
    let warnings = warnings.context("replaying")?;
    let written = written?;
    for warning in &warnings {
        tracing::warn!("{}", printable(warning));
    }
    if written == Some(0) {
        tracing::warn!("no judged flow is as asked for; without filters `hopwatch observe PATH` lists all");
    }
    Ok(Outcome::Done)
}

/// How lines are written, and where to.
fn form(format: Option<LineFormat>, export: Export) -> anyhow::Result<Form> {
    let is_terminal = std::io::stdout().is_terminal();
    let Export { collector: to, enterprise } = export;
    let usual = match (&to, is_terminal) {
        (Some(_), _) => LineFormat::Ipfix,
        (None, true) => LineFormat::Compact,
        (None, false) => LineFormat::Jsonl,
    };
    let format = format.unwrap_or(usual);
    let is_ipfix = format == LineFormat::Ipfix;
    anyhow::ensure!(to.is_none() || is_ipfix, "a collector takes IPFIX alone: leave --format out, or --collector");
    anyhow::ensure!(
        to.is_some() || !is_ipfix || !is_terminal,
        "IPFIX is no text for a terminal: redirect it into a file, or send it with --collector udp://HOST:PORT"
    );
    Ok(Form { format, to, enterprise })
}
