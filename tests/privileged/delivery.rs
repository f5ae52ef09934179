//! Alerts of a real sniffer on their way to a receiver, over a kill of the process; a real systemd-journald.

use std::path::Path;
use std::process::{Child, Command, Stdio};

use hopwatch::config;
use hopwatch::deliver::trial;

use crate::support::netns::{Namespace, Sniffer, unavailable};
use crate::support::patience::{wait_for, wait_until};

const PATHS: &str = "
hops: {proxy: {addresses: [10.9.0.3], ports: [3128]}}
contracts: [{name: egress, from: [{addresses: [10.9.0.0/24]}], to: [internet], via: [proxy]}]
";

#[test]
fn an_alert_that_was_kept_is_delivered_after_a_kill_and_only_once() {
    if let Some(why) = unavailable() {
        println!("skipped: an_alert_that_was_kept_is_delivered_after_a_kill_and_only_once: {why}");
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let (state, missing) = (folder.path().join("state"), folder.path().join("not/there/yet"));
    let file = missing.join("alerts.jsonl");
    let (state_text, file_text) = (state.display().to_string(), file.display().to_string());
    let config =
        format!("{PATHS}\nstate: {{dir: {state_text:?}}}\nsinks: {{archive: {{file: {{path: {file_text:?}}}}}}}\n");
    let namespace = Namespace::with_bridge("br-test");
    let sniffer = Sniffer::start(&namespace, &config, &[]);
    sniffer.wait_until("/metrics", "the bridge is captured", |page| page.contains("observation_point=\"br-test\""));
    serve_outside(&namespace);
    go_around(&namespace);
    sniffer.wait_until("/readyz", "the sink that cannot deliver is named", |page| {
        page.contains("archive") && page.contains("not/there/yet")
    });
    sniffer.signal("-KILL");
    let (code, _) = sniffer.wait(std::time::Duration::from_secs(5));
    assert_eq!(code, None, "killed");
    std::fs::create_dir_all(&missing).expect("made");
    let sniffer = Sniffer::start(&namespace, &config, &[]);
    let alert = wait_for("the next run delivers it", || {
        let text = std::fs::read_to_string(&file).map_err(|error| error.to_string())?;
        let first = text.lines().next().ok_or("no line")?;
        serde_json::from_str::<serde_json::Value>(first).map_err(|error| error.to_string())
    });
    assert_eq!((&alert["rule"], &alert["update"]), (&"egress-skips-proxy".into(), &0.into()));
    // Its signals are caught by then.
    sniffer.wait_until("/metrics", "the watch has begun", |page| page.contains("observation_point=\"br-test\""));
    let (_, log) = sniffer.end();
    let waited = ["1 delivery waits since the last run", "deliveries wait since the last run"];
    assert!(waited.iter().any(|text| log.contains(text)), "{log}");
    let text = std::fs::read_to_string(&file).expect("read");
    let same = |line: &&str| line.contains(alert["id"].as_str().unwrap_or_default()) && line.contains("\"update\":0,");
    assert_eq!(text.lines().filter(same).count(), 1, "{text}");
}

/// A server outside, which is reached around the proxy.
fn serve_outside(namespace: &Namespace) {
    namespace.run("ip route add 198.51.100.0/24 via 10.9.0.2 dev br-test");
    namespace.run_peer("ip addr add 198.51.100.7/24 dev lo");
    namespace.run_peer_background("busybox nc -ll -p 443 -e true");
}

fn go_around(namespace: &Namespace) {
    namespace.run("sh -c 'for i in 1 2 3 4 5 6 7 8 9 10; do echo hello | busybox nc -w 1 198.51.100.7 443 && exit 0; sleep 0.1; done; exit 1'");
}

/// The lines of a file sink.
fn lines(file: &Path) -> Vec<serde_json::Value> {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

/// The first line that has it.
fn line_with(file: &Path, what: &str, has: impl Fn(&serde_json::Value) -> bool) -> serde_json::Value {
    wait_for(what, || lines(file).into_iter().find(&has).ok_or_else(|| format!("{:?}", lines(file))))
}

#[test]
fn an_open_alert_goes_on_after_a_kill_and_what_is_raised_again_comes_once() {
    if let Some(why) = unavailable() {
        println!("skipped: an_open_alert_goes_on_after_a_kill_and_what_is_raised_again_comes_once: {why}");
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let (state, file) = (folder.path().join("state"), folder.path().join("alerts.jsonl"));
    let config = format!(
        "{PATHS}\nstate: {{dir: {state:?}}}\nalerts: {{close_after: 20s, update_interval: 100ms}}\n\
         sinks: {{archive: {{file: {{path: {file:?}}}}}}}\n\
         exceptions: [{{name: backup, rule: unknown-source, owner: ops, reason: a test, expires: 2100-01-01}}]\n\
         rules: {{exception-expires: {{days: 36500}}}}\n"
    );
    let namespace = Namespace::with_bridge("br-test");
    serve_outside(&namespace);
    let sniffer = Sniffer::start(&namespace, &config, &[]);
    sniffer.wait_until("/metrics", "the bridge is captured", |page| page.contains("observation_point=\"br-test\""));
    go_around(&namespace);
    let around = line_with(&file, "the flow's alert", |line| line["rule"] == "egress-skips-proxy");
    line_with(&file, "the exception's alert", |line| line["rule"] == "exception-expires");
    sniffer.signal("-KILL");
    sniffer.wait(std::time::Duration::from_secs(5));
    let sniffer = Sniffer::start(&namespace, &config, &[]);
    sniffer.wait_until("/metrics", "the bridge is captured", |page| page.contains("observation_point=\"br-test\""));
    go_around(&namespace);
    let goes_on = line_with(&file, "the flow's alert goes on", |line| {
        line["id"] == around["id"] && line["evidence"].to_string().contains("it goes on")
    });
    assert!(goes_on["update"].as_u64() > around["update"].as_u64(), "{goes_on}");
    let of_the_exception = lines(&file).into_iter().filter(|line| line["rule"] == "exception-expires").count();
    assert_eq!(of_the_exception, 1, "both runs raised it, before the flow's, with the same id");
    let of_the_flow = lines(&file).into_iter().filter(|line| line["rule"] == "egress-skips-proxy");
    let others: Vec<_> = of_the_flow.filter(|line| line["id"] != around["id"]).collect();
    assert!(others.is_empty(), "nothing opened anew: {others:?}");
    sniffer.end();
}

/// A journald of its own, in a mount namespace with nothing but its folders.
struct Journald(Child);

impl Drop for Journald {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Journald {
    fn start() -> Option<Self> {
        let program = "/usr/lib/systemd/systemd-journald";
        let has_id = std::fs::read_to_string("/etc/machine-id").is_ok_and(|id| !id.trim().is_empty());
        if !Path::new(program).exists() || !has_id || unavailable().is_some() {
            println!("skipped: systemd-journald, /etc/machine-id and root are not all here");
            return None;
        }
        let script =
            format!("mount -t tmpfs tmpfs /run && mkdir -p /run/systemd/journal /run/log/journal && exec {program}");
        let child =
            Command::new("unshare").args(["-m", "sh", "-c", &script]).stderr(Stdio::null()).spawn().expect("unshare");
        Some(Self(child))
    }

    /// Its view of the file system.
    fn root(&self) -> String {
        format!("/proc/{}/root", self.0.id())
    }
}

#[test]
fn journald_keeps_every_field_of_an_alert() {
    let Some(journald) = Journald::start() else { return };
    let socket = format!("{}/run/systemd/journal/socket", journald.root());
    wait_until("journald listens", || Path::new(&socket).exists());
    let text = format!("sinks: {{journal: {{journald: {{socket: {socket:?}}}}}}}");
    let sinks = config::from_str("test.yaml", &text).map_err(|error| format!("{error:?}")).expect("valid").config.sinks;
    trial::send(&sinks[0]).expect("taken");
    let mut journalctl = Command::new("nsenter");
    journalctl.args([
        "-t",
        &journald.0.id().to_string(),
        "-m",
        "journalctl",
        "-o",
        "json",
        "SYSLOG_IDENTIFIER=hopwatch",
    ]);
    let entry = wait_for("it is in the journal", || {
        let shown = journalctl.output().map_err(|error| error.to_string())?;
        let text = String::from_utf8_lossy(&shown.stdout).into_owned();
        serde_json::from_str::<serde_json::Value>(text.lines().next().unwrap_or_default())
            .map_err(|error| format!("{error}: {text}"))
    });
    assert_eq!((&entry["HOPWATCH_RULE"], &entry["PRIORITY"]), (&"delivery-test".into(), &"2".into()));
    let alert: serde_json::Value = serde_json::from_str(entry["HOPWATCH_JSON"].as_str().expect("text")).expect("JSON");
    assert_eq!(alert["schema"], "hopwatch.alert/1");
}
