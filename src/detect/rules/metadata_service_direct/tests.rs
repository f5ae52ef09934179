//! Addresses, attempts and late answers, contracts, who may.

use super::*;
use crate::detect::testing::{Bench, at, end, named, owner, said};
use crate::input::{AppFacts, HttpRequest, Side};
use crate::path::{Judgement, Service, Skip, Unobservable};

const IMDS: &str = "169.254.169.254:80";
const WEB: &str = "172.20.0.2:40001";

fn open(mut record: FlowRecord) -> FlowRecord {
    record.resp = Side::default();
    record.tcp.iter_mut().for_each(|tcp| tcp.resp_flags = 0);
    record
}

fn judged(verdict: Verdict, skip: Option<Skip>) -> Judgement {
    Judgement {
        contract: "c".into(),
        service: Service::Egress,
        verdict,
        missing_hop: None,
        skip,
        evidence: vec![],
        passed: vec![],
    }
}

#[test]
fn every_listed_service_is_reported_and_neighbours_are_not() {
    let mut bench = Bench::new(&[("web", 2)]);
    for (to, reported) in [
        (IMDS, true),
        ("169.254.169.254:8080", true),
        ("[::ffff:169.254.169.254]:80", true),
        ("[fd00:ec2::254]:80", true),
        ("169.254.170.2:80", true),
        ("169.254.170.23:80", true),
        ("[fd00:ec2::23]:80", true),
        ("100.100.100.200:80", true),
        ("192.0.0.192:80", true),
        ("168.63.129.16:32526", true),
        ("[fd20:ce::254]:80", true),
        ("[fd00:c1::a9fe:a9fe]:80", true),
        ("169.254.42.42:80", true),
        ("[fd00:42::42]:80", true),
        ("[fd00:a9fe:a9fe::1]:80", true),
        ("169.254.0.23:80", true),
        ("[fe80::a9fe:a9fe]:80", true),
        ("168.63.129.16:53", false),
        ("169.254.169.253:80", false),
        ("169.254.169.254:53", false),
        ("198.51.100.7:80", false),
    ] {
        let record = bench.record(10, Protocol::TCP, WEB, to);
        let found = bench.on_flow(&mut rule(&Params::default()), &bench.judged(&record));
        assert_eq!(found.len(), usize::from(reported), "{to}");
        assert!(found.iter().all(|one| one.severity == Severity::High && one.destination == Some(end(to))));
    }
    let udp = bench.record(10, Protocol::UDP, WEB, "169.254.169.254:123");
    assert!(bench.on_flow(&mut rule(&Params::default()), &bench.judged(&udp)).is_empty(), "time, not metadata");
}

#[test]
fn an_attempt_is_reported_when_its_time_is_over_and_rises_with_a_late_answer() {
    let mut bench = Bench::new(&[("web", 2)]);
    let answered = bench.record(10, Protocol::TCP, WEB, IMDS);
    let record = open(answered.clone());
    let flow = bench.judged(&record);
    let mut rule = rule(&Params::default());
    assert_eq!(bench.wakes(&mut rule, &flow), [at(510)]);
    assert!(bench.on_time(&mut rule, at(509)).is_empty());
    let [attempt] = &bench.on_time(&mut rule, at(510))[..] else { panic!("one finding") };
    assert_eq!((attempt.severity, attempt.cause.as_str(), attempt.at), (Severity::Medium, "metadata service", at(10)));
    assert!(bench.on_time(&mut rule, at(9000)).is_empty(), "reported once");
    let [reached] = &bench.on_progress(&mut rule, &flow, FlowEventKind::Updated, answered.clone())[..] else {
        panic!("one")
    };
    assert_eq!((reached.severity, reached.cause.as_str()), (Severity::High, "metadata service"));
    assert!(bench.on_progress(&mut rule, &flow, FlowEventKind::Updated, answered).is_empty(), "reported once");
}

#[test]
fn an_answer_in_time_makes_one_finding_and_an_end_without_one_an_attempt() {
    let mut bench = Bench::new(&[("web", 2)]);
    let ended = FlowEventKind::Ended(crate::input::EndReason::EndOfFlow);
    for (kind, answers, severity) in [
        (FlowEventKind::Payload, true, Severity::High),
        (ended, false, Severity::Medium),
        (ended, true, Severity::High),
    ] {
        let answered = bench.record(10, Protocol::TCP, WEB, IMDS);
        let flow = bench.judged(&open(answered.clone()));
        let mut rule = rule(&Params::default());
        assert!(bench.on_flow(&mut rule, &flow).is_empty());
        let next = if answers { answered.clone() } else { open(answered.clone()) };
        let found = bench.on_progress(&mut rule, &flow, kind, next);
        assert_eq!(found.iter().map(|one| one.severity).collect::<Vec<_>>(), [severity]);
        assert!(bench.on_time(&mut rule, at(9000)).is_empty());
        assert!(bench.on_progress(&mut rule, &flow, FlowEventKind::Updated, answered).is_empty(), "reported already");
    }
}

#[test]
fn contracts_allowed_workloads_and_others_than_workloads_keep_it_quiet() {
    let mut bench = Bench::new(&[("web", 2)]);
    let record = bench.record(10, Protocol::TCP, WEB, IMDS);
    let flow = bench.judged(&record);
    let count = |params: &Params, flow: &JudgedFlow| bench.on_flow(&mut rule(params), flow).len();
    let with = |judgement| JudgedFlow { judgement: Some(judgement), ..flow.clone() };
    let default = Params::default();
    assert_eq!(count(&default, &with(judged(Verdict::Verified, None))), 0);
    assert_eq!(count(&default, &with(judged(Verdict::Bypassed, Some(Skip::Proxy)))), 0);
    let not_ready = Verdict::Unobservable(Unobservable::HopNotReady);
    assert_eq!(count(&default, &JudgedFlow { sent_on: true, ..flow.clone() }), 0, "a contract's hop");
    assert_eq!(count(&default, &with(judged(not_ready, None))), 1);
    assert_eq!(count(&Params { allowed: vec![named("web")], ..default.clone() }, &flow), 0);
    assert_eq!(count(&Params { allowed: vec![named("db")], ..default.clone() }, &flow), 1);
    assert_eq!(count(&default, &JudgedFlow { source: Owner::Host, ..flow.clone() }), 0);
    let other = JudgedFlow { source: owner("db", 3), ..flow.clone() };
    assert_eq!(count(&Params { allowed: vec![named("web")], ..default }, &other), 1);
}

#[test]
fn that_the_hop_was_not_there_yet_is_no_excuse() {
    let mut bench = Bench::new(&[("web", 2)]);
    let record = bench.record(10, Protocol::TCP, WEB, IMDS);
    for verdict in [Verdict::Bypassed, Verdict::Unobservable(Unobservable::HopNotReady)] {
        let judgement = Some(judged(verdict, Some(Skip::Startup)));
        let flow = JudgedFlow { judgement, answered: true, ..bench.judged(&record) };
        let found = bench.on_flow(&mut rule(&Params::default()), &flow);
        assert_eq!(found.iter().map(|finding| finding.severity).collect::<Vec<_>>(), [Severity::High], "{verdict:?}");
    }
}

#[test]
fn own_addresses_are_added_and_the_request_is_named() {
    let mut bench = Bench::new(&[("web", 2)]);
    let http = HttpRequest {
        method: "PUT".into(),
        host: Some("metadata.corp".into()),
        connect: None,
        ..HttpRequest::default()
    };
    let facts = AppFacts { http: Some(http), ..AppFacts::default() };
    let record = said(bench.record(10, Protocol::TCP, WEB, "10.9.9.9:80"), facts);
    let params = Params { also: vec![end("10.9.9.9:0").ip], ..Params::default() };
    let [found] = &bench.on_flow(&mut rule(&params), &bench.judged(&record))[..] else { panic!("one finding") };
    let texts: Vec<_> = found.evidence.iter().map(|one| one.text.as_str()).collect();
    let expected = [
        "10.9.9.9:80 is a metadata service, by the configuration",
        "the service answered",
        "an HTTP PUT request at metadata.corp",
    ];
    assert_eq!(texts, expected);
}
