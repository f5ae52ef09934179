//! In place of `on_host.rs`, with its names, in a build without the feature `live`: every command that needs this host says so.
//!
//! Contract: fails with [`FilesOnly`] and does nothing. Design: the commands are hidden but known, so that a user who types one learns what to do.

use std::ffi::OsString;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use serde_json::Value;

use super::Outcome;
use super::exception_uses::ExceptionUses;
use super::host_args::HostArgs;
use super::outbox_args::OutboxArgs;
use crate::app::baseline::Learning;
use crate::app::first_configuration::FoundHost;
use crate::app::logging::BufferedLog;
use crate::config::{Config, InsideNamespaces};
use crate::engine::Observer;
use crate::input::InventoryEvent;
use crate::report::Question;
use crate::report::audit::Audit;
use crate::report::paths::Paths;
use crate::report::verification::Verification;
use crate::sweep::Tracker;

pub use Refused as HostCommand;

/// Below the list of commands.
pub const EXAMPLES: &str = "Examples:
  hopwatch replay captures/egress-around-proxy        judge a recording
  hopwatch replay traffic.pcap --facts <(docker inspect $(docker ps -q)) -c hopwatch.yaml
  hopwatch verify --workload 'app*' --through gateway:vpn --read recording/
  hopwatch observe recording/ --verdict bypassed      flows with their verdicts
  hopwatch flows traffic.pcap                         every flow in a capture
  hopwatch rules explain egress-skips-proxy           how a rule detects, and what it cannot see

This hopwatch only reads files: it was built without the feature `live`. `make build` builds all of it.";

/// Why a command does nothing.
#[derive(Debug, thiserror::Error)]
#[error(
    "this hopwatch only reads files: it was built without the feature `live`, so it neither watches this host nor opens what a watch kept; \
     give a recording with --read where the command has that, or build all of it with `make build`"
)]
struct FilesOnly;

/// Commands that need this host, and are refused.
#[derive(Debug, clap::Subcommand)]
#[command(hide = true)]
pub enum Refused {
    #[command(hide = true)]
    Sniff(Anything),
    #[command(hide = true)]
    Top(Anything),
    #[command(hide = true)]
    Record(Anything),
    #[command(hide = true)]
    Inventory(Anything),
    #[command(hide = true)]
    Doctor(Anything),
    #[command(hide = true)]
    Alerts(Anything),
    #[command(hide = true)]
    Outbox(Anything),
    #[command(hide = true)]
    Respond(Anything),
}

/// Arguments that nobody reads.
#[derive(Debug, clap::Args)]
#[command(disable_help_flag = true)]
pub struct Anything {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
    _arguments: Vec<OsString>,
}

impl Refused {
    /// Whether it will draw on the terminal.
    #[expect(clippy::unused_self, reason = "the other build looks at it")]
    pub const fn takes_the_terminal(&self) -> bool {
        false
    }
}

/// Refuses the command.
pub fn run(_: Refused, _: Option<BufferedLog>) -> anyhow::Result<Outcome> {
    Err(FilesOnly.into())
}

/// Refuses.
pub fn paths(_: &Config) -> anyhow::Result<Paths> {
    Err(FilesOnly.into())
}

/// Refuses.
pub fn found(_: &Config) -> anyhow::Result<FoundHost> {
    Err(FilesOnly.into())
}

/// Refuses.
pub fn audit(_: &Config) -> anyhow::Result<Audit> {
    Err(FilesOnly.into())
}

/// Refuses.
pub fn verify(
    _: Option<&Path>,
    _: &[String],
    _: Option<InsideNamespaces>,
    _: Duration,
    _: impl FnOnce(&Config) -> Question,
) -> anyhow::Result<Verification> {
    Err(FilesOnly.into())
}

/// Refuses.
pub fn observe(
    _: Option<&Path>,
    _: &HostArgs,
    _: impl FnOnce() -> anyhow::Result<(Box<dyn Observer>, Arc<AtomicBool>)>,
) -> anyhow::Result<()> {
    Err(FilesOnly.into())
}

/// Refuses.
pub fn learn(_: Config, _: Option<&Path>, _: &[String], _: Duration) -> anyhow::Result<Learning> {
    Err(FilesOnly.into())
}

/// Refuses.
pub fn running(_: &Config) -> anyhow::Result<Vec<InventoryEvent>> {
    Err(FilesOnly.into())
}

/// Refuses.
pub fn exception_uses(_: SocketAddr) -> anyhow::Result<ExceptionUses> {
    Err(FilesOnly.into())
}

/// Refuses.
pub fn kept_alerts(_: &OutboxArgs) -> anyhow::Result<Vec<Value>> {
    Err(FilesOnly.into())
}

/// Refuses.
pub fn sweep(_: Option<&Path>, _: Duration, _: Tracker) -> anyhow::Result<Tracker> {
    Err(FilesOnly.into())
}

/// Refuses.
pub fn kept_alert(_: &OutboxArgs, _: &str) -> anyhow::Result<Value> {
    Err(FilesOnly.into())
}
