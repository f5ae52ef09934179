//! `hopwatch evidence`: what was kept from before alerts, and whether it is what was written.

use std::io::Write as _;
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use super::Outcome;
use crate::app::evidence::{self, shelf, verify};
use crate::config;
use crate::escape::json::to_pretty_writer;
use crate::escape::printable;
use crate::evidence::Manifest;
use crate::layout::{columns, hang, table};
use crate::wording::many;

/// What to do with evidence.
#[derive(Debug, clap::Subcommand)]
pub enum EvidenceCommand {
    /// List the bundles that there are
    List {
        #[command(flatten)]
        of: EvidenceFolder,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Show what is in the bundle of an alert
    Show {
        /// The alert's id
        #[arg(value_name = "ID")]
        alert: String,
        #[command(flatten)]
        of: EvidenceFolder,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Check every bundle and the chain of all; ends with 1 where something is not what was written
    Verify {
        /// Only this bundle, by its folder, wherever it is: its files against its manifest
        #[arg(long, value_name = "DIR", conflicts_with = "head")]
        bundle: Option<PathBuf>,
        /// A head of the chain that was kept elsewhere, as alerts carry it (`bundle.chain_head`): it must be in the chain
        #[arg(long, value_name = "HASH")]
        head: Option<String>,
        #[command(flatten)]
        of: EvidenceFolder,
        /// As JSON
        #[arg(long)]
        json: bool,
    },
    /// Copy a bundle that is whole into a new folder, with the chain beside it
    Export {
        /// The alert's id
        #[arg(value_name = "ID")]
        alert: String,
        /// The folder to make
        #[arg(short, long, value_name = "DIR")]
        output: PathBuf,
        #[command(flatten)]
        of: EvidenceFolder,
    },
    /// Print the head of the chain, to be kept elsewhere
    Head {
        #[command(flatten)]
        of: EvidenceFolder,
    },
}

/// Which evidence.
#[derive(Debug, clap::Args)]
pub struct EvidenceFolder {
    /// Folder of the bundles [default: that of the configuration, else `evidence` in the state directory]
    #[arg(long, value_name = "DIR")]
    dir: Option<PathBuf>,
    /// Configuration file, which names the folder [default: /etc/hopwatch/hopwatch.yaml, if there is one]
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Folder of what is kept between runs [default: that of the configuration, `$STATE_DIRECTORY`, /var/lib/hopwatch for root]
    #[arg(long, value_name = "DIR")]
    state_dir: Option<PathBuf>,
}

impl EvidenceFolder {
    fn folder(&self) -> anyhow::Result<PathBuf> {
        if let Some(dir) = &self.dir {
            return Ok(dir.clone());
        }
        let config = config::load(self.config.as_deref())?.config;
        let state_dir = self.state_dir.as_deref().or(config.state_dir.as_deref());
        Ok(evidence::folder(config.evidence.dir.as_deref(), state_dir)?)
    }
}

/// Runs the command.
pub fn run(command: EvidenceCommand) -> anyhow::Result<Outcome> {
    match command {
        EvidenceCommand::List { of, json } => list(&of.folder()?, json)?,
        EvidenceCommand::Show { alert, of, json } => {
            let folder = shelf::bundle(&of.folder()?, &alert)?;
            let manifest = shelf::manifest(&folder).with_context(|| format!("reading the manifest of {alert}"))?;
            if json { print_json(&manifest)? } else { print(&shown(&manifest, &folder))? }
        }
        EvidenceCommand::Verify { bundle: Some(folder), json, .. } => return one(&folder, json),
        EvidenceCommand::Verify { bundle: None, head, of, json } => return all(&of.folder()?, head.as_deref(), json),
        EvidenceCommand::Export { alert, output, of } => {
            shelf::export(&of.folder()?, &alert, &output)
                .with_context(|| format!("copying the evidence of {alert} to {}", output.display()))?;
            print(&format!(
                "{} holds the evidence of {alert}, and {}.chain.jsonl the chain\n",
                output.display(),
                output.display()
            ))?;
        }
        EvidenceCommand::Head { of } => {
            let folder = of.folder()?;
            print(&format!(
                "{}\n",
                verify::head(&folder).with_context(|| format!("reading the chain in {}", folder.display()))?
            ))?;
        }
    }
    Ok(Outcome::Done)
}

fn list(folder: &Path, json: bool) -> anyhow::Result<()> {
    let all = shelf::list(folder);
    if json {
        let readable: Vec<&Manifest> = all.iter().filter_map(|(_, manifest)| manifest.as_ref().ok()).collect();
        return print_json(&readable);
    }
    if all.is_empty() {
        return print(&format!("there is no evidence in {}\n", folder.display()));
    }
    let row = |(alert, manifest): &(String, Result<Manifest, String>)| match manifest {
        Ok(manifest) => vec![
            alert.clone(),
            manifest.made.readable(),
            printable(&manifest.severity),
            if manifest.replay.same_id { "yes" } else { "no" }.to_owned(),
            printable(&manifest.rule),
        ],
        Err(error) => vec![alert.clone(), String::new(), String::new(), String::new(), printable(error)],
    };
    let rows: Vec<_> = all.iter().map(row).collect();
    print(&table(&["ALERT", "WRITTEN", "SEVERITY", "REPLAYS", "RULE"], &rows, 0, columns()))
}

/// A bundle for a person.
fn shown(manifest: &Manifest, folder: &Path) -> String {
    let mut text = String::new();
    let mut line = |label: &str, value: &str| {
        text += &hang(&format!("{label:12}"), &" ".repeat(12), &printable(value), columns());
        text.push('\n');
    };
    line("alert", &format!("{} {} ({})", manifest.alert, manifest.rule, manifest.severity));
    line("written", &format!("{} by hopwatch {} on {}", manifest.made.readable(), manifest.version, manifest.host));
    line("window", &format!("{} to {}", manifest.window.from.readable(), manifest.window.to.readable()));
    for point in manifest.points.iter().filter(|point| point.packets > 0) {
        line("packets", &format!("{} at {}", point.packets, point.point));
    }
    for file in &manifest.files {
        line("file", &format!("{}, {}, {}", file.path, many(file.bytes, "byte"), file.sha256));
    }
    line("payload", manifest.payload.as_str());
    for what in &manifest.incomplete {
        line("missing", what);
    }
    match &manifest.replay.why {
        None => line("replays", "to the same alert, tried when it was written"),
        Some(why) => line("replays", &format!("not to the same alert: {why}")),
    }
    line("chain", &format!("number {}, behind {}", manifest.seq, manifest.previous));
    if manifest.replay.same_id {
        line("do next", &format!("hopwatch replay {}", folder.display()));
    }
    text
}

fn one(folder: &Path, json: bool) -> anyhow::Result<Outcome> {
    let (state, wrong) = verify::look_into(folder, None);
    let is_whole = state == verify::BundleState::Whole;
    if json {
        print_json(&serde_json::json!({"state": state, "wrong": wrong}))?;
    } else {
        print(&format!("{}: {}\n", folder.display(), said(state, &wrong)))?;
    }
    Ok(if is_whole { Outcome::Done } else { Outcome::Exceptions })
}

fn all(folder: &Path, head: Option<&str>, json: bool) -> anyhow::Result<Outcome> {
    let verified =
        verify::verify(folder, head).with_context(|| format!("reading the chain in {}", folder.display()))?;
    let outcome = if verified.is_whole() { Outcome::Done } else { Outcome::Exceptions };
    if json {
        print_json(&verified)?;
        return Ok(outcome);
    }
    let mut text = String::new();
    let mut line = |value: String| {
        text += &hang("", "  ", &value, columns());
        text.push('\n');
    };
    for fault in &verified.chain {
        line(format!("chain.jsonl, line {}: {}", fault.line, printable(&fault.what)));
    }
    for bundle in &verified.bundles {
        line(format!("{}: {}", bundle.alert, said(bundle.state, &bundle.wrong)));
    }
    if verified.knows_head == Some(false) {
        line("the head that was kept elsewhere is not in the chain: the chain was cut or written anew".to_owned());
    }
    let whole =
        if verified.is_whole() { "everything is as it was written" } else { "NOT everything is as it was written" };
    line(format!(
        "{}, {}, head {}: {whole}",
        many(verified.bundles.len() as u64, "bundle"),
        many(verified.links as u64, "link"),
        verified.head
    ));
    print(&text)?;
    Ok(outcome)
}

fn said(state: verify::BundleState, wrong: &[String]) -> String {
    let wrong: Vec<_> = wrong.iter().map(|what| printable(what)).collect();
    if wrong.is_empty() { state.as_str().to_owned() } else { format!("{}: {}", state.as_str(), wrong.join("; ")) }
}

fn print_json(value: &impl serde::Serialize) -> anyhow::Result<()> {
    to_pretty_writer(anstream::stdout().lock(), value).context("writing to standard output")
}

fn print(text: &str) -> anyhow::Result<()> {
    anstream::stdout().write_all(text.as_bytes()).context("writing to standard output")
}
