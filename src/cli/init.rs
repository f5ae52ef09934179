//! `hopwatch init`.

use std::fs::File;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::Context as _;

use super::baseline::judged;
use super::learn_from::{LearnFrom, replayed};
use super::{Outcome, on_host};
use crate::app::baseline::{Observed, Suggestion};
use crate::app::first_configuration::{FirstConfiguration, FoundHost};
use crate::config;
use crate::time::readable;

/// How long this host is watched unless something else is said.
const A_WHILE: Duration = Duration::from_mins(2);

/// Look at this host for a while, or at a recording, and write a first configuration
///
/// The file says, with comments, where to capture, which containers are on the host's network now (allowed by digest) and which path contracts the traffic
/// kept. Alerts about containers are low, but for what is dangerous in itself, until you take out `environments.first-days`. Nothing is overwritten.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// File to write, `-` for standard output
    #[arg(short, long, value_name = "FILE", default_value = "hopwatch.yaml")]
    output: PathBuf,
    #[command(flatten)]
    from: LearnFrom,
}

/// What was looked at.
struct Seen {
    observed: Observed,
    host: Option<FoundHost>,
    source: String,
}

/// Runs the command.
pub fn run(args: &Args) -> anyhow::Result<Outcome> {
    let file = created(&args.output)?;
    let written = write(args, file);
    if written.is_err() && !is_standard_output(&args.output) {
        // It is empty, and was made by this command.
        _ = std::fs::remove_file(&args.output);
    }
    written
}

fn write(args: &Args, file: Option<File>) -> anyhow::Result<Outcome> {
    let Seen { observed, host, source } = if args.from.recorded.is_empty() { watch(args)? } else { read(args)? };
    let suggestion = Suggestion::of(&observed);
    let is_judged = !args.from.recorded.is_empty() && !suggestion.is_empty();
    let said = is_judged.then(|| judged(&args.from.recorded, None, &suggestion)).transpose()?;
    let first = FirstConfiguration {
        host,
        source,
        containers: &observed.containers,
        suggestion: &suggestion,
        said: said.as_ref(),
    };
    let text = first.yaml();
    config::from_str("what is to be written", &text).context("checking the configuration that is to be written")?;
    let Some(mut file) = file else {
        anstream::stdout().write_all(text.as_bytes()).context("writing to standard output")?;
        return Ok(Outcome::Done);
    };
    let name = args.output.display();
    file.write_all(text.as_bytes()).with_context(|| format!("writing {name}"))?;
    anstream::println!("{name}: {}", first.summary());
    anstream::println!("next: `hopwatch paths -c {name}`, then `sudo hopwatch sniff -c {name}`");
    Ok(Outcome::Done)
}

fn read(args: &Args) -> anyhow::Result<Seen> {
    let sources = args.from.recorded.sources(None)?;
    let config = config::load(sources.config.as_deref())?.config;
    let observed = replayed(&config, sources)?.latest();
    Ok(Seen { observed, host: None, source: "a recording".to_owned() })
}

/// Watches without what any configuration expects.
fn watch(args: &Args) -> anyhow::Result<Seen> {
    let lasting = args.from.lasting().unwrap_or(A_WHILE);
    let config = config::from_str("nothing", "{}")?.config;
    let host = on_host::found(&config)?;
    tracing::info!("watching this host for {}; interrupt to write what was seen so far", readable(lasting));
    let observed = args.from.watch(config, None, lasting)?.latest();
    Ok(Seen { observed, host: Some(host), source: format!("{} on this host", readable(lasting)) })
}

/// A new file; none for standard output.
fn created(path: &Path) -> anyhow::Result<Option<File>> {
    if is_standard_output(path) {
        return Ok(None);
    }
    let hint = || {
        format!(
            "creating {}; nothing is overwritten: give another with -o FILE, or `-o -` for standard output",
            path.display()
        )
    };
    File::create_new(path).map(Some).with_context(hint)
}

fn is_standard_output(path: &Path) -> bool {
    path == Path::new("-")
}
