//! Loki against a receiver that answers as its documentation says.

use hopwatch::deliver::store::{State, Store};
use hopwatch::deliver::trial;
use serde_json::Value;

use super::counters;
use super::hostile_receiver::{Answer, HostileReceiver};
use super::wrong_answers::{are_failures, base, file, go_on, sink, waiting};
use crate::support::patience::wait_until;

#[test]
fn an_alert_is_a_line_of_its_stream_with_its_time_as_text() {
    let folder = tempfile::tempdir().expect("a folder");
    let password = file(folder.path(), "password", "swordfish");
    let receiver = HostileReceiver::start([Answer::status(204, "")]);
    let more = format!(", tenant: edge, user: hopwatch, password_file: {password:?}");
    trial::send(&sink("loki", &base(&receiver), &more)).expect("taken");
    let request = receiver.wait_for(1).remove(0);
    assert_eq!((request.target(), request.header("x-scope-orgid")), ("/loki/api/v1/push", Some("edge")));
    assert!(request.header("authorization").is_some_and(|value| value.starts_with("Basic ")));
    let body: Value = serde_json::from_str(&request.text()).expect("JSON");
    let stream = &body["streams"][0];
    let labels: Vec<_> = stream["stream"].as_object().expect("labels").keys().collect();
    assert_eq!(labels, ["host", "job", "rule", "severity"], "few, and bounded");
    let value = &stream["values"][0];
    let nanos: i64 = value[0].as_str().expect("nanoseconds are text").parse().expect("a number");
    assert!(nanos > 1_700_000_000_000_000_000, "{nanos}");
    let line: Value = serde_json::from_str(value[1].as_str().expect("a line")).expect("JSON");
    assert_eq!(line["id"], value[2]["alert_id"]);
    let all_texts = value[2].as_object().expect("metadata").values().all(Value::is_string);
    assert!(all_texts, "Loki takes nothing else: {value}");
}

#[test]
fn what_loki_finds_too_old_is_kept_with_the_reason_and_the_rest_is_delivered() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("outbox.sqlite");
    let ids = waiting(&path, "loki", 3);
    let behind =
        "entry with timestamp 2026-02-02 ignored, reason: 'entry too far behind, oldest acceptable timestamp is';";
    let receiver = HostileReceiver::start([
        Answer::status(400, behind),
        Answer::status(429, "Ingestion rate limit exceeded").with("Retry-After", "1"),
        Answer::status(204, ""),
        Answer::status(204, ""),
    ]);
    let outbox = go_on(&path, &sink("loki", &base(&receiver), ""));
    receiver.wait_for(4);
    let counters = counters(&outbox);
    wait_until("the others are delivered", || counters.delivered_total() == 2 && counters.waiting() == 0);
    let listed = Store::visit(&path).expect("opens beside").list(None, 10).expect("listed");
    assert_eq!((listed.len(), listed[0].state, &listed[0].id), (1, State::Dead, &ids[0]));
    let why = listed[0].error.as_deref().unwrap_or_default();
    assert!(
        why.contains("too far behind the newest entry of its stream") && why.contains("oldest acceptable"),
        "{why}"
    );
}

#[test]
fn wrong_answers_are_no_deliveries_and_repeat_no_secret() {
    let folder = tempfile::tempdir().expect("a folder");
    let token = file(folder.path(), "token", "swordfish");
    are_failures("loki", &[], &format!(", token_file: {token:?}"), "swordfish");
    let receiver = HostileReceiver::start([Answer::status(400, "see `limits_config.allow_structured_metadata`")]);
    let why = trial::send(&sink("loki", &base(&receiver), "")).expect_err("a setting");
    assert!(why.contains("set structured_metadata: false"), "{why}");
}
