//! `hopwatch flows`.

use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};
use indicatif::ProgressBar;

use super::Outcome;
use super::captures::{captures_in, progress_bar};
use crate::app::flows::{self, Captures, Layer, Metering, Records};
use crate::config;
use crate::export::FlowFormat;

const EXAMPLES: &str = "Examples:
  hopwatch flows traffic.pcap                              a line a flow
  hopwatch flows --summary traffic.pcapng.zst              how much there is
  hopwatch flows traffic.pcap | jq -r '.tls.sni // empty'  every name asked for by TLS
  hopwatch flows --format zeek traffic.pcap | zeek-cut id.resp_h conn_state
  tcpdump -i eth0 -w - | hopwatch flows -                  from a pipe
  hopwatch flows --idle-timeout 0 --active-timeout 0 --max-flows 16777216 traffic.pcap
                                                           one record a connection, however long

Each field is described in docs/flows.md.

Exit codes: 0 done, also where a capture breaks off (a warning says where); 2 usage; 4 a capture cannot be read at all.";

/// Flows held at once unless told otherwise: some 600 MB when there are so many.
const MAX_FLOWS: usize = 1 << 21;

/// Turn captures into flow records
///
/// A PATH is a pcap or pcapng file (also .gz and .zst; - is standard input), or a folder, which stands for the captures in it.
/// Several are read as one, in time order.
#[derive(Debug, clap::Args)]
#[command(after_help = EXAMPLES)]
pub struct Args {
    /// Capture files or folders
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,
    /// How to write the records [default: text on a terminal, jsonl otherwise]
    #[arg(long, value_enum)]
    format: Option<FlowFormat>,
    /// Where to write [default: standard output]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Write no records, only what they add up to, as JSON
    #[arg(long, conflicts_with = "format")]
    summary: bool,
    /// The IP header that a packet of a tunnel is counted by
    #[arg(long, value_enum, default_value_t = Layer::Outer)]
    layer: Layer,
    /// UDP ports at which VXLAN is looked for
    #[arg(long, value_name = "PORT,…", value_delimiter = ',', default_values_t = [4789, 8472])]
    vxlan_ports: Vec<u16>,
    /// A flow without a packet for so long ends; 0: never [default: 60s]
    #[arg(long, value_name = "TIME", value_parser = duration_or_off)]
    idle_timeout: Option<Duration>,
    /// A flow that lasts longer is written and goes on in a new record; 0: never [default: 30m]
    #[arg(long, value_name = "TIME", value_parser = duration_or_off)]
    active_timeout: Option<Duration>,
    /// Flows held at once at an observation point; when full, the longest idle ends early and is counted [default: 2097152]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=16_777_216))]
    max_flows: Option<u32>,
}

impl clap::ValueEnum for Layer {
    fn value_variants<'a>() -> &'a [Self] {
        &[Self::Outer, Self::Inner]
    }

    fn to_possible_value(&self) -> Option<clap::builder::PossibleValue> {
        Some(clap::builder::PossibleValue::new(match self {
            Self::Outer => "outer",
            Self::Inner => "inner",
        }))
    }
}

/// A duration, or `0` for never.
fn duration_or_off(text: &str) -> Result<Duration, String> {
    if text == "0" { Ok(Duration::ZERO) } else { config::parse_duration(text) }
}

/// Runs the command.
pub fn run(args: Args) -> anyhow::Result<Outcome> {
    let mut limits = config::default_meter();
    // Only the end of a flow is written.
    limits.update_interval = Duration::ZERO;
    limits.idle_timeout = args.idle_timeout.unwrap_or(limits.idle_timeout);
    limits.active_timeout = args.active_timeout.unwrap_or(limits.active_timeout);
    limits.max_flows = args.max_flows.map_or(MAX_FLOWS, |flows| flows as usize);
    let paths = captures(args.paths)?;
    let captures = Captures::open(&paths)?;
    let mut out = Destination::open(args.output.as_deref().filter(|path| path.as_os_str() != "-"), &paths)?;
    let bar = if out.is_watched { ProgressBar::hidden() } else { progress_bar(&paths) };
    let format = args.format.unwrap_or(if out.is_watched { FlowFormat::Text } else { FlowFormat::Jsonl });
    let records = (!args.summary).then(|| Records::new(format.writer(&mut out.stream), out.is_watched));
    let metering = Metering { limits, layer: args.layer, vxlan_ports: args.vxlan_ports };
    let summary = flows::run(captures, metering, records, &mut |bytes| bar.set_position(bytes))?;
    bar.finish_and_clear();
    for warning in summary.warnings() {
        tracing::warn!("{warning}");
    }
    if args.summary {
        writeln!(out.stream, "{}", serde_json::to_string(&summary)?)?;
        out.stream.flush()?;
    }
    Ok(Outcome::Done)
}

/// The capture files that the paths stand for.
fn captures(paths: Vec<PathBuf>) -> anyhow::Result<Vec<PathBuf>> {
    let mut captures = Vec::new();
    for path in paths {
        if path.is_dir() {
            captures.extend(captures_in(&path)?);
        } else {
            captures.push(path);
        }
    }
    Ok(captures)
}

/// Where records go.
struct Destination {
    stream: Box<dyn Write>,
    /// A terminal: somebody waits for each line.
    is_watched: bool,
}

impl Destination {
    /// A file that is none of the captures, or standard output.
    fn open(path: Option<&Path>, captures: &[PathBuf]) -> anyhow::Result<Self> {
        let Some(path) = path else {
            let stdout = io::stdout();
            return Ok(Self { is_watched: stdout.is_terminal(), stream: Box::new(stdout.lock()) });
        };
        let same =
            |capture: &PathBuf| capture.canonicalize().ok().is_some_and(|it| path.canonicalize().ok() == Some(it));
        if captures.iter().any(same) {
            bail!("{} is one of the captures; write to another file", path.display());
        }
        let file = File::create(path).with_context(|| format!("writing {}", path.display()))?;
        Ok(Self { stream: Box::new(file), is_watched: false })
    }
}
