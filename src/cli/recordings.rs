//! Recordings as a command line names them: folders of `hopwatch record`, captures, and facts beside them.
//!
//! Contract: the first configuration found in a folder counts, unless one was given. What is missing in them is a warning of the run, never an
//! error. Design: one way from paths to a replay with a progress bar, for every command that reads recordings.

use std::path::PathBuf;

use indicatif::ProgressBar;

use super::captures::{captures_in, not_read, progress_bar};
use crate::app::recorder::missing_end;
use crate::app::replay::{Reloads, ReplayOptions};
use crate::config::Config;

/// Recordings that a command reads.
#[derive(Debug, clap::Args)]
pub struct Recorded {
    /// A recording (a folder of `hopwatch record`) or a capture in place of this host; repeat for several
    #[arg(long, value_name = "PATH")]
    read: Vec<PathBuf>,
    /// Facts of the runtime, for a capture: facts.jsonl, `hopwatch inventory --format json`, or the output of `docker inspect`
    #[arg(long, value_name = "FILE")]
    facts: Vec<PathBuf>,
}

impl Recorded {
    /// Whether this host is meant.
    pub(super) const fn is_empty(&self) -> bool {
        self.read.is_empty() && self.facts.is_empty()
    }

    /// What they stand for, with a configuration that was given.
    pub(super) fn sources(&self, config: Option<PathBuf>) -> anyhow::Result<Sources> {
        Sources::of(self.read.clone(), self.facts.clone(), config)
    }
}

/// What the paths stand for.
#[derive(Debug)]
pub(super) struct Sources {
    captures: Vec<PathBuf>,
    facts: Vec<PathBuf>,
    /// The configuration that was given, or the one in a folder.
    pub config: Option<PathBuf>,
    /// Whether a reload of the run that recorded is followed: not where another configuration was given.
    reloads: Reloads,
    /// What is missing in them.
    warnings: Vec<String>,
}

impl Sources {
    /// What these paths stand for, with facts and a configuration that were given.
    pub(super) fn of(
        paths: impl IntoIterator<Item = PathBuf>,
        facts: Vec<PathBuf>,
        config: Option<PathBuf>,
    ) -> anyhow::Result<Self> {
        let reloads = if config.is_some() { Reloads::Ignore } else { Reloads::Follow };
        let mut sources = Self { captures: Vec::new(), facts, config, reloads, warnings: Vec::new() };
        for path in paths {
            sources.add(path)?;
        }
        Ok(sources)
    }

    /// The same, for another configuration than the one that was in force: its reloads are not followed.
    pub(super) const fn with_configuration_given(mut self) -> Self {
        self.reloads = Reloads::Ignore;
        self
    }

    fn add(&mut self, path: PathBuf) -> anyhow::Result<()> {
        if !path.is_dir() {
            let folder = path.parent().filter(|_| path.ends_with("traffic.pcapng"));
            self.warnings.extend(folder.and_then(missing_end));
            self.captures.push(path);
            return Ok(());
        }
        let folder = captures_in(&path)?;
        self.captures.extend(folder.captures);
        self.warnings.extend(folder.left_out.iter().map(|path| not_read(path)));
        self.warnings.extend(folder.gaps);
        self.warnings.extend(missing_end(&path));
        let existing = |name: &str| Some(path.join(name)).filter(|path| path.is_file());
        self.facts.extend(existing("facts.jsonl"));
        self.config = self.config.take().or_else(|| existing("hopwatch.yaml"));
        Ok(())
    }

    /// What a replay of them needs; nothing observes the engine.
    pub(super) fn options(self, config: &Config) -> ReplayOptions {
        ReplayOptions {
            captures: self.captures,
            facts: self.facts,
            warnings: self.warnings,
            engine: config.engine.clone(),
            shown_labels: config.runtimes.shown_labels.clone(),
            meter: config.meter,
            reloads: self.reloads,
            verdict_log: None,
            filter: None,
            observer: None,
            stop: None,
        }
    }

    /// Replays them while a bar shows how far that is.
    pub(super) fn replay<T, E>(
        self,
        config: &Config,
        run: impl FnOnce(ReplayOptions, &ProgressBar) -> Result<T, E>,
    ) -> Result<T, E> {
        let bar = progress_bar(&self.captures);
        let outcome = run(self.options(config), &bar)?;
        bar.finish_and_clear();
        Ok(outcome)
    }
}
