//! What no receiver of logs should answer: none of it counts as delivered, and nothing secret is repeated.

use std::path::Path;

use hopwatch::config::SinkConfig;
use hopwatch::deliver::{Outbox, trial};

use super::hostile_receiver::{Answer, HostileReceiver};
use super::{keep, sinks};

/// A file of the folder, and its path.
pub fn file(folder: &Path, name: &str, text: &str) -> String {
    let path = folder.join(name);
    std::fs::write(&path, text).expect("written");
    path.display().to_string()
}

/// The receiver's address without a path.
pub fn base(receiver: &HostileReceiver) -> String {
    receiver.url().trim_end_matches("/hook").to_owned()
}

/// The only sink of this kind at this address.
pub fn sink(kind: &str, url: &str, more: &str) -> SinkConfig {
    sinks(&format!("sinks: {{s: {{{kind}: {{url: {url:?}, timeout: 500ms{more}}}}}}}")).remove(0)
}

/// Alerts that wait for a sink in an outbox, since nothing listened where it delivered to.
pub fn waiting(path: &Path, kind: &str, count: i64) -> Vec<String> {
    waiting_with(path, kind, "", count)
}

/// The same with what else the sink needs.
pub fn waiting_with(path: &Path, kind: &str, more: &str, count: i64) -> Vec<String> {
    let nobody = sink(kind, "http://127.0.0.1:1", more);
    let mut outbox = Outbox::start(vec![nobody], Some(path)).expect("started");
    let ids = (0..count).map(|number| keep(&mut outbox, number)).collect();
    outbox.stop();
    ids
}

/// Goes on with an outbox; the threads of the run before may still hold it for a moment.
pub fn go_on(path: &Path, sink: &SinkConfig) -> Outbox {
    crate::support::patience::wait_for("the outbox is free", || {
        Outbox::start(vec![sink.clone()], Some(path)).map_err(|error| error.to_string())
    })
}

/// Each is a failure that says what happened, and what an answer repeats of a secret is hidden.
pub fn are_failures(kind: &str, before: &[Answer], more: &str, secret: &str) {
    let elsewhere = HostileReceiver::start([]);
    let page = format!("<html>Sign in; you sent {secret}</html>");
    let wrong = [
        (Answer::CloseAtOnce, ""),
        (Answer::CloseInHeader, ""),
        (Answer::CloseInBody, "broke off"),
        (Answer::StaySilent, "timeout"),
        (Answer::NeverRead, "timeout"),
        (Answer::EndlessBody, "answered 200"),
        (Answer::status(200, &page), "Sign in"),
        (Answer::status(200, "{\"items\": [{\"crea"), "answered 200"),
        (Answer::status(200, "[]"), "answered 200"),
        (Answer::status(202, &page), "answered 202"),
        (Answer::status(307, "").with("Location", &elsewhere.url()), "307"),
        (Answer::status(401, &page), "401"),
        (Answer::status(413, &page), "413"),
        (Answer::status(500, &page), "500"),
        (Answer::status(503, &page), "503"),
    ];
    for (answer, says) in wrong {
        let receiver = HostileReceiver::start(before.iter().cloned().chain([answer.clone()]));
        let why = trial::send(&sink(kind, &base(&receiver), more)).expect_err("it was not taken");
        assert!(why.contains(says) && why.contains("127.0.0.1"), "{answer:?}: {why}");
        assert!(!why.contains(secret), "{answer:?}: {why}");
    }
    assert!(elsewhere.requests().is_empty(), "a redirect is not followed");
}
