//! `hopwatch verify` fails closed: each thing that may hide flows ends with 5, says what it is, and can be accepted with a reason.

use std::path::Path;

use assert_cmd::Command;
use serde_json::{Value, json};

/// The shipped recording of a container that keeps to its proxy, with more facts, cut to a share of its packets' bytes.
fn verify(more: &[Value], cut: Option<usize>, arguments: &[&str]) -> (i32, Value) {
    let folder = tempfile::tempdir().expect("a folder");
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("captures/egress-through-proxy");
    let mut packets = std::fs::read(shipped.join("traffic.pcapng")).expect("packets");
    if let Some(missing) = cut {
        packets.truncate(packets.len() - missing);
    }
    std::fs::write(folder.path().join("traffic.pcapng"), packets).expect("a copy");
    let mut facts = std::fs::read_to_string(shipped.join("facts.jsonl")).expect("facts");
    for fact in more {
        facts += &format!("{fact}\n");
    }
    std::fs::write(folder.path().join("facts.jsonl"), facts).expect("a file");
    let recording = folder.path().display().to_string();
    let asked = ["verify", "--workload", "app", "--through", "container:squid:3128", "--read", &recording, "--json"];
    let mut command = Command::new(env!("CARGO_BIN_EXE_hopwatch"));
    let output = command.args([&asked[..], arguments].concat()).output().expect("hopwatch runs");
    let text = String::from_utf8_lossy(&output.stdout);
    let report = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}"));
    (output.status.code().expect("a code"), report)
}

fn fact(at: &str, fact: &Value) -> Value {
    json!({"schema": "hopwatch.fact/1", "at": format!("2026-11-24T13:17:{at}Z"), "fact": fact})
}

/// It ends with 5 and names the entry; accepted, it ends with 0 and the report keeps the reason.
fn hides(what: &str, more: &[Value], cut: Option<usize>) {
    let (code, report) = verify(more, cut, &[]);
    let entry = report["not_seen"].as_array().expect("a list").iter().find(|not| not["what"] == what);
    let entry = entry.unwrap_or_else(|| panic!("{what} is not in {report:#}"));
    assert_eq!((code, &entry["hides"]), (5, &json!(true)), "{report:#}");
    assert!(report["conclusion"]["text"].as_str().expect("text").contains(entry["text"].as_str().expect("text")));
    says_how_much(entry);
    let (code, report) = verify(more, cut, &["--accept", &format!("{what}:the test did it")]);
    assert_eq!(code, 0, "{what} was accepted: {report:#}");
    assert_eq!(report["question"]["accepted"], json!([{"what": what, "reason": "the test did it"}]));
}

/// Each entry says how to fix it, and how much it was where that can be known.
pub fn says_how_much(entry: &Value) {
    assert!(entry["fix"].as_str().is_some_and(|fix| !fix.is_empty()), "{entry:#}");
    let amounts: &[&str] = match entry["what"].as_str().expect("a kind") {
        "loss" => &["packets", "seconds"],
        "not_decoded" if entry["observation_point"].is_string() => &["packets", "seconds"],
        "not_decoded" => &["packets", "bytes"],
        "point_down" | "runtime_silent" | "translations" | "network" | "hop" | "absent" | "renamed" => &["seconds"],
        "payload" => &["packets"],
        // What a file lacks, and what the daemon asked, nobody saw.
        _ => &[],
    };
    for amount in amounts {
        assert!(entry[amount].as_f64().is_some_and(|n| n >= 0.0), "no {amount}: {entry:#}");
    }
}

#[test]
fn a_point_that_was_down_hides_flows() {
    let link = |up: bool| json!({"link": {"point": "br-c923a982034f", "up": up}});
    hides("point_down", &[fact("47.000", &link(false)), fact("47.400", &link(true))], None);
}

#[test]
fn a_runtime_that_was_silent_hides_flows() {
    let silent = fact("47.000", &json!({"inventory": {"disconnected": {"runtime": "docker", "error": "the test"}}}));
    hides("runtime_silent", &[silent], None);
}

#[test]
fn translations_that_were_not_reported_hide_flows() {
    let unwatched = fact("47.000", &json!({"nat": {"unwatched": {"error": "the test"}}}));
    hides("translations", &[fact("46.690", &json!({"nat": {"watched": {}}})), unwatched], None);
}

#[test]
fn a_capture_that_is_cut_hides_flows() {
    hides("input", &[], Some(10));
}

#[test]
fn much_loss_hides_flows() {
    let loss = json!({"loss": {"point": "br-c923a982034f", "reason": "kernel", "count": 9,
        "since": "2026-11-24T13:17:47.600000000Z"}});
    hides("loss", &[fact("47.700", &loss)], None);
}

#[test]
fn a_loss_of_unknown_extent_is_not_known_to_be_little() {
    let loss = json!({"loss": {"point": "br-c923a982034f", "reason": "kernel", "count": 0,
        "since": "2026-11-24T13:17:47.600000000Z"}});
    let facts = [fact("47.700", &loss)];
    let (code, report) = verify(&facts, None, &[]);
    assert_eq!((code, &report["not_seen"][0]["what"]), (5, &json!("loss")), "{report:#}");
    assert_eq!(verify(&facts, None, &["--accept", "loss:the test did it"]).0, 0);
}

#[test]
fn what_a_filter_hid_leaves_nothing_verified_however_little_it_was() {
    let loss = json!({"loss": {"point": "br-c923a982034f", "reason": "filter", "count": 1,
        "since": "2026-11-24T13:17:47.600000000Z"}});
    let facts = [fact("47.700", &loss)];
    for arguments in [&[][..], &["--accept", "loss:the test did it"]] {
        let (code, report) = verify(&facts, None, arguments);
        assert_eq!((code, &report["not_seen"][0]["what"]), (5, &json!("filter")), "{arguments:?}: {report:#}");
        assert!(report["conclusion"]["text"].as_str().expect("text").contains("a filter (-f) hid them"), "{report:#}");
    }
}

#[test]
fn what_is_accepted_must_be_a_kind_that_there_is_and_needs_a_reason() {
    let asked =
        ["verify", "--workload", "app", "--through", "container:squid:3128", "--read", "captures/egress-through-proxy"];
    for (accept, says) in [("weather:rain", "it is one of loss, point_down"), ("loss", "needs a reason")] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hopwatch"));
        let output = command.args([&asked[..], &["--accept", accept]].concat()).output().expect("hopwatch runs");
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{errors}");
        assert!(errors.contains(says), "{errors}");
    }
}
