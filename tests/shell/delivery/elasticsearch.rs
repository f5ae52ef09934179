//! Elasticsearch and `OpenSearch` against a receiver that answers as their documentation says.

use base64::prelude::{BASE64_STANDARD, Engine as _};
use hopwatch::deliver::store::{State, Store};
use hopwatch::deliver::trial;
use serde_json::{Value, json};

use super::counters;
use super::hostile_receiver::{Answer, HostileReceiver, Request};
use super::wrong_answers::{are_failures, base, file, go_on, sink, waiting};
use crate::support::patience::wait_until;

/// The answer of `_bulk` to one item each.
fn items(items: &[Value]) -> Answer {
    let items: Vec<_> = items.iter().map(|item| json!({"create": item})).collect();
    Answer::status(200, &json!({"errors": true, "items": items}).to_string())
}

fn created() -> Value {
    json!({"status": 201})
}

/// The lines of a request, two for each document.
fn lines(request: &Request) -> Vec<Value> {
    let text = request.text();
    assert!(text.ends_with('\n'), "the last line ends, too: {text}");
    text.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect()
}

#[test]
fn each_item_of_an_answer_ends_by_its_own_status() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("outbox.sqlite");
    let ids = waiting(&path, "elasticsearch", 5);
    let error = json!({"type": "document_parsing_exception", "reason": "failed to parse field [host]"});
    let busy = json!({"type": "es_rejected_execution_exception", "reason": "queue is full"});
    let receiver = HostileReceiver::start([
        items(&[
            json!({"_id": format!("{}-0", ids[0]), "status": 201}),
            json!({"_id": format!("{}-0", ids[1]), "status": 409, "error": {"type": "version_conflict_engine_exception"}}),
            json!({"status": 400, "error": error}),
            json!({"status": 429, "error": busy}),
            json!({"_id": "somebody-0", "status": 201}),
        ]),
        items(&[created(), created()]),
    ]);
    let outbox = go_on(&path, &sink("elasticsearch", &base(&receiver), ""));
    let requests = receiver.wait_for(2);
    let counters = counters(&outbox);
    wait_until("four are delivered", || counters.delivered_total() == 4 && counters.waiting() == 0);
    assert_eq!(counters.failures(), 1, "one attempt was not taken as a whole");
    let keys = |request: &Request| -> Vec<_> {
        lines(request).iter().step_by(2).map(|line| line["create"]["_id"].as_str().map(str::to_owned)).collect()
    };
    let all: Vec<_> = ids.iter().map(|id| Some(format!("{id}-0"))).collect();
    assert_eq!((keys(&requests[0]), keys(&requests[1])), (all.clone(), all[3..].to_vec()));
    let listed = Store::visit(&path).expect("opens beside").list(None, 10).expect("listed");
    assert_eq!((listed.len(), listed[0].state, &listed[0].id), (1, State::Dead, &ids[2]));
    assert!(listed[0].error.as_deref().is_some_and(|why| why.contains("failed to parse field")), "{listed:?}");
}

#[test]
fn a_document_is_created_in_the_data_stream_with_its_time_and_its_key() {
    let folder = tempfile::tempdir().expect("a folder");
    let password = file(folder.path(), "password", "swordfish\n");
    let receiver = HostileReceiver::start([items(&[created()])]);
    let more = format!(", user: hopwatch, password_file: {password:?}, data_stream: logs-alerts-edge");
    trial::send(&sink("opensearch", &base(&receiver), &more)).expect("taken");
    let request = receiver.wait_for(1).remove(0);
    assert!(request.target().starts_with("/logs-alerts-edge/_bulk?filter_path=errors,items"), "{}", request.target());
    assert_eq!(request.header("content-type"), Some("application/x-ndjson"));
    let encoded = BASE64_STANDARD.encode("hopwatch:swordfish");
    assert_eq!(request.header("authorization"), Some(format!("Basic {encoded}").as_str()));
    let [action, document] = &lines(&request)[..] else { panic!("two lines") };
    assert_eq!(action["create"]["_id"], document["event"]["id"], "the key is the id and the update");
    assert!(document["@timestamp"].is_string() && document["ecs"]["version"].is_string(), "{document}");
}

#[test]
fn a_request_that_is_too_large_is_followed_by_smaller_ones() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("outbox.sqlite");
    waiting(&path, "elasticsearch", 4);
    let well = || items(&[created(), created()]);
    let receiver = HostileReceiver::start([Answer::status(413, ""), well(), well()]);
    let outbox = go_on(&path, &sink("elasticsearch", &base(&receiver), ""));
    let sizes: Vec<_> = receiver.wait_for(3).iter().map(|request| lines(request).len() / 2).collect();
    assert_eq!(sizes, [4, 2, 2]);
    let counters = counters(&outbox);
    wait_until("all are delivered", || counters.delivered_total() == 4 && counters.waiting() == 0);
}

#[test]
fn wrong_answers_are_no_deliveries_and_repeat_no_secret() {
    let folder = tempfile::tempdir().expect("a folder");
    let key = file(folder.path(), "key", "c3dvcmRmaXNoOnN3b3JkZmlzaA==");
    are_failures("elasticsearch", &[], &format!(", api_key_file: {key:?}"), "c3dvcmRmaXNoOnN3b3JkZmlzaA==");
    let receiver = HostileReceiver::start([items(&[created()])]);
    trial::send(&sink("elasticsearch", &base(&receiver), &format!(", api_key_file: {key:?}"))).expect("taken");
    assert_eq!(receiver.requests()[0].header("authorization"), Some("ApiKey c3dvcmRmaXNoOnN3b3JkZmlzaA=="));
    for (status, says) in [(403, "cluster_block_exception"), (404, "index_not_found_exception")] {
        let item = json!({"status": status, "error": {"type": says, "reason": "no"}});
        let receiver = HostileReceiver::start([items(&[item])]);
        let why = trial::send(&sink("opensearch", &base(&receiver), "")).expect_err("a person must do something");
        assert!(why.contains(says), "{why}");
    }
    let receiver = HostileReceiver::start([items(&[])]);
    let why = trial::send(&sink("opensearch", &base(&receiver), "")).expect_err("nothing was said");
    assert!(why.contains("did not say"), "{why}");
}
