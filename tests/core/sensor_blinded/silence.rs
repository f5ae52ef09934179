//! Losses, and runtimes or connection tracking that fall silent.

use super::*;

#[test]
fn losses_over_the_budget_at_one_point() {
    let mut world = world();
    for second in 0..5 {
        lose(&mut world, 1_000 + second * 1_000, LossReason::Kernel, 300);
    }
    assert_said(world, "medium", 4_000, "1200 packets found the capture ring full at br-net within 10 s");
}

#[test]
fn a_few_losses_are_within_the_budget() {
    let mut world = world();
    for second in 0..100 {
        lose(&mut world, 1_000 + second * 1_000, LossReason::Kernel, 80);
        lose(&mut world, 1_000 + second * 1_000, LossReason::FlowTable, 80);
    }
    assert_silent(world);
}

#[test]
fn any_loss_between_capture_and_judgement_is_told_once_a_cause() {
    let mut world = world();
    lose(&mut world, 1_000, LossReason::Queue, 1);
    lose(&mut world, 2_000, LossReason::Queue, 5);
    assert_said(world, "medium", 1_000, "1 events found the queue to the engine full at br-net");
}

#[test]
fn a_runtime_that_is_silent_for_too_long() {
    let mut world = world();
    world.runtime(5_000, runtime_cut());
    world.tick(14_999);
    assert_eq!(world.raised(), Vec::<String>::new());
    world.tick(15_000);
    assert_eq!(world.raised(), ["sensor-blinded - high"]);
    assert_said(world, "high", 5_000, "docker has not answered for 10 s: connection refused");
}

#[test]
fn a_users_runtime_may_go_with_its_user() {
    let cut = |runtime: &str| {
        let mut world = world();
        world
            .runtime(100, InventoryEvent::Reconciled { runtime: runtime.parse().expect("a runtime"), running: vec![] });
        world.runtime(
            5_000,
            InventoryEvent::Disconnected { runtime: runtime.parse().expect("a runtime"), error: "no such file".into() },
        );
        world
    };
    assert_said(cut("podman-1000"), "low", 5_000, "podman-1000 has not answered for 10 s");
    assert_said(cut("podman"), "high", 5_000, "podman has not answered for 10 s");
    assert_said(cut("podman-0"), "high", 5_000, "podman-0 has not answered for 10 s");
}

#[test]
fn the_waiting_times_are_written_as_durations() {
    let mut quick = config();
    quick.rules.sensor_blinded.runtime_grace = "1500ms".to_owned().try_into().expect("time");
    let mut world = World::new(quick);
    world.runtime(5_000, runtime_cut());
    world.tick(6_499);
    assert_eq!(world.raised(), Vec::<String>::new());
    world.tick(6_500);
    assert_said(world, "high", 5_000, "docker has not answered for 1.5 s");
}

#[test]
fn a_connection_without_a_complete_list_does_not_end_the_cut() {
    let mut world = world();
    world.runtime(5_000, runtime_cut());
    world.runtime(9_000, InventoryEvent::Connected { runtime: hopwatch::input::RuntimeId::DOCKER });
    world.runtime(12_000, runtime_cut());
    assert_said(world, "high", 5_000, "docker has not answered");
}

#[test]
fn a_short_cut_and_a_runtime_that_never_was_there() {
    let mut short = world();
    for restart in 0..3 {
        let millis = 5_000 + restart * 12_000;
        short.runtime(millis, runtime_cut());
        short.runtime(millis + 8_000, InventoryEvent::Connected { runtime: hopwatch::input::RuntimeId::DOCKER });
        short.runtime(millis + 9_000, reconciled());
    }
    assert_silent(short);
    let mut never = World::silent(config());
    never.runtime(0, runtime_cut());
    assert_silent(never);
}

#[test]
fn cut_again_it_is_told_again() {
    let mut world = world();
    for millis in [5_000, 100_000] {
        world.runtime(millis, runtime_cut());
        world.runtime(millis + 20_000, InventoryEvent::Connected { runtime: hopwatch::input::RuntimeId::DOCKER });
        world.runtime(millis + 20_000, reconciled());
    }
    world.tick(600_000);
    world.finish();
    let counts: Vec<_> = world.alerts.iter().map(|alert| (alert.update, alert.count)).collect();
    assert_eq!(counts, [(0, 1), (1, 1), (2, 2)], "one alert, counted twice, with an update at its first end");
    let last = world.alerts.last().and_then(|alert| alert.evidence.last()).expect("evidence");
    assert_eq!((last.kind.as_str(), last.text.as_str()), ("over", "docker answers again, after 20 s"));
}

#[test]
fn connection_tracking_that_loses_or_falls_silent_is_told_and_one_that_never_was_there_is_not() {
    let nat = |world: &mut World, millis, fact| world.push(millis, Fact::Recorded(RecordedFact::Nat(fact)));
    let unheard = || NatFact::Unwatched { netns: None, error: "no permission".to_owned() };
    let mut never = world();
    nat(&mut never, 1_000, unheard());
    assert_silent(never);
    let mut lost = world();
    nat(&mut lost, 1_000, NatFact::Watched { netns: None });
    nat(&mut lost, 9_000, NatFact::Missed { count: 0, since: at(8_000) });
    assert_said(lost, "medium", 8_000, "connection tracking lost events");
    let mut silent = world();
    nat(&mut silent, 1_000, NatFact::Watched { netns: None });
    nat(&mut silent, 9_000, unheard());
    assert_said(silent, "medium", 9_000, "no longer answers: no permission");
}
