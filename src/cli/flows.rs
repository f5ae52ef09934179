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
use crate::escape::{json::to_writer, printable};
use crate::export::FlowFormat;
use crate::layout;

const EXAMPLES: &str = "Examples:
  hopwatch flows traffic.pcap                              one line per flow
  hopwatch flows --summary traffic.pcapng.zst              a summary
  hopwatch flows traffic.pcap | jq -r '.tls.sni // empty'  every server name in TLS
  hopwatch flows --format zeek traffic.pcap | zeek-cut id.resp_h conn_state
  tcpdump -i eth0 -w - | hopwatch flows -                  from a pipe
  hopwatch flows --idle-timeout 0 --active-timeout 0 --max-flows 16777216 traffic.pcap
                                                           one record per connection, however long

Each field is described in docs/flows.md.

Exit codes: 0 done, also where a capture breaks off (a warning says where); 2 usage; 4 a capture cannot be read at all.";

/// Default size of the flow table: about 600 MB when it is full.
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
    /// Output format [default: text on a terminal, jsonl otherwise]
    #[arg(long, value_enum)]
    format: Option<FlowFormat>,
    /// Output file [default: standard output]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Write only a summary, as JSON, and no records
    #[arg(long, conflicts_with = "format")]
    summary: bool,
    /// Count a tunnelled packet by its outer or inner IP header
    #[arg(long, value_enum, default_value_t = Layer::Outer)]
    layer: Layer,
    /// UDP ports to decode as VXLAN
    #[arg(long, value_name = "PORT,…", value_delimiter = ',', default_values_t = [4789, 8472])]
    vxlan_ports: Vec<u16>,
    /// End a flow after this long without a packet; 0: never [default: 60s]
    #[arg(long, value_name = "TIME", value_parser = duration_or_off)]
    idle_timeout: Option<Duration>,
    /// Write a flow after this long and continue it in a new record; 0: never [default: 30m]
    #[arg(long, value_name = "TIME", value_parser = duration_or_off)]
    active_timeout: Option<Duration>,
    /// Flows in the table of an observation point; when it is full, the flow that was idle longest ends early and is counted [default: 2097152]
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
    let columns = if out.is_watched { layout::columns() } else { None };
    let records = (!args.summary).then(|| Records::new(format.writer(&mut out.stream, columns), out.is_watched));
    let metering = Metering { limits, layer: args.layer, vxlan_ports: args.vxlan_ports };
    let summary = flows::run(captures, metering, records, &mut |bytes| bar.set_position(bytes))?;
    bar.finish_and_clear();
    for warning in summary.warnings() {
        tracing::warn!("{}", printable(&warning));
    }
    if args.summary {
        to_writer(&mut out.stream, &summary).and_then(|()| writeln!(out.stream)).context("writing the summary")?;
        out.stream.flush()?;
    }
    Ok(Outcome::Done)
}

/// The capture files that the paths stand for.
fn captures(paths: Vec<PathBuf>) -> anyhow::Result<Vec<PathBuf>> {
    let mut captures = Vec::new();
    for path in paths {
        if path.is_dir() {
            let folder = captures_in(&path)?;
            folder.warn();
            captures.extend(folder.captures);
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
