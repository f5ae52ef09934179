//! `hopwatch alerts`: what is kept is found, shown as it was, and decided about.

use std::path::Path;

use assert_cmd::Command;
use hopwatch::alert::Alert;
use hopwatch::deliver::{Outbox, trial};
use hopwatch::detect::Severity;
use hopwatch::time::Timestamp;

/// What `hopwatch alerts` prints, and its exit code.
fn alerts(folder: &Path, arguments: &[&str]) -> (String, i32) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hopwatch"));
    let output = command.arg("alerts").args(arguments).arg("--state-dir").arg(folder).output().expect("run hopwatch");
    let text = String::from_utf8([output.stdout, output.stderr].concat()).expect("UTF-8");
    (text, output.status.code().unwrap_or(-1))
}

fn states(folder: &Path) -> Vec<(String, String)> {
    let (text, _) = alerts(folder, &["list", "--all", "--json"]);
    let listed: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let text = |value: &serde_json::Value| value.as_str().unwrap_or_default().to_owned();
    let listed = listed.as_array().expect("a list").iter();
    listed.map(|one| (text(&one["alert"]["id"]), text(&one["state"]))).collect()
}

fn keep(outbox: &mut Outbox, alert: &Alert) {
    outbox.keep_alert(alert).expect("kept");
}

#[test]
fn an_alert_is_kept_without_a_sink_and_people_note_what_they_decide() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut outbox = Outbox::start(Vec::new(), Some(&folder.path().join("outbox.sqlite"))).expect("started");
    let first = Alert { severity: Severity::High, ..trial::alert(Timestamp::from_secs(1_770_000_000)) };
    let second = trial::alert(Timestamp::from_secs(1_770_000_009));
    keep(&mut outbox, &first);
    keep(&mut outbox, &second);
    let (text, code) = alerts(folder.path(), &["list"]);
    assert_eq!(code, 0, "{text}");
    assert!(text.find(&second.id) < text.find(&first.id) && text.contains("critical"), "the latest first: {text}");
    let (text, _) = alerts(folder.path(), &["list", "--severity", "critical"]);
    assert!(text.contains(&second.id) && !text.contains(&first.id), "{text}");

    let (text, code) = alerts(folder.path(), &["ack", &first.id, "--by", "night shift", "--why", "looking\u{1b}[2J"]);
    assert_eq!((code, text.contains("is acknowledged by night shift")), (0, true), "{text}");
    let (text, _) = alerts(folder.path(), &["show", &first.id[..15]]);
    assert!(text.contains("Test of delivery") && text.contains("acknowledged by night shift"), "{text}");
    assert!(!text.contains('\u{1b}'), "no escape of a person's reason reaches the terminal: {text}");
    assert_eq!(states(folder.path())[1], (first.id.clone(), "acknowledged".to_owned()));
    keep(&mut outbox, &Alert { update: 1, count: 5, ..first.clone() });
    assert_eq!(states(folder.path())[0], (first.id.clone(), "acknowledged".to_owned()), "more of the same");
    keep(&mut outbox, &Alert { update: 2, severity: Severity::Critical, ..first.clone() });
    assert_eq!(states(folder.path())[0], (first.id.clone(), "open".to_owned()), "it got worse");

    let (_, code) = alerts(folder.path(), &["close", &second.id, "--why", "a test"]);
    assert_eq!(code, 0);
    assert_eq!(states(folder.path())[1], (second.id.clone(), "closed".to_owned()));
    keep(&mut outbox, &Alert { update: 1, ..second.clone() });
    assert_eq!(states(folder.path())[0], (second.id.clone(), "open".to_owned()), "it goes on");
    let (text, _) = alerts(folder.path(), &["show", &second.id]);
    assert!(text.contains("is open again"), "{text}");
}

#[test]
fn what_is_asked_wrongly_is_refused_with_what_to_do() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut outbox = Outbox::start(Vec::new(), Some(&folder.path().join("outbox.sqlite"))).expect("started");
    let ids = [0, 1].map(|second| {
        let alert = trial::alert(Timestamp::from_secs(1_770_000_000 + second));
        keep(&mut outbox, &alert);
        alert.id
    });
    let refused = |arguments: &[&str], wanted: &str| {
        let (text, code) = alerts(folder.path(), arguments);
        assert!(code != 0 && text.contains(wanted), "{code} {text}");
    };
    refused(&["show", "ffff"], "hopwatch alerts list --all");
    refused(&["show", &ids[0][..4]], &ids[1]);
    refused(&["ack", &ids[0], "--why", " "], "--why needs a reason");
    refused(&["show", "%"], "no alert");
}

#[test]
fn tail_prints_every_line_once_in_order() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut outbox = Outbox::start(Vec::new(), Some(&folder.path().join("outbox.sqlite"))).expect("started");
    let at = hopwatch::clock::now();
    for update in 0..3 {
        keep(&mut outbox, &Alert { update, ..trial::alert(at) });
    }
    let (text, code) = alerts(folder.path(), &["tail", "--no-follow", "--json"]);
    let updates =
        text.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).expect("JSON")["update"].clone());
    assert_eq!((updates.collect::<Vec<_>>(), code), (vec![0.into(), 1.into(), 2.into()], 0));
}
