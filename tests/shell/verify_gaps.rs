//! More of what keeps `hopwatch verify` from saying that nothing left (see `verify_hidden.rs`): files, names, and what is easily overlooked.
//!
//! The recording is `captures/egress-through-proxy`: app asks squid twice, and nothing else leaves. What is added lies beside it as captures of the
//! same bridge.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};
use tempfile::TempDir;

use crate::support::capture::Order;

pub const BRIDGE: &str = "br-c923a982034f";
pub const APP: [u8; 4] = [10, 77, 1, 10];
const SQUID: [u8; 4] = [10, 77, 1, 3];
pub const OUTSIDE: [u8; 4] = [198, 51, 100, 10];
pub const APP_MAC: [u8; 6] = [0x02, 0x42, 0x0a, 0x4d, 0x01, 0x0a];
const SQUID_MAC: [u8; 6] = [0x02, 0x42, 0x0a, 0x4d, 0x01, 0x03];
pub const BRIDGE_MAC: [u8; 6] = [0x02, 0x42, 0x01, 0x5f, 0xfa, 0xbf];
/// 13:17:47, while the recording goes on.
pub const NOW: u32 = 1_795_526_267;
const AT: &str = "2026-11-24T13:17:47.700000000Z";

/// A copy of the good recording.
pub struct Recording(TempDir);

impl Recording {
    pub fn good() -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let shipped = Path::new(env!("CARGO_MANIFEST_DIR")).join("captures/egress-through-proxy");
        for name in ["traffic.pcapng", "facts.jsonl"] {
            std::fs::copy(shipped.join(name), folder.path().join(name)).expect("a copy");
        }
        Self(folder)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    pub fn facts(&self, change: impl FnOnce(Vec<String>) -> Vec<String>) {
        let path = self.path("facts.jsonl");
        let text = std::fs::read_to_string(&path).expect("facts");
        let lines = change(text.lines().map(str::to_owned).collect());
        std::fs::write(path, lines.join("\n") + "\n").expect("a file");
    }

    /// Adds frames at the bridge.
    fn frames(&self, frames: &[Vec<u8>]) {
        let records: Vec<_> = (200_000_u32..)
            .step_by(1000)
            .zip(frames)
            .map(|(fraction, frame)| (NOW, fraction, u32::try_from(frame.len()).expect("small"), frame.as_slice()))
            .collect();
        let file = Order(false).pcap(0xa1b2_c3d4, 1, &records);
        std::fs::write(self.path(&format!("{BRIDGE}.pcap")), file).expect("a file");
    }

    pub fn verify(&self, more: &[&str]) -> (i32, Value, String) {
        let mut command = Command::new(env!("CARGO_BIN_EXE_hopwatch"));
        command.args(["verify", "--workload", "app", "--through", "container:squid:3128", "--json", "--read"]);
        let output = command.arg(self.0.path()).args(more).env("NO_COLOR", "1").output().expect("hopwatch runs");
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        let report = serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("{error}: {errors}"));
        (output.status.code().expect("a code"), report, errors)
    }

    /// The gap of this kind, which keeps the answer from `verified` until it is accepted.
    pub fn hides(&self, what: &str, more: &[&str]) -> Value {
        let (code, report, _) = self.verify(more);
        let text = &report["conclusion"]["text"];
        let gap = report["not_seen"].as_array().expect("a list").iter().find(|gap| gap["what"] == what);
        let gap = gap.unwrap_or_else(|| panic!("no {what}: {report:#}")).clone();
        assert_eq!((code, &gap["hides"]), (5, &Value::from(true)), "{text}");
        crate::verify_hidden::says_how_much(&gap);
        let sentence = gap["text"].as_str().expect("a sentence");
        assert!(text.as_str().expect("a sentence").contains(sentence), "{text} does not name {sentence}");
        let accept = format!("{what}:known since Monday");
        let (code, report, _) = self.verify(&[more, &["--accept", &accept]].concat());
        assert_eq!(code, 0, "accepted: {}", report["conclusion"]["text"]);
        assert_eq!(report["question"]["accepted"], json!([{"what": what, "reason": "known since Monday"}]));
        gap
    }
}

pub fn ethernet(from: [u8; 6], to: [u8; 6], ether_type: u16, payload: &[u8]) -> Vec<u8> {
    [&to[..], &from, &ether_type.to_be_bytes(), payload].concat()
}

pub fn ipv4(protocol: u8, from: [u8; 4], to: [u8; 4], payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(20 + payload.len()).expect("small").to_be_bytes();
    [&[0x45, 0, length[0], length[1], 0, 1, 0, 0, 64, protocol, 0, 0][..], &from, &to, payload].concat()
}

pub fn udp(source: u16, target: u16, payload: &[u8]) -> Vec<u8> {
    let length = u16::try_from(8 + payload.len()).expect("small");
    [&source.to_be_bytes()[..], &target.to_be_bytes(), &length.to_be_bytes(), &[0, 0], payload].concat()
}

fn syn(source: u16, target: u16) -> Vec<u8> {
    let mut header =
        [&source.to_be_bytes()[..], &target.to_be_bytes(), &[0; 8], &[0x50, 2, 255, 255, 0, 0, 0, 0]].concat();
    header[7] = 1;
    header
}

#[test]
fn nothing_hides_anything_in_the_good_recording() {
    let (code, report, errors) = Recording::good().verify(&[]);
    assert_eq!((code, &report["not_seen"]), (0, &json!([])), "{report:#}");
    assert!(!errors.contains("WARN"), "{errors}");
    assert!(report["flows"]["bytes"].as_u64().expect("bytes") > 0, "{report:#}");
}

#[test]
fn a_recording_without_its_end_may_have_been_killed() {
    let recording = Recording::good();
    recording.facts(|mut lines| {
        assert!(lines.pop().expect("an end").contains("ended"));
        lines
    });
    recording.hides("input", &[]);
}

#[test]
fn a_file_of_the_folder_that_is_no_capture_is_named() {
    let recording = Recording::good();
    std::fs::write(recording.path("traffic.pcapng.part"), b"?").expect("a file");
    let gap = recording.hides("input", &[]);
    assert!(gap["text"].as_str().expect("a sentence").contains("traffic.pcapng.part"), "{gap}");
}

#[test]
fn what_tcpdump_rotates_is_read_and_so_is_a_capture_under_any_name() {
    for name in ["trace.pcap1", "trace.pcap07", "part"] {
        let recording = Recording::good();
        recording.frames(&[ethernet(APP_MAC, BRIDGE_MAC, 0x0800, &ipv4(17, APP, OUTSIDE, &udp(40_000, 4000, b"out")))]);
        std::fs::rename(recording.path(&format!("{BRIDGE}.pcap")), recording.path(name)).expect("a name");
        let (code, report, _) = recording.verify(&[]);
        assert_eq!((code, &report["flows"]["bypassed"]), (1, &json!(1)), "{name}: {report:#}");
    }
}

#[test]
fn frames_of_the_workload_that_cannot_be_decoded_are_counted_by_name() {
    let recording = Recording::good();
    let tags = [0x81, 0, 0, 1].repeat(5);
    let frame = ethernet(APP_MAC, BRIDGE_MAC, 0x8100, &[&tags[2..], &[8, 0][..], &[0; 900]].concat());
    recording.frames(&vec![frame.clone(); 4]);
    let report = recording.verify(&[]).1;
    let gaps = report["not_seen"].as_array().expect("a list");
    let gap = gaps.iter().find(|gap| gap["text"].as_str().is_some_and(|text| text.starts_with("app sent 4 frames")));
    let gap = gap.unwrap_or_else(|| panic!("{report:#}"));
    let bytes = 4 * u64::try_from(frame.len()).expect("small");
    assert_eq!(
        (&gap["what"], &gap["packets"], &gap["bytes"]),
        (&json!("not_decoded"), &json!(4), &json!(bytes)),
        "{gap:#}"
    );
    recording.hides("not_decoded", &[]);
}

#[test]
fn the_workloads_mac_with_an_address_of_nobody_is_the_workload() {
    let recording = Recording::good();
    let payload = udp(40_000, 4000, &[7; 100]);
    recording.frames(&[ethernet(APP_MAC, BRIDGE_MAC, 0x0800, &ipv4(17, [192, 168, 9, 9], OUTSIDE, &payload))]);
    let (code, report, _) = recording.verify(&[]);
    assert_eq!((code, &report["flows"]["bypassed"]), (1, &json!(1)), "{report:#}");
}

#[test]
fn icmp_that_asks_nothing_carries_data_out() {
    for kind in [0_u8, 3, 13] {
        let recording = Recording::good();
        let message = ipv4(1, APP, OUTSIDE, &[&[kind][..], &[0; 60]].concat());
        recording.frames(&[ethernet(APP_MAC, BRIDGE_MAC, 0x0800, &message)]);
        assert_ne!(recording.verify(&[]).0, 0, "type {kind}");
    }
}

#[test]
fn an_error_about_what_came_in_and_a_reply_to_a_ping_hide_nothing() {
    let recording = Recording::good();
    let asked = ipv4(17, OUTSIDE, APP, &udp(5000, 9, b"hello"));
    let error = ipv4(1, APP, OUTSIDE, &[&[3, 3, 0, 0, 0, 0, 0, 0][..], &asked].concat());
    let ping = |kind: u8, from, to| ipv4(1, from, to, &[kind, 0, 0, 0, 1, 2, 0, 1, 9, 9]);
    recording.frames(&[
        ethernet(BRIDGE_MAC, APP_MAC, 0x0800, &asked),
        ethernet(APP_MAC, BRIDGE_MAC, 0x0800, &error),
        ethernet(BRIDGE_MAC, APP_MAC, 0x0800, &ping(8, OUTSIDE, APP)),
        ethernet(APP_MAC, BRIDGE_MAC, 0x0800, &ping(0, APP, OUTSIDE)),
    ]);
    let (code, report, _) = recording.verify(&[]);
    assert_eq!(code, 0, "{report:#}");
}

#[test]
fn an_attempt_that_the_hop_never_answered_proves_nothing() {
    let recording = Recording::good();
    recording.frames(&[ethernet(APP_MAC, SQUID_MAC, 0x0800, &ipv4(6, APP, SQUID, &syn(40_000, 3128)))]);
    let (code, report, _) = recording.verify(&[]);
    assert_eq!((code, &report["flows"]["unobservable"]), (5, &json!(1)), "{report:#}");
    let (code, report, _) = recording.verify(&["--max-unobservable", "50"]);
    assert_eq!(code, 0, "one of three is below that: {report:#}");
}

#[test]
fn a_workload_that_is_renamed_is_asked_about_under_one_name_only() {
    let recording = Recording::good();
    recording.facts(|mut lines| {
        let end = lines.pop().expect("an end");
        let app = lines.iter().rfind(|line| line.contains("\"name\":\"app\"")).expect("app").clone();
        let mut fact: Value = serde_json::from_str(&app).expect("JSON");
        fact["at"] = AT.into();
        fact["fact"]["inventory"]["workload"]["name"] = "other".into();
        lines.extend([fact.to_string(), end]);
        lines
    });
    recording.hides("renamed", &[]);
}

#[test]
fn one_that_shares_the_namespace_may_have_sent_it() {
    let recording = Recording::good();
    recording.facts(|mut lines| {
        let end = lines.pop().expect("an end");
        let app = lines.iter().rfind(|line| line.contains("\"name\":\"app\"")).expect("app").clone();
        let mut fact: Value = serde_json::from_str(&app).expect("JSON");
        let workload = &mut fact["fact"]["inventory"]["workload"];
        let id = workload["id"].as_str().expect("an id").to_owned();
        workload["id"] = "a".repeat(64).into();
        workload["name"] = "joiner".into();
        workload["network_mode"] = json!({"container": id});
        workload["attachments"] = json!([]);
        lines.extend([fact.to_string(), end]);
        lines
    });
    recording.frames(&[ethernet(APP_MAC, BRIDGE_MAC, 0x0800, &ipv4(17, APP, OUTSIDE, &udp(40_000, 4000, b"out")))]);
    let mut command = Command::new(env!("CARGO_BIN_EXE_hopwatch"));
    command.args(["verify", "--workload", "joiner", "--through", "container:squid:3128", "--json", "--read"]);
    let output = command.arg(recording.0.path()).output().expect("hopwatch runs");
    assert_ne!(output.status.code(), Some(0), "{}", String::from_utf8_lossy(&output.stdout));
}

#[test]
fn dockers_resolver_may_ask_from_the_host() {
    let recording = Recording::good();
    recording.frames(&[
        ethernet(APP_MAC, SQUID_MAC, 0x0800, &ipv4(17, APP, SQUID, &udp(40_000, 53, b"?"))),
        ethernet(SQUID_MAC, APP_MAC, 0x0800, &ipv4(17, SQUID, APP, &udp(53, 40_000, b"!"))),
    ]);
    let asked = ["--to", "any", "--port", "53", "--through", "address:10.77.1.3:53"];
    let mut command = Command::new(env!("CARGO_BIN_EXE_hopwatch"));
    command.args(["verify", "--workload", "app", "--json", "--read"]).arg(recording.0.path()).args(asked);
    let output = command.output().expect("hopwatch runs");
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(
        (output.status.code(), &report["not_seen"][0]["what"]),
        (Some(5), &json!("daemon_resolver")),
        "{report:#}"
    );
}

#[test]
fn what_is_not_asked_about_is_left_out_and_counted() {
    let recording = Recording::good();
    recording.frames(&[ethernet(APP_MAC, BRIDGE_MAC, 0x0800, &ipv4(17, APP, OUTSIDE, &udp(40_000, 51_820, b"out")))]);
    assert_eq!(recording.verify(&[]).0, 1);
    let (code, report, _) = recording.verify(&["--except", "198.51.100.10:51820/udp"]);
    assert_eq!((code, &report["flows"]["excepted"]), (0, &json!(1)), "{report:#}");
    assert_eq!(report["question"]["except"], json!(["198.51.100.10:51820/udp"]));
    assert_eq!(recording.verify(&["--except", "198.51.100.10:51821/udp"]).0, 1, "another port");
}

#[test]
fn unknown_names_are_reported_at_the_start_with_those_that_exist() {
    let recording = Recording::good();
    let mut command = Command::new(env!("CARGO_BIN_EXE_hopwatch"));
    command.args(["verify", "--workload", "ap", "--through", "container:squit", "--read"]).arg(recording.0.path());
    let output = command.env("NO_COLOR", "1").output().expect("hopwatch runs");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(errors.contains("no container is ap; there are app, squid"), "{errors}");
    assert!(errors.contains("no container is the hop squit; there are app, squid"), "{errors}");
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(text.contains("no such workload ran; there are app, squid"), "{text}");
}

#[test]
fn a_few_unobservable_flows_may_carry_most_of_the_bytes() {
    let recording = Recording::good();
    let frame = |number: u16| {
        let header = [&syn(40_000, 3128)[..], &[number.to_be_bytes()[0]; 1400]].concat();
        ethernet(APP_MAC, SQUID_MAC, 0x0800, &ipv4(6, APP, SQUID, &header))
    };
    recording.frames(&(0..20).map(frame).collect::<Vec<_>>());
    let (code, report, _) = recording.verify(&["--max-unobservable", "50"]);
    let flows = |key: &str| report["flows"][key].as_u64().expect("a number");
    assert!(flows("unobservable") == 1 && flows("unobservable_bytes") > flows("bytes") / 2, "{report:#}");
    let text = report["conclusion"]["text"].as_str().expect("a sentence");
    assert!(code == 5 && text.contains("more than 50 % of the bytes are unobservable"), "{text}");
}
