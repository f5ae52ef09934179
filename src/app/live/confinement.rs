//! Enters the sandbox of a live command, with what its configuration needs.
//!
//! Contract: called before any thread is started but the log's. Folders that are to be written are made here, since what is not there at the start cannot be allowed
//! later. With `enforced` a part that this kernel lacks is an error that names it; with `best-effort` it is a warning. Limits: a folder that many share
//! (`/tmp`, `/var/log`) is allowed as a whole, when a file in it is written. Design: docs/adr/0027-a-thread-holds-what-it-needs.md.

use std::fs::DirBuilder;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use super::host_logs;
use crate::app::evidence;
use crate::app::logging;
use crate::app::state_dir::StateDir;
use crate::config::{Config, Destination, InsideNamespaces, SandboxMode, SinkConfig};
use crate::host;
use crate::sandbox::{self, Capability, Plan, Report, Rights};

/// Ports that only a privileged process listens on.
const PRIVILEGED: u16 = 1024;

/// What a command needs beside its configuration.
#[derive(Clone, Copy, Debug, Default)]
pub struct Needs<'n> {
    /// The port that it listens on.
    pub listen: Option<u16>,
    /// Folders that it writes, and makes where they are missing.
    pub folders: &'n [PathBuf],
    /// It draws on a terminal.
    pub terminal: bool,
}

/// Enters, or says why that is not possible.
pub fn confine(config: &Config, needs: Needs<'_>) -> anyhow::Result<()> {
    if config.sandbox == SandboxMode::Off {
        tracing::info!("sandbox: off, as configured: every right that hopwatch began with stays");
        return Ok(());
    }
    let plan = plan(config, needs);
    let folders = plan.writable.iter().map(|folder| folder.display().to_string()).collect::<Vec<_>>().join(", ");
    let report = sandbox::enter(plan, logging::in_its_thread);
    let missing: Vec<_> = report.missing().map(|outcome| outcome.part.as_str()).collect();
    if missing.is_empty() {
        tracing::info!("sandbox: {}; written: {folders}", report.line());
        return Ok(());
    }
    anyhow::ensure!(
        config.sandbox == SandboxMode::BestEffort,
        "the sandbox cannot be enforced here: {}; repair that, or set sandbox: best-effort",
        report.line()
    );
    tracing::warn!("sandbox: {}; written: {folders}; docs/sandbox.md says what each part stops", report.line());
    Ok(())
}

/// What this host would enforce, tried in a thread that ends.
pub fn try_out(config: &Config) -> Report {
    sandbox::try_out(plan(config, Needs { listen: Some(config.listen.port()), ..Needs::default() }))
}

/// Sinks that would write where the sandbox does not allow it, each in words.
pub(super) fn refused_sinks(sinks: &[SinkConfig]) -> Vec<String> {
    let refused = sinks.iter().filter_map(|sink| {
        let folder = folder_of(sink)?;
        let is_refused = !sandbox::may_write_in(folder);
        is_refused.then(|| format!("the sink {} writes in {}", sink.name, folder.display()))
    });
    refused.collect()
}

fn plan(config: &Config, needs: Needs<'_>) -> Plan {
    let mut plan = Plan {
        listen: needs.listen,
        inside: config.capture.inside_namespaces != InsideNamespaces::Never,
        terminal: needs.terminal,
        abstract_sockets: std::env::var_os("NOTIFY_SOCKET")
            .is_some_and(|name| name.as_encoded_bytes().starts_with(b"@")),
        ..Plan::default()
    };
    let state = StateDir::open(config.state_dir.as_deref()).ok().map(|state| state.path(""));
    let evidence = config
        .evidence
        .enabled
        .then(|| evidence::folder(config.evidence.dir.as_deref(), config.state_dir.as_deref()).ok());
    for folder in state.into_iter().chain(evidence.flatten()).chain(needs.folders.iter().cloned()) {
        // What cannot be made is reported by who needs it.
        let _ = DirBuilder::new().recursive(true).mode(0o700).create(&folder);
        plan.write_in(&folder);
    }
    for (sink, folder) in config.sinks.iter().filter_map(|sink| Some((sink, folder_of(sink)?))) {
        if !plan.write_in(folder) {
            tracing::warn!(
                "the folder {} of the sink {} is not there: make it and restart hopwatch, since the sandbox allows only what is there",
                folder.display(),
                sink.name
            );
        }
    }
    plan.run_one_of(host_logs::journalctl());
    plan.run_one_of(host::firewall::legacy_programs());
    plan.helpers_read.extend(host_logs::audit_folder());
    plan.rights = rights(config, needs, &plan.writable);
    plan
}

/// Where the file of a sink is.
fn folder_of(sink: &SinkConfig) -> Option<&Path> {
    let Destination::File(file) = &sink.to else { return None };
    let folder = file.path.parent()?;
    Some(if folder.as_os_str().is_empty() { Path::new(".") } else { folder })
}

/// Capabilities that depend on the configuration. Files of other users need one of root, too.
fn rights(config: &Config, needs: Needs<'_>, written: &[PathBuf]) -> Rights {
    let own = nix::unistd::geteuid();
    let is_others = |path: &Path| {
        let file = path.metadata();
        own.is_root() && file.is_ok_and(|file| file.uid() != own.as_raw() && file.mode() & 0o002 == 0)
    };
    let files = config.sinks.iter().filter_map(|sink| match &sink.to {
        Destination::File(file) => Some(file.path.as_path()),
        _ => None,
    });
    let writes_others = written.iter().map(PathBuf::as_path).chain(files).any(is_others);
    let sockets = config.runtimes.sought.sockets.values().flatten();
    let asks_others = config.runtimes.sought.discover
        || sockets.map(|host| host.strip_prefix("unix://").unwrap_or(host)).any(|path| is_others(Path::new(path)));
    let listens = needs.listen.is_some_and(|port| port < PRIVILEGED);
    let overrides = |needed: bool| needed.then_some(Capability::CAP_DAC_OVERRIDE);
    Rights {
        plain: overrides(writes_others).into_iter().collect(),
        sockets: overrides(asks_others || writes_others)
            .into_iter()
            .chain(listens.then_some(Capability::CAP_NET_BIND_SERVICE))
            .collect(),
    }
}
