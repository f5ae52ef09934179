//! `hopwatch doctor`.

use std::io::Write as _;
use std::path::PathBuf;

use anyhow::Context as _;
use owo_colors::OwoColorize as _;

use super::Outcome;
use crate::app::doctor::{Check, Health, examine};
use crate::config;
use crate::escape::json::to_pretty_writer;
use crate::escape::printable;
use crate::layout::{columns, hang};

/// Width of the first two columns.
const NAME: usize = 12;

/// Show what this host lets hopwatch see, what it does not, and how to repair that
///
/// Looks once at rights, interfaces, runtimes, the kernel, contracts, the state directory and sinks, and changes nothing. Ends with 1 where something does
/// not work at all.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Configuration file [default: /etc/hopwatch/hopwatch.yaml, if there is one]
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub fn run(args: &Args) -> anyhow::Result<Outcome> {
    let config = config::load(args.config.as_deref())?.config;
    let checks = examine(&config);
    let mut out = anstream::stdout().lock();
    if args.json {
        to_pretty_writer(&mut out, &checks)
    } else {
        out.write_all(checks.iter().map(text).collect::<String>().as_bytes())
    }
    .context("writing to standard output")?;
    let is_broken = checks.iter().any(|check| check.health == Health::Broken);
    Ok(if is_broken { Outcome::Alerts } else { Outcome::Done })
}

fn text(check: &Check) -> String {
    let mark = match check.health {
        Health::Well => "well".green().to_string(),
        Health::Limited => "limited".yellow().to_string(),
        Health::Broken => "broken".red().bold().to_string(),
    };
    let plain = match check.health {
        Health::Well => 4,
        Health::Limited => 7,
        Health::Broken => 6,
    };
    let head = format!("{mark}{}{:NAME$}", " ".repeat(9 - plain), check.name);
    let rest = " ".repeat(9 + NAME);
    let mut text = hang(&head, &rest, &printable(&check.found), columns()) + "\n";
    if let Some(fix) = &check.fix {
        text.push_str(&(hang(&rest, &rest, &format!("-> {}", printable(fix)), columns()) + "\n"));
    }
    text
}
