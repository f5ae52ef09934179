//! A record as Zeek's conn.log would have it: who is originator, `conn_state`, `history`.
//!
//! Contract: pure functions of a record. Where the first packet does not say who opened the connection (TCP without SYN,
//! every datagram), Zeek takes a well-known port for the responder's; [`zeek_conn`] does so too, marked by `^`.
//! Limits: the well-known ports are those that Zeek's own scripts register when nothing is configured. A first SYN-ACK always
//! names the other side here, for Zeek only if its port is well known.
//! Spec: docs.zeek.org, `Conn::Info`, `likely_server_ports`.

use crate::input::{ConnState, FlowRecord, History, Protocol};

/// What conn.log says of a flow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ZeekConn {
    /// The record, originator and responder as Zeek takes them.
    pub record: FlowRecord,
    /// `conn_state`.
    pub state: ConnState,
    /// `history`; empty (`-`) where Zeek keeps none: neither TCP nor UDP.
    pub history: History,
}

/// UDP by packets in both directions: S0 asked, SF answered, SHR answer only, OTH nothing.
pub const fn datagram_state(orig_packets: u64, resp_packets: u64) -> ConnState {
    match (orig_packets, resp_packets) {
        (0, 0) => ConnState::OTH,
        (_, 0) => ConnState::S0,
        (0, _) => ConnState::SHR,
        _ => ConnState::SF,
    }
}

/// A record as Zeek would have it.
pub fn zeek_conn(record: FlowRecord) -> ZeekConn {
    let turned = zeek_turns(&record);
    let record = if turned { record.reversed() } else { record };
    let (state, letters) = match (record.tuple.protocol, record.tcp) {
        (Protocol::TCP, Some(tcp)) => (tcp.state, tcp.history),
        (Protocol::UDP, _) => datagrams(&record, turned),
        _ => (ConnState::OTH, History::default()),
    };
    let mut history = History::default();
    if turned {
        history.push(b'^');
    }
    letters.as_str().bytes().for_each(|letter| history.push(letter));
    ZeekConn { record, state, history }
}

/// D and d in the order of first sight; the originator's first packet is the first one, unless the flow was turned.
fn datagrams(record: &FlowRecord, turned: bool) -> (ConnState, History) {
    let [orig, resp] = [record.orig.counters.packets, record.resp.counters.packets];
    let mut history = History::default();
    for (letter, packets) in if turned { [(b'd', resp), (b'D', orig)] } else { [(b'D', orig), (b'd', resp)] } {
        if packets > 0 {
            history.push(letter);
        }
    }
    (datagram_state(orig, resp), history)
}

/// Whether Zeek takes the sender of the first packet for the responder.
fn zeek_turns(record: &FlowRecord) -> bool {
    let [from, to] = [record.tuple.orig.port, record.tuple.resp.port];
    let is_broadcast = record.tuple.resp.ip == std::net::Ipv4Addr::BROADCAST;
    let turns = match (record.tuple.protocol, record.tcp) {
        (Protocol::TCP, Some(tcp)) => {
            let started_midway = !tcp.history.as_str().starts_with(['S', '^', 'I', 'Q']);
            let server = |port| TCP_SERVERS.binary_search(&port).is_ok();
            started_midway && server(from) && (!server(to) || from < to)
        }
        (Protocol::UDP, _) => {
            let server = |port| UDP_SERVERS.binary_search(&port).is_ok();
            server(from) && !server(to)
        }
        _ => false,
    };
    turns && !is_broadcast
}

/// TCP ports that Zeek takes for a responder's.
const TCP_SERVERS: [u16; 48] = [
    21, 22, 25, 53, 79, 80, 81, 88, 110, 135, 139, 143, 389, 443, 445, 502, 563, 585, 587, 614, 631, 636, 989, 990,
    992, 993, 995, 1080, 1434, 1883, 2811, 3128, 3268, 3306, 3389, 5222, 5223, 5269, 5432, 6379, 6666, 6667, 6668,
    6669, 8000, 8080, 8888, 20_000,
];

/// UDP ports that Zeek takes for a responder's.
const UDP_SERVERS: [u16; 22] = [
    53, 67, 88, 123, 137, 161, 162, 389, 443, 514, 1812, 2123, 2152, 3389, 3544, 4789, 5060, 5072, 5353, 5355, 6081,
    20_000,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_are_in_order() {
        assert!(TCP_SERVERS.is_sorted() && UDP_SERVERS.is_sorted());
    }

    #[test]
    fn datagrams_by_who_sent() {
        let states = [(0, 0), (3, 0), (0, 1), (2, 2)].map(|(orig, resp)| datagram_state(orig, resp));
        assert_eq!(states, [ConnState::OTH, ConnState::S0, ConnState::SHR, ConnState::SF]);
    }
}
