//! Zeek's conn.log: `conn_state` and `history` of every connection, exactly; packets and IP bytes as further evidence.
//!
//! Zeek forgets an idle TCP connection after 5 minutes, DNS over UDP after 10 seconds, everything else after 1 minute; so each
//! capture is metered three times, and on both layers: Zeek meters a tunnel and what is inside.
//! Left out, and counted: connections of which Zeek drops packets with bad checksums (letters C and c; hopwatch never checks
//! checksums) or stops looking (X and x).

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use hopwatch::flow::{Layer, MeterLimits, ZeekConn, zeek_conn};
use hopwatch::input::{Fact, FiveTuple, FlowEventKind, Protocol};
use serde_json::Value;

use super::{Cases, NO_TIMEOUTS, Tally, metered_within, of_kind, text};

/// Of all connections of clean single-run baselines, those whose state and history are the same.
const AGREEING: f64 = 95.9;
/// The same among connections that are found at all.
const FOUND_AGREEING: f64 = 98.2;

type Key = (u8, IpAddr, u16, IpAddr, u16);

pub(super) fn connections(cases: &Cases, truth: &[Value]) {
    let (mut states, mut found_states, mut sizes) = (Tally::default(), Tally::default(), Tally::default());
    let mut left_out = BTreeMap::<&str, usize>::new();
    for line in of_kind(truth, "zeek_conn").filter(|line| line["clean"] == true) {
        let path = cases.path(text(line, "file"));
        if !path.is_file() {
            *left_out.entry("captures that are not there").or_default() += 1;
            continue;
        }
        let (mut outer, mut inner) = (our_connections(&path, Layer::Outer), our_connections(&path, Layer::Inner));
        for theirs in line["expected"]["conns"].as_array().expect("a list") {
            if let Some(reason) = incomparable(theirs) {
                *left_out.entry(reason).or_default() += 1;
                continue;
            }
            let ours = if theirs["tunnelled"] == true { &mut inner } else { &mut outer };
            let mut same = ours.remove(&key(theirs)).unwrap_or_default();
            let place = same.iter().position(|conn| agrees(conn, theirs)).unwrap_or(0);
            let found = (place < same.len()).then(|| same.remove(place));
            ours.insert(key(theirs), same);
            let file = text(line, "file");
            states
                .add(found.as_ref().is_some_and(|conn| agrees(conn, theirs)), || example(file, theirs, found.as_ref()));
            if let Some(conn) = found {
                found_states.add(agrees(&conn, theirs), String::new);
                sizes.add(same_sizes(&conn, theirs), || format!("{file}: {theirs}, ours {:?}", numbers(&conn)));
            }
        }
    }
    states.print("zeek_conn conn_state and history");
    sizes.print("zeek_conn packets and IP bytes of connections found");
    println!("  left out: {left_out:?}");
    println!(
        "  of those found: {} of {} agree ({:.2} %)",
        found_states.agree,
        found_states.total,
        found_states.share()
    );
    assert!(states.share() >= AGREEING && found_states.share() >= FOUND_AGREEING && states.total > 0);
}

fn example(file: &str, theirs: &Value, ours: Option<&ZeekConn>) -> String {
    let ours = ours.map(|conn| (conn.state, conn.history));
    let (state, history) = (text(theirs, "conn_state"), text(theirs, "history"));
    format!("{file}: {:?} {state} {history}, ours {ours:?}", key(theirs))
}

/// Why a connection of theirs cannot be one of ours.
fn incomparable(theirs: &Value) -> Option<&'static str> {
    let history = text(theirs, "history");
    if history.contains(['c', 'C']) {
        Some("bad checksums, dropped by Zeek")
    } else if history.contains(['x', 'X']) {
        Some("analysis given up by Zeek")
    } else {
        None
    }
}

fn our_connections(path: &Path, layer: Layer) -> BTreeMap<Key, Vec<ZeekConn>> {
    let mut found = BTreeMap::<Key, Vec<ZeekConn>>::new();
    for idle in [Duration::from_mins(5), Duration::from_mins(1), Duration::from_secs(10)] {
        let limits = MeterLimits { idle_timeout: idle, ..NO_TIMEOUTS };
        for input in metered_within(path, layer, limits) {
            let Fact::Flow(event) = input.fact else { continue };
            if idle == zeek_idle(&event.record.tuple) && matches!(event.kind, FlowEventKind::Ended(_)) {
                let conn = zeek_conn(event.record);
                found.entry(our_key(&conn.record.tuple)).or_default().push(conn);
            }
        }
    }
    found
}

/// After how long Zeek forgets.
fn zeek_idle(tuple: &FiveTuple) -> Duration {
    let dns = |port| [53, 137, 5353, 5355].contains(&port);
    match tuple.protocol {
        Protocol::TCP => Duration::from_mins(5),
        Protocol::UDP if dns(tuple.orig.port) || dns(tuple.resp.port) => Duration::from_secs(10),
        _ => Duration::from_mins(1),
    }
}

/// Zeek knows the ports of TCP and UDP, and the types of ICMP.
fn our_key(tuple: &FiveTuple) -> Key {
    let known = [Protocol::TCP, Protocol::UDP, Protocol::ICMP, Protocol::ICMPV6].contains(&tuple.protocol);
    let port = |port| if known { port } else { 0 };
    (tuple.protocol.0, tuple.orig.ip, port(tuple.orig.port), tuple.resp.ip, port(tuple.resp.port))
}

fn key(theirs: &Value) -> Key {
    let protocol = match text(theirs, "proto") {
        "tcp" => 6,
        "udp" => 17,
        "icmp" if text(theirs, "orig_h").contains(':') => 58,
        "icmp" => 1,
        _ => theirs["ip_proto"].as_u64().and_then(|number| u8::try_from(number).ok()).unwrap_or(0),
    };
    let ip = |name: &str| text(theirs, name).parse().expect("an address");
    let port = |name: &str| theirs[name].as_u64().and_then(|port| u16::try_from(port).ok()).unwrap_or(0);
    (protocol, ip("orig_h"), port("orig_p"), ip("resp_h"), port("resp_p"))
}

fn agrees(ours: &ZeekConn, theirs: &Value) -> bool {
    let history = theirs["history"].as_str().unwrap_or_default();
    format!("{:?}", ours.state) == text(theirs, "conn_state") && ours.history.as_str() == history
}

fn numbers(ours: &ZeekConn) -> [u64; 4] {
    let [orig, resp] = [ours.record.orig.counters, ours.record.resp.counters];
    [orig.packets, orig.ip_bytes, resp.packets, resp.ip_bytes]
}

fn same_sizes(ours: &ZeekConn, theirs: &Value) -> bool {
    let names = ["orig_pkts", "orig_ip_bytes", "resp_pkts", "resp_ip_bytes"];
    names.map(|name| theirs[name].as_u64().unwrap_or(0)) == numbers(ours)
}
