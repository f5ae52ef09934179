//! Delivery to receivers: one that misbehaves in every way, and real ones (rsyslog, Alertmanager) where they are installed.

mod elasticsearch;
mod hostile_receiver;
mod loki;
mod otlp;
mod real_receivers;
mod splunk;
mod wrong_answers;

use std::path::Path;
use std::sync::Arc;

use hopwatch::config::{self, SinkConfig};
use hopwatch::deliver::store::{State, Store};
use hopwatch::deliver::{Outbox, Routes, trial};
use hopwatch::sink_counters::SinkCounters;
use hopwatch::time::Timestamp;

use crate::support::patience::wait_until;
use hostile_receiver::{Answer, HostileReceiver, Request};

/// The sinks of a configuration.
fn sinks(text: &str) -> Vec<SinkConfig> {
    config::from_str("test.yaml", text).map_err(|error| format!("{error:?}")).expect("a configuration").config.sinks
}

fn webhook(receiver: &HostileReceiver) -> String {
    format!("sinks: {{hook: {{webhook: {{url: {:?}, timeout: 500ms}}}}}}", receiver.url())
}

fn at(number: i64) -> Timestamp {
    Timestamp::from_secs(1_770_000_000 + number)
}

fn keep(outbox: &mut Outbox, number: i64) -> String {
    let alert = trial::alert(at(number));
    outbox.keep_alert(&alert).expect("kept");
    alert.id
}

/// What the only sink did.
fn counters(outbox: &Outbox) -> Arc<SinkCounters> {
    outbox.routes().in_force().remove(0).1
}

fn replace(outbox: &Outbox, config: &str) {
    let prepared = Routes::prepare(sinks(config)).expect("nothing to read");
    outbox.routes().swap(prepared).expect("swapped");
}

fn key(request: &Request) -> &str {
    request.header("idempotency-key").unwrap_or_default()
}

/// Two failures a receiver: each further one waits twice as long.
#[test]
fn every_failure_that_may_pass_ends_in_one_delivery_and_a_repetition_that_may_be_one_says_so() {
    let well = || Answer::status(200, "");
    let never_arrived = [Answer::status(500, ""), Answer::status(429, "").with("Retry-After", "0"), well()];
    let may_have_arrived = [Answer::CloseAtOnce, Answer::CloseInHeader, well()];
    let was_silent = [Answer::StaySilent, Answer::status(500, ""), well()];
    let scripts =
        [(never_arrived, [false; 3]), (may_have_arrived, [false, true, true]), (was_silent, [false, true, true])];
    let begun = scripts.map(|(script, marks)| {
        let receiver = HostileReceiver::start(script);
        let mut outbox = Outbox::start(sinks(&webhook(&receiver)), None).expect("started");
        let id = keep(&mut outbox, 0);
        (receiver, outbox, id, marks)
    });
    for (receiver, outbox, id, marks) in begun {
        let requests = receiver.wait_for(3);
        assert!(requests.iter().all(|request| key(request) == format!("{id}-0")), "{requests:?}");
        let marked = requests.iter().map(|request| request.header("x-hopwatch-redelivered").is_some());
        assert_eq!(marked.collect::<Vec<_>>(), marks, "from the first that may have arrived on: {requests:?}");
        let counters = counters(&outbox);
        wait_until("it counts as delivered once", || counters.delivered_total() == 1 && counters.waiting() == 0);
        assert_eq!(counters.failures(), 2);
    }
}

#[test]
fn what_a_receiver_refuses_is_kept_for_a_person_and_holds_up_nothing() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("outbox.sqlite");
    let receiver = HostileReceiver::start([Answer::status(400, "no such field <\u{1b}[2J>"), Answer::status(200, "")]);
    let mut outbox = Outbox::start(sinks(&webhook(&receiver)), Some(&path)).expect("started");
    let (first, second) = (keep(&mut outbox, 0), keep(&mut outbox, 1));
    let requests = receiver.wait_for(2);
    assert_eq!([key(&requests[0]), key(&requests[1])], [format!("{first}-0"), format!("{second}-0")]);
    let counters = counters(&outbox);
    wait_until("the second is delivered", || counters.delivered_total() == 1);
    let listed = Store::visit(&path).expect("opens beside").list(None, 10).expect("listed");
    assert_eq!((listed.len(), listed[0].state, listed[0].id.as_str()), (1, State::Dead, first.as_str()));
    let error = listed[0].error.as_deref().unwrap_or_default();
    assert!(error.contains("400") && error.contains("no such field") && !error.contains('\u{1b}'), "{error}");
}

#[test]
fn a_redirect_is_not_followed_and_a_secret_is_sent_nowhere_else() {
    let elsewhere = HostileReceiver::start([Answer::status(200, "")]);
    let receiver = HostileReceiver::start([Answer::status(307, "").with("Location", &elsewhere.url())]);
    let mut outbox = Outbox::start(sinks(&webhook(&receiver)), None).expect("started");
    keep(&mut outbox, 0);
    receiver.wait_for(1);
    let counters = counters(&outbox);
    wait_until("it is reported", || counters.not_ready().is_some_and(|why| why.contains("307")));
    assert!(elsewhere.requests().is_empty());
}

#[test]
fn an_answer_without_end_costs_a_bounded_time_and_counts_by_its_status() {
    let receiver = HostileReceiver::start([Answer::EndlessBody, Answer::status(200, "")]);
    let mut outbox = Outbox::start(sinks(&webhook(&receiver)), None).expect("started");
    keep(&mut outbox, 0);
    let counters = counters(&outbox);
    wait_until("it is delivered", || counters.delivered_total() == 1);
}

#[test]
fn a_receiver_that_never_reads_delays_no_other() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("alerts.jsonl");
    let receiver = HostileReceiver::start(std::iter::repeat_n(Answer::NeverRead, 200));
    let text = format!(
        "sinks: {{hook: {{webhook: {{url: {:?}, timeout: 30s}}}}, file: {{file: {{path: {:?}}}}}}}",
        receiver.url(),
        file.display().to_string()
    );
    let mut outbox = Outbox::start(sinks(&text), None).expect("started");
    let ids: Vec<_> = (0..50).map(|number| keep(&mut outbox, number)).collect();
    wait_until("the file has all", || std::fs::read_to_string(&file).is_ok_and(|text| text.lines().count() == 50));
    let text = std::fs::read_to_string(&file).expect("read");
    assert!(ids.iter().zip(text.lines()).all(|(id, line)| line.contains(id)), "in order");
    // Its request lasts 30 s; the end does not wait for it.
    outbox.stop();
    let counters: Vec<_> = outbox.routes().in_force().into_iter().map(|(_, counters)| counters).collect();
    assert!(counters.iter().any(|sink| sink.name() == "hook" && sink.delivered_total() == 0));
}

#[test]
fn what_was_kept_and_not_delivered_is_delivered_by_the_next_run() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("outbox.sqlite");
    let down = HostileReceiver::start([Answer::status(503, ""), Answer::status(503, "")]);
    let ids: Vec<_> = {
        let mut outbox = Outbox::start(sinks(&webhook(&down)), Some(&path)).expect("started");
        let ids = (0..3).map(|number| keep(&mut outbox, number)).collect();
        down.wait_for(1);
        outbox.stop();
        ids
    };
    let up = HostileReceiver::start(std::iter::repeat_n(Answer::status(200, ""), 3));
    // The threads of the first run may still hold the file for a moment.
    let outbox = crate::support::patience::wait_for("the outbox is free", || {
        Outbox::start(sinks(&webhook(&up)), Some(&path)).map_err(|error| error.to_string())
    });
    let counters = counters(&outbox);
    assert!(counters.waiting() > 0 || counters.delivered_total() > 0, "what waits is known from the start");
    let mut keys: Vec<_> = up.wait_for(3).iter().map(|request| key(request).to_owned()).collect();
    keys.sort();
    assert_eq!(keys, ids.iter().map(|id| format!("{id}-0")).collect::<Vec<_>>());
    assert!(Path::new(&path).exists());
}

#[test]
fn what_a_receiver_repeats_of_a_secret_comes_into_no_log() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).expect("written");
        path.display().to_string()
    };
    let page = "<pre>Cannot POST /hook/services/T0/B0/hunter2</pre> authorization: Bearer swordfish";
    let receiver = HostileReceiver::start([Answer::status(404, page)]);
    let url = format!("{}/services/T0/B0/hunter2", receiver.url());
    let (url, token) = (file("url", &url), file("token", "swordfish"));
    let text = format!("sinks: {{hook: {{webhook: {{url_file: {url:?}, token_file: {token:?}}}}}}}");
    let why = trial::send(&sinks(&text)[0]).expect_err("404");
    assert!(why.contains("Cannot POST") && !why.contains("hunter2") && !why.contains("swordfish"), "{why}");
    let nowhere = file("url", "/services/T0/B0/hunter2");
    let text = format!("sinks: {{hook: {{webhook: {{url_file: {nowhere:?}}}}}}}");
    let why = trial::send(&sinks(&text)[0]).expect_err("it is no address");
    assert!(why.contains("url_file") && !why.contains("hunter2"), "{why}");
}

#[test]
fn a_proxy_of_the_environment_does_not_get_the_alerts() {
    let (receiver, proxy) = (HostileReceiver::start([Answer::status(200, "")]), HostileReceiver::start([]));
    let folder = tempfile::tempdir().expect("a folder");
    let config = folder.path().join("hopwatch.yaml");
    std::fs::write(&config, webhook(&receiver)).expect("written");
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_hopwatch"));
    for name in ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy", "HTTPS_PROXY"] {
        command.env(name, proxy.url());
    }
    let output = command.args(["outbox", "test", "-c"]).arg(&config).output().expect("it runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!((receiver.requests().len(), proxy.requests().len()), (1, 0));
}

#[test]
fn an_alertmanager_that_chokes_on_open_alerts_still_gets_new_ones() {
    let ok = || Answer::status(200, "");
    let receiver = HostileReceiver::start([ok(), Answer::status(500, "choked"), ok(), ok()]);
    let url = receiver.url();
    let text = format!("sinks: {{pager: {{alertmanager: {{urls: [{:?}], resend: 1s}}}}}}", url.trim_end_matches('/'));
    let mut outbox = Outbox::start(sinks(&text), None).expect("started");
    keep(&mut outbox, 0);
    receiver.wait_for(2);
    let new = keep(&mut outbox, 1);
    let requests = receiver.wait_for(3);
    assert!(String::from_utf8_lossy(&requests[2].body).contains(&new), "the new one comes before the next round");
}

#[test]
fn a_signed_request_carries_the_signature_of_its_body() {
    let folder = tempfile::tempdir().expect("a folder");
    let secret = folder.path().join("secret");
    std::fs::write(&secret, "key\n").expect("written");
    let receiver = HostileReceiver::start([Answer::status(200, "")]);
    let text = format!(
        "sinks: {{hook: {{webhook: {{url: {:?}, secret_file: {:?}}}}}}}",
        receiver.url(),
        secret.display().to_string()
    );
    let mut outbox = Outbox::start(sinks(&text), None).expect("started");
    keep(&mut outbox, 0);
    let requests = receiver.wait_for(1);
    let signature = requests[0].header("x-hopwatch-signature").expect("signed");
    assert!(signature.starts_with("t=") && signature.contains(",v1="), "{signature}");
    assert!(!String::from_utf8_lossy(&requests[0].body).contains("key_file"));
}

#[test]
fn a_sink_that_is_replaced_hands_over_what_it_could_not_deliver() {
    let (silent, next) = (HostileReceiver::start([Answer::StaySilent]), HostileReceiver::start([]));
    let mut outbox = Outbox::start(sinks(&webhook(&silent)), None).expect("started");
    let first = keep(&mut outbox, 0);
    silent.wait_for(1);
    let before = counters(&outbox);
    replace(&outbox, &webhook(&next));
    let second = keep(&mut outbox, 1);
    let requests = next.wait_for(2);
    let mut keys: Vec<_> = requests.iter().map(key).collect();
    keys.sort_unstable();
    let mut kept = [format!("{first}-0"), format!("{second}-0")];
    kept.sort_unstable();
    assert_eq!(keys, kept);
    let first = requests.iter().find(|request| key(request) == format!("{first}-0")).expect("it is there");
    assert!(first.header("x-hopwatch-redelivered").is_some(), "the silent one may have taken it");
    assert_eq!(silent.requests().len(), 1, "it is not tried again there");
    wait_until("both count", || counters(&outbox).delivered_total() == 2);
    assert!(Arc::ptr_eq(&before, &counters(&outbox)), "a sink of the same name goes on counting");
}

#[test]
fn a_sink_that_is_taken_out_and_comes_back_waits_for_its_last_attempt() {
    let receiver = HostileReceiver::start([Answer::StaySilent]);
    let config = webhook(&receiver);
    let mut outbox = Outbox::start(sinks(&config), None).expect("started");
    keep(&mut outbox, 0);
    receiver.wait_for(1);
    replace(&outbox, "sinks: {}");
    replace(&outbox, &config);
    let requests = receiver.wait_for(2);
    assert!(requests[1].header("x-hopwatch-redelivered").is_some(), "the first may have arrived: {requests:?}");
}

#[test]
fn sinks_that_are_replaced_again_and_again_deliver_each_alert_once() {
    let receiver = HostileReceiver::start([]);
    let config = webhook(&receiver);
    let mut outbox = Outbox::start(sinks(&config), None).expect("started");
    let kept: Vec<_> = (0..100)
        .map(|number| {
            if number % 5 == 0 {
                replace(&outbox, &config);
            }
            format!("{}-0", keep(&mut outbox, number))
        })
        .collect();
    let requests = receiver.wait_for(kept.len());
    wait_until("all count", || counters(&outbox).delivered_total() == 100);
    let mut keys: Vec<_> = requests.iter().map(key).collect();
    keys.sort_unstable();
    let mut kept: Vec<_> = kept.iter().map(String::as_str).collect();
    kept.sort_unstable();
    assert_eq!(keys, kept);
    assert!(requests.iter().all(|request| request.header("x-hopwatch-redelivered").is_none()));
}

#[test]
fn a_sink_that_is_taken_out_gets_nothing_more_and_one_whose_secret_is_missing_replaces_nothing() {
    let receiver = HostileReceiver::start([]);
    let mut outbox = Outbox::start(sinks(&webhook(&receiver)), None).expect("started");
    let missing = "sinks: {hook: {webhook: {url_file: /nowhere/secret}}}";
    let error = Routes::prepare(sinks(missing)).expect_err("there is no such file").to_string();
    assert!(error.contains("hook") && error.contains("/nowhere/secret"), "{error}");
    keep(&mut outbox, 0);
    receiver.wait_for(1);
    replace(&outbox, "sinks: {}");
    keep(&mut outbox, 1);
    assert!(outbox.routes().in_force().is_empty());
    replace(&outbox, &webhook(&receiver));
    keep(&mut outbox, 2);
    wait_until("it counts", || counters(&outbox).delivered_total() == 1);
    assert_eq!(receiver.requests().len(), 2, "what came meanwhile was for nobody");
}
