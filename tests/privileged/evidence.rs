//! Evidence of a real sniffer: from before the alert, replayed, verified, tampered with.

use std::path::Path;
use std::process::{Command, Output};

use hopwatch::time::Timestamp;

use crate::support::netns::{Namespace, Sniffer, unavailable};

const PATHS: &str = "
hops: {proxy: {addresses: [10.9.0.3], ports: [3128]}}
contracts: [{name: egress, from: [{addresses: [10.9.0.0/24]}], to: [internet], via: [proxy]}]
";

fn hopwatch(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_hopwatch")).args(args).output().expect("hopwatch")
}

fn lines(output: &Output) -> Vec<serde_json::Value> {
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .map(|line| serde_json::from_str(line).expect("JSON Lines"))
        .collect()
}

fn json(output: &Output) -> serde_json::Value {
    serde_json::from_slice(&output.stdout).expect("JSON")
}

/// A request around the proxy, with a secret in it; the port asks for no other protocol, so that it raises one alert.
fn ask_around_the_proxy(namespace: &Namespace) {
    namespace.run("ip route add 198.51.100.0/24 via 10.9.0.2 dev br-test");
    namespace.run_peer("ip addr add 198.51.100.7/24 dev lo");
    namespace.run_peer_background("busybox nc -ll -p 8080 -e echo hello");
    let request = "GET /x HTTP/1.1\\r\\nHost: shop.example\\r\\nAuthorization: Bearer hunter2\\r\\n\\r\\n";
    namespace.run(&format!(
        "for i in 1 2 3 4 5 6 7 8 9 10; do printf '{request}' | busybox nc -w 1 198.51.100.7 8080 && exit 0; sleep 0.1; done; exit 1"
    ));
}

fn mode(path: &Path) -> u32 {
    std::os::unix::fs::PermissionsExt::mode(&path.metadata().expect("there").permissions()) & 0o777
}

#[test]
fn an_alert_leaves_a_bundle_from_before_it_that_replays_to_the_same_alert() {
    if let Some(why) = unavailable() {
        println!("skipped: an_alert_leaves_a_bundle_from_before_it_that_replays_to_the_same_alert: {why}");
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let state = folder.path().join("state").display().to_string();
    let config = format!("{PATHS}\nstate: {{dir: {state:?}}}\nevidence: {{ring_mib: 8, after: 500ms}}\n");
    let namespace = Namespace::with_bridge("br-test");
    let sniffer = Sniffer::start(&namespace, &config, &[]);
    sniffer.wait_until("/metrics", "the bridge is captured", |page| page.contains("observation_point=\"br-test\""));
    ask_around_the_proxy(&namespace);
    sniffer.wait_until("/metrics", "a bundle was written", |page| page.contains("hopwatch_evidence_bundles_total 1"));
    let (out, log) = sniffer.end();
    let alert = out.iter().find(|line| line["rule"] == "egress-skips-proxy").expect("the alert");
    let (id, bundle) = (alert["id"].as_str().expect("an id"), alert["bundle"]["path"].as_str().expect("a bundle"));
    assert!(log.contains("head sha256:"), "the head leaves with the log: {log}");

    let path = Path::new(bundle);
    assert_eq!(
        (mode(path), mode(&path.join("traffic.pcapng")), mode(&path.join("manifest.json"))),
        (0o700, 0o600, 0o600)
    );
    let shown = json(&hopwatch(&["evidence", "show", id, "--state-dir", &state, "--json"]));
    assert_eq!(shown["replay"]["same_id"], true, "{shown}");
    let time = |value: &serde_json::Value| serde_json::from_value::<Timestamp>(value.clone()).expect("a time");
    assert!(time(&shown["window"]["from"]) <= time(&alert["first_seen"]), "it begins before the alert: {shown}");
    let replayed = lines(&hopwatch(&["replay", bundle, "--format", "json"]));
    assert!(replayed.iter().any(|line| line["id"] == id), "{replayed:?}");
    let bytes = std::fs::read(path.join("traffic.pcapng")).expect("read");
    let holds = |text: &str| bytes.windows(text.len()).any(|part| part == text.as_bytes());
    assert!(
        holds("shop.example") && holds(id) && !holds("hunter2"),
        "names stay, secrets do not, and the capture names its alert"
    );

    let verified = hopwatch(&["evidence", "verify", "--state-dir", &state, "--json"]);
    assert_eq!((verified.status.code(), &json(&verified)["bundles"][0]["state"]), (Some(0), &"whole".into()));
    let copy = folder.path().join("copy").display().to_string();
    assert!(hopwatch(&["evidence", "export", id, "-o", &copy, "--state-dir", &state]).status.success());
    assert!(hopwatch(&["evidence", "verify", "--bundle", &copy]).status.success());

    std::fs::write(path.join("facts.jsonl"), "").expect("written");
    let verified = hopwatch(&["evidence", "verify", "--state-dir", &state]);
    let text = String::from_utf8_lossy(&verified.stdout).into_owned();
    assert_eq!(verified.status.code(), Some(1), "{text}");
    assert!(text.contains("facts.jsonl was changed"), "{text}");
    std::fs::remove_dir_all(path).expect("removed");
    let verified = json(&hopwatch(&["evidence", "verify", "--state-dir", &state, "--json"]));
    assert_eq!(verified["bundles"][0]["state"], "missing", "{verified}");
    std::fs::write(Path::new(&state).join("evidence/chain.jsonl"), "").expect("written");
    let head = verified["head"].as_str().expect("a head");
    let verified = hopwatch(&["evidence", "verify", "--state-dir", &state, "--head", head]);
    assert_eq!(verified.status.code(), Some(1), "the head that was kept elsewhere is not in it");
}

#[test]
fn where_the_disk_is_full_alerts_go_on_without_evidence() {
    if let Some(why) = unavailable() {
        println!("skipped: where_the_disk_is_full_alerts_go_on_without_evidence: {why}");
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let full = folder.path().join("full");
    std::fs::create_dir(&full).expect("made");
    let path = full.display().to_string();
    let mounted = Command::new("mount").args(["-t", "tmpfs", "-o", "size=8k,mode=700", "tmpfs", &path]).status();
    assert!(mounted.expect("mount").success());
    let namespace = Namespace::with_bridge("br-test");
    let state = folder.path().join("state").display().to_string();
    let config =
        format!("{PATHS}\nstate: {{dir: {state:?}}}\nevidence: {{ring_mib: 8, dir: {path:?}, after: 100ms}}\n");
    let sniffer = Sniffer::start(&namespace, &config, &[]);
    sniffer.wait_until("/metrics", "the bridge is captured", |page| page.contains("observation_point=\"br-test\""));
    ask_around_the_proxy(&namespace);
    sniffer.wait_until("/metrics", "it is counted", |page| {
        page.contains("hopwatch_evidence_not_kept_total{reason=\"disk\"} 1")
    });
    let (out, log) = sniffer.end();
    assert!(Command::new("umount").arg(&path).status().expect("umount").success());
    assert!(out.iter().any(|line| line["rule"] == "egress-skips-proxy"), "{out:?}");
    assert!(log.contains("is not kept (disk)"), "{log}");
}
