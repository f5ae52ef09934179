//! Any bytes as a capture file. `cargo fuzz run -s none capture_file`
#![no_main]

use std::io::Cursor;
use std::path::Path;

use hopwatch::observe::CaptureReader;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let stream = Box::new(Cursor::new(input.to_vec()));
    let Ok(mut reader) = CaptureReader::from_stream(Path::new("fuzz.pcap"), stream) else { return };
    let mut captured = 0;
    while let Ok(Some(packet)) = reader.next_packet() {
        captured += packet.data.len();
    }
    // Compressed input may hold more than its own length.
    let is_compressed = input.starts_with(&[0x1f, 0x8b]) || input.starts_with(&[0x28, 0xb5]);
    assert!(is_compressed || captured <= input.len());
});
