//! Splunk's event collector against a receiver that answers as its documentation says.

use hopwatch::deliver::store::{State, Store};
use hopwatch::deliver::trial;
use serde_json::{Value, json};

use super::counters;
use super::hostile_receiver::{Answer, HostileReceiver, Request};
use super::wrong_answers::{are_failures, base, file, go_on, sink, waiting_with};
use crate::support::patience::wait_until;

/// The collector's word.
fn said(status: u16, code: u32) -> Answer {
    Answer::status(status, &json!({"text": "said", "code": code}).to_string())
}

/// It takes the events and will acknowledge them under this number.
fn taken(ack: u64) -> Answer {
    Answer::status(200, &json!({"text": "Success", "code": 0, "ackId": ack}).to_string())
}

fn acked(ack: u64, is_acked: bool) -> Answer {
    let mut acks = serde_json::Map::new();
    acks.insert(ack.to_string(), is_acked.into());
    Answer::status(200, &json!({"acks": acks}).to_string())
}

fn events(request: &Request) -> Vec<Value> {
    request.text().lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

fn token(folder: &tempfile::TempDir) -> String {
    format!(", token_file: {:?}", file(folder.path(), "token", "5plunk-5word"))
}

#[test]
fn an_alert_is_delivered_when_it_is_acknowledged() {
    let folder = tempfile::tempdir().expect("a folder");
    let receiver = HostileReceiver::start([acked(0, false), taken(7), acked(7, false), acked(7, true)]);
    trial::send(&sink("splunk", &base(&receiver), &token(&folder))).expect("acknowledged");
    let requests = receiver.wait_for(4);
    let targets: Vec<_> = requests.iter().map(Request::target).collect();
    let (event, ack) = ("/services/collector/event", "/services/collector/ack");
    assert_eq!(targets, [ack, event, ack, ack], "it is asked first whether the token has acknowledgement");
    assert!(requests.iter().all(|request| request.header("authorization") == Some("Splunk 5plunk-5word")));
    let channel = requests[0].header("x-splunk-request-channel").expect("a channel");
    assert_eq!(channel.len(), 36, "a GUID");
    assert!(requests.iter().all(|request| request.header("x-splunk-request-channel") == Some(channel)));
    assert_eq!(requests[3].text(), r#"{"acks":[7]}"#);
    let [event] = &events(&requests[1])[..] else { panic!("one event") };
    assert_eq!(
        (&event["event"]["schema"], &event["sourcetype"]),
        (&"hopwatch.alert/1".into(), &"hopwatch:alert".into())
    );
    assert!(event["fields"].get("redelivered").is_none(), "{event}");
}

#[test]
fn what_nobody_acknowledges_is_sent_again_and_marked() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("outbox.sqlite");
    let more = token(&folder);
    let ids = waiting_with(&path, "splunk", &more, 2);
    // It restarts between the event and its acknowledgement, and knows nothing of the number any more.
    let restarted = [acked(0, false), taken(3)].into_iter().chain((0..50).map(|_| acked(3, false)));
    let receiver = HostileReceiver::start(restarted);
    let mut outbox = go_on(&path, &sink("splunk", &base(&receiver), &more));
    receiver.wait_for(4);
    // The end of the run waits for no acknowledgement: the next one can begin.
    outbox.stop();
    drop(outbox);
    let next = HostileReceiver::start([acked(0, false), taken(0), acked(0, true)]);
    let outbox = go_on(&path, &sink("splunk", &base(&next), &more));
    let counters = counters(&outbox);
    wait_until("both are delivered", || counters.delivered_total() == 2 && counters.waiting() == 0);
    let requests = next.wait_for(3);
    let keys: Vec<_> = events(&requests[1]).iter().map(|event| event["fields"].clone()).collect();
    let expected: Vec<_> =
        ids.iter().map(|id| json!({"hopwatch_key": format!("{id}-0"), "redelivered": "true"})).collect();
    assert_eq!(keys, expected);
}

#[test]
fn an_acknowledgement_that_does_not_come_in_time_is_a_failure() {
    let folder = tempfile::tempdir().expect("a folder");
    let more = format!("{}, ack_timeout: 300ms", token(&folder));
    let receiver = HostileReceiver::start([acked(0, false), taken(0), acked(0, false), said(503, 9), said(400, 10)]);
    let why = trial::send(&sink("splunk", &base(&receiver), &more)).expect_err("not acknowledged");
    assert!(why.contains("acknowledged nothing"), "{why}");
}

#[test]
fn a_token_without_acknowledgement_gets_no_event_and_may_be_used_without() {
    let folder = tempfile::tempdir().expect("a folder");
    let receiver = HostileReceiver::start([said(400, 14)]);
    let why = trial::send(&sink("splunk", &base(&receiver), &token(&folder))).expect_err("it is disabled");
    assert!(why.contains("\"code\":14"), "{why}");
    assert_eq!(receiver.requests().len(), 1, "no event that nobody acknowledges");
    let receiver = HostileReceiver::start([said(200, 0)]);
    let more = format!("{}, acknowledge: false, index: sec", token(&folder));
    trial::send(&sink("splunk", &base(&receiver), &more)).expect("taken");
    assert_eq!(events(&receiver.requests()[0])[0]["index"], "sec");
}

#[test]
fn a_bad_event_is_refused_alone_and_the_others_are_delivered() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("outbox.sqlite");
    let more = format!("{}, acknowledge: false", token(&folder));
    let ids = waiting_with(&path, "splunk", &more, 2);
    let receiver = HostileReceiver::start([said(400, 6), said(400, 6), said(200, 0)]);
    let outbox = go_on(&path, &sink("splunk", &base(&receiver), &more));
    let sizes: Vec<_> = receiver.wait_for(3).iter().map(|request| events(request).len()).collect();
    assert_eq!(sizes, [2, 1, 1]);
    let counters = counters(&outbox);
    wait_until("the other is delivered", || counters.delivered_total() == 1 && counters.waiting() == 0);
    let listed = Store::visit(&path).expect("opens beside").list(None, 10).expect("listed");
    assert_eq!((listed.len(), listed[0].state, &listed[0].id), (1, State::Dead, &ids[0]));
}

#[test]
fn wrong_answers_are_no_deliveries_and_repeat_no_secret() {
    let folder = tempfile::tempdir().expect("a folder");
    are_failures("splunk", &[acked(0, false)], &token(&folder), "5plunk-5word");
    are_failures("splunk", &[], &format!("{}, acknowledge: false", token(&folder)), "5plunk-5word");
    for (status, code) in [(200, 8), (200, 9), (503, 9), (400, 7), (401, 3), (403, 4)] {
        let receiver = HostileReceiver::start([acked(0, false), said(status, code)]);
        let why = trial::send(&sink("splunk", &base(&receiver), &token(&folder))).expect_err("an error");
        assert!(why.contains(&format!("\"code\":{code}")), "{why}");
    }
}
