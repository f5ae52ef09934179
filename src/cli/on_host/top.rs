//! `hopwatch top`.

use std::io::{IsTerminal as _, Write as _};

use anyhow::Context as _;
use clap::error::ErrorKind;

use super::Outcome;
use super::sniff::WatchArgs;
use crate::app::live::{self, LiveOptions, Needs};
use crate::app::logging::BufferedLog;
use crate::app::top;

/// Watch live traffic in a terminal: workloads with their flows, rates, verdicts, attribution and alerts
///
/// Judges like `sniff`, but draws: one row per workload, the latest alerts, and with Enter the details and latest flows of a workload. `?` lists the keys. Serves no metrics unless --listen is given.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    watch: WatchArgs,
    /// Watch for --duration (3s by default), print one frame as text and exit; needs no terminal
    #[arg(long)]
    once: bool,
}

impl Args {
    /// Whether it will draw on the terminal, so that nothing else may be written there.
    pub const fn takes_the_terminal(&self) -> bool {
        !self.once
    }
}

/// Runs the command.
pub fn run(args: &Args, log: Option<BufferedLog>) -> anyhow::Result<Outcome> {
    if args.once {
        let options = confined(args, false)?;
        let frame = top::once(options)?;
        anstream::stdout().write_all(frame.as_bytes()).context("writing to standard output")?;
        return Ok(Outcome::Done);
    }
    if !(std::io::stdout().is_terminal() && std::io::stdin().is_terminal()) {
        let message = "`hopwatch top` draws on a terminal, and this is none; print one frame with --once, or use `hopwatch sniff`";
        super::command().error(ErrorKind::InvalidValue, message).exit();
    }
    top::run(confined(args, true)?, &log.unwrap_or_default())?;
    Ok(Outcome::Done)
}

/// Reads the configuration, then gives up what is not needed.
fn confined(args: &Args, terminal: bool) -> anyhow::Result<LiveOptions> {
    let options = args.watch.options(false)?;
    let listen = options.listen.map(|address| address.port());
    live::confine(&options.config, Needs { listen, terminal, ..Needs::default() })?;
    Ok(options)
}
