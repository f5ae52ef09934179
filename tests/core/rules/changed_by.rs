//! What happened around a changed setting, and who asked for it.

use std::sync::Arc;

use hopwatch::input::*;

use crate::support::world::{World, at, config};

const WEB: &str = "web-1";

fn id() -> WorkloadId {
    WorkloadId::new(&format!("{WEB}{}", "0".repeat(50)))
}

fn act(world: &mut World, millis: u64, action: ContainerAct) {
    let event = ContainerEvent { workload: id(), runtime: RuntimeId::DOCKER, at: at(millis), action };
    world.runtime(millis, InventoryEvent::Container(Arc::new(event)));
}

/// A client of a runtime is run by the user 1000, who became root.
fn ran(world: &mut World, millis: u64, program: &str, log: HostLog) {
    let by = LogActor { login: Some(1000), uid: Some(0), pid: Some(812), program: Some(program.to_owned()) };
    let entry = HostLogEntry { log, at: at(millis), act: LogAct::AskedRuntime, by: Some(by) };
    let entry = HostLoggingFact::Entry(Arc::new(entry));
    world.push(millis, Fact::Recorded(RecordedFact::HostLogging(entry)));
}

fn start(world: &mut World, millis: u64, driver: &str) {
    let logging = Some(Logging { driver: driver.to_owned(), ..Logging::default() });
    let configuration = Some(Arc::new(Configuration { logging, ..Configuration::default() }));
    world.start_with(millis, WEB, 10, |workload| workload.configuration = configuration);
}

/// The texts of one kind of evidence of the only alert.
fn said<'w>(world: &'w World, kind: &str) -> Vec<&'w str> {
    let [alert] = &world.alerts[..] else { panic!("{:?}", world.alerts) };
    alert.evidence.iter().filter(|one| one.kind == kind).map(|one| one.text.as_str()).collect()
}

#[test]
fn an_alert_about_a_setting_lists_the_runtimes_events_before_it_and_the_clients_that_audit_saw() {
    let mut world = World::new(config());
    ran(&mut world, 1_000, "/usr/bin/docker", HostLog::Audit);
    act(&mut world, 1_500, ContainerAct::Created);
    act(&mut world, 1_800, ContainerAct::Started);
    start(&mut world, 1_790, "none");
    let events = said(&world, "events");
    assert_eq!(events.len(), 1);
    let (created, started) = (events[0].find("it was created"), events[0].find("it was started"));
    assert!(created < started && created.is_some(), "{events:?}");
    let who = said(&world, "who");
    assert_eq!(who.len(), 1);
    assert!(who[0].contains("/usr/bin/docker, pid 812, uid 0, login uid 1000"), "{who:?}");
    assert!(who[0].starts_with("not proven"), "a client that ran is no proof: {who:?}");
}

#[test]
fn without_audit_it_is_not_known_who_asked_and_what_others_write_is_no_witness() {
    let mut world = World::new(config());
    ran(&mut world, 1_000, "/usr/bin/docker", HostLog::Syslog);
    start(&mut world, 1_790, "none");
    assert_eq!(said(&world, "events"), Vec::<&str>::new());
    assert!(said(&world, "who")[0].starts_with("not known"), "{:?}", said(&world, "who"));
}

#[test]
fn a_client_that_ran_long_before_or_after_did_not_ask() {
    let mut world = World::new(config());
    ran(&mut world, 1_000, "/usr/bin/docker", HostLog::Audit);
    ran(&mut world, 130_000, "/usr/bin/podman", HostLog::Audit);
    start(&mut world, 100_000, "none");
    assert!(said(&world, "who")[0].starts_with("not known"), "{:?}", said(&world, "who"));
}
