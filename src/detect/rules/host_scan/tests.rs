//! Sweeps of hosts that answer.

use super::sweep::Means;
use super::*;
use crate::detect::testing::at;
use crate::input::{Endpoint, FiveTuple, Protocol};

fn sweep(hosts: impl Iterator<Item = (u64, IpAddr)>) -> Option<(Severity, u32)> {
    let mut sweep = Sweep::default();
    for (millis, ip) in hosts {
        let orig = Endpoint { ip: IpAddr::from([10, 0, 0, 1]), port: 40_000 };
        let tuple = FiveTuple { protocol: Protocol::TCP, orig, resp: Endpoint { ip, port: 22 } };
        sweep.add(at(millis), ip, Means::of(&tuple), std::time::Duration::from_mins(1));
    }
    sweep.found(16, 100).map(|(found, severity)| (severity, found.addresses))
}

#[test]
fn sixteen_neighbours_in_a_minute_are_a_sweep() {
    let neighbour = |number: u8| IpAddr::from([10, 0, 0, number]);
    assert_eq!(sweep((1..=16).map(|n| (u64::from(n) * 1000, neighbour(n)))), Some((Severity::Low, 16)));
    assert_eq!(sweep((1..=15).map(|n| (u64::from(n) * 1000, neighbour(n)))), None);
    assert_eq!(sweep((1..=16).map(|n| (u64::from(n) * 10_000, neighbour(n)))), None, "over three minutes");
}

#[test]
fn strangers_all_over_the_world_are_no_sweep() {
    let far = |number: u8| IpAddr::from([198, number, 100, 7]);
    assert_eq!(sweep((1..=60).map(|n| (u64::from(n) * 100, far(n)))), None);
}
