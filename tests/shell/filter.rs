//! `-f`: what it hides is counted and named, and leaves nothing verified.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::{Command, Output};

use serde_json::Value;

fn hopwatch(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hopwatch"));
    command.current_dir(env!("CARGO_MANIFEST_DIR")).args(arguments).output().expect("hopwatch runs")
}

fn json(output: &Output) -> Value {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("JSON")
}

/// Alerts and the summary of a replay.
fn replay(arguments: &[&str]) -> (Vec<Value>, Value) {
    let output = hopwatch(&[&["replay", "--format", "json"], arguments].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("text");
    let mut lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    let summary = lines.pop().expect("a summary");
    assert_eq!(summary["schema"], "hopwatch.summary/1");
    (lines, summary)
}

fn ids(alerts: &[Value]) -> BTreeSet<&str> {
    alerts.iter().map(|alert| alert["id"].as_str().expect("an id")).collect()
}

const AROUND: &str = "captures/egress-around-proxy";
const THROUGH: &str = "captures/egress-through-proxy";

#[test]
fn what_the_filter_of_flows_hides_is_counted_beside_what_it_keeps() {
    let packets = format!("{AROUND}/traffic.pcapng");
    let all = json(&hopwatch(&["flows", "--summary", &packets]));
    let tcp = json(&hopwatch(&["flows", "--summary", "-f", "tcp", &packets]));
    let rest = json(&hopwatch(&["flows", "--summary", "--filter", "not tcp", &packets]));
    let (whole, kept, other) = (&all["packets"], &tcp["packets"], &rest["packets"]);
    let number = |value: &Value| value.as_u64().expect("a number");
    assert!(number(kept) > 0 && number(other) > 0, "{tcp:#}");
    assert_eq!(number(kept) + number(other), number(whole));
    assert_eq!((&tcp["dropped"]["filter"], &rest["dropped"]["filter"]), (other, kept));
    assert_eq!((&tcp["files"][0]["packets"], &all["dropped"]["filter"]), (whole, &Value::Null));
    let words = hopwatch(&["flows", "-f", "tcp", &packets]);
    let words = String::from_utf8_lossy(&words.stderr).into_owned();
    assert!(words.contains(&format!("the filter hid {other} of {whole} packets")), "{words}");
}

#[test]
fn a_flow_that_is_kept_is_judged_and_its_alert_names_the_filter() {
    let (alerts, plain) = replay(&[AROUND]);
    assert_eq!((ids(&alerts).len(), &plain["hidden"]), (1, &Value::Null));
    let (alerts, summary) = replay(&["-f", "host 198.51.100.10 or arp", AROUND]);
    assert!(summary["hidden"].as_u64().is_some_and(|hidden| hidden > 0), "{summary:#}");
    let warning = summary["warnings"][0].as_str().expect("a warning");
    assert!(warning.contains("only what the filter \"host 198.51.100.10 or arp\" keeps is looked at"), "{warning}");
    assert_eq!(ids(&alerts).len(), 1, "it was seen to go around its hop");
    let blind = alerts[0]["blind_spots"].to_string();
    assert!(blind.contains("\"kind\":\"hidden\"") && blind.contains("a filter (-f) hid packets at "), "{blind}");
    let (_, again) = replay(&["-f", "host 198.51.100.10 or arp", AROUND]);
    assert_eq!(again, summary, "two replays say the same");
}

#[test]
fn what_is_hidden_is_never_verified_and_its_absence_proves_nothing() {
    let verdicts = |filter: &[&str]| replay(&[filter, &[THROUGH]].concat()).1;
    assert_eq!(verdicts(&[])["verdicts"]["egress-through-proxy"]["verified"], 2);
    let all = verdicts(&["-f", "len > 0"]);
    assert_eq!(
        (&all["verdicts"]["egress-through-proxy"]["verified"], &all["hidden"]),
        (&2.into(), &Value::Null),
        "it hid nothing"
    );
    // One direction only; no flow at all.
    for filter in ["src port 3128", "not tcp", "greater 1000000"] {
        let summary = verdicts(&["-f", filter]);
        assert!(summary["hidden"].as_u64().is_some_and(|hidden| hidden > 0), "{summary:#}");
        let verified = summary["verdicts"]["egress-through-proxy"]["verified"].as_u64().unwrap_or(0);
        assert_eq!(verified, 0, "{filter}: {summary:#}");
    }
}

#[test]
fn a_wrong_expression_is_an_error_of_usage_that_says_where() {
    for command in ["flows", "replay"] {
        let output = hopwatch(&[command, "-f", "tcp and prot 80", AROUND]);
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{error}");
        assert!(
            error.contains("libpcap says: ")
                && error.contains("it is a filter up to \"tcp\", so look at \"and prot 80\""),
            "{error}"
        );
    }
    let output = hopwatch(&["sniff", "-f", "vlan 7"]);
    let error = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && error.contains("the kernel takes the tag off"), "{error}");
    let output = hopwatch(&["verify", "-f", "tcp", "--read", AROUND]);
    assert_eq!(output.status.code(), Some(2), "what is hidden cannot be verified, so it has no filter");
}

#[test]
fn a_recording_that_was_made_with_a_filter_says_so_when_it_is_replayed() {
    let folder = tempfile::tempdir().expect("a folder");
    for name in ["traffic.pcapng", "facts.jsonl", "hopwatch.yaml"] {
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join(THROUGH).join(name);
        std::fs::copy(shipped, folder.path().join(name)).expect("a copy");
    }
    let facts = folder.path().join("facts.jsonl");
    let lost = r#"{"schema":"hopwatch.fact/1","at":"2026-11-24T13:17:47.700000000Z","fact":{"loss":{"point":"br-c923a982034f","reason":"filter","count":3,"since":"2026-11-24T13:17:47.600000000Z"}}}"#;
    let text = std::fs::read_to_string(&facts).expect("facts");
    std::fs::write(&facts, format!("{text}{lost}\n")).expect("written");
    let (_, summary) = replay(&[&folder.path().display().to_string()]);
    let warning = "a filter (-f) hid 3 packets while this was recorded; their absence proves nothing";
    assert!(summary["warnings"].to_string().contains(warning), "{summary:#}");
}
