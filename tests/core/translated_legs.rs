//! A connection that is translated on its way is one, in whatever order its two sides and the translation are reported.
//!
//! The law: a bridge shows a connection first, where the container's frames pass first. What it shows after that, what another point shows of the
//! translated side, and the report of connection tracking come from three sources, each in order; how the three are mixed within a millisecond changes no alert's id, and
//! none names the translated side. All mixtures are tried.

use std::collections::BTreeMap;
use std::sync::Arc;

use hopwatch::alert::Alert;
use hopwatch::engine::EngineConfig;
use hopwatch::input::{
    AppFacts, Counters, EndReason, Endpoint, Fact, FiveTuple, FlowEventKind, FlowId, FlowRecord, HttpRequest,
    InventoryEvent, KernelFact, LinkEvent, NamespaceView, NatBinding, NatFact, NetnsId, ObservationPoint, Protocol,
    RecordedFact, Side, TcpFacts, tcp_flags,
};
use hopwatch::path::{DestinationSet, EvidenceKind, Hop, Service};
use hopwatch::time::Timestamp;

use crate::support::engine_config::{contract, endpoint};
use crate::support::facts::bridged;
use crate::support::world::{self, World, config, ip};

const FAR: &str = "198.51.100.7";
const HOST: &str = "203.0.113.1";
/// When it all happens, in milliseconds.
const NOW: u64 = 1020;

/// What one source reports next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Report {
    Bridge(FlowEventKind),
    Uplink(FlowEventKind),
    Bound,
}

const ENDED: FlowEventKind = FlowEventKind::Ended(EndReason::ForcedEnd);

/// Every mixture of three sources that keeps the order of each.
fn mixtures<R: Copy>(sources: [&[R]; 3]) -> Vec<Vec<R>> {
    if sources.iter().all(|source| source.is_empty()) {
        return vec![vec![]];
    }
    let first = |number: usize| {
        let (first, rest) = sources[number].split_first()?;
        let mut left = sources;
        left[number] = rest;
        Some(mixtures(left).into_iter().map(|mixture| [vec![*first], mixture].concat()).collect::<Vec<_>>())
    };
    (0..3).filter_map(first).flatten().collect()
}

fn grown(record: &FlowRecord, kind: FlowEventKind) -> FlowRecord {
    let side = |side: &Side, payload_bytes| Side {
        counters: Counters { packets: 3, payload_bytes, ..side.counters },
        ..*side
    };
    let mut record = record.clone();
    let sent = if matches!(kind, FlowEventKind::Updated | FlowEventKind::Ended(_)) { (300, 700) } else { (0, 0) };
    if kind != FlowEventKind::Started {
        (record.orig, record.resp) = (side(&record.orig, sent.0), side(&record.resp, sent.1));
    }
    record
}

/// Containers on two bridges, and an uplink.
fn world(has_kernel: bool) -> World {
    let hop = endpoint("proxy", vec![]);
    let proxy = Arc::new(Hop { evidence: vec![EvidenceKind::Peer, EvidenceKind::Redirect], ..hop });
    let contracts = vec![contract("egress", Service::Egress, "app", DestinationSet::Internet, &proxy)];
    let mut world = World::new(EngineConfig { contracts, ..config() });
    world.start(0, "proxy", 20);
    world.start(0, "app", 10);
    world.start(0, "relay", 66);
    let second = bridged("two", "172.21.0.0/24", "172.21.0.1", "br-two");
    world.runtime(0, InventoryEvent::Network(Arc::new(second)));
    world.start_with(0, "other", 67, |workload| {
        workload.attachments[0].addresses = vec![ip("172.21.0.66")];
        "two".clone_into(&mut workload.attachments[0].network);
    });
    let br_two = ObservationPoint::new("br-two");
    let two = LinkEvent { point: br_two, up: true, addresses: vec![ip("172.21.0.1")], ..LinkEvent::default() };
    world.push(0, Fact::Recorded(RecordedFact::Link(two)));
    let eth0 =
        LinkEvent { point: ObservationPoint::new("eth0"), up: true, addresses: vec![ip(HOST)], ..LinkEvent::default() };
    world.push(0, Fact::Recorded(RecordedFact::Link(eth0)));
    world.push(0, Fact::Recorded(RecordedFact::Nat(NatFact::Watched { netns: None })));
    if has_kernel {
        let view =
            NamespaceView { netns: NetnsId(1), host: true, workloads: vec![], interfaces: vec![], settings: None };
        world.push(0, Fact::Recorded(RecordedFact::Kernel(KernelFact::Namespace(Arc::new(view)))));
    }
    world
}

/// Plays a mixture for a connection of this host; what was raised, by rule: id, count, and the address that the flow comes from.
fn play(mixture: &[Report], host: u8, has_kernel: bool) -> BTreeMap<String, (String, u64, String)> {
    let mut world = world(has_kernel);
    let came = (host == 66).then(|| world.record(1000, Protocol::TCP, 1, "172.20.0.66", 8080));
    if let Some(came) = &came {
        world.event(1000, FlowEventKind::Started, came);
        world.event(1001, FlowEventKind::Answered, &grown(came, FlowEventKind::Answered));
    }
    let bridge = world.record(NOW, Protocol::TCP, host, FAR, 80);
    let before = bridge.tuple;
    let mut after = before;
    after.orig.ip = ip(HOST);
    let start = Timestamp::from_nanos(bridge.start.as_nanos() + 20_000);
    let uplink = FlowRecord {
        tcp: bridge.tcp,
        orig: Side { mac: None, ..bridge.orig },
        ..FlowRecord::new(FlowId(1 << 40), ObservationPoint::new("eth0"), FiveTuple { ..after }, start)
    };
    play_mixture(&mut world, mixture, (&bridge, &uplink));
    if let Some(came) = &came {
        for (millis, kind) in [(NOW + 5, FlowEventKind::Updated), (NOW + 2000, ENDED)] {
            let mut record = grown(came, kind);
            record.end = bridge.start;
            world.event(millis, kind, &record);
        }
    }
    said(world)
}

/// The host leads what an application asks for to a container on another bridge, which is not the proxy, and hides who asks there.
fn play_redirected(mixture: &[Report], has_kernel: bool) -> BTreeMap<String, (String, u64, String)> {
    let mut world = world(has_kernel);
    let bridge = world.record(NOW, Protocol::TCP, 10, FAR, 80);
    let before = bridge.tuple;
    let mut after = before;
    (after.orig.ip, after.resp) = (ip("172.21.0.1"), Endpoint { ip: ip("172.21.0.66"), port: 3129 });
    let start = Timestamp::from_nanos(bridge.start.as_nanos() + 20_000);
    let other =
        FlowRecord { tcp: bridge.tcp, orig: Side { mac: None, ..bridge.orig }, ..on_second_bridge(1, after, start) };
    play_mixture(&mut world, mixture, (&bridge, &other));
    let out = FiveTuple { orig: Endpoint { ip: ip("172.21.0.66"), port: 50_000 }, ..before };
    let out =
        FlowRecord { tcp: bridge.tcp, orig: Side { mac: None, ..bridge.orig }, ..on_second_bridge(2, out, start) };
    for (millis, kind) in
        [(1, FlowEventKind::Started), (2, FlowEventKind::Answered), (3, FlowEventKind::Updated), (2000, ENDED)]
    {
        world.event(NOW + millis, kind, &grown(&out, kind));
    }
    said(world)
}

fn on_second_bridge(id: u64, tuple: FiveTuple, start: Timestamp) -> FlowRecord {
    FlowRecord::new(FlowId(id << 40), ObservationPoint::new("br-two"), tuple, start)
}

fn play_mixture(world: &mut World, mixture: &[Report], (bridge, other): (&FlowRecord, &FlowRecord)) {
    for report in mixture {
        match *report {
            Report::Bridge(kind) => world.event(NOW, kind, &grown(bridge, kind)),
            Report::Uplink(kind) => world.event(NOW, kind, &grown(other, kind)),
            Report::Bound => {
                let bound = NatFact::Bound(NatBinding { netns: None, before: bridge.tuple, after: other.tuple });
                world.push(NOW, Fact::Recorded(RecordedFact::Nat(bound)));
            }
        }
    }
}

/// What was raised in the end, by rule.
fn said(mut world: World) -> BTreeMap<String, (String, u64, String)> {
    world.tick(10_000);
    world.finish();
    let raised = world.alerts.iter().map(|alert| {
        let from = alert.flow.as_ref().map_or_else(String::new, |flow| flow.orig.endpoint.ip.to_string());
        (alert.rule.to_owned(), (alert.id.clone(), alert.count, from))
    });
    raised.collect()
}

/// All mixtures say the same, with and without a look at the host's sockets; the address that the alert of a rule is about.
fn all_alike(
    rule: &str,
    has_end: bool,
    play: impl Fn(&[Report], bool) -> BTreeMap<String, (String, u64, String)>,
) -> String {
    use FlowEventKind::{Answered, Started, Updated};
    let bridge = [Answered, Updated, ENDED].map(Report::Bridge);
    let uplink = [Started, Answered, Updated, ENDED].map(Report::Uplink);
    let (bridge, uplink) = if has_end { (&bridge[..], &uplink[..]) } else { (&bridge[..2], &uplink[..3]) };
    let mut from = String::new();
    for has_kernel in [false, true] {
        let mut said: BTreeMap<_, Vec<Vec<Report>>> = BTreeMap::new();
        for rest in mixtures([bridge, uplink, &[Report::Bound]]) {
            let mixture = [vec![Report::Bridge(Started)], rest].concat();
            said.entry(play(&mixture, has_kernel)).or_default().push(mixture);
        }
        let shown: Vec<_> = said.iter().map(|(raised, mixtures)| (raised, mixtures.len(), &mixtures[0])).collect();
        assert_eq!(shown.len(), 1, "kernel: {has_kernel}: {shown:#?}");
        let (_, count, about) = shown[0].0.get(rule).expect("raised");
        assert_eq!(*count, 1);
        from.clone_from(about);
    }
    from
}

#[test]
fn how_reports_of_a_relays_way_out_are_mixed_changes_no_alert() {
    for has_end in [false, true] {
        let from = all_alike("undeclared-relay", has_end, |mixture, has_kernel| play(mixture, 66, has_kernel));
        assert_eq!(from, "172.20.0.66", "the side that the relay sent");
    }
}

#[test]
fn how_reports_of_a_bypass_are_mixed_changes_no_alert() {
    for has_end in [false, true] {
        let from = all_alike("egress-skips-proxy", has_end, |mixture, has_kernel| play(mixture, 10, has_kernel));
        assert_eq!(from, "172.20.0.10", "the side that the application sent");
    }
}

/// What a bridge reports of a half.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Half {
    /// The request, after the translation of its destination.
    Asking(FlowEventKind),
    /// The answers, after theirs was undone.
    Answers(FlowEventKind),
    /// The request on the second bridge, where its source is hidden.
    AskingThere(FlowEventKind),
    /// The answers on the second bridge, after the source was shown again.
    AnswersThere(FlowEventKind),
    Bound,
}

/// With `br_netfilter`, a bridge shows the frames of the one who asks after the translation of their destination, and the answers after theirs was undone:
/// two halves, and the second bridge has two more. The request stands in the first alone.
fn play_in_halves(mixture: &[Half], has_kernel: bool) -> BTreeMap<String, (String, u64, String)> {
    let mut world = world(has_kernel);
    let whole = world.record(NOW, Protocol::TCP, 10, FAR, 80);
    let relay = Endpoint { ip: ip("172.21.0.66"), port: 3129 };
    let after = FiveTuple { orig: Endpoint { ip: ip("172.21.0.1"), ..whole.tuple.orig }, resp: relay, ..whole.tuple };
    let start = |micros: i64| Timestamp::from_nanos(whole.start.as_nanos() + micros * 1000);
    let asking = FlowRecord { tuple: FiveTuple { resp: relay, ..whole.tuple }, ..whole.clone() };
    let side = Side { mac: None, ..whole.orig };
    let there = FlowRecord { tcp: whole.tcp, orig: side, ..on_second_bridge(1, after, start(60)) };
    let answers = FlowRecord { id: FlowId(2 << 40), start: start(110), ..whole.clone() };
    let answers_there = FlowRecord {
        id: FlowId(3 << 40),
        tuple: asking.tuple,
        start: start(105),
        ..answering(&there, FlowEventKind::Started)
    };
    for report in mixture {
        match *report {
            Half::Asking(FlowEventKind::Payload) => {
                world.event(NOW, FlowEventKind::Payload, &asking_for_a_page(&asking));
            }
            Half::Asking(kind) => world.event(NOW, kind, &asking),
            Half::Answers(kind) => world.event(NOW, kind, &answering(&answers, kind)),
            Half::AskingThere(kind) => world.event(NOW, kind, &there),
            Half::AnswersThere(kind) => world.event(NOW, kind, &answering(&answers_there, kind)),
            Half::Bound => {
                let bound = NatFact::Bound(NatBinding { netns: None, before: whole.tuple, after });
                world.push(NOW, Fact::Recorded(RecordedFact::Nat(bound)));
            }
        }
    }
    let out = FiveTuple { orig: Endpoint { ip: ip("172.21.0.66"), port: 50_000 }, ..whole.tuple };
    let side = Side { mac: None, ..whole.orig };
    let out = FlowRecord { tcp: whole.tcp, orig: side, ..on_second_bridge(4, out, start(2000)) };
    world.event(NOW + 1, FlowEventKind::Started, &out);
    world.event(NOW + 2, FlowEventKind::Payload, &asking_for_a_page(&out));
    said(world)
}

fn asking_for_a_page(record: &FlowRecord) -> FlowRecord {
    let http = HttpRequest { method: "GET".into(), path: Some("/".into()), host: Some(FAR.into()), connect: None };
    let mut record = record.clone();
    record.orig.counters.payload_bytes = 77;
    record.app = Some(Arc::new(AppFacts { http: Some(http), ..AppFacts::default() }));
    record
}

/// The half with the answers: the meter names the one who asked by the flags.
fn answering(whole: &FlowRecord, kind: FlowEventKind) -> FlowRecord {
    let mut record = whole.clone();
    (record.orig.counters, record.resp.counters) = (Counters::default(), grown(whole, kind).resp.counters);
    record.resp.counters.packets = 1;
    record.tcp = record.tcp.map(|tcp| TcpFacts { orig_flags: 0, resp_flags: tcp_flags::SYN | tcp_flags::ACK, ..tcp });
    record
}

/// Connection tracking confirms what the bridge of the one who asks has seen before; the other bridge may report earlier.
#[test]
fn how_reports_of_a_connection_in_halves_are_mixed_changes_no_alert() {
    use FlowEventKind::{Answered, Payload, Started};
    use Half::{Answers, AnswersThere, Asking, AskingThere, Bound};
    let here = [Asking(Started), Answers(Started), Answers(Answered), Asking(Payload)];
    let there = [AskingThere(Started), AnswersThere(Started), AnswersThere(Answered)];
    let all = mixtures([&here[1..], &there, &[Bound]]).into_iter().map(|rest| [vec![here[0]], rest].concat());
    let is_seen_first =
        |mixture: &Vec<Half>| mixture.iter().find(|half| matches!(half, Asking(_) | Bound)) != Some(&Bound);
    let mixtures = mixtures([&here, &there[..1], &[Bound]]).into_iter().filter(is_seen_first).chain(all);
    let mixtures: Vec<_> = mixtures.collect();
    let mut said: BTreeMap<_, Vec<&[Half]>> = BTreeMap::new();
    for has_kernel in [false, true] {
        for mixture in &mixtures {
            said.entry(play_in_halves(mixture, has_kernel)).or_default().push(mixture);
        }
    }
    let shown: Vec<_> = said.iter().map(|(raised, mixtures)| (raised, mixtures.len(), &mixtures[0])).collect();
    assert_eq!(shown.len(), 1, "{shown:#?}");
    let (raised, ..) = shown[0];
    let about = |rule: &str| raised.get(rule).map(|(_, count, from)| (*count, from.as_str()));
    assert_eq!(about("egress-skips-proxy"), Some((1, "172.20.0.10")));
    assert_eq!(about("undeclared-relay"), Some((1, "172.21.0.66")));
    assert_eq!(raised.len(), 2);
}

/// The host masquerades what an application sends to a peer outside; the alerts about much that was sent, by who is said to send it.
fn play_an_upload(mixture: &[Report], has_kernel: bool) -> BTreeMap<String, String> {
    let mut world = world(has_kernel);
    let bridge = world.record(NOW, Protocol::TCP, 10, FAR, 80);
    let before = bridge.tuple;
    let mut after = before;
    after.orig.ip = ip(HOST);
    let point = ObservationPoint::new("eth0");
    let side = Side { mac: None, ..bridge.orig };
    let uplink =
        FlowRecord { tcp: bridge.tcp, orig: side, ..FlowRecord::new(FlowId(1 << 40), point, after, bridge.start) };
    play_mixture(&mut world, mixture, (&bridge, &uplink));
    for record in [&bridge, &uplink] {
        let mut sent = grown(record, FlowEventKind::Updated);
        sent.orig.counters.payload_bytes = 1 << 30;
        sent.end = world::at(NOW + 900);
        world.event(NOW + 900, FlowEventKind::Updated, &sent);
    }
    world.tick(10_000);
    world.finish();
    let alerts = world.alerts.iter().filter(|alert| alert.rule == "exfiltration");
    let sender = |alert: &Alert| alert.workload.as_ref().map_or_else(String::new, |workload| workload.name.clone());
    alerts.map(|alert| (alert.id.clone(), sender(alert))).collect()
}

#[test]
fn how_reports_of_an_upload_are_mixed_counts_it_once() {
    use FlowEventKind::{Answered, Started};
    let (bridge, uplink) = ([Answered].map(Report::Bridge), [Started, Answered].map(Report::Uplink));
    for has_kernel in [false, true] {
        for rest in mixtures([&bridge, &uplink, &[Report::Bound]]) {
            let mixture = [vec![Report::Bridge(Started)], rest].concat();
            let said = play_an_upload(&mixture, has_kernel);
            assert_eq!(said.values().collect::<Vec<_>>(), ["app"], "kernel: {has_kernel}: {mixture:?}: {said:?}");
        }
    }
}

#[test]
fn how_reports_of_a_redirected_connection_are_mixed_changes_no_alert() {
    for has_end in [false, true] {
        let from = all_alike("undeclared-relay", has_end, play_redirected);
        assert_eq!(from, "172.21.0.66");
    }
}
