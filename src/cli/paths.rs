//! `hopwatch paths`.

use std::io::Write as _;
use std::path::PathBuf;

use anyhow::Context as _;

use super::recordings::Recorded;
use super::tree_printer::Node;
use super::{Outcome, on_host};
use crate::app::paths;
use crate::config::{self, Config, InsideNamespaces};
use crate::escape::json;
use crate::layout::columns;
use crate::report::paths::{ContractView, EvidenceView, HopView, Paths, WorkloadView};

/// Workloads of one contract that the tree shows; JSON has more.
const MOST: usize = 50;

/// Show what can prove each contract on this host, and what is blind, before any traffic flows
///
/// Asks the runtimes and the kernel once, as `inventory --tree` does; a line that begins with `!` says what hopwatch cannot see, and how to fix that.
/// Ends with 1 where a contract has blind spots, for scripts.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Configuration file [default: a recording's hopwatch.yaml, else /etc/hopwatch/hopwatch.yaml, if there is one]
    #[arg(short, long, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    recorded: Recorded,
    /// Interface to assume captured, by name or glob; repeat for several [default: docker0, br-* and `docker_gwbridge`]
    #[arg(short, long = "interface", value_name = "GLOB", conflicts_with = "read")]
    interfaces: Vec<String>,
    /// Assume capture inside the network namespaces of workloads, too [default: never; without a value: unwatched]
    #[arg(long, value_enum, value_name = "WHICH", num_args = 0..=1, require_equals = true, default_missing_value = "unwatched")]
    inside: Option<InsideNamespaces>,
    /// Print JSON, hopwatch.paths/1
    #[arg(long)]
    json: bool,
}

/// Runs the command.
pub fn run(args: Args) -> anyhow::Result<Outcome> {
    let json = args.json;
    let paths = if args.recorded.is_empty() { live(args)? } else { recording(args)? };
    let mut out = anstream::stdout().lock();
    if json {
        json::to_writer(&mut out, &paths).and_then(|()| writeln!(out))
    } else {
        out.write_all(tree(&paths).text(columns()).as_bytes())
    }
    .context("writing to standard output")?;
    Ok(if paths.contracts.iter().all(|contract| contract.whole) { Outcome::Done } else { Outcome::Exceptions })
}

fn live(args: Args) -> anyhow::Result<Paths> {
    let mut config = config::load(args.config.as_deref())?.config;
    if !args.interfaces.is_empty() {
        config.capture.interfaces = args.interfaces;
    }
    config.capture.inside_namespaces = args.inside.unwrap_or(config.capture.inside_namespaces);
    on_host::paths(&config)
}

fn recording(args: Args) -> anyhow::Result<Paths> {
    let sources = args.recorded.sources(args.config)?;
    let config: Config = config::load(sources.config.as_deref())?.config;
    sources.replay(&config, |options, bar| paths::recording(&config, options, &mut |bytes| bar.set_position(bytes)))
}

fn tree(paths: &Paths) -> Node {
    let mut root = Node::new(match paths.contracts.len() {
        0 => "no contract: the configuration requires no hop for any traffic".to_owned(),
        1 => "1 contract".to_owned(),
        several => format!("{several} contracts"),
    });
    root.children.extend(paths.warnings.iter().map(|warning| Node::new(format!("! {warning}"))));
    root.children.extend(paths.contracts.iter().map(contract));
    root.children.extend(paths.unjudged.text(MOST).into_iter().map(|line| Node::new(format!("! {line}"))));
    root
}

fn contract(contract: &ContractView) -> Node {
    let proof = if contract.whole { "can be proven" } else { "has blind spots" };
    let service = format!("{:?}", contract.service).to_lowercase();
    let mut node = Node::new(format!("contract {} ({service}): {proof}", contract.name));
    let total = contract.workloads.len() + contract.workloads_omitted;
    let mut covered = Node::new(match total {
        0 => "! covers no running workload".to_owned(),
        1 => "covers 1 workload".to_owned(),
        several => format!("covers {several} workloads"),
    });
    covered.children.extend(contract.workloads.iter().take(MOST).map(workload));
    if total > MOST {
        covered.children.push(Node::new(format!("and {} more", total - MOST)));
    }
    node.children.push(covered);
    if contract.stages.is_empty() {
        node.children.push(Node::new("no path is allowed".to_owned()));
    }
    for (number, hops) in contract.stages.iter().enumerate() {
        let any = if hops.len() > 1 { ", any of" } else { "" };
        let mut stage = Node::new(format!("stage {}{any}", number + 1));
        stage.children.extend(hops.iter().map(hop));
        node.children.push(stage);
    }
    node
}

fn workload(workload: &WorkloadView) -> Node {
    let points = workload.observation_points.join(", ");
    let short = workload.id.get(..12).unwrap_or(&workload.id);
    let mut node = Node::new(match workload.observation {
        "watched" => format!("{} ({short}) is seen at {points}", workload.name),
        "partly" => format!("! {} ({short}) is seen at {points}, but not on each of its networks", workload.name),
        "unwatched" => format!("! {} ({short}) is not seen", workload.name),
        "no_traffic" => format!("{} ({short}) has no network", workload.name),
        _ => format!("! {} ({short}): it is not known where its traffic passes", workload.name),
    });
    let blind = workload.unseen.iter().map(|unseen| Node::new(format!("! {}; {}", unseen.why, unseen.fix)));
    node.children.extend(blind);
    node
}

fn hop(hop: &HopView) -> Node {
    let kind = format!("{:?}", hop.kind).to_lowercase();
    let mark = if hop.can_be_proven() { "" } else { "! " };
    let names = if hop.workloads.is_empty() { String::new() } else { format!(": {}", hop.workloads.join(", ")) };
    let seen = hop.last_seen.map(|at| format!(", last seen {}", at.readable())).unwrap_or_default();
    let mut node = Node::new(format!("{mark}hop {} ({kind}){names}{seen}", hop.name));
    node.children.extend(hop.evidence.iter().map(evidence));
    node
}

fn evidence(evidence: &EvidenceView) -> Node {
    let kind = evidence.kind.as_str();
    Node::new(match &evidence.blind {
        None => format!("{kind}: by {}", evidence.by.join(", ")),
        Some(blind) => format!("! {kind}: {}; {}", blind.why, blind.fix),
    })
}
