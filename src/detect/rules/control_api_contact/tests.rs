//! Requests and ports of control APIs, and services that look like them.

use super::*;
use crate::detect::testing::{self, Bench, said};
use crate::input::{AppFacts, HttpRequest};

fn found(method: &str, path: &str, to: &str, params: &Params) -> Option<(String, Severity)> {
    let mut bench = Bench::new(&[("web", 2)]);
    let http = HttpRequest { method: method.into(), path: Some(path.into()), ..HttpRequest::default() };
    let app = AppFacts { http: Some(http), ..AppFacts::default() };
    let record = said(bench.record(10, Protocol::TCP, "172.20.0.2:40000", to), app);
    let flow = bench.judged(&record);
    bench.actors.see(&flow);
    let found = bench.on_flow(&mut rule(params), &flow);
    found.first().map(|one| (one.cause.clone(), one.severity))
}

#[test]
fn a_request_that_changes_something_is_high_one_that_reads_medium_and_another_api_is_none() {
    let params = Params::default();
    let docker = |severity| Some(("Docker".to_owned(), severity));
    assert_eq!(found("GET", "/v1.43/containers/json", "172.20.0.9:2375", &params), docker(Severity::Medium));
    assert_eq!(found("POST", "/v1.43/containers/create", "198.51.100.7:80", &params), docker(Severity::High));
    assert_eq!(found("POST", "/api/v1/query", "172.20.0.9:9090", &params), None);
    let allowed = Params { allowed: vec![testing::named("web")], ..Params::default() };
    assert_eq!(found("POST", "/v1.43/containers/create", "198.51.100.7:80", &allowed), None);
}

#[test]
fn a_port_alone_counts_at_the_host_and_where_it_answered() {
    for (to, bytes, is_found) in [
        ("172.20.0.1:2376", 500, true),
        ("172.20.0.1:2376", 0, false),
        ("172.20.0.1:8080", 500, false),
        ("198.51.100.7:2376", 500, false),
    ] {
        let mut bench = Bench::new(&[("web", 2)]);
        let mut record = bench.record(10, Protocol::TCP, "172.20.0.2:40000", to);
        record.resp.counters.payload_bytes = bytes;
        let flow = bench.judged(&record);
        bench.actors.see(&flow);
        assert_eq!(bench.on_flow(&mut rule(&Params::default()), &flow).len(), usize::from(is_found), "{to} {bytes}");
    }
}
