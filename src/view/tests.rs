//! The view drawn into memory: what a person sees, on large and tiny terminals, with friendly and hostile names.

use std::collections::VecDeque;
use std::time::Duration;

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use super::draw::frame;
use super::*;
use crate::alert::{Alert, AlertWorkload};
use crate::detect::Severity;
use crate::engine::{FlowLine, Tally, Who, WorkloadRow};
use crate::input::{Attachment, Endpoint, FiveTuple, NetworkMode, ObservationPoint, Protocol, Workload, WorkloadId};
use crate::inventory::{AttributionMethod, Confidence, Doubt};
use crate::path::Verdict;

fn at(seconds: u64) -> Timestamp {
    "2026-11-24T10:00:00Z".parse::<Timestamp>().expect("a time").plus(Duration::from_secs(seconds))
}

fn workload(name: &str) -> Workload {
    let attachment = Attachment {
        network: "front".to_owned(),
        addresses: vec!["172.30.0.2".parse().expect("an address")],
        host_interface: Some("veth5981c7a".to_owned()),
        ..Attachment::default()
    };
    Workload {
        image: format!("registry/{name}:1"),
        image_digest: "sha256:feed".to_owned(),
        attachments: vec![attachment],
        pid: Some(7),
        ..Workload::new(WorkloadId::new(&format!("{name}0123456789abcdef")), name, crate::input::RuntimeId::DOCKER)
    }
}

fn row(name: &str, tally: Tally) -> WorkloadRow {
    let workload = Arc::new(workload(name));
    WorkloadRow {
        who: Who::Workload(workload.id.clone()),
        workload: Some(workload),
        runs: true,
        tally,
        latest: Arc::default(),
    }
}

fn tally(bytes_out: u64, flows_now: u64) -> Tally {
    Tally { bytes_out, flows_now, flows: flows_now, ..Tally::default() }
}

fn flow() -> FlowLine {
    let end = |ip: &str, port| Endpoint { ip: ip.parse().expect("an address"), port };
    FlowLine {
        at: at(3),
        point: ObservationPoint::new("br-front"),
        tuple: FiveTuple { protocol: Protocol::TCP, orig: end("172.30.0.2", 40_000), resp: end("203.0.113.9", 443) },
        source: "web".to_owned(),
        responder: "external".to_owned(),
        verdict: Some(Verdict::Bypassed),
        how: Some(AttributionMethod::Socket),
        confidence: Some(Confidence::Likely),
        why: Some(Doubt::SharedSocket),
    }
}

fn alert(name: &str) -> Alert {
    Alert {
        schema: crate::alert::SCHEMA,
        id: "feedfeedfeedfeed".to_owned(),
        update: 0,
        rule: "egress-skips-proxy",
        title: "Container traffic skipped its proxy",
        severity: Severity::High,
        first_seen: at(4),
        last_seen: at(4),
        count: 3,
        workload: Some(AlertWorkload {
            id: String::new(),
            name: name.to_owned(),
            image: String::new(),
            digest: String::new(),
            labels: BTreeMap::new(),
            runtime: "docker".to_owned(),
            compose: None,
        }),
        actor: None,
        anomaly: None,
        flow: None,
        destinations: vec![],
        destinations_new: 0,
        destinations_omitted: 0,
        contract: None,
        verdict: None,
        missing_hop: None,
        blind_spots: Vec::new(),
        witnesses: Vec::new(),
        evidence: vec![],
        attribution: None,
        sender: None,
        attack: vec![],
        seed_reference: "",
        response: vec![],
        link: String::new(),
        config_sha256: None,
        ended: false,
        is_first_of_run: true,
        condition: None,
        bundle: None,
    }
}

fn snapshot(second: u64, rows: Vec<WorkloadRow>) -> Arc<TopSnapshot> {
    Arc::new(TopSnapshot {
        at: at(second),
        started: at(0),
        packets: 1000 * second,
        bytes: 1_000_000 * second,
        points: 2,
        runtimes: BTreeMap::from([(crate::input::RuntimeId::DOCKER, true), (crate::input::RuntimeId::PODMAN, false)]),
        workloads: Arc::new(WorkloadTable { rows, alerts: vec![Arc::new(alert("web"))], folded: 0 }),
        revision: second,
        ..TopSnapshot::default()
    })
}

/// `web` talks most, `api` has the most flows, `batch` bypassed something, `idle` does nothing.
fn busy(second: u64) -> Arc<TopSnapshot> {
    let web = WorkloadRow {
        latest: Arc::new(VecDeque::from([Arc::new(flow())])),
        ..row(
            "web",
            Tally {
                confidence: [98, 1, 1],
                how: BTreeMap::from([(AttributionMethod::Address, 99)]),
                verdicts: [12, 0, 0, 3],
                alerts: [0, 1, 2, 0],
                ..tally(10_000 * second, 3)
            },
        )
    };
    let api = row("api", tally(100 * second, 50));
    let batch = row("batch", Tally { verdicts: [0, 4, 0, 0], ..tally(0, 1) });
    let outside = WorkloadRow { workload: None, who: Who::External, runs: false, ..row("-", tally(0, 2)) };
    snapshot(second, vec![row("idle", Tally::default()), api, batch, web, outside])
}

fn shown() -> Top {
    let mut top = Top::new("box");
    for second in 1..=5 {
        assert!(top.update(&busy(second)), "a new second is a new picture");
    }
    top
}

fn press(top: &mut Top, code: KeyCode) -> Act {
    top.key(KeyEvent::new(code, KeyModifiers::NONE))
}

/// First words of the table's lines, in order.
fn names(top: &mut Top) -> Vec<String> {
    let text = frame(top, 140, 40);
    let rows = text.lines().skip_while(|line| !line.starts_with("NAME")).skip(1);
    rows.take_while(|line| !line.trim().is_empty())
        .map(|l| l.split(' ').next().unwrap_or_default().to_owned())
        .collect()
}

#[test]
fn a_large_terminal_shows_everything() {
    let mut top = shown();
    let text = frame(&mut top, 140, 40);
    let head = ["hopwatch top box  up 00:00:05  10:00:05 UTC", "1.0k packets/s", "1.0MB/s", "2 interfaces", "0 lost"];
    let table = ["5 rows, by traffic", "docker connected, podman not connected"];
    for part in head.into_iter().chain(table) {
        assert!(text.contains(part), "{part} is missing:\n{text}");
    }
    let line = text.lines().find(|line| line.starts_with("web ")).expect("a line");
    let words: Vec<_> = line.split_whitespace().collect();
    let expected =
        ["web", "docker", "own", "running", "3", "0", "0", "10.0k", "12/0/0/3", "98/1/1", "address", "H2", "M1"];
    assert_eq!(words, expected, "{text}");
    assert!(
        text.contains("10:00:04 HIGH     egress-skips-proxy web 3x  Container traffic skipped its proxy"),
        "{text}"
    );
}

#[test]
fn rows_are_sorted_and_filtered() {
    let mut top = shown();
    assert_eq!(names(&mut top), ["web", "api", "batch", "external", "idle"], "by traffic, else by name");
    press(&mut top, KeyCode::Char('s'));
    assert_eq!(names(&mut top)[..2], ["api", "web"], "by flows");
    press(&mut top, KeyCode::Char('s'));
    assert_eq!(names(&mut top)[0], "web", "by alerts");
    press(&mut top, KeyCode::Char('s'));
    assert_eq!(names(&mut top)[..2], ["batch", "web"], "by bypassed flows");
    press(&mut top, KeyCode::Char('s'));
    assert_eq!(names(&mut top), ["api", "batch", "external", "idle", "web"], "by name");
    press(&mut top, KeyCode::Char('/'));
    for c in "REGISTRY/ap".chars() {
        press(&mut top, KeyCode::Char(c));
    }
    assert_eq!(names(&mut top), ["api"], "by a part of the image, in any case");
    assert!(frame(&mut top, 140, 40).contains("with \"REGISTRY/ap\" (4 hidden)"));
    press(&mut top, KeyCode::Enter);
    press(&mut top, KeyCode::Esc);
    assert_eq!(names(&mut top).len(), 5);
}

#[test]
fn the_selected_row_stays_selected_when_others_overtake_it() {
    let mut top = shown();
    press(&mut top, KeyCode::Char('j'));
    let selected = |top: &Top| top.current().map(|line| line.name().to_owned());
    assert_eq!(selected(&top).as_deref(), Some("api"));
    press(&mut top, KeyCode::Char('s'));
    assert_eq!((selected(&top).as_deref(), top.table.selected()), (Some("api"), Some(0)));
    press(&mut top, KeyCode::End);
    press(&mut top, KeyCode::Down);
    assert_eq!(top.table.selected(), Some(4), "not beyond the last");
    press(&mut top, KeyCode::Home);
    press(&mut top, KeyCode::Up);
    assert_eq!(top.table.selected(), Some(0));
}

#[test]
fn details_tell_who_it_is_and_how_its_flows_are_known() {
    let mut top = shown();
    press(&mut top, KeyCode::Enter);
    let text = frame(&mut top, 160, 40);
    let who = ["web012345678 (docker, pid 7)", "registry/web:1", "sha256:feed", "front: 172.30.0.2 on veth5981c7a"];
    let flow = [
        "10:00:03 web 172.30.0.2:40000 → external 203.0.113.9:443 tcp on br-front  bypassed",
        "by socket, likely: several processes hold the socket",
        "98 exactly, 1 likely, 1 ambiguously (address 99)",
    ];
    for part in who.into_iter().chain(flow) {
        assert!(text.contains(part), "{part} is missing:\n{text}");
    }
    press(&mut top, KeyCode::Esc);
    assert!(frame(&mut top, 160, 40).contains("latest alerts"));
}

#[test]
fn a_workload_that_joined_another_names_it() {
    let mut side = row("side", tally(0, 1));
    let joins = |id: &WorkloadId| NetworkMode::Container(id.clone());
    side.workload = Some(Arc::new(Workload { network_mode: joins(&workload("web").id), ..workload("side") }));
    let mut lost = row("tail", tally(0, 1));
    lost.workload = Some(Arc::new(Workload { network_mode: joins(&WorkloadId::new("gone")), ..workload("tail") }));
    let mut top = Top::new("box");
    top.update(&snapshot(1, vec![side, lost, row("web", tally(0, 1))]));
    let text = frame(&mut top, 140, 40);
    assert!(text.contains("with web") && text.contains("with gone"), "{text}");
}

#[test]
fn a_paused_view_stands_still_and_q_ends() {
    let mut top = shown();
    press(&mut top, KeyCode::Char('p'));
    assert!(!top.update(&busy(9)));
    assert!(frame(&mut top, 140, 40).contains("up 00:00:05") && frame(&mut top, 140, 40).contains("PAUSED"));
    press(&mut top, KeyCode::Char('p'));
    assert!(top.update(&busy(9)));
    assert_eq!(press(&mut top, KeyCode::Char('x')), Act::Nothing);
    assert_eq!(press(&mut top, KeyCode::Char('q')), Act::Quit);
    assert_eq!(top.key(KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL)), Act::Quit);
}

#[test]
fn nothing_is_drawn_again_when_nothing_changed() {
    let mut top = shown();
    assert!(!top.update(&busy(5)), "the same numbers in the same second");
    let quiet = TopSnapshot { not_ready: vec!["podman does not answer".to_owned()], ..TopSnapshot::clone(&busy(5)) };
    assert!(top.update(&Arc::new(quiet)));
    assert!(frame(&mut top, 140, 40).contains("not seen: podman does not answer"));
}

#[test]
fn tiny_terminals_show_the_table_and_nothing_panics() {
    let mut top = shown();
    let text = frame(&mut top, 20, 5);
    assert!(text.contains("hopwatch top") && text.contains("NAME") && text.contains("web"), "{text}");
    for width in [1, 2, 3, 7, 14, 20, 21, 45, 80] {
        for height in (1..12).chain([16, 24]) {
            for details in [false, true] {
                (top.details, top.help) = (details, width % 2 == 0);
                let text = frame(&mut top, width, height);
                assert!(text.lines().count() <= usize::from(height), "{width}x{height}");
            }
        }
    }
}

#[test]
fn a_hostile_name_is_shown_and_not_obeyed() {
    let evil = format!("evil\u{1b}]0;owned\u{7}\u{202e}\n漢字{}", "x".repeat(5000));
    let mut hostile = row("a", tally(1, 1));
    hostile.workload = Some(Arc::new(Workload { name: evil.clone(), image: evil.clone(), ..workload("a") }));
    let mut board = WorkloadTable { rows: vec![hostile, row("z", tally(0, 0))], ..WorkloadTable::default() };
    board.alerts.push(Arc::new(alert(&evil)));
    let snapshot = TopSnapshot {
        workloads: Arc::new(board),
        not_ready: vec![evil.clone()],
        ..TopSnapshot::clone(&snapshot(1, vec![]))
    };
    let mut top = Top::new(&evil);
    top.update(&Arc::new(snapshot));
    for details in [false, true] {
        top.details = details;
        let text = frame(&mut top, 120, 40);
        assert!(text.contains("evil\\u{1b}]0;owned\\u{7}\\u{202e}\\u{a}"), "{text}");
        assert!(!text.chars().any(|c| c != '\n' && crate::escape::is_obeyed(c)), "{text}");
        assert!(text.lines().all(|line| format::width(line) <= 120), "{text}");
        let next = text.lines().find(|line| line.starts_with("z ")).expect("the row below");
        assert_eq!(next.split_whitespace().nth(1), Some("docker"), "its columns are where they belong: {text}");
    }
}

#[test]
fn ten_thousand_rows_scroll_and_cost_a_screen() {
    let rows = (0..10_000).map(|number| row(&format!("w{number:05}"), tally(0, 1))).collect();
    let mut top = Top::new("box");
    top.update(&snapshot(1, rows));
    press(&mut top, KeyCode::End);
    let text = frame(&mut top, 100, 30);
    assert!(text.contains("w09999") && text.contains("10000 rows") && !text.contains("w00000"), "{text}");
    press(&mut top, KeyCode::PageUp);
    let page = frame(&mut top, 100, 30);
    assert!(page.contains("w09999"), "the selection moves inside the page first: {page}");
}
