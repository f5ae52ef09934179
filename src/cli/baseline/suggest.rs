//! `hopwatch baseline suggest`.

use std::io::Write as _;

use anyhow::Context as _;

use super::{Common, Looked, Outcome, Recorded, recorded_containers};
use crate::app::baseline::{Said, Suggestion};
use crate::app::output::Output;
use crate::app::replay;
use crate::config;

/// `suggest`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    recorded: Recorded,
}

/// Runs the command.
pub(super) fn run(args: &Args) -> anyhow::Result<Outcome> {
    if args.recorded.is_empty() {
        anyhow::bail!(
            "from what? record this host for as long as its services are usual (`hopwatch record -o DIR --duration 24h`), then give --read DIR"
        );
    }
    let Looked { mut learning, .. } = recorded_containers(&args.recorded, &args.common)?;
    let suggestion = Suggestion::of(&learning.latest());
    if suggestion.is_empty() {
        tracing::warn!(
            "nothing is suggested: no service goes outside, resolves names or is reached through one place; docs/contracts.md says how to write a contract"
        );
        return Ok(Outcome::Done);
    }
    let said = judged(args, &suggestion.yaml(None))?;
    anstream::stdout().write_all(suggestion.yaml(Some(&said)).as_bytes()).context("writing to standard output")?;
    Ok(Outcome::Done)
}

/// What the contracts say of the recording.
fn judged(args: &Args, text: &str) -> anyhow::Result<Said> {
    let config = config::from_str("the suggestion", text).context("checking what is suggested")?.config;
    let run = |options, bar: &indicatif::ProgressBar| {
        replay::run(options, &Output::none(), &mut |bytes| bar.set_position(bytes))
    };
    let sources = args.recorded.sources(args.common.config.clone())?.with_configuration_given();
    Ok(sources.replay(&config, run)?.summary.verdicts)
}
