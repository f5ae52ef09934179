//! Two MACs that claim one address in turn, and what moves by right.

use super::*;
use crate::detect::testing::{Bench, at, end};
use crate::input::ClaimKind;

const A: Mac = Mac([2, 0, 0, 0, 0, 0xa]);
const B: Mac = Mac([2, 0, 0, 0, 0, 0xb]);

fn claim(mac: Mac, ip: &str) -> NeighbourClaim {
    let (ip, point) = (end(&format!("{ip}:0")).ip, ObservationPoint::new("eth0"));
    NeighbourClaim { point, kind: ClaimKind::ArpReply, ip, mac, asks: None, frame_mac: None, to: None }
}

/// Claims, a second apart, each with its MAC and address.
fn found(claims: &[(Mac, &str)]) -> Vec<Severity> {
    found_every(1000, claims)
}

fn found_every(millis: u64, claims: &[(Mac, &str)]) -> Vec<Severity> {
    let bench = Bench::new(&[("web", 2)]);
    let mut on = rule(&Params::default());
    let mut all = Vec::new();
    for (n, (mac, ip)) in (0_u64..).zip(claims) {
        all.extend(bench.on_claim(&mut on, at(n * millis), &claim(*mac, ip)));
    }
    all.into_iter().map(|one| one.severity).collect()
}

#[test]
fn two_macs_in_turn_are_a_conflict_from_the_third_change_on() {
    const IP: &str = "10.1.0.7";
    assert_eq!(found(&[(A, IP), (B, IP), (A, IP)]), []);
    assert_eq!(found(&[(A, IP), (B, IP), (A, IP), (B, IP)]), [Severity::Medium]);
    assert_eq!(found_every(40_000, &[(A, IP), (B, IP), (A, IP), (B, IP)]), [], "too slow to be both at once");
}

#[test]
fn what_moves_by_right_is_no_conflict() {
    const IP: &str = "10.1.0.7";
    let vrrp = Mac([0, 0, 0x5e, 0, 1, 7]);
    let third = Mac([2, 0, 0, 0, 0, 0xc]);
    assert_eq!(found(&[(A, IP), (B, IP), (B, IP), (B, IP), (B, IP)]), [], "moved once");
    assert_eq!(found(&[(A, IP), (B, IP), (third, IP), (A, IP)]), [], "moves on and on");
    assert_eq!(found(&[(A, IP), (vrrp, IP), (A, IP), (vrrp, IP), (A, IP)]), []);
    assert_eq!(found(&[(A, IP), (A, "10.1.0.8"), (A, "10.1.0.9"), (A, IP)]), [], "proxy ARP");
    let flux = [(A, IP), (B, "10.1.0.8"), (A, "10.1.0.8"), (B, IP), (A, IP), (B, IP), (A, IP), (B, IP)];
    assert_eq!(found(&flux), [], "one host with two interfaces");
    assert_eq!(
        found(&[(A, "172.20.0.2"), (B, "172.20.0.2"), (A, "172.20.0.2"), (B, "172.20.0.2")]),
        [],
        "unknown-source"
    );
}

#[test]
fn the_address_of_a_gateway_is_high() {
    use crate::input::Protocol;
    let mut bench = Bench::new(&[]);
    let mut record = bench.record(10, Protocol::TCP, "10.1.0.2:40000", "198.51.100.7:443");
    record.orig.next_hop = Some(A);
    let (mut on, flow) = (rule(&Params::default()), bench.judged(&record));
    bench.on_flow(&mut on, &flow);
    let claims = [A, B, A, B].into_iter().zip(0_u64..);
    let all: Vec<_> =
        claims.flat_map(|(mac, n)| bench.on_claim(&mut on, at(n * 1000), &claim(mac, "10.1.0.1"))).collect();
    assert_eq!(all.iter().map(|one| one.severity).collect::<Vec<_>>(), [Severity::High]);
}
