//! What is suggested of what services did, and what is not.

use super::super::traffic::{Facts, Ports, Seen};
use super::*;
use crate::inventory::configuration::ServiceName;

fn key(name: &str) -> ServiceKey {
    ServiceKey::new(ServiceName::Name(name.to_owned()), name)
}

fn row(way: Way, peer: &str, port: u16, count: u64, speaks: &[&str]) -> Row {
    let mut facts = Facts { seen: Seen::new(None, 0, count, 0), ..Facts::default() };
    for text in speaks {
        facts.speaks.add(text, 8);
    }
    let protocol = if port == 53 { Protocol::UDP } else { Protocol::TCP };
    Row { way, peer: peer.parse().expect("a peer"), ports: Ports::one(protocol, port), facts }
}

fn reached(peer: &str, port: u16, count: u64, speaks: &[&str]) -> Row {
    row(Way::Reaches, peer, port, count, speaks)
}

/// `of: through/around via place at port`, for each.
fn suggested(services: &[(&str, Vec<Row>)]) -> Vec<String> {
    let keys: Vec<_> = services.iter().map(|(name, _)| key(name)).collect();
    let published = BTreeMap::from([(8080, BTreeSet::from([80]))]);
    let all: Vec<_> =
        services.iter().zip(&keys).map(|((_, rows), key)| Dealt { key, rows, published: &published }).collect();
    let line = |one: SuggestedContract| {
        let of: Vec<_> = one.of.iter().map(|key| key.name().to_string()).collect();
        let (via, at) = (one.via.peer, one.via.port.or(one.port).unwrap_or_default());
        format!("{:?} {}: {}/{} via {via} at {at}", one.service, of.join("+"), one.through, one.around)
    };
    suggest(&all).into_iter().map(line).collect()
}

fn squid() -> (&'static str, Vec<Row>) {
    ("squid", vec![reached("network 198.51.100.0/24", 443, 40, &["tls"])])
}

#[test]
fn services_that_go_out_through_one_proxy_share_a_contract() {
    let web = ("web", vec![reached("service squid (squid)", 3128, 30, &["http", "tls"])]);
    let worker = (
        "worker",
        vec![reached("service squid (squid)", 3128, 9, &["http"]), reached("domain updates.example", 443, 1, &["tls"])],
    );
    assert_eq!(suggested(&[web, worker, squid()]), ["Egress web+worker: 39/1 via service squid (squid) at 3128"]);
}

#[test]
fn a_service_that_mostly_goes_out_by_itself_keeps_no_such_contract() {
    let web = (
        "web",
        vec![reached("service squid (squid)", 3128, 3, &["http"]), reached("domain updates.example", 443, 2, &["tls"])],
    );
    assert_eq!(suggested(&[web, squid()]), Vec::<String>::new());
}

#[test]
fn a_service_that_is_merely_asked_is_no_proxy() {
    let api = ("api", vec![reached("domain pay.example", 443, 5, &["tls"])]);
    let web = ("web", vec![reached("service api (api)", 8080, 50, &["http"])]);
    assert_eq!(suggested(&[api, web]), Vec::<String>::new());
    let idle = ("squid", vec![]);
    let web = ("web", vec![reached("service squid (squid)", 3128, 50, &["http"])]);
    assert_eq!(suggested(&[idle, web]), Vec::<String>::new(), "it goes nowhere");
}

#[test]
fn names_are_resolved_at_one_place() {
    let web = ("web", vec![reached("service dnsmasq (dnsmasq)", 53, 20, &["dns"])]);
    let dnsmasq = ("dnsmasq", vec![reached("network 8.8.8.0/24", 53, 20, &["dns"])]);
    let worker = ("worker", vec![reached("network 10.20.0.53/32", 53, 20, &["dns"])]);
    let loose = (
        "loose",
        vec![reached("network 10.20.0.53/32", 53, 2, &["dns"]), reached("network 8.8.8.0/24", 53, 1, &["dns"])],
    );
    let host = ("host", vec![reached("host", 53, 9, &["dns"])]);
    assert_eq!(
        suggested(&[web, dnsmasq, worker, loose, host]),
        ["Dns web: 20/0 via service dnsmasq (dnsmasq) at 53", "Dns worker: 20/0 via network 10.20.0.53/32 at 53",]
    );
}

#[test]
fn a_published_port_is_reached_through_the_one_that_asks_there() {
    let shop = |port, around| {
        (
            "shop",
            vec![
                row(Way::Listens, "service traefik (traefik)", port, 90, &["http"]),
                row(Way::Listens, "outside", 80, around, &["http"]),
            ],
        )
    };
    assert_eq!(suggested(&[shop(8080, 2)]), ["Ingress shop: 90/2 via service traefik (traefik) at 8080"]);
    assert_eq!(suggested(&[shop(8080, 60)]), Vec::<String>::new());
    assert_eq!(suggested(&[shop(5432, 0)]), Vec::<String>::new(), "nobody outside could reach it");
}
