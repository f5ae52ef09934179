//! `hopwatch config check|print|schema`.

use std::io::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;

use super::Outcome;
use crate::clock::now;
use crate::config::{self, Config, Loaded};
use crate::detect::rules;
use crate::escape::printable;
use crate::layout::{columns, hang};
use crate::wording::many;

const BLIND: &str = "  warning: the rule host-network-flow cannot fire: only bridges of containers are captured; add the host's uplink and lo to \
                     capture.interfaces, or disable the rule\n";
/// An exception that ends within this time is worth a word.
const SOON: Duration = Duration::from_hours(14 * 24);

/// What to do with the configuration.
#[derive(Debug, clap::Subcommand)]
pub enum ConfigCommand {
    /// Check the configuration, and print what hopwatch understood
    Check {
        /// Configuration file [default: /etc/hopwatch/hopwatch.yaml, if there is one]
        file: Option<PathBuf>,
    },
    /// Print the whole configuration, defaults included
    Print {
        /// Configuration file [default: /etc/hopwatch/hopwatch.yaml, if there is one]
        file: Option<PathBuf>,
        /// Print where each value was set instead
        #[arg(long)]
        origin: bool,
    },
    /// Print the JSON Schema, for editors
    Schema,
}

/// Runs the command.
pub fn run(command: ConfigCommand) -> anyhow::Result<Outcome> {
    let text = match command {
        ConfigCommand::Check { file } => understood(&config::load(file.as_deref())?, columns()),
        ConfigCommand::Print { file, origin: false } => config::load(file.as_deref())?.printed,
        ConfigCommand::Print { file, origin: true } => origins(&config::load(file.as_deref())?),
        ConfigCommand::Schema => serde_json::to_string_pretty(&config::schema())? + "\n",
    };
    anstream::stdout().write_all(text.as_bytes()).context("writing to standard output")?;
    Ok(Outcome::Done)
}

fn origins(loaded: &Loaded) -> String {
    if loaded.origins.is_empty() {
        return "every value is the built-in default\n".to_owned();
    }
    let lines = loaded.origins.iter().map(|(key, origin)| printable(&format!("{key}  {origin}")) + "\n");
    lines.chain(["everything else: built-in default\n".to_owned()]).collect()
}

fn understood(loaded: &Loaded, columns: Option<usize>) -> String {
    let engine = &loaded.config.engine;
    let enabled = rules::enabled(&engine.rules).iter().flatten().count();
    let contracts = engine.contracts.iter().map(|c| {
        let stages = c.via.iter().map(|stage| stage.any_of.iter().map(|hop| hop.name.clone()).collect());
        format!("  contract {}: {}\n", c.name, way(stages))
    });
    let exceptions = engine.exceptions.iter().filter_map(|exception| {
        let left = exception.expires.since(now());
        let state = if left.is_zero() { "expired" } else { "expires soon" };
        let line = format!(
            "  warning: exception {} {state}, at {} (owner: {})\n",
            exception.name,
            exception.expires.readable(),
            exception.owner
        );
        (left < SOON).then_some(line)
    });
    let head = format!(
        "the configuration is right: {}, {}, {enabled} of {} rules enabled, capture on {}\n",
        many(engine.contracts.len() as u64, "contract"),
        many(engine.exceptions.len() as u64, "exception"),
        rules::ALL.len(),
        loaded.config.capture.interfaces.join(", "),
    );
    let silent = "  no contract: hopwatch cannot detect traffic that skips a hop\n";
    let silent = engine.contracts.is_empty().then(|| silent.to_owned());
    let blind = blind_to_what_leaves(&loaded.config).then(|| BLIND.to_owned());
    let advice = loaded.lints.iter().map(|advice| format!("  warning: {advice}\n"));
    let lines = [head].into_iter().chain(silent).chain(contracts).chain(exceptions).chain(blind).chain(advice);
    lines.map(|line| hang("", "    ", &printable(line.trim_end()), columns) + "\n").collect()
}

/// Whether `host-network-flow` is enabled, and only bridges of containers are captured.
fn blind_to_what_leaves(config: &Config) -> bool {
    let is_enabled = rules::is_enabled(&config.engine.rules, "host-network-flow") == Some(true);
    is_enabled && config.capture.interfaces.iter().all(|name| config::is_default_interface(name))
}

/// `via gateway, then proxy-a or proxy-b`; of the names of the hops of each stage.
fn way(stages: impl Iterator<Item = Vec<String>>) -> String {
    let stages: Vec<_> = stages.map(|names| names.join(" or ")).collect();
    if stages.is_empty() { "denied".to_owned() } else { format!("via {}", stages.join(", then ")) }
}
