//! Sends frames on an interface, to measure what capturing them costs: `blast IF SECONDS FLOWS LENGTH [RATE [KIND]]`.
//!
//! For scripts/bench-live.sh and scripts/bench-alerts.py, inside of network namespaces that they make; addresses are of 198.18.0.0/15, RATE 0 is as
//! fast as the kernel takes them, KIND one of `udp`, `syn`, `spoof` (each flow with addresses and MACs of its own), `dns`, `arp`. Needs `CAP_NET_RAW`.
#![allow(clippy::expect_used, missing_docs, reason = "a tool for measuring: a failure ends it")]

#[path = "../tests/support/sender.rs"]
mod sender;

use std::time::{Duration, Instant};

use sender::{Sender, flood_frame};

#[allow(clippy::disallowed_methods, clippy::cast_precision_loss, reason = "it measures a rate")]
fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [interface, seconds, flows, length, rest @ ..] = &arguments[..] else {
        eprintln!("usage: blast INTERFACE SECONDS FLOWS LENGTH [RATE [KIND]]");
        std::process::exit(2);
    };
    let kind = rest.get(1).map_or("udp", String::as_str);
    let length = length.parse().expect("a length");
    let frames: Vec<_> =
        (0..flows.parse().expect("a number of flows")).map(|flow| flood_frame(kind, flow, length)).collect();
    let most = Duration::from_secs_f64(seconds.parse().expect("a number of seconds"));
    let rate = rest.first().map(|rate| rate.parse().expect("a rate")).filter(|rate| *rate > 0.0);
    let sender = Sender::open(interface).expect("a packet socket on the interface");
    let began = Instant::now();
    let sent = sender.send(&frames, u64::MAX, rate, most);
    println!("{sent} {:.0}", sent as f64 / began.elapsed().as_secs_f64());
}
