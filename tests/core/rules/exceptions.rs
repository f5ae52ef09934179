//! `exception-expires`: reported in event time, with an id that a restart does not change, and unused only where that is known.

use hopwatch::alert::Alert;

use hopwatch::engine::EngineConfig;

use crate::support::world::{World, at, exception};

const DAY: u64 = 24 * 3_600_000;

fn config() -> EngineConfig {
    let mut config = crate::support::world::config();
    config.rules.exception_expires.enabled = true;
    config
}

fn world(expires: u64) -> World {
    let mut config = config();
    config.exceptions = vec![exception("moving", "web-*", at(expires))];
    World::new(config)
}

fn about_exceptions(world: &World) -> Vec<&Alert> {
    world.alerts.iter().filter(|alert| alert.rule == "exception-expires").collect()
}

#[test]
fn one_alert_comes_two_weeks_before_and_a_later_start_gives_it_the_same_id() {
    let mut early = world(20 * DAY);
    early.tick(5 * DAY);
    assert!(about_exceptions(&early).is_empty());
    early.tick(7 * DAY);
    early.tick(8 * DAY);
    let alerts = about_exceptions(&early);
    assert_eq!((alerts.len(), alerts[0].first_seen, alerts[0].severity.as_str()), (1, at(6 * DAY), "low"));
    let mut late =
        World::silent(EngineConfig { exceptions: vec![exception("moving", "web-*", at(20 * DAY))], ..config() });
    late.tick(9 * DAY);
    assert_eq!(about_exceptions(&late)[0].id, alerts[0].id);
    assert!(alerts[0].response.iter().any(|step| step.contains("`hopwatch exceptions list`")));
}

#[test]
fn an_exception_that_expires_unused_is_said_and_one_that_was_used_ends_its_alert() {
    let mut unused = world(20 * DAY);
    unused.tick(20 * DAY + 1);
    let alerts = about_exceptions(&unused);
    assert_eq!(alerts.len(), 2, "{alerts:?}");
    assert!(alerts[1].evidence[0].text.contains("expired at") && alerts[1].update == 0, "{alerts:?}");

    let mut used = world(DAY);
    used.start(0, "web-1", 10);
    used.start(0, "proxy", 20);
    used.tcp(10_000, 10, "198.51.100.7", 443);
    used.tick(DAY + 1);
    used.tick(DAY + 3_600_000);
    let alerts = about_exceptions(&used);
    assert_eq!((alerts.len(), alerts[1].id == alerts[0].id, alerts[1].update), (2, true, 1), "{alerts:?}");
    assert!(alerts[1].evidence.iter().any(|evidence| evidence.text.contains("has held back 1 finding")));
}

#[test]
fn what_expired_before_the_start_or_soon_after_it_is_not_said_to_be_unused() {
    let mut short = world(DAY);
    short.tick(DAY + 1);
    let alerts = about_exceptions(&short);
    assert_eq!((alerts.len(), alerts[1].id == alerts[0].id, alerts[1].update), (2, true, 1), "{alerts:?}");
    assert!(alerts[1].evidence.iter().any(|evidence| evidence.text.contains("has held back nothing since")));

    let mut late = World::silent(EngineConfig { exceptions: vec![exception("moving", "web-*", at(DAY))], ..config() });
    late.tick(2 * DAY);
    late.tick(30 * DAY);
    assert!(about_exceptions(&late).is_empty(), "it may have been used before the start");
}

#[test]
fn what_was_used_before_a_reload_is_not_said_to_be_unused() {
    for (days, expires) in [(14, 20 * DAY), (16, 20 * DAY), (14, 40 * DAY)] {
        let mut world = world(20 * DAY);
        world.start(0, "web-1", 10);
        world.start(0, "proxy", 20);
        world.tcp(10_000, 10, "198.51.100.7", 443);
        world.tick(7 * DAY);
        let mut again = config();
        again.exceptions = vec![exception("moving", "web-*", at(expires))];
        again.rules.exception_expires.days = days;
        world.engine.reconfigure(again, &mut world.alerts);
        world.tick(8 * DAY);
        world.tick(expires + 1);
        let alerts = about_exceptions(&world);
        let says_expired =
            |alert: &&&Alert| alert.evidence.iter().any(|one| one.text.contains("to egress-skips-proxy expired at"));
        assert_eq!(alerts.iter().filter(says_expired).count(), 0, "{days} days, until {expires}: {alerts:?}");
        assert!(alerts.last().expect("it expired soon").ended, "{alerts:?}");
    }
}

#[test]
fn another_date_by_a_reload_ends_the_alert_and_the_same_configuration_again_says_nothing() {
    let mut world = world(DAY);
    world.tick(1);
    assert_eq!(about_exceptions(&world).len(), 1);
    let mut again = config();
    again.exceptions = vec![exception("moving", "web-*", at(DAY))];
    world.engine.reconfigure(again.clone(), &mut world.alerts);
    world.tick(3_600_000);
    assert_eq!(about_exceptions(&world).len(), 1);
    again.exceptions = vec![exception("moving", "web-*", at(90 * DAY))];
    world.engine.reconfigure(again, &mut world.alerts);
    world.tick(3_600_001);
    let alerts = about_exceptions(&world);
    assert_eq!((alerts.len(), alerts[1].update), (2, 1));
    assert!(alerts[1].evidence.iter().any(|evidence| evidence.text.contains("it now expires at")), "{alerts:?}");
}

#[test]
fn many_exceptions_that_end_together_are_bounded_by_the_budget() {
    let mut config = config();
    config.exceptions = (0..500).map(|number| exception(&format!("e{number}"), "web-*", at(DAY))).collect();
    let most = config.alert_budget.burst as usize + 1;
    let mut world = World::new(config);
    world.push(0, hopwatch::input::Fact::Tick);
    let raised = about_exceptions(&world).iter().filter(|alert| alert.update == 0).count();
    assert!(raised <= most, "{raised} alerts, at most {most}");
}
