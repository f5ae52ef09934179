//! `hopwatch doctor`: what this host lets hopwatch see, and how to repair the rest.
//!
//! Contract: looks once, changes nothing, and asks no sink. Each check says what was found; one that is not well says what to do.
//! Limits: packets are not captured, so loss is not judged; sinks are tried by `hopwatch outbox test`.

use std::path::Path;

use serde::Serialize;

use super::on_host;
use super::output::delivery::outbox_path;
use super::state_dir::StateDir;
use crate::config::{Config, SandboxMode, is_default_interface};
use crate::deliver::store::Store;
use crate::host;
use crate::input::InventoryEvent;
use crate::inventory::discover::{Discovery, Places};
use crate::observe::live::may_capture;
use crate::report::paths::Paths;
use crate::wording::many;

/// Less free room than this in the state directory is worth a word.
const LITTLE_ROOM: u64 = 256 << 20;

/// How a check ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Health {
    /// As it should be.
    Well,
    /// hopwatch works, and does not see or keep everything.
    Limited,
    /// It does not work.
    Broken,
}

/// One check.
#[derive(Clone, Debug, Serialize)]
pub struct Check {
    /// What was looked at.
    pub name: &'static str,
    /// How it is.
    pub health: Health,
    /// What was found.
    pub found: String,
    /// What to do about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub fix: Option<String>,
}

impl Check {
    fn well(name: &'static str, found: impl Into<String>) -> Self {
        Self { name, health: Health::Well, found: found.into(), fix: None }
    }

    fn limited(name: &'static str, found: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { name, health: Health::Limited, found: found.into(), fix: Some(fix.into()) }
    }

    fn broken(name: &'static str, found: impl Into<String>, fix: impl Into<String>) -> Self {
        Self { name, health: Health::Broken, found: found.into(), fix: Some(fix.into()) }
    }
}

/// Every check, in the order in which one repairs.
pub fn examine(config: &Config) -> Vec<Check> {
    let mut checks = vec![capture(), rights(), sandbox(config)];
    checks.extend(interfaces(config));
    checks.extend(runtimes(config));
    match on_host::paths(config) {
        Ok(seen) => checks.extend(sight(&seen)),
        Err(error) => checks.push(Check::broken("host", format!("{error:#}"), "see the log for the first error")),
    }
    let logs = super::last_entries::told(crate::clock::now());
    checks.extend(logs.map(|found| Check::well("logs", found)));
    checks.push(state(config));
    checks.push(sinks(config));
    checks
}

fn capture() -> Check {
    match may_capture() {
        Ok(()) => Check::well("capture", "packets may be captured"),
        Err(error) => Check::broken("capture", error.to_string(), "run as root, or grant CAP_NET_RAW"),
    }
}

fn rights() -> Check {
    let missing = host::missing_capabilities();
    if missing.is_empty() {
        return Check::well("rights", "translations, and sockets and namespaces of other processes, may be read");
    }
    let fix =
        "run as root; or grant them: setcap cap_net_raw,cap_net_admin,cap_sys_ptrace,cap_sys_admin+ep on the binary";
    Check::limited("rights", format!("missing: {}", missing.join(", ")), fix)
}

/// What a live command would give up here.
fn sandbox(config: &Config) -> Check {
    if config.sandbox == SandboxMode::Off {
        let found = "off: a live command keeps every right that it begins with";
        return Check::limited("sandbox", found, "set sandbox: best-effort in the configuration");
    }
    let report = super::live::try_out(config);
    if report.missing().next().is_none() {
        return Check::well("sandbox", report.line());
    }
    let fix = "docs/sandbox.md says what each part stops, and what it needs of the kernel";
    match config.sandbox {
        SandboxMode::Enforced => {
            Check::broken("sandbox", format!("{}; sandbox: enforced refuses to start", report.line()), fix)
        }
        _ => Check::limited("sandbox", report.line(), fix),
    }
}

/// Those that are captured, and whether what leaves the host is.
fn interfaces(config: &Config) -> Vec<Check> {
    let globs = &config.capture.interfaces;
    let names = match super::live::interface_globs(globs).map(|globs| host::interfaces_matching(&globs)) {
        Ok(Ok(found)) => found.into_iter().map(|interface| interface.name).collect::<Vec<_>>(),
        Ok(Err(error)) => return vec![Check::broken("interfaces", error.to_string(), "look at `ip link`")],
        Err(error) => return vec![Check::broken("interfaces", format!("{error:#}"), "correct capture.interfaces")],
    };
    let mut checks = Vec::new();
    if names.is_empty() {
        let found = format!("none is called {} now; one that comes later is captured", globs.join(", "));
        checks.push(Check::limited(
            "interfaces",
            found,
            "start a container, or name another with -i or capture.interfaces (`ip link`)",
        ));
    } else {
        checks.push(Check::well("interfaces", format!("captured: {}", names.join(", "))));
    }
    let uplinks = host::default_route_interfaces();
    let unseen: Vec<_> = uplinks.into_iter().filter(|uplink| !names.contains(uplink)).collect();
    if !unseen.is_empty() && globs.iter().all(|glob| is_default_interface(glob)) {
        let found =
            format!("what leaves the host by {} is not captured, so host-network-flow cannot fire", unseen.join(", "));
        checks.push(Check::limited("uplink", found, format!("add {} and lo to capture.interfaces", unseen.join(", "))));
    }
    checks
}

fn runtimes(config: &Config) -> Vec<Check> {
    let found = Discovery::new(config.runtimes.sought.clone(), Places::here()).look();
    if found.is_empty() {
        let fix = "start Docker, Podman or containerd, or name the socket under runtime";
        return vec![Check::limited("runtimes", "none was found: only addresses can be judged", fix)];
    }
    let answers = super::runtime_snapshot::query(&config.runtimes);
    let connected = |name| {
        let events = answers.as_ref().map(Vec::as_slice).unwrap_or_default();
        events.iter().any(|event| matches!(event, InventoryEvent::Connected { runtime } if *runtime == name))
    };
    let each = found.into_iter().map(|runtime| {
        let text = format!("{} at {}", runtime.name, runtime.host);
        if connected(runtime.name) {
            return Check::well("runtimes", format!("{text} answers"));
        }
        Check::limited("runtimes", format!("{text} does not answer"), "does it run, and may this user read its socket?")
    });
    each.collect()
}

/// What is seen, and whether each contract can be proven.
fn sight(seen: &Paths) -> Vec<Check> {
    let fix = "`hopwatch paths` shows it among what it hides";
    // Other checks say these.
    let is_said = |warning: &&String| {
        !["no container runtime answers", "no interface is called"].iter().any(|said| warning.starts_with(said))
    };
    let warnings = seen.warnings.iter().filter(is_said);
    let mut checks: Vec<_> = warnings.map(|warning| Check::limited("sight", warning, fix)).collect();
    if seen.contracts.is_empty() {
        let found = "no contract: traffic that skips a hop cannot be detected";
        checks.push(Check::limited("contracts", found, "docs/contracts.md shows how to write one"));
    }
    checks.extend(seen.contracts.iter().map(|contract| {
        if contract.whole {
            return Check::well("contracts", format!("{} can be proven", contract.name));
        }
        Check::limited(
            "contracts",
            format!("{} has blind spots", contract.name),
            "`hopwatch paths` shows which, and why",
        )
    }));
    checks
}

fn state(config: &Config) -> Check {
    let state = match StateDir::open(config.state_dir.as_deref()) {
        Ok(state) => state,
        Err(error) => {
            return Check::limited("state", error.to_string(), "make the folder, or name another in state.dir");
        }
    };
    let path = state.path("");
    match free_room(&path) {
        Some(free) if free < LITTLE_ROOM => {
            let found = format!("{}: only {} MiB are free", path.display(), free >> 20);
            Check::limited("state", found, "make room: alerts that wait are kept there")
        }
        _ => Check::well("state", path.display().to_string()),
    }
}

fn free_room(path: &Path) -> Option<u64> {
    let found = nix::sys::statvfs::statvfs(path).ok()?;
    Some(found.blocks_available().saturating_mul(found.fragment_size()))
}

/// What is configured, and what the last run left.
fn sinks(config: &Config) -> Check {
    if config.sinks.is_empty() {
        return Check::limited("sinks", "alerts go to standard output only", "docs/delivery.md shows how to add one");
    }
    let names: Vec<_> = config.sinks.iter().map(|sink| sink.name.as_str()).collect();
    let text = format!("{}: {}", many(names.len() as u64, "sink"), names.join(", "));
    let waits = outbox_path(config.state_dir.as_deref()).ok().filter(|path| path.exists()).and_then(|path| {
        let listed = Store::visit(&path).and_then(|store| store.list(None, 1_000)).ok()?;
        (!listed.is_empty()).then_some(listed.len() as u64)
    });
    match waits {
        Some(count) => {
            Check::limited("sinks", format!("{text}; waiting or refused: {count}"), "`hopwatch outbox list` shows why")
        }
        None => Check::well("sinks", format!("{text}; `hopwatch outbox test` tries them")),
    }
}
