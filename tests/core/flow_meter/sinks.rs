//! What a sink admits, and what it hears of packets.

use hopwatch::flow::{BEGINNING, FlowSink, FlowView, Frame};

use super::*;
use crate::support::payloads::dns_query;

/// Admits nothing, or all; and says which packets begin their flow.
#[derive(Default)]
struct Taker {
    admits: bool,
    events: u32,
    packets: usize,
    telling: Vec<usize>,
}

impl FlowSink for Taker {
    fn flow(&mut self, _: Timestamp, _: FlowEventKind, _: FlowView<'_>) {
        self.events += 1;
    }

    fn admits(&mut self, _: Timestamp, _: FlowEventKind, _: FlowView<'_>) -> bool {
        self.admits
    }

    fn packet(&mut self) {
        self.packets += 1;
    }

    fn telling(&mut self) {
        self.telling.push(self.packets - 1);
    }
}

/// Packets that come together.
fn take(out: &mut Taker, packets: &[Vec<u8>]) {
    let frames: Vec<_> = packets
        .iter()
        .map(|data| Frame { at: at(1.0), wire_len: u32::try_from(data.len()).expect("small"), data })
        .collect();
    Meter::new(ObservationPoint::new("docker0"), LinkType::RAW, LIMITS).packets(&frames, out);
}

#[test]
fn a_sink_that_admits_nothing_gets_nothing() {
    let packets = [tcp(APP, WEB, "S", 0), tcp(WEB, APP, "SA", 0), tcp(APP, WEB, "A", 5)];
    for admits in [false, true] {
        let mut taker = Taker { admits, ..Taker::default() };
        take(&mut taker, &packets);
        assert_eq!(taker.events > 0, admits, "{} events", taker.events);
    }
}

#[test]
fn the_first_packets_of_both_directions_begin_a_flow_and_a_new_connection_begins_anew() {
    let mut packets = vec![tcp(APP, WEB, "S", 0), b"no packet".to_vec()];
    let more = (1..BEGINNING + 5).map(|n| if n % 2 == 0 { tcp(APP, WEB, "A", 0) } else { tcp(WEB, APP, "A", 0) });
    packets.extend(more);
    let last = packets.len();
    packets.extend([tcp(APP, WEB, "R", 0), tcp(APP, WEB, "S", 0), udp(APP, WEB)]);
    let mut taker = Taker::default();
    take(&mut taker, &packets);
    let first = std::iter::once(0).chain(2..=BEGINNING as usize);
    assert_eq!(taker.telling, first.chain([last + 1, last + 2]).collect::<Vec<_>>());
    assert_eq!(taker.packets, packets.len(), "each is counted, also what belongs to no flow");
}

#[test]
fn a_packet_whose_payload_is_read_tells_something_however_late_it_comes() {
    let question = |n: u32| udp_with(APP, (2, 53), &dns_query(&format!("n{n}.example"), 16));
    let asked: Vec<_> = (0..3 * BEGINNING).map(question).collect();
    let mut taker = Taker::default();
    take(&mut taker, &asked);
    assert_eq!(taker.telling, (0..asked.len()).collect::<Vec<_>>());
    let mut taker = Taker::default();
    take(&mut taker, &(0..3 * BEGINNING).map(|_| udp(APP, WEB)).collect::<Vec<_>>());
    assert_eq!(taker.telling.len(), BEGINNING as usize, "nothing reads these");
}
