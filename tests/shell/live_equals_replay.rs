//! A replay raises what the run raised that recorded it: the same alerts, with the same times and ids, in the same order.
//!
//! The law: here the engine hears everything in order of event time, from meters that look at the clock although nothing comes, until the observation of
//! their point ends; that is what live capture gives it (`src/app/reorder.rs` has the law that the order of reports changes nothing). What it consumed
//! is written as `hopwatch record` writes it, packets of some points later than those of others, and replayed.
//! What made the two differ before: a replay ended every record at its point's last packet, before facts that came until the observation ended.

use std::net::Ipv4Addr;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use hopwatch::alert::Alert;
use hopwatch::app::output::Output;
use hopwatch::app::replay::{self, Reloads, ReplayOptions};
use hopwatch::decode::LinkType;
use hopwatch::engine::{Engine, EngineConfig, Observer};
use hopwatch::flow::{Meter, MeterLimits};
use hopwatch::input::{
    Attachment, Endpoint, Fact, FiveTuple, Input, InventoryEvent, KernelFact, LinkEvent, Mac, NamespaceView,
    NatBinding, NatFact, NetnsId, ObservationPoint, Protocol, RecordedFact, RuntimeId, Workload, WorkloadId, tcp_flags,
};
use hopwatch::inventory::configuration::ShownLabels;
use hopwatch::inventory::file::fact_line;
use hopwatch::observe::PcapngWriter;
use hopwatch::path::{DestinationSet, Service};
use hopwatch::time::Timestamp;
use proptest::prelude::*;

use crate::support::engine_config::{contract, endpoint, for_tests};
use crate::support::facts::network;
use crate::support::frames::{Content, Frame};
use crate::support::seeds::{Seeds, check};

const SEEDS: Seeds = Seeds { fixed: 4, fresh: 1, cases: 64 };
const BRIDGE: usize = 0;
const UPLINK: usize = 1;
/// Of the relay; it ends with its container.
const VETH: usize = 2;
const POINTS: [&str; 3] = ["br-net", "eth0", "veth66"];
const LIMITS: MeterLimits = MeterLimits {
    max_flows: 1000,
    idle_timeout: Duration::from_secs(6),
    active_timeout: Duration::from_mins(30),
    update_interval: Duration::from_secs(2),
};
const HOST: Ipv4Addr = Ipv4Addr::new(203, 0, 113, 1);
const GATEWAY: Ipv4Addr = Ipv4Addr::new(172, 20, 0, 1);
const FAR: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 7);
const RELAY: u8 = 66;

const fn address(host: u8) -> Ipv4Addr {
    Ipv4Addr::new(172, 20, 0, host)
}

const fn mac(host: u8) -> Mac {
    Mac([2, 0, 0, 0, 0, host])
}

/// Microseconds since the beginning.
fn at(micros: u64) -> Timestamp {
    Timestamp::from_secs(1_764_000_000).plus(Duration::from_micros(micros))
}

/// Who talks to the far end, which the host's address hides from the uplink.
#[derive(Clone, Debug)]
struct Talk {
    /// Whether the host talks to the relay, which passes it on; else the application talks to the far end itself.
    is_relayed: bool,
    /// Milliseconds, as the rest.
    start: u64,
    pause: u64,
    exchanges: u8,
    closes: bool,
    /// When the translation is reported, after the first packet.
    bound_after: Option<u64>,
}

/// What happens, and how it was recorded.
#[derive(Clone, Debug)]
struct History {
    talks: Vec<Talk>,
    /// How long the run goes on after the last packet.
    rest: u64,
    /// When the relay is stopped, and its veth goes away.
    gone: Option<u64>,
    /// Whether only the bridge is captured.
    is_alone: bool,
    /// How much later than at once the packets of each point are written.
    late: [u64; 3],
}

fn histories() -> impl Strategy<Value = History> {
    let talk = (any::<bool>(), 0..9_000_u64, 0..40_u64, 1..3_u8, any::<bool>(), prop::option::of(0..900_u64));
    let talk = talk.prop_map(|(is_relayed, start, pause, exchanges, closes, bound_after)| Talk {
        is_relayed,
        start,
        pause,
        exchanges,
        closes,
        bound_after,
    });
    let late = [0..150_u64, 0..150, 0..150];
    let rest = prop_oneof![0..600_u64, 0..12_000_u64];
    let is_alone = prop::bool::weighted(0.3);
    (prop::collection::vec(talk, 1..4), rest, prop::option::of(0..9_000_u64), is_alone, late)
        .prop_map(|(talks, rest, gone, is_alone, late)| History { talks, rest, gone, is_alone, late })
}

/// What was seen and reported.
#[derive(Default)]
struct Run {
    /// By time of capture: microseconds, point, frame.
    frames: Vec<(u64, usize, Vec<u8>)>,
    facts: Vec<(Timestamp, RecordedFact)>,
    /// When the observation of each point ended, and that of all.
    ends: [u64; 3],
    end: u64,
}

impl Run {
    fn of(history: &History) -> Self {
        let mut run = Self { facts: beginning(), ..Self::default() };
        for (number, talk) in (0_u16..).zip(&history.talks) {
            run.talk(number, talk);
        }
        if let Some(gone) = history.gone {
            run.frames.retain(|(micros, point, _)| *point != VETH || *micros <= gone * 1000);
            let (id, until) = (id_of("relay"), at(gone * 1000));
            run.facts.push((until, RecordedFact::Inventory(InventoryEvent::Stopped { id, until })));
        }
        if history.is_alone {
            run.frames.retain(|(_, point, _)| *point == BRIDGE);
        }
        run.frames.sort_by_key(|(micros, ..)| *micros);
        let last = run.frames.last().map_or(0, |(micros, ..)| *micros);
        run.end = last + 1000 + history.rest * 1000;
        run.ends =
            [run.end - 400, run.end - 700, history.gone.map_or(run.end - 100, |gone| (gone * 1000).min(run.end))];
        let ended = (POINTS.iter().zip(run.ends))
            .map(|(point, micros)| (at(micros), RecordedFact::Ended { point: Some(ObservationPoint::new(point)) }));
        run.facts.extend(ended);
        run.facts.retain(|(reported, _)| *reported <= at(run.end));
        run.facts.sort_by_key(|(at, _)| *at);
        run
    }

    fn talk(&mut self, number: u16, talk: &Talk) {
        let start = talk.start * 1000;
        let (from, to) = (40_000 + number, 30_000 + number);
        if talk.is_relayed {
            let came = [(BRIDGE, (0xff, RELAY)), (VETH, (0xff, RELAY))];
            self.conversation(talk, start, ((GATEWAY, from), (address(RELAY), 8080)), &came);
        }
        let sender = if talk.is_relayed { RELAY } else { 10 };
        let start = start + if talk.is_relayed { talk.pause * 4000 + 500 } else { 0 };
        let inside: &[_] = &[(VETH, (RELAY, 0xff)), (BRIDGE, (RELAY, 0xff))];
        let inside = if talk.is_relayed { inside } else { &[(BRIDGE, (10, 0xff))] };
        self.conversation(talk, start, ((address(sender), to), (FAR, 80)), inside);
        self.conversation(talk, start + 20, ((HOST, to), (FAR, 80)), &[(UPLINK, (0xfe, 0xfd))]);
        let Some(after) = talk.bound_after else { return };
        let end = |(ip, port): (Ipv4Addr, u16)| Endpoint { ip: ip.into(), port };
        let before = FiveTuple { protocol: Protocol::TCP, orig: end((address(sender), to)), resp: end((FAR, 80)) };
        let binding = NatBinding { netns: None, before, after: FiveTuple { orig: end((HOST, to)), ..before } };
        self.facts.push((at(start + after * 1000 + 7), RecordedFact::Nat(NatFact::Bound(binding))));
    }

    /// A TCP connection as points see it, with the MACs of either end there.
    fn conversation(
        &mut self,
        talk: &Talk,
        start: u64,
        (from, to): ((Ipv4Addr, u16), (Ipv4Addr, u16)),
        seen: &[(usize, (u8, u8))],
    ) {
        use tcp_flags::{ACK, FIN, PSH, SYN};
        let mut packets = vec![(true, SYN, 0), (false, SYN | ACK, 0), (true, ACK, 0)];
        for _ in 0..talk.exchanges {
            packets.extend([(true, PSH | ACK, 300), (false, PSH | ACK, 700)]);
        }
        if talk.closes {
            packets.extend([(true, FIN | ACK, 0), (false, FIN | ACK, 0), (true, ACK, 0)]);
        }
        let mut seq = [1000, 9000];
        for (number, (is_own, flags, payload)) in (0_u64..).zip(packets) {
            let (own, peer) = (usize::from(!is_own), usize::from(is_own));
            let content = Content::Tcp { flags, seq: seq[own], ack: seq[peer], payload };
            seq[own] += u32::try_from(payload).expect("small") + u32::from(flags & (SYN | FIN) != 0);
            for (place, (point, (src, dst))) in (0_u64..).zip(seen) {
                let (src, dst) = (mac(*src), mac(*dst));
                let content = content.clone();
                let sent =
                    Frame { src, dst, vlan: None, from, to, ttl: 64, options: vec![], first_bytes: None, content };
                let frame = if is_own { sent } else { sent.turned() };
                self.frames.push((start + number * (talk.pause * 1000 + 50) + place * 5, *point, frame.bytes()));
            }
        }
    }

    /// What the engine says that hears all of it in order of time.
    fn live(&self) -> Vec<Alert> {
        let mut inputs: Vec<Input> = self.facts.iter().map(|(at, fact)| Input::new(*at, fact.clone())).collect();
        for (number, name) in POINTS.iter().enumerate() {
            let mut meter = Meter::new(ObservationPoint::new(name), LinkType::ETHERNET, LIMITS);
            for (micros, _, bytes) in self.frames.iter().filter(|(_, point, _)| *point == number) {
                meter.packet(at(*micros), u32::try_from(bytes.len()).expect("a frame"), bytes, &mut inputs);
            }
            meter.advance(at(self.ends[number]), &mut inputs);
            meter.drain(&mut inputs);
        }
        inputs.sort_by(|a, b| (a.at, a.point()).cmp(&(b.at, b.point())));
        inputs.push(Input::new(at(self.end), Fact::Recorded(RecordedFact::Ended { point: None })));
        let (mut engine, mut alerts) = (Engine::new(config()), Vec::new());
        for input in &inputs {
            engine.push(input, &mut alerts);
        }
        engine.finish(&mut alerts);
        alerts
    }

    /// What a replay of the recording says.
    fn replayed(&self, late: [u64; 3]) -> Vec<Alert> {
        let folder = tempfile::tempdir().expect("a folder");
        let (capture, facts) = (folder.path().join("traffic.pcapng"), folder.path().join("facts.jsonl"));
        std::fs::write(&capture, self.capture(late)).expect("written");
        let lines = self.facts.iter().map(|(at, fact)| fact_line(*at, fact).expect("JSON"));
        let ended = fact_line(at(self.end), &RecordedFact::Ended { point: None }).expect("JSON");
        std::fs::write(&facts, lines.chain([ended]).collect::<Vec<_>>().concat()).expect("written");
        replay_of(&capture, &facts)
    }

    fn capture(&self, late: [u64; 3]) -> Vec<u8> {
        let mut written: Vec<_> = self.frames.iter().collect();
        written.sort_by_key(|(micros, point, _)| micros + late[*point] * 1000);
        let mut writer = PcapngWriter::new(Vec::new(), None).expect("a header");
        for name in POINTS {
            writer.add_interface(name, LinkType::ETHERNET, 0, None).expect("an interface");
        }
        for (micros, point, bytes) in written {
            let (interface, len) = (u32::try_from(*point).expect("few"), u32::try_from(bytes.len()).expect("a frame"));
            writer.packet(interface, at(*micros), len, bytes).expect("a packet");
        }
        writer.finish().expect("a capture")
    }
}

fn id_of(name: &str) -> WorkloadId {
    WorkloadId::new(&format!("{name}{}", "0".repeat(50)))
}

/// The facts before the first packet: an application, its proxy, and a relay that nobody declared.
fn beginning() -> Vec<(Timestamp, RecordedFact)> {
    let runtime = RuntimeId::DOCKER;
    let workload = |name: &str, host: u8| {
        let attachment = Attachment {
            network: "net".into(),
            addresses: vec![address(host).into()],
            mac: Some(mac(host)),
            host_interface: Some(format!("veth{host}")),
            ..Attachment::default()
        };
        let id = id_of(name);
        let image = format!("{name}:1");
        let workload =
            Workload { image, attachments: vec![attachment], since: Some(at(0)), ..Workload::new(id, name, runtime) };
        RecordedFact::Inventory(InventoryEvent::Workload(Arc::new(workload)))
    };
    let link = |name: &str, last: u8, ip: Option<Ipv4Addr>| {
        let addresses = ip.into_iter().map(Into::into).collect();
        RecordedFact::Link(LinkEvent {
            point: ObservationPoint::new(name),
            up: true,
            mac: Some(mac(last)),
            addresses,
            ..LinkEvent::default()
        })
    };
    let facts = vec![
        RecordedFact::Inventory(InventoryEvent::Connected { runtime }),
        RecordedFact::Inventory(InventoryEvent::Network(Arc::new(network()))),
        RecordedFact::Inventory(InventoryEvent::Reconciled { runtime, running: vec![] }),
        workload("app", 10),
        workload("proxy", 20),
        workload("relay", RELAY),
        link("br-net", 0xff, Some(GATEWAY)),
        link("eth0", 0xfe, Some(HOST)),
        link("veth66", 0xfc, None),
        RecordedFact::Nat(NatFact::Watched { netns: None }),
        // Whose socket of the host it is may still show: what the host sends waits for that.
        RecordedFact::Kernel(KernelFact::Namespace(Arc::new(NamespaceView {
            netns: NetnsId(1),
            host: true,
            workloads: vec![],
            interfaces: vec![],
            settings: None,
        }))),
    ];
    facts.into_iter().map(|fact| (at(0), fact)).collect()
}

fn config() -> EngineConfig {
    let proxy = Arc::new(endpoint("proxy", vec![]));
    let contracts = vec![contract("egress", Service::Egress, "app", DestinationSet::Internet, &proxy)];
    EngineConfig { contracts, ..for_tests() }
}

fn replay_of(capture: &Path, facts: &Path) -> Vec<Alert> {
    let kept = Arc::new(Mutex::new(Vec::new()));
    let options = ReplayOptions {
        captures: vec![capture.to_owned()],
        facts: vec![facts.to_owned()],
        warnings: vec![],
        engine: config(),
        shown_labels: ShownLabels::default(),
        meter: LIMITS,
        reloads: Reloads::Follow,
        verdict_log: None,
        filter: None,
        stop: None,
        observer: Some(Box::new(Keeps(Arc::clone(&kept)))),
    };
    replay::run(options, &Output::none(), &mut |_| {}).expect("a replay");
    kept.lock().expect("one thread").clone()
}

/// Keeps every alert.
#[derive(Debug)]
struct Keeps(Arc<Mutex<Vec<Alert>>>);

impl Observer for Keeps {
    fn alert(&mut self, alert: &Alert) {
        self.0.lock().expect("one thread").push(alert.clone());
    }
}

#[test]
fn a_replay_raises_what_the_run_raised_that_recorded_it() {
    let name = "--test shell live_equals_replay::a_replay_raises_what_the_run_raised_that_recorded_it";
    check(name, SEEDS, &histories(), |history| {
        let run = Run::of(&history);
        prop_assert_eq!(run.live(), run.replayed(history.late), "{:#?}", history);
        Ok(())
    });
}

/// Found in the laboratory: the relay's way out was open at the end, and its translation was reported after the last packet of either point.
#[test]
fn a_connection_that_is_open_at_the_end_is_joined_with_its_translation() {
    let talk = Talk { is_relayed: true, start: 1000, pause: 0, exchanges: 1, closes: false, bound_after: Some(6) };
    let history = History { talks: vec![talk], rest: 2000, gone: None, is_alone: false, late: [0, 0, 0] };
    let run = Run::of(&history);
    let (live, replayed) = (run.live(), run.replayed(history.late));
    let relay = live.iter().find(|alert| alert.rule == "undeclared-relay").expect("an alert about the relay");
    let orig = relay.flow.as_ref().map(|flow| flow.orig.endpoint.ip);
    assert_eq!(orig, Some(address(RELAY).into()), "the leg that the relay sent, not the one that the host translated");
    assert_eq!(live, replayed);
}

/// Found by a fresh seed: the bridge was alone in the file for longer than a replay waits for what was written late, and what the uplink saw meanwhile came after it.
#[test]
fn a_point_that_is_written_late_for_the_first_time_is_waited_for() {
    let relayed = Talk { is_relayed: true, start: 2714, pause: 32, exchanges: 1, closes: false, bound_after: None };
    let direct = Talk { is_relayed: false, start: 2835, pause: 0, exchanges: 1, closes: false, bound_after: Some(0) };
    let talks = vec![relayed, direct];
    let history = History { talks, rest: 0, gone: Some(0), is_alone: false, late: [0, 104, 0] };
    let run = Run::of(&history);
    assert_eq!(run.live(), run.replayed(history.late));
}
