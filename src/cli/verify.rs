//! `hopwatch verify`.

mod parse;

use std::io::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;
use clap::error::ErrorKind;
use indicatif::ProgressBar;

use super::recordings::Sources;
use super::{Outcome, on_host};
use crate::app::verify;
use crate::config::{self, Config, InsideNamespaces};
use crate::escape::json;
use crate::layout;
use crate::path::{PortSpec, Selector};
use crate::report::Question;
use crate::report::verification::{self, Verification};

const EXAMPLES: &str = "Examples:
  sudo hopwatch verify --workload 'app*' --through container:squid:3128 --for 10m
  sudo hopwatch verify --workload app --through gateway:vpn --for 1h --json > report.json
  hopwatch verify --workload label.egress=proxied --through proxy -c hopwatch.yaml --read recording/
  hopwatch verify --workload network=apps --through address:10.0.0.53 --to any --port 53 --read traffic.pcap --facts inspect.json

Exit codes: 0 every flow passed the hop; 1 some did not; 2 usage; 3 configuration; 4 runtime or permission; 5 unknown: nothing was seen, or too much could not be judged.";

/// Prove that a workload's traffic passed a hop, or list each flow that did not
///
/// Watches this host or reads a recording, and judges the workloads' flows by this question alone. Prints what it saw, each exception, what
/// it could not see, and a conclusion.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Workload to verify: a container name as a glob, or key=value parts, all of which must hold: name=, image=, digest=, network=, address=,
    /// label.KEY=. Repeat for several; any of them matches
    #[arg(short, long = "workload", value_name = "SELECTOR", required = true, value_parser = parse::asked)]
    workloads: Vec<Asked>,
    /// Hop that the traffic must pass: the name of a hop in the configuration, or container:NAME (a proxy or resolver), gateway:NAME (routes for others),
    /// inline:NAME, mirror:NAME, sidecar:NAME, interface:GLOB, address:IP; a port may follow: container:squid:3128
    #[arg(long, value_name = "HOP")]
    through: String,
    /// Destination of the traffic: internet, any, a destination of the configuration, an address or range
    #[arg(long, value_name = "SET", default_value = "internet")]
    to: Vec<String>,
    /// Verify only traffic to this port, such as 443 or 53/udp [default: any]
    #[arg(long, value_name = "PORT", value_parser = config::parse_port)]
    port: Vec<PortSpec>,
    /// How long to watch
    #[arg(long = "for", value_name = "TIME", value_parser = config::parse_duration, default_value = "10m", conflicts_with = "read")]
    lasting: Duration,
    /// Judge a recording (a folder that `hopwatch record` wrote) or a capture instead of live traffic
    #[arg(long, value_name = "PATH")]
    read: Vec<PathBuf>,
    /// Facts of the runtime, for a capture: facts.jsonl, `hopwatch inventory --format json`, or the output of `docker inspect`
    #[arg(long, value_name = "FILE", requires = "read")]
    facts: Vec<PathBuf>,
    /// Configuration file [default: the folder's hopwatch.yaml, else /etc/hopwatch/hopwatch.yaml, if there is one]
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Interface to capture, by name or glob; repeat for several [default: docker0, br-* and `docker_gwbridge`]
    #[arg(short, long = "interface", value_name = "GLOB", conflicts_with = "read")]
    interfaces: Vec<String>,
    /// Capture inside the network namespaces of workloads, too [default: never; without a value: unwatched]
    #[arg(long, value_enum, value_name = "WHICH", num_args = 0..=1, require_equals = true, default_missing_value = "unwatched")]
    inside: Option<InsideNamespaces>,
    /// Percentage of flows, bytes or packets that may be unobservable or lost before the result is "unknown"
    #[arg(long, value_name = "PERCENT", default_value_t = 1.0, value_parser = parse::percent)]
    max_unobservable: f64,
    /// Leave out traffic to this address or range (port optional), for example a tunnel's packets to its own server: 203.0.113.5:51820/udp. Repeat
    /// for several
    #[arg(long, value_name = "ADDRESS[:PORT]", value_parser = parse::except)]
    except: Vec<parse::Except>,
    /// Ignore one cause that could hide flows, because you know it hid none: KIND:REASON. KINDs are listed in the report, which records the reason.
    /// Repeat for several
    #[arg(long, value_name = "KIND:REASON", value_parser = parse::accepted)]
    accept: Vec<(&'static str, String)>,
    /// Print the report as JSON, hopwatch.verification/1
    #[arg(long)]
    json: bool,
}

/// A selector, and how it was written.
#[derive(Clone, Debug)]
pub struct Asked {
    text: String,
    selector: Selector,
}

/// Runs the command.
pub fn run(args: &Args) -> anyhow::Result<Outcome> {
    let (json, asked) = (args.json, args.workloads.iter().map(|asked| asked.text.clone()).collect::<Vec<_>>());
    let report = if args.read.is_empty() { live(args)? } else { recording(args)? };
    let mut out = anstream::stdout().lock();
    if json {
        json::to_writer(&mut out, &report).and_then(|()| writeln!(out))
    } else {
        out.write_all(report.text(&asked, layout::columns()).as_bytes())
    }
    .context("writing to standard output")?;
    Ok(match report.conclusion.outcome {
        verification::Outcome::Verified => Outcome::Done,
        verification::Outcome::Exceptions => Outcome::Exceptions,
        verification::Outcome::Unknown => Outcome::Unknown,
    })
}

fn live(args: &Args) -> anyhow::Result<Verification> {
    on_host::verify(args.config.as_deref(), &args.interfaces, args.inside, args.lasting, |config| {
        question(args, config)
    })
}

fn recording(args: &Args) -> anyhow::Result<Verification> {
    let sources = Sources::of(args.read.clone(), args.facts.clone(), args.config.clone())?;
    let config = config::load(sources.config.as_deref())?.config;
    let question = question(args, &config);
    let run = |options, bar: &ProgressBar| {
        verify::recording(&question, options, &mut |bytes| bar.set_position(bytes)).map_err(Into::into)
    };
    sources.replay(&config, run)
}

fn usage(message: &str) -> ! {
    // Behind the `error: ` that is printed before it.
    let message = layout::hang("       ", "  ", message, layout::error_columns());
    super::command().error(ErrorKind::ValueValidation, message.trim_start()).exit()
}

/// What is asked, with the configuration's names resolved; ends with a usage error where it has no such name.
fn question(args: &Args, config: &Config) -> Question {
    let hop = parse::hop(&args.through, config).unwrap_or_else(|message| usage(&format!("--through: {message}")));
    let set = |name: &String| {
        let set = parse::set(name, config).unwrap_or_else(|message| usage(&format!("--to: {message}")));
        (name.clone(), set)
    };
    Question {
        workloads: args.workloads.iter().map(|asked| asked.selector.clone()).collect(),
        asked: args.workloads.iter().map(|asked| asked.text.clone()).collect(),
        hop,
        to: args.to.iter().map(set).collect(),
        ports: args.port.clone(),
        except: args.except.iter().map(|except| (except.text.clone(), (except.range, except.port))).collect(),
        max_unobservable: args.max_unobservable,
        accepted: args.accept.clone(),
    }
}
