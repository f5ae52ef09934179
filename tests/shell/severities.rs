//! `severities` of the configuration: what a rule's findings are worth, by rule and workload, and that the alert says so.

use std::path::Path;

use assert_cmd::Command;
use serde_json::Value;

const RECORDING: &str = "captures/egress-around-proxy";

/// The severity, and what the evidence says of it, of the alert about the proxy under more configuration.
fn alert_with(more: &str) -> (String, Vec<String>) {
    let folder = tempfile::tempdir().expect("a folder");
    let own = std::fs::read_to_string(Path::new(RECORDING).join("hopwatch.yaml")).expect("the configuration");
    let config = folder.path().join("hopwatch.yaml");
    std::fs::write(&config, own + more).expect("written");
    let mut command = Command::new(env!("CARGO_BIN_EXE_hopwatch"));
    let output = command.args(["replay", RECORDING, "--format", "json", "-c"]).arg(&config).output().expect("run");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let lines = String::from_utf8(output.stdout).expect("UTF-8");
    let mut lines = lines.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    let alert = lines.find(|line| line["rule"] == "egress-skips-proxy").expect("an alert");
    let evidence = alert["evidence"].as_array().expect("evidence");
    let about = evidence.iter().filter(|one| one["kind"] == "severity" || one["kind"] == "environment");
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    (text(&alert["severity"]), about.map(|one| text(&one["text"])).collect())
}

#[test]
fn a_severity_is_set_by_rule_and_workload_and_the_evidence_says_why() {
    let of = |workloads: &str| {
        format!(
            "severities:\n  - {{rule: egress-skips-proxy, {workloads}severity: critical, reason: it holds the cards}}\n"
        )
    };
    let set = "the configuration makes this critical in place of high: it holds the cards".to_owned();
    assert_eq!(alert_with(&of("")), ("critical".to_owned(), vec![set.clone()]));
    assert_eq!(alert_with(&of("workloads: [{name: \"app*\"}], ")), ("critical".to_owned(), vec![set]));
    assert_eq!(alert_with(&of("workloads: [{name: other}], ")), ("high".to_owned(), vec![]));
}

#[test]
fn an_environment_lowers_what_was_set() {
    let (severity, evidence) = alert_with(
        "severities:\n  - {rule: egress-skips-proxy, severity: critical, reason: it holds the cards}\n\
         environments:\n  test: {workloads: [{name: \"*\"}]}\n",
    );
    assert_eq!((severity.as_str(), evidence.len()), ("high", 2), "{evidence:?}");
}
