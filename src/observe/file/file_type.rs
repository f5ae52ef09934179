//! Says what a file that is not a capture looks like.
//!
//! Contract: a short noun phrase for an error message; a guess from the first bytes, never an error.

/// First bytes of things that people take for captures.
const KNOWN: [(&[u8], &str); 14] = [
    (b"snoop\0", "a snoop capture (convert it with editcap)"),
    (&[0xa1, 0xb2, 0xcd, 0x34], "a pcap file with patched record headers (convert it with editcap)"),
    (&[0x34, 0xcd, 0xb2, 0xa1], "a pcap file with patched record headers (convert it with editcap)"),
    (b"PK\x03\x04", "a ZIP archive (unpack it first)"),
    (b"\xfd7zXZ\0", "an xz file (unpack it first)"),
    (b"BZh", "a bzip2 file (unpack it first)"),
    (&[0x04, 0x22, 0x4d, 0x18], "an lz4 file (unpack it first)"),
    (b"7z\xbc\xaf", "a 7-Zip archive (unpack it first)"),
    (&[0x1f, 0x8b], "a gzip file inside another (unpack it once)"),
    (&[0x28, 0xb5, 0x2f, 0xfd], "a zstd file inside another (unpack it once)"),
    (b"\x7fELF", "a program"),
    (b"SQLite format 3", "an SQLite database"),
    (b"XCP\0", "a NetXray capture (convert it with editcap)"),
    (b"GMBU", "a NetMon capture (convert it with editcap)"),
];

/// What a file that starts like this looks like.
pub(super) fn looks_like(head: &[u8]) -> String {
    if head.is_empty() {
        return "an empty file".to_owned();
    }
    if let Some((_, what)) = KNOWN.iter().find(|(start, _)| head.starts_with(start)) {
        return (*what).to_owned();
    }
    // A multi-byte character may be cut at the end of what was read.
    let is_text = std::str::from_utf8(head).map_or_else(|error| error.valid_up_to() + 4 > head.len(), |_| true)
        && !head.iter().any(|byte| matches!(byte, 0..=8 | 14..=31));
    match head.trim_ascii_start().first() {
        Some(b'{' | b'[') if is_text => "JSON (facts belong to --facts)".to_owned(),
        _ if is_text => "text".to_owned(),
        _ => {
            let bytes: Vec<String> = head.iter().take(4).map(|byte| format!("{byte:02x}")).collect();
            format!("binary data that starts with {}", bytes.join(" "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_common_mistakes_apart() {
        assert_eq!(looks_like(b""), "an empty file");
        assert_eq!(looks_like(b"  {\"schema\": 1}"), "JSON (facts belong to --facts)");
        assert_eq!(looks_like("größer".as_bytes()), "text");
        assert_eq!(looks_like(&[0, 1, 2, 3, 4]), "binary data that starts with 00 01 02 03");
        assert!(looks_like(b"PK\x03\x04rest").contains("ZIP"));
    }
}
