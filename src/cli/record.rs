//! `hopwatch record`.

use std::path::PathBuf;

use super::Outcome;
use super::sniff::{LiveArgs, run_live};

/// Watch live traffic and write what the engine saw, so that `replay` raises the same alerts
///
/// Writes traffic.pcapng, facts.jsonl and hopwatch.yaml into a new folder. Serves no metrics unless --listen is given.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Folder to write to; it must not hold a recording already
    #[arg(short, long, value_name = "DIR")]
    output: PathBuf,
    #[command(flatten)]
    live: LiveArgs,
}

/// Runs the command.
pub fn run(args: Args) -> anyhow::Result<Outcome> {
    run_live(args.live, Some(args.output))
}
