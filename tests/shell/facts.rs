//! `facts.jsonl` as others write it: its schema, the documented examples, and what is not known of a line.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use assert_cmd::Command;
use hopwatch::input::RecordedFact;
use hopwatch::inventory::configuration::ShownLabels;
use hopwatch::inventory::file::{FactsFile, fact_schema, read_facts};
use serde_json::Value;

fn root(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The lines of the documentation's examples.
fn examples() -> Vec<String> {
    let text = std::fs::read_to_string(root("docs/facts.md")).expect("the documentation");
    text.lines().filter(|line| line.starts_with("{\"schema\"")).map(str::to_owned).collect()
}

fn read(text: &str) -> Result<FactsFile, String> {
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(file.path(), text).expect("written");
    read_facts(file.path(), &ShownLabels::default()).map_err(|error| error.to_string())
}

#[test]
fn the_schema_is_current_and_every_recorded_fact_fits_it() {
    let schema = fact_schema();
    let text = serde_json::to_string_pretty(&schema).expect("JSON") + "\n";
    crate::support::assert_current("docs/facts.schema.json", &text);
    let validator = jsonschema::validator_for(schema.as_value()).expect("a valid JSON Schema");
    let mut seen = 0;
    for entry in std::fs::read_dir(root("captures")).expect("captures").flatten() {
        let Ok(text) = std::fs::read_to_string(entry.path().join("facts.jsonl")) else { continue };
        for line in text.lines() {
            let errors = errors(&validator, line);
            assert!(errors.is_empty(), "{}: {errors:?}: {line}", entry.path().display());
            seen += 1;
        }
    }
    assert!(seen > 1000, "{seen}");
}

fn errors(validator: &jsonschema::Validator, line: &str) -> Vec<String> {
    let value: Value = serde_json::from_str(line).expect("JSON");
    validator.iter_errors(&value).map(|error| error.to_string()).collect()
}

#[test]
fn every_kind_of_fact_has_an_example_that_is_read_and_written_back_alike() {
    let schema = fact_schema().to_value();
    let validator = jsonschema::validator_for(&schema).expect("a valid JSON Schema");
    let mut shown = BTreeSet::new();
    for line in examples() {
        let errors = errors(&validator, &line);
        assert!(errors.is_empty(), "{errors:?}: {line}");
        let given: Value = serde_json::from_str(&line).expect("JSON");
        let fact: RecordedFact = serde_json::from_value(given["fact"].clone()).expect("a fact");
        let written = serde_json::to_value(&fact).expect("JSON");
        assert!(holds(&written, &given["fact"]), "{line}\nis written as\n{written}");
        names(&written, &mut shown);
    }
    let missing: Vec<_> = variants(&schema).into_iter().filter(|name| !shown.contains(name)).collect();
    assert!(missing.is_empty(), "no example shows {missing:?}");
}

/// Whether everything of the second is in the first; the first may hold more defaults.
fn holds(written: &Value, given: &Value) -> bool {
    match (written, given) {
        (Value::Object(written), Value::Object(given)) => {
            given.iter().all(|(key, value)| written.get(key).is_some_and(|written| holds(written, value)))
        }
        (Value::Array(written), Value::Array(given)) => {
            written.len() == given.len() && written.iter().zip(given).all(|(written, given)| holds(written, given))
        }
        // Nanoseconds are always written.
        (Value::String(written), Value::String(given)) => {
            written == given || written.replace(".000000000Z", "Z") == *given
        }
        (written, given) => written == given,
    }
}

/// Keys and words, which the names of variants are among.
fn names(value: &Value, into: &mut BTreeSet<String>) {
    match value {
        Value::Object(map) => map.iter().for_each(|(key, value)| {
            into.insert(key.clone());
            names(value, into);
        }),
        Value::Array(list) => list.iter().for_each(|value| names(value, into)),
        Value::String(text) => drop(into.insert(text.clone())),
        _ => {}
    }
}

/// The names of all variants of all types: constants, words of a list, and the one key of an object.
fn variants(schema: &Value) -> BTreeSet<String> {
    let mut all = BTreeSet::new();
    let parts = schema["$defs"].as_object().expect("definitions").values();
    for one in parts.filter_map(|part| part["oneOf"].as_array()).flatten() {
        all.extend(one["const"].as_str().map(str::to_owned));
        all.extend(one["enum"].as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned));
        all.extend(one["required"].as_array().into_iter().flatten().filter_map(Value::as_str).map(str::to_owned));
    }
    assert!(all.contains("inventory") && all.contains("out_of_memory") && all.contains("shed"), "{all:?}");
    all
}

#[test]
fn the_examples_replay_without_a_word_of_complaint() {
    let folder = tempfile::tempdir().expect("a folder");
    let (facts, capture) = (folder.path().join("examples.jsonl"), root("captures/socket-mounted/traffic.pcapng"));
    std::fs::write(&facts, examples().join("\n") + "\n").expect("written");
    let mut command = Command::new(env!("CARGO_BIN_EXE_hopwatch"));
    command.arg("replay").arg(capture).arg("--facts").arg(&facts).args(["--format", "json"]).env("NO_COLOR", "1");
    let output = command.output().expect("run hopwatch");
    let (out, log) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert_eq!(output.status.code(), Some(0), "{log}");
    assert!(!out.contains("is not known") && !log.contains("is not known"), "{out}{log}");
}

#[test]
fn keys_that_are_not_known_are_named_with_the_nearest_and_counted() {
    let line = |id: &str| {
        format!(
            r#"{{"schema":"hopwatch.fact/1","at":"2026-11-24T10:00:00Z","fact":{{"inventory":{{"workload":{{"id":"{id}","name":"web","image":"x","runtime":"docker",
            "lables":{{"a":"b"}},"attachments":[{{"network":"apps","adresses":["10.0.0.1"]}}],"colour":1}}}}}}}}"#
        )
        .replace('\n', "")
    };
    let file = read(&format!("{}\n{}\n", line("a"), line("b"))).expect("facts");
    assert_eq!(file.inputs.len(), 2);
    let expected = [
        "line 1: the key \"fact.inventory.workload.attachments.adresses\" is not known and was left out (2 times); did you mean \"addresses\"?",
        "line 1: the key \"fact.inventory.workload.colour\" is not known and was left out (2 times)",
        "line 1: the key \"fact.inventory.workload.lables\" is not known and was left out (2 times); did you mean \"labels\"?",
    ];
    assert_eq!(file.unknown, expected);
}

#[test]
fn a_kind_that_is_not_known_is_refused_with_the_nearest() {
    let line = r#"{"schema":"hopwatch.fact/1","at":"2026-11-24T10:00:00Z","fact":{"inventry":{}}}"#;
    let refused = read(line).expect_err("no such kind");
    assert!(refused.contains("did you mean `inventory`?"), "{refused}");
    let line =
        r#"{"schema":"hopwatch.fact/1","at":"2026-11-24T10:00:00Z","fact":{"kernel":{"namespace_gon":{"netns":1}}}}"#;
    let refused = read(line).expect_err("no such kind");
    assert!(refused.contains("did you mean `namespace_gone`?"), "{refused}");
}

#[test]
fn an_inventory_with_a_key_that_is_not_known_is_read_and_the_key_named() {
    let text =
        r#"{"schema":"hopwatch.inventory/1","at":"2026-11-24T10:00:00Z","networks":[],"workloads":[],"workload":[]}"#;
    let file = read(text).expect("an inventory");
    assert_eq!(file.unknown, ["line 1: the key \"workload\" is not known and was left out"]);
}
