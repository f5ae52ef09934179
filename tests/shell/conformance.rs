//! Thousands of real captures, and what other tools say of them.
//!
//! The folder is named by `HOPWATCH_CASES`, else `../shared/cases` beside the package; without it the tests say so and pass.
//! Nothing is sampled: every capture is read. The archive is unpacked once, into a folder that is removed at the end.

mod evil;
mod facts;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use crate::support::cases::Cases;
use hopwatch::decode::{Decoded, LinkType, TunnelPorts, decode};
use hopwatch::flow::{Layer, Meter, MeterLimits, community_id};
use hopwatch::input::{Endpoint, FiveTuple, Input, Protocol};
use hopwatch::observe::{CaptureError, CaptureReader};
use serde_json::Value;

mod flows;

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

/// Packets counted per kind of fate.
#[derive(Debug, Default)]
struct Tally {
    agree: usize,
    total: usize,
    examples: Vec<String>,
}

impl Tally {
    fn add(&mut self, agrees: bool, example: impl FnOnce() -> String) {
        self.total += 1;
        if agrees {
            self.agree += 1;
        } else {
            self.examples.push(example());
        }
    }

    fn share(&self) -> f64 {
        let count = |count: usize| f64::from(u32::try_from(count).unwrap_or(u32::MAX));
        100.0 * count(self.agree) / count(self.total.max(1))
    }

    fn print(&self, what: &str) {
        println!("{what}: {} of {} agree ({:.2} %)", self.agree, self.total, self.share());
        self.examples.iter().take(12).for_each(|example| println!("  differs: {example}"));
    }
}

/// One test, so that the archive is unpacked once.
#[test]
fn other_tools_agree() {
    let Some(cases) = Cases::unpack() else { return };
    let truth = cases.lines("truth-dev.jsonl");
    zeek::connections(&cases, &truth);
    others::packets(&cases, &truth);
    community_ids(&cases, &truth);
    packet_counts(&cases, &truth);
    valid_pcapng_that_libpcap_refuses(&cases, &truth);
    evil_captures(&cases);
    flows::agree_with_tshark(&cases);
    facts::first_payload_facts(&cases, &truth);
}

fn of_kind<'a>(truth: &'a [Value], kind: &'a str) -> impl Iterator<Item = &'a Value> {
    truth.iter().filter(move |line| text(line, "kind") == kind)
}

fn community_ids(cases: &Cases, truth: &[Value]) {
    let mut tally = Tally::default();
    for line in of_kind(truth, "communityid") {
        let seed = u16::try_from(line["params"]["seed"].as_u64().expect("a seed")).expect("a seed");
        let as_hex = line["params"]["base64"] == false;
        let ours = ids_of(&cases.path(text(line, "file")), seed);
        let expected = line["expected"].as_array().expect("a list");
        for one in expected {
            let end = |ip: &str, port: &str| Endpoint {
                ip: text(one, ip).parse().expect("an address"),
                port: one[port].as_u64().map_or(0, |port| u16::try_from(port).expect("a port")),
            };
            let protocol = Protocol(u8::try_from(one["proto"].as_u64().expect("a number")).expect("a protocol"));
            let tuple = FiveTuple { protocol, orig: end("saddr", "sport"), resp: end("daddr", "dport") };
            let id = ours.get(&tuple).map(|id| if as_hex { hex_of(id) } else { id.clone() });
            tally.add(id.as_deref() == Some(text(one, "communityid")), || format!("{one}, ours {id:?}"));
        }
        assert_eq!(ours.len(), expected.len(), "as many directed tuples as expected");
    }
    tally.print("communityid");
    assert!(tally.agree == tally.total && tally.total > 0);
}

/// The Community ID of every directed tuple.
fn ids_of(path: &Path, seed: u16) -> BTreeMap<FiveTuple, String> {
    let mut reader = CaptureReader::open(path).expect("a capture");
    let mut ids = BTreeMap::new();
    while let Ok(Some(packet)) = reader.next_packet() {
        let Ok(Decoded::Ip(headers)) = decode(LinkType::ETHERNET, packet.wire_len, packet.data) else { continue };
        let orig = Endpoint { ip: headers.src, port: headers.src_port };
        let resp = Endpoint { ip: headers.dst, port: headers.dst_port };
        let tuple = FiveTuple { protocol: headers.protocol, orig, resp };
        ids.insert(tuple, community_id(&tuple, seed));
    }
    ids
}

/// Some tools can write the hash as hexadecimal digits.
fn hex_of(id: &str) -> String {
    use base64::Engine as _;
    let hash = base64::engine::general_purpose::STANDARD.decode(id.trim_start_matches("1:")).expect("base64");
    hash.iter().fold("1:".to_owned(), |digits, byte| format!("{digits}{byte:02x}"))
}

/// Packets of a file, and what ended it.
fn count(path: &Path) -> (u64, Option<CaptureError>) {
    let mut reader = match CaptureReader::open(path) {
        Ok(reader) => reader,
        Err(error) => return (0, Some(error)),
    };
    loop {
        match reader.next_packet() {
            Ok(Some(_)) => {}
            Ok(None) => return (reader.packets(), None),
            Err(error) => return (reader.packets(), Some(error)),
        }
    }
}

fn packet_counts(cases: &Cases, truth: &[Value]) {
    let mut tally = Tally::default();
    for line in of_kind(truth, "file_read") {
        let path = cases.path(text(line, "file"));
        let [libpcap, wiretap] = ["libpcap_packets", "wiretap_packets"].map(|tool| line["expected"][tool].as_u64());
        let Some(expected) = libpcap.filter(|_| libpcap == wiretap && path.is_file()) else { continue };
        let (ours, error) = count(&path);
        tally.add(ours == expected, || format!("{}: {expected}, ours {ours} {error:?}", text(line, "file")));
    }
    tally.print("file_read where libpcap and wiretap agree");
    assert!(tally.agree == tally.total && tally.total > 0);
}

/// The generator's own listing says how many packet blocks there are; elsewhere wiretap's count does.
fn valid_pcapng_that_libpcap_refuses(cases: &Cases, truth: &[Value]) {
    let mut blocks = BTreeMap::new();
    for line in of_kind(truth, "pcapng_blocks") {
        let of_type = |kind: &str| {
            let rest = text(line, "expected").split(&format!("\t{kind}: ")).nth(1).unwrap_or("0").to_owned();
            rest.split_whitespace().next().and_then(|number| number.parse::<u64>().ok()).unwrap_or(0)
        };
        blocks.insert(text(line, "file"), of_type("EPB") + of_type("SPB") + of_type("PB"));
    }
    let mut tally = Tally::default();
    for line in of_kind(truth, "file_read").filter(|line| text(line, "cls").starts_with('D')) {
        let file = text(line, "file");
        let expected = blocks.get(file).copied().or_else(|| line["expected"]["wiretap_packets"].as_u64()).unwrap_or(0);
        let (ours, error) = count(&cases.path(file));
        tally.add(ours == expected && error.is_none(), || format!("{file}: {expected}, ours {ours} {error:?}"));
    }
    tally.print("valid pcapng that libpcap refuses");
    assert!(tally.agree == tally.total && tally.total > 0);
}

mod others;
mod zeek;

const NO_TIMEOUTS: MeterLimits = MeterLimits {
    max_flows: usize::MAX,
    idle_timeout: Duration::ZERO,
    active_timeout: Duration::ZERO,
    update_interval: Duration::ZERO,
};

/// All events of a capture, one meter an observation point; asserts that the counters add up.
fn metered(path: &Path, layer: Layer) -> Vec<Input> {
    metered_within(path, layer, NO_TIMEOUTS)
}

fn metered_within(path: &Path, layer: Layer, limits: MeterLimits) -> Vec<Input> {
    let mut out = Vec::new();
    let Ok(mut reader) = CaptureReader::open(path) else { return out };
    let mut meters = BTreeMap::new();
    while let Ok(Some(packet)) = reader.next_packet() {
        let point = &packet.origin.point;
        let new = || Meter::new(point.clone(), packet.origin.link, limits).with_layer(layer, TunnelPorts::default());
        meters.entry(point.clone()).or_insert_with(new).packet(packet.at, packet.wire_len, packet.data, &mut out);
    }
    let mut packets = 0;
    for meter in meters.values_mut() {
        meter.drain(&mut out);
        let stats = meter.stats();
        let not_decoded: u64 = stats.not_decoded.values().sum();
        assert_eq!(stats.packets, stats.flow_packets + stats.non_ip + not_decoded, "{}", path.display());
        packets += stats.packets;
    }
    assert_eq!(packets, reader.packets());
    out
}

/// Damaged, malformed and hostile captures: nothing panics, and what ends a file early says so.
fn evil_captures(cases: &Cases) {
    let files = cases.column("evil-dev.tsv", 2).into_iter().map(|file| cases.path(&file));
    let files: Vec<PathBuf> = files.filter(|path| path.is_file()).collect();
    for path in &files {
        for layer in [Layer::Outer, Layer::Inner] {
            metered(path, layer);
        }
    }
    println!("evil captures survived: {}", files.len());
    evil::survive(&files);
}
