//! `hopwatch exceptions`: listed, tried on a recording, and written from an alert.

use std::path::Path;

use assert_cmd::Command;
use hopwatch::alert::{Alert, AlertWorkload, Destination};
use hopwatch::deliver::{Outbox, trial};
use hopwatch::input::Protocol;
use hopwatch::time::Timestamp;

const RECORDING: &str = "captures/egress-around-proxy";

/// Standard output, standard error and the exit code.
fn exceptions(arguments: &[&str]) -> (String, String, i32) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hopwatch"));
    let output = command.arg("exceptions").args(arguments).env("NO_COLOR", "1").output().expect("run hopwatch");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    (text(output.stdout), text(output.stderr), output.status.code().unwrap_or(-1))
}

/// The recording's configuration and more.
fn configuration(folder: &Path, more: &str) -> String {
    let own = std::fs::read_to_string(format!("{RECORDING}/hopwatch.yaml")).expect("the configuration");
    let path = folder.join("hopwatch.yaml");
    std::fs::write(&path, own + more).expect("written");
    path.display().to_string()
}

const TWO: &str = "exceptions:
  - {name: direct, rule: egress-skips-proxy, destinations: [198.51.100.0/24], owner: web team, reason: a trial, expires: 2099-01-31}
  - {name: old, rule: dns-skips-resolver, owner: web team, reason: 'was needed once', expires: 2025-01-31}
";

/// Nobody serves metrics there.
const NOBODY: &str = "serve: {listen: \"127.0.0.1:1\"}\n";

#[test]
fn each_is_listed_with_its_state_and_its_use_and_what_it_hides_is_shown() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = configuration(folder.path(), TWO);
    let (text, error, code) = exceptions(&["list", "-c", &config, "--read", RECORDING, "--json"]);
    assert_eq!(code, 0, "{error}");
    let listing: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    assert_eq!(listing["schema"], "hopwatch.exceptions/1");
    let seen = |at: usize| {
        let one = &listing["exceptions"][at];
        (one["name"].clone(), one["state"].clone(), one["hits"].clone())
    };
    assert_eq!(seen(0), ("direct".into(), "valid".into(), 2.into()));
    assert_eq!(seen(1), ("old".into(), "expired".into(), 0.into()));
    let last: Vec<_> = [0, 1].map(|at| listing["exceptions"][at]["last_hit"].as_str().map(str::to_owned)).into();
    assert_eq!(last, [Some("2026-11-24T13:17:43.469384346Z".to_owned()), None]);
    assert!(listing["exceptions"][0]["days_left"].as_u64().is_some_and(|days| days > 20_000), "{text}");
    let (text, ..) = exceptions(&["list", "-c", &config, "--read", RECORDING]);
    assert!(text.contains("2026-11-24 13:17:43.469 UTC") && text.contains("never hit"), "{text}");
    let (text, error, _) = exceptions(&["list", "-c", &configuration(folder.path(), &(TWO.to_owned() + NOBODY))]);
    assert!(text.contains("direct") && text.contains("expired") && !text.contains("USED"), "{text}");
    assert!(
        error.contains("127.0.0.1:1/metrics") && error.contains("--read"),
        "who was asked, and what else helps: {error}"
    );

    let hidden = |name: &str| exceptions(&["test", name, "-c", &config, "--read", RECORDING, "--format", "json"]);
    let (text, error, code) = hidden("direct");
    let alert: serde_json::Value = serde_json::from_str(text.lines().next().expect("an alert")).expect("JSON");
    assert_eq!((code, &alert["rule"]), (0, &"egress-skips-proxy".into()), "{error}");
    assert!(error.contains("hides 1 alert of this recording"), "{error}");
    let (text, error, code) = hidden("old");
    assert_eq!((code, text.as_str()), (0, ""), "{error}");
    let (_, error, code) = hidden("other");
    assert!(code != 0 && error.contains("direct, old"), "{error}");
}

#[test]
fn an_alert_becomes_an_exception_that_is_bound_to_its_image_and_ends() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut outbox = Outbox::start(Vec::new(), Some(&folder.path().join("outbox.sqlite"))).expect("started");
    let at = Timestamp::from_secs(1_770_000_000);
    let digest = format!("sha256:{}", "ab".repeat(32));
    let workload = AlertWorkload {
        id: "c3c0a5bb29f4".into(),
        name: "app\n]: &x\u{9b}2J".into(),
        image: "app:1".into(),
        digest: digest.clone(),
        labels: std::collections::BTreeMap::new(),
        runtime: "docker".into(),
        compose: None,
    };
    let destination = Destination {
        endpoint: hopwatch::input::Endpoint { ip: [198, 51, 100, 10].into(), port: 443 },
        name: None,
        name_known_by: None,
        count: 1,
        first_seen: at,
        last_seen: at,
        protocol: Protocol::TCP,
    };
    let trial = trial::alert(at);
    let alert = |digest: &str| Alert {
        id: if digest.is_empty() { "0123456789abcdef" } else { "fedcba9876543210" }.into(),
        rule: "egress-skips-proxy",
        workload: Some(AlertWorkload { digest: digest.to_owned(), ..workload.clone() }),
        destinations: vec![destination.clone()],
        ..trial.clone()
    };
    outbox.keep_alert(&alert(&digest)).expect("kept");
    outbox.keep_alert(&alert("")).expect("kept");
    let state = folder.path().display().to_string();
    let why = ["--owner", "web: team", "--reason", "it's \"meant\"", "--expires", "2099-01-31", "--state-dir", &state];
    let add = |id: &str, more: &[&str]| exceptions(&[&["add", id], &why[..], more].concat());
    let (text, error, code) = add("fedc", &[]);
    assert_eq!(code, 0, "{error}");
    assert!(text.contains(&digest) && text.contains("198.51.100.10") && text.contains("\"443\""), "{text}");
    let (text, error, code) = add("0123", &[]);
    assert!(
        code == 0 && text.contains(r#"{name: "app\n]: &x\u009b2J"}"#),
        "a hostile name stays a text: {text}{error}"
    );

    let (text, error, code) = add("fedc", &["--name", "direct", "--write", &state]);
    assert_eq!(code, 0, "{error}");
    assert!(text.contains("exception-direct.yaml is written"), "{text}");
    let (_, error, code) = add("fedc", &["--name", "direct", "--write", &state]);
    assert!(code == 4 && error.contains("exception-direct.yaml"), "nothing is overwritten: {error}");
    let written = std::fs::read_to_string(folder.path().join("exception-direct.yaml")).expect("written");
    let config = configuration(folder.path(), &written);
    let (text, error, _) = exceptions(&["list", "-c", &config]);
    assert!(text.contains("direct") && text.contains("web: team"), "{text}{error}");

    let ended = ["add", "fedc", "--owner", "x", "--reason", "y", "--expires", "some day", "--state-dir", &state];
    let (_, error, code) = exceptions(&ended);
    assert!(code == 3 && error.contains("some day"), "{error}");
}

#[test]
fn what_expires_within_two_weeks_is_marked() {
    let folder = tempfile::tempdir().expect("a folder");
    let day = |days: u64| hopwatch::clock::now().plus(std::time::Duration::from_hours(days * 24 + 1));
    let one = |name: &str, days| {
        format!("  - {{name: {name}, rule: unknown-source, owner: me, reason: none, expires: \"{}\"}}\n", day(days))
    };
    let config = configuration(folder.path(), &format!("{NOBODY}exceptions:\n{}{}", one("near", 13), one("far", 14)));
    let (text, error, _) = exceptions(&["list", "-c", &config]);
    let line = |name: &str| text.lines().find(|line| line.starts_with(name)).unwrap_or_default().to_owned();
    assert!(line("near").contains("soon: expires in 13 days"), "{text}{error}");
    assert!(line("far").contains("expires in 14 days") && !line("far").contains("soon"), "{text}");
}

#[test]
fn what_expired_leaves_by_a_patch_or_in_new_files_and_no_file_is_changed() {
    let folder = tempfile::tempdir().expect("a folder");
    let old =
        "  - name: old # ours\n    rule: unknown-source\n    owner: me\n    reason: a trial\n    expires: 2025-01-31\n";
    let new = old.replace("old", "new").replace("2025", "2099");
    let config = configuration(folder.path(), &format!("exceptions:\n  # Ask Ann.\n{old}{new}# The end.\n"));
    let before = std::fs::read_to_string(&config).expect("readable");
    let (patch, error, code) = exceptions(&["expire", "-c", &config]);
    assert_eq!(code, 0, "{error}");
    let lines = |sign: &str| patch.lines().filter(|line| line.starts_with(sign) && !line.starts_with("---")).count();
    assert_eq!((lines("-"), lines("+")), (5, 1), "five lines leave, and the head of the patch: {patch}");
    assert!(patch.contains("-  - name: old # ours\n") && patch.contains("   # Ask Ann.\n"), "{patch}");
    assert!(error.contains("1 exception expired") && error.contains("patch -p1 -d /"), "{error}");

    let out = folder.path().join("out");
    std::fs::create_dir(&out).expect("a folder");
    let write = || exceptions(&["expire", "-c", &config, "--write", &out.display().to_string()]);
    let (text, error, code) = write();
    assert!(code == 0 && text.contains("without old"), "{text}{error}");
    let written = std::fs::read_to_string(out.join("hopwatch.yaml")).expect("written");
    assert_eq!(written, before.replace(old, ""));
    let (_, error, code) = write();
    assert!(code == 4 && error.contains("hopwatch.yaml"), "nothing is overwritten: {error}");
    assert_eq!(std::fs::read_to_string(&config).expect("readable"), before);

    let mut command = std::process::Command::new("patch");
    let apply = command
        .args(["-p1", "-d", "/"])
        .stdin(std::process::Stdio::piped())
        .stdout(std::process::Stdio::null())
        .spawn();
    let Ok(mut apply) = apply else { return println!("skipped: no program patch") };
    std::io::Write::write_all(&mut apply.stdin.take().expect("piped"), patch.as_bytes()).expect("written");
    assert!(apply.wait().expect("ended").success());
    assert_eq!(std::fs::read_to_string(&config).expect("readable"), written);
    let (text, _, code) = exceptions(&["expire", "-c", &config]);
    assert_eq!((text.as_str(), code), ("no exception has expired\n", 0));
}
