//! Headers, first bytes, echo, names over flows, who may.

use super::*;
use crate::detect::testing::{Bench, at, end, named, said};
use crate::detect::{Severity, testing};
use crate::input::{
    AppFacts, Counters, DnsMessage, EchoFacts, EndReason, OpenVpn, OpenVpnProtection, OpenVpnReset, TunnelKind,
};
use crate::inventory::Owner;
use crate::path::{EvidenceKind, HopKind, Stage};

const WEB: &str = "172.20.0.2:40001";
const FAR: &str = "198.51.100.7:51820";

fn tunnel(kind: TunnelKind, from: &str, to: &str) -> Tunnel {
    Tunnel { kind, id: Some(7), src: end(from).ip, dst: end(to).ip }
}

fn bench() -> Bench {
    Bench::new(&[("web", 2), ("resolver", 9)])
}

fn kinds(found: &[Finding]) -> Vec<&str> {
    found.iter().map(|one| one.cause.as_str()).collect()
}

fn counted(mut record: FlowRecord, sent: (u64, u64), received: (u64, u64)) -> FlowRecord {
    let counters = |(packets, payload_bytes)| Counters { packets, payload_bytes, ..Counters::default() };
    (record.orig.counters, record.resp.counters) = (counters(sent), counters(received));
    record
}

fn asks(bench: &mut Bench, millis: u64, to: &str, names: &[&str], kind: &'static str) -> FlowRecord {
    let dns = names.iter().map(|name| DnsMessage { query: (*name).into(), kind: kind.into(), rcode: None }).collect();
    let record = bench.record(millis, Protocol::UDP, WEB, to);
    said(record, AppFacts { dns, ..AppFacts::default() })
}

#[test]
fn headers_that_a_workload_sends_are_reported_once_a_flow() {
    for (kind, protocol, cause) in [
        (TunnelKind::Wireguard, Protocol::UDP, "WireGuard"),
        (TunnelKind::Vxlan, Protocol::UDP, "VXLAN"),
        (TunnelKind::Gre, Protocol(47), "GRE"),
        (TunnelKind::Esp, Protocol(50), "ESP"),
    ] {
        let mut bench = bench();
        let mut record = bench.record(10, protocol, WEB, FAR);
        record.tunnels = vec![tunnel(kind, WEB, FAR)];
        let (mut rule, flow) = (rule(&Params::default()), bench.judged(&record));
        let found = bench.on_flow(&mut rule, &flow);
        assert_eq!(kinds(&found), [cause]);
        assert_eq!((found[0].severity, found[0].destination), (Severity::High, Some(end(FAR))));
        assert_eq!(found[0].evidence[0].text, format!("{cause} 7 to 198.51.100.7"));
        assert!(
            bench.on_progress(&mut rule, &flow, FlowEventKind::Updated, record.clone()).is_empty(),
            "reported already"
        );
    }
}

#[test]
fn the_hosts_overlay_and_tunnels_that_others_send_are_not_meant() {
    let mut bench = bench();
    let mut overlay = bench.record(10, Protocol::UDP, "192.0.2.1:40000", "192.0.2.2:4789");
    overlay.tunnels = vec![tunnel(TunnelKind::Vxlan, "192.0.2.1:0", "192.0.2.2:0")];
    let mut inside = bench.record(10, Protocol::TCP, WEB, "172.20.0.77:80");
    inside.tunnels.clone_from(&overlay.tunnels);
    let mut reached = bench.record(10, Protocol::UDP, FAR, "172.20.0.2:51820");
    reached.tunnels = vec![tunnel(TunnelKind::Wireguard, FAR, WEB)];
    for record in [overlay, inside, reached] {
        assert!(bench.on_flow(&mut rule(&Params::default()), &bench.judged(&record)).is_empty(), "{record:?}");
    }
}

#[test]
fn a_flow_inside_a_tunnel_accuses_whoever_carries_it_and_an_answering_end_counts_without_ports() {
    let mut bench = bench();
    let mut inside = bench.record(10, Protocol::TCP, "10.99.0.2:40000", "10.99.0.1:80");
    inside.tunnels = vec![tunnel(TunnelKind::Gre, WEB, FAR)];
    let mut answers = bench.record(10, Protocol(47), "198.51.100.7:0", "172.20.0.2:0");
    answers.tunnels = vec![tunnel(TunnelKind::Gre, FAR, WEB)];
    for record in [&inside, &answers] {
        let found = bench.on_flow(&mut rule(&Params::default()), &bench.judged(record));
        assert_eq!(kinds(&found), ["GRE"]);
        assert_eq!(found[0].workload.as_ref().map(|workload| workload.name.as_str()), Some("web"));
        assert_eq!(found[0].destination.map(|end| end.ip), Some(end(FAR).ip));
    }
    answers.resp.counters = Counters::default();
    assert!(bench.on_flow(&mut rule(&Params::default()), &bench.judged(&answers)).is_empty(), "it sent nothing");
}

#[test]
fn ssh_counts_at_other_ports_than_its_own_and_when_it_is_heard_later() {
    let ssh = || AppFacts { ssh: Some("SSH-2.0-OpenSSH_9.2".into()), ..AppFacts::default() };
    for (to, count) in [("198.51.100.7:443", 1), ("198.51.100.7:22", 0), ("172.20.0.9:2222", 1)] {
        let mut bench = bench();
        let record = bench.record(10, Protocol::TCP, WEB, to);
        let (mut rule, flow) = (rule(&Params::default()), bench.judged(&record));
        assert!(bench.on_flow(&mut rule, &flow).is_empty());
        let found = bench.on_progress(&mut rule, &flow, FlowEventKind::Payload, said(record.clone(), ssh()));
        assert_eq!(found.len(), count, "{to}");
        assert!(bench.on_progress(&mut rule, &flow, FlowEventKind::Updated, said(record, ssh())).is_empty());
    }
}

#[test]
fn echo_that_answers_more_than_was_asked_or_carries_much_is_a_tunnel_and_big_pings_are_not() {
    for (sent, received, reported) in [
        ((10, 14_080), (10, 14_080), false),
        ((10, 14_080), (7, 9856), false),
        ((600, 844_800), (600, 844_800), false),
        ((100, 6400), (99, 90_000), true),
        ((100, 6400), (150, 90_000), true),
        ((2, 100), (2, 900), false),
        ((20, 1280), (40, 2560), false),
        ((900, 1_200_000), (0, 0), true),
    ] {
        let mut bench = bench();
        let record = counted(bench.record(10, Protocol::ICMP, "172.20.0.2:8", "198.51.100.7:0"), sent, received);
        let found = bench.on_flow(&mut rule(&Params::default()), &bench.judged(&record));
        assert_eq!(!found.is_empty(), reported, "{sent:?} {received:?}");
        let unreachable = counted(bench.record(10, Protocol::ICMP, "172.20.0.2:3", "198.51.100.7:3"), sent, received);
        assert!(bench.on_flow(&mut rule(&Params::default()), &bench.judged(&unreachable)).is_empty());
    }
}

#[test]
fn openvpn_counts_at_any_port_by_its_handshake() {
    for (protocol, to) in [(Protocol::UDP, "198.51.100.7:1194"), (Protocol::TCP, "198.51.100.7:443")] {
        let mut bench = bench();
        let record = bench.record(10, protocol, WEB, to);
        let openvpn = OpenVpn { reset: OpenVpnReset::ClientV2, protection: OpenVpnProtection::TlsCrypt };
        let facts = AppFacts { openvpn: Some(openvpn), ..AppFacts::default() };
        let (mut rule, flow) = (rule(&Params::default()), bench.judged(&record));
        assert!(bench.on_flow(&mut rule, &flow).is_empty());
        let found = bench.on_progress(&mut rule, &flow, FlowEventKind::Payload, said(record, facts));
        assert_eq!(kinds(&found), ["OpenVPN"]);
        let text = format!("an OpenVPN handshake (client_v2, with tls-crypt) at port {}", end(to).port);
        assert_eq!(found[0].evidence[0].text, text);
    }
}

#[test]
fn replies_that_do_not_repeat_their_requests_are_a_tunnel_and_a_few_lost_ones_are_not() {
    for (odd_replies, unasked_replies, reported) in
        [(4, 0, true), (3, 0, false), (0, 16, true), (0, 15, false), (3, 10, false), (900, 900, true)]
    {
        let mut bench = bench();
        let record = counted(bench.record(10, Protocol::ICMP, "172.20.0.2:8", "198.51.100.7:0"), (10, 640), (10, 640));
        let facts = AppFacts { echo: Some(EchoFacts { odd_replies, unasked_replies }), ..AppFacts::default() };
        let found = bench.on_flow(&mut rule(&Params::default()), &bench.judged(&said(record.clone(), facts.clone())));
        assert_eq!(!found.is_empty(), reported, "{odd_replies} odd, {unasked_replies} unasked");
        let busy = said(counted(record, (900, 57_600), (900, 57_600)), facts);
        let found = bench.on_flow(&mut rule(&Params::default()), &bench.judged(&busy));
        assert_eq!(!found.is_empty(), odd_replies >= 4, "losses of a busy ping");
    }
}

#[test]
fn replies_without_a_request_are_a_tunnel_whoever_sends_them() {
    for (from, to, requests, reported) in [
        ("198.51.100.7:0", "172.20.0.2:8", 0, true),
        ("172.20.0.2:0", "198.51.100.7:8", 0, true),
        ("198.51.100.7:0", "172.20.0.2:8", 100, false),
        ("198.51.100.7:0", "203.0.113.7:8", 0, false),
    ] {
        let mut bench = bench();
        let record = counted(bench.record(10, Protocol::ICMP, from, to), (100, 120_000), (requests, 6400));
        let echo = EchoFacts { odd_replies: 0, unasked_replies: 100 };
        let record = said(record, AppFacts { echo: Some(echo), ..AppFacts::default() });
        let found = bench.on_flow(&mut rule(&Params::default()), &bench.judged(&record));
        assert_eq!(kinds(&found), if reported { vec!["ICMP"] } else { vec![] }, "{from} {to} {requests}");
        let web = found.iter().all(|one| one.workload.as_ref().is_some_and(|workload| workload.name == "web"));
        assert!(web, "the workload is named");
    }
}

#[test]
fn an_ip_protocol_that_no_container_speaks_is_reported_and_routing_is_not() {
    for (protocol, to, reported) in [
        (253, "198.51.100.7:0", true),
        (254, "172.20.0.9:0", true),
        (99, "198.51.100.7:0", true),
        (132, "198.51.100.7:0", false),
        (112, "224.0.0.18:0", false),
        (124, "224.0.0.5:0", false),
    ] {
        let mut bench = bench();
        let record = bench.record(10, Protocol(protocol), "172.20.0.2:0", to);
        let found = bench.on_flow(&mut rule(&Params::default()), &bench.judged(&record));
        assert_eq!(kinds(&found), if reported { vec!["IP protocol"] } else { vec![] }, "{protocol} to {to}");
    }
}

#[test]
fn packets_that_name_their_own_way_are_reported_with_the_addresses() {
    let mut bench = bench();
    let plain = bench.record(10, Protocol::UDP, WEB, FAR);
    let (mut rule, flow) = (rule(&Params::default()), bench.judged(&plain));
    assert!(bench.on_flow(&mut rule, &flow).is_empty());
    let rare = crate::input::RareFacts {
        routed_packets: 2,
        routed_via: vec![end("172.20.0.9:0").ip],
        ..crate::input::RareFacts::default()
    };
    let routed = FlowRecord { rare: Some(rare.into()), ..plain };
    let found = bench.on_progress(&mut rule, &flow, FlowEventKind::Updated, routed.clone());
    assert_eq!(kinds(&found), ["source route"]);
    assert_eq!(found[0].evidence[0].text, "2 packets with a source route, over 172.20.0.9");
    assert!(bench.on_progress(&mut rule, &flow, FlowEventKind::Updated, routed).is_empty(), "once a flow");
}

#[test]
fn names_count_over_the_flows_of_a_workload_but_not_twice() {
    let mut bench = bench();
    let mut rule = rule(&Params::default());
    let mut found = Vec::new();
    for (millis, name) in [(0, "a1"), (100, "b2"), (200, "c3"), (300, "d4")] {
        let record = asks(&mut bench, millis, "172.20.0.9:53", &[&format!("{name}.t.evil.example")], "NULL");
        found.extend(bench.on_flow(&mut rule, &bench.judged(&record)));
    }
    assert_eq!(kinds(&found), ["DNS"]);
    // One flow that goes on, with all of its questions each time, over several windows.
    let one = asks(&mut bench, 1000, "172.20.0.9:53", &["a.t.other.example"], "NULL");
    let flow = bench.judged(&one);
    assert!(bench.on_flow(&mut rule, &flow).is_empty());
    let mut two = asks(&mut bench, 1000, "172.20.0.9:53", &["a.t.other.example", "b.t.other.example"], "NULL");
    for minutes in 1..10 {
        (two.id, two.end) = (one.id, at(1000 + 61_000 * minutes));
        assert!(bench.on_progress(&mut rule, &flow, FlowEventKind::Updated, two.clone()).is_empty());
    }
    let names =
        ["a.t.other.example", "b.t.other.example", "c.t.other.example", "d.t.other.example", "e.t.other.example"];
    let mut five = asks(&mut bench, 1000, "172.20.0.9:53", &names, "NULL");
    (five.id, five.end) = (one.id, at(700_000));
    let ended = FlowEventKind::Ended(EndReason::IdleTimeout);
    assert_eq!(bench.on_progress(&mut rule, &flow, ended, five).len(), 1, "three new ones");
    assert!(rule_is_empty(&rule, &bench));
}

/// Whether nothing is held for flows that ended: a debug picture has no flow in it.
fn rule_is_empty(rule: &impl std::fmt::Debug, _bench: &Bench) -> bool {
    format!("{rule:?}").contains("reported: {}, forged: {}, counted: {}")
}

#[test]
fn neighbours_resolvers_and_the_allowed_ask_what_they_want() {
    let names: Vec<String> = (0..9).map(|n| format!("n{n}.t.evil.example")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let allowed =
        |kinds: Vec<Kind>| Params { allowed: vec![Allowed { workload: named("web"), kinds }], ..Params::default() };
    let hop = Hop {
        name: "resolver".into(),
        kind: HopKind::Endpoint,
        workloads: vec![named("web")],
        addresses: vec![],
        interfaces: vec![],
        ports: vec![],
        evidence: vec![EvidenceKind::Peer],
    };
    let contract = |service| Contract {
        name: "dns".into(),
        service,
        workloads: vec![named("*")],
        remotes: vec![],
        ports: vec![],
        family: None,
        networks: vec![],
        via: vec![Stage { any_of: vec![Arc::new(hop.clone())] }],
    };
    for (params, contracts, to, reported) in [
        (Params::default(), vec![], "198.51.100.7:53", 1),
        (Params::default(), vec![], "172.20.0.9:53", 1),
        (Params::default(), vec![], "224.0.0.251:5353", 0),
        (Params::default(), vec![], "172.20.0.9:5353", 1),
        (Params::default(), vec![contract(Service::Dns)], "198.51.100.7:53", 0),
        (Params::default(), vec![contract(Service::Egress)], "198.51.100.7:53", 1),
        (allowed(vec![Kind::Dns]), vec![], "198.51.100.7:53", 0),
        (allowed(vec![]), vec![], "198.51.100.7:53", 0),
        (allowed(vec![Kind::Ssh]), vec![], "198.51.100.7:53", 1),
    ] {
        let mut bench = bench();
        let record = asks(&mut bench, 0, to, &names, "NULL");
        let mut rule = rule(&params);
        rule.contracts(&contracts);
        assert_eq!(bench.on_flow(&mut rule, &bench.judged(&record)).len(), reported, "{params:?} {to}");
    }
}

#[test]
fn data_that_is_too_big_for_questions_is_reported_at_their_port_alone() {
    for (to, sent, reported) in [
        ("198.51.100.7:53", (400, 400 * 900), true),
        ("198.51.100.7:53", (400, 400 * 60), false),
        ("198.51.100.7:53", (20, 20 * 900), false),
        ("198.51.100.7:443", (400, 400 * 900), false),
    ] {
        let mut bench = bench();
        let record = counted(bench.record(10, Protocol::UDP, WEB, to), sent, (10, 1000));
        let found = bench.on_flow(&mut rule(&Params::default()), &bench.judged(&record));
        assert_eq!(!found.is_empty(), reported, "{to} {sent:?}");
    }
}

#[test]
fn allowed_kinds_are_quiet_for_that_workload_and_the_host_is_nobody() {
    let mut bench = bench();
    let mut record = bench.record(10, Protocol::UDP, WEB, FAR);
    record.tunnels = vec![tunnel(TunnelKind::Wireguard, WEB, FAR)];
    let flow = bench.judged(&record);
    for (workload, kinds, reported) in [
        ("web", vec![Kind::Wireguard], 0),
        ("web", vec![], 0),
        ("web", vec![Kind::Gre, Kind::Dns], 1),
        ("db", vec![Kind::Wireguard], 1),
    ] {
        let params = Params { allowed: vec![Allowed { workload: named(workload), kinds }], ..Params::default() };
        assert_eq!(bench.on_flow(&mut rule(&params), &flow).len(), reported);
    }
    let host = JudgedFlow { source: Owner::Host, ..flow.clone() };
    assert!(bench.on_flow(&mut rule(&Params::default()), &host).is_empty());
    let other = JudgedFlow { source: testing::owner("db", 3), ..flow };
    let found = bench.on_flow(&mut rule(&Params::default()), &other);
    assert_eq!(found[0].workload.as_ref().map(|workload| workload.name.as_str()), Some("db"));
}

#[test]
fn kinds_are_written_as_records_write_them() {
    for kind in
        [TunnelKind::IpInIp, TunnelKind::SixInFour, TunnelKind::EtherIp, TunnelKind::GtpU, TunnelKind::Wireguard]
    {
        let written = serde_json::to_string(&Kind::from(kind)).expect("a word");
        assert_eq!(written, format!("\"{}\"", kind.as_str()));
    }
}
