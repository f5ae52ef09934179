//! What a command learns from: recordings, or this host for a time.
//!
//! Contract: recordings where some are given, else this host for the time that was given; the baseline in force plays no part.

use std::path::Path;
use std::time::Duration;

use anyhow::Context as _;

use super::on_host;
use super::recordings::{Recorded, Sources};
use crate::app::baseline::Learning;
use crate::app::output::Output;
use crate::app::replay::{self, ReplayOptions};
use crate::config::{self, Config};
use crate::escape::printable;

/// Recordings, or this host.
#[derive(Debug, clap::Args)]
pub struct LearnFrom {
    #[command(flatten)]
    pub(super) recorded: Recorded,
    /// How long to watch this host, such as 24h
    #[arg(long = "for", value_name = "TIME", value_parser = config::parse_duration, conflicts_with_all = ["read", "facts"])]
    lasting: Option<Duration>,
    /// Interface to capture while learning live, by name or glob; repeat for several
    #[arg(short, long = "interface", value_name = "GLOB")]
    interfaces: Vec<String>,
}

impl LearnFrom {
    /// How long this host is to be watched; none where recordings are read, or where nothing was said.
    pub(super) const fn lasting(&self) -> Option<Duration> {
        self.lasting
    }

    /// Watches this host as `sniff` does.
    pub(super) fn watch(&self, config: Config, path: Option<&Path>, lasting: Duration) -> anyhow::Result<Learning> {
        on_host::learn(config, path, &self.interfaces, lasting)
    }
}

/// Replays recordings.
pub(super) fn replayed(config: &Config, sources: Sources) -> anyhow::Result<Learning> {
    let mut report = sources.replay(config, |options, bar| {
        let options = ReplayOptions { observer: Some(Box::<Learning>::default()), ..options };
        replay::run(options, &Output::none(), &mut |bytes| bar.set_position(bytes))
    })?;
    for warning in &report.summary.warnings {
        tracing::warn!("{}", printable(warning));
    }
    report.engine.take_observer().context("the replay lost what it observed")
}
