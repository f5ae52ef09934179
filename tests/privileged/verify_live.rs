//! `hopwatch verify` and `hopwatch paths` with a real Docker daemon: traffic that takes its hop, traffic that goes around it, and none.
//!
//! Needs root and an installed `dockerd`; says why it skips otherwise. One test, because a daemon takes seconds.

use std::process::Command;

use crate::support::dockerd::{self, Dockerd, IMAGE};
use serde_json::Value;

const CONFIG: &str = "hops: {proxy: {workloads: [{name: proxy}], ports: [3128]}}\n\
    contracts: [{name: through, from: [{name: app}], to: [172.30.8.0/24], via: [proxy]}]\n";

/// How a command inside the daemon's network namespace ended, and what it printed.
fn hopwatch(daemon: &Dockerd, arguments: &[&str]) -> (i32, String) {
    let mut command = Command::new("nsenter");
    command.arg(format!("--net=/var/run/netns/{}", daemon.netns())).arg(env!("CARGO_BIN_EXE_hopwatch")).args(arguments);
    let output = command.env("DOCKER_HOST", daemon.host()).env("NO_COLOR", "1").output().expect("hopwatch runs");
    let (text, errors) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    println!("{errors}{text}");
    (output.status.code().expect("a code"), text.into_owned())
}

/// A flow that began before the capture may be seen from one side only; that is not what is asked here.
fn verify(daemon: &Dockerd, workload: &str, time: &str) -> (i32, Value) {
    let question = ["verify", "--workload", workload, "--through", "container:proxy:3128", "--to", "172.30.8.0/24"];
    let how = ["--for", time, "-i", "br-*", "--max-unobservable", "50", "--json"];
    let (code, text) = hopwatch(daemon, &[&question[..], &how].concat());
    (code, serde_json::from_str(&text).expect("JSON"))
}

fn flows(report: &Value, verdict: &str) -> u64 {
    report["flows"][verdict].as_u64().expect("a number")
}

fn start(daemon: &Dockerd, name: &str, script: &str) -> String {
    daemon.docker(&["run", "-d", "--name", name, "--network", "apps", IMAGE, "sh", "-c", script]);
    daemon.docker(&["inspect", "--format", "{{.NetworkSettings.Networks.apps.IPAddress}}", name])
}

/// Connects five times a second, for as long as the container lives.
fn keep_asking(daemon: &Dockerd, ip: &str, port: u16) {
    let script = format!("while true; do nc -w 1 {ip} {port} < /dev/null; sleep 0.2; done");
    daemon.docker(&["exec", "-d", "app", "sh", "-c", &script]);
}

#[test]
fn a_real_host_is_answered_for() {
    if let Some(why) = dockerd::unavailable() {
        println!("skipped: no Docker daemon can be started here: {why}");
        return;
    }
    let daemon = Dockerd::start(&[]);
    daemon.docker(&["network", "create", "--subnet", "172.30.8.0/24", "apps"]);
    let proxy = start(&daemon, "proxy", "nc -ll -p 3128 -e true");
    let around = start(&daemon, "around", "nc -ll -p 8080 -e true");
    start(&daemon, "app", "sleep 600");
    paths_of(&daemon, &proxy);

    let (code, report) = verify(&daemon, "app", "3s");
    assert_eq!((code, flows(&report, "total")), (5, 0), "nothing was sent yet");
    let text = report["conclusion"]["text"].as_str().expect("a sentence");
    assert!(text.contains("no flow of app was seen in 3") && text.contains("app was watched at br-"), "{text}");

    keep_asking(&daemon, &proxy, 3128);
    let (code, report) = verify(&daemon, "app", "8s");
    assert_eq!((code, flows(&report, "bypassed"), flows(&report, "partial")), (0, 0, 0));
    assert!(flows(&report, "verified") >= 3, "five connections a second were made: {report:#}");
    let text = report["conclusion"]["text"].as_str().expect("a sentence");
    assert!(text.starts_with("no flow bypassed hop proxy: "), "{text}");

    keep_asking(&daemon, &around, 8080);
    let (code, report) = verify(&daemon, "app", "8s");
    assert_eq!(code, 1, "some went around");
    assert!(flows(&report, "verified") >= 3 && flows(&report, "bypassed") >= 3, "{report:#}");
    let [exception] = &report["exceptions"].as_array().expect("a list")[..] else { panic!("{report:#}") };
    assert_eq!(
        (exception["destination"]["ip"].as_str(), exception["destination"]["port"].as_u64()),
        (Some(&*around), Some(8080))
    );
    assert_eq!(exception["flows"][0]["workload"], "app");
    assert!(exception["flows"][0]["community_id"].as_str().is_some_and(|id| id.starts_with("1:")), "{exception:#}");
}

fn paths_of(daemon: &Dockerd, proxy: &str) {
    let folder = tempfile::tempdir().expect("a folder");
    let config = folder.path().join("hopwatch.yaml");
    std::fs::write(&config, CONFIG).expect("a file");
    let config = config.display().to_string();
    let (code, tree) = hopwatch(daemon, &["paths", "-c", &config, "-i", "br-*"]);
    assert_eq!(code, 0);
    assert!(tree.contains("contract through (egress): can be proven"), "{tree}");
    assert!(tree.contains(&format!("peer: by {proxy}:3128 (proxy)")), "{tree}");
    assert!(tree.lines().any(|line| line.contains(" app (") && line.contains("is seen at br-")), "{tree}");
    let (code, tree) = hopwatch(daemon, &["paths", "-c", &config, "-i", "docker0"]);
    assert_eq!(code, 1);
    assert!(tree.contains("contract through (egress): has blind spots"), "{tree}");
    assert!(tree.contains("the bridge of network apps, is not captured; capture it too: -i br-"), "{tree}");
}
