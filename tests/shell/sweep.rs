//! `hopwatch sweep`: who else shows the pattern of an alert, in a recording and among kept alerts.

use std::path::Path;

use assert_cmd::Command;
use hopwatch::alert::{Alert, AlertWorkload, Destination};
use hopwatch::deliver::{Outbox, trial};
use hopwatch::input::{Endpoint, Protocol};
use hopwatch::time::Timestamp;
use serde_json::{Value, json};

const RECORDING: &str = "captures/churn-around-proxy";

/// Standard output, standard error and the exit code.
fn sweep(arguments: &[&str]) -> (String, String, i32) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hopwatch"));
    let output = command.arg("sweep").args(arguments).env("NO_COLOR", "1").output().expect("run hopwatch");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    (text(output.stdout), text(output.stderr), output.status.code().unwrap_or(-1))
}

fn answer(arguments: &[&str]) -> Value {
    let (text, error, code) = sweep(arguments);
    assert_eq!(code, 0, "{error}");
    serde_json::from_str(&text).unwrap_or_else(|wrong| panic!("{wrong}: {text}"))
}

/// The alerts that a recording raises, in a file.
fn raised(folder: &Path, recording: &str) -> (String, Vec<Value>) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hopwatch"));
    let output = command.args(["replay", recording, "--format", "json"]).output().expect("run hopwatch");
    let path = folder.join("alerts.jsonl");
    std::fs::write(&path, &output.stdout).expect("written");
    let lines = String::from_utf8(output.stdout).expect("UTF-8");
    let lines = lines.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    (path.display().to_string(), lines.filter(|line| line["schema"] == "hopwatch.alert/1").collect())
}

/// Who is found, what is the same, and whether it is the alert's own workload.
fn rows(answer: &Value) -> Vec<(String, String, bool)> {
    let rows = answer["found"].as_array().expect("rows").iter();
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    rows.map(|row| (text(&row["who"]["name"]), text(&row["same"]), row["is_own"] == true)).collect()
}

#[test]
fn a_recording_says_who_else_went_there_and_who_has_the_same_image() {
    let folder = tempfile::tempdir().expect("a folder");
    let (file, alerts) = raised(folder.path(), RECORDING);
    let first = alerts.first().expect("an alert");
    let id = first["id"].as_str().expect("an id");
    let found = answer(&["--alert", &file, "--like", id, "--read", RECORDING, "--json"]);
    assert_eq!((&found["schema"], &found["like"]["alert"]), (&json!("hopwatch.sweep/1"), &first["id"]));
    let rows = rows(&found);
    let own = first["workload"]["name"].as_str().expect("a workload");
    assert!(rows.iter().any(|(who, same, is_own)| who == own && same == "destination" && *is_own), "{found}");
    let others: Vec<&Value> =
        alerts.iter().filter(|alert| alert["workload"]["id"] != first["workload"]["id"]).collect();
    for other in others.iter().filter(|other| other["destinations"][0]["ip"] == first["destinations"][0]["ip"]) {
        let who = other["workload"]["name"].as_str().expect("a workload");
        assert!(rows.contains(&(who.to_owned(), "destination".to_owned(), false)), "{who}: {found}");
    }
    assert!(rows.iter().any(|(_, same, is_own)| same == "image" && !is_own), "one of several of an image: {found}");
    assert_eq!(found["others"], 7, "{found}");
    let (text, error, _) = sweep(&["--alert", &file, "--like", id, "--read", RECORDING]);
    assert!(text.contains("(its own)") && text.contains("looked at: recordings, "), "{text}{error}");
}

#[test]
fn the_fingerprint_of_the_alerts_own_flow_is_looked_for_too() {
    const GREETING: &str = "t13d3112h2_e8f1e7e78f70_b26ce05bbdd6";
    let recording = "captures/doh-skips-resolver";
    let folder = tempfile::tempdir().expect("a folder");
    let (file, _) = raised(folder.path(), recording);
    let found = answer(&["--alert", &file, "--read", recording, "--json"]);
    assert_eq!(found["like"]["fingerprints"], json!([GREETING]), "no alert names it: {found}");
    let rows = found["found"].as_array().expect("rows");
    let greeting = rows.iter().find(|row| row["same"] == "fingerprint").expect("a row");
    assert_eq!((&greeting["what"], &greeting["count"]), (&json!(GREETING), &json!(2)), "both its connections");
}

fn kept(id: &str, name: &str, to: [u8; 4]) -> Alert {
    let at = Timestamp::from_secs(1_770_000_000);
    let workload = AlertWorkload {
        id: format!("{name}{}", "0".repeat(64 - name.len())),
        name: format!("{name}\u{1b}[2J"),
        image: "app:1".into(),
        digest: String::new(),
        labels: std::collections::BTreeMap::new(),
        runtime: "docker".into(),
        compose: None,
    };
    let destination = Destination {
        endpoint: Endpoint { ip: to.into(), port: 443 },
        name: None,
        name_known_by: None,
        count: 1,
        first_seen: at,
        last_seen: at,
        protocol: Protocol::TCP,
    };
    let destinations = vec![destination];
    Alert { id: id.into(), rule: "egress-skips-proxy", workload: Some(workload), destinations, ..trial::alert(at) }
}

#[test]
fn kept_alerts_say_who_else_and_a_name_is_not_obeyed() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut outbox = Outbox::start(Vec::new(), Some(&folder.path().join("outbox.sqlite"))).expect("started");
    let near = [198, 51, 100, 10];
    for alert in [
        kept("0123456789abcdef", "aa", near),
        kept("1123456789abcdef", "bb", near),
        kept("2123456789abcdef", "cc", [203, 0, 113, 1]),
    ] {
        outbox.keep_alert(&alert).expect("kept");
    }
    let config = folder.path().join("hopwatch.yaml");
    std::fs::write(&config, "runtime: {discover: false}\n").expect("written");
    let (state, config) = (folder.path().display().to_string(), config.display().to_string());
    let (text, error, code) = sweep(&["--like", "0123", "--state-dir", &state, "-c", &config]);
    assert_eq!(code, 0, "{error}");
    assert!(text.contains("bb") && text.contains("198.51.100.10:443") && text.contains("1 other shares"), "{text}");
    assert!(!text.contains("cc") && !text.contains('\u{1b}'), "{text}");
    assert!(text.contains("3 kept alerts"), "{text}");
    let (_, error, code) = sweep(&["--like", "9", "--state-dir", &state, "-c", &config]);
    assert!(code != 0 && error.contains("alerts list"), "{error}");
}

#[test]
fn a_file_without_the_alert_is_told() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("alerts.jsonl");
    let two = [kept("0123456789abcdef", "aa", [198, 51, 100, 10]), kept("1123456789abcdef", "bb", [198, 51, 100, 10])];
    let lines: Vec<_> = two.iter().map(|alert| serde_json::to_string(alert).expect("JSON")).collect();
    std::fs::write(&path, lines.join("\n")).expect("written");
    let file = path.display().to_string();
    let refused = |arguments: &[&str]| {
        let (_, error, code) = sweep(&[arguments, &["--read", RECORDING]].concat());
        assert!(code != 0, "{arguments:?}");
        error
    };
    assert!(refused(&["--alert", &file]).contains("--like ID says which one"));
    assert!(refused(&["--alert", &file, "--like", "77"]).contains("begins with \"77\""));
    assert!(refused(&["--alert", "/nowhere"]).contains("/nowhere"));
    let (_, error, code) = sweep(&["--read", RECORDING]);
    assert!(code == 2 && error.contains("--like"), "{error}");
}
