//! `hopwatch observe` at the command line: every judged flow is a line, and filters leave out what was not asked for.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use assert_cmd::Command;
use hopwatch::judged_flows::json_schema;
use serde_json::Value;

struct Run {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Run {
    fn lines(&self) -> Vec<Value> {
        self.stdout.lines().map(|line| serde_json::from_str(line).expect("a JSON line")).collect()
    }
}

fn hopwatch(args: &[&str]) -> Run {
    let output = Command::new(env!("CARGO_BIN_EXE_hopwatch")).args(args).env("NO_COLOR", "1").output();
    let output = output.expect("run hopwatch");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    Run { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

fn observe(folder: &str, args: &[&str]) -> Run {
    let run = hopwatch(&[&["observe", folder], args].concat());
    assert_eq!(run.code, Some(0), "{args:?}: {}", run.stderr);
    run
}

fn captures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("captures")
}

fn capture(name: &str) -> String {
    captures().join(name).display().to_string()
}

#[test]
fn the_published_schema_is_current() {
    let schema = serde_json::to_string_pretty(&json_schema()).expect("JSON") + "\n";
    crate::support::assert_current("docs/judged-flow.schema.json", &schema);
}

/// The last verdict on each flow by each contract, as the lines of `observe` add up; and what the summary of `replay` says.
fn counts(lines: &[Value]) -> BTreeMap<(String, String), i64> {
    let mut counts: BTreeMap<_, i64> = BTreeMap::new();
    for line in lines {
        let Some(contract) = line["contract"].as_str() else { continue };
        let of = |verdict: &str| (contract.to_owned(), verdict.to_owned());
        *counts.entry(of(line["verdict"].as_str().expect("a verdict"))).or_default() += 1;
        if let Some(before) = line["revised_from"].as_str() {
            *counts.entry(of(before)).or_default() -= 1;
        }
    }
    counts.retain(|_, count| *count != 0);
    counts
}

#[test]
fn the_lines_of_every_shipped_capture_fit_the_schema_and_add_up_to_the_summary() {
    let validator = jsonschema::validator_for(&json_schema()).expect("a valid JSON Schema");
    let mut kinds = BTreeMap::<String, usize>::new();
    for entry in captures().read_dir().expect("captures") {
        let folder = entry.expect("an entry").path();
        let folder = folder.to_str().expect("UTF-8");
        let lines = observe(folder, &["--format", "jsonl"]).lines();
        for line in &lines {
            assert!(validator.is_valid(line), "{folder}: {line}");
            *kinds.entry(line["verdict"].as_str().expect("a verdict").to_owned()).or_default() += 1;
        }
        let summary = hopwatch(&["replay", folder, "--format", "json"]).lines().pop().expect("a summary");
        let mut expected = BTreeMap::new();
        for (contract, verdicts) in summary["verdicts"].as_object().expect("contracts") {
            let verdicts = verdicts.as_object().expect("verdicts").iter();
            let counted = verdicts
                .map(|(verdict, count)| ((contract.clone(), verdict.clone()), count.as_i64().expect("a count")));
            expected.extend(counted.filter(|(_, count)| *count > 0));
        }
        assert_eq!(counts(&lines), expected, "{folder}");
    }
    assert!(["verified", "bypassed", "sent_on", "uncovered"].iter().all(|kind| kinds.contains_key(*kind)), "{kinds:?}");
}

#[test]
fn a_bypass_is_found_by_each_filter() {
    let folder = capture("egress-around-proxy");
    let all = observe(&folder, &["--format", "jsonl"]).lines();
    for filter in [
        &["--verdict", "bypassed,partial"][..],
        &["--workload", "ap*", "--verdict", "bypassed"],
        &["--to", "198.51.100.0/24", "--port", "80", "--verdict", "bypassed"],
        &["--contract", "egress-*", "--verdict", "bypassed"],
    ] {
        let found = observe(&folder, &[&["--format", "jsonl"], filter].concat()).lines();
        assert!(!found.is_empty() && found.len() < all.len(), "{filter:?}: {} of {}", found.len(), all.len());
        assert!(
            found.iter().all(|line| line["verdict"] == "bypassed" && line["workload"]["name"] == "app"),
            "{filter:?}"
        );
    }
    assert_eq!(observe(&folder, &["--format", "jsonl", "-n", "1"]).lines().len(), 1);
    let first = all.iter().map(|line| line["first_seen"].as_str().expect("a time")).max().expect("lines");
    assert!(observe(&folder, &["--format", "jsonl", "--since", first]).lines().len() < all.len());
}

#[test]
fn nothing_found_is_said_and_mistakes_are_explained() {
    let folder = capture("egress-through-proxy");
    let nothing = observe(&folder, &["--workload", "nobody"]);
    assert!(
        nothing.stdout.is_empty() && nothing.stderr.contains("no judged flow is as asked for"),
        "{}",
        nothing.stderr
    );
    let wrong = hopwatch(&["observe", &folder, "--workload", "a["]);
    assert_eq!(wrong.code, Some(4));
    assert!(wrong.stderr.contains("\"a[\" is no pattern"), "{}", wrong.stderr);
    let missing = hopwatch(&["observe", "/no/such/recording"]);
    assert!(missing.code == Some(4) && missing.stderr.contains("/no/such/recording"), "{}", missing.stderr);
}

#[test]
fn a_person_reads_who_where_to_and_what_proves_it() {
    let text = observe(&capture("egress-around-proxy"), &["--format", "text", "--verdict", "bypassed"]).stdout;
    assert!(text.contains("app → 198.51.100.10:80 tcp") && text.contains("around proxy"), "{text}");
    assert!(text.contains("peer: the responder 198.51.100.10:80 (tcp) is not the hop"), "{text}");
}
