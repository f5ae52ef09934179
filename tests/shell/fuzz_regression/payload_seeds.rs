//! Seeds of first-payload facts: a message of each protocol, whole and in pieces.

use super::seeds::Seed;
use crate::support::openvpn::{framed, messages};
use crate::support::payloads::{self, crypto_frames, dns_answer, dns_query, hello, initial, records};

/// All of them.
pub fn all() -> Vec<Seed> {
    let targets = ["client_hello", "dns", "echo", "http", "openvpn", "quic", "payload"];
    let named = |target| seeds(target).into_iter().map(move |(name, bytes)| (target, name.to_owned(), bytes));
    targets.into_iter().flat_map(named).collect()
}

/// Requests and replies: as they should be, and odd.
fn pings() -> Vec<(&'static str, Vec<u8>)> {
    let packet = |kind, said: &[u8]| [&[kind, 1, u8::try_from(said.len()).expect("short")], said].concat();
    vec![
        ("ping", [packet(0, b"ping"), packet(1, b"ping"), packet(2, b"ping"), packet(3, b"ping")].concat()),
        ("odd", [packet(0, b"ask"), packet(1, b"tell").repeat(4), packet(3, b"unasked").repeat(4)].concat()),
        ("pieces", [packet(8, b"ask"), packet(24, b"more"), packet(9, b"ask"), packet(5, b"half")].concat()),
    ]
}

fn resets() -> Vec<(&'static str, Vec<u8>)> {
    let of = |reset, protection| messages().find(|found| (found.0, found.1) == (reset, protection)).expect("one").2;
    vec![
        ("plain", of("client_v2", "none")),
        ("server", of("server_v2", "tls_auth")),
        ("crypt", framed(&of("client_v2", "tls_crypt"))),
        ("crypt-v2", of("client_v3", "tls_crypt_v2")),
    ]
}

fn seeds(target: &str) -> Vec<(&'static str, Vec<u8>)> {
    let small = payloads::hello_with("seed.example", &["h2"], &[0x1301, 0xc02f], 32);
    let query = dns_query("seed.example", 28);
    let http = b"CONNECT seed.example:443 HTTP/1.1\r\nHost: seed.example\r\n\r\n".to_vec();
    match target {
        "client_hello" => vec![("records", records(&small, 60)), ("message", small)],
        "dns" => vec![("query", query.clone()), ("answer", dns_answer(&query, 3))],
        "echo" => pings(),
        "openvpn" => resets(),
        "http" => vec![
            ("connect", http),
            ("proxy", b"PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\n".to_vec()),
            ("socks", vec![5, 1, 0, 5, 1, 0, 3, 1, b'x', 0, 80]),
        ],
        "quic" => vec![
            ("initial", initial(1, &[(0, &hello("seed.example", &["h3"])[..200])])),
            ("frames", crypto_frames(&[(0, &small), (300, b"more")])),
        ],
        _ => {
            let packet = |kind: u8, seq: u8, payload: &[u8]| {
                let len = u8::try_from(payload.len()).expect("a small payload");
                [&[kind, 0, seq, len], payload].concat()
            };
            let stream = records(&small, 60);
            let (first, second) = stream.split_at(100);
            vec![
                ("hello", [packet(4, 0, &[]), packet(0, 101, second), packet(0, 1, first)].concat()),
                ("dns", [packet(9, 0, &query), packet(11, 0, &dns_answer(&query, 0))].concat()),
                ("fragments", [packet(41, 0, &[&[0; 4], &query[..4]].concat()), packet(73, 1, &query[4..])].concat()),
            ]
        }
    }
}
