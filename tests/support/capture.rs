//! Builds capture files byte by byte, right ones and wrong ones. Each test uses a part of it.
#![allow(dead_code, clippy::expect_used, missing_docs, reason = "helpers of tests: a failure ends the test")]

use proptest::collection;
use proptest::prelude::*;
use proptest::sample::Index;

/// Numbers in the byte order of a file; true is big-endian.
#[derive(Clone, Copy, Debug)]
pub struct Order(pub bool);

impl Order {
    pub fn u16(self, value: u16) -> [u8; 2] {
        if self.0 { value.to_be_bytes() } else { value.to_le_bytes() }
    }

    pub fn u32(self, value: u32) -> [u8; 4] {
        if self.0 { value.to_be_bytes() } else { value.to_le_bytes() }
    }

    pub fn pcap(self, magic: u32, link: u32, records: &[(u32, u32, u32, &[u8])]) -> Vec<u8> {
        let mut file =
            [&self.u32(magic)[..], &self.u16(2), &self.u16(4), &[0; 8], &self.u32(65_535), &self.u32(link)].concat();
        for (seconds, fraction, wire_len, data) in records {
            let captured = u32::try_from(data.len()).expect("small");
            for field in [*seconds, *fraction, captured, *wire_len] {
                file.extend(self.u32(field));
            }
            file.extend_from_slice(data);
        }
        file
    }

    pub fn block(self, block_type: u32, body: &[&[u8]]) -> Vec<u8> {
        let mut body = body.concat();
        body.resize(body.len().next_multiple_of(4), 0);
        let len = self.u32(u32::try_from(body.len() + 12).expect("small"));
        [&self.u32(block_type)[..], &len, &body, &len].concat()
    }

    pub fn section(self) -> Vec<u8> {
        self.block(0x0a0d_0d0a, &[&self.u32(0x1a2b_3c4d), &self.u16(1), &self.u16(0), &[0xff; 8]])
    }

    pub fn option(self, code: u16, value: &[u8]) -> Vec<u8> {
        let mut option = [&self.u16(code)[..], &self.u16(u16::try_from(value.len()).expect("small")), value].concat();
        option.resize(option.len().next_multiple_of(4), 0);
        option
    }

    pub fn interface(self, link: u16, snap_length: u32, options: &[Vec<u8>]) -> Vec<u8> {
        self.block(1, &[&self.u16(link), &[0, 0], &self.u32(snap_length), &options.concat()])
    }

    pub fn enhanced(self, interface: u32, units: u64, wire_len: u32, data: &[u8]) -> Vec<u8> {
        let high = u32::try_from(units >> 32).expect("high");
        let low = u32::try_from(units & 0xffff_ffff).expect("low");
        let captured = u32::try_from(data.len()).expect("small");
        let fields = [interface, high, low, captured, wire_len].map(|field| self.u32(field)).concat();
        self.block(6, &[&fields, data])
    }
}

/// Files of many kinds: both formats, both byte orders, interfaces with and without names and resolutions, packets from empty to
/// longer than the window of the reader, blocks that nobody knows.
pub fn any_file() -> impl Strategy<Value = Vec<u8>> {
    let len = prop_oneof![8 => 0_usize..120, 1 => 1_000_usize..70_000, 1 => 200_000_usize..300_000];
    let packets = collection::vec((len, 0_u32..3, any::<u8>()), 0..40);
    (any::<bool>(), any::<bool>(), packets).prop_map(|(big_endian, is_pcapng, packets)| {
        let order = Order(big_endian);
        if is_pcapng { pcapng_of(order, &packets) } else { pcap_of(order, &packets) }
    })
}

fn pcap_of(order: Order, packets: &[(usize, u32, u8)]) -> Vec<u8> {
    let data: Vec<Vec<u8>> = packets.iter().map(|(len, _, fill)| vec![*fill; *len]).collect();
    let records: Vec<(u32, u32, u32, &[u8])> =
        packets.iter().zip(&data).map(|((_, seconds, _), data)| (*seconds, 7, 60, data.as_slice())).collect();
    order.pcap(0xa1b2_c3d4, 1, &records)
}

fn pcapng_of(order: Order, packets: &[(usize, u32, u8)]) -> Vec<u8> {
    let named = |name: &[u8]| order.interface(1, 0, &[order.option(2, name), order.option(9, &[9])]);
    let mut file = [order.section(), named(b"eth0"), order.interface(101, 64, &[])].concat();
    for (number, (len, interface, fill)) in (0_u64..).zip(packets) {
        let data = vec![*fill; *len];
        match fill % 16 {
            0 => file.extend(order.block(3, &[&order.u32(60), &data])),
            1 => file.extend(order.block(0x0bad, &[&data])),
            2 => file.extend(named(b"eth1")),
            3 => file.extend([order.section(), named(b"eth0")].concat()),
            // Runs of packets of one interface, so that batches are longer than one.
            4..8 => file.extend(order.enhanced(*interface, number, 60, &data)),
            _ => file.extend(order.enhanced(0, number, 60, &data)),
        }
    }
    file
}

/// Wrong bytes at places, and perhaps a cut.
pub fn any_damage() -> impl Strategy<Value = Damage> {
    let byte = prop_oneof![any::<u8>(), Just(0), Just(0xff), Just(0x7f)];
    (collection::vec((any::<Index>(), byte), 0..6), proptest::option::weighted(0.2, any::<Index>()))
        .prop_map(|(bytes, cut)| Damage { bytes, cut })
}

/// What happens to a file.
#[derive(Clone, Debug)]
pub struct Damage {
    bytes: Vec<(Index, u8)>,
    cut: Option<Index>,
}

impl Damage {
    pub fn apply(&self, mut file: Vec<u8>) -> Vec<u8> {
        for (place, byte) in &self.bytes {
            // Mostly near the start, where the headers are.
            let reach = if byte % 2 == 0 { file.len() } else { file.len().min(400) };
            file[place.index(reach)] = *byte;
        }
        if let Some(cut) = &self.cut {
            file.truncate(cut.index(file.len()));
        }
        file
    }
}
