//! Hostile bundles and chains: nothing outside of the folder is read, nothing is believed.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Command, Output};

use hopwatch::evidence::{Chained as _, LinkKind, Links, sha256};
use hopwatch::time::Timestamp;
use serde_json::{Value, json};

const ID: &str = "2491e3e63140177f";

fn verify(folder: &Path) -> (Option<i32>, Value) {
    let output = hopwatch(&["evidence", "verify", "--json", "--dir", &folder.display().to_string()]);
    (output.status.code(), serde_json::from_slice(&output.stdout).expect("JSON"))
}

fn hopwatch(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_hopwatch")).args(args).env("NO_COLOR", "1").output().expect("hopwatch")
}

/// A bundle with one file, and a chain that names it.
fn bundle(folder: &Path, files: &Value) {
    let manifest = json!({
        "schema": "hopwatch.evidence/1", "alert": ID, "rule": "egress-skips-proxy", "severity": "high", "seq": 1,
        "previous": hopwatch::evidence::GENESIS, "made": "2026-11-24T10:00:00Z", "host": "h", "version": "0.1.0",
        "window": {"from": "2026-11-24T09:59:00Z", "to": "2026-11-24T10:00:00Z"}, "payload": "head", "points": [],
        "incomplete": ["\u{1b}[2Jveth1"], "replay": {"same_id": true}, "files": files,
    });
    let text = manifest.to_string();
    let place = folder.join(ID);
    std::fs::create_dir(&place).expect("made");
    std::fs::write(place.join("manifest.json"), &text).expect("written");
    std::fs::write(place.join("facts.jsonl"), "fact\n").expect("written");
    let link = Links::default().following(Timestamp::from_secs(1), ID, LinkKind::Written, sha256(text.as_bytes()));
    std::fs::write(folder.join("chain.jsonl"), link.line() + "\n").expect("written");
}

fn file(path: &str, bytes: &[u8]) -> Value {
    json!({"path": path, "bytes": bytes.len(), "sha256": sha256(bytes)})
}

#[test]
fn a_bundle_as_it_was_written_is_whole_and_its_text_obeys_no_terminal() {
    let folder = tempfile::tempdir().expect("a folder");
    bundle(folder.path(), &json!([file("facts.jsonl", b"fact\n")]));
    let (code, verified) = verify(folder.path());
    assert_eq!((code, &verified["bundles"][0]["state"]), (Some(0), &"whole".into()), "{verified}");
    let shown = hopwatch(&["evidence", "show", ID, "--dir", &folder.path().display().to_string()]);
    let text = String::from_utf8_lossy(&shown.stdout).into_owned();
    assert!(shown.status.success() && !text.contains('\u{1b}') && text.contains("veth1"), "{text:?}");
}

#[test]
fn what_leads_out_of_a_bundle_is_refused_and_not_read() {
    for path in ["../secret", "/etc/passwd", "..", "a/../../secret", ".hidden"] {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("secret"), "secret").expect("written");
        bundle(folder.path(), &json!([file("facts.jsonl", b"fact\n"), file(path, b"secret")]));
        let (code, verified) = verify(folder.path());
        assert_eq!(code, Some(1), "{path}");
        assert!(
            verified["bundles"][0]["wrong"][0].as_str().is_some_and(|what| what.contains("no name of a file")),
            "{verified}"
        );
    }
    let folder = tempfile::tempdir().expect("a folder");
    bundle(folder.path(), &json!([file("facts.jsonl", b"secret")]));
    std::fs::write(folder.path().join("secret"), "secret").expect("written");
    std::fs::remove_file(folder.path().join(ID).join("facts.jsonl")).expect("removed");
    symlink(folder.path().join("secret"), folder.path().join(ID).join("facts.jsonl")).expect("a link");
    assert_eq!(verify(folder.path()).0, Some(1), "a link to a file with the right content");
}

#[test]
fn files_that_are_added_folders_that_nobody_linked_and_pipes_are_found() {
    let folder = tempfile::tempdir().expect("a folder");
    bundle(folder.path(), &json!([file("facts.jsonl", b"fact\n"), file("pipe", b"")]));
    std::fs::create_dir(folder.path().join("aaaaaaaaaaaaaaaa")).expect("made");
    std::fs::write(folder.path().join(ID).join("more"), "").expect("written");
    assert!(Command::new("mkfifo").arg(folder.path().join(ID).join("pipe")).status().expect("mkfifo").success());
    let (code, verified) = verify(folder.path());
    let wrong = verified["bundles"][0]["wrong"].to_string();
    assert!(
        code == Some(1) && wrong.contains("pipe: it is no plain file") && wrong.contains("was added"),
        "{verified}"
    );
    assert_eq!(verified["bundles"][1]["state"], "unknown", "{verified}");
}

#[test]
fn an_id_that_is_none_becomes_no_path() {
    for id in ["../../etc", "2491e3e63140177F", "", "."] {
        let output = hopwatch(&["evidence", "show", "--dir", "/", "--", id]);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && text.contains("is no id of an alert"), "{id:?}: {text}");
    }
}
