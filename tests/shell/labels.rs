//! Labels: hidden unless they are known to hold no secret or a selector names them; selectors work in a replay.

use std::path::Path;

use assert_cmd::Command;

const INSPECT: &str = r#"[{"Id":"aa","Name":"/web","State":{"Running":true,"Pid":1},"HostConfig":{"NetworkMode":"host","Privileged":true},
    "Config":{"Image":"shop/web:1","Labels":{"tier":"front-hunter2","owner":"hunter2"}}}]"#;

const SELECTING: &str = "contracts: [{name: through, from: [{labels: {tier: 'front-*'}}], to: [any], via: [gate]}]\n\
    hops: {gate: {ports: [3128], workloads: [{name: gate}]}}\n";

/// What `hopwatch audit` of facts prints, and its log.
fn audit(folder: &Path, facts: &str, config: &str) -> (String, String) {
    let (file, yaml) = (folder.join("given"), folder.join("hopwatch.yaml"));
    std::fs::write(&file, facts).expect("written");
    std::fs::write(&yaml, config).expect("written");
    let mut command = Command::new(env!("CARGO_BIN_EXE_hopwatch"));
    command.args(["audit", "--format", "json", "--facts"]).arg(&file).arg("-c").arg(&yaml).env("NO_COLOR", "1");
    let output = command.output().expect("run hopwatch");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    let (out, log) = (text(output.stdout), text(output.stderr));
    assert_eq!(output.status.code(), Some(0), "{log}");
    (out, log)
}

#[test]
fn a_selector_sees_the_label_that_it_names_in_the_output_of_docker_inspect() {
    let folder = tempfile::tempdir().expect("a folder");
    let (text, _) = audit(folder.path(), INSPECT, SELECTING);
    assert!(text.contains("\"contract\": \"through\"") || text.contains("\"contract\":\"through\""), "{text}");
    let (text, _) = audit(folder.path(), INSPECT, &SELECTING.replace("tier: 'front-*'", "tier: 'back-*'"));
    assert!(!text.contains("through"), "{text}");
}

#[test]
fn a_selector_whose_label_is_hidden_in_a_recording_is_reported() {
    let folder = tempfile::tempdir().expect("a folder");
    let fact = r#"{"schema":"hopwatch.fact/1","at":"2026-11-24T10:00:00Z","fact":{"inventory":{"workload":{"id":"aa","name":"web","image":"x",
        "runtime":"docker","labels":{"tier":"hk1a2b3c4d:00112233445566778899aabbccddeeff"}}}}}"#;
    let (text, log) = audit(folder.path(), &fact.replace('\n', ""), SELECTING);
    let said = format!("{text}{log}");
    assert!(said.contains("the label \"tier\"") || said.contains("the label \\\"tier\\\""), "{said}");
}

#[test]
fn every_selector_of_the_configuration_shows_its_labels() {
    let text = "exceptions: [{name: e, rule: capability-raised, workload: {labels: {a: x}}, owner: kai, reason: test, expires: 2030-01-01}]\n\
        monitors: {workloads: [{labels: {b: x}}]}\nrules: {sensitive-mount: {allowed: [{labels: {c: x}}]}}\n\
        hops: {gate: {ports: [1], workloads: [{labels: {d: x}}]}}\n\
        environments: {test: {workloads: [{name: y, labels: {e: x}}]}}\n";
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("hopwatch.yaml");
    std::fs::write(&file, text).expect("written");
    let config = hopwatch::config::load(Some(&file)).expect("a configuration").config;
    assert_eq!(config.runtimes.shown_labels.names().collect::<Vec<_>>(), ["a", "b", "c", "d", "e"]);
}
