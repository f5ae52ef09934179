//! `hopwatch respond run`: the process that undoes what is due, and settles what a crash left.
//!
//! Contract: it ends between two rounds, never in the middle of one. Limits: a round each second.

use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;
use sd_notify::NotifyState;
use tokio::signal::unix::{SignalKind, signal};

use crate::config::Config;
use crate::escape::printable;
use crate::respond::act::{AuditError, Round, Timekeeper};

/// Between two rounds.
const INTERVAL: Duration = Duration::from_secs(1);

/// Rounds until a signal ends it; with `once`, one.
pub fn run(config: &Config, state: &Path, once: bool) -> anyhow::Result<()> {
    let mut timekeeper = Timekeeper::new(state, config.runtimes.sought.clone());
    if once {
        let Round { done, failed } = timekeeper.round()?;
        super::print(&done.iter().map(|line| format!("{}\n", printable(line))).collect::<String>())?;
        anyhow::ensure!(failed.is_empty(), "{}", failed.join("; "));
        return Ok(());
    }
    let tokio = tokio::runtime::Builder::new_current_thread().enable_all().build().context("starting the timers")?;
    let (mut terminate, mut interrupt) = tokio
        .block_on(async {
            Ok::<_, std::io::Error>((signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?))
        })
        .context("waiting for signals")?;
    notify(NotifyState::Ready);
    let mut said = String::new();
    loop {
        report(timekeeper.round(), &mut said);
        let ended = tokio.block_on(async {
            tokio::select! {
                _ = terminate.recv() => true,
                _ = interrupt.recv() => true,
                () = tokio::time::sleep(INTERVAL) => false,
            }
        });
        if ended {
            notify(NotifyState::Stopping);
            return Ok(());
        }
    }
}

/// What goes on failing is said once.
fn report(round: Result<Round, AuditError>, said: &mut String) {
    let Round { done, failed } =
        round.unwrap_or_else(|error| Round { failed: vec![error.to_string()], ..Round::default() });
    for line in done {
        tracing::info!("{}", printable(&line));
    }
    let failed = failed.join("; ");
    if !failed.is_empty() && failed != *said {
        tracing::error!("not done, and tried again: {}", printable(&failed));
    }
    *said = failed;
}

fn notify(state: NotifyState<'_>) {
    if let Err(error) = sd_notify::notify(&[state]) {
        tracing::warn!("the supervisor does not take a notification ($NOTIFY_SOCKET): {error}");
    }
}
