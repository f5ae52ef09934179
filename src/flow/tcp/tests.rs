//! Every state and every letter, by the definitions of Zeek's documentation.
//!
//! A script is packets in words: `>` from the originator or `<` from the responder with flags as letters (S A F R), then
//! sequence number, acknowledgement number (both counted from the first ones) and payload length; `w` for a zero window.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "helpers of tests; a failure is a failed test")]

use proptest::prelude::*;

use super::*;
use crate::input::History;

const ISN: [u32; 2] = [1000, u32::MAX - 20];

/// One packet: from the responder, flags, sequence and acknowledgement number from the first ones, length, window.
#[derive(Clone, Copy, Debug)]
struct Packet(bool, u8, u32, u32, u32, u16);

impl Packet {
    fn header(self) -> TcpHeader {
        let Packet(from_resp, flags, seq, ack, _, window) = self;
        let (own, other) = (ISN[usize::from(from_resp)], ISN[usize::from(!from_resp)]);
        TcpHeader { flags, seq: own.wrapping_add(seq), ack: other.wrapping_add(ack), window }
    }
}

/// `>SA seq ack len` with an optional `w` for a zero window; numbers may be left out from the right.
fn parse(words: &str) -> Packet {
    let mut parts = words.split_whitespace();
    let head = parts.next().unwrap();
    let flags = head[1..].chars().fold(0, |flags, letter| {
        flags
            | match letter {
                'S' => tcp_flags::SYN,
                'A' => tcp_flags::ACK,
                'F' => tcp_flags::FIN,
                'R' => tcp_flags::RST,
                other => panic!("no flag {other}"),
            }
    });
    let rest: Vec<&str> = parts.collect();
    let window = if rest.contains(&"w") { 0 } else { 500 };
    let number = |place: usize| rest.get(place).filter(|word| **word != "w").map_or(0, |word| word.parse().unwrap());
    Packet(head.starts_with('<'), flags, number(0), number(1), number(2), window)
}

#[derive(Default)]
struct Bench {
    state: TcpState,
    history: TcpHistory,
}

impl Bench {
    fn take(&mut self, packet: Packet) {
        let header = packet.header();
        if !self.state.plain(packet.0, &header, packet.4) {
            self.state.packet(&mut self.history, packet.0, &header, packet.4);
        }
    }

    fn play(packets: &[Packet]) -> Self {
        let mut bench = Self::default();
        for packet in packets {
            bench.take(*packet);
        }
        bench
    }

    fn result(&self) -> (ConnState, String) {
        (self.state.conn_state(&self.history), self.history.letters().as_str().to_owned())
    }
}

/// Packets separated by commas.
fn run(script: &str) -> (ConnState, String) {
    Bench::play(&script.split(',').map(|words| parse(words.trim())).collect::<Vec<_>>()).result()
}

#[track_caller]
fn check(script: &str, state: ConnState, history: &str) {
    assert_eq!(run(script), (state, history.to_owned()), "{script}");
}

const OPEN: &str = ">S 0, <SA 0 1, >A 1 1";

#[track_caller]
fn opened(script: &str, state: ConnState, history: &str) {
    check(&format!("{OPEN}, {script}"), state, history);
}

#[test]
fn attempts() {
    check(">S 0", ConnState::S0, "S");
    check(">S 0, >S 0, >S 0", ConnState::S0, "S");
    check(">S 0, <RA 0 1", ConnState::REJ, "Sr");
    check(">S 0, >R 1", ConnState::RSTOS0, "SR");
    check(">S 0, >F 1", ConnState::SH, "SF");
    check(">S 0, <A 0 1", ConnState::S0, "Sa");
}

#[test]
fn an_early_acknowledgement_is_no_answer() {
    // An ACK without payload before the SYN-ACK leaves the responder as it was.
    check(">S 0, <A 0 1, <SA 0 1, >A 1 1", ConnState::S1, "SahA");
}

#[test]
fn answers_without_a_question() {
    check("<SA 0 1", ConnState::OTH, "^h");
    check("<SA 0 1, <R 1 1", ConnState::RSTRH, "^hr");
    check("<SA 0 1, <FA 1 1", ConnState::SHR, "^hf");
    check("<SA 0 1, >A 1 1", ConnState::S1, "^hA");
}

#[test]
fn established_connections() {
    opened(">A 1 1 10, <A 1 11 20, >A 11 21", ConnState::S1, "ShADd");
    opened(">FA 1 1", ConnState::S2, "ShAF");
    opened("<FA 1 1", ConnState::S3, "ShAf");
    opened(">FA 1 1, <FA 1 2, >A 2 2", ConnState::SF, "ShAFf");
    opened(">RA 1 1", ConnState::RSTO, "ShAR");
    opened("<RA 1 1", ConnState::RSTR, "ShAr");
}

#[test]
fn both_may_reset() {
    // Nothing was carried: a rejection. Something was: the responder's reset.
    opened(">RA 1 1, <RA 1 1", ConnState::REJ, "ShARr");
    opened(">A 1 1 10, >RA 11 1, <RA 1 1", ConnState::RSTR, "ShADRr");
}

#[test]
fn a_reset_for_what_came_late_is_a_normal_end() {
    opened(">FA 1 1, >R 2, <FA 1 2", ConnState::SF, "ShAFRf");
    opened(">FA 1 1, <FA 1 2, >R 2", ConnState::SF, "ShAFfR");
}

#[test]
fn midstream() {
    check(">A 1 1 10", ConnState::OTH, "D");
    check(">A 1 1 10, <A 1 11", ConnState::OTH, "Da");
    check(">R 1", ConnState::OTH, "R");
    check(">FA 1 1, <FA 1 2", ConnState::SF, "Ff");
    check(">A 1 1, >S 0", ConnState::S0, "AS");
}

#[test]
fn resent_payload() {
    opened(">A 1 1 10, >A 1 1 10", ConnState::S1, "ShADT");
    opened(">A 1 1 10, >A 1 1", ConnState::S1, "ShAD");
    // A keep-alive with one byte of garbage counts as resent.
    opened("<A 1 1 10, <A 10 1 1", ConnState::S1, "ShAdt");
}

#[test]
fn repeated_events_come_again_at_powers_of_ten() {
    let again = |count: usize| format!(">A 1 1 10{}", ", >A 1 1 10".repeat(count));
    opened(&again(9), ConnState::S1, "ShADT");
    opened(&again(10), ConnState::S1, "ShADTT");
    opened(&again(99), ConnState::S1, "ShADTT");
    opened(&again(100), ConnState::S1, "ShADTTT");
}

#[test]
fn zero_windows() {
    opened("<A 1 1 0 w", ConnState::S1, "ShAaw");
    opened("<A 1 1, <A 1 1 0 w, <A 1 1 0 w", ConnState::S1, "ShAaw");
    // Of no budget with a reset, or when the peer has said all.
    opened(">RA 1 1 0 w", ConnState::RSTO, "ShAR");
    opened(">FA 1 1, <A 1 2 0 w", ConnState::S2, "ShAFa");
}

#[test]
fn gaps() {
    opened("<A 1 1, >A 11 1 10, <A 1 21", ConnState::S1, "ShAaDG");
    // Out of order and complete before it is acknowledged: no gap.
    opened(">A 11 1 10, >A 1 1 10, <A 1 21", ConnState::S1, "ShADTa");
    // Two holes, one of them acknowledged.
    opened(">A 11 1 10, >A 31 1 10, <A 1 21", ConnState::S1, "ShADaG");
    // Acknowledged without a byte seen.
    opened("<A 1 500", ConnState::S1, "ShAaG");
    // In half-seen connections sequence numbers prove nothing.
    check(">A 1 1 10, <A 1 500", ConnState::OTH, "Da");
    // A FIN is acknowledged like a byte, and is no byte that is missing.
    opened(">FA 1 1, <A 1 2, <A 1 3", ConnState::S2, "ShAFa");
}

#[test]
fn repeated_flags_count_when_the_number_moved() {
    opened(">FA 1 1, >FA 1 1", ConnState::S2, "ShAF");
    opened(">FA 1 1, >FA 5 1", ConnState::S2, "ShAFF");
    opened("<R 1, <R 1, <R 9", ConnState::RSTR, "ShArr");
}

#[test]
fn impossible_flags() {
    check(">FR 0", ConnState::OTH, "I");
    check(">SF 0", ConnState::SH, "Q");
    check(">SR 0", ConnState::OTH, "Q");
    opened("<FRA 1 1", ConnState::RSTR, "ShAi");
    // Nothing at all says nothing.
    check("> 0", ConnState::OTH, "");
}

#[test]
fn numbers_wrap_around() {
    let mut script = OPEN.to_owned();
    for step in 0..100 {
        script += &format!(", <A {} 1 10, >A 1 {}", 1 + step * 10, 11 + step * 10);
    }
    check(&script, ConnState::S1, "ShAd");
}

#[test]
fn long_transfers_have_no_end() {
    let mut bench = Bench::play(&OPEN.split(',').map(|words| parse(words.trim())).collect::<Vec<_>>());
    let chunk = 1 << 20;
    let mut seq = 1_u32;
    for _ in 0..10_000 {
        bench.take(Packet(true, tcp_flags::ACK, seq, 1, chunk, 500));
        seq = seq.wrapping_add(chunk);
        bench.take(Packet(false, tcp_flags::ACK, 1, seq, 0, 500));
    }
    assert_eq!(bench.result(), (ConnState::S1, "ShAd".to_owned()));
    bench.take(Packet(false, tcp_flags::ACK, 1, seq.wrapping_add(9), 0, 500));
    assert_eq!(bench.result().1, "ShAdg", "a gap after 10 GB");
}

#[test]
fn another_syn_is_another_connection_only_with_another_number() {
    let bench = Bench::play(&OPEN.split(',').map(|words| parse(words.trim())).collect::<Vec<_>>());
    assert!(!bench.state.is_reuse(&parse(">S 0").header()));
    assert!(bench.state.is_reuse(&parse(">S 7").header()));
    assert!(!bench.state.is_reuse(&parse(">SA 7").header()));
}

fn packets(max: usize) -> impl Strategy<Value = Vec<Packet>> {
    let flags = prop_oneof![
        8 => Just(tcp_flags::ACK),
        2 => Just(tcp_flags::SYN),
        2 => Just(tcp_flags::SYN | tcp_flags::ACK),
        2 => Just(tcp_flags::FIN | tcp_flags::ACK),
        1 => Just(tcp_flags::RST),
        1 => any::<u8>(),
    ];
    let near = || prop_oneof![20 => 0_u32..40, 1 => any::<u32>()];
    let packet = (
        any::<bool>(),
        flags,
        near(),
        near(),
        prop_oneof![Just(0), 0_u32..30],
        prop_oneof![5 => Just(9), 1 => Just(0)],
    );
    prop::collection::vec(
        packet.prop_map(|(side, flags, seq, ack, len, window)| Packet(side, flags, seq, ack, len, window)),
        0..max,
    )
}

/// A connection that goes by the book: handshake, data both ways, an end of some kind.
fn proper() -> impl Strategy<Value = Vec<Packet>> {
    let data = prop::collection::vec((any::<bool>(), 1_u32..50), 0..20);
    (data, 0..5_u8).prop_map(|(data, end)| {
        let ack = tcp_flags::ACK;
        let mut sent = [1, 1];
        let mut packets = vec![parse(">S 0"), parse("<SA 0 1"), parse(">A 1 1")];
        for (side, len) in data {
            let [own, other] = [usize::from(side), usize::from(!side)];
            packets.push(Packet(side, ack, sent[own], sent[other], len, 9));
            sent[own] += len;
            packets.push(Packet(!side, ack, sent[other], sent[own], 0, 9));
        }
        let side = end % 2 == 1;
        let [own, other] = [usize::from(side), usize::from(!side)];
        match end {
            0 | 1 => {
                packets.push(Packet(side, ack | tcp_flags::FIN, sent[own], sent[other], 0, 9));
                packets.push(Packet(!side, ack | tcp_flags::FIN, sent[other], sent[own] + 1, 0, 9));
            }
            2 | 3 => packets.push(Packet(side, ack | tcp_flags::RST, sent[own], sent[other], 0, 9)),
            _ => {}
        }
        packets
    })
}

/// Letters that a flow keeps of its history.
const KEPT: usize = 24;

proptest! {
    #[test]
    fn any_packets_are_taken_and_the_history_is_bounded(packets in packets(200)) {
        let history = Bench::play(&packets).history.letters();
        prop_assert!(history.as_str().len() <= History::MAX);
        prop_assert!(history.as_str().bytes().all(|letter| b"SHADFRIQTWG^".contains(&letter.to_ascii_uppercase())));
    }

    #[test]
    fn the_short_path_changes_nothing(packets in packets(100)) {
        let short = Bench::play(&packets);
        let mut long = Bench::default();
        for packet in &packets {
            long.state.packet(&mut long.history, packet.0, &packet.header(), packet.4);
        }
        prop_assert_eq!(short.result(), long.result());
    }

    #[test]
    fn what_is_sent_again_changes_no_state(packets in proper()) {
        let once = Bench::play(&packets).result().0;
        let twice: Vec<Packet> = packets.iter().flat_map(|packet| [*packet, *packet]).collect();
        prop_assert_eq!(once, Bench::play(&twice).result().0);
    }

    #[test]
    fn midstream_the_other_direction_mirrors_the_letters(packets in packets(60)) {
        // Who is originator matters to the state machine for SYNs only.
        let packets: Vec<Packet> = packets.into_iter().filter(|packet| packet.1 & tcp_flags::SYN == 0).collect();
        let mut bench = Bench::default();
        let mut mirror = Bench::default();
        for packet in &packets {
            bench.take(*packet);
            let header = packet.header();
            mirror.state.packet(&mut mirror.history, !packet.0, &header, packet.4);
        }
        // One of them begins with the mark, which takes a place at the end.
        let letters = |history: History| history.as_str().chars().filter(|letter| *letter != '^').take(KEPT - 1).collect::<String>();
        prop_assert_eq!(letters(bench.history.letters()), letters(mirror.history.letters().reversed()));
        // The letter that tells two states apart may be beyond the bound of a history.
        if mirror.history.letters().as_str().len() < KEPT {
            let state = mirror.result().0.reversed(&mirror.history.letters());
            prop_assert_eq!(bench.result().0, state, "{:?}", bench.result().1);
        }
    }
}
