//! Any bytes as a pcapng file.

use std::io::Cursor;
use std::path::Path;

use hopwatch::observe::CaptureReader;

pub fn check(input: &[u8]) {
    if is_pcapng(input) {
        both_ways(input);
    }
}

pub(super) fn is_pcapng(input: &[u8]) -> bool {
    input.starts_with(&[0x0a, 0x0d, 0x0d, 0x0a])
}

fn open(input: &[u8]) -> Option<CaptureReader> {
    CaptureReader::from_stream(Path::new("fuzz.pcap"), Box::new(Cursor::new(input.to_vec()))).ok()
}

/// Reads an input one by one and in batches: the same packets, not more bytes than there are, the same end.
pub(super) fn both_ways(input: &[u8]) {
    let (Some(mut one_by_one), Some(mut in_batches)) = (open(input), open(input)) else { return };
    let mut captured = 0;
    let error = loop {
        let batch = match in_batches.next_batch(1 + usize::from(input[input.len() / 2])) {
            Ok(Some(batch)) => batch,
            Ok(None) => break None,
            Err(error) => break Some(error),
        };
        for (interface, frame) in batch.packets() {
            let packet = one_by_one.next_packet().expect("a packet, as in the batch").expect("a packet, as in the batch");
            assert_eq!((packet.interface, packet.at, packet.data), (interface, frame.at, frame.data));
            captured += frame.data.len();
        }
    };
    let end = one_by_one.next_packet();
    assert_eq!(error.map(|error| error.to_string()), end.err().map(|error| error.to_string()));
    assert_eq!((in_batches.packets(), in_batches.skipped()), (one_by_one.packets(), one_by_one.skipped()));
    // Compressed input may hold more than its own length.
    let is_compressed = input.starts_with(&[0x1f, 0x8b]) || input.starts_with(&[0x28, 0xb5]);
    assert!(is_compressed || captured <= input.len());
}
