//! Names that carry data, domains that do not exist, and busy names that do neither.

use super::*;
use crate::detect::testing::{self, Bench, at, said};
use crate::input::{AppFacts, Protocol};

fn message(name: String, kind: &'static str, rcode: Option<&'static str>) -> DnsMessage {
    DnsMessage { query: name, kind: kind.into(), rcode: rcode.map(Into::into) }
}

/// Cause and severity of what is found; each question is a flow, so many milliseconds after the one before.
fn found(params: &Params, every: u64, questions: &[DnsMessage], answer: u64) -> Vec<(String, Severity)> {
    let mut bench = Bench::new(&[("web", 2)]);
    let mut on = rule(params);
    let mut all = Vec::new();
    for (n, question) in (0_u64..).zip(questions) {
        let app = AppFacts { dns: vec![question.clone()], ..AppFacts::default() };
        let mut record = said(bench.record(n * every, Protocol::UDP, "172.20.0.2:40000", "172.20.0.9:53"), app);
        record.resp.counters.payload_bytes = answer;
        record.end = at(n * every);
        let flow = bench.judged(&record);
        bench.actors.see(&flow);
        all.extend(bench.on_flow(&mut on, &flow));
    }
    all.into_iter().map(|one| (one.cause, one.severity)).collect()
}

/// A label that looks random, of lower-case letters and digits.
fn random(seed: u64, len: usize) -> String {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        char::from(b"abcdefghijklmnopqrstuvwxyz234567"[usize::try_from(state % 32).unwrap_or(0)])
    };
    (0..len).map(|_| next()).collect()
}

fn tunnel(count: u64, len: usize, kind: &'static str) -> Vec<DnsMessage> {
    (0..count).map(|n| message(format!("{}.t.evil.example", random(n + 1, len)), kind, Some("NOERROR"))).collect()
}

#[test]
fn a_tunnel_scores_by_its_bytes_whatever_its_type_and_rises() {
    let default = Params::default();
    let domain = |severity| ("evil.example".to_owned(), severity);
    let texts = found(&default, 100, &tunnel(80, 50, "TXT"), 400);
    assert_eq!(texts.last(), Some(&domain(Severity::High)), "{texts:?}");
    let plain = found(&default, 100, &tunnel(80, 50, "A"), 100);
    assert_eq!(plain, [domain(Severity::Medium)]);
    let short = found(&default, 100, &tunnel(400, 8, "A"), 100);
    assert_eq!(short, [domain(Severity::Medium)], "short labels do not disguise it");
    let allowed = Params { allowed: vec![testing::named("web")], ..Params::default() };
    assert!(found(&allowed, 100, &tunnel(80, 50, "TXT"), 400).is_empty());
}

#[test]
fn busy_names_and_lookups_that_look_odd_are_no_tunnel() {
    let default = Params::default();
    let hosts: Vec<_> =
        (0..200).map(|n| message(format!("host{}.busy.example", n % 40), "A", Some("NOERROR"))).collect();
    assert!(found(&default, 1000, &hosts, 100).is_empty());
    let digests: Vec<_> =
        (0..25).map(|n| message(format!("{}.bl.example", random(n, 32)), "A", Some("NOERROR"))).collect();
    assert!(found(&default, 1000, &digests, 100).is_empty(), "25 digests are 800 bytes");
    let mail: Vec<_> = ["_dmarc", "sel._domainkey", "_acme-challenge", "_mta-sts", "default._bimi", "_spf"]
        .into_iter()
        .map(|name| message(format!("{name}.mail.example"), "TXT", Some("NOERROR")))
        .collect();
    assert!(found(&default, 1000, &mail, 600).is_empty());
    let reverse: Vec<_> =
        (0..200).map(|n| message(format!("{n}.0.168.192.in-addr.arpa"), "PTR", Some("NOERROR"))).collect();
    assert!(found(&default, 10, &reverse, 100).is_empty());
}

#[test]
fn many_domains_that_do_not_exist_are_a_storm_and_search_lists_are_not() {
    let default = Params::default();
    let storm: Vec<_> =
        (0..30).map(|n| message(format!("www.{}.example", random(n + 1, 12)), "A", Some("NXDOMAIN"))).collect();
    assert_eq!(found(&default, 1000, &storm, 100), [("NXDOMAIN".to_owned(), Severity::Low)]);
    assert!(found(&default, 120_000, &storm, 100).is_empty(), "over an hour");
    let search: Vec<_> = (0..100)
        .map(|n| message(format!("host{n}.example.org.svc.cluster.local"), "A", Some("NXDOMAIN")))
        .chain((0..100).map(|n| message(format!("host{n}.example.org.corp.example"), "A", Some("NXDOMAIN"))))
        .collect();
    assert!(found(&default, 100, &search, 100).is_empty());
    let mixed: Vec<_> =
        storm.iter().cloned().chain((0..90).map(|n| message(format!("a{n}.fine.example"), "A", None))).collect();
    let mut turned = mixed;
    turned.reverse();
    assert!(found(&default, 1000, &turned, 100).is_empty(), "most of what it asks for exists");
}
