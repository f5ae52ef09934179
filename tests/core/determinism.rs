//! Equal inputs give equal alerts, and ticks change nothing: random histories of workloads and flows through the engine.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use hopwatch::alert::Alert;
use hopwatch::engine::{Engine, EngineConfig, Timings};
use hopwatch::input::{
    Attachment, Counters, Endpoint, Fact, FiveTuple, FlowEvent, FlowEventKind, FlowId, FlowRecord, Input,
    InsideInterface, InventoryEvent, KernelFact, LinkEvent, Mac, NamespaceView, NetnsId, ObservationPoint, Protocol,
    RecordedFact, Side, SocketEvidence, SocketView, TcpFacts, Workload, WorkloadId, tcp_flags,
};
use hopwatch::inventory::TimelineLimits;
use hopwatch::path::{DestinationSet, Hop, Service};
use hopwatch::time::Timestamp;
use proptest::prelude::*;

use crate::support::engine_config::{contract, endpoint, for_tests};
use crate::support::facts::network;

const BASE: i64 = 1_764_000_000_000_000_000;

fn at(millis: u64) -> Timestamp {
    Timestamp::from_nanos(BASE + i64::try_from(millis).expect("small") * 1_000_000)
}

fn config() -> EngineConfig {
    let proxy = Arc::new(Hop { name: "proxy".into(), ..endpoint("w0", vec![]) });
    let base = for_tests();
    EngineConfig {
        contracts: vec![contract("egress", Service::Egress, "w*", DestinationSet::Internet, &proxy)],
        timings: Timings {
            update_interval: Duration::from_secs(2),
            close_after: Duration::from_secs(20),
            ..base.timings
        },
        timeline: TimelineLimits { workloads: 64, remember: Duration::from_mins(1) },
        max_flows: 16,
        max_alerts: 8,
        max_destinations: 4,
        ..base
    }
}

/// A step of a random history.
#[derive(Clone, Debug)]
enum Act {
    Start(u8),
    Stop(u8),
    Flow {
        from: u8,
        outside: bool,
        port: u16,
        answered: bool,
    },
    Disconnect,
    /// The kernel shows a namespace with this workload, and perhaps the next one, in it; number 0 is the host's.
    Shown {
        netns: u8,
        workload: u8,
        shared: bool,
    },
    Gone(u8),
    Socket {
        netns: u8,
        port: u16,
        owner: u8,
    },
    Closed {
        netns: u8,
        port: u16,
    },
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        2 => (0..4_u8).prop_map(Act::Start),
        1 => (0..4_u8).prop_map(Act::Stop),
        1 => Just(Act::Disconnect),
        1 => (0..4_u8, 0..4_u8, any::<bool>()).prop_map(|(netns, workload, shared)| Act::Shown { netns, workload, shared }),
        1 => (0..4_u8).prop_map(Act::Gone),
        1 => (0..4_u8, 1..6_u16, 0..5_u8).prop_map(|(netns, port, owner)| Act::Socket { netns, port, owner }),
        1 => (0..4_u8, 1..6_u16).prop_map(|(netns, port)| Act::Closed { netns, port }),
        4 => (0..6_u8, any::<bool>(), 1..6_u16, any::<bool>()).prop_map(|(from, outside, port, answered)| Act::Flow {
            from,
            outside,
            port,
            answered
        }),
    ]
}

fn address(host: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(172, 20, 0, 10 + host))
}

fn id(number: u8) -> WorkloadId {
    WorkloadId::new(&format!("{number:064x}"))
}

/// What the kernel shows for an act, if it is one of its.
fn kernel(act: &Act) -> Option<KernelFact> {
    Some(match *act {
        Act::Shown { netns, workload, shared } => {
            let eth0 = InsideInterface {
                name: "eth0".into(),
                kind: "veth".into(),
                addresses: vec![address(workload)],
                host_interface: Some(format!("veth{workload}")),
                ..InsideInterface::default()
            };
            KernelFact::Namespace(Arc::new(NamespaceView {
                netns: NetnsId(netns.into()),
                host: netns == 0,
                workloads: [Some(id(workload)), shared.then(|| id(workload + 1))].into_iter().flatten().collect(),
                interfaces: if netns == 0 { vec![] } else { vec![eth0] },
                settings: None,
            }))
        }
        Act::Gone(netns) => KernelFact::NamespaceGone { netns: NetnsId(netns.into()) },
        Act::Socket { netns, port, owner } => KernelFact::SocketOpened(Arc::new(SocketView {
            netns: NetnsId(netns.into()),
            inode: port.into(),
            protocol: Protocol::TCP,
            local: Endpoint { ip: IpAddr::V4(Ipv4Addr::UNSPECIFIED), port: 40_000 + port },
            remote: None,
            // Number 4 is nobody.
            owners: (owner < 4).then(|| id(owner)).into_iter().collect(),
            how: SocketEvidence::Process,
            command: None,
            pid: None,
            since: None,
        })),
        Act::Closed { netns, port } => KernelFact::SocketClosed { netns: NetnsId(netns.into()), inode: port.into() },
        _ => return None,
    })
}

fn workload(number: u8, since: Timestamp) -> InventoryEvent {
    let attachment = Attachment {
        network: "net".into(),
        addresses: vec![address(number)],
        mac: Some(Mac([2, 0, 0, 0, 0, number])),
        ..Attachment::default()
    };
    InventoryEvent::Workload(Arc::new(Workload {
        image: "image".into(),
        attachments: vec![attachment],
        since: Some(since),
        ..Workload::new(
            WorkloadId::new(&format!("{number:064x}")),
            &format!("w{number}"),
            hopwatch::input::RuntimeId::DOCKER,
        )
    }))
}

fn flow(id: u64, from: u8, outside: bool, port: u16, start: Timestamp, answered: bool) -> FlowRecord {
    let resp = if outside { IpAddr::V4(Ipv4Addr::new(198, 51, 100, 7)) } else { address(0) };
    let tuple = FiveTuple {
        protocol: Protocol::TCP,
        orig: Endpoint { ip: address(from), port: 40_000 + port },
        resp: Endpoint { ip: resp, port: 443 },
    };
    FlowRecord {
        orig: Side {
            mac: Some(Mac([2, 0, 0, 0, 0, from])),
            next_hop: None,
            counters: Counters { packets: 1, ..Counters::default() },
        },
        resp: Side {
            mac: None,
            next_hop: None,
            counters: Counters { packets: u64::from(answered), ..Counters::default() },
        },
        tcp: Some(TcpFacts {
            orig_flags: tcp_flags::SYN,
            resp_flags: if answered { tcp_flags::SYN } else { 0 },
            ..TcpFacts::default()
        }),
        ..FlowRecord::new(FlowId(id), ObservationPoint::new("br-net"), tuple, start)
    }
}

fn history(acts: &[(u64, Act)]) -> Vec<Input> {
    let inventory = |at, event| Input::new(at, Fact::Recorded(RecordedFact::Inventory(event)));
    let connected = || InventoryEvent::Connected { runtime: hopwatch::input::RuntimeId::DOCKER };
    let mut now = at(0);
    let mut inputs = vec![inventory(now, connected()), inventory(now, InventoryEvent::Network(Arc::new(network())))];
    inputs.push(inventory(
        now,
        InventoryEvent::Reconciled { runtime: hopwatch::input::RuntimeId::DOCKER, running: vec![] },
    ));
    // One of the flows' sources is the host.
    let host = LinkEvent {
        point: ObservationPoint::new("eth0"),
        up: true,
        addresses: vec![address(5)],
        ..LinkEvent::default()
    };
    inputs.push(Input::new(now, Fact::Recorded(RecordedFact::Link(host))));
    for (number, (wait, act)) in acts.iter().enumerate() {
        now = now.plus(Duration::from_millis(*wait));
        match *act {
            Act::Shown { .. } | Act::Gone(_) | Act::Socket { .. } | Act::Closed { .. } => {
                let fact = kernel(act).expect("one of the kernel's");
                inputs.push(Input::new(now, Fact::Recorded(RecordedFact::Kernel(fact))));
            }
            Act::Start(w) => inputs.push(inventory(now, workload(w, now))),
            Act::Stop(w) => {
                let id = WorkloadId::new(&format!("{w:064x}"));
                inputs.push(inventory(now, InventoryEvent::Stopped { id, until: now }));
            }
            Act::Disconnect => {
                let cut =
                    InventoryEvent::Disconnected { runtime: hopwatch::input::RuntimeId::DOCKER, error: "cut".into() };
                inputs.extend([inventory(now, cut), inventory(now, connected())]);
            }
            Act::Flow { from, outside, port, answered } => {
                let kinds = if answered {
                    &[FlowEventKind::Started, FlowEventKind::Answered][..]
                } else {
                    &[FlowEventKind::Started]
                };
                for kind in kinds {
                    let is_answered = *kind == FlowEventKind::Answered;
                    let record = flow(number as u64, from, outside, port, now, is_answered);
                    inputs.push(Input::new(now, Fact::Flow(Box::new(FlowEvent { kind: *kind, record }))));
                }
            }
        }
    }
    inputs
}

fn run(inputs: &[Input]) -> (Vec<Alert>, hopwatch::engine::EngineStats) {
    run_and_reload(inputs, &[])
}

/// The same; before each of these inputs the same configuration is put into force again.
fn run_and_reload(inputs: &[Input], places: &[usize]) -> (Vec<Alert>, hopwatch::engine::EngineStats) {
    let mut engine = Engine::new(config());
    let mut alerts = Vec::new();
    for (place, input) in inputs.iter().enumerate() {
        if places.contains(&place) {
            engine.reconfigure(config(), &mut alerts);
        }
        engine.push(input, &mut alerts);
    }
    engine.finish(&mut alerts);
    (alerts, engine.stats())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn ticks_change_nothing(acts in prop::collection::vec((0..1500_u64, act()), 0..60), ticks in prop::collection::vec((0..200_usize, 0..100_u8), 0..40)) {
        let plain = history(&acts);
        let mut ticked = plain.clone();
        for (place, share) in ticks {
            let place = place % ticked.len();
            let before = ticked[place].at;
            let after = ticked.get(place + 1).map_or(before, |next| next.at);
            let between = before.plus(after.since(before) * u32::from(share) / 100);
            ticked.insert(place + 1, Input::new(between, Fact::Tick));
        }
        prop_assert_eq!(run(&plain), run(&ticked));
    }

    #[test]
    fn a_reload_of_the_same_configuration_changes_nothing(acts in prop::collection::vec((0..1500_u64, act()), 0..60), places in prop::collection::vec(0..200_usize, 0..8)) {
        let inputs = history(&acts);
        prop_assert_eq!(run(&inputs), run_and_reload(&inputs, &places));
    }

    #[test]
    fn every_flow_is_judged_once_and_every_finding_is_counted(acts in prop::collection::vec((0..1500_u64, act()), 0..60)) {
        let inputs = history(&acts);
        let (alerts, stats) = run(&inputs);
        let started = inputs.iter().filter(|i| matches!(&i.fact, Fact::Flow(e) if e.kind == FlowEventKind::Started)).count();
        prop_assert_eq!(stats.flows_judged, started as u64);
        let bypassed = stats.verdicts().into_iter().filter(|((_, verdict, _), _)| *verdict == "bypassed").map(|(_, n)| n).sum::<u64>();
        let mut told = std::collections::BTreeMap::new();
        // `hop-silent` is about a contract, but about no flow.
        for alert in alerts.iter().filter(|alert| alert.contract.is_some() && alert.verdict.is_some()) {
            told.insert(alert.id.clone(), alert.count);
        }
        if stats.alerts_closed_early == 0 {
            prop_assert_eq!(told.values().sum::<u64>(), bypassed);
        }
    }

    #[test]
    fn a_flow_to_the_outside_is_never_verified(acts in prop::collection::vec((0..1500_u64, act()), 0..60)) {
        let only_outside: Vec<_> = acts.into_iter().filter(|(_, act)| !matches!(act, Act::Flow { outside: false, .. })).collect();
        let (_, stats) = run(&history(&only_outside));
        prop_assert_eq!(stats.verdicts().into_iter().filter(|((_, verdict, _), n)| *verdict == "verified" && *n > 0).count(), 0);
    }
}
