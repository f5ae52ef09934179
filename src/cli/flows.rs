//! `hopwatch flows`.

use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context as _, bail};
use indicatif::ProgressBar;

use super::Outcome;
use super::captures::{captures_in, progress_bar};
use super::filter::FilterArgs;
use crate::app::collector::FlowCollector;
use crate::app::flows::{self, Captures, Layer, Metering, Records};
use crate::config::{self, CollectorUrl};
use crate::escape::{json::to_writer, printable};
use crate::export::ipfix::{Carrier, EXAMPLE_ENTERPRISE};
use crate::export::{FlowFormat, FlowWriter, ipfix_writer};
use crate::layout;

const EXAMPLES: &str = "Examples:
  hopwatch flows traffic.pcap                              one line per flow
  hopwatch flows --summary traffic.pcapng.zst              a summary
  hopwatch flows traffic.pcap | jq -r '.tls.sni // empty'  every server name in TLS
  hopwatch flows --format zeek traffic.pcap | zeek-cut id.resp_h conn_state
  hopwatch flows --to udp://127.0.0.1:4739 traffic.pcap    to an IPFIX collector, such as nfcapd
  hopwatch flows -f 'udp port 53' traffic.pcap              questions and answers of DNS only
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
    #[command(flatten)]
    filter: FilterArgs,
    /// Output format [default: text on a terminal, jsonl otherwise]
    #[arg(long, value_enum)]
    format: Option<FlowFormat>,
    /// Output file [default: standard output]
    #[arg(short, long, value_name = "FILE")]
    output: Option<PathBuf>,
    /// Send IPFIX messages to this collector, udp://HOST:PORT or tcp://HOST:PORT
    #[arg(long, visible_alias = "collector", value_name = "COLLECTOR", conflicts_with_all = ["output", "summary"])]
    to: Option<CollectorUrl>,
    /// Enterprise number (PEN) of hopwatch's own elements in IPFIX; 32473 is the one for examples
    #[arg(long, value_name = "NUMBER", default_value_t = EXAMPLE_ENTERPRISE)]
    enterprise: u32,
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
    let paths = captures(&args.paths)?;
    let captures = Captures::open(&paths)?;
    let mut out = args.destination(&paths)?;
    let bar = if out.is_watched { ProgressBar::hidden() } else { progress_bar(&paths) };
    let is_watched = out.is_watched;
    let format = args.format_for(&out)?;
    let records = (!args.summary).then(|| Records::new(out.writer(format, args.enterprise), is_watched));
    let metering = Metering { limits, layer: args.layer, vxlan_ports: args.vxlan_ports, filter: args.filter.get() };
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

impl Args {
    fn destination(&self, captures: &[PathBuf]) -> anyhow::Result<Destination> {
        match &self.to {
            Some(url) => Destination::collector(url),
            None => Destination::open(self.output.as_deref().filter(|path| path.as_os_str() != "-"), captures),
        }
    }

    fn format_for(&self, out: &Destination) -> anyhow::Result<FlowFormat> {
        let usual = match (out.carrier, out.is_watched) {
            (Some(_), _) => FlowFormat::Ipfix,
            (None, true) => FlowFormat::Text,
            (None, false) => FlowFormat::Jsonl,
        };
        let format = self.format.unwrap_or(usual);
        if out.carrier.is_some() && format != FlowFormat::Ipfix {
            bail!("a collector takes IPFIX alone: leave --format out, or --to");
        }
        if out.is_watched && format == FlowFormat::Ipfix {
            bail!("IPFIX is no text for a terminal: -o FILE writes it, --to udp://HOST:PORT sends it");
        }
        Ok(format)
    }
}

/// The capture files that the paths stand for.
fn captures(paths: &[PathBuf]) -> anyhow::Result<Vec<PathBuf>> {
    let mut captures = Vec::new();
    for path in paths {
        if path.is_dir() {
            let folder = captures_in(path)?;
            folder.warn();
            captures.extend(folder.captures);
        } else {
            captures.push(path.clone());
        }
    }
    Ok(captures)
}

/// Where records go.
struct Destination {
    stream: Box<dyn Write>,
    /// A terminal: somebody waits for each line.
    is_watched: bool,
    /// Of IPFIX; `None`: to no collector.
    carrier: Option<Carrier>,
}

impl Destination {
    /// A file that is none of the captures, or standard output.
    fn open(path: Option<&Path>, captures: &[PathBuf]) -> anyhow::Result<Self> {
        let Some(path) = path else {
            let stdout = io::stdout();
            return Ok(Self { is_watched: stdout.is_terminal(), stream: Box::new(stdout.lock()), carrier: None });
        };
        let same =
            |capture: &PathBuf| capture.canonicalize().ok().is_some_and(|it| path.canonicalize().ok() == Some(it));
        if captures.iter().any(same) {
            bail!("{} is one of the captures; write to another file", path.display());
        }
        let file = File::create(path).with_context(|| format!("writing {}", path.display()))?;
        Ok(Self { stream: Box::new(file), is_watched: false, carrier: None })
    }

    /// A collector.
    fn collector(url: &CollectorUrl) -> anyhow::Result<Self> {
        let collector = FlowCollector::open(url).with_context(|| format!("connecting to {url}"))?;
        Ok(Self { stream: Box::new(collector), is_watched: false, carrier: Some(FlowCollector::carrier_of(url)) })
    }

    fn writer(&mut self, format: FlowFormat, enterprise: u32) -> Box<dyn FlowWriter + '_> {
        if format == FlowFormat::Ipfix {
            return ipfix_writer(&mut self.stream, self.carrier.unwrap_or(Carrier::Stream), enterprise);
        }
        format.writer(&mut self.stream, if self.is_watched { layout::columns() } else { None })
    }
}
