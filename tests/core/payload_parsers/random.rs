//! However a stream is cut, repeated and reordered, the facts are the same; random bytes break nothing.

use proptest::prelude::*;

use super::*;

/// Places where a stream of some length is cut.
fn pieces(stream: &[u8], cuts: &[usize]) -> Vec<(usize, Vec<u8>)> {
    let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut % stream.len()).chain([0, stream.len()]).collect();
    cuts.sort_unstable();
    cuts.windows(2).filter(|pair| pair[0] < pair[1]).map(|pair| (pair[0], stream[pair[0]..pair[1]].to_vec())).collect()
}

fn names() -> impl Strategy<Value = String> {
    proptest::collection::vec("[a-z0-9_-]{1,20}", 1..6).prop_map(|labels| labels.join("."))
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Split over records and segments, shuffled, some of them repeated.
    #[test]
    fn a_hello_survives_its_way(
        name in names(),
        ciphers in proptest::collection::vec(any::<u16>(), 1..60),
        key_share in 0..2_000_usize,
        record in 40..3_000_usize,
        (cuts, order, again) in (
            proptest::collection::vec(any::<usize>(), 0..6),
            any::<[u8; 7]>(),
            proptest::collection::vec(0..7_usize, 0..4),
        ),
    ) {
        let stream = records(&hello_with(&name, &["h2"], &ciphers, key_share), record);
        let mut segments = pieces(&stream, &cuts);
        let whole = {
            let mut talk = Talk::tcp(443);
            talk.says(0, &stream);
            talk.facts()
        };
        let repeated: Vec<_> = again.iter().filter_map(|place| segments.get(*place).cloned()).collect();
        segments.extend(repeated);
        let mut number = 0;
        segments.sort_by_cached_key(|_| { number += 1; order[number % order.len()] });
        let mut talk = Talk::tcp(443);
        for (at, bytes) in &segments {
            talk.says(*at, bytes);
        }
        let facts = talk.facts();
        prop_assert_eq!(&facts, &whole);
        let facts = facts.unwrap();
        let tls = facts.tls.as_ref().unwrap();
        prop_assert_eq!(tls.sni.as_deref(), Some(name.as_str()));
        prop_assert!(tls.ja4.is_some());
    }

    /// CRYPTO frames over several packets in any order.
    #[test]
    fn a_quic_hello_survives_its_way(
        name in names(),
        version in prop_oneof![Just(1_u32), Just(0x6b33_43cf)],
        cuts in proptest::collection::vec(any::<usize>(), 1..12),
        order in any::<[u8; 13]>(),
        a_packet in 1..5_usize,
        protocol in prop_oneof![Just("h3"), Just("doq")],
        port in prop_oneof![Just(443_u16), Just(853), Just(53)],
    ) {
        let message = hello(&name, &[protocol]);
        let mut frames = pieces(&message, &cuts);
        let mut number = 0;
        frames.sort_by_cached_key(|_| { number += 1; order[number % order.len()] });
        let mut talk = Talk::new(port);
        for frames in frames.chunks(a_packet) {
            let frames: Vec<_> = frames.iter().map(|(at, bytes)| (*at, bytes.as_slice())).collect();
            talk.sends(&initial(version, &frames));
            talk.gets(&initial(version, &[(0, &[2, 0, 0, 9])])[..60]);
        }
        let facts = talk.facts().unwrap();
        prop_assert_eq!(facts.quic.unwrap().version, version);
        let tls = facts.tls.as_ref().unwrap();
        prop_assert_eq!(&tls.alpn, &[protocol]);
        prop_assert_eq!(tls.sni.as_deref(), Some(name.as_str()));
        prop_assert!(tls.ja4.as_ref().unwrap().starts_with("q13d"));
    }

    /// What the snap length cut is told as far as it is certain.
    #[test]
    fn a_cut_hello_says_nothing_wrong(snap in 60..1_900_usize) {
        let stream = records(&hello("cut.example", &["h2", "h3"]), 16_000);
        let mut talk = Talk::tcp(443);
        talk.says_cut(0, &stream, Some(snap));
        let facts = talk.facts();
        let tls = facts.as_ref().and_then(|facts| facts.tls.as_ref());
        let all_captured = snap >= 54 + stream.len();
        prop_assert_eq!(tls.is_some_and(|tls| tls.ja4.is_some()), all_captured);
        if let Some(tls) = tls {
            prop_assert!(tls.sni.is_none() || tls.sni.as_deref() == Some("cut.example"));
            prop_assert!(tls.alpn.is_empty() || tls.alpn == ["h2", "h3"]);
        }
        prop_assert!(snap < 250 || tls.is_some_and(|tls| tls.sni.is_some()), "the name is near the front");
    }

    #[test]
    fn dns_names_are_what_was_asked(name in names(), kind in 1..300_u16) {
        let mut talk = Talk::new(53);
        talk.sends(&dns_query(&name, kind));
        talk.gets(&dns_answer(&dns_query(&name, kind), 0));
        let facts = talk.facts().unwrap();
        prop_assert_eq!(facts.dns.len(), 1);
        prop_assert_eq!(&facts.dns[0].query, &name);
        prop_assert_eq!(facts.dns[0].rcode.as_deref(), Some("NOERROR"));
    }

    /// Whatever comes, in whatever order: the meter lives and its counters add up.
    #[test]
    fn any_bytes_are_survived(
        port in prop_oneof![Just(53_u16), Just(443), Just(5353), Just(1080)],
        packets in proptest::collection::vec((any::<bool>(), any::<bool>(), 0..20_000_usize, payload()), 1..12),
    ) {
        let (mut tcp, mut udp) = (Talk::tcp(port), Talk::new(port));
        for (is_tcp, is_answer, at, payload) in &packets {
            match (is_tcp, is_answer) {
                (true, false) => tcp.says(*at, payload),
                (true, true) => tcp.answers(u32::try_from(*at).unwrap(), payload),
                (false, false) => udp.sends(payload),
                (false, true) => udp.gets(payload),
            }
        }
        tcp.facts();
        if packets.iter().any(|(is_tcp, ..)| !is_tcp) {
            udp.facts();
        }
    }
}

/// Random bytes, or a message of a protocol with some bytes changed.
fn payload() -> impl Strategy<Value = Vec<u8>> {
    let message = prop_oneof![
        Just(records(&hello("www.example.com", &["h2"]), 300)),
        Just(initial(1, &[(0, &hello("www.example.com", &["h3"]))])),
        Just(dns_query("www.example.com", 1)),
        Just(b"CONNECT a:1 HTTP/1.1\r\nHost: b\r\n\r\n".to_vec()),
        Just(vec![5, 1, 0, 5, 1, 0, 3, 1, b'x', 0, 80]),
        proptest::sample::select(openvpn::messages().map(|(.., message)| message).collect::<Vec<_>>()),
        Just(b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c123456789012".to_vec()),
    ];
    let changed =
        (message, proptest::collection::vec((any::<usize>(), any::<u8>()), 0..6)).prop_map(|(mut bytes, changes)| {
            for (place, byte) in changes {
                let place = place % bytes.len();
                bytes[place] = byte;
            }
            bytes
        });
    prop_oneof![proptest::collection::vec(any::<u8>(), 0..300), changed]
}
