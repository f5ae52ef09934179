//! `log-files-tampered`, driven by facts through the engine.

use std::sync::Arc;

use hopwatch::engine::EngineConfig;
use hopwatch::input::*;

use super::facts::id;
use crate::support::world::{World, config};

const PATH: &str = "/var/lib/docker/containers/x/x-json.log";

/// A container `app` with these options of its log driver.
fn world(options: &[(&str, &str)]) -> World {
    let mut world = World::new(EngineConfig { contracts: vec![], ..config() });
    let option = |(name, value): &(&str, &str)| ((*name).to_owned(), Setting::Clear((*value).to_owned()));
    let options = options.iter().map(option).collect();
    let logging = Logging { driver: "json-file".into(), options, path: Some(PATH.into()) };
    let configuration = Arc::new(Configuration { logging: Some(logging), ..Configuration::default() });
    world.start_with(0, "app", 10, |workload| workload.configuration = Some(configuration));
    world
}

fn changed(world: &mut World, millis: u64, source: LogFileSource, change: LogChange) {
    let change = LogFileChange { workload: id("app"), source, path: PATH.into(), change };
    world.push(millis, Fact::Recorded(RecordedFact::LogFile(LogFileFact::Changed(change.into()))));
}

fn raised(options: &[(&str, &str)], source: LogFileSource, change: LogChange) -> Vec<String> {
    let mut world = world(options);
    changed(&mut world, 10_000, source, change);
    world.tick(20_000);
    world.finish();
    world.raised()
}

fn cut(copy: Option<&str>) -> LogChange {
    LogChange::Truncated { from: 10_000, to: 0, copy: copy.map(str::to_owned) }
}

fn linked(to: &str) -> LogChange {
    LogChange::Linked { to: to.to_owned() }
}

#[test]
fn what_no_rotation_does_to_the_runtimes_file_is_reported() {
    let removed = LogChange::Removed { size: 10_000, renamed: None };
    let replaced = LogChange::Replaced { size: 10_000 };
    for change in [cut(None), linked("/dev/null"), linked("/tmp/x"), LogChange::Special, removed, replaced] {
        assert_eq!(raised(&[], LogFileSource::Runtime, change.clone()), ["log-files-tampered app high"], "{change:?}");
    }
}

#[test]
fn rotation_by_the_daemon_and_by_copytruncate_is_not() {
    let rotated = LogChange::Rotated { to: "x-json.log.1".into() };
    for (options, change) in [
        (&[][..], cut(Some("x-json.log.1"))),
        (&[], rotated),
        (&[("max-size", "10m")], LogChange::Replaced { size: 10_000 }),
    ] {
        assert_eq!(raised(options, LogFileSource::Runtime, change.clone()), [""; 0], "{change:?}");
    }
    let still = raised(&[("max-size", "10m")], LogFileSource::Runtime, cut(None));
    assert_eq!(still, ["log-files-tampered app high"], "json-file never cuts its own file");
}

#[test]
fn in_a_mounted_folder_applications_rotate_as_they_like() {
    let folder = |change| raised(&[], LogFileSource::Folder, change);
    assert_eq!(folder(cut(None)), ["log-files-tampered app medium"]);
    assert_eq!(folder(linked("/dev/null")), ["log-files-tampered app high"]);
    assert_eq!(folder(LogChange::Removed { size: 10_000, renamed: None }), ["log-files-tampered app medium"]);
    for own in [
        LogChange::Truncated { from: 100, to: 0, copy: None },
        linked("/dev/stdout"),
        LogChange::Replaced { size: 10_000 },
        LogChange::Removed { size: 10_000, renamed: Some("a.log.old".into()) },
    ] {
        assert_eq!(folder(own.clone()), [""; 0], "{own:?}");
    }
}

#[test]
fn a_container_that_is_removed_takes_its_file_with_it() {
    let mut world = world(&[]);
    changed(&mut world, 10_000, LogFileSource::Runtime, LogChange::Removed { size: 10_000, renamed: None });
    world.stop(11_000, "app");
    world.tick(20_000);
    world.finish();
    assert_eq!(world.raised(), [""; 0]);
}

#[test]
fn a_file_that_is_back_ends_its_alert_and_may_be_reported_again() {
    let mut world = world(&[]);
    changed(&mut world, 10_000, LogFileSource::Runtime, linked("/dev/null"));
    changed(&mut world, 80_000, LogFileSource::Runtime, LogChange::Restored);
    let last = world.alerts.last().expect("its end");
    assert!(last.update > 0 && last.evidence.iter().any(|one| one.kind == "over"), "{last:?}");
    assert_eq!(world.raised(), ["log-files-tampered app high"]);
}

#[test]
fn what_is_watched_and_what_is_not_is_counted() {
    let mut world = world(&[]);
    let facts = [
        LogFileFact::Watched { workload: id("app"), path: PATH.into() },
        LogFileFact::Unwatched { workload: Some(id("peer")), path: PATH.into(), why: "no such folder".into() },
    ];
    for fact in facts {
        world.push(1000, Fact::Recorded(RecordedFact::LogFile(fact)));
    }
    let files = world.engine.stats().log_files;
    assert_eq!((files.watched, files.unwatched, files.why.as_deref()), (1, 1, Some("no such folder")));
}
