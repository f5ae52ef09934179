//! Capture itself, in network namespaces: many interfaces, interfaces that appear, what is lost, what is kept of a packet.
//! Nothing here depends on how fast the machine is: what is asserted are counts.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::time::Duration;

use crate::support::netns::{Namespace, Sniffer, unavailable};
use crate::support::patience::{PATIENCE, wait_until};
use crate::support::sender::{Sender, frame};
use hopwatch::flow::MeterLimits;
use hopwatch::input::{Fact, LossReason, ObservationPoint, RecordedFact};
use hopwatch::observe::filter::FrameFilter;
use hopwatch::observe::live::{
    CapturePool, HEADER_BYTES, MIN_RING, Snap, Tap, TapBatch, TapError, TapOptions, TapSink,
};
use hopwatch::time::Timestamp;

const LIMITS: MeterLimits = MeterLimits {
    max_flows: 10_000,
    idle_timeout: Duration::from_mins(1),
    active_timeout: Duration::from_mins(30),
    update_interval: Duration::from_secs(10),
};

fn namespace(name: &str) -> Option<Namespace> {
    if let Some(why) = unavailable() {
        println!("skipped: {name}: {why}");
        return None;
    }
    Some(Namespace::with_bridge("br-test"))
}

/// Hands everything to the test, or nothing while it is shut.
struct Channel {
    events: mpsc::Sender<Event>,
    shut: Arc<AtomicBool>,
}

enum Event {
    Batch(TapBatch),
    Packet(u32, Vec<u8>),
    Ended(TapBatch),
}

impl TapSink for Channel {
    fn batch(&mut self, batch: TapBatch) -> Result<(), Box<TapBatch>> {
        if self.shut.load(Ordering::Relaxed) {
            return Err(Box::new(batch));
        }
        let _ = self.events.send(Event::Batch(batch));
        Ok(())
    }

    fn packet(&mut self, _: Timestamp, wire_len: u32, data: &[u8]) {
        let _ = self.events.send(Event::Packet(wire_len, data.to_vec()));
    }

    fn ended(&mut self, last: TapBatch, _: Option<String>) {
        let _ = self.events.send(Event::Ended(last));
    }
}

/// A tap on the namespace's bridge with a pool of its own.
struct Running {
    pool: CapturePool<Channel>,
    events: mpsc::Receiver<Event>,
    stop: Arc<AtomicBool>,
    shut: Arc<AtomicBool>,
}

#[derive(Default)]
struct Seen {
    packets: Vec<(u32, Vec<u8>)>,
    counted: u64,
    dropped: Vec<(LossReason, u64)>,
    /// As facts.
    lost: Vec<(LossReason, u64)>,
}

impl Running {
    fn start(namespace: &Namespace, snap: Snap, ring_bytes: u32, own: Vec<SocketAddr>) -> Self {
        Self::with(namespace, &TapOptions { snap, ring_bytes, meter: LIMITS, own, filter: None })
    }

    fn with(namespace: &Namespace, options: &TapOptions) -> Self {
        let tap = namespace.inside(|| Tap::open(ObservationPoint::new("br-test"), options)).expect("a tap");
        let (sender, events) = mpsc::channel();
        let (stop, shut) = (Arc::<AtomicBool>::default(), Arc::<AtomicBool>::default());
        let mut pool = CapturePool::new(1, Arc::clone(&stop));
        pool.add(tap, Channel { events: sender, shut: Arc::clone(&shut) }).expect("a thread");
        Self { pool, events, stop, shut }
    }

    fn end(self) -> Seen {
        self.stop.store(true, Ordering::Relaxed);
        let mut seen = Seen::default();
        loop {
            let (batch, last) = match self.events.recv_timeout(PATIENCE).expect("the tap ends") {
                Event::Packet(wire, kept) => {
                    seen.packets.push((wire, kept));
                    continue;
                }
                Event::Batch(batch) => (batch, false),
                Event::Ended(batch) => (batch, true),
            };
            let losses = batch.inputs.iter().filter_map(|input| match &input.fact {
                Fact::Recorded(RecordedFact::Loss(loss)) => Some((loss.reason, loss.count)),
                _ => None,
            });
            seen.lost.extend(losses);
            if last {
                (seen.counted, seen.dropped) = (batch.stats.packets, batch.dropped);
                self.pool.join();
                return seen;
            }
        }
    }
}

fn total(of: &[(LossReason, u64)], reason: LossReason) -> u64 {
    of.iter().filter(|(known, _)| *known == reason).map(|(_, count)| count).sum()
}

fn send(namespace: &Namespace, frames: &[Vec<u8>], count: u64, rate: Option<f64>) -> u64 {
    namespace.inside_peer(|| Sender::open("eth0").expect("a sender").send(frames, count, rate, PATIENCE))
}

#[test]
fn an_interface_that_is_not_there_any_more_is_gone_and_not_refused() {
    let Some(namespace) = namespace("an_interface_that_is_not_there_any_more_is_gone_and_not_refused") else { return };
    let options =
        TapOptions { snap: Snap::Flat(96), ring_bytes: MIN_RING, meter: LIMITS, own: Vec::new(), filter: None };
    let opened = namespace.inside(|| Tap::open(ObservationPoint::new("veth-gone"), &options)).map(drop);
    assert!(matches!(opened, Err(TapError::Gone { .. })), "{opened:?}");
}

#[test]
fn at_a_moderate_rate_nothing_is_lost() {
    let Some(namespace) = namespace("at_a_moderate_rate_nothing_is_lost") else { return };
    let running = Running::start(&namespace, Snap::Adaptive(4096), 16 << 20, Vec::new());
    let frames: Vec<_> = (0..1000).map(|flow| frame(flow, 200)).collect();
    let sent = send(&namespace, &frames, 40_000, Some(20_000.0));
    let seen = running.end();
    assert_eq!(sent, 40_000);
    assert_eq!(seen.packets.iter().filter(|(wire, _)| *wire == 200).count(), 40_000);
    assert_eq!(seen.counted, seen.packets.len() as u64);
    assert!(LossReason::ALL.iter().all(|reason| total(&seen.dropped, *reason) == 0), "{:?}", seen.dropped);
}

#[test]
fn what_a_filter_hides_is_counted_to_the_last_frame_and_told_as_loss() {
    let Some(namespace) = namespace("what_a_filter_hides_is_counted_to_the_last_frame_and_told_as_loss") else {
        return;
    };
    let start = |expression: &str| {
        let filter = Some(FrameFilter::new(expression).expect(expression));
        Running::with(
            &namespace,
            &TapOptions { snap: Snap::Adaptive(4096), ring_bytes: 16 << 20, meter: LIMITS, own: Vec::new(), filter },
        )
    };
    // Ports 1024 and 1025 by turns; short frames have nothing where the second filter looks.
    let frames = [frame(0, 200), frame(1, 200), frame(1, 60)];
    for (expression, kept) in [("udp src port 1024", 2000), ("udp[100] = 0 and src port 1025", 2000), ("ip", 6000)] {
        let running = start(expression);
        assert_eq!(send(&namespace, &frames, 6000, Some(20_000.0)), 6000);
        let seen = running.end();
        let ours = seen.packets.iter().filter(|(wire, kept)| matches!(wire, 60 | 200) && kept.len() > 41);
        assert_eq!(ours.count(), kept, "{expression}");
        assert_eq!(seen.counted, seen.packets.len() as u64, "what is hidden is not among the packets");
        let hidden = total(&seen.dropped, LossReason::Filter);
        let expected = 6000 - kept as u64;
        // Others, such as router solicitations, may be hidden, too.
        assert!((expected..expected + 50).contains(&hidden), "{expression}: {hidden} hidden");
        assert_eq!(total(&seen.lost, LossReason::Filter), hidden, "all of it became facts");
    }
}

#[test]
fn what_the_ring_cannot_hold_is_counted_and_told() {
    let Some(namespace) = namespace("what_the_ring_cannot_hold_is_counted_and_told") else { return };
    let running = Running::start(&namespace, Snap::Flat(65_535), MIN_RING, Vec::new());
    // 30 MB at once, and half a MiB to hold them while the reader pauses.
    let sent = send(&namespace, &[frame(1, 1514)], 20_000, None);
    let seen = running.end();
    let lost = total(&seen.dropped, LossReason::Kernel);
    let read = seen.packets.iter().filter(|(wire, _)| *wire == 1514).count() as u64;
    assert!(lost > 0, "{sent} sent, {read} read");
    // Others, such as router solicitations, may be among the lost.
    assert!((sent..sent + 50).contains(&(read + lost)), "{sent} sent, {read} read, {lost} lost");
    assert_eq!(total(&seen.lost, LossReason::Kernel), lost, "all of it became facts");
}

#[test]
fn events_that_find_no_room_are_counted_and_told_when_there_is_room() {
    let Some(namespace) = namespace("events_that_find_no_room_are_counted_and_told_when_there_is_room") else { return };
    let running = Running::start(&namespace, Snap::Flat(256), 16 << 20, Vec::new());
    running.shut.store(true, Ordering::Relaxed);
    let frames: Vec<_> = (0..500).map(|flow| frame(flow, 100)).collect();
    send(&namespace, &frames, 500, Some(5_000.0));
    // All have been read when the last of them was shown.
    let mut shown = 0;
    while shown < 500 {
        if let Event::Packet(100, _) = running.events.recv_timeout(PATIENCE).expect("packets") {
            shown += 1;
        }
    }
    let seen = running.end();
    let queue = total(&seen.dropped, LossReason::Queue);
    assert!(queue >= 400, "500 flows started while nobody took events: {queue}");
    assert_eq!(total(&seen.lost, LossReason::Queue), queue, "the last batch, which is never refused, tells it");
    assert!(seen.counted >= 500);
}

#[test]
fn the_kernel_keeps_of_each_packet_what_the_program_says() {
    let Some(namespace) = namespace("the_kernel_keeps_of_each_packet_what_the_program_says") else { return };
    let running = Running::start(&namespace, Snap::Adaptive(4096), 4 << 20, Vec::new());
    let mut dns = frame(1, 700);
    dns[36..38].copy_from_slice(&53_u16.to_be_bytes());
    let frames = [frame(1, 1300), dns, frame(2, 120)];
    send(&namespace, &frames, 30, Some(1_000.0));
    let seen = running.end();
    for (wire, kept) in [(1300, HEADER_BYTES as usize), (700, 700), (120, 120)] {
        let of: Vec<_> = seen.packets.iter().filter(|packet| packet.0 == wire).map(|packet| packet.1.len()).collect();
        assert_eq!(of, vec![kept; 10], "{wire}");
    }
}

#[test]
fn own_traffic_is_not_captured() {
    let Some(namespace) = namespace("own_traffic_is_not_captured") else { return };
    let own = "10.9.0.1:9921".parse().expect("an address");
    let running = Running::start(&namespace, Snap::Flat(256), 4 << 20, vec![own]);
    for port in [9921, 9922] {
        namespace.run_background(&format!("busybox nc -ll -p {port} -e true"));
        namespace.run_peer(&format!(
            "for i in 1 2 3 4 5 6 7 8 9 10; do echo hello | busybox nc -w 1 10.9.0.1 {port} && exit 0; sleep 0.1; done; exit 1"
        ));
    }
    let seen = running.end();
    let with = |port: u16| {
        let is_tcp = |data: &[u8]| data.get(12..14) == Some(&[8, 0]) && data.get(23) == Some(&6);
        let has = |data: &[u8]| [34, 36].iter().any(|at| data.get(*at..at + 2) == Some(&port.to_be_bytes()));
        seen.packets.iter().filter(|(_, data)| is_tcp(data) && has(data)).count()
    };
    assert!(with(9922) >= 6, "a whole connection to another port");
    assert_eq!(with(9921), 0);
}

#[test]
fn two_hundred_and_fifty_interfaces_at_once() {
    let Some(namespace) = namespace("two_hundred_and_fifty_interfaces_at_once") else { return };
    // A frame sent on the second bridge goes out at each of its ports, and comes in at the other end of each.
    let mut batch = "link add flood type bridge\nlink set flood up\n".to_owned();
    for number in 0..250 {
        batch += &format!(
            "link add hv{number} type veth peer name hp{number}\nlink set hv{number} up\nlink set hp{number} master flood up\n"
        );
    }
    namespace.run("echo 1 > /proc/sys/net/ipv6/conf/default/disable_ipv6");
    namespace.run(&format!("printf '{}' | ip -batch -", batch.replace('\n', "\\n")));
    let config = "capture: {threads: 2, ring_budget_mib: 128}\n";
    let sniffer = Sniffer::start(&namespace, config, &["-i", "hv*"]);
    let count = || sum(&sniffer.get("/metrics"));
    let sender = namespace.inside(|| Sender::open("flood").expect("a sender"));
    // A frame at a time: its 250 copies wait in a queue of the kernel's that holds a thousand, and drops before any capture.
    // Until each interface has had some, on the average; then none of them may have had next to none.
    for _ in 0..1000 {
        sender.send(&[frame(1, 100)], 1, None, PATIENCE);
        std::thread::sleep(Duration::from_millis(20));
        if count() >= 250 * 60 {
            break;
        }
    }
    let (lines, _) = sniffer.end();
    let points = lines.last().expect("a summary")["points"].as_array().expect("points").clone();
    let veths: Vec<_> = points
        .iter()
        .filter(|point| point["observation_point"].as_str().is_some_and(|name| name.starts_with("hv")))
        .collect();
    assert_eq!(veths.len(), 250);
    for point in veths {
        assert!(point["packets"].as_u64().expect("a number") >= 30, "{point}");
        assert_eq!(point["dropped"]["kernel"], 0, "{point}");
    }
}

#[test]
fn an_interface_that_appears_is_captured_soon() {
    let Some(namespace) = namespace("an_interface_that_appears_is_captured_soon") else { return };
    let sniffer = Sniffer::start(&namespace, "", &["-i", "hv*"]);
    sniffer.wait_until("/metrics", "the bridge is captured", |page| page.contains("observation_point=\"br-test\""));
    // Each appears when the one before was found. If hopwatch asked every two seconds instead of being notified, it would miss most of a second
    // of each; a busy machine may delay some of the five, not all.
    let mut sent = Vec::new();
    for number in 0..5 {
        namespace.run(&format!("ip link add hv{number} type veth peer name hp{number}"));
        namespace.run(&format!("ip link set hp{number} up && ip link set hv{number} up"));
        let sender = namespace.inside(|| Sender::open(&format!("hp{number}")).expect("a sender"));
        let mut count = 0;
        wait_until("it is captured", || {
            count += sender.send(&[frame(1, 100)], 10, Some(100.0), PATIENCE);
            sniffer.get("/metrics").contains(&format!("observation_point=\"hv{number}\""))
        });
        sent.push(count);
    }
    let (lines, _) = sniffer.end();
    let points = lines.last().expect("a summary")["points"].as_array().expect("points").clone();
    let missed = |(number, sent): (usize, &u64)| {
        let name = format!("hv{number}");
        let point = points.iter().find(|point| point["observation_point"] == name.as_str()).expect("it was captured");
        sent - point["flow_packets"].as_u64().expect("a number").min(*sent)
    };
    let missed: Vec<u64> = sent.iter().enumerate().map(missed).collect();
    println!("packets missed, one each 10 ms: {missed:?}");
    assert!(missed.iter().min().is_some_and(|least| *least <= 50), "{missed:?}");
}

fn sum(page: &str) -> u64 {
    let lines = page.lines().filter(|line| line.starts_with("hopwatch_packets_total{"));
    lines.filter_map(|line| line.rsplit(' ').next()?.parse::<u64>().ok()).sum()
}
