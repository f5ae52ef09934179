//! What a sink admits, and what it hears of packets.

use hopwatch::flow::{BEGINNING, FlowSink, FlowView, Frame};

use super::*;

/// Admits nothing, or all; and says which packets begin their flow.
#[derive(Default)]
struct Taker {
    admits: bool,
    events: u32,
    packets: usize,
    beginnings: Vec<usize>,
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

    fn beginning(&mut self) {
        self.beginnings.push(self.packets - 1);
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
    let more = (1..BEGINNING + 5).map(|n| if n % 2 == 0 { tcp(APP, WEB, "A", 5) } else { tcp(WEB, APP, "A", 5) });
    packets.extend(more);
    let last = packets.len();
    packets.extend([tcp(APP, WEB, "R", 0), tcp(APP, WEB, "S", 0), udp(APP, WEB)]);
    let mut taker = Taker::default();
    take(&mut taker, &packets);
    let first = std::iter::once(0).chain(2..=BEGINNING as usize);
    assert_eq!(taker.beginnings, first.chain([last + 1, last + 2]).collect::<Vec<_>>());
    assert_eq!(taker.packets, packets.len(), "each is counted, also what belongs to no flow");
}
