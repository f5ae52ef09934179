//! A runtime that lies, floods, hangs or speaks nonsense: bounded, counted, told once, and never believed for more than it is.

#![allow(clippy::disallowed_methods, reason = "test code: failures panic, patience needs a clock")]

use std::fmt::Write as _;
use std::io::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::support::background_reader::BackgroundReader;
use crate::support::fake_runtime::{Answer, FakeRuntime};
use crate::support::patience::{PATIENCE, wait_for, wait_until};
use hopwatch::escape::printable;
use hopwatch::input::{InventoryEvent, NetworkMode, Workload, WorkloadState};
use hopwatch::inventory::docker::reader::{
    DockerOptions, DockerReader, MAX_ATTACHMENTS, MAX_LABEL_BYTES, MAX_LABELS, MAX_NAME,
};
use hopwatch::inventory::reader::{ReaderCounters, ReaderError, RuntimeReader as _};

const VERSION: &str = r#"{"ApiVersion":"1.41","Components":[{"Name":"Engine","Version":"20.10"}]}"#;

/// What an honest daemon with one container would say, for all that a test leaves alone.
fn honestly(path: &str, answer: Answer) {
    match path {
        "/version" => answer.json(VERSION),
        "/networks" => answer.json("[]"),
        "/containers/json" => answer.json(r#"[{"Id":"abc","Names":["/app"],"State":"running"}]"#),
        "/containers/abc/json" => answer.json(&inspect("app", "")),
        "/events" => {
            // Stays open for as long as any test takes.
            let open = answer.open();
            std::thread::sleep(PATIENCE);
            drop(open);
        }
        _ => answer.gone(),
    }
}

fn inspect(name: &str, more: &str) -> String {
    format!(
        r#"{{"Id":"abc","Name":"/{name}","State":{{"Status":"running","Pid":1,"StartedAt":"2026-11-24T12:00:00Z"}},
            "HostConfig":{{"NetworkMode":"default"}}{more}}}"#
    )
}

fn options(fake: &FakeRuntime) -> DockerOptions {
    DockerOptions { host: fake.host(), reconcile_interval: Duration::from_secs(1), ..DockerOptions::default() }
}

fn snapshot(fake: &FakeRuntime) -> (Result<Vec<InventoryEvent>, ReaderError>, Arc<ReaderCounters>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("runtime");
    let reader = DockerReader::new(options(fake));
    (runtime.block_on(reader.snapshot()), Arc::clone(reader.counters()))
}

fn only_workload(events: &[InventoryEvent]) -> &Workload {
    let [InventoryEvent::Workload(workload)] = events else { panic!("{events:?}") };
    workload
}

#[test]
fn huge_labels_names_and_lists_are_cut_and_counted() {
    let mut labels = String::new();
    let mut networks = String::new();
    for number in 0..3_000 {
        let _ = write!(labels, r#""key{number:04}{}":"{}","#, "k".repeat(20), "é".repeat(40));
        let _ = write!(networks, r#""net{number:04}":{{"IPAddress":"10.0.{}.{}"}},"#, number / 250, number % 250);
    }
    let more = format!(
        r#","Config":{{"Image":"{}","Labels":{{{}"z":"{}"}}}},"NetworkSettings":{{"Networks":{{{}"z":{{}}}}}}"#,
        "i".repeat(100_000),
        labels,
        "x".repeat(1_000_000),
        networks
    );
    let answer = inspect(&"n".repeat(50_000), &more);
    let fake = FakeRuntime::new(move |path, open| match path {
        "/containers/abc/json" => open.json(&answer),
        _ => honestly(path, open),
    });
    let (events, counters) = snapshot(&fake);
    let events = events.expect("snapshot");
    let workload = only_workload(&events);
    assert_eq!(workload.name.len(), MAX_NAME);
    assert_eq!(workload.attachments.len(), MAX_ATTACHMENTS);
    assert!(workload.labels.len() <= MAX_LABELS && workload.labels.len() > 100, "{}", workload.labels.len());
    let bytes: usize = workload.labels.iter().map(|(key, value)| key.len() + value.len()).sum();
    assert!(bytes <= MAX_LABEL_BYTES && workload.image.len() < 5_000, "{bytes}");
    let expected = (3_001 - workload.labels.len()) + (3_001 - MAX_ATTACHMENTS) + 2;
    assert_eq!(counters.truncated(), u64::try_from(expected).expect("a number"), "each is counted");
}

#[test]
fn parts_of_another_kind_than_expected_do_not_cost_the_container() {
    let fake = FakeRuntime::new(|path, open| {
        match path {
        "/containers/json" => open.json(r#"[{"Id":"abc","Names":7,"State":[],"NetworkSettings":"no"}]"#),
        "/containers/abc/json" => open.json(
            r#"{"Id":["other"],"Name":"/app","State":{"Status":"running","Pid":"12","StartedAt":9},
                "Config":{"Labels":{"good":"yes","bad":3}},"HostConfig":{"NetworkMode":"host"},"NetworkSettings":{"Networks":[]}}"#,
        ),
        _ => honestly(path, open),
    }
    });
    let (events, _) = snapshot(&fake);
    let events = events.expect("snapshot");
    let workload = only_workload(&events);
    assert_eq!((workload.id.as_str(), workload.name.as_str(), workload.pid), ("abc", "app", None));
    assert_eq!((workload.state, &workload.network_mode), (WorkloadState::Running, &NetworkMode::Host));
    assert_eq!(workload.labels.iter().map(|(k, v)| format!("{k}={v}")).collect::<Vec<_>>(), ["good=(set)"]);
}

#[test]
fn control_characters_reach_no_terminal() {
    let answer = inspect("\\u001b]0;owned\\u0007\\nroot", "");
    let fake = FakeRuntime::new(move |path, open| match path {
        "/containers/abc/json" => open.json(&answer),
        _ => honestly(path, open),
    });
    let (events, _) = snapshot(&fake);
    let events = events.expect("snapshot");
    let name = &only_workload(&events).name;
    assert!(name.contains('\u{1b}'), "a name is kept as it is: {name:?}");
    assert!(printable(name).chars().all(|character| !character.is_control()), "and shown without its controls");
}

#[test]
fn what_vanishes_between_two_calls_is_counted_and_no_id_leads_elsewhere() {
    let fake = FakeRuntime::new(|path, open| match path {
        "/containers/json" => open.json(
            r#"[{"Id":"abc","State":"running"},{"Id":"def","State":"running"},{"Id":"../images/x","State":"running"},
                {"Id":"a?b=c","State":"running"},{"Id":"abc","State":"running"}]"#,
        ),
        _ => honestly(path, open),
    });
    let (events, counters) = snapshot(&fake);
    assert_eq!(only_workload(&events.expect("snapshot")).id.as_str(), "abc");
    assert_eq!((counters.vanished(), counters.failed_requests()), (1, 0));
    let asked = fake.asked();
    assert!(asked.iter().all(|line| line.starts_with("GET /") && !line.contains("images")), "{asked:?}");
}

#[test]
fn thousands_of_networks_are_bounded_and_the_rest_is_counted() {
    let list: Vec<String> =
        (0..6_000).map(|n| format!(r#"{{"Id":"net{n:05}","Name":"n{n}","Driver":"bridge"}}"#)).collect();
    let list = format!("[{}]", list.join(","));
    let fake = FakeRuntime::new(move |path, open| match path {
        "/networks" => open.json(&list),
        _ => honestly(path, open),
    });
    let told = BackgroundReader::by(options(&fake));
    let mut networks = 0;
    told.next("the end of the list", |event| {
        networks += u32::from(matches!(event, InventoryEvent::Network(_)));
        matches!(event, InventoryEvent::Reconciled { .. }).then_some(())
    });
    assert_eq!((networks, told.counters.overflow()), (4_096, 1_904));
}

#[test]
fn an_answer_that_never_ends_is_given_up() {
    let fake = FakeRuntime::new(|path, open| match path {
        "/containers/abc/json" => {
            let mut open = open.open();
            while open.write_all(&[b' '; 16_384]).is_ok() {}
        }
        _ => honestly(path, open),
    });
    let (events, counters) = snapshot(&fake);
    assert!(events.expect("snapshot").is_empty());
    assert_eq!((counters.failed_requests(), counters.vanished()), (1, 1));

    let fake = FakeRuntime::new(|path, open| match path {
        "/networks" => {
            let mut open = open.open();
            while open.write_all(&[b'['; 16_384]).is_ok() {}
        }
        _ => honestly(path, open),
    });
    let error = snapshot(&fake).0.expect_err("no list").to_string();
    assert!(error.contains("larger than 64 MiB"), "{error}");
}

#[test]
fn deep_nesting_does_not_overflow_the_stack() {
    let fake = FakeRuntime::new(|path, open| match path {
        "/networks" => open.json(&"[".repeat(1_000_000)),
        _ => honestly(path, open),
    });
    assert!(matches!(snapshot(&fake).0, Err(ReaderError::Request { .. })));
}

#[test]
fn a_daemon_that_does_not_answer_is_told_after_a_while_and_one_that_drips_too() {
    let fake = FakeRuntime::new(|path, open| match path {
        "/networks" => {
            // A byte now and then, for ever.
            let mut open = open.open();
            while open.write_all(b" ").is_ok() {
                std::thread::sleep(Duration::from_millis(100));
            }
        }
        _ => honestly(path, open),
    });
    let began = Instant::now();
    let error = snapshot(&fake).0.expect_err("no answer").to_string();
    assert!(error.contains("no answer within 10 seconds"), "{error}");
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
}

#[test]
fn nonsense_instead_of_http_is_told_once_and_asked_again() {
    let fake = FakeRuntime::new(|_, mut open| {
        let _ = open.0.write_all(&[0, 255, 13, 10, 7, 0, 13, 10, 13, 10]);
    });
    let told = BackgroundReader::by(options(&fake));
    let error = told.next("the nonsense", |event| match event {
        InventoryEvent::Disconnected { error, .. } => Some(error.clone()),
        _ => None,
    });
    assert!(error.contains("does not speak docker's api") && !error.contains('\u{7}'), "{error}");
    wait_until("it asks again", || told.counters.reconnects() >= 3);
    assert!(told.events.try_recv().is_err(), "the same cut is not told again");
}

#[test]
fn unreadable_events_are_counted_and_a_flood_of_them_stays_bounded() {
    let fake = FakeRuntime::new(|path, open| match path {
        "/events" => {
            let mut open = open.open();
            let mut lines = "nonsense\n{}\n\n[1,2]\n".to_owned();
            for number in 0..5_000 {
                let _ = writeln!(
                    lines,
                    r#"{{"Type":"container","Action":"start","Actor":{{"ID":"c{number}"}},"timeNano":1795544860807495535}}"#
                );
            }
            let _ = open.write_all(lines.as_bytes());
            std::thread::sleep(PATIENCE);
        }
        _ => honestly(path, open),
    });
    let told = BackgroundReader::by(options(&fake));
    wait_for("all are read", || {
        if told.counters.late() >= 5_000 { Ok(()) } else { Err(format!("{:?}", told.counters.all())) }
    });
    assert_eq!((told.counters.events(), told.counters.events_ignored()), (5_003, 3));
}

#[test]
fn a_line_that_is_too_long_is_skipped_and_the_next_one_is_read() {
    let fake = FakeRuntime::new(|path, open| match path {
        "/events" => {
            let mut open = open.open();
            let event = |labels: &str| {
                format!(
                    "{{\"Type\":\"container\",\"Action\":\"pause\",\"Actor\":{{\"ID\":\"ab\",\"Attributes\":{{\"a\":\"{labels}\"}}}},\"timeNano\":4000000000000000000}}\n"
                )
            };
            let _ = open.write_all(event(&"x".repeat(2 << 20)).as_bytes());
            let _ = open.write_all(event("x").as_bytes());
            std::thread::sleep(PATIENCE);
        }
        _ => honestly(path, open),
    });
    let told = BackgroundReader::by(options(&fake));
    told.next("the second event", |event| matches!(event, InventoryEvent::Container(_)).then_some(()));
    assert_eq!((told.counters.overflow(), told.counters.container_events()), (1, 1));
}

#[test]
fn a_line_without_an_end_cuts_the_stream() {
    let fake = FakeRuntime::new(|path, open| match path {
        "/events" => {
            let mut open = open.open();
            while open.write_all(&[b'x'; 16_384]).is_ok() {}
        }
        _ => honestly(path, open),
    });
    let told = BackgroundReader::by(options(&fake));
    let error = told.next("the cut", |event| match event {
        InventoryEvent::Disconnected { error, .. } => Some(error.clone()),
        _ => None,
    });
    assert!(error.contains("event stream was cut") && error.contains("longer than 65536 KiB"), "{error}");
}
