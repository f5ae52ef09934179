//! Alerts that an earlier run left open go on with their ids, or end.

use hopwatch::alert::Alert;
use hopwatch::engine::EngineConfig;
use hopwatch::input::{Fact, NetworkMode, OpenAlert, RecordedFact, WorkloadId};

use crate::support::world::{World, at, config, exception};

const MINUTE: u64 = 60_000;

/// What the outbox keeps of an alert.
fn left(alert: &Alert) -> OpenAlert {
    let condition = alert.condition.as_ref().expect("every alert has one");
    OpenAlert {
        condition: condition.hash.to_string(),
        id: alert.id.clone(),
        rule: alert.rule.to_owned(),
        update: alert.update,
        count: alert.count,
        severity: alert.severity.as_str().to_owned(),
        first_seen: alert.first_seen,
        last_seen: alert.last_seen,
        stands: condition.stands,
        workload: alert.workload.as_ref().map(|workload| WorkloadId::new(&workload.id)),
    }
}

/// A run that begins then, after one that left this open.
fn next_run(config: EngineConfig, millis: u64, open: &[&Alert]) -> World {
    let mut world = World::silent(config);
    for alert in open {
        world.push(millis, Fact::Recorded(RecordedFact::OpenAlert(left(alert))));
    }
    world.connect(millis);
    world
}

fn on_host_network(world: &mut World, millis: u64) {
    world.start_with(millis, "web-1", 10, |workload| {
        workload.network_mode = NetworkMode::Host;
        workload.attachments.clear();
        workload.since = Some(at(0));
    });
}

fn first_run() -> World {
    let mut world = World::new(config());
    on_host_network(&mut world, 1_000);
    assert_eq!((world.alerts.len(), world.alerts[0].rule), (1, "unexpected-host-network"));
    world
}

fn says(alert: &Alert, text: &str) -> bool {
    alert.evidence.iter().any(|evidence| evidence.kind == "restart" && evidence.text.contains(text))
}

#[test]
fn what_stands_goes_on_with_its_id_and_the_next_update() {
    let before = first_run();
    let before = before.alerts.last().expect("raised");
    let mut world = next_run(config(), 600 * MINUTE, &[before]);
    on_host_network(&mut world, 600 * MINUTE + 1_000);
    let [alert] = &world.alerts[..] else { panic!("{:?}", world.alerts) };
    assert_eq!((&alert.id, alert.update, alert.count), (&before.id, before.update + 1, before.count + 1));
    assert_eq!((alert.first_seen, alert.ended), (before.first_seen, false));
    assert!(says(alert, "it goes on"), "{alert:?}");
    world.tick(700 * MINUTE);
    assert_eq!(world.alerts.len(), 1, "it is said once");
}

#[test]
fn what_stands_and_is_not_found_again_ends_once_and_later_opens_anew() {
    let before = first_run();
    let before = before.alerts.last().expect("raised");
    let mut world = next_run(config(), 600 * MINUTE, &[before]);
    world.tick(609 * MINUTE);
    assert!(world.alerts.is_empty(), "{:?}", world.alerts);
    world.tick(611 * MINUTE);
    world.tick(650 * MINUTE);
    let [alert] = &world.alerts[..] else { panic!("{:?}", world.alerts) };
    assert_eq!(
        (&alert.id, alert.update, alert.count, alert.ended),
        (&before.id, before.update + 1, before.count, true)
    );
    assert_eq!((alert.rule, alert.last_seen), (before.rule, before.last_seen));
    assert!(says(alert, "was not found again"), "{alert:?}");
    world.start_with(660 * MINUTE, "web-1", 10, |workload| {
        workload.network_mode = NetworkMode::Host;
        workload.since = Some(at(660 * MINUTE));
    });
    let anew = world.alerts.last().expect("raised");
    assert_eq!((anew.update, anew.id == before.id), (0, false));
}

#[test]
fn what_was_seen_goes_on_only_as_long_as_it_would_have_without_a_restart() {
    let mut first = World::new(config());
    first.start(0, "web-1", 10);
    first.start(0, "proxy", 20);
    first.tcp(10_000, 10, "198.51.100.7", 443);
    let before = first.alerts.last().expect("raised").clone();
    for (later, same) in [(5 * MINUTE, true), (30 * MINUTE, false)] {
        let mut world = next_run(config(), later, &[&before]);
        world.start(later, "web-1", 10);
        world.start(later, "proxy", 20);
        world.tcp(later + 10_000, 10, "198.51.100.8", 443);
        let alert = world.alerts.last().expect("raised");
        assert_eq!((alert.id == before.id, alert.update), (same, u32::from(same)), "{later}: {alert:?}");
    }
    let mut quiet = next_run(config(), 5 * MINUTE, &[&before]);
    quiet.tick(60 * MINUTE);
    assert!(quiet.alerts.is_empty(), "what was seen closes without a word: {:?}", quiet.alerts);
}

#[test]
fn the_end_of_what_went_on_is_told_with_its_id() {
    let with = |days: u64| {
        let mut config = config();
        config.rules.exception_expires.enabled = true;
        config.exceptions = vec![exception("moving", "web-*", at(days * 24 * 60 * MINUTE))];
        config
    };
    let first = World::new(with(3));
    let before = first.alerts.last().expect("it expires soon").clone();
    let mut world = next_run(with(3), 5 * MINUTE, &[&before]);
    world.engine.reconfigure(with(90), &mut world.alerts);
    world.tick(60 * MINUTE);
    let said: Vec<_> = world.alerts.iter().map(|alert| (&*alert.id, alert.update, alert.ended)).collect();
    assert_eq!(said, [(&*before.id, 1, false), (&*before.id, 2, true)]);
}

#[test]
fn a_rule_that_is_no_longer_known_and_a_flood_of_open_alerts_are_survived() {
    let before = first_run();
    let before = before.alerts.last().expect("raised");
    let mut config = config();
    config.max_alerts = 100;
    let mut world = World::silent(config);
    for number in 0..1_000_u32 {
        let condition = format!("{number:032x}");
        let rule = if number % 2 == 0 { "gone-rule".to_owned() } else { before.rule.to_owned() };
        let open = OpenAlert { condition, rule, update: u32::MAX, count: u64::MAX, ..left(before) };
        world.push(1_000, Fact::Recorded(RecordedFact::OpenAlert(open)));
    }
    assert_eq!(world.engine.stats().alerts_closed_early, 900);
    world.tick(60 * MINUTE);
    assert_eq!(world.alerts.len(), 50, "half of those that found room have a rule");
}
