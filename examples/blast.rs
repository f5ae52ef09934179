//! Sends UDP frames on an interface, to measure what capturing them costs: `blast IF SECONDS FLOWS LENGTH [RATE]`.
//!
//! For scripts/bench-live.sh, inside of network namespaces that it makes; addresses are of 198.18.0.0/15. Needs `CAP_NET_RAW`.
#![allow(clippy::expect_used, missing_docs, reason = "a tool for measuring: a failure ends it")]

#[path = "../tests/support/sender.rs"]
mod sender;

use std::time::{Duration, Instant};

use sender::{Sender, frame};

#[allow(clippy::disallowed_methods, clippy::cast_precision_loss, reason = "it measures a rate")]
fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [interface, seconds, flows, length, rate @ ..] = &arguments[..] else {
        eprintln!("usage: blast INTERFACE SECONDS FLOWS LENGTH [RATE]");
        std::process::exit(2);
    };
    let frames: Vec<_> = (0..flows.parse().expect("a number of flows"))
        .map(|flow| frame(flow, length.parse().expect("a length")))
        .collect();
    let most = Duration::from_secs_f64(seconds.parse().expect("a number of seconds"));
    let rate = rate.first().map(|rate| rate.parse().expect("a rate"));
    let sender = Sender::open(interface).expect("a packet socket on the interface");
    let began = Instant::now();
    let sent = sender.send(&frames, u64::MAX, rate, most);
    println!("{sent} {:.0}", sent as f64 / began.elapsed().as_secs_f64());
}
