//! `hopwatch inventory`.

mod tree;

use std::io::Write as _;
use std::path::PathBuf;

use anyhow::Context as _;

use super::Outcome;
use crate::app::hash_key;
use crate::app::runtime_snapshot;
use crate::clock::now;
use crate::config;
use crate::escape::json::to_pretty_writer;
use crate::escape::printable;
use crate::host;
use crate::input::{Attachment, InventoryEvent, NetworkMode, Workload, WorkloadId};
use crate::inventory::file::InventoryFile;
use crate::inventory::mount_places;
use crate::layout::{self, columns};

/// Labels of a workload that a table shows; JSON has all.
const MOST_LABELS: usize = 50;
/// Characters of a label's key and value that a table shows.
const MOST_LABEL: usize = 200;

/// List the workloads that the container runtimes report
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Configuration file [default: /etc/hopwatch/hopwatch.yaml, if there is one]
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Folder of what is kept between runs [default: `$STATE_DIRECTORY`, else /var/lib/hopwatch for root, `$XDG_STATE_HOME`/hopwatch for others]
    #[arg(long, value_name = "DIR")]
    state_dir: Option<PathBuf>,
    /// Output format: table for a person, json for a program and for `hopwatch replay --facts`
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
    /// Add image digests and labels to the table
    #[arg(long)]
    wide: bool,
    /// Print a tree of host, runtimes, networks, interfaces, network namespaces and workloads. Also asks the kernel; run as root to see everything
    #[arg(long, conflicts_with_all = ["format", "wide"])]
    tree: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    Table,
    Json,
}

/// Runs the command.
pub fn run(args: &Args) -> anyhow::Result<Outcome> {
    let config = config::load(args.config.as_deref())?.config;
    hash_key::prepare(args.state_dir.as_deref().or(config.state_dir.as_deref()))?;
    let config = config.runtimes;
    let events = runtime_snapshot::query(&config)?;
    let inventory = InventoryFile::from_events(now(), &events);
    let text = match args.format {
        _ if args.tree => tree(&events)?,
        Format::Json => json(&inventory)?,
        Format::Table => table(&inventory.workloads, args.wide, columns()),
    };
    anstream::stdout().write_all(text.as_bytes()).context("writing to standard output")?;
    Ok(Outcome::Done)
}

fn json(inventory: &InventoryFile) -> anyhow::Result<String> {
    let mut text = Vec::new();
    to_pretty_writer(&mut text, inventory).context("writing the inventory as JSON")?;
    String::from_utf8(text).context("writing the inventory as JSON")
}

/// The tree of what the runtimes report, with one scan of the kernel.
fn tree(events: &[InventoryEvent]) -> anyhow::Result<String> {
    let first_process = |event: &InventoryEvent| match event {
        InventoryEvent::Workload(workload) => workload.pid.map(|pid| (workload.id.clone(), pid)),
        _ => None,
    };
    let processes: Vec<(WorkloadId, u32)> = events.iter().filter_map(first_process).collect();
    let facts = host::kernel::observe_once(&processes, mount_places::matters);
    let links = host::interfaces().context("asking the kernel for the host's interfaces")?;
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    Ok(tree::render(name.trim(), events, &facts, &links).text(columns()))
}

fn table<W: std::ops::Deref<Target = Workload>>(workloads: &[W], wide: bool, columns: Option<usize>) -> String {
    const TITLES: [&str; 12] =
        ["ID", "NAME", "RUNTIME", "IMAGE", "SERVICE", "NETWORK", "ADDRESSES", "MAC", "VETH", "PID", "DIGEST", "LABELS"];
    let shown = if wide { TITLES.len() } else { TITLES.len() - 2 };
    let cells = |workload: &Workload| {
        let more = if wide { [workload.image_digest.clone(), labels(workload)] } else { Default::default() };
        row(workload).into_iter().chain(more).take(shown).map(|cell| printable(&cell)).collect()
    };
    let rows: Vec<Vec<String>> = workloads.iter().map(|workload| cells(workload)).collect();
    layout::table(&TITLES[..shown], &rows, 3, columns)
        + &crate::wording::many(workloads.len() as u64, "workload")
        + "\n"
}

/// `key=value key=value`; the first ones where there are very many.
fn labels(workload: &Workload) -> String {
    let (shown, rest) = (workload.labels.iter().take(MOST_LABELS), workload.labels.len().saturating_sub(MOST_LABELS));
    let cut = |text: &str| text.chars().take(MOST_LABEL).collect::<String>();
    let shown = shown.map(|(key, value)| format!("{}={}", cut(key), cut(value)));
    let more = (rest > 0).then(|| format!("and {rest} more"));
    shown.chain(more).collect::<Vec<_>>().join(" ")
}

fn row(workload: &Workload) -> [String; 10] {
    let each = |show: fn(&Attachment) -> String| workload.attachments.iter().map(show).collect::<Vec<_>>().join(" ");
    let service = workload.compose_project().zip(workload.compose_service());
    let network = match workload.network_mode {
        NetworkMode::Own => each(|attachment| attachment.network.clone()),
        ref other => other.to_string(),
    };
    [
        workload.id.short().to_owned(),
        workload.name.clone(),
        workload.runtime.to_string(),
        workload.image.clone(),
        service.map(|(project, service)| format!("{project}/{service}")).unwrap_or_default(),
        network,
        workload.addresses().map(|ip| ip.to_string()).collect::<Vec<_>>().join(" "),
        each(|attachment| attachment.mac.map(|mac| mac.to_string()).unwrap_or_default()),
        each(|attachment| attachment.host_interface.clone().unwrap_or_default()),
        workload.pid.map(|pid| pid.to_string()).unwrap_or_default(),
    ]
}
