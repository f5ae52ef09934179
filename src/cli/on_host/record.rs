//! `hopwatch record`.

use std::path::PathBuf;

use super::Outcome;
use super::sniff::{LiveArgs, run_live};

/// Watch live traffic and record it, so that `replay` raises the same alerts
///
/// Writes traffic.pcapng, facts.jsonl and hopwatch.yaml into a new folder that only its owner may read: packets hold what applications
/// wrote, unless --headers-only is given. Everything but the last second is there even when hopwatch is killed; the file INCOMPLETE stands
/// in the folder until its end is written. On a full disk the watch goes on, and ends with 4. Serves no metrics unless --listen is given.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Folder to write to; it must not hold a recording already
    #[arg(short, long, value_name = "DIR")]
    output: PathBuf,
    /// Record headers, and nothing that an application wrote; rules that read names in DNS, TLS or HTTP stay silent in its replay
    #[arg(long)]
    headers_only: bool,
    #[command(flatten)]
    live: LiveArgs,
}

/// Runs the command.
pub fn run(args: Args) -> anyhow::Result<Outcome> {
    run_live(args.live, Some(args.output), args.headers_only)
}
