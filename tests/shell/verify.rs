//! `hopwatch verify` and `hopwatch paths` on shipped captures: the answer is right, the exit code tells it, the JSON is what is published.

use std::path::Path;

use assert_cmd::Command;
use hopwatch::report::paths::Paths;
use hopwatch::report::verification::Verification;
use serde_json::Value;

const SQUID: &str = "container:squid:3128";

fn capture(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("captures").join(name).display().to_string()
}

/// How it ended and what it printed.
fn hopwatch(arguments: &[&str]) -> (i32, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hopwatch"));
    let output = command.args(arguments).env("NO_COLOR", "1").output().expect("hopwatch runs");
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!errors.contains("panicked"), "{errors}");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    (output.status.code().expect("a code"), if text.is_empty() { errors } else { text })
}

fn verify(workload: &str, hop: &str, name: &str, more: &[&str]) -> (i32, String) {
    let recording = capture(name);
    hopwatch(&[&["verify", "--workload", workload, "--through", hop, "--read", &recording][..], more].concat())
}

fn report(workload: &str, hop: &str, name: &str, more: &[&str]) -> (i32, Value) {
    let (code, text) = verify(workload, hop, name, &[&["--json"][..], more].concat());
    (code, serde_json::from_str(&text).unwrap_or_else(|error| panic!("{error}: {text}")))
}

#[test]
fn all_that_went_through_the_proxy_is_a_success_with_its_figures() {
    let (code, text) = verify("app*", SQUID, "egress-through-proxy", &[]);
    assert_eq!(code, 0, "{text}");
    assert!(text.ends_with("\nno flow bypassed hop squid: 2 of 2 flows verified\n"), "{text}");
    assert!(text.contains("peer: 10.77.1.3:3128 (squid)"), "{text}");
}

#[test]
fn what_went_around_the_proxy_is_named_with_time_tuple_community_id_and_evidence() {
    let (code, text) = verify("app*", SQUID, "egress-around-proxy", &[]);
    assert_eq!(code, 1, "{text}");
    for part in [
        "13:17:43.385 UTC app 10.77.1.10:57242 → 198.51.100.10:80 tcp, bypassed, answered",
        "1:obmi90nqP0gWeqb8k310YBpT76g=",
        "[peer] the responder 198.51.100.10:80 (tcp) is not the hop squid; that is 10.77.1.3:3128 (squid)",
    ] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
    assert!(text.ends_with("\n2 flows bypassed hop squid, to 2 destinations: 0 of 2 flows verified\n"), "{text}");
}

#[test]
fn where_nothing_of_the_workload_was_seen_nothing_can_be_said() {
    let (code, text) = verify("nosuch*", SQUID, "egress-through-proxy", &[]);
    assert_eq!(code, 5, "{text}");
    assert!(
        text.contains(
            "nothing can be said: no flow of nosuch* was seen in 620 ms (no such workload ran; there are app, squid)"
        ),
        "{text}"
    );
}

#[test]
fn a_workload_that_said_nothing_to_the_destination_is_no_success_either() {
    let (code, text) = verify("app*", SQUID, "egress-around-proxy", &["--to", "192.0.2.0/24"]);
    assert_eq!(code, 5, "{text}");
    assert!(text.contains("app was watched at br-fda3471b98d6, and sent nothing to 192.0.2.0/24"), "{text}");
}

#[test]
fn a_workload_on_a_network_that_nothing_watches_cannot_be_spoken_for() {
    let (code, report) = report("app*", SQUID, "unmonitored-macvlan", &[]);
    assert_eq!(code, 5, "{report:#}");
    assert_eq!(report["workloads"][0]["observation"], "unwatched");
    let unseen = report["not_seen"].as_array().expect("a list").iter().find(|not| not["what"] == "network");
    let unseen = unseen.expect("the network");
    assert!(unseen["text"].as_str().expect("text").contains("driver macvlan") && unseen["fix"].is_string());
    assert!(report["conclusion"]["text"].as_str().expect("text").starts_with("nothing can be said"), "{report:#}");
}

/// The capture that went through the proxy, with a loss of packets told in the middle.
fn with_loss(point: &str, count: u64) -> (i32, Value) {
    let folder = tempfile::tempdir().expect("a folder");
    let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("captures/egress-through-proxy");
    std::fs::copy(shipped.join("traffic.pcapng"), folder.path().join("traffic.pcapng")).expect("a copy");
    let mut facts = std::fs::read_to_string(shipped.join("facts.jsonl")).expect("facts");
    let loss = serde_json::json!({"schema": "hopwatch.fact/1", "at": "2026-11-24T13:17:47.700000000Z", "fact": {"loss":
        {"point": point, "reason": "kernel", "count": count, "since": "2026-11-24T13:17:47.600000000Z"}}});
    facts += &format!("{loss}\n");
    std::fs::write(folder.path().join("facts.jsonl"), facts).expect("a file");
    let recording = folder.path().display().to_string();
    let (code, text) = hopwatch(&["verify", "--workload", "app", "--through", SQUID, "--read", &recording, "--json"]);
    (code, serde_json::from_str(&text).expect("JSON"))
}

#[test]
fn losses_where_the_traffic_passes_are_told_and_too_many_leave_nothing_to_say() {
    let point = "br-c923a982034f";
    let (code, report) = with_loss(point, 0);
    let text = report["conclusion"]["text"].as_str().expect("a sentence");
    assert_eq!(code, 5, "how much was lost is not known: {text}");
    let loss = "br-c923a982034f 13:17:47.600 to 13:17:47.700 UTC: some packets, because the capture ring was full";
    assert!(text.contains(&format!("2 of 2 flows verified; but capture loss on {loss}")), "{text}");
    assert_eq!(report["not_seen"][0]["observation_point"], point);
    let (code, report) = with_loss(point, 9);
    let text = report["conclusion"]["text"].as_str().expect("a sentence");
    assert_eq!((code, report["observed"]["lost"].as_u64()), (5, Some(9)), "9 of 66 packets: {text}");
    assert!(text.starts_with("unknown whether every flow passed hop squid") && text.contains("9 packets"), "{text}");
    let (code, report) = with_loss("br-elsewhere", 9000);
    assert_eq!((code, report["observed"]["lost"].as_u64()), (0, Some(0)), "that is not where its traffic passes");
}

#[test]
fn the_hop_may_be_named_in_the_configuration_and_the_workload_by_its_parts() {
    for selector in ["name=app*", "network=apps,image=curl*", "address=10.77.1.0/24"] {
        let (code, report) = report(selector, "proxy", "egress-around-proxy", &[]);
        assert_eq!((code, &report["flows"]["bypassed"]), (1, &Value::from(2)), "{selector}: {report:#}");
        assert_eq!(report["question"]["through"]["ports"], serde_json::json!(["3128"]));
    }
}

#[test]
fn a_port_narrows_the_question() {
    let (code, report) = report("app*", "proxy", "egress-around-proxy", &["--port", "443"]);
    assert_eq!((code, report["flows"]["total"].as_u64()), (1, Some(1)), "{report:#}");
}

#[test]
fn what_is_not_understood_is_a_usage_error_that_says_what_there_is() {
    for (workload, hop, more, word) in [
        ("app*", "prxy", &[][..], "it has: proxy"),
        ("colour=red", "proxy", &[], "label.KEY"),
        ("app*", "proxy", &["--to", "inernet"], "internet, any"),
        ("app*", "proxy", &["--max-unobservable", "101"], "from 0 to 100"),
        ("app*", "proxy", &["--for", "10m"], "cannot be used with"),
    ] {
        let (code, text) = verify(workload, hop, "egress-through-proxy", more);
        assert!(code == 2 && text.contains(word), "{code}, {word}: {text}");
    }
}

fn sum(list: &Value, key: &str) -> u64 {
    list.as_array().expect("a list").iter().map(|one| one[key].as_u64().expect("a number")).sum()
}

/// Every shipped capture, asked the same question: the figures add up, agree with the exit code and fit the published schema.
#[test]
fn on_every_capture_the_figures_add_up_and_fit_the_schema() {
    let validator = jsonschema::validator_for(&Verification::json_schema()).expect("a valid JSON Schema");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("captures");
    let mut codes = std::collections::BTreeSet::new();
    for entry in folder.read_dir().expect("captures") {
        let name = entry.expect("an entry").file_name().into_string().expect("UTF-8");
        let (code, report) = report("*", "container:squid*", &name, &[]);
        let errors: Vec<_> = validator.iter_errors(&report).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{name}: {errors:?}");
        let flows = |key: &str| report["flows"][key].as_u64().expect("a number");
        let all = ["verified", "bypassed", "partial", "unobservable"].map(flows);
        assert_eq!(all.iter().sum::<u64>(), flows("total"), "{name}");
        let exceptions = sum(&report["exceptions"], "count") + report["exceptions_omitted"].as_u64().expect("a number");
        assert_eq!(exceptions, all[1] + all[2], "{name}");
        assert_eq!(sum(&report["unobservable"], "count"), all[3], "{name}");
        let by_workload = sum(&report["workloads"], "flows") + report["unattributed"].as_u64().expect("a number");
        assert_eq!(by_workload + report["workloads_omitted"].as_u64().expect("a number"), flows("total"), "{name}");
        let expected = match report["conclusion"]["outcome"].as_str().expect("a word") {
            "verified" => 0,
            "exceptions" => 1,
            _ => 5,
        };
        assert_eq!(code, expected, "{name}");
        assert_eq!(code == 1, exceptions > 0, "{name}: an exception is never passed over");
        assert!(code != 0 || all[0] > 0, "{name}: nothing seen is no success");
        codes.insert(code);
    }
    assert_eq!(codes, [0, 1, 5].into(), "the captures show all three answers");
}

#[test]
fn the_published_schemas_are_current() {
    for (path, schema) in [
        ("docs/verification.schema.json", Verification::json_schema()),
        ("docs/paths.schema.json", Paths::json_schema()),
        ("docs/incident.schema.json", hopwatch::incident::json_schema()),
    ] {
        crate::support::assert_current(path, &(serde_json::to_string_pretty(&schema).expect("JSON") + "\n"));
    }
}

#[test]
fn paths_shows_what_proves_each_contract_and_what_is_blind() {
    let (code, tree) = hopwatch(&["paths", "--read", &capture("egress-through-proxy")]);
    assert_eq!(code, 0, "{tree}");
    for part in [
        "contract egress-through-proxy (egress): can be proven",
        "app (d8076dc0bc5f) is seen at br-c923a982034f",
        "hop proxy (endpoint): squid",
        "peer: by 10.77.1.3:3128 (squid)",
    ] {
        assert!(tree.contains(part), "{part} is not in\n{tree}");
    }
    let folder = tempfile::tempdir().expect("a folder");
    let config = folder.path().join("hopwatch.yaml");
    let text = "hops: {proxy: {workloads: [{name: squid}]}}\n\
        contracts: [{name: egress, from: [{name: app}], via: [proxy]}]\n";
    std::fs::write(&config, text).expect("a file");
    let arguments = ["paths", "--read", &capture("unmonitored-macvlan"), "-c", &config.display().to_string()];
    let (code, tree) = hopwatch(&arguments);
    assert_eq!(code, 1, "a contract that cannot be proven fails a script: {tree}");
    assert!(tree.contains("contract egress (egress): has blind spots"), "{tree}");
    assert!(tree.contains("! network lan has the driver macvlan"), "{tree}");
    assert!(tree.contains("! peer: no running workload is this hop; start it"), "{tree}");
}

#[test]
fn paths_as_json_fits_its_schema() {
    let validator = jsonschema::validator_for(&Paths::json_schema()).expect("a valid JSON Schema");
    for name in ["egress-through-proxy", "dns-foreign-resolver", "unmonitored-macvlan", "churn-around-proxy"] {
        let (code, text) = hopwatch(&["paths", "--json", "--read", &capture(name)]);
        let paths: Value = serde_json::from_str(&text).expect("JSON");
        let contracts = paths["contracts"].as_array().expect("contracts");
        let expected = i32::from(contracts.iter().any(|contract| contract["whole"] == false));
        assert_eq!((code, paths["schema"].as_str()), (expected, Some("hopwatch.paths/1")), "{name}");
        let errors: Vec<_> = validator.iter_errors(&paths).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{name}: {errors:?}");
    }
}
