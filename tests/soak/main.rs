//! Ten thousand containers come and go in ten minutes: each flow goes to the right one, and memory stays flat.
//!
//! Contract: addresses and MACs are reused at once, many containers live below a second, runtime and kernel tell late; some flows come before
//! anything is told, some after the end. None is misattributed, 99.9 % have their workload, and the engine holds no more at the end than when
//! the first of the dead were forgotten. Limits: event time; a minute of memory instead of ten, so that forgetting is seen.
//! Design: the normal run is shortened; `HOPWATCH_SOAK=1` runs the whole.
#![allow(clippy::expect_used, clippy::unwrap_used, missing_docs, reason = "a test: a failure ends it")]

mod allocator;
#[path = "../support/engine_config.rs"]
#[allow(dead_code, reason = "this test uses a part of it")]
mod engine_config;
#[path = "../support/facts.rs"]
#[allow(dead_code, reason = "this test uses a part of it")]
mod facts;
mod follow;
mod world;

use std::time::Duration;

use follow::Follower;
use world::{Kind, World};

/// How much is run, and how long the dead are remembered.
struct Size {
    containers: u64,
    span: Duration,
    remember: Duration,
}

fn size() -> Size {
    if std::env::var_os("HOPWATCH_SOAK").is_some_and(|value| value == "1") {
        Size { containers: 10_000, span: Duration::from_mins(10), remember: Duration::from_mins(1) }
    } else {
        Size { containers: 1_500, span: Duration::from_secs(90), remember: Duration::from_secs(15) }
    }
}

#[test]
fn containers_that_come_and_go_are_told_apart_and_leave_nothing_behind() {
    let Size { containers, span, remember } = size();
    let mut world = World::new(containers, span);
    let before = allocator::held();
    let mut follower = Follower::new(remember);
    // Everything is remembered and forgotten at its steady rate by then; a bucket of alerts is forgotten after a minute, when it is full again.
    let buckets = Duration::from_secs(65);
    let settled = world.begin().plus(buckets.max(remember + remember / 2 + Duration::from_secs(10)));
    let (mut then, mut most) = (0, 0);
    while let Some((input, expected)) = world.next() {
        follower.push(&input, expected);
        if input.at >= settled && input.at <= world.end() {
            let held = allocator::held().saturating_sub(before).saturating_sub(world.held());
            then = if then == 0 { held } else { then };
            most = most.max(held);
        }
    }
    let told = follower.finish();
    println!("{told}\nheld: {} KiB when settled, at most {} KiB after", then / 1024, most / 1024);
    assert_eq!(told.misattributed, 0, "{told}");
    assert!(told.ratio() >= 0.999, "{told}");
    for kind in Kind::ALL {
        assert!(told.of(kind) * 50 > told.flows, "{kind:?} hardly occurs: {told}");
    }
    assert!(told.early * 10 > told.flows && told.late * 100 > told.flows, "{told}");
    assert!(then > 0 && most < then + then / 4, "memory grows: {then} bytes when settled, then {most}");
}
