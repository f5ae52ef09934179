//! The configuration: shipped files are right, mistakes are told at their place, nothing makes it panic.
#![allow(clippy::expect_used, missing_docs, reason = "a test: a failure ends it")]

mod support;

use std::path::{Path, PathBuf};

use hopwatch::config;
use proptest::prelude::*;

fn folder(relative: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(relative)
}

fn files(relative: &str) -> Vec<PathBuf> {
    let entries = folder(relative).read_dir().expect("a folder").map(|entry| entry.expect("entry").path());
    let mut files: Vec<_> = entries.filter(|path| path.extension().is_some_and(|e| e == "yaml")).collect();
    files.sort();
    files
}

fn text(path: &Path) -> String {
    std::fs::read_to_string(path).expect("readable")
}

#[test]
fn the_shipped_file_equals_the_built_in_defaults() {
    let shipped = config::from_str("hopwatch.yaml", &text(&folder("config/hopwatch.yaml"))).expect("right");
    assert_eq!(shipped.printed, config::defaults_text());
}

#[test]
fn every_example_is_right_and_requires_something() {
    let examples = files("config/examples");
    assert!(examples.len() >= 4);
    for path in examples {
        let loaded = config::load(Some(&path)).unwrap_or_else(|error| panic!("{}", error.report(false)));
        let engine = &loaded.config.engine;
        let says_something = !engine.contracts.is_empty() || !engine.rules.unexpected_host_network.allowed.is_empty();
        assert!(says_something, "{}", path.display());
    }
}

/// Beside each `NAME.yaml` stands `NAME.txt`: what a person sees. `HOPWATCH_UPDATE=1` writes it.
#[test]
fn every_mistake_is_told_with_line_column_word_and_nearest_right_one() {
    let bad = files("tests/config");
    assert!(bad.len() >= 8);
    for path in bad {
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        let error = config::from_str(&name, &text(&path)).err().unwrap_or_else(|| panic!("{name} was accepted"));
        let expected = format!("tests/config/{}", name.replace(".yaml", ".txt"));
        support::assert_current(&expected, &error.report(false));
        for problem in error.problems() {
            assert!(problem.position().is_some(), "{name}: {problem} has no place");
        }
    }
}

#[test]
fn what_is_printed_can_be_read_again() {
    for path in files("config/examples") {
        let loaded = config::load(Some(&path)).expect("right");
        let again =
            config::from_str("printed.yaml", &loaded.printed).unwrap_or_else(|error| panic!("{}", error.report(false)));
        assert_eq!(loaded.printed, again.printed);
    }
}

#[test]
fn a_contract_about_dns_covers_the_ports_of_dns() {
    let loaded = config::load(Some(&folder("config/examples/dns-resolver.yaml"))).expect("right");
    let [contract] = &loaded.config.engine.contracts[..] else { panic!("one contract") };
    let ports: Vec<_> = contract.ports.iter().map(|spec| (spec.port, spec.protocol.map(|p| p.0))).collect();
    assert_eq!(ports, [(53, Some(17)), (53, Some(6)), (853, Some(17)), (853, Some(6))]);
}

#[test]
fn the_published_schema_is_current() {
    let schema = serde_json::to_string_pretty(&config::schema()).expect("JSON") + "\n";
    support::assert_current("config/hopwatch.schema.json", &schema);
}

#[test]
fn the_reference_is_current() {
    support::assert_current("docs/configuration.md", &config::reference());
}

#[test]
fn the_published_schema_accepts_the_shipped_files() {
    let validator = jsonschema::validator_for(&config::schema()).expect("a valid JSON Schema");
    for path in files("config/examples").into_iter().chain([folder("config/hopwatch.yaml")]) {
        let value: serde_json::Value = serde_saphyr::from_str(&text(&path)).expect("YAML");
        let errors: Vec<_> = validator.iter_errors(&value).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{}: {errors:?}", path.display());
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn no_text_makes_it_panic(at in 0.0..1.0_f64, cut in 0..40_usize, inserted in "[\\PC\\n\\t:{}\\[\\]&*!|>'\"-]{0,12}") {
        let whole = text(&folder("config/examples/complete.yaml"));
        let clamp = |index: usize| whole.floor_char_boundary(index.min(whole.len()));
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
        let start = clamp((at * whole.len() as f64) as usize);
        let end = clamp(start + cut);
        let mutated = format!("{}{inserted}{}", &whole[..start], &whole[end..]);
        if let Err(error) = config::from_str("mutated.yaml", &mutated) {
            prop_assert!(!error.report(false).is_empty());
        }
    }
}
