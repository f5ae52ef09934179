//! `hopwatch config check|print|schema`.

use std::io::Write as _;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::Context as _;

use super::Outcome;
use crate::config::{self, Loaded};
use crate::detect::rules;
use crate::observe::live::now;

/// An exception that ends within this time is worth a word.
const SOON: Duration = Duration::from_hours(14 * 24);

/// What to do with the configuration.
#[derive(Debug, clap::Subcommand)]
pub enum ConfigCommand {
    /// Say whether it is right, and what was understood
    Check {
        /// Configuration file [default: /etc/hopwatch/hopwatch.yaml, if there is one]
        file: Option<PathBuf>,
    },
    /// Print the whole configuration, defaults included
    Print {
        /// Configuration file [default: /etc/hopwatch/hopwatch.yaml, if there is one]
        file: Option<PathBuf>,
        /// Print instead where each value was set
        #[arg(long)]
        origin: bool,
    },
    /// Print the JSON Schema, for editors
    Schema,
}

/// Runs the command.
pub fn run(command: ConfigCommand) -> anyhow::Result<Outcome> {
    let text = match command {
        ConfigCommand::Check { file } => understood(&config::load(file.as_deref())?),
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
    let lines = loaded.origins.iter().map(|(key, origin)| format!("{key}  {origin}\n"));
    lines.chain(["everything else: built-in default\n".to_owned()]).collect()
}

fn understood(loaded: &Loaded) -> String {
    let engine = &loaded.config.engine;
    let enabled = rules::enabled(&engine.rules).len();
    let contracts = engine.contracts.iter().map(|c| {
        let stages = c.via.iter().map(|stage| stage.any_of.iter().map(|hop| hop.name.clone()).collect());
        format!("  contract {}: {}\n", c.name, way(stages))
    });
    let exceptions = engine.exceptions.iter().filter_map(|exception| {
        let left = exception.expires.since(now());
        let state = if left.is_zero() { "expired" } else { "expires soon" };
        let line = format!(
            "  warning: exception {} {state}, at {} (owner: {})\n",
            exception.name, exception.expires, exception.owner
        );
        (left < SOON).then_some(line)
    });
    let head = format!(
        "the configuration is right: {}, {}, {enabled} of {} rules enabled, capture on {}\n",
        counted(engine.contracts.len(), "contract"),
        counted(engine.exceptions.len(), "exception"),
        rules::ALL.len(),
        loaded.config.capture.interfaces.join(", "),
    );
    let silent = "  no contract says which hop traffic must pass, so nothing can be found to skip one\n";
    let silent = engine.contracts.is_empty().then(|| silent.to_owned());
    let advice = loaded.lints.iter().map(|advice| format!("  warning: {advice}\n"));
    [head].into_iter().chain(silent).chain(contracts).chain(exceptions).chain(advice).collect()
}

/// `via gateway, then proxy-a or proxy-b`; of the names of the hops of each stage.
fn way(stages: impl Iterator<Item = Vec<String>>) -> String {
    let stages: Vec<_> = stages.map(|names| names.join(" or ")).collect();
    if stages.is_empty() { "denied".to_owned() } else { format!("via {}", stages.join(", then ")) }
}

fn counted(number: usize, what: &str) -> String {
    if number == 1 { format!("1 {what}") } else { format!("{number} {what}s") }
}
