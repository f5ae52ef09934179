//! What a capture says of itself, and what is not beside it, keeps `hopwatch verify` from saying that nothing left.

use serde_json::{Value, json};

use crate::support::capture::Order;
use crate::verify_gaps::{APP, APP_MAC, BRIDGE, BRIDGE_MAC, NOW, OUTSIDE, Recording, ethernet, ipv4, udp};

/// A pcapng of the bridge with these blocks behind its description.
fn pcapng(blocks: &[Vec<u8>]) -> Vec<u8> {
    let order = Order(false);
    let interface = order.interface(1, 0, &[order.option(2, BRIDGE.as_bytes())]);
    [order.section(), interface, blocks.concat()].concat()
}

/// The recording's own traffic, and this file beside it.
fn with(name: &str, file: Vec<u8>) -> Recording {
    let recording = Recording::good();
    std::fs::write(recording.path(name), file).expect("a file");
    recording
}

fn leak() -> Vec<u8> {
    ethernet(APP_MAC, BRIDGE_MAC, 0x0800, &ipv4(17, APP, OUTSIDE, &udp(40_000, 4000, b"out")))
}

#[test]
fn losses_that_statistics_state_hide_flows() {
    for code in [5, 7] {
        let order = Order(false);
        let options = [order.option(code, &5000_u64.to_le_bytes()), order.option(0, &[])].concat();
        let statistics = order.block(5, &[&[0; 12], &options]);
        let gap = with("b.pcapng", pcapng(&[statistics.clone(), statistics])).hides("loss", &[]);
        assert_eq!(gap["count"], json!(5000), "the last total counts, not their sum: {gap:#}");
    }
}

#[test]
fn losses_that_are_written_beside_packets_hide_flows() {
    let order = Order(false);
    let harmless = ethernet(BRIDGE_MAC, APP_MAC, 0x0806, &[0; 46]);
    let len = u32::try_from(harmless.len()).expect("small");
    let micros = u64::from(NOW) * 1_000_000 + 500_000;
    let [low, high] = [micros & 0xffff_ffff, micros >> 32].map(|half| u32::try_from(half).expect("half"));
    let fields = [0, high, low, len, len].map(|field| order.u32(field)).concat();
    let pad = vec![0; harmless.len().next_multiple_of(4) - harmless.len()];
    let dropped = [order.option(4, &700_u64.to_le_bytes()), order.option(0, &[])].concat();
    let enhanced = order.block(6, &[&fields, &harmless, &pad, &dropped]);
    let gap = with("b.pcapng", pcapng(&[enhanced])).hides("loss", &[]);
    assert_eq!(gap["count"], json!(700), "{gap:#}");
    let fields = [high, low, len, len].map(|field| order.u32(field)).concat();
    let obsolete = order.block(2, &[&order.u16(0), &order.u16(700), &fields, &harmless]);
    assert_eq!(with("b.pcapng", pcapng(&[obsolete])).hides("loss", &[])["count"], json!(700));
}

#[test]
fn a_block_of_unknown_type_may_hold_packets() {
    let order = Order(false);
    let gap = with("b.pcapng", pcapng(&[order.block(0x0b, &[&leak()])])).hides("input", &[]);
    assert!(gap["text"].as_str().expect("text").contains("1 block of unknown type may hold packets"), "{gap:#}");
    let names = with("b.pcapng", pcapng(&[order.block(4, &[&[0; 4]]), order.block(0x0bad, &[&[0; 4]])]));
    assert_eq!(names.verify(&[]).0, 0, "names and custom blocks hold none");
}

#[test]
fn a_compressed_file_of_any_name_may_be_a_capture() {
    for name in ["rest.log", ".rest", "rest.txt"] {
        let gap = with(name, vec![0x1f, 0x8b, 8, 0, 0, 0]).hides("input", &[]);
        assert!(gap["text"].as_str().expect("text").contains("was not read"), "{gap:#}");
    }
}

#[test]
fn a_rotated_capture_that_is_missing_may_hold_flows() {
    let recording = Recording::good();
    for name in ["t.pcap", "t.pcap2"] {
        std::fs::write(recording.path(name), Order(false).pcap(0xa1b2_c3d4, 1, &[])).expect("a file");
    }
    assert!(recording.hides("input", &[])["text"].as_str().expect("text").contains("number 1 is missing"));
}

#[test]
fn a_recording_that_is_not_whole_is_not_so_when_its_file_is_named_either() {
    let recording = with("INCOMPLETE", Vec::new());
    let [traffic, facts] = ["traffic.pcapng", "facts.jsonl"].map(|name| recording.path(name));
    let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_hopwatch"));
    command.args(["verify", "--workload", "app", "--through", "container:squid:3128", "--json", "--read"]);
    let output = command.arg(traffic).arg("--facts").arg(facts).output().expect("hopwatch runs");
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!((output.status.code(), &report["not_seen"][0]["what"]), (Some(5), &json!("input")), "{report:#}");
}

#[test]
fn a_workload_that_is_not_there_is_not_vouched_for_by_another_one() {
    let gap = Recording::good().hides("absent", &["--workload", "woker"]);
    assert!(gap["text"].as_str().expect("text").contains("no workload is woker"), "{gap:#}");
    assert_eq!(Recording::good().verify(&["--workload", "address=10.77.1.10"]).0, 0, "an address needs no workload");
}

#[test]
fn a_second_network_of_which_nothing_is_known_hides_flows() {
    let recording = Recording::good();
    recording.facts(|lines| {
        let second = json!({"network": "other", "network_id": "n2", "addresses": ["10.88.0.5"], "gateways": []});
        let change = |line: String| {
            let mut fact: Value = serde_json::from_str(&line).expect("JSON");
            if fact["fact"]["inventory"]["workload"]["name"] == "app" {
                let workload = &mut fact["fact"]["inventory"]["workload"];
                workload["attachments"].as_array_mut().expect("a list").push(second.clone());
            }
            fact.to_string()
        };
        lines.into_iter().filter(|line| !line.contains("{\"link\":")).map(change).collect()
    });
    let gap = recording.hides("network", &[]);
    assert!(gap["text"].as_str().expect("text").contains("apps, other"), "{gap:#}");
}
