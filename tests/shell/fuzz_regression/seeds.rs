//! Small inputs from which the fuzzer starts: one of each kind that a target tells apart.

use etherparse::{PacketBuilder, VlanId};

use crate::support::capture::Order;

/// A seed: target, file name, content.
pub type Seed = (&'static str, String, Vec<u8>);

/// All of them.
pub fn all() -> Vec<Seed> {
    let mut seeds = Vec::new();
    for (order, name) in [(Order(true), "big-endian"), (Order(false), "little-endian")] {
        let records: [(u32, u32, u32, &[u8]); 3] = [(1, 7, 60, b"first"), (2, 0, 0, b""), (1, 9, 1500, b"earlier")];
        for (magic, unit) in [(0xa1b2_c3d4, "micro"), (0xa1b2_3c4d, "nano")] {
            seeds.push(("pcap_reader", format!("{unit}-{name}"), order.pcap(magic, 1, &records)));
        }
        seeds.push(("pcapng_reader", format!("blocks-{name}"), pcapng(order)));
        seeds.push(("pcapng_reader", format!("sections-{name}"), [pcapng(order), pcapng(Order(!order.0))].concat()));
    }
    // The first byte chooses the link type, Ethernet is the second of the list; then a length and a step of time a frame.
    for (name, frame) in frames() {
        let len = u8::try_from(frame.len()).expect("a short frame");
        let twice = [&[len, 65][..], &frame, &[len, 200], &frame].concat();
        seeds.push(("decode", name.to_owned(), [&[1][..], &twice].concat()));
    }
    seeds.extend(conntrack().into_iter().map(|(name, bytes)| ("conntrack", name.to_owned(), bytes)));
    seeds.extend(claims().into_iter().map(|(name, frame)| ("claims", name.to_owned(), frame)));
    seeds
}

/// ARP, tagged and not, and neighbour discovery with and without a header between.
fn claims() -> [(&'static str, Vec<u8>); 4] {
    let arp = [&[0, 1, 8, 0, 6, 4, 0, 2, 2, 0, 0, 0, 0, 9, 10, 0, 0, 9][..], &[4; 6], &[10, 0, 0, 1]].concat();
    let frame = |kind: &[u8], body: &[u8]| [&[2; 6][..], &[4; 6], kind, body].concat();
    let ip = |len, next| [&[0x60, 0, 0, 0, 0, len, next, 255][..], &[1; 16], &[2; 16]].concat();
    let message = |kind, option| [&[kind, 0, 0, 0, 0, 0, 0, 0][..], &[2; 16], &[option, 1, 2, 0, 0, 0, 0, 9]].concat();
    [
        ("arp", frame(&[8, 6], &arp)),
        ("arp-tagged", frame(&[0x81, 0, 0, 7, 8, 6], &arp)),
        ("solicitation", frame(&[0x86, 0xdd], &[ip(32, 58), message(135, 1)].concat())),
        ("advertisement", frame(&[0x86, 0xdd], &[ip(40, 0), vec![58, 0, 1, 4, 0, 0, 0, 0], message(136, 2)].concat())),
    ]
}

/// Messages of connection tracking: masqueraded, an echo over IPv6 in a zone, its end, and the end of a dump.
fn conntrack() -> [(&'static str, Vec<u8>); 3] {
    let padded = |mut bytes: Vec<u8>| {
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes
    };
    let attribute = |kind: u16, value: &[u8]| {
        let len = u16::try_from(4 + value.len()).expect("short");
        padded([&len.to_ne_bytes()[..], &kind.to_ne_bytes(), value].concat())
    };
    let message = |kind: u16, body: &[u8]| {
        let len = u32::try_from(16 + body.len()).expect("short");
        padded([&len.to_ne_bytes()[..], &kind.to_ne_bytes(), &[0; 10], body].concat())
    };
    let tuple = |kind: u16, ip: [(u16, &[u8]); 2], proto: [(u16, &[u8]); 4]| {
        let ip = ip.map(|(kind, value)| attribute(kind, value)).concat();
        let proto = proto.map(|(kind, value)| attribute(kind, value)).concat();
        attribute(0x8000 | kind, &[attribute(0x8001, &ip), attribute(0x8002, &proto)].concat())
    };
    let (client, server, outer) = ([10, 77, 0, 2], [203, 0, 113, 9], [203, 0, 113, 1]);
    let tcp = [
        vec![2, 0, 0, 0],
        tuple(1, [(1, &client), (2, &server)], [(1, &[6]), (2, &[0x9c, 0x40]), (3, &[0, 80]), (99, &[])]),
        tuple(2, [(1, &server), (2, &outer)], [(1, &[6]), (2, &[0, 80]), (3, &[0x9c, 0x41]), (99, &[])]),
        attribute(3, &[0, 0, 1, 0x9e]),
    ];
    let echo = [
        vec![10, 0, 0, 0],
        tuple(1, [(3, &[1; 16]), (4, &[2; 16])], [(1, &[58]), (7, &[0, 7]), (8, &[128]), (9, &[0])]),
        tuple(2, [(3, &[2; 16]), (4, &[3; 16])], [(1, &[58]), (7, &[0, 7]), (8, &[129]), (9, &[0])]),
        attribute(18, &[0, 5]),
    ];
    let (tcp, echo) = (tcp.concat(), echo.concat());
    [
        ("new", message(0x0100, &tcp)),
        ("echo-and-end", [message(0x0100, &echo), message(0x0102, &echo)].concat()),
        ("dump", [message(0x0100, &tcp), message(3, &[0; 4])].concat()),
    ]
}

/// One of each block, interfaces with and without options.
fn pcapng(order: Order) -> Vec<u8> {
    let options = [order.option(2, b"eth0"), order.option(9, &[9]), order.option(14, &[0; 8]), order.option(0, &[])];
    let old = [&order.u16(0)[..], &order.u16(7), &[0, 3, 3].map(|field| order.u32(field)).concat(), &order.u32(3)];
    [
        order.section(),
        order.interface(1, 64, &options),
        order.interface(101, 0, &[]),
        order.enhanced(0, 2_000_000, 100, b"first"),
        order.enhanced(1, 5, 10, b"second"),
        order.block(0x0bad, &[b"unknown"]),
        order.block(3, &[&order.u32(6), b"simple"]),
        order.block(2, &[&old.concat(), b"old"]),
        order.enhanced(9, 0, 1, b"nowhere"),
    ]
    .concat()
}

fn frames() -> Vec<(&'static str, Vec<u8>)> {
    let ethernet = || PacketBuilder::ethernet2([2; 6], [4; 6]);
    let (src, dst) = ([192, 0, 2, 1], [192, 0, 2, 2]);
    let vlan = VlanId::try_new(7).expect("a VLAN");
    let mut all = Vec::new();
    let mut add = |name, write: &dyn Fn(&mut Vec<u8>)| {
        let mut frame = Vec::new();
        write(&mut frame);
        all.push((name, frame));
    };
    add("tcp4", &|out| ethernet().ipv4(src, dst, 64).tcp(40_000, 443, 1, 9).syn().write(out, &[]).expect("a frame"));
    add("udp4", &|out| ethernet().ipv4(src, dst, 64).udp(40_000, 53).write(out, b"text").expect("a frame"));
    add("tcp6", &|out| {
        ethernet().ipv6([1; 16], [2; 16], 64).tcp(40_000, 443, 1, 9).ack(1).write(out, b"text").expect("a frame");
    });
    add("vlan", &|out| {
        ethernet().single_vlan(vlan).ipv4(src, dst, 64).udp(1, 2).write(out, b"text").expect("a frame");
    });
    add("icmp4", &|out| ethernet().ipv4(src, dst, 64).icmpv4_echo_request(1, 2).write(out, b"ping").expect("a frame"));
    add("icmp6", &|out| {
        ethernet().ipv6([1; 16], [2; 16], 64).icmpv6_echo_request(1, 2).write(out, b"ping").expect("a frame");
    });
    all
}
