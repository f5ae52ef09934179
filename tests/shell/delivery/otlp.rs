//! OpenTelemetry's protocol against a receiver that answers as the specification says.

use hopwatch::deliver::Outbox;
use hopwatch::deliver::store::{State, Store};
use hopwatch::deliver::trial;
use serde_json::{Value, json};

use super::hostile_receiver::{Answer, HostileReceiver, Request};
use super::wrong_answers::{are_failures, base, file, go_on, sink, waiting};
use super::{counters, keep};
use crate::support::patience::wait_until;

fn record(request: &Request) -> Value {
    let body: Value = serde_json::from_str(&request.text()).expect("JSON");
    body["resourceLogs"][0]["scopeLogs"][0]["logRecords"][0].clone()
}

#[test]
fn an_alert_is_a_log_record_of_this_service() {
    let folder = tempfile::tempdir().expect("a folder");
    let token = file(folder.path(), "token", "swordfish");
    let receiver = HostileReceiver::start([Answer::status(200, "{}")]);
    trial::send(&sink("otlp", &base(&receiver), &format!(", token_file: {token:?}"))).expect("taken");
    let request = receiver.wait_for(1).remove(0);
    assert_eq!((request.target(), request.header("content-type")), ("/v1/logs", Some("application/json")));
    assert_eq!(request.header("authorization"), Some("Bearer swordfish"));
    let body: Value = serde_json::from_str(&request.text()).expect("JSON");
    let resource = body["resourceLogs"][0]["resource"]["attributes"].to_string();
    assert!(resource.contains("service.name") && resource.contains("host.name"), "{resource}");
    let record = record(&request);
    assert_eq!((&record["severityNumber"], &record["eventName"]), (&21.into(), &"hopwatch.alert".into()));
    assert!(record["timeUnixNano"].is_string() && record["attributes"].is_array(), "{record}");
}

#[test]
fn only_what_the_specification_names_is_sent_again_and_what_is_rejected_is_not() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("outbox.sqlite");
    let ids = waiting(&path, "otlp", 3);
    let rejected = json!({"partialSuccess": {"rejectedLogRecords": "1", "errorMessage": "attribute too long"}});
    let receiver = HostileReceiver::start([
        Answer::status(200, &rejected.to_string()),
        Answer::status(500, "broken"),
        Answer::status(503, "").with("Retry-After", "1"),
        Answer::status(200, ""),
    ]);
    let outbox = go_on(&path, &sink("otlp", &base(&receiver), ""));
    let requests = receiver.wait_for(4);
    let counters = counters(&outbox);
    wait_until("the third is delivered", || counters.delivered_total() == 1 && counters.waiting() == 0);
    assert_eq!(record(&requests[2]), record(&requests[3]), "a 503 took nothing, so that nothing is marked");
    let listed = Store::visit(&path).expect("opens beside").list(None, 10).expect("listed");
    let dead: Vec<_> = listed.iter().map(|one| (one.state, &one.id)).collect();
    assert_eq!(dead, [(State::Dead, &ids[0]), (State::Dead, &ids[1])]);
    assert!(listed[0].error.as_deref().is_some_and(|why| why.contains("attribute too long")), "{listed:?}");
}

#[test]
fn a_record_that_may_have_arrived_is_marked_when_it_is_sent_again() {
    let receiver = HostileReceiver::start([Answer::CloseInHeader, Answer::status(200, "{}")]);
    let mut outbox = Outbox::start(vec![sink("otlp", &base(&receiver), "")], None).expect("started");
    keep(&mut outbox, 0);
    let requests = receiver.wait_for(2);
    let is_marked = requests.iter().map(|request| request.text().contains("hopwatch.redelivered"));
    assert_eq!(is_marked.collect::<Vec<_>>(), [false, true]);
}

#[test]
fn wrong_answers_are_no_deliveries_and_repeat_no_secret() {
    let folder = tempfile::tempdir().expect("a folder");
    let token = file(folder.path(), "token", "swordfish");
    are_failures("otlp", &[], &format!(", token_file: {token:?}"), "swordfish");
}
