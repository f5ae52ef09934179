//! Capture files: every format, order and damage that a reader must survive. The files are built here, byte by byte.

use std::io::{Cursor, Write as _};
use std::path::Path;

use crate::support::capture::{self, Order};
use hopwatch::decode::LinkType;
use hopwatch::observe::{Batch, CaptureError, CaptureReader, Merge, PcapngWriter};
use hopwatch::time::Timestamp;
use proptest::prelude::*;

const BOTH: [Order; 2] = [Order(true), Order(false)];

fn open(bytes: Vec<u8>) -> Result<CaptureReader, CaptureError> {
    CaptureReader::from_stream(Path::new("dir/sample.pcap.gz"), Box::new(Cursor::new(bytes)))
}

type Seen = (String, i64, u32, Vec<u8>);

/// All packets, and the error that ended the stream, if one did.
fn read(bytes: Vec<u8>) -> (Vec<Seen>, Option<CaptureError>) {
    let mut reader = open(bytes).expect("a capture");
    let mut seen = Vec::new();
    loop {
        let packet = match reader.next_packet() {
            Ok(Some(packet)) => {
                (packet.origin.point.to_string(), packet.at.as_nanos(), packet.wire_len, packet.data.to_vec())
            }
            Ok(None) => return (seen, None),
            Err(error) => {
                assert!(matches!(reader.next_packet(), Ok(None)), "the stream is over after an error");
                return (seen, Some(error));
            }
        };
        seen.push(packet);
    }
}

#[test]
fn classic_in_both_orders_and_both_resolutions() {
    for order in BOTH {
        for (magic, nanos) in [(0xa1b2_c3d4, 7_000), (0xa1b2_3c4d, 7)] {
            let (seen, error) = read(order.pcap(magic, 0xf000_0001, &[(1, 7, 60, b"abc"), (0, 0, 1, b"")]));
            assert!(error.is_none());
            let expected = ("sample".to_owned(), 1_000_000_000 + nanos, 60, b"abc".to_vec());
            assert_eq!(seen, [expected, ("sample".to_owned(), 0, 1, Vec::new())]);
        }
    }
}

#[test]
fn pcapng_mixes_interfaces_resolutions_sections_and_block_types() {
    let mut file = Vec::new();
    for order in BOTH {
        file.extend(order.section());
        file.extend(order.interface(1, 4, &[]));
        file.extend(order.interface(101, 0, &[order.option(2, b"wan\0"), order.option(9, &[9]), order.option(0, &[])]));
        file.extend(order.block(0x0bad, &[b"a block that nobody knows"]));
        file.extend(order.enhanced(0, 2_000_000, 100, b"micro"));
        file.extend(order.enhanced(1, 5_000_000_000, 10, b"nano"));
        file.extend(order.block(3, &[&order.u32(6), b"simple"]));
        file.extend(order.enhanced(9, 0, 1, b"?"));
        let fields = [0, 3_000_000, 3, 3].map(|field| order.u32(field)).concat();
        file.extend(order.block(2, &[&order.u16(0), &order.u16(7), &fields, b"old"]));
    }
    let (seen, error) = read(file);
    assert!(error.is_none(), "{error:?}");
    let names: Vec<&str> = seen.iter().map(|seen| seen.0.as_str()).collect();
    assert_eq!(names, ["sample", "wan", "sample", "sample", "sample#3", "wan", "sample#3", "sample#3"]);
    for half in [&seen[..4], &seen[4..]] {
        let rest: Vec<_> = half.iter().map(|(_, at, wire, data)| (*at, *wire, data.as_slice())).collect();
        let expected: [(i64, u32, &[u8]); 4] = [
            (2_000_000_000, 100, b"micro"),
            (5_000_000_000, 10, b"nano"),
            (5_000_000_000, 6, b"simp"),
            (3_000_000_000, 3, b"old"),
        ];
        assert_eq!(rest, expected);
    }
}

#[test]
fn one_name_with_two_link_types_is_two_points() {
    let order = Order(false);
    let named = |link| order.interface(link, 0, &[order.option(2, b"eth0")]);
    let file = [order.section(), named(1), named(101), named(1), order.enhanced(0, 0, 1, b"x")].concat();
    let mut reader = open(file).expect("a capture");
    assert!(reader.next_packet().expect("readable").is_some());
    let points: Vec<_> = reader.interfaces().iter().map(|one| (one.point.as_str().to_owned(), one.link.0)).collect();
    assert_eq!(points, [("eth0".to_owned(), 1), ("eth0#2".to_owned(), 101), ("eth0".to_owned(), 1)]);
}

/// Every capture, cut at every byte: the whole packets before the cut, then silence or an error, and never a panic.
#[test]
fn cut_anywhere() {
    let order = Order(false);
    let pcap = order.pcap(0xa1b2_c3d4, 1, &[(1, 0, 3, b"abc"), (2, 0, 5, b"defgh")]);
    let pcapng = [
        order.section(),
        order.interface(1, 0, &[]),
        order.enhanced(0, 1, 3, b"abc"),
        order.enhanced(0, 2, 5, b"defgh"),
    ]
    .concat();
    for file in [pcap, pcapng] {
        for cut in 0..file.len() {
            let Ok(mut reader) = open(file[..cut].to_vec()) else { continue };
            let mut whole = 0;
            let error = loop {
                match reader.next_packet() {
                    Ok(Some(_)) => whole += 1,
                    Ok(None) => break None,
                    Err(error) => break Some(error),
                }
            };
            assert!(whole < 2);
            if let Some(error) = error {
                let CaptureError::Truncated { packets, offset, .. } = error else { panic!("{error} at {cut}") };
                assert_eq!(packets, whole);
                assert!(offset < cut as u64 && error.is_partial());
            }
        }
    }
}

#[test]
fn lying_lengths_are_damage_and_cost_nothing() {
    let order = Order(true);
    let mut pcap = order.pcap(0xa1b2_c3d4, 1, &[(1, 0, 3, b"abc")]);
    pcap.extend([0_u32, 0, 0x7fff_ffff, 5].map(|field| order.u32(field)).concat());
    let (seen, error) = read(pcap);
    assert_eq!(seen.len(), 1);
    let Some(CaptureError::Damaged { offset: 43, packets: 1, .. }) = error else { panic!("{error:?}") };

    let good = [order.section(), order.interface(1, 0, &[]), order.enhanced(0, 1, 3, b"abc")].concat();
    let bad_blocks = [
        [&order.u32(6)[..], &order.u32(0xffff_fff0), &[0; 64]].concat(),
        [&order.u32(6)[..], &order.u32(4), &[0; 64]].concat(),
        [&order.u32(6)[..], &order.u32(32), &[0; 20], &order.u32(36)].concat(),
        order.block(6, &[&[0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, 0, 0, 0, 0, 0, 9]]),
    ];
    for bad in bad_blocks {
        let (seen, error) = read([good.clone(), bad].concat());
        assert_eq!(seen.len(), 1);
        assert!(matches!(error, Some(CaptureError::Damaged { packets: 1, .. })), "{error:?}");
    }
    let (_, error) = read([good, order.u32(0x0bad).to_vec(), order.u32(0xffff_fff0).to_vec(), vec![0; 64]].concat());
    assert!(matches!(error, Some(CaptureError::Truncated { packets: 1, .. })), "{error:?}");
}

#[test]
fn what_is_no_capture_is_told_apart() {
    let message = |bytes: &[u8]| open(bytes.to_vec()).expect_err("not a capture").to_string();
    assert!(message(b"").contains("an empty file"));
    assert!(message(b"{\"at\": 1}").contains("JSON"));
    assert!(message(b"hello, this is text").contains("looks like text"));
    assert!(message(b"hello, this is text").contains("accepted are pcap and pcapng"));
    let old = [&[0xa1, 0xb2, 0xc3, 0xd4, 0, 1, 0, 0][..], &[0; 16]].concat();
    assert!(message(&old).contains("pcap version 1.0"));
    let missing = CaptureReader::open(Path::new("no/such/file.pcap")).expect_err("missing");
    assert!(matches!(missing, CaptureError::NotFound { .. }), "{missing}");
    let folder = CaptureReader::open(Path::new(env!("CARGO_MANIFEST_DIR"))).expect_err("a folder");
    assert!(matches!(folder, CaptureError::Unreadable { .. }), "{folder}");
}

#[test]
fn compression_is_known_by_content() {
    let plain = Order(false).pcap(0xa1b2_c3d4, 1, &[(1, 7, 60, b"abc"), (2, 0, 1, b"d")]);
    let (expected, _) = read(plain.clone());
    let (first, second) = plain.split_at(30);
    let mut gzip = Vec::new();
    for part in [first, second] {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        encoder.write_all(part).expect("compress");
        gzip.extend(encoder.finish().expect("compress"));
    }
    let level = ruzstd::encoding::CompressionLevel::Fastest;
    let skippable = [&[0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0][..], b"xyz"].concat();
    let frames = [first, second].map(|part| ruzstd::encoding::compress_to_vec(part, level));
    let zstd = [frames[0].clone(), skippable.clone(), frames[1].clone()].concat();
    // As `pzstd` writes: a skippable frame before each frame.
    let pzstd = [skippable.clone(), frames[0].clone(), skippable, frames[1].clone()].concat();
    for packed in [gzip, zstd, pzstd] {
        let (seen, error) = read(packed.clone());
        assert!(error.is_none(), "{error:?}");
        assert_eq!(seen, expected);
        for cut in 0..packed.len() {
            if let Ok(mut reader) = open(packed[..cut].to_vec()) {
                while let Ok(Some(_)) = reader.next_packet() {}
                assert!(reader.packets() <= 2);
            }
        }
    }
}

#[test]
fn nanoseconds_in_a_file_of_microseconds_are_read_as_such_and_counted() {
    let packets = [(1, 250_000_000, 60, &b"abc"[..]), (1, 999_999_999, 60, b"abc"), (2, 1, 60, b"abc")];
    let mut reader = open(Order(false).pcap(0xa1b2_c3d4, 1, &packets)).expect("a capture");
    let mut times = Vec::new();
    while let Some(packet) = reader.next_packet().expect("whole") {
        times.push(packet.at.as_nanos());
    }
    assert_eq!(times, [1_250_000_000, 1_999_999_999, 2_000_001_000]);
    assert_eq!(reader.odd_fractions(), 2);
    let said = hopwatch::observe::odd_fractions("a.pcap", 2);
    assert!(said.contains("2 packets have a fraction of a second that is a second or more"), "{said}");
}

#[test]
fn what_is_written_is_read_back() {
    let mut writer = PcapngWriter::new(Vec::new(), Some("a recording")).expect("write");
    let docker0 = writer.add_interface("docker0", LinkType::ETHERNET, 256, None).expect("write");
    let any = writer.add_interface("any", LinkType::LINUX_SLL2, 0, Some("comment")).expect("write");
    let at = Timestamp::from_nanos(1_764_000_000_123_456_789);
    writer.packet(any, at, 1500, b"12345").expect("write");
    writer.packet(docker0, Timestamp::from_nanos(1), 4, b"1234").expect("write");
    assert!(writer.packet(2, at, 1, b"1").is_err());
    let bytes = writer.finish().expect("write");
    let reader_of_interfaces = |bytes: Vec<u8>| {
        let mut reader = open(bytes).expect("a capture");
        reader.next_packet().expect("readable");
        reader.interfaces().iter().map(|one| (one.point.to_string(), one.link, one.snap_length)).collect::<Vec<_>>()
    };
    let expected = [("docker0".to_owned(), LinkType::ETHERNET, 256), ("any".to_owned(), LinkType::LINUX_SLL2, 0)];
    assert_eq!(reader_of_interfaces(bytes.clone()), expected);
    let (seen, error) = read(bytes);
    assert!(error.is_none());
    let expected = [
        ("any".to_owned(), 1_764_000_000_123_456_789, 1500, b"12345".to_vec()),
        ("docker0".to_owned(), 1, 4, b"1234".to_vec()),
    ];
    assert_eq!(seen, expected);
}

#[test]
fn merged_by_time_and_then_by_file() {
    let order = Order(false);
    let files = [
        order.pcap(0xa1b2_c3d4, 1, &[(1, 0, 1, b"a"), (5, 0, 1, b"b"), (3, 0, 1, b"c")]),
        [order.section(), order.interface(1, 0, &[]), order.enhanced(0, 1_000_000, 1, b"d"), order.u32(6).to_vec()]
            .concat(),
        order.pcap(0xa1b2_3c4d, 1, &[(0, 9, 1, b"e"), (4, 0, 1, b"f")]),
    ];
    let mut merge = Merge::new(files.map(|file| open(file).expect("a capture")).into());
    let mut seen = String::new();
    let mut errors = 0;
    loop {
        match merge.next_packet() {
            Ok(Some(merged)) => seen.push(char::from(merged.packet.data[0])),
            Ok(None) => break,
            Err(error) => {
                assert!(error.is_partial());
                errors += 1;
            }
        }
    }
    assert_eq!((seen.as_str(), errors), ("eadfbc", 1));
}

#[test]
fn bytes_read_reach_the_length_of_the_file() {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("sample.pcap");
    std::fs::write(&path, Order(false).pcap(0xa1b2_c3d4, 1, &[(1, 0, 1, b"a")])).expect("write");
    let mut reader = CaptureReader::open(&path).expect("a capture");
    while reader.next_packet().expect("readable").is_some() {}
    assert_eq!(Some(reader.bytes_read()), reader.total_bytes());
}

/// The packets of a whole stream read in batches of at most `max`, and the error that ended it.
fn read_batches(mut reader: CaptureReader, max: usize) -> (Vec<Seen>, Option<CaptureError>, CaptureReader) {
    let mut seen = Vec::new();
    let error = loop {
        match reader.next_batch(max) {
            Ok(Some(batch)) => {
                assert!((1..=max.clamp(1, Batch::MAX)).contains(&batch.packets().len()));
                seen.extend(batch.packets().map(|(interface, frame)| {
                    let point = batch.origin(interface).expect("an interface").point.to_string();
                    (point, frame.at.as_nanos(), frame.wire_len, frame.data.to_vec())
                }));
            }
            Ok(None) => break None,
            Err(error) => break Some(error),
        }
    };
    assert!(matches!(reader.next_batch(max), Ok(None)), "the stream is over");
    (seen, error, reader)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whatever a file holds: batches are the same packets, the same counters and the same error.
    #[test]
    fn batches_are_the_packets(file in capture::any_file(), damage in capture::any_damage(), max in 0_usize..80) {
        let file = damage.apply(file);
        let (Ok(mut one_by_one), Ok(in_batches)) = (open(file.clone()), open(file)) else { return Ok(()) };
        let mut expected = Vec::new();
        let error = loop {
            match one_by_one.next_packet() {
                Ok(Some(packet)) => expected.push((
                    packet.origin.point.to_string(), packet.at.as_nanos(), packet.wire_len, packet.data.to_vec(),
                )),
                Ok(None) => break None,
                Err(error) => break Some(error),
            }
        };
        let (seen, batch_error, in_batches) = read_batches(in_batches, max);
        prop_assert!(seen == expected, "{} packets, in batches {}", expected.len(), seen.len());
        prop_assert_eq!(batch_error.map(|error| error.to_string()), error.map(|error| error.to_string()));
        prop_assert_eq!(in_batches.packets(), one_by_one.packets());
        prop_assert_eq!(in_batches.skipped(), one_by_one.skipped());
    }
}

/// Both ways of reading may be mixed.
#[test]
fn batches_and_single_packets_take_turns() {
    let records: Vec<(u32, u32, u32, &[u8])> = (0..200).map(|second| (second, 0, 60, &b"abc"[..])).collect();
    let mut reader = open(Order(false).pcap(0xa1b2_c3d4, 1, &records)).expect("a capture");
    let mut seconds = Vec::new();
    let second = |at: Timestamp| at.as_nanos() / 1_000_000_000;
    while let Some(packet) = reader.next_packet().expect("readable") {
        seconds.push(second(packet.at));
        if let Some(batch) = reader.next_batch(9).expect("readable") {
            assert!(batch.packets().len() == 9 || seconds.len() + batch.packets().len() == 200);
            seconds.extend(batch.packets().map(|(_, frame)| second(frame.at)));
        }
    }
    assert_eq!(seconds, (0..200).collect::<Vec<_>>());
}
