//! Every folder under `captures/` raises the alerts that its `expect.yaml` names, and no other; twice, byte by byte the same.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use crate::support::scenario::{Expectation, replay_as, replay_json};

fn scenario_folders() -> Vec<PathBuf> {
    let captures = Path::new(env!("CARGO_MANIFEST_DIR")).join("captures");
    let entries = captures.read_dir().expect("captures/ is part of the repository");
    let mut folders: Vec<_> = entries.map(|entry| entry.expect("entry").path()).filter(|path| path.is_dir()).collect();
    folders.sort();
    folders
}

/// One replay of each folder, for all tests: they take most of the time.
static REPLAYS: LazyLock<BTreeMap<PathBuf, String>> =
    LazyLock::new(|| scenario_folders().into_iter().map(|folder| (folder.clone(), replay_json(&folder))).collect());

/// What a person reads of each, in lines.
static TEXTS: LazyLock<BTreeMap<PathBuf, String>> = LazyLock::new(|| {
    scenario_folders().into_iter().map(|folder| (folder.clone(), replay_as("text", &folder))).collect()
});

fn assert_no_line(what: &str, is_wrong: impl Fn(&str) -> bool) {
    let lines = TEXTS.iter().flat_map(|(folder, text)| text.lines().map(move |line| (folder, line)));
    let wrong: Vec<_> = lines.filter(|(_, line)| is_wrong(line)).collect();
    assert!(wrong.is_empty(), "{what}: {wrong:#?}");
}

#[test]
fn every_scenario_raises_exactly_what_it_should() {
    assert!(REPLAYS.len() >= 80, "captures/ holds a scenario for each rule, and its twin; found {}", REPLAYS.len());
    let mut wrong = Vec::new();
    for (folder, replay) in &*REPLAYS {
        let expected = Expectation::read(&folder.join("expect.yaml"));
        wrong.extend(expected.differences(replay).into_iter().map(|line| format!("{}: {line}", folder.display())));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn two_replays_are_byte_equal() {
    for (folder, replay) in &*REPLAYS {
        assert_eq!(&replay_json(folder), replay, "{}", folder.display());
    }
}

#[test]
fn every_alert_and_incident_fits_its_published_schema() {
    assert_fits("docs/alert.schema.json", "\"hopwatch.alert/1\"");
    assert_fits("docs/incident.schema.json", "\"hopwatch.incident/1\"");
}

/// `2026-11-24T10:00:00.000000001Z`, as `Timestamp` is displayed for machines.
fn has_nanoseconds(line: &str) -> bool {
    let words = line.split(|c: char| !c.is_ascii_alphanumeric() && !"-:.".contains(c));
    words.map(|word| word.trim_end_matches(|c: char| !c.is_alphanumeric())).any(|word| {
        word.len() >= 30
            && word.ends_with('Z')
            && word.contains('T')
            && word.rsplit('.').next().map(str::len) == Some(10)
    })
}

#[test]
fn times_are_shown_to_the_millisecond() {
    assert!(has_nanoseconds("it ran until 2026-11-29T04:38:45.168747751Z; nothing since"));
    assert!(!has_nanoseconds("it ran until 2026-11-29 04:38:45.168 UTC; nothing since"));
    assert_no_line("times that nobody reads", has_nanoseconds);
}

/// `1 packets`: a count of one, and a plural.
fn is_wrongly_plural(line: &str) -> bool {
    let words: Vec<&str> = line.split_whitespace().collect();
    let is_plural = |word: &str| word.len() > 2 && word.ends_with('s') && word.bytes().all(|b| b.is_ascii_lowercase());
    words.windows(2).any(|pair| {
        pair[0].trim_start_matches('(') == "1" && is_plural(pair[1].trim_end_matches(|c| "),;:.".contains(c)))
    })
}

#[test]
fn one_of_a_thing_is_singular() {
    assert!(is_wrongly_plural("objects answered at 4444/tcp (1 flows)") && is_wrongly_plural("1 packets sent"));
    assert!(!is_wrongly_plural("10.0.0.1 sends 1 packet within 1 ms, 2 flows; serial 1, stays"));
    assert_no_line("one, and a plural", is_wrongly_plural);
}

fn assert_fits(schema: &str, name: &str) {
    let schema = Path::new(env!("CARGO_MANIFEST_DIR")).join(schema);
    let schema: serde_json::Value =
        serde_json::from_str(&std::fs::read_to_string(schema).expect("schema")).expect("JSON");
    let validator = jsonschema::validator_for(&schema).expect("a valid JSON Schema");
    let mut checked = 0;
    for (folder, replay) in &*REPLAYS {
        for line in replay.lines().filter(|line| line.contains(name)) {
            let value: serde_json::Value = serde_json::from_str(line).expect("JSON");
            let errors: Vec<_> = validator.iter_errors(&value).map(|error| error.to_string()).collect();
            assert!(errors.is_empty(), "{}: {errors:?}\n{line}", folder.display());
            checked += 1;
        }
    }
    assert!(checked > 0, "no scenario wrote {name}");
}

#[test]
fn the_published_schema_is_current() {
    crate::support::assert_current(
        "docs/alert.schema.json",
        &(serde_json::to_string_pretty(&hopwatch::alert::json_schema()).expect("JSON") + "\n"),
    );
}
