//! libpcap's language, and what is said where it is not.

use pcap::{Capture, Linktype};

use super::*;

fn refusal(expression: &str) -> String {
    match FrameFilter::new(expression) {
        Ok(_) => panic!("{expression} is a filter"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn a_wrong_expression_is_refused_with_libpcaps_words_and_its_place() {
    for (expression, understood, rest) in [
        ("tcp and prot 80", "up to \"tcp\"", "look at \"and prot 80\""),
        ("tcp and (port 80 orr port 443) and udp", "up to \"tcp and (port 80\"", "look at \"orr port 443) and udp\""),
        ("prt 80", "its beginning", "\"prt 80\""),
        ("tcp port 80 )", "up to \"tcp port 80\"", "look at \")\""),
    ] {
        let text = refusal(expression);
        assert!(text.starts_with("libpcap says: ") && text.contains("syntax error"), "{text}");
        assert!(text.contains(understood) && text.contains(rest), "{text}");
    }
    for (expression, says) in [
        ("tcp port nowhere-to-be-found", "nowhere-to-be-found"),
        ("host 300.1.2.3.4", "300.1.2.3.4"),
        ("tcp and udp and ip6 and arp", "rejects all packets"),
        (" ", "1 to 16384 bytes"),
        ("tcp\0", "libpcap says"),
    ] {
        assert!(refusal(expression).contains(says), "{}", refusal(expression));
    }
    assert!(refusal(&"tcp or ".repeat(3000)).contains("and this one 20999"), "a bound, and no compiler");
}

#[test]
fn each_link_type_has_its_program() {
    let filter = FrameFilter::new("tcp port 80").expect("a filter");
    let lengths = [LinkType::ETHERNET, LinkType::RAW, LinkType::NULL, LinkType(113), LinkType(276)]
        .map(|link| filter.program(link).expect("a program").len());
    assert!(lengths.iter().all(|length| *length > 5), "{lengths:?}");
    assert!(
        filter.ready(LinkType(276)).expect("no error").is_none(),
        "nothing is compiled later where a sandbox may be"
    );
    let ether = FrameFilter::new("ether host 02:00:00:00:00:01").expect("a filter");
    let error = ether.program(LinkType::RAW).expect_err("no addresses there").to_string();
    assert!(error.contains("link type 101") && error.contains("ether host 02:00:00:00:00:01"), "{error}");
    assert!(FrameFilter::new("vlan 7 and tcp").expect("a filter").asks_for_tags());
    assert!(!FrameFilter::new("tcp port 80").expect("a filter").asks_for_tags());
}

/// Programs that libpcap compiled, run by libpcap and here.
#[test]
fn frames_are_judged_as_libpcap_judges_them() {
    let ip = b"\x45\x00\x00\x3c\x00\x01\x40\x00\x40\x11\x00\x00\xc0\x00\x02\x01\xc0\x00\x02\x02";
    let udp = [
        &b"\x02\x00\x00\x00\x00\x01\x02\x00\x00\x00\x00\x02\x08\x00"[..],
        ip,
        b"\x9c\x40\x00\x35\x00\x28\x00\x00",
        &[7; 32],
    ]
    .concat();
    let ipv6 = [
        &b"\x02\x00\x00\x00\x00\x01\x02\x00\x00\x00\x00\x02\x86\xdd\x60\x00\x00\x00\x00\x04\x3a\x40"[..],
        &[0x20; 32],
        &[128, 0, 0, 0],
    ]
    .concat();
    let expressions = [
        "udp",
        "udp port 53",
        "src port 53",
        "host 192.0.2.1",
        "net 192.0.2.0/24 and not dst host 192.0.2.9",
        "ip6",
        "icmp6",
        "greater 60",
        "less 60",
        "ether src 02:00:00:00:00:02",
        "udp[8] = 7",
        "udp[(ip[0] & 15) - 5 + 8:2] >> 8 = 7",
        "ip[8] * 2 - 1 = 127",
        "ip[2:2] - 20 > udp[4:2] / 2",
        "ip[9] % 4 = 1",
        "ip proto 17 and (udp[0:2] ^ 3 != 5)",
        "portrange 50-60",
        "ip broadcast or multicast",
        "not (ip or ip6)",
        "mpls",
        "len <= 100",
    ];
    for expression in expressions {
        let program = FrameFilter::new(expression).expect(expression).program(LinkType::ETHERNET).expect("a program");
        let dead = Capture::dead(Linktype(1)).expect("a handle");
        let libpcaps = dead.compile(expression, true).expect(expression);
        for whole in [&udp, &ipv6] {
            for end in 1..=whole.len() {
                let frame = &whole[..end];
                let kept = run(&program, u32::try_from(end).expect("small"), frame) > 0;
                assert_eq!(kept, libpcaps.filter(frame), "{expression}, {end} bytes");
            }
        }
    }
}
