//! Alerts that an earlier run left open go on with their ids.

use std::sync::Arc;

use hopwatch::alert::Alert;
use hopwatch::engine::EngineConfig;
use hopwatch::input::{Configuration, Fact, Logging, NetworkMode, OpenAlert, RecordedFact};

use crate::support::world::{World, at, config, exception};

const MINUTE: u64 = 60_000;

/// What the outbox keeps of an alert.
fn left(alert: &Alert) -> OpenAlert {
    let condition = alert.condition.as_ref().expect("every alert has one");
    OpenAlert {
        condition: condition.hash.to_string(),
        id: alert.id.clone(),
        update: alert.update,
        count: alert.count,
        severity: alert.severity.as_str().to_owned(),
        first_seen: alert.first_seen,
        last_seen: alert.last_seen,
        stands: condition.stands,
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
fn what_is_not_found_again_is_forgotten_without_a_word_and_later_opens_anew() {
    let before = first_run();
    let before = before.alerts.last().expect("raised");
    let mut world = next_run(config(), 600 * MINUTE, &[before]);
    world.tick(611 * MINUTE);
    assert!(world.alerts.is_empty(), "that it was not seen proves nothing: {:?}", world.alerts);
    world.start_with(660 * MINUTE, "web-1", 10, |workload| {
        workload.network_mode = NetworkMode::Host;
        workload.since = Some(at(660 * MINUTE));
    });
    let anew = world.alerts.last().expect("raised");
    assert_eq!((anew.update, anew.id == before.id), (0, false));
}

#[test]
fn a_roll_out_of_the_run_before_goes_on() {
    let driver_none = |world: &mut World, millis: u64| {
        world.start_with(millis, "web-1", 10, |workload| {
            let logging = Some(Logging { driver: "none".to_owned(), ..Logging::default() });
            workload.configuration = Some(Arc::new(Configuration { logging, ..Configuration::default() }));
            workload.since = Some(at(0));
        });
    };
    let mut first = World::new(config());
    driver_none(&mut first, 1_000);
    let before = first.alerts.iter().find(|alert| alert.rule == "log-driver-changed").expect("raised").clone();
    let mut world = next_run(config(), 600 * MINUTE, &[&before]);
    driver_none(&mut world, 600 * MINUTE + 1_000);
    let alert = world.alerts.iter().find(|alert| alert.rule == "log-driver-changed").expect("raised");
    assert_eq!((&alert.id, alert.update, alert.is_first_of_run), (&before.id, before.update + 1, true));
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
fn a_flood_of_open_alerts_and_ids_that_hopwatch_did_not_write_are_survived() {
    let before = first_run();
    let before = before.alerts.last().expect("raised");
    let mut config = config();
    config.max_alerts = 100;
    let mut world = World::silent(config);
    for number in 0..1_000_u32 {
        let condition = format!("{number:032x}");
        let open = OpenAlert { condition, update: u32::MAX, count: u64::MAX, ..left(before) };
        world.push(1_000, Fact::Recorded(RecordedFact::OpenAlert(open)));
    }
    assert_eq!(world.engine.stats().alerts_closed_early, 900);
    for id in ["\u{1b}[2J", "$(id)", "2491E3E63140177F", ""] {
        let mut world = next_run(crate::support::world::config(), 2_000, &[]);
        let open = OpenAlert { id: id.to_owned(), ..left(before) };
        world.push(2_000, Fact::Recorded(RecordedFact::OpenAlert(open)));
        on_host_network(&mut world, 3_000);
        assert_eq!((world.alerts[0].update, world.alerts[0].id.len()), (0, 16), "{id:?}");
    }
}
