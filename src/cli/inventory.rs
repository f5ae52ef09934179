//! `hopwatch inventory`.

use std::io::Write as _;
use std::path::PathBuf;

use anyhow::Context as _;
use comfy_table::{ContentArrangement, Table, presets};

use super::Outcome;
use crate::alert::sinks::text::printable;
use crate::app::census;
use crate::config;
use crate::input::{Attachment, NetworkMode, Workload};
use crate::inventory::file::InventoryFile;
use crate::observe::live::now;

/// The workloads that the container runtimes know now
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Configuration file [default: /etc/hopwatch/hopwatch.yaml, if there is one]
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// table for a person; json for a program, and for `hopwatch replay --facts`
    #[arg(long, value_enum, default_value_t = Format::Table)]
    format: Format,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Format {
    Table,
    Json,
}

/// Runs the command.
pub fn run(args: &Args) -> anyhow::Result<Outcome> {
    let config = config::load(args.config.as_deref())?.config.runtimes;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .context("starting the runtime for sockets")?;
    let inventory = InventoryFile::from_events(now(), &runtime.block_on(census::take(&config))?);
    let text = match args.format {
        Format::Json => serde_json::to_string_pretty(&inventory)? + "\n",
        Format::Table => table(&inventory.workloads),
    };
    anstream::stdout().write_all(text.as_bytes()).context("writing to standard output")?;
    Ok(Outcome::Done)
}

fn table<W: std::ops::Deref<Target = Workload>>(workloads: &[W]) -> String {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Dynamic);
    table.set_header(["ID", "NAME", "RUNTIME", "IMAGE", "SERVICE", "NETWORK", "ADDRESSES", "MAC", "VETH", "PID"]);
    for workload in workloads {
        table.add_row(row(workload).map(|cell| printable(&cell)));
    }
    format!("{table}\n{} workloads\n", workloads.len())
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
