//! An alert for the tests of formats: a container with a hostile name that goes around its proxy.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::time::Duration;

use super::encoding::Sensor;
use crate::alert::{
    Alert, AlertFlow, AlertWorkload, AttributionInfo, Compose, Destination, Direction, FrameSender, HopKind,
    MissingHop, ProcessEvidence, SCHEMA, SenderProcess, Technique, VerdictInfo,
};
use crate::detect::{SEED_REFERENCE, Severity};
use crate::input::{Endpoint, Mac, ObservationPoint, Protocol};
use crate::inventory::{AttributionMethod, Confidence};
use crate::path::Evidence;
use crate::time::Timestamp;

/// What an attacker calls a container to be obeyed by those who read about it.
pub const HOSTILE: &str = "<!channel> [web](http://x) \"a\"=b|c]\\\u{1b}[2J\n";

/// Where it was seen.
pub fn sensor() -> Sensor {
    Sensor { host: "edge 1".to_owned(), version: "0.1.0" }
}

fn end(text: &str) -> Endpoint {
    let address: SocketAddr = text.parse().expect("an address");
    Endpoint { ip: address.ip(), port: address.port() }
}

fn destination(text: &str, at: Timestamp) -> Destination {
    Destination {
        endpoint: end(text),
        name: None,
        name_known_by: None,
        count: 2,
        first_seen: at,
        last_seen: at,
        protocol: Protocol::TCP,
    }
}

fn workload() -> AlertWorkload {
    AlertWorkload {
        id: "c3c0a5bb29f4".repeat(5) + "0000",
        name: HOSTILE.to_owned(),
        image: "registry.example:5000/shop/web:1.2".to_owned(),
        digest: "sha256:00ff".to_owned(),
        labels: BTreeMap::from([("a.b".to_owned(), "one".to_owned()), ("a".to_owned(), "two".to_owned())]),
        runtime: "docker".to_owned(),
        compose: Some(Compose { project: "shop".to_owned(), service: "web".to_owned() }),
    }
}

/// A container with a hostile name.
pub fn alert() -> Alert {
    let at = Timestamp::from_secs(1_770_000_000).plus(Duration::from_nanos(123_456_789));
    let direction = |text, packets, bytes| Direction { endpoint: end(text), packets, bytes };
    Alert {
        schema: SCHEMA,
        id: "2491e3e63140177f".to_owned(),
        update: 0,
        rule: "egress-skips-proxy",
        title: "Container traffic skips the proxy",
        severity: Severity::High,
        first_seen: at,
        last_seen: at.plus(Duration::from_secs(3)),
        count: 2,
        workload: Some(workload()),
        actor: None,
        anomaly: None,
        flow: Some(AlertFlow {
            protocol: Protocol::TCP,
            protocol_name: "tcp".to_owned(),
            orig: direction("172.20.0.5:41000", 4, 400),
            resp: direction("198.51.100.7:443", 3, 9000),
            community_id: "1:LQU9qZlK+B5F3KDmev6m5PMibrg=".to_owned(),
            observation_points: vec![ObservationPoint::new("br-net")],
            translated: None,
        }),
        destinations: vec![destination("198.51.100.7:443", at), destination("[2001:db8::7]:443", at)],
        destinations_new: 2,
        destinations_omitted: 0,
        contract: Some("egress-through-proxy".to_owned()),
        verdict: Some(VerdictInfo { verdict: "bypassed", reason: None }),
        blind_spots: Vec::new(),
        witnesses: Vec::new(),
        missing_hop: Some(MissingHop {
            alternatives: vec!["proxy".to_owned()],
            kind: Some(HopKind::Endpoint),
            expected: vec!["172.20.0.2".to_owned()],
        }),
        evidence: vec![Evidence::new("peer", "the other end is no proxy")],
        attribution: Some(AttributionInfo {
            result: "workload",
            how: Some(AttributionMethod::Mac),
            confidence: Some(Confidence::Likely),
            why: None,
            candidates: Vec::new(),
        }),
        sender: Some(Box::new(FrameSender {
            interface: Some("veth0a1b2c3".to_owned()),
            mac: Some(Mac([2, 0x42, 0xac, 0x14, 0, 5])),
            forged: true,
            address_of: Some(HOSTILE.to_owned()),
            process: Some(SenderProcess { pid: Some(4242), command: HOSTILE.to_owned(), how: ProcessEvidence::Socket }),
        })),
        attack: vec![
            Technique { name: "Proxy: Internal Proxy", v19: "T1090.001", v18: "T1090.001" },
            Technique { name: "Impair Defenses", v19: "T1685", v18: "T1562.001" },
        ],
        seed_reference: SEED_REFERENCE,
        response: vec!["Run `docker top c3c0a5bb29f4`.".to_owned(), "Ask its owner.".to_owned()],
        link: "https://hopwatch.example/rules/egress-skips-proxy".to_owned(),
        config_sha256: Some("9f".repeat(32).into()),
        ended: false,
        is_first_of_run: true,
        condition: None,
        bundle: None,
    }
}
