//! Legs in either order, hops, long connections, bounds.

use super::*;
use crate::detect::testing::{Bench, at, end, named, said, workload};
use crate::input::{AppFacts, EndReason, FlowEventKind, FlowId, HttpRequest};
use crate::path::{EvidenceKind, HopKind, Service, Stage};

const ENDED: FlowEventKind = FlowEventKind::Ended(EndReason::EndOfFlow);

/// A client at .2 talks to a relay at .9, that one to the outside.
fn bench() -> Bench {
    Bench::new(&[("client", 2), ("relay", 9)])
}

fn legs(bench: &mut Bench) -> (FlowRecord, FlowRecord) {
    let inbound = bench.record(0, Protocol::TCP, "172.20.0.2:40001", "172.20.0.9:8080");
    let outbound = bench.record(5, Protocol::TCP, "172.20.0.9:50001", "198.51.100.7:443");
    (inbound, outbound)
}

fn grown(record: &FlowRecord, millis: u64, sent: u64, received: u64) -> FlowRecord {
    let mut record = record.clone();
    record.end = at(millis);
    record.orig.counters.payload_bytes = sent;
    record.resp.counters.payload_bytes = received;
    record
}

fn connect(target: &str) -> AppFacts {
    let http =
        HttpRequest { method: "CONNECT".into(), host: None, connect: Some(target.into()), ..HttpRequest::default() };
    AppFacts { http: Some(http), ..AppFacts::default() }
}

fn contract(hop: Hop) -> Contract {
    Contract {
        name: "egress".into(),
        service: Service::Egress,
        workloads: vec![named("client")],
        remotes: vec![],
        ports: vec![],
        family: None,
        networks: vec![],
        via: vec![Stage { any_of: vec![Arc::new(hop)] }],
    }
}

fn hop(workloads: Vec<Selector>, addresses: &[&str]) -> Hop {
    Hop {
        name: "proxy".into(),
        kind: HopKind::Endpoint,
        workloads,
        addresses: addresses.iter().map(|range| range.parse().expect("a range")).collect(),
        interfaces: vec![],
        ports: vec![],
        evidence: vec![EvidenceKind::Peer],
    }
}

#[test]
fn legs_that_end_with_equal_bytes_are_reported_once_by_both_names() {
    let mut bench = bench();
    let (inbound, outbound) = legs(&mut bench);
    let mut rule = rule(&Params::default());
    let (came, went) = (bench.judged(&inbound), bench.judged(&outbound));
    assert!(bench.on_flow(&mut rule, &came).is_empty() && bench.on_flow(&mut rule, &went).is_empty());
    assert!(bench.on_progress(&mut rule, &went, FlowEventKind::Updated, grown(&outbound, 700, 517, 2000)).is_empty());
    assert!(bench.on_progress(&mut rule, &went, ENDED, grown(&outbound, 900, 517, 4096)).is_empty());
    let [found] = &bench.on_progress(&mut rule, &came, ENDED, grown(&inbound, 905, 517, 4096))[..] else {
        panic!("one")
    };
    assert_eq!(found.workload.as_ref().map(|workload| workload.name.as_str()), Some("relay"));
    assert_eq!((found.severity, found.destination, found.at), (Severity::Medium, Some(end("198.51.100.7:443")), at(5)));
    assert_eq!(
        found.evidence[1].text,
        "172.20.0.2:40001 (client) talks to 172.20.0.9:8080, and 172.20.0.9:50001 to 198.51.100.7:443 (tcp)"
    );
    assert!(
        bench.on_progress(&mut rule, &went, ENDED, grown(&outbound, 906, 517, 4096)).is_empty(),
        "reported already"
    );
}

#[test]
fn a_target_that_was_asked_for_is_reported_in_either_order() {
    for outbound_first in [false, true] {
        let mut bench = bench();
        let (inbound, outbound) = legs(&mut bench);
        let inbound = said(inbound, connect("198.51.100.7:443"));
        let flows = [bench.judged(&inbound), bench.judged(&outbound)];
        let mut rule = rule(&Params::default());
        let order = if outbound_first { [1, 0] } else { [0, 1] };
        let found: Vec<_> = order.iter().flat_map(|index| bench.on_flow(&mut rule, &flows[*index])).collect();
        let again = flows.map(|flow| JudgedFlow { again: true, ..flow });
        assert!(again.iter().all(|flow| bench.on_flow(&mut rule, flow).is_empty()), "judged again, it is no new leg");
        assert_eq!(found.iter().map(|one| one.severity).collect::<Vec<_>>(), [Severity::High]);
    }
}

#[test]
fn what_was_said_after_the_judgement_counts() {
    let mut bench = bench();
    let (inbound, outbound) = legs(&mut bench);
    let flows = [bench.judged(&inbound), bench.judged(&outbound)];
    let mut rule = rule(&Params::default());
    assert!(flows.iter().all(|flow| bench.on_flow(&mut rule, flow).is_empty()));
    let later = said(inbound, connect("198.51.100.7:443"));
    assert_eq!(bench.on_progress(&mut rule, &flows[0], FlowEventKind::Payload, later).len(), 1);
}

#[test]
fn declared_hops_and_allowed_relays_may() {
    let network = "172.20.0.9/32";
    for (params, declared, reported) in [
        (Params::default(), None, 1),
        (Params { relays: vec![named("rel*")], ..Params::default() }, None, 0),
        (Params::default(), Some(hop(vec![named("relay")], &[])), 0),
        (Params::default(), Some(hop(vec![], &[network])), 0),
        (Params::default(), Some(hop(vec![named("other")], &["10.0.0.0/8"])), 1),
    ] {
        let mut bench = bench();
        let (inbound, outbound) = legs(&mut bench);
        let inbound = said(inbound, connect("198.51.100.7:443"));
        let mut rule = rule(&params);
        rule.contracts(&declared.map(contract).into_iter().collect::<Vec<_>>());
        let flows = [bench.judged(&inbound), bench.judged(&outbound)];
        let found: usize = flows.iter().map(|flow| bench.on_flow(&mut rule, flow).len()).sum();
        assert_eq!(found, reported, "{params:?}");
    }
}

#[test]
fn legs_of_two_workloads_and_name_resolution_are_no_relay() {
    let mut bench = Bench::new(&[("client", 2), ("web", 9), ("db", 10)]);
    let inbound =
        said(bench.record(0, Protocol::TCP, "172.20.0.2:40001", "172.20.0.9:8080"), connect("198.51.100.7:443"));
    let other = bench.record(5, Protocol::TCP, "172.20.0.10:50001", "198.51.100.7:443");
    let mut rule = rule(&Params::default());
    let flows = [bench.judged(&inbound), bench.judged(&other)];
    assert!(flows.iter().all(|flow| bench.on_flow(&mut rule, flow).is_empty()), "web asked for nothing");
    let question = |bench: &mut Bench, from, to| grown(&bench.record(0, Protocol::UDP, from, to), 10, 60, 300);
    let forwarded = [("172.20.0.2:40001", "172.20.0.9:53"), ("172.20.0.9:50001", "198.51.100.7:53")];
    for (from, to) in forwarded {
        let record = question(&mut bench, from, to);
        assert!(bench.on_flow(&mut rule, &bench.judged(&record)).is_empty(), "a resolver");
    }
}

#[test]
fn a_connection_that_goes_on_in_a_new_record_keeps_its_bytes() {
    let mut bench = bench();
    let (inbound, outbound) = legs(&mut bench);
    let (came, went) = (bench.judged(&inbound), bench.judged(&outbound));
    let mut rule = rule(&Params::default());
    bench.on_flow(&mut rule, &came);
    bench.on_flow(&mut rule, &went);
    let timeout = FlowEventKind::Ended(EndReason::ActiveTimeout);
    bench.on_progress(&mut rule, &came, timeout, grown(&inbound, 60_000, 400, 9000));
    let mut next = grown(&inbound, 61_000, 117, 1000);
    (next.id, next.start) = (FlowId(99), at(60_001));
    bench.on_progress(&mut rule, &came, FlowEventKind::Updated, next.clone());
    bench.on_progress(&mut rule, &came, ENDED, FlowRecord { end: at(62_000), ..next });
    assert_eq!(bench.on_progress(&mut rule, &went, ENDED, grown(&outbound, 62_000, 517, 10_000)).len(), 1);
}

#[test]
fn memory_is_bounded_and_the_oldest_goes() {
    let mut legs = Legs::default();
    let mut bench = bench();
    let template = bench.record(0, Protocol::TCP, "172.20.0.2:40001", "172.20.0.9:8080");
    let mut add = |id: u64, workload: &Arc<Workload>, direction| {
        let record = FlowRecord { id: FlowId(id), ..template.clone() };
        legs.insert(Leg::new(Arc::clone(workload), direction, Owner::Host, record))
    };
    let one = Arc::new(workload("one", 9));
    let places: Vec<_> = (0..200).map(|id| add(id, &one, Direction::Inbound)).collect();
    assert_eq!(legs.len(), [legs::MAX_EACH; 4]);
    assert!(legs.get(places[199]).is_some());
    assert_eq!([0, 199].map(|id| legs.of_flow(FlowId(id)).count()), [0, 1]);
    for id in 0..u64::try_from(legs::MAX_LEGS).expect("few") + 100 {
        let other = Arc::new(workload(&format!("w{}", id / 32), 9));
        let record = FlowRecord { id: FlowId(1000 + id), ..template.clone() };
        legs.insert(Leg::new(other, Direction::Outbound, Owner::Host, record));
    }
    assert_eq!(legs.len(), [legs::MAX_LEGS; 4]);
    assert_eq!(legs.of_flow(FlowId(199)).count(), 0, "the oldest of all went first");
    assert_eq!(legs.forgotten, 300, "each that went is counted");
}

/// A conversation through the relay of which the server returns every byte.
fn echo(bench: &mut Bench, rule: &mut impl Rule, number: u16, bytes: u64) -> Vec<Finding> {
    let begin = u64::from(number) * 1000;
    let inbound = bench.record(begin, Protocol::TCP, &format!("172.20.0.2:{}", 40_000 + number), "172.20.0.9:8080");
    let outbound = bench.record(begin + 5, Protocol::TCP, &format!("172.20.0.9:{}", 50_000 + number), "198.51.100.7:7");
    let mut found = Vec::new();
    for record in [inbound, outbound] {
        let flow = bench.judged(&record);
        found.extend(bench.on_flow(rule, &flow));
        let mut record = grown(&record, begin + 300, bytes, bytes);
        record.tcp = record.tcp.map(|tcp| crate::input::TcpFacts { state: crate::input::ConnState::SF, ..tcp });
        found.extend(bench.on_progress(rule, &flow, ENDED, record));
    }
    found
}

#[test]
fn a_relay_before_an_echo_is_reported_after_three_sizes_and_one_size_says_nothing() {
    let mut bench = bench();
    let mut rule = rule(&Params::default());
    let heartbeats: Vec<_> = (0..8).flat_map(|number| echo(&mut bench, &mut rule, number, 300)).collect();
    assert!(heartbeats.is_empty(), "{heartbeats:?}");
    assert!(echo(&mut bench, &mut rule, 8, 374).is_empty());
    let [found] = &echo(&mut bench, &mut rule, 9, 511)[..] else { panic!("one") };
    assert_eq!((found.severity, found.destination), (Severity::Medium, Some(end("198.51.100.7:7"))));
    assert_eq!(
        found.evidence[0].text,
        "3 conversations of 300, 374, 511 bytes each way came in and went out alike, and began and ended together"
    );
    let later: Vec<_> = [(700, 300), (1400, 374), (2100, 511)]
        .into_iter()
        .flat_map(|(number, bytes)| echo(&mut bench, &mut rule, number, bytes))
        .collect();
    assert!(later.is_empty(), "more than ten minutes lie between them: {later:?}");
}
