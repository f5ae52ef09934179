//! Targets are bounded.

use super::*;
use crate::detect::testing::at;

#[test]
fn the_target_that_was_quiet_longest_makes_room() {
    let mut own = ActorTargets::default();
    let ip = |number: u8| IpAddr::from([10, 0, 0, number]);
    for number in 0..64 {
        assert!(!own.target(ip(number), at(u64::from(number)), 0).1);
    }
    own.target(ip(0), at(100), 0);
    assert!(own.target(ip(64), at(101), 0).1, "one was forgotten");
    assert!(
        own.targets.iter().any(|target| target.ip == ip(0)) && !own.targets.iter().any(|target| target.ip == ip(1))
    );
}
