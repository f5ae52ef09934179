//! What commands do on this host: watch it, look at it once, or open what a watch left.
//!
//! Contract: in a build without the feature `live`, `files_only.rs` stands here with the same names.

mod alerts;
mod doctor;
mod inventory;
mod outbox;
mod record;
mod respond;
mod running;
mod sniff;
mod top;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use anyhow::Context as _;
use serde_json::Value;

use super::exception_uses::ExceptionUses;
use super::host_args::HostArgs;
use super::local::LocalArgs;
use super::outbox_args::OutboxArgs;
use super::{Outcome, command};
use crate::app::baseline::Learning;
use crate::app::live::{self, LiveOptions, Needs};
use crate::app::logging::BufferedLog;
use crate::app::output::Output;
use crate::app::{on_host, runtime_snapshot};
use crate::config::{Config, InsideNamespaces};
use crate::engine::Observer;
use crate::input::InventoryEvent;
use crate::observe::live::may_capture;
use crate::report::Question;
use crate::report::verification::Verification;
use crate::sweep::Tracker;
use crate::time::readable;
use sniff::{Listen, WatchArgs};

pub use on_host::{audit, found, paths};

/// Below the list of commands.
pub const EXAMPLES: &str = "Examples:
  hopwatch replay captures/egress-around-proxy        judge a recording
  sudo hopwatch doctor                                what this host lets hopwatch see, and how to repair the rest
  sudo hopwatch init                                  a first configuration, from what runs here now
  sudo hopwatch sniff -c config/examples/egress-proxy.yaml
  sudo hopwatch top                                   live view of workloads, flows and alerts
  hopwatch replay traffic.pcap --facts <(docker inspect $(docker ps -q)) -c hopwatch.yaml
  sudo hopwatch verify --workload 'app*' --through gateway:vpn --for 10m
  hopwatch paths -c hopwatch.yaml                     what can prove each contract here, and what is blind
  hopwatch baseline learn --for 24h -b baseline.yaml  what each service is expected to be set up like
  hopwatch audit --format html > audit.html           the posture of every container, as a page
  sudo hopwatch observe --workload 'web*'             flows with their verdicts, as they are judged
  hopwatch flows traffic.pcap                         every flow in a capture
  hopwatch rules explain egress-skips-proxy           how a rule detects, and what it cannot see";

/// Commands that need this host.
#[derive(Debug, clap::Subcommand)]
pub enum HostCommand {
    Sniff(sniff::Args),
    Top(top::Args),
    Record(record::Args),
    Inventory(inventory::Args),
    Doctor(doctor::Args),
    /// List alerts that were kept, show one, acknowledge or close it, or follow new ones
    #[command(subcommand)]
    Alerts(alerts::AlertsCommand),
    /// Show what waits to be delivered to sinks, try it again, remove it, or test sinks
    #[command(subcommand)]
    Outbox(outbox::OutboxCommand),
    Respond(respond::Args),
}

impl HostCommand {
    /// Whether it will draw on the terminal, so that nothing else may be written there.
    pub const fn takes_the_terminal(&self) -> bool {
        matches!(self, Self::Top(args) if args.takes_the_terminal())
    }
}

/// Runs the command; one that takes the terminal prints the log at its end.
pub fn run(command: HostCommand, log: Option<BufferedLog>) -> anyhow::Result<Outcome> {
    match command {
        HostCommand::Sniff(args) => sniff::run(args),
        HostCommand::Top(args) => top::run(&args, log),
        HostCommand::Record(args) => record::run(args),
        HostCommand::Inventory(args) => inventory::run(&args),
        HostCommand::Doctor(args) => doctor::run(&args),
        HostCommand::Alerts(command) => alerts::run(command),
        HostCommand::Outbox(command) => outbox::run(command),
        HostCommand::Respond(args) => respond::run(args),
    }
}

/// Watches for `verify`.
pub fn verify(
    config: Option<&Path>,
    interfaces: &[String],
    inside: Option<InsideNamespaces>,
    lasting: Duration,
    question: impl FnOnce(&Config) -> Question,
) -> anyhow::Result<Verification> {
    let watch = WatchArgs { inside, ..watch(config, interfaces, lasting) };
    let options = watch.options(false)?;
    let question = question(&options.config);
    tracing::info!("watching for {}; interrupt to end earlier and report what was seen so far", readable(lasting));
    on_host::verify(&question, options)
}

/// Watches for `baseline learn`, with a configuration that was read.
pub fn learn(
    mut config: Config,
    path: Option<&Path>,
    interfaces: &[String],
    lasting: Duration,
) -> anyhow::Result<Learning> {
    may_capture()?;
    // What is learned does not depend on what was expected.
    config.baseline = None;
    let options = watch(path, interfaces, lasting).options_of(config, false)?;
    let options = LiveOptions { observer: Some(Box::<Learning>::default()), ..options };
    let mut ended = live::run(options, Output::none())?;
    ended.engine.take_observer().context("the watch lost what it observed")
}

/// Watches for `sweep`.
pub fn sweep(config: Option<&Path>, lasting: Duration, tracker: Tracker) -> anyhow::Result<Tracker> {
    may_capture()?;
    let options = watch(config, &[], lasting).options(false)?;
    live::confine(&options.config, Needs::default())?;
    let options = LiveOptions { observer: Some(Box::new(tracker)), ..options };
    let mut ended = live::run(options, Output::none())?;
    ended.engine.take_observer().context("the watch lost what it observed")
}

/// Watches for `observe`, until it is told to stop; `start` begins to write, and is called before.
pub fn observe(
    config: Option<&Path>,
    args: &HostArgs,
    start: impl FnOnce() -> anyhow::Result<(Box<dyn Observer>, Arc<AtomicBool>)>,
) -> anyhow::Result<()> {
    may_capture()?;
    let asked = watch(config, &args.interfaces, Duration::ZERO);
    let asked = WatchArgs { inside: args.inside, local: args.local.clone(), duration: args.duration, ..asked };
    let options = asked.options(false)?;
    live::confine(&options.config, Needs::default())?;
    let (observer, stop) = start()?;
    let options = LiveOptions { observer: Some(observer), stop: Some(stop), ..options };
    live::run(options, Output::none())?;
    Ok(())
}

fn watch(config: Option<&Path>, interfaces: &[String], lasting: Duration) -> WatchArgs {
    WatchArgs {
        config: config.map(PathBuf::from),
        interfaces: interfaces.to_vec(),
        inside: None,
        local: LocalArgs::default(),
        state_dir: None,
        duration: Some(lasting),
        listen: Some(Listen::Off),
    }
}

/// What the container runtimes report now.
pub fn running(config: &Config) -> anyhow::Result<Vec<InventoryEvent>> {
    runtime_snapshot::query(&config.runtimes)
}

/// How often exceptions held something back, by the hopwatch that serves its metrics here.
pub fn exception_uses(listen: SocketAddr) -> anyhow::Result<ExceptionUses> {
    running::uses(listen)
}

/// The latest state of every alert that was kept.
pub fn kept_alerts(at: &OutboxArgs) -> anyhow::Result<Vec<Value>> {
    alerts::all_kept(&at.open()?)
}

/// The latest state of an alert that was kept.
pub fn kept_alert(at: &OutboxArgs, id: &str) -> anyhow::Result<Value> {
    alerts::kept(&at.open()?, id)
}
