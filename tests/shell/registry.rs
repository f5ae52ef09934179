//! Every rule is whole: its strategy says something, its validation can be run, its page is current.

use std::collections::BTreeSet;
use std::path::Path;

use hopwatch::detect::{RuleMeta, rules};

/// Rules about what cannot be seen, and about hopwatch's own configuration: nobody's act, so no technique.
const ABOUT_THE_SENSOR: [&str; 2] = ["unmonitored-driver", "exception-expires"];

#[test]
fn names_are_unique_and_well_formed() {
    let names: BTreeSet<_> = rules::ALL.iter().map(|rule| rule.name).collect();
    assert_eq!(names.len(), rules::ALL.len());
    for name in names {
        assert!(name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-'), "{name}");
    }
}

#[test]
fn every_strategy_is_complete() {
    for rule in rules::ALL {
        for (section, text) in texts(rule) {
            assert!(text.split_whitespace().count() >= 5, "{}: {section} says nothing: {text:?}", rule.name);
        }
        for (section, items) in lists(rule) {
            assert!(!items.is_empty() && items.iter().all(|item| !item.trim().is_empty()), "{}: {section}", rule.name);
        }
        assert!(!rule.title.is_empty(), "{}", rule.name);
        assert_eq!(rule.techniques.is_empty(), ABOUT_THE_SENSOR.contains(&rule.name), "{}", rule.name);
        assert!(rule.techniques.iter().all(|t| t.v18.starts_with('T') && t.v19.starts_with('T')), "{}", rule.name);
    }
}

fn texts(rule: &RuleMeta) -> [(&'static str, &'static str); 5] {
    let ads = &rule.ads;
    [
        ("goal", ads.goal),
        ("categorization", ads.categorization),
        ("strategy", ads.strategy),
        ("technical context", ads.technical_context),
        ("priority", ads.priority),
    ]
}

fn lists(rule: &RuleMeta) -> [(&'static str, &'static [&'static str]); 7] {
    let ads = &rule.ads;
    [
        ("blind spots", ads.blind_spots),
        ("assumptions", ads.assumptions),
        ("false positives", ads.false_positives),
        ("true positives", ads.true_positives),
        ("benign twins", ads.benign_twins),
        ("response", ads.response),
        ("resources", ads.resources),
    ]
}

#[test]
fn every_validation_folder_exists_and_expects_the_right_thing() {
    let captures = Path::new(env!("CARGO_MANIFEST_DIR")).join("captures");
    for rule in rules::ALL {
        for (folders, fires) in [(rule.ads.true_positives, true), (rule.ads.benign_twins, false)] {
            for folder in folders {
                let expected = crate::support::scenario::Expectation::read(&captures.join(folder).join("expect.yaml"));
                let names_it = expected.alerts.iter().any(|alert| alert.rule == rule.name);
                assert_eq!(names_it, fires, "{}: captures/{folder}", rule.name);
            }
        }
    }
}

#[test]
fn every_rule_page_is_current() {
    for rule in rules::ALL {
        crate::support::assert_current(&format!("docs/rules/{}.md", rule.name), &hopwatch::cli::rule_page(rule));
    }
}
