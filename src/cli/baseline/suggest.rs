//! `hopwatch baseline suggest`.

use std::io::Write as _;
use std::path::Path;

use anyhow::Context as _;

use super::{Common, LearnFrom, Looked, Outcome, learned_from};
use crate::app::baseline::{Said, Suggestion};
use crate::app::output::Output;
use crate::app::replay;
use crate::cli::recordings::Recorded;
use crate::config;

/// `suggest`.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(flatten)]
    common: Common,
    #[command(flatten)]
    from: LearnFrom,
}

/// Runs the command.
pub(super) fn run(args: &Args) -> anyhow::Result<Outcome> {
    let Looked { mut learning, .. } = learned_from(&args.from, &args.common)?.context(
        "from what? give --for TIME to watch this host for as long as its services are usual, or --read RECORDING",
    )?;
    let suggestion = Suggestion::of(&learning.latest());
    if suggestion.is_empty() {
        tracing::warn!(
            "nothing is suggested: no service goes outside, resolves names or is reached through one place; docs/contracts.md says how to write a contract"
        );
        return Ok(Outcome::Done);
    }
    // What was watched live is gone.
    let is_recorded = !args.from.recorded.is_empty();
    let said =
        is_recorded.then(|| judged(&args.from.recorded, args.common.config.as_deref(), &suggestion)).transpose()?;
    anstream::stdout().write_all(suggestion.yaml(said.as_ref()).as_bytes()).context("writing to standard output")?;
    Ok(Outcome::Done)
}

/// What the suggested contracts say of recordings.
pub(in crate::cli) fn judged(
    recorded: &Recorded,
    config: Option<&Path>,
    suggestion: &Suggestion,
) -> anyhow::Result<Said> {
    let suggested = config::from_str("the suggestion", &suggestion.yaml(None)).context("checking what is suggested")?;
    let run = |options, bar: &indicatif::ProgressBar| {
        replay::run(options, &Output::none(), &mut |bytes| bar.set_position(bytes))
    };
    let sources = recorded.sources(config.map(Path::to_path_buf))?.with_configuration_given();
    Ok(sources.replay(&suggested.config, run)?.summary.verdicts)
}
