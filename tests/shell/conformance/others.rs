//! Packets by flow as nDPI, Arkime, Suricata and ipfixprobe count them.
//!
//! A capture agrees when every flow that they state in full is one of ours with the same packets both ways, added up by
//! five-tuple: all of them on the outermost layer, or all on the innermost, as the tool meters. Known differences:
//! docs/conformance.md.

use std::collections::BTreeMap;
use std::net::IpAddr;

use hopwatch::flow::Layer;
use hopwatch::input::Protocol;
use serde_json::Value;

use super::flows::{Key, Sums, add, our_sums};
use super::{Cases, Tally, of_kind, text};

/// Of the captures compared, those that agree.
const NDPI: f64 = 97.4;
const ARKIME: f64 = 97.9;
const SURICATA: f64 = 95.2;
const IPFIXPROBE: f64 = 86.6;

type Packets = BTreeMap<Key, [u64; 2]>;

pub(super) fn packets(cases: &Cases, truth: &[Value]) {
    compare(cases, truth, "ndpi_flows", NDPI, |line| line["expected"]["flows"].as_array(), tuple);
    compare(cases, truth, "arkime_sessions", ARKIME, |line| line["expected"]["sessions"].as_array(), tuple);
    compare(cases, truth, "suricata_flow", SURICATA, |line| line["expected"].as_array(), suricata);
    compare(cases, truth, "ipfixprobe_flows", IPFIXPROBE, |line| line["expected"].as_array(), ipfix);
}

/// Protocol, both ends, and packets from each.
type Flow = (u8, (IpAddr, u16), (IpAddr, u16), [u64; 2]);

fn compare(
    cases: &Cases,
    truth: &[Value],
    kind: &str,
    at_least: f64,
    flows: impl Fn(&Value) -> Option<&Vec<Value>>,
    read: impl Fn(&Value) -> Option<Flow>,
) {
    let (mut tally, mut left_out) = (Tally::default(), 0);
    for line in of_kind(truth, kind) {
        let path = cases.path(text(line, "file"));
        let theirs = flows(line).map(|flows| flows.iter().filter_map(&read).collect::<Vec<Flow>>());
        let Some(theirs) = theirs.filter(|flows| path.is_file() && !flows.is_empty()) else {
            left_out += 1;
            continue;
        };
        let theirs = summed(theirs);
        let of_layer = |layer| difference(&theirs, &our_sums(&path, layer));
        let differs = of_layer(Layer::Outer).zip(of_layer(Layer::Inner));
        tally.add(differs.is_none(), || {
            let (outer, inner) = differs.unwrap_or_default();
            format!("{}: outermost {outer}; innermost {inner}", text(line, "file"))
        });
    }
    tally.print(kind);
    println!("  left out: {left_out} that are not there, or state no flow in full");
    assert!(tally.share() >= at_least && tally.total > 0);
}

/// The first flow of theirs that is not one of ours.
fn difference(theirs: &Packets, ours: &Sums) -> Option<String> {
    let is_ours = |(key, packets): &(&Key, &[u64; 2])| ours.get(*key).is_some_and(|sum| [sum[0], sum[2]] == **packets);
    let (key, packets) = theirs.iter().find(|flow| !is_ours(flow))?;
    Some(format!("{key:?} {packets:?}, ours {:?}", ours.get(key)))
}

fn summed(flows: Vec<Flow>) -> Packets {
    let mut sums = Sums::new();
    for (protocol, a, b, [from_a, from_b]) in flows {
        add(&mut sums, protocol, a, b, [[from_a, 0], [from_b, 0]]);
    }
    sums.into_iter().map(|(key, sum)| (key, [sum[0], sum[2]])).collect()
}

fn tuple(flow: &Value) -> Option<Flow> {
    let end = |ip: &str, port: &str| Some((text(flow, ip).parse().ok()?, u16::try_from(flow[port].as_u64()?).ok()?));
    let protocol = match text(flow, "proto") {
        "TCP" => Protocol::TCP.0,
        "UDP" => Protocol::UDP.0,
        "ICMP" => Protocol::ICMP.0,
        "ICMPV6" => Protocol::ICMPV6.0,
        _ => u8::try_from(flow["proto"].as_u64()?).ok()?,
    };
    Some((protocol, end("a", "ap")?, end("b", "bp")?, [flow["pkts"][0].as_u64()?, flow["pkts"][1].as_u64()?]))
}

/// Values that a test asks for: not every test asks for all. One flow of several alike says nothing of their sum.
fn suricata(check: &Value) -> Option<Flow> {
    let flow = Some(&check["match"]).filter(|flow| check["count"] == 1 && flow["event_type"] == "flow")?;
    let end = |ip: &str, port: &str| Some((text(flow, ip).parse().ok()?, u16::try_from(flow[port].as_u64()?).ok()?));
    let protocol = match text(flow, "proto") {
        "TCP" => Protocol::TCP.0,
        "UDP" => Protocol::UDP.0,
        _ => return None,
    };
    let packets = [flow["flow.pkts_toserver"].as_u64()?, flow["flow.pkts_toclient"].as_u64()?];
    Some((protocol, end("src_ip", "src_port")?, end("dest_ip", "dest_port")?, packets))
}

/// Numbers are texts here.
fn ipfix(flow: &Value) -> Option<Flow> {
    let number = |key: &str| text(flow, key).parse::<u64>().ok();
    let end = |ip: &str, port: &str| Some((text(flow, ip).parse().ok()?, u16::try_from(number(port)?).ok()?));
    let protocol = u8::try_from(number("PROTOCOL")?).ok()?;
    let packets = [number("PACKETS")?, number("PACKETS_REV")?];
    Some((protocol, end("SRC_IP", "SRC_PORT")?, end("DST_IP", "DST_PORT")?, packets))
}
