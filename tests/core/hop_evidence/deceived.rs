//! Who forges, floods, goes two ways or translates for itself deceives nobody; and what was seen later counts.

use super::*;

/// A flow of `app` that says it comes from elsewhere.
fn forged(world: &mut World, millis: u64, from: &str, to: &str) {
    let mut record = world.record(millis, Protocol::UDP, 10, to, 443);
    record.tuple.orig.ip = ip(from);
    record.orig.next_hop = Some(HOST_MAC);
    world.event(millis, FlowEventKind::Started, &record);
    world.tick(millis + 2000);
}

#[test]
fn borrowing_the_address_of_a_hop_does_not_make_a_sender_the_hop() {
    let squid = || Hop {
        workloads: vec![],
        addresses: vec!["172.20.0.20".parse().expect("range")],
        ..hop("squid", HopKind::Endpoint)
    };
    let mut egress = world(vec![vec![squid()]]);
    forged(&mut egress, 60_000, "172.20.0.20", OUTSIDE);
    assert_eq!(verdict(&egress), "bypassed");

    let mut own = world(vec![vec![squid()]]);
    let mut record = own.record(60_000, Protocol::UDP, 20, OUTSIDE, 443);
    record.orig.next_hop = Some(HOST_MAC);
    own.event(60_000, FlowEventKind::Started, &record);
    own.tick(62_000);
    assert_eq!(verdict(&own), "[]", "the hop itself sends on");

    let any = vec![DestinationSet::Any];
    let inbound = Contract {
        service: Service::Ingress,
        remotes: any,
        workloads: vec![named("gateway")],
        ..contract(vec![vec![squid()]])
    };
    let mut ingress = world_of(inbound);
    forged(&mut ingress, 60_000, "172.20.0.20", "172.20.0.30");
    assert_eq!(verdict(&ingress), "bypassed");
}

#[test]
fn a_source_that_is_forged_to_be_the_destination_does_not_talk_to_itself() {
    let mut world = world(vec![vec![hop("squid", HopKind::Endpoint)]]);
    world.start_with(0, "app", 10, |app| {
        app.attachments.iter_mut().for_each(|attachment| attachment.host_interface = Some("veth-app".into()));
    });
    let mut record = world.record(60_000, Protocol::UDP, 10, OUTSIDE, 443);
    (record.tuple.orig.ip, record.point) = (ip(OUTSIDE), ObservationPoint::new("veth-app"));
    record.orig.next_hop = Some(HOST_MAC);
    world.event(60_000, FlowEventKind::Started, &record);
    world.tick(62_000);
    assert_eq!(verdict(&world), "bypassed");
}

#[test]
fn what_looked_like_the_rest_of_a_connection_and_then_carries_data_is_judged() {
    let mut world = world(vec![vec![hop("squid", HopKind::Endpoint)]]);
    let mut record = world.record(60_000, Protocol::TCP, 10, OUTSIDE, 443);
    record.orig.counters = Counters { packets: 1, ip_bytes: 40, ..Counters::default() };
    record.tcp = Some(TcpFacts { orig_flags: tcp_flags::FIN | tcp_flags::ACK, ..TcpFacts::default() });
    world.event(60_000, FlowEventKind::Started, &record);
    world.tick(65_000);
    record.orig.counters.packets = 12;
    world.event(64_000, FlowEventKind::Updated, &record);
    assert_eq!(verdict(&world), "unobservable one_sided", "FINs that are sent again are still the rest");
    record.orig.counters.payload_bytes = 500;
    world.event(65_000, FlowEventKind::Payload, &record);
    record.resp.counters.packets = 1;
    world.event(65_010, FlowEventKind::Answered, &record);
    world.tick(70_000);
    assert_eq!(verdict(&world), "bypassed");
    assert_eq!(world.raised().len(), 1);
}

/// The same five-tuple of `app` at another of its networks.
fn leaves_elsewhere(world: &mut World, millis: u64, record: &FlowRecord, next_hop: Mac) {
    let mut other = record.clone();
    other.id = FlowId(record.id.0 + 1000);
    other.point = ObservationPoint::new("br-other");
    other.start = at(millis);
    other.orig.next_hop = Some(next_hop);
    world.event(millis, FlowEventKind::Started, &other);
}

#[test]
fn frames_that_also_go_around_the_gateway_are_a_bypass() {
    let gateway = Mac([2, 0, 0, 0, 0, 30]);
    for after in [5, 200, 1500, 60_000] {
        for protocol in [Protocol::TCP, Protocol::UDP] {
            let mut world = world(vec![vec![hop("gateway", HopKind::Gateway)]]);
            let mut record = world.record(60_000, protocol, 10, OUTSIDE, 443);
            record.orig.next_hop = Some(gateway);
            world.event(60_000, FlowEventKind::Started, &record);
            if let Some(tcp) = &mut record.tcp {
                tcp.orig_flags = tcp_flags::ACK;
            }
            leaves_elsewhere(&mut world, 60_000 + after, &record, HOST_MAC);
            world.tick(130_000);
            let skipped = world.count("path", "bypassed") + world.count("path", "partial");
            assert_eq!(skipped, 1, "{protocol} after {after} ms: {}", verdict(&world));
            assert!(world.raised()[0].starts_with("gateway-skipped app"), "{protocol} after {after} ms");
        }
    }
    // The same frame at the veth and at the bridge is one flow.
    let mut twice = world(vec![vec![hop("gateway", HopKind::Gateway)]]);
    let record = flow(&mut twice, 60_000, OUTSIDE, 443, gateway);
    leaves_elsewhere(&mut twice, 60_001, &record, gateway);
    twice.tick(62_000);
    assert_eq!(verdict(&twice), "verified");
}

#[test]
fn a_flooded_frame_hides_no_hop_and_accuses_nobody() {
    for (points, expected) in [(40, "verified"), (100, "unobservable capture_loss")] {
        let mut world = world(vec![vec![at_interface("ids", "br-ids")]]);
        link(&mut world, 0, "br-ids", true);
        watch_translations(&mut world);
        let record = flow(&mut world, 60_000, OUTSIDE, 443, HOST_MAC);
        for number in 0..points {
            seen_at(&mut world, 60_020, &record, &format!("veth{number}"));
        }
        seen_at(&mut world, 60_030, &record, "br-ids");
        world.tick(62_000);
        assert_eq!(verdict(&world), expected);
    }
}

#[test]
fn an_answer_whose_question_was_lost_is_no_flow_of_the_one_who_answers() {
    let mut world = world(vec![vec![hop("squid", HopKind::Endpoint)]]);
    world.udp(30_000, 20, "172.20.0.10", 9999);
    let point = Some(ObservationPoint::new("br-net"));
    fact(
        &mut world,
        60_000,
        RecordedFact::Loss(Loss { point, reason: LossReason::Kernel, count: 1, since: at(59_900), source: None }),
    );
    let mut record = world.record(60_001, Protocol::UDP, 10, OUTSIDE, 50_000);
    record.tuple.orig.port = 53;
    world.event(60_001, FlowEventKind::Started, &record);
    world.tick(62_000);
    assert_eq!(world.count("path", "bypassed"), 0, "{}", verdict(&world));
}

#[test]
fn what_stood_before_the_watch_broke_off_is_not_believed_afterwards() {
    let mut world = world(vec![vec![hop("squid", HopKind::Endpoint)]]);
    watch_translations(&mut world);
    let record = world.record(60_000, Protocol::TCP, 10, OUTSIDE, 80);
    let after = FiveTuple { resp: Endpoint { ip: ip("172.20.0.20"), port: 3129 }, ..record.tuple };
    bound(&mut world, 30_000, record.tuple, after);
    fact(&mut world, 31_000, RecordedFact::Nat(NatFact::Unwatched { netns: None, error: "gone".into() }));
    watch_later(&mut world, 50_000);
    world.event(60_000, FlowEventKind::Started, &record);
    world.event(60_010, FlowEventKind::Answered, &record);
    world.tick(62_000);
    assert_eq!(verdict(&world), "bypassed");
}

fn watch_later(world: &mut World, millis: u64) {
    fact(world, millis, RecordedFact::Nat(NatFact::Watched { netns: None }));
}

#[test]
fn a_translation_that_a_workload_makes_itself_proves_nothing_outside() {
    let told = |before_from: &str, answered_by: &str| {
        let mut world = world(vec![vec![hop("squid", HopKind::Endpoint)]]);
        watch_translations(&mut world);
        let mut record = world.record(60_000, Protocol::TCP, 10, OUTSIDE, 443);
        record.orig.next_hop = Some(HOST_MAC);
        let before = FiveTuple { orig: Endpoint { ip: ip(before_from), ..record.tuple.orig }, ..record.tuple };
        let after = FiveTuple { resp: Endpoint { ip: ip(answered_by), ..record.tuple.resp }, ..record.tuple };
        let own = NatBinding { netns: Some(NetnsId(77)), before, after };
        fact(&mut world, 59_990, RecordedFact::Nat(NatFact::Bound(own)));
        if answered_by != OUTSIDE {
            // What connection tracking saw really goes to the hop; what bypasses it says to be the same.
            let decoy = FlowRecord { id: FlowId(500), tuple: after, ..record.clone() };
            world.event(59_995, FlowEventKind::Started, &decoy);
        }
        world.event(60_000, FlowEventKind::Started, &record);
        world.event(60_010, FlowEventKind::Answered, &record);
        world.tick(62_000);
        world.count("path", "bypassed")
    };
    assert_eq!(told("172.20.0.20", OUTSIDE), 1, "the source says to be the hop before translation");
    assert_eq!(told("172.20.0.10", "172.20.0.20"), 1, "the hop is said to answer");
}

#[test]
fn a_relayed_conversation_is_known_by_what_its_legs_say_later() {
    for (sni, expected) in [("www.example", "verified"), ("other.example", "unobservable one_sided")] {
        let relaying = Hop { evidence: vec![EvidenceKind::Relay], ..hop("squid", HopKind::Endpoint) };
        let mut world = world(vec![vec![relaying]]);
        let mut inbound = world.record(60_000, Protocol::TCP, 10, "172.20.0.20", 3128);
        world.event(60_000, FlowEventKind::Started, &inbound);
        world.event(60_001, FlowEventKind::Answered, &inbound);
        let http = HttpRequest {
            method: "CONNECT".into(),
            host: None,
            connect: Some("www.example:443".into()),
            ..HttpRequest::default()
        };
        inbound.app = Some(Arc::new(AppFacts { http: Some(http), ..AppFacts::default() }));
        world.event(60_002, FlowEventKind::Payload, &inbound);
        let mut outbound = world.record(60_050, Protocol::TCP, 20, OUTSIDE, 443);
        world.event(60_050, FlowEventKind::Started, &outbound);
        world.event(60_060, FlowEventKind::Answered, &outbound);
        let tls = TlsHello { sni: Some(sni.into()), alpn: vec![], ja4: None };
        outbound.app = Some(Arc::new(AppFacts { tls: Some(tls), ..AppFacts::default() }));
        world.event(60_070, FlowEventKind::Payload, &outbound);
        world.tick(64_000);
        assert_eq!(verdict(&world), expected);
    }
}
