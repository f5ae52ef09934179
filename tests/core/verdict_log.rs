//! The verdict log of the engine and the coverage of contracts: every flow is counted once, every bound is kept, what is blind says why.

use crate::support::facts::network;
use crate::support::world::{World, at, config, named};
use hopwatch::engine::{
    EngineConfig, ExceptionGroup, Scope, VerdictLog, VerdictLogContents, VerdictLogLimits, WindowKind,
};
use hopwatch::input::*;
use hopwatch::inventory::Watched;
use hopwatch::path::*;
use proptest::prelude::*;

const LIMITS: VerdictLogLimits = VerdictLogLimits { destinations: 3, flows: 2, workloads: 2, windows: 4, points: 2 };

/// Only the contract `egress`: `web*` reach the internet through `proxy`.
fn egress() -> EngineConfig {
    let mut config = config();
    config.contracts.retain(|contract| contract.name == "egress");
    config
}

fn world(limits: VerdictLogLimits) -> World {
    let mut world = World::silent(egress());
    world.engine.observe(Box::new(VerdictLog::new(limits, &Scope { workloads: vec![named("web*")], except: None })));
    for fact in first_facts() {
        world.push(0, Fact::Recorded(fact));
    }
    world.start(0, "web-1", 10);
    world.start(0, "web-2", 11);
    world.start(0, "proxy", 20);
    world
}

fn first_facts() -> Vec<RecordedFact> {
    vec![
        RecordedFact::Inventory(InventoryEvent::Connected { runtime: hopwatch::input::RuntimeId::DOCKER }),
        RecordedFact::Inventory(InventoryEvent::Network(network().into())),
        RecordedFact::Inventory(InventoryEvent::Reconciled {
            runtime: hopwatch::input::RuntimeId::DOCKER,
            running: vec![],
        }),
        link("br-net", true),
    ]
}

fn link(name: &str, up: bool) -> RecordedFact {
    RecordedFact::Link(LinkEvent { point: ObservationPoint::new(name), up, ..LinkEvent::default() })
}

fn loss(point: &str, count: u64, since: u64) -> Fact {
    let point = Some(ObservationPoint::new(point));
    Fact::Recorded(RecordedFact::Loss(Loss {
        point,
        reason: LossReason::Kernel,
        count,
        since: at(since),
        source: None,
    }))
}

fn page(world: &World) -> VerdictLogContents {
    world.engine.verdict_log().expect("a verdict log is kept")
}

fn adds_up(page: &VerdictLogContents, limits: VerdictLogLimits) {
    let listed: u64 = page.exceptions.values().map(ExceptionGroup::count).sum();
    assert_eq!(listed + page.exceptions_omitted, page.exception_flows(), "{page:?}");
    assert_eq!(page.reasons.values().map(|reason| reason.count).sum::<u64>(), page.unobservable);
    let of_workloads: u64 = page.workloads.values().map(|line| line.flows).sum();
    assert_eq!(of_workloads + page.workloads_omitted + page.unattributed, page.flows());
    assert!(page.exceptions.len() <= limits.destinations && page.windows.len() <= limits.windows);
    assert!(page.workloads.len() <= limits.workloads);
    assert!(page.exceptions.values().all(|group| group.flows.len() <= limits.flows && group.first <= group.last));
    assert!(page.reasons.values().all(|reason| reason.points.len() <= limits.points));
}

#[test]
fn each_exception_is_grouped_by_where_it_went() {
    let mut world = world(LIMITS);
    for (millis, to) in
        [(10_000, "198.51.100.7"), (11_000, "198.51.100.7"), (12_000, "198.51.100.7"), (13_000, "198.51.100.8")]
    {
        world.tcp(millis, 10, to, 443);
    }
    world.tcp(14_000, 11, "172.20.0.20", 3128);
    let page = page(&world);
    assert_eq!((page.bypassed, page.verified, page.flows()), (4, 1, 5));
    let groups: Vec<_> = page
        .exceptions
        .iter()
        .map(|(target, group)| (target.end.to_string(), group.count(), group.flows.len()))
        .collect();
    assert_eq!(
        groups,
        [("198.51.100.7:443".into(), 3, 2), ("198.51.100.8:443".into(), 1, 1)],
        "two are listed of three"
    );
    let group = page.exceptions.values().next().expect("a group");
    assert_eq!((group.first, group.last), (at(10_000), at(12_000)));
    assert!(!group.flows[0].evidence.is_empty() && group.flows[0].answered);
    let lines: Vec<_> = page.workloads.values().map(|line| (line.workload.name.as_str(), line.flows)).collect();
    assert_eq!(lines, [("web-1", 4), ("web-2", 1)]);
    adds_up(&page, LIMITS);
}

#[test]
fn losses_that_follow_each_other_are_one_window_and_a_point_that_is_down_is_one_until_it_is_up() {
    let mut world = world(LIMITS);
    world.push(10_000, loss("br-net", 5, 9_000));
    world.push(11_000, loss("br-net", 7, 10_000));
    world.push(60_000, loss("br-net", 1, 59_000));
    world.push(61_000, Fact::Recorded(link("br-net", false)));
    let windows = page(&world).windows;
    let told: Vec<_> = windows.iter().map(|w| (w.kind.clone(), w.count, w.since, w.until)).collect();
    let lost = WindowKind::Lost(LossReason::Kernel);
    assert_eq!(
        told,
        [
            (lost.clone(), 12, at(9_000), Some(at(11_000))),
            (lost, 1, at(59_000), Some(at(60_000))),
            (WindowKind::Down, 0, at(61_000), None)
        ]
    );
    world.push(62_000, Fact::Recorded(link("br-net", true)));
    assert_eq!(page(&world).windows[2].until, Some(at(62_000)));
}

#[test]
fn only_the_hosts_translations_are_a_window_while_nobody_tells_them() {
    let mut world = world(LIMITS);
    let told = |world: &World| page(world).windows.iter().map(|w| (w.since, w.until)).collect::<Vec<_>>();
    let unwatched = |netns| Fact::Recorded(RecordedFact::Nat(NatFact::Unwatched { netns, error: String::new() }));
    let watched = |netns| Fact::Recorded(RecordedFact::Nat(NatFact::Watched { netns }));
    world.push(10_000, unwatched(Some(NetnsId(7))));
    assert_eq!(told(&world), []);
    world.push(11_000, unwatched(None));
    world.push(12_000, watched(Some(NetnsId(7))));
    assert_eq!(told(&world), [(at(11_000), None)]);
    world.push(13_000, watched(None));
    assert_eq!(told(&world), [(at(11_000), Some(at(13_000)))]);
}

#[test]
fn where_a_workload_was_seen_is_remembered_when_it_has_ended() {
    let mut world = world(LIMITS);
    let seen = |world: &World| page(world).workloads.values().next().expect("web-1").watched.clone();
    assert_eq!(seen(&world), Watched::At(vec![ObservationPoint::new("br-net")]));
    world.stop(10_000, "web-1");
    world.push(11_000, Fact::Recorded(link("br-net", false)));
    assert_eq!(seen(&world), Watched::At(vec![ObservationPoint::new("br-net")]));
    let other = page(&world).workloads.values().nth(1).expect("web-2").watched.clone();
    assert!(matches!(other, Watched::Partly { .. }), "it still runs, and its bridge is down: {other:?}");
}

/// One step of a random history.
#[derive(Clone, Debug)]
enum Step {
    Tcp(u8, u8, bool),
    Udp(u8, u8),
    Late(u8, u8),
    Loss(u8),
    Link(bool),
    Start(u8),
    Stop(u8),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let host = || 8..24_u8;
    let step = prop_oneof![
        4 => (host(), 0..8_u8, any::<bool>()).prop_map(|(host, to, answered)| Step::Tcp(host, to, answered)),
        2 => (host(), 0..8_u8).prop_map(|(host, to)| Step::Udp(host, to)),
        1 => (host(), 0..8_u8).prop_map(|(host, to)| Step::Late(host, to)),
        1 => (0..9_u8).prop_map(Step::Loss),
        1 => any::<bool>().prop_map(Step::Link),
        1 => host().prop_map(Step::Start),
        1 => host().prop_map(Step::Stop),
    ];
    proptest::collection::vec(step, 0..80)
}

fn destination(to: u8) -> (String, u16) {
    if to == 0 { ("172.20.0.20".into(), 3128) } else { (format!("198.51.100.{to}"), 443) }
}

fn play(world: &mut World, steps: &[Step]) {
    for (number, step) in steps.iter().enumerate() {
        let now = 10_000 + 300 * number as u64;
        match step {
            Step::Tcp(host, to, answered) => {
                let (to, port) = destination(*to);
                if *answered {
                    world.tcp(now, *host, &to, port);
                } else {
                    let record = world.record(now, Protocol::TCP, *host, &to, port);
                    world.event(now, FlowEventKind::Started, &record);
                }
            }
            Step::Udp(host, to) => drop(world.udp(now, *host, &destination(*to).0, 443)),
            Step::Late(host, to) => {
                let (to, port) = destination(*to);
                let mut record = world.record(now, Protocol::TCP, *host, &to, port);
                record.tcp = Some(TcpFacts { orig_flags: tcp_flags::ACK, resp_flags: 0, ..TcpFacts::default() });
                record.tuple.resp.port = 40_000;
                world.event(now, FlowEventKind::Started, &record);
            }
            Step::Loss(point) => world.push(now, loss(&format!("br-{point}"), 3, now - 200)),
            Step::Link(up) => world.push(now, Fact::Recorded(link("br-net", *up))),
            Step::Start(host) => world.start(now, &format!("web-{host}"), *host),
            Step::Stop(host) => world.stop(now, &format!("web-{host}")),
        }
    }
    world.finish();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn whatever_happens_the_ledger_counts_what_the_engine_counts(steps in steps()) {
        let mut world = world(LIMITS);
        play(&mut world, &steps);
        let page = page(&world);
        adds_up(&page, LIMITS);
        prop_assert_eq!(page.verified, world.count("egress", "verified"));
        prop_assert_eq!(page.bypassed, world.count("egress", "bypassed"));
        prop_assert_eq!(page.partial, world.count("egress", "partial"));
        prop_assert_eq!(page.unobservable, world.count("egress", "unobservable"));
    }
}

mod coverage {
    use super::*;

    fn hop(kind: HopKind, evidence: &[EvidenceKind]) -> Hop {
        Hop {
            name: "hop".into(),
            kind,
            workloads: vec![named("hop")],
            addresses: vec![],
            interfaces: vec![],
            ports: vec![],
            evidence: evidence.to_vec(),
        }
    }

    fn proofs(world: &World, hop: Hop) -> Vec<Provability> {
        let mut contract = egress().contracts.remove(0);
        contract.via = vec![Stage { any_of: vec![hop.into()] }];
        let mut all = hopwatch::path::coverage(world.engine.timeline(), &[contract], world.engine.path());
        all.remove(0).stages.remove(0).remove(0).evidence.into_iter().map(|evidence| evidence.proof).collect()
    }

    const ALL: [EvidenceKind; 6] = [
        EvidenceKind::Peer,
        EvidenceKind::NextHop,
        EvidenceKind::Transit,
        EvidenceKind::Redirect,
        EvidenceKind::Owner,
        EvidenceKind::Relay,
    ];

    #[test]
    fn a_hop_that_does_not_run_can_be_proven_by_nothing() {
        let world = world(LIMITS);
        let proofs = proofs(&world, hop(HopKind::Endpoint, &ALL));
        assert!(proofs.iter().all(|proof| *proof == Provability::Blind(Blind::NotRunning)), "{proofs:?}");
    }

    #[test]
    fn each_kind_of_evidence_says_by_what_it_holds_or_why_it_does_not() {
        let mut world = world(LIMITS);
        world.start_with(1_000, "hop", 30, |workload| {
            workload.attachments[0].host_interface = Some("veth30".into());
        });
        let proofs = proofs(&world, hop(HopKind::Endpoint, &ALL));
        let by = |text: &str| Provability::By(vec![text.to_owned()]);
        assert_eq!(
            proofs,
            [
                by("172.20.0.30 (hop)"),
                by("02:00:00:00:00:1e (hop)"),
                Provability::Blind(Blind::NoPoint(vec!["veth30".into()])),
                Provability::Blind(Blind::NoTracking),
                Provability::Blind(Blind::NotShared("hop".into())),
                by("hop at br-net"),
            ]
        );
        world.push(2_000, Fact::Recorded(link("veth30", true)));
        assert_eq!(super::coverage::proofs(&world, hop(HopKind::Inline, &[EvidenceKind::Transit])), [by("veth30")]);
    }

    #[test]
    fn a_gateway_on_another_network_is_no_next_hop() {
        let mut world = world(LIMITS);
        world.start_with(1_000, "hop", 30, |workload| workload.attachments[0].network = "elsewhere".into());
        let proofs = proofs(&world, hop(HopKind::Gateway, &[EvidenceKind::NextHop]));
        assert_eq!(proofs, [Provability::Blind(Blind::NoSharedNetwork("hop".into()))]);
    }

    #[test]
    fn a_sidecar_is_known_by_its_sockets_once_the_kernel_is_looked_at() {
        let mut world = world(LIMITS);
        let web = WorkloadId::new(&format!("web-1{}", "0".repeat(50)));
        world.start_with(1_000, "hop", 30, |workload| {
            workload.attachments.clear();
            workload.network_mode = NetworkMode::Container(web);
        });
        let sidecar = || hop(HopKind::Sidecar, &[EvidenceKind::Owner]);
        assert_eq!(proofs(&world, sidecar()), [Provability::Blind(Blind::NoSockets)]);
        let host =
            NamespaceView { netns: NetnsId(1), host: true, workloads: vec![], interfaces: vec![], settings: None };
        world.push(2_000, Fact::Recorded(RecordedFact::Kernel(KernelFact::Namespace(host.into()))));
        assert_eq!(proofs(&world, sidecar()), [Provability::By(vec!["the sockets of hop".into()])]);
    }

    #[test]
    fn a_hop_by_interface_needs_an_observed_one_of_that_name() {
        let mut world = world(LIMITS);
        let by_name = || Hop {
            workloads: vec![],
            interfaces: vec![globset::Glob::new("br-ids*").expect("a glob").compile_matcher()],
            ..hop(HopKind::Inline, &[EvidenceKind::Transit])
        };
        assert_eq!(proofs(&world, by_name()), [Provability::Blind(Blind::NoSuchPoint(vec!["br-ids*".into()]))]);
        world.push(1_000, Fact::Recorded(link("br-ids0", true)));
        assert_eq!(proofs(&world, by_name()), [Provability::By(vec!["br-ids0".into()])]);
    }

    #[test]
    fn a_contract_is_whole_while_all_its_workloads_are_seen() {
        let mut world = world(LIMITS);
        let whole = |world: &World| {
            let contracts = egress().contracts;
            hopwatch::path::coverage(world.engine.timeline(), &contracts, world.engine.path()).remove(0).is_whole()
        };
        assert!(whole(&world));
        world.push(1_000, Fact::Recorded(link("br-net", false)));
        assert!(!whole(&world));
    }

    #[test]
    fn every_blindness_says_why_and_how_to_mend_it() {
        let all = [
            Blind::NotRunning,
            Blind::NoSockets,
            Blind::NoMac,
            Blind::NoSharedNetwork("vpn".into()),
            Blind::NoPoint(vec![]),
            Blind::NoPoint(vec!["veth1".into()]),
            Blind::NoSuchPoint(vec!["br-x".into()]),
            Blind::NoTracking,
            Blind::NotShared("envoy".into()),
            Blind::NoSecondLeg("squid".into()),
        ];
        for blind in all {
            let (why, fix) = (blind.why(), blind.fix());
            assert!(why.len() > 15 && fix.len() > 15 && !why.ends_with('.') && !fix.ends_with('.'), "{why}; {fix}");
            assert!(blind.as_str().chars().all(|c| c.is_ascii_lowercase() || c == '_'));
        }
    }
}
