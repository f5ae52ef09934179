//! Which protocols are wrong at which ports, and what looks like it and is not.

use super::*;
use crate::detect::testing::{self, Bench, said};
use crate::input::{AppFacts, HttpRequest, Magic, SocksRequest, TlsHello};

fn tls() -> AppFacts {
    AppFacts { tls: Some(TlsHello::default()), ..AppFacts::default() }
}

fn ssh() -> AppFacts {
    AppFacts { ssh: Some("SSH-2.0-x".into()), ..AppFacts::default() }
}

fn http(connect: Option<&str>) -> AppFacts {
    let http = HttpRequest { method: "GET".into(), connect: connect.map(str::to_owned), ..HttpRequest::default() };
    AppFacts { http: Some(http), ..AppFacts::default() }
}

fn magic(magic: Magic) -> AppFacts {
    AppFacts { magic: Some(magic), ..AppFacts::default() }
}

fn socks() -> AppFacts {
    let socks = SocksRequest { version: 5, command: "connect".into(), target: "a.example:80".into() };
    AppFacts { socks: Some(socks), ..AppFacts::default() }
}

/// Cause and severity of what is found in a flow from a plain address.
fn found(to: &str, app: AppFacts) -> Option<(String, Severity)> {
    let mut bench = Bench::new(&[]);
    let record = said(bench.record(10, Protocol::TCP, "10.1.0.2:40000", to), app);
    let flow = bench.judged(&record);
    bench.actors.see(&flow);
    let found = bench.on_flow(&mut rule(&Params::default()), &flow);
    found.first().map(|one| (one.cause.clone(), one.severity))
}

#[test]
fn a_known_protocol_at_another_ones_port_is_reported_and_carriers_at_open_ports_are_worse() {
    for (to, app, expected) in [
        ("198.51.100.7:443", ssh(), Some(("ssh at 443", Severity::Medium))),
        ("10.1.0.9:53", socks(), Some(("socks at 53", Severity::Medium))),
        ("198.51.100.7:53", socks(), None),
        ("198.51.100.7:443", http(None), Some(("http at 443", Severity::Low))),
        ("198.51.100.7:53", http(None), Some(("http at 53", Severity::Low))),
        ("198.51.100.7:80", tls(), Some(("tls at 80", Severity::Low))),
        ("198.51.100.7:22", tls(), Some(("tls at 22", Severity::Low))),
        (
            "198.51.100.7:3128",
            AppFacts { ssh: ssh().ssh, ..http(Some("far.example:443")) },
            Some(("ssh at 443", Severity::Medium)),
        ),
        ("198.51.100.7:443", tls(), None),
        ("198.51.100.7:80", http(None), None),
        ("198.51.100.7:22", ssh(), None),
        ("198.51.100.7:8000", ssh(), None),
        ("198.51.100.7:443", magic(Magic::Http2), None),
        ("198.51.100.7:25", tls(), None),
        ("198.51.100.7:5432", tls(), None),
        ("198.51.100.7:443", AppFacts::default(), None),
        ("198.51.100.7:3128", AppFacts { tls: tls().tls, ..http(Some("far.example:443")) }, None),
        ("198.51.100.7:3128", AppFacts { ssh: ssh().ssh, ..http(Some("far.example:22")) }, None),
    ] {
        let expected = expected.map(|(cause, severity)| (cause.to_owned(), severity));
        assert_eq!(found(to, app.clone()), expected, "{to} {app:?}");
    }
}

#[test]
fn a_flow_is_reported_once_and_what_is_allowed_is_quiet() {
    let mut bench = Bench::new(&[("web", 2)]);
    let record = bench.record(10, Protocol::TCP, "172.20.0.2:40000", "198.51.100.7:443");
    let (mut on, flow) = (rule(&Params::default()), bench.judged(&record));
    bench.actors.see(&flow);
    assert!(bench.on_flow(&mut on, &flow).is_empty());
    let record = said(record, http(None));
    let kind = crate::input::FlowEventKind::Updated;
    assert_eq!(bench.on_progress(&mut on, &flow, kind, record.clone()).len(), 1);
    assert!(bench.on_progress(&mut on, &flow, kind, record.clone()).is_empty());
    for params in [
        Params { allowed: vec![testing::named("web")], ..Params::default() },
        Params { allowed_ports: vec![443], ..Params::default() },
    ] {
        assert!(bench.on_progress(&mut rule(&params), &flow, kind, record.clone()).is_empty());
    }
    let tunnel = said(record, ssh());
    assert!(bench.on_progress(&mut rule(&Params::default()), &flow, kind, tunnel).is_empty(), "tunnel-from-container");
}
