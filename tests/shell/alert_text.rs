//! What a person reads at 3 a.m. of each kind of skipped hop, and what JSON says of the same: facts through the engine to the text.

use std::sync::Arc;

use crate::support::engine_config::hop;
use crate::support::world::{World, config, ip, named};
use hopwatch::alert::Alert;
use hopwatch::alert::render::text;
use hopwatch::engine::EngineConfig;
use hopwatch::input::*;
use hopwatch::path::*;

const HOST_MAC: Mac = Mac([2, 0, 0, 0, 0, 0xff]);

/// `app` at .10 must pass this hop, or may go nowhere.
fn world(hop: Option<Hop>, change: impl FnOnce(&mut Contract)) -> World {
    let mut contract = Contract {
        name: "path".into(),
        service: Service::Egress,
        workloads: vec![named("app*")],
        remotes: vec![DestinationSet::Internet],
        ports: vec![],
        family: None,
        networks: vec![],
        via: hop.into_iter().map(|hop| Stage { any_of: vec![Arc::new(hop)] }).collect(),
    };
    change(&mut contract);
    let mut world = World::new(EngineConfig { contracts: vec![contract], ..config() });
    world.start(0, "app", 10);
    world
}

/// A flow of `app` whose frames go to the host's MAC; it is answered and translated on its way out.
fn flow(world: &mut World, millis: u64, port: u16) -> FlowRecord {
    let mut record = world.record(millis, Protocol::TCP, 10, "198.51.100.7", port);
    record.orig.next_hop = Some(HOST_MAC);
    world.event(millis, FlowEventKind::Started, &record);
    let outside = Endpoint { ip: ip("203.0.113.9"), port: 61_000 };
    let after = FiveTuple { orig: outside, ..record.tuple };
    let binding = NatBinding { netns: None, before: record.tuple, after };
    world.push(millis + 1, Fact::Recorded(RecordedFact::Nat(NatFact::Bound(binding))));
    record.resp.counters.packets = 1;
    world.event(millis + 10, FlowEventKind::Answered, &record);
    record
}

fn link(world: &mut World, name: &str) {
    let link = LinkEvent { point: ObservationPoint::new(name), up: true, ..LinkEvent::default() };
    world.push(0, Fact::Recorded(RecordedFact::Link(link)));
}

fn shown(alert: &Alert) -> String {
    anstream::adapter::strip_str(&text::render(alert, None)).to_string()
}

fn of<'a>(world: &'a World, rule: &str) -> &'a Alert {
    let found = world.alerts.iter().find(|alert| alert.rule == rule);
    found.unwrap_or_else(|| panic!("no {rule} among {:?}", world.raised()))
}

fn assert_lines(alert: &Alert, lines: &[&str]) {
    let text = shown(alert);
    for line in lines {
        assert!(text.contains(line), "{line:?} is not in\n{text}");
    }
}

#[test]
fn a_skipped_gateway_is_told_with_its_kind_the_frames_and_the_other_side_of_nat() {
    let mut world = world(Some(hop("gateway", HopKind::Gateway)), |_| {});
    world.start(0, "gateway", 30);
    flow(&mut world, 60_000, 443);
    world.tick(62_000);
    assert_eq!(world.raised(), ["gateway-skipped app high"]);
    let alert = of(&world, "gateway-skipped");
    assert_lines(
        alert,
        &[
            " HIGH  Container traffic went around its gateway  gateway-skipped\n",
            "  to where    198.51.100.7:443 tcp\n",
            "  behind NAT  203.0.113.9:61000 -> 198.51.100.7:443, 1:",
            "  skipped     gateway gateway: 172.20.0.30 (gateway) at 02:00:00:00:00:1e\n",
            "  contract    path: bypassed\n",
            "  evidence    [next_hop] frames went to 02:00:00:00:00:ff (the host), not to the hop gateway; that is 172.20.0.30",
            "  evidence    [answer] the responder answered\n",
            "  do next     1. Read the evidence: to whose MAC were the frames given?",
        ],
    );
    let json = serde_json::to_value(alert).expect("JSON");
    let translated = &json["flow"]["translated"];
    assert_eq!(translated["orig"], serde_json::json!({"ip": "203.0.113.9", "port": 61_000}));
    assert!(translated["community_id"].is_string() && translated["community_id"] != json["flow"]["community_id"]);
    assert_eq!(json["missing_hop"]["kind"], "gateway");
}

#[test]
fn the_other_side_of_nat_stays_when_counters_grow() {
    let mut world = world(Some(hop("gateway", HopKind::Gateway)), |_| {});
    world.start(0, "gateway", 30);
    let mut record = flow(&mut world, 60_000, 443);
    world.tick(62_000);
    record.orig.counters.packets = 9;
    world.event(63_000, FlowEventKind::Ended(EndReason::EndOfFlow), &record);
    world.finish();
    let last = world.alerts.last().and_then(|alert| alert.flow.clone()).expect("an update with a flow");
    assert_eq!(last.orig.packets, 9);
    assert_eq!(last.translated, of(&world, "gateway-skipped").flow.as_ref().and_then(|flow| flow.translated.clone()));
    assert!(last.translated.is_some());
}

#[test]
fn without_translation_there_is_no_such_field_and_without_a_path_no_hop() {
    let mut world = world(None, |_| {});
    world.tcp(60_000, 10, "198.51.100.7", 443);
    world.tick(62_000);
    let alert = of(&world, "egress-skips-proxy");
    assert_lines(alert, &["  skipped     no path is allowed\n", "  evidence    [deny] "]);
    assert!(!shown(alert).contains("behind NAT"), "{}", shown(alert));
    assert!(serde_json::to_value(alert).expect("JSON")["flow"].get("translated").is_none());
}

#[test]
fn a_monitor_that_saw_nothing_is_told_with_its_points_and_then_as_silent() {
    let glob = globset::Glob::new("mirror").expect("a glob").compile_matcher();
    let monitor = Hop { workloads: vec![], interfaces: vec![glob], ..hop("ids", HopKind::Mirror) };
    let mut world = world(Some(monitor), |_| {});
    link(&mut world, "mirror");
    for number in 0..9 {
        flow(&mut world, 60_000 + u64::from(number) * 1000, 443 + number);
    }
    world.tick(120_000);
    assert_eq!(world.raised(), ["monitor-hop-skipped app high", "hop-silent - high"]);
    assert_lines(
        of(&world, "monitor-hop-skipped"),
        &["  skipped     mirror ids\n", "  evidence    [transit] it was not seen at mirror, where the hop ids is\n"],
    );
    let silent = of(&world, "hop-silent");
    assert_lines(
        silent,
        &[
            " HIGH  A hop sees nothing while its workloads talk  hop-silent\n",
            "  hop         mirror ids\n",
            "  contract    path\n",
            "  evidence    [missed] 9 flows of app since ",
            "  evidence    [last_seen] mirror ids has received no flow since observation began\n",
        ],
    );
    assert!(!shown(silent).contains("no workload known"), "{}", shown(silent));
    let update = Alert { update: 1, count: 2, ..silent.clone() };
    assert!(shown(&update).starts_with(" HIGH  hop-silent ids: 2 times, last "), "{}", shown(&update));
}

#[test]
fn what_came_in_is_told_of_the_workload_that_was_reached() {
    let mut world = world(Some(hop("ingress", HopKind::Endpoint)), |contract| {
        contract.service = Service::Ingress;
        contract.remotes = vec![DestinationSet::Any];
    });
    world.start(0, "ingress", 30);
    world.start(0, "scanner", 40);
    world.tcp(60_000, 40, "172.20.0.10", 80);
    world.tick(62_000);
    assert_eq!(world.raised(), ["published-port-direct app high"]);
    assert_lines(
        of(&world, "published-port-direct"),
        &[
            "  to where    172.20.0.10:80 tcp\n",
            "  skipped     ingress: 172.20.0.30 (ingress)\n",
            "  evidence    [sender] the first to come in beside the ingress was workload scanner (172.20.0.40)\n",
        ],
    );
}

#[test]
fn a_flow_before_its_hop_is_ready_is_told_as_that() {
    let mut world = world(Some(hop("squid", HopKind::Endpoint)), |_| {});
    world.start(60_000, "app-2", 11);
    world.tcp(61_000, 11, "198.51.100.7", 443);
    world.tick(63_000);
    assert_eq!(world.raised(), ["startup-window app-2 medium"]);
    assert_lines(of(&world, "startup-window"), &["  skipped     squid\n"]);
}

const ID: &str = "c3c0a5bb29f4d1d2d3d4d5d6d7d8d9dadbdcdddedfe0e1e2e3e4e5e6e7e8e9ea";

/// `app` with everything that a runtime reports, and names as long as an attacker likes them.
fn world_of_a_long_name() -> World {
    let mut world = world(None, |_| {});
    let name = format!("app-{}", "with-a-very-long-name-".repeat(4));
    world.start_with(0, &name, 11, |workload| {
        workload.id = WorkloadId::new(ID);
        workload.pid = Some(4242);
        workload.image = "registry.example/team/with/a/long/path/app:1.2.3".into();
        workload.attachments[0].network = "shop_default".into();
    });
    world
}

#[test]
fn every_line_fits_80_columns_and_nothing_is_lost() {
    let mut world = world_of_a_long_name();
    world.tcp(60_000, 11, "2001:db8:ffff:ffff:ffff:ffff:ffff:fffe", 443);
    world.tcp(61_000, 11, "198.51.100.8", 443);
    world.tick(70_000);
    assert_eq!(world.alerts.len(), 2, "an alert and its update: {:?}", world.alerts);
    for alert in &world.alerts {
        let plain = |columns| anstream::adapter::strip_str(&text::render(alert, columns)).to_string();
        let (narrow, whole) = (plain(Some(80)), plain(None));
        assert!(narrow.lines().all(|line| line.chars().count() <= 80), "{narrow}");
        let words = |text: &str| text.split_whitespace().collect::<String>();
        assert_eq!(words(&narrow), words(&whole));
    }
}

#[test]
fn steps_name_the_container_by_its_id_its_process_and_its_network_and_never_by_its_name() {
    let mut world = world_of_a_long_name();
    world.tcp(60_000, 11, "198.51.100.7", 443);
    world.tick(62_000);
    let alert = of(&world, "egress-skips-proxy");
    let steps = alert.response.join("\n");
    for part in
        ["`docker top c3c0a5bb29f4`", "nsenter -t 4242 -n", "`docker network disconnect shop_default c3c0a5bb29f4`"]
    {
        assert!(steps.contains(part), "{part} is not in\n{steps}");
    }
    assert!(!steps.contains("long-name") && !steps.contains("NAME") && !steps.contains("PID"), "{steps}");
    assert_lines(alert, &["  more        hopwatch rules explain egress-skips-proxy  ATT&CK T1090, T1048\n"]);
    assert_lines(alert, &["  when        2025-", " UTC\n", "1 packet "]);
}

#[test]
fn what_is_no_hexadecimal_id_or_plain_network_is_not_put_into_a_command() {
    let mut world = world(None, |_| {});
    world.start_with(0, "app-2", 12, |workload| {
        workload.id = WorkloadId::new("$(reboot)-and-more");
        workload.attachments[0].network = "a;reboot".into();
    });
    world.tcp(60_000, 12, "198.51.100.7", 443);
    world.tick(62_000);
    let steps = of(&world, "egress-skips-proxy").response.join("\n");
    assert!(!steps.contains("reboot") && steps.contains("`docker network disconnect NET NAME`"), "{steps}");
}

#[test]
fn each_new_destination_is_named_in_some_line() {
    let mut world = world(None, |_| {});
    for number in 1..=30_u8 {
        world.tcp(60_000 + u64::from(number) * 1000, 10, &format!("198.51.100.{number}"), 443);
    }
    world.tick(100_000);
    world.finish();
    let lines: Vec<_> = world.alerts.iter().map(shown).collect();
    for number in 1..=30 {
        let end = format!("198.51.100.{number}:443 tcp");
        assert!(lines.iter().any(|line| line.contains(&end)), "{end} is in no line of {lines:#?}");
        let listed =
            |alert: &&Alert| alert.destinations.iter().any(|to| to.endpoint.to_string() == end[..end.len() - 4]);
        assert!(world.alerts.iter().any(|alert| listed(&alert)), "{end} is in no JSON line");
    }
    assert!(lines[1].contains("; new 198.51.100.2:443 tcp"), "{}", lines[1]);
    assert!(lines.len() <= 14, "in groups of three: {lines:#?}");
}

#[test]
fn a_one_off_alert_does_not_come_again_with_nothing_new() {
    let mut world = world(None, |_| {});
    let mut record = world.tcp(60_000, 10, "198.51.100.7", 443);
    record.orig.counters.packets = 9;
    record.orig.counters.ip_bytes = 4000;
    world.event(63_000, FlowEventKind::Ended(EndReason::EndOfFlow), &record);
    for seconds in 64..200 {
        world.tick(seconds * 1000);
    }
    assert_eq!(world.alerts.len(), 1, "{:?}", world.alerts);
    world.finish();
    let last = world.alerts.last().and_then(|alert| alert.flow.clone()).expect("the final counters");
    assert_eq!((world.alerts.len(), last.orig.packets), (2, 9));
}

#[test]
fn a_flow_that_carried_much_after_its_alert_is_worth_an_update() {
    let mut world = world(None, |_| {});
    let mut record = world.tcp(60_000, 10, "198.51.100.7", 443);
    record.orig.counters.packets = 900;
    record.orig.counters.ip_bytes = 2 << 20;
    world.event(63_000, FlowEventKind::Ended(EndReason::EndOfFlow), &record);
    world.tick(200_000);
    assert_eq!(world.alerts.len(), 2, "{:?}", world.alerts);
    assert!(shown(&world.alerts[1]).contains(": once, last "), "{}", shown(&world.alerts[1]));
}

#[test]
fn types_of_icmp_are_no_ports() {
    let mut world = world(None, |_| {});
    let mut record = world.record(60_000, Protocol::ICMP, 10, "198.51.100.7", 0);
    record.tuple.orig.port = 8;
    world.event(60_000, FlowEventKind::Started, &record);
    world.tick(70_000);
    let alert = of(&world, "egress-skips-proxy");
    assert_lines(alert, &["  to where    198.51.100.7 icmp\n", "  flow        172.20.0.10 -> 198.51.100.7, 1 packet "]);
}
