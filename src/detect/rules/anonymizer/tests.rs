//! What hides where it goes, for certain and likely, and what only looks so.

use super::*;
use crate::detect::testing::{self, Bench, said};
use crate::input::{AppFacts, DnsMessage, NameAnswer, ObservationPoint, SocksRequest, TlsHello};
use crate::names::Asker;

fn cipher() -> AppFacts {
    AppFacts { looks_encrypted: true, ..AppFacts::default() }
}

fn socks() -> AppFacts {
    let socks = SocksRequest { version: 5, command: "connect".into(), target: "a.example:80".into() };
    AppFacts { socks: Some(socks), ..AppFacts::default() }
}

fn hello(name: &str, alpn: &[&str]) -> AppFacts {
    let alpn = alpn.iter().map(|&one| one.to_owned()).collect();
    AppFacts { tls: Some(TlsHello { sni: Some(name.into()), alpn, ja4: None }), ..AppFacts::default() }
}

/// A hello of a browser, or of a program, with or without the server's name.
fn fingerprinted(ja4: &str, name: Option<&str>) -> AppFacts {
    let hello = TlsHello { sni: name.map(Into::into), alpn: vec!["h2".to_owned()], ja4: Some(ja4.into()) };
    AppFacts { tls: Some(hello), ..AppFacts::default() }
}

fn asks(name: &str) -> AppFacts {
    let dns = vec![DnsMessage { query: name.into(), kind: "A".into(), rcode: None }];
    AppFacts { dns, ..AppFacts::default() }
}

/// The actor was answered with this address.
fn answered(bench: &mut Bench, to: &str) {
    let answer = NameAnswer {
        point: ObservationPoint::new("br-net"),
        asker: testing::end("172.20.0.2:0").ip,
        resolver: testing::end("172.20.0.9:0").ip,
        name: "named.example".into(),
        addresses: vec![testing::end(to).ip].into(),
        ttl: 60,
    };
    let asker = Asker::Workload(testing::workload("web", 2).id);
    bench.names.learn(&asker, &answer, testing::at(0));
}

fn found(bench: &mut Bench, on: &mut dyn Rule, to: &str, app: AppFacts) -> Option<(String, Severity)> {
    let record = said(bench.record(10, Protocol::TCP, "172.20.0.2:40000", to), app);
    let flow = bench.judged(&record);
    bench.actors.see(&flow);
    bench.on_flow(on, &flow).first().map(|one| (one.cause.clone(), one.severity))
}

#[test]
fn certain_signs_are_medium_and_names_and_likely_ones_low() {
    const FAR: &str = "198.51.100.7:9443";
    const CHROME: &str = "t13i1514h2_8daaf6152771_de4a06bb82e3";
    for (to, app, expected) in [
        (FAR, socks(), Some(("socks", Severity::Medium))),
        (FAR, asks("bridges.torproject.org"), Some(("name", Severity::Low))),
        (FAR, asks("x0.open.servers.ddns.softether-network.net"), Some(("name", Severity::Low))),
        (FAR, hello("api.protonvpn.ch", &["h2"]), Some(("name", Severity::Low))),
        (FAR, hello("www.axs7htfqq2.com", &[]), Some(("tor", Severity::Low))),
        (FAR, cipher(), Some(("encrypted", Severity::Low))),
        (FAR, fingerprinted(CHROME, None), Some(("imitated", Severity::Low))),
        (FAR, fingerprinted(CHROME, Some("shop.example")), None),
        (FAR, fingerprinted("t13i131000_f57a46bbacb6_e7c285222651", None), None),
        ("172.20.0.9:8443", fingerprinted(CHROME, None), None),
        ("203.0.113.9:443", fingerprinted(CHROME, None), None),
        ("172.20.0.9:1080", socks(), None),
        ("172.20.0.9:9443", cipher(), None),
        ("203.0.113.9:443", cipher(), None),
        ("203.0.113.9:443", hello("www.axs7htfqq2.com", &[]), None),
        (FAR, hello("www.axs7htfqq2.com", &["h2"]), None),
        (FAR, hello("www.short.com", &[]), None),
        (FAR, asks("torproject.org.example"), None),
        (FAR, AppFacts::default(), None),
    ] {
        let mut bench = Bench::new(&[("web", 2)]);
        answered(&mut bench, "203.0.113.9:0");
        let expected = expected.map(|(cause, severity)| (cause.to_owned(), severity));
        let mut on = rule(&Params::default());
        assert_eq!(found(&mut bench, &mut on, to, app.clone()), expected, "{to} {app:?}");
        let mut allowed = rule(&Params { allowed: vec![testing::named("web")], ..Params::default() });
        assert_eq!(found(&mut bench, &mut allowed, to, app), None);
    }
}

#[test]
fn three_likely_connections_are_medium_where_names_were_seen() {
    for (is_seen, last) in [(true, Severity::Medium), (false, Severity::Low)] {
        let mut bench = Bench::new(&[("web", 2)]);
        if is_seen {
            answered(&mut bench, "203.0.113.9:0");
        }
        let mut on = rule(&Params::default());
        let all: Vec<_> = (0..3).filter_map(|_| found(&mut bench, &mut on, "198.51.100.7:9443", cipher())).collect();
        assert_eq!(all.iter().map(|one| one.1).collect::<Vec<_>>(), [Severity::Low, Severity::Low, last]);
    }
}
