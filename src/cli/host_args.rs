//! What a command that can also read recordings asks of a live watch.

use std::time::Duration;

use super::local::LocalArgs;
use crate::config::{self, InsideNamespaces};

/// How this host is watched.
#[derive(Debug, clap::Args)]
pub struct HostArgs {
    #[command(flatten)]
    pub local: LocalArgs,
    /// Interface to capture, by name or glob; repeat for several
    #[arg(short, long = "interface", value_name = "GLOB", conflicts_with = "paths")]
    pub interfaces: Vec<String>,
    /// Capture inside the network namespaces of workloads, too
    #[arg(long, value_enum, value_name = "WHICH", num_args = 0..=1, require_equals = true, default_missing_value = "unwatched", conflicts_with = "paths")]
    pub inside: Option<InsideNamespaces>,
    /// Stop after this time, such as 30s or 5m
    #[arg(long, value_name = "TIME", value_parser = config::parse_duration, conflicts_with = "paths")]
    pub duration: Option<Duration>,
}
