//! The laboratory: hopwatch against a real Docker daemon.
//!
//! Contract: `HOPWATCH_LAB=1 cargo test --test lab [-- NAME…]` as root runs the scenarios whose names contain one of the
//! words; the last line is `N passed, N failed, N skipped`, and only a failure is an exit code. Nothing is left behind, also
//! when it is interrupted or killed. Without the switch, root or a tool it says so and skips everything.
//! Limits: Linux; programs come from Debian packages (`install.sh`); no registry and no network is used.
//! Design: scenarios are data (`scenarios/*.yaml`); everything lives inside the namespaces of one process a lane (`netns.rs`, `lanes.rs`).
//!
//! Switches: `HOPWATCH_BIN` another binary; `HOPWATCH_LAB_SAVE=DIR` writes scenario folders; `HOPWATCH_LAB_KEEP=DIR` keeps
//! what hopwatch wrote in scenarios that failed; `HOPWATCH_LAB_SCORECARD=FILE` writes the figures as a table, with those of the benign captures from
//! the file that `HOPWATCH_BENIGN_REPORT` names; `HOPWATCH_LAB_CAPTURE_ONLY=1` runs tcpdump in its place; `HOPWATCH_LAB_RUNS=10` runs each scenario ten
//! times, which must raise the same alerts ten times; `HOPWATCH_LAB_IGNORED=1` runs scenarios that are `ignored`, too; `HOPWATCH_LAB_LANES=4` sets how
//! many worlds stand side by side (one where delays are measured).
#![allow(missing_docs, reason = "a test program exports nothing")]

mod daemon;
mod evidence;
mod far;
mod images;
mod internet;
mod judge;
mod lanes;
mod netns;
mod process;
mod run;
mod save;
mod scenario;
mod scorecard;
mod stage;
mod watch;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, Result};
use lanes::Done;
use run::{Lab, Outcome};
use scenario::Scenario;
use scorecard::{Benign, Scorecard};

/// Programs that the lab starts, with the Debian package of each.
const TOOLS: &[(&str, &str)] = &[
    ("dockerd", "docker.io"),
    ("docker", "docker.io"),
    ("iptables", "iptables"),
    ("busybox", "busybox-static"),
    ("squid", "squid"),
    ("dnsmasq", "dnsmasq"),
    ("nginx", "nginx-light"),
    ("tcpdump", "tcpdump"),
    ("ip", "iproute2"),
    ("tc", "iproute2"),
    ("arpspoof", "dsniff"),
    ("haproxy", "haproxy"),
    ("rsyslogd", "rsyslog"),
    ("nft", "nftables"),
    ("conntrack", "conntrack"),
    ("curl", "curl"),
    ("openssl", "openssl"),
    ("nsenter", "util-linux"),
    ("unshare", "util-linux"),
    ("setpriv", "util-linux"),
    ("socat", "socat"),
    ("wireguard-go", "wireguard-go"),
    ("wg", "wireguard-tools"),
    ("openvpn", "openvpn"),
    ("sshd", "openssh-server"),
    ("ssh", "openssh-client"),
    ("iodined", "iodine"),
    ("dns2tcpd", "dns2tcp"),
    ("ptunnel", "ptunnel"),
    ("dnsdist", "dnsdist"),
];

struct Tally {
    passed: usize,
    failed: usize,
    skipped: usize,
    delays: Vec<i128>,
    scorecard: Scorecard,
}

fn main() -> ExitCode {
    let all = match scenario::load_all(&Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lab/scenarios")) {
        Ok(scenarios) => scenarios,
        Err(error) => {
            println!("FAIL scenarios: {error:#}");
            println!("0 passed, 1 failed, 0 skipped");
            return ExitCode::FAILURE;
        }
    };
    let scorecard = Scorecard::new(all.len(), benign());
    let mut tally = Tally { passed: 0, failed: 0, skipped: 0, delays: Vec::new(), scorecard };
    let (scenarios, ignored): (Vec<_>, Vec<_>) = chosen(all).into_iter().partition(is_run);
    if let Some(reason) = why_not() {
        println!("the laboratory does not run: {reason}");
        tally.skipped = scenarios.len();
    } else if let Err(error) = run_all(&scenarios, &mut tally) {
        println!("FAIL the laboratory: {error:#}");
        tally.failed = tally.failed.max(1);
        tally.skipped = scenarios.len().saturating_sub(tally.passed + tally.failed);
    }
    for Scenario { name, ignored, .. } in &ignored {
        println!("skip {name}: {}", ignored.as_deref().unwrap_or_default());
    }
    tally.skipped += ignored.len();
    println!("{} passed, {} failed, {} skipped", tally.passed, tally.failed, tally.skipped);
    if tally.failed == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// Scenarios named on the command line; all if none is. Flags of the usual test harness are not ours.
fn chosen(scenarios: Vec<Scenario>) -> Vec<Scenario> {
    let words: Vec<_> = std::env::args().skip(1).filter(|word| !word.starts_with('-')).collect();
    let wanted =
        |scenario: &Scenario| words.is_empty() || words.iter().any(|word| scenario.name.contains(word.as_str()));
    scenarios.into_iter().filter(wanted).collect()
}

/// Whether a scenario is to run: one that is known to be answered wrongly is not, unless it is asked for.
fn is_run(scenario: &Scenario) -> bool {
    scenario.ignored.is_none() || is_set("HOPWATCH_LAB_IGNORED")
}

/// What the test on benign captures reported, or why there is nothing.
fn benign() -> Result<Benign, String> {
    let path = folder("HOPWATCH_BENIGN_REPORT").ok_or("HOPWATCH_BENIGN_REPORT names no report")?;
    let report =
        std::fs::read_to_string(path).map_err(|_| "`tests/shell/benign.rs` wrote no report; are there captures?")?;
    Benign::read(&report)
}

fn why_not() -> Option<String> {
    if !is_set("HOPWATCH_LAB") {
        return Some("HOPWATCH_LAB is not 1 (it starts a Docker daemon of its own, as root)".to_owned());
    }
    if !nix::unistd::geteuid().is_root() {
        return Some("it needs root, for namespaces and a Docker daemon".to_owned());
    }
    let has = |tool: &str| {
        let script = format!("PATH=$PATH:/usr/sbin:/sbin command -v {tool}");
        let found = Command::new("sh").args(["-c", &script]).stdout(Stdio::null()).status();
        found.is_ok_and(|status| status.success())
    };
    let missing: Vec<_> =
        TOOLS.iter().filter(|(tool, _)| !has(tool)).map(|(tool, package)| format!("{tool} ({package})")).collect();
    (!missing.is_empty()).then(|| format!("missing {}; tests/lab/install.sh installs it", missing.join(", ")))
}

fn is_set(switch: &str) -> bool {
    std::env::var_os(switch).is_some_and(|value| value == "1")
}

fn run_all(scenarios: &[Scenario], tally: &mut Tally) -> Result<()> {
    process::notice_signals()?;
    let start = process::clock();
    let settings = lanes::Settings::read()?;
    lanes::run(scenarios, &settings, |done| one(done, tally))?;
    print_delays(&mut tally.delays);
    if let Some(path) = folder("HOPWATCH_LAB_SCORECARD") {
        std::fs::write(&path, tally.scorecard.to_string())
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    println!("the laboratory took {:.1} s", start.elapsed().as_secs_f64());
    Ok(())
}

/// Says and counts what came of one run.
fn one(done: Done<'_>, tally: &mut Tally) {
    let Done { scenario, outcome, seconds } = done;
    let alerts: Vec<_> =
        outcome.alerts.iter().map(|(what, delay)| format!("{what} after {} ms", delay / 1_000_000)).collect();
    let alerts = if alerts.is_empty() { "no alert".to_owned() } else { alerts.join(", ") };
    let word = if outcome.wrong.is_empty() { "ok  " } else { "FAIL" };
    println!("{word} {:32} {seconds:5.1} s {:5} packets  {alerts}", scenario.name, outcome.packets);
    if outcome.wrong.is_empty() {
        tally.passed += 1;
    } else {
        tally.failed += 1;
        outcome.wrong.iter().for_each(|what| println!("     {what}"));
    }
    tally.delays.extend(outcome.alerts.iter().map(|(_, delay)| *delay));
    tally.scorecard.add(as_run(scenario, outcome));
}

/// What the scorecard wants to know.
fn as_run(scenario: &Scenario, outcome: Outcome) -> scorecard::Run {
    scorecard::Run {
        name: scenario.name.clone(),
        passed: outcome.wrong.is_empty(),
        expected: scenario.expect.alerts.len(),
        missed: outcome.missed,
        unexpected: outcome.unexpected,
        whole: scenario.whole,
        shares_host: scenario.shares_host(),
        latest_ms: scenario.latest_ms,
        delays: outcome.alerts.into_iter().map(|(_, delay)| delay).collect(),
        summary: outcome.summary,
    }
}

/// Copies what a failed scenario left, for a person to look at.
fn keep(lab: &Lab<'_>, scenario: &Scenario) -> Result<()> {
    let Some(into) = folder("HOPWATCH_LAB_KEEP") else { return Ok(()) };
    std::fs::create_dir_all(&into)?;
    let from = lab.world.path(&scenario.name);
    process::output(Command::new("cp").arg("-r").arg(from).arg(&into), std::time::Duration::from_secs(30))?;
    Ok(())
}

fn folder(switch: &str) -> Option<PathBuf> {
    std::env::var_os(switch).filter(|value| !value.is_empty()).map(PathBuf::from)
}

fn print_delays(delays: &mut [i128]) {
    delays.sort_unstable();
    let at =
        |percent: usize| delays.get((delays.len().saturating_sub(1)) * percent / 100).map(|delay| delay / 1_000_000);
    if let (Some(least), Some(median), Some(most)) = (at(0), at(50), at(100)) {
        println!("{} alerts, from first packet to alert: {least} to {most} ms, median {median} ms", delays.len());
    }
}
