//! `hopwatch rules`: which rules detect a technique, and the layer for the ATT&CK Navigator.

use std::collections::BTreeSet;
use std::process::{Command, Output};

use hopwatch::detect::rules;
use serde_json::Value;

fn hopwatch(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_hopwatch")).arg("rules").args(args).env("NO_COLOR", "1").output().expect("it runs")
}

fn json(args: &[&str]) -> Value {
    let output = hopwatch(args);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

fn names(listed: &Value) -> BTreeSet<&str> {
    listed.as_array().expect("a list").iter().map(|rule| rule["name"].as_str().expect("a name")).collect()
}

#[test]
fn a_technique_finds_its_rules_by_either_naming_with_its_sub_techniques() {
    let listed = json(&["list", "--technique", "t1562", "--json"]);
    let found = names(&listed);
    let expected = rules::ALL.iter().filter(|rule| rule.techniques.iter().any(|one| one.v18.starts_with("T1562")));
    assert_eq!(found, expected.map(|rule| rule.name).collect());
    assert!(found.contains("startup-window") && found.len() < rules::ALL.len(), "{found:?}");
    let renamed = json(&["list", "--technique", "T1685", "--json"]);
    assert!(names(&renamed).contains("startup-window"), "as v19 names it: {renamed}");
}

#[test]
fn a_severity_and_a_technique_narrow_together_and_nothing_found_is_said() {
    let high = json(&["list", "--severity", "high", "--json"]);
    assert!(
        high.as_array()
            .expect("a list")
            .iter()
            .all(|rule| rule["severity"] == "high" || rule["severity"] == "critical")
    );
    let none = hopwatch(&["list", "--technique", "T9999"]);
    assert!(!none.status.success());
    assert!(String::from_utf8_lossy(&none.stderr).contains("hopwatch rules list"), "{none:?}");
    let wrong = hopwatch(&["list", "--technique", "1562"]);
    assert!(String::from_utf8_lossy(&wrong.stderr).contains("write it like T1562"), "{wrong:?}");
}

#[test]
fn the_layer_has_each_technique_once_with_its_rules() {
    for attack in ["18", "19"] {
        let layer = json(&["navigator", "--attack", attack]);
        assert_eq!((&layer["versions"]["attack"], &layer["versions"]["layer"]), (&attack.into(), &"4.5".into()));
        let techniques = layer["techniques"].as_array().expect("techniques");
        let ids: BTreeSet<_> = techniques.iter().map(|one| one["techniqueID"].as_str().expect("an id")).collect();
        let all = rules::ALL.iter().flat_map(|rule| rule.techniques);
        let expected: BTreeSet<_> = all.map(|one| if attack == "18" { one.v18 } else { one.v19 }).collect();
        assert_eq!((ids, techniques.len()), (expected.clone(), expected.len()));
        let proxy = techniques.iter().find(|one| one["techniqueID"] == "T1090").expect("T1090");
        assert!(proxy["comment"].as_str().is_some_and(|rules| rules.contains("egress-skips-proxy")), "{proxy}");
    }
}
