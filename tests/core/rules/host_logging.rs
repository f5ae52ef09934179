//! `host-audit-tampered`, driven by facts through the engine.

use std::sync::Arc;

use hopwatch::engine::EngineConfig;
use hopwatch::input::*;

use crate::support::world::{World, config};

fn world() -> World {
    World::new(EngineConfig { contracts: vec![], ..config() })
}

fn state(world: &mut World, millis: u64, audit: Option<(bool, &[&str])>, daemons: &[&str]) {
    let owned = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    let audit = audit.map(|(enabled, rules)| AuditState { enabled, rules: owned(rules) });
    let state = HostLogging { audit, daemons: owned(daemons).into_iter().collect() };
    world.push(millis, Fact::Recorded(RecordedFact::HostLogging(HostLoggingFact::State(Arc::new(state)))));
}

#[test]
fn a_daemon_that_ends_is_reported_and_one_that_restarts_is_not() {
    let mut world = world();
    state(&mut world, 0, None, &["journald", "rsyslogd"]);
    state(&mut world, 10_000, None, &["journald"]);
    state(&mut world, 15_000, None, &["journald", "rsyslogd"]);
    world.tick(30_000);
    assert_eq!(world.raised(), [""; 0], "it was restarted");
    state(&mut world, 40_000, None, &["journald"]);
    world.tick(51_000);
    assert_eq!(world.raised(), ["host-audit-tampered - high"]);
    assert!(world.evidence().contains("rsyslogd does not run any more"), "{}", world.evidence());
    state(&mut world, 120_000, None, &["journald", "rsyslogd"]);
    let last = world.alerts.last().expect("its end");
    assert!(last.evidence.iter().any(|one| one.kind == "over"), "{last:?}");
}

#[test]
fn audit_that_is_switched_off_and_rules_that_are_gone_are_two_causes() {
    let mut world = world();
    state(&mut world, 0, Some((true, &["a", "b", "c"])), &["auditd"]);
    state(&mut world, 10_000, Some((false, &["a"])), &["auditd"]);
    world.tick(20_500);
    assert_eq!(world.raised(), ["host-audit-tampered - high", "host-audit-tampered - high"]);
    let texts: Vec<_> = world.alerts.iter().map(|alert| alert.evidence[0].text.as_str()).collect();
    assert!(texts.contains(&"of 3 audit rules, 2 are gone"), "{texts:?}");
}

#[test]
fn rules_that_are_loaded_again_are_nothing_and_further_ones_are_learned() {
    let mut world = world();
    state(&mut world, 0, Some((true, &["a", "b"])), &["auditd"]);
    state(&mut world, 10_000, Some((true, &[])), &["auditd"]);
    state(&mut world, 12_000, Some((true, &["a", "b", "c"])), &["auditd"]);
    world.tick(30_000);
    assert_eq!(world.raised(), [""; 0]);
    state(&mut world, 40_000, Some((true, &["a", "b"])), &["auditd"]);
    world.tick(51_000);
    assert_eq!(world.raised(), ["host-audit-tampered - high"]);
}

#[test]
fn audit_that_cannot_be_asked_any_more_is_no_audit_that_is_off() {
    let mut world = world();
    state(&mut world, 0, Some((true, &["a"])), &[]);
    state(&mut world, 10_000, None, &[]);
    world.tick(60_000);
    assert_eq!(world.raised(), [""; 0]);
}
