//! Miners, nodes and pools, and what only looks like them.

use super::*;
use crate::detect::testing::{self, Bench, said};
use crate::input::{AppFacts, DnsMessage, Protocol, TlsHello};

fn mining() -> AppFacts {
    AppFacts { mining: Some("mining.subscribe".into()), ..AppFacts::default() }
}

fn magic(magic: Magic) -> AppFacts {
    AppFacts { magic: Some(magic), ..AppFacts::default() }
}

fn asks(name: &str) -> AppFacts {
    let dns = vec![DnsMessage { query: name.into(), kind: "A".into(), rcode: None }];
    AppFacts { dns, ..AppFacts::default() }
}

fn hello(name: &str) -> AppFacts {
    AppFacts { tls: Some(TlsHello { sni: Some(name.into()), ..TlsHello::default() }), ..AppFacts::default() }
}

#[test]
fn mining_is_certain_a_node_is_medium_and_a_name_alone_is_low() {
    for (app, expected) in [
        (mining(), Some(("stratum", Severity::High))),
        (magic(Magic::Bitcoin), Some(("node", Severity::Medium))),
        (magic(Magic::Monero), Some(("node", Severity::Medium))),
        (asks("eu.Pool.SupportXMR.com."), Some(("pool", Severity::Low))),
        (hello("xmr-eu1.nanopool.org"), Some(("pool", Severity::Low))),
        (magic(Magic::Bittorrent), None),
        (asks("nanopool.org.example"), None),
        (hello("notnanopool.org"), None),
        (AppFacts::default(), None),
    ] {
        let mut bench = Bench::new(&[("web", 2)]);
        let record = said(bench.record(10, Protocol::TCP, "172.20.0.2:40000", "198.51.100.7:3333"), app.clone());
        let flow = bench.judged(&record);
        bench.actors.see(&flow);
        let mut on = rule(&Params::default());
        let found = bench.on_flow(&mut on, &flow);
        assert_eq!(found.first().map(|one| (one.cause.as_str(), one.severity)), expected, "{app:?}");
        assert!(bench.on_flow(&mut on, &flow).is_empty(), "once a flow");
        let allowed = Params { allowed: vec![testing::named("web")], ..Params::default() };
        assert!(bench.on_flow(&mut rule(&allowed), &flow).is_empty());
    }
}
