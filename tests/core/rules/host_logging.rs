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
    let audit = audit.map(|(enabled, rules)| AuditState { enabled, rules: owned(rules), reader: None });
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
    assert!(world.evidence().contains("rsyslogd no longer runs"), "{}", world.evidence());
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

fn entry(world: &mut World, millis: u64, act: LogAct) {
    let program = Some("/usr/sbin/auditctl".to_owned());
    let by = Some(LogActor { login: Some(1000), uid: Some(0), pid: Some(812), program });
    let entry = HostLogEntry { log: HostLog::Audit, at: crate::support::world::at(millis), act, by };
    world.push(millis, Fact::Recorded(RecordedFact::HostLogging(HostLoggingFact::Entry(Arc::new(entry)))));
}

#[test]
fn the_audit_log_says_who_it_was() {
    let mut world = world();
    state(&mut world, 0, Some((true, &["a", "b"])), &["auditd"]);
    entry(&mut world, 9_800, LogAct::RulesRemoved { count: 2 });
    state(&mut world, 10_000, Some((true, &[])), &["auditd"]);
    world.tick(20_500);
    assert_eq!(world.raised(), ["host-audit-tampered - high"]);
    let evidence = world.evidence();
    assert!(evidence.contains("by /usr/sbin/auditctl, pid 812, uid 0, login uid 1000"), "{evidence}");
    assert!(evidence.contains("2 audit rules, 2 are gone"), "{evidence}");
}

#[test]
fn where_the_kernel_cannot_be_asked_the_log_alone_says_that_rules_are_gone_and_a_reload_is_nothing() {
    let mut world = world();
    state(&mut world, 0, None, &["auditd"]);
    entry(&mut world, 1_000, LogAct::RulesRemoved { count: 7 });
    entry(&mut world, 3_000, LogAct::RulesAdded { count: 8 });
    world.tick(20_000);
    assert_eq!(world.raised(), [""; 0], "loaded again");
    entry(&mut world, 30_000, LogAct::RulesRemoved { count: 8 });
    state(&mut world, 31_000, None, &["auditd"]);
    world.tick(41_000);
    assert_eq!(world.raised(), ["host-audit-tampered - high"]);
    assert!(world.evidence().contains("audit rules removed and not added again: 8"), "{}", world.evidence());
}

#[test]
fn an_audit_log_that_is_cut_in_place_is_reported_and_a_gap_is_not() {
    let mut world = world();
    let mut gap = |millis, truncated| {
        let fact = HostLoggingFact::Gap { log: HostLog::Audit, count: 1, truncated, why: "x".to_owned() };
        world.push(millis, Fact::Recorded(RecordedFact::HostLogging(fact)));
        world.raised().len()
    };
    assert_eq!((gap(1_000, false), gap(2_000, true)), (0, 1));
    assert_eq!(world.engine.stats().host_logging.gaps[&HostLog::Audit].0, 2);
}

fn logged(world: &mut World, millis: u64, fact: HostLoggingFact) {
    world.push(millis, Fact::Recorded(RecordedFact::HostLogging(fact)));
}

#[test]
fn a_syslog_file_that_was_cut_is_reported_by_its_name_and_cut_lines_are_not() {
    let mut world = world();
    let gap =
        |truncated, why: &str| HostLoggingFact::Gap { log: HostLog::Syslog, count: 3, truncated, why: why.to_owned() };
    logged(&mut world, 0, gap(false, "/var/log/syslog: lines that are cut"));
    assert_eq!(world.raised(), [""; 0]);
    logged(&mut world, 1_000, gap(true, "/var/log/auth.log: it was removed"));
    logged(&mut world, 2_000, gap(true, "/var/log/kern.log: it was removed"));
    assert_eq!(world.raised(), ["host-audit-tampered - high", "host-audit-tampered - high"]);
    let texts: Vec<&str> = world.alerts.iter().map(|alert| alert.evidence[0].text.as_str()).collect();
    assert_eq!(texts, ["/var/log/auth.log: it was removed", "/var/log/kern.log: it was removed"]);
}

#[test]
fn what_anybody_can_write_to_syslog_decides_nothing_and_hides_nobody() {
    let mut world = world();
    state(&mut world, 0, None, &["journald", "rsyslogd"]);
    let said = |log, by| {
        let act = LogAct::Stopped { daemon: "rsyslogd".to_owned() };
        let at = crate::support::world::at(9_000);
        HostLoggingFact::Entry(Arc::new(HostLogEntry { log, at, act, by }))
    };
    logged(&mut world, 1_000, said(HostLog::Syslog, None));
    world.tick(8_000);
    assert_eq!(world.raised(), [""; 0], "it still runs");
    let by = LogActor { uid: Some(0), program: Some("/usr/bin/systemctl".to_owned()), ..LogActor::default() };
    logged(&mut world, 9_000, said(HostLog::Journal, Some(by)));
    logged(&mut world, 9_500, said(HostLog::Syslog, None));
    state(&mut world, 10_000, None, &["journald"]);
    world.tick(21_000);
    assert_eq!(world.raised(), ["host-audit-tampered - high"]);
    assert!(world.evidence().contains("/usr/bin/systemctl"), "{}", world.evidence());
}

/// Audit that records, read by this process, while auditd runs.
fn read_by(world: &mut World, millis: u64, rules: &[&str], reader: Option<&str>) {
    let rules = rules.iter().map(|rule| (*rule).to_owned()).collect();
    let audit = Some(AuditState { enabled: true, rules, reader: reader.map(str::to_owned) });
    let state = HostLogging { audit, daemons: ["auditd".to_owned()].into() };
    world.push(millis, Fact::Recorded(RecordedFact::HostLogging(HostLoggingFact::State(Arc::new(state)))));
}

fn heard(world: &mut World, millis: u64, entries: u64) {
    let (log, part, at) = (HostLog::Audit, "audit.log".to_owned(), crate::support::world::at(millis));
    logged(world, millis, HostLoggingFact::Heard { log, part, at, entries });
}

#[test]
fn an_audit_log_without_a_line_about_what_the_kernel_wrote_is_silent_until_it_has_one() {
    let mut world = world();
    read_by(&mut world, 0, &["a"], Some("auditd"));
    heard(&mut world, 1_000, 7);
    read_by(&mut world, 100_000, &["a", "b"], Some("auditd"));
    world.tick(240_000);
    assert_eq!(world.raised(), [""; 0], "lines are told once a minute");
    world.tick(251_000);
    assert_eq!(world.raised(), ["host-audit-tampered - high"]);
    assert!(world.evidence().contains("audit.log has no line about it"), "{}", world.evidence());
    heard(&mut world, 400_000, 1);
    let last = world.alerts.last().expect("its end");
    assert!(last.evidence.iter().any(|one| one.kind == "over"), "{last:?}");
}

#[test]
fn a_quiet_audit_log_is_nothing_where_nothing_proves_that_it_should_have_a_line() {
    let mut world = world();
    read_by(&mut world, 0, &["a"], Some("auditd"));
    heard(&mut world, 1_000, 7);
    heard(&mut world, 60_000, 7);
    read_by(&mut world, 62_000, &["a", "b"], Some("auditd"));
    world.tick(400_000);
    read_by(&mut world, 400_000, &["a", "b", "c"], Some("auditd"));
    heard(&mut world, 460_000, 1);
    world.tick(86_400_000);
    assert_eq!(world.raised(), [""; 0], "the lines came, and then nothing happened for a day");
}

#[test]
fn an_audit_log_that_was_never_heard_or_is_not_auditds_is_not_expected_to_have_a_line() {
    let mut world = world();
    read_by(&mut world, 0, &["a"], Some("auditd"));
    heard(&mut world, 1_000, 0);
    read_by(&mut world, 60_000, &["a", "b"], Some("auditd"));
    heard(&mut world, 62_000, 3);
    logged(&mut world, 70_000, HostLoggingFact::Unwatched { part: "audit.log".to_owned(), why: "x".to_owned() });
    read_by(&mut world, 100_000, &["a", "b", "c"], Some("auditd"));
    world.tick(900_000);
    assert_eq!(world.raised(), [""; 0]);
    let mut another = self::world();
    read_by(&mut another, 0, &["a"], Some("auditbeat"));
    heard(&mut another, 1_000, 3);
    read_by(&mut another, 60_000, &["a", "b"], Some("auditbeat"));
    another.tick(900_000);
    assert_eq!(another.raised(), [""; 0]);
}

#[test]
fn the_kernels_own_records_do_not_say_that_audit_log_is_written() {
    let mut world = world();
    read_by(&mut world, 0, &["a"], Some("auditd"));
    heard(&mut world, 1_000, 7);
    read_by(&mut world, 100_000, &["a", "b"], Some("auditd"));
    entry(&mut world, 101_000, LogAct::RulesAdded { count: 1 });
    let (log, part, at) = (HostLog::Audit, "audit".to_owned(), crate::support::world::at(102_000));
    logged(&mut world, 102_000, HostLoggingFact::Heard { log, part, at, entries: 3 });
    world.tick(251_000);
    assert_eq!(world.raised(), ["host-audit-tampered - high"]);
    assert!(world.evidence().contains("audit.log has no line about it"), "{}", world.evidence());
}

#[test]
fn an_audit_log_that_was_removed_is_reported_as_such() {
    let mut world = world();
    let why = "/var/log/audit/audit.log: it was removed, and no other file has taken its place".to_owned();
    logged(&mut world, 1_000, HostLoggingFact::Gap { log: HostLog::Audit, count: 0, truncated: true, why });
    assert_eq!(world.raised(), ["host-audit-tampered - high"]);
    let text = &world.alerts[0].evidence[0].text;
    assert!(text.contains("lost what it held: /var/log/audit/audit.log: it was removed"), "{text}");
}

#[test]
fn records_that_no_longer_go_to_auditd_are_reported_and_a_restart_is_not() {
    let mut world = world();
    read_by(&mut world, 0, &["a"], Some("auditd"));
    read_by(&mut world, 20_000, &["a"], None);
    read_by(&mut world, 22_000, &["a"], Some("auditd"));
    world.tick(60_000);
    assert_eq!(world.raised(), [""; 0], "it was restarted");
    read_by(&mut world, 70_000, &["a"], Some("sleep"));
    world.tick(81_000);
    assert_eq!(world.raised(), ["host-audit-tampered - high"]);
    assert!(world.evidence().contains("hands audit's records to sleep"), "{}", world.evidence());
    read_by(&mut world, 160_000, &["a"], Some("auditd"));
    let last = world.alerts.last().expect("its end");
    assert!(last.evidence.iter().any(|one| one.kind == "over"), "{last:?}");
}

#[test]
fn when_each_log_had_its_last_entry_is_kept() {
    let mut world = world();
    heard(&mut world, 1_000, 0);
    heard(&mut world, 9_000, 4);
    let stats = world.engine.stats();
    let all: Vec<_> = stats.host_logging.heard.all().map(|(part, log)| (part, log.last, log.times)).collect();
    assert_eq!(all, [("audit.log", crate::support::world::at(9_000), 1)]);
}
