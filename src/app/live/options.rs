//! What a live run is given, and what it leaves.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use super::reload::ReloadOptions;
use crate::app::baseline::BaselineFile;
use crate::app::evidence::keeping::ReplaySetup;
use crate::app::screen::Screen;
use crate::app::summary::Summary;
use crate::config::{Config, IpfixConfig};
use crate::engine::{Engine, Observer, VerdictLog};
use crate::input::OpenAlert;
use crate::observe::filter::FrameFilter;

/// What to run.
#[derive(Debug)]
pub struct LiveOptions {
    /// The whole configuration.
    pub config: Config,
    /// Stop after so long.
    pub duration: Option<Duration>,
    /// Write what the engine consumes to this folder.
    pub record: Option<PathBuf>,
    /// Record headers only, nothing that an application wrote.
    pub headers_only: bool,
    /// The configuration's own text, kept beside a recording.
    pub config_text: Option<String>,
    /// Serve metrics and health here; `None` serves nothing.
    pub listen: Option<SocketAddr>,
    /// How to read the configuration again; `None`: SIGHUP changes nothing.
    pub reload: Option<ReloadOptions>,
    /// Show workloads and their flows here, for a terminal; it can also ask for the end.
    pub screen: Option<Screen>,
    /// Keep the verdict of every flow here, for a report.
    pub verdict_log: Option<VerdictLog>,
    /// Follows the engine.
    pub observer: Option<Box<dyn Observer>>,
    /// Export judged flows there.
    pub export: Option<IpfixConfig>,
    /// Frames that are looked at; `None`: all.
    pub filter: Option<FrameFilter>,
    /// Ends the run when it is set.
    pub stop: Option<Arc<AtomicBool>>,
    /// Keep evidence from before alerts, with this run's configuration.
    pub evidence: Option<ReplaySetup>,
    /// What the run before left open.
    pub open_alerts: Vec<OpenAlert>,
    /// The baseline's file, which is looked at while hopwatch runs.
    pub baseline: Option<BaselineFile>,
}

/// What a run leaves.
#[derive(Debug)]
pub struct Ended {
    /// The closing summary.
    pub summary: Summary,
    /// The engine as it was then.
    pub engine: Engine,
}
