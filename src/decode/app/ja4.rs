//! JA4, the TLS client fingerprint, by `FoxIO`'s published description (BSD 3-clause; <https://github.com/FoxIO-LLC/ja4>).
//!
//! Contract: 36 characters: transport, version, whether a server name was sent, counts, application protocol; then two
//! truncated SHA-256 hashes, of the cipher suites and of extensions with signature algorithms. GREASE (RFC 8701) is left out.
//! Limits: the client's fingerprint only. The others of the JA4+ family are under another licence and are not here.

use std::fmt::Write as _;

use sha2::{Digest as _, Sha256};

use super::tls::{Hello, Transport};

/// The fingerprint of a whole hello.
pub fn fingerprint(hello: &Hello<'_>, transport: Transport) -> String {
    let mut ciphers: Vec<u16> = values(hello.ciphers).collect();
    let mut extensions: Vec<u16> = hello.extensions.iter().copied().filter(|kind| !is_grease(*kind)).collect();
    let mut out = String::with_capacity(36);
    out.push(match transport {
        Transport::Tcp => 't',
        Transport::Quic => 'q',
        Transport::Dtls => 'd',
    });
    out.push_str(version(hello));
    out.push(if extensions.contains(&0) { 'd' } else { 'i' });
    let _ = write!(out, "{:02}{:02}", ciphers.len().min(99), extensions.len().min(99));
    out.extend(protocol(hello.alpn.first().copied().unwrap_or(&[])));
    ciphers.sort_unstable();
    extensions.retain(|kind| !matches!(kind, 0 | 16));
    extensions.sort_unstable();
    out.push('_');
    push_hash(&mut out, &list(ciphers.iter().copied()));
    out.push('_');
    let mut text = list(extensions.iter().copied());
    let signatures = list(values(hello.signatures));
    if !text.is_empty() && !signatures.is_empty() {
        text.push('_');
        text.push_str(&signatures);
    }
    push_hash(&mut out, &text);
    out
}

/// Reserved values that clients send so that servers stay tolerant (RFC 8701): 0x0a0a, 0x1a1a, … 0xfafa.
const fn is_grease(value: u16) -> bool {
    value & 0x0f0f == 0x0a0a && value >> 8 == value & 0xff
}

/// Two-byte values without GREASE.
fn values(list: &[u8]) -> impl Iterator<Item = u16> {
    list.as_chunks().0.iter().map(|pair| u16::from_be_bytes(*pair)).filter(|value| !is_grease(*value))
}

/// The highest version offered; DTLS counts downwards.
fn version(hello: &Hello<'_>) -> &'static str {
    let rank = |version: &u16| if version >> 8 == 0xfe { !*version } else { *version };
    match values(hello.versions).max_by_key(rank).unwrap_or(hello.version) {
        0x0304 => "13",
        0x0303 => "12",
        0x0302 => "11",
        0x0301 => "10",
        0x0300 => "s3",
        0x0002 => "s2",
        0xfeff => "d1",
        0xfefd => "d2",
        0xfefc => "d3",
        _ => "00",
    }
}

/// First and last character of the first application protocol, of its hexadecimal digits where one is no letter or digit.
fn protocol(name: &[u8]) -> [char; 2] {
    let (Some(first), Some(last)) = (name.first(), name.last()) else { return ['0', '0'] };
    if first.is_ascii_alphanumeric() && last.is_ascii_alphanumeric() {
        return [char::from(*first), char::from(*last)];
    }
    let digit = |nibble: u8| char::from_digit(u32::from(nibble), 16).unwrap_or('0');
    [digit(first >> 4), digit(last & 0x0f)]
}

/// Four hexadecimal digits each, with commas.
fn list(values: impl Iterator<Item = u16>) -> String {
    let mut text = String::new();
    for value in values {
        if !text.is_empty() {
            text.push(',');
        }
        for shift in [12, 8, 4, 0] {
            text.push(char::from_digit(u32::from(value >> shift & 0x0f), 16).unwrap_or('0'));
        }
    }
    text
}

/// Six bytes of the hash in hexadecimal digits; zeros for nothing.
fn push_hash(out: &mut String, text: &str) {
    if text.is_empty() {
        out.push_str("000000000000");
        return;
    }
    for byte in Sha256::digest(text.as_bytes()).iter().take(6) {
        let _ = write!(out, "{byte:02x}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(values: &[u16]) -> Vec<u8> {
        values.iter().flat_map(|value| value.to_be_bytes()).collect()
    }

    /// The example of the description.
    #[test]
    fn published_example() {
        let ciphers = bytes(&[
            0x2a2a, 0x1301, 0x1302, 0x1303, 0xc02b, 0xc02f, 0xc02c, 0xc030, 0xcca9, 0xcca8, 0xc013, 0xc014, 0x009c,
            0x009d, 0x002f, 0x0035,
        ]);
        let signatures = bytes(&[0x0403, 0x0804, 0x0401, 0x0503, 0x0805, 0x0501, 0x0806, 0x0601]);
        let hello = Hello {
            version: 0x0303,
            ciphers: &ciphers,
            extensions: vec![
                0x3a3a, 0x001b, 0x0000, 0x0033, 0x0010, 0x4469, 0x0017, 0x002d, 0x000d, 0x0005, 0x0023, 0x0012, 0x002b,
                0xff01, 0x000b, 0x000a, 0x4a4a, 0x0015,
            ],
            alpn: vec![b"h2", b"http/1.1"],
            versions: &[0x5a, 0x5a, 3, 4, 3, 3],
            signatures: &signatures,
            whole: true,
            ..Hello::default()
        };
        assert_eq!(fingerprint(&hello, Transport::Tcp), "t13d1516h2_8daaf6152771_e5627efa2ab1");
    }

    #[test]
    fn nothing_offered_is_zeros() {
        let hello = Hello { version: 0x0301, whole: true, ..Hello::default() };
        assert_eq!(fingerprint(&hello, Transport::Quic), "q10i000000_000000000000_000000000000");
    }

    #[test]
    fn protocols_that_are_no_text_show_hexadecimal_digits() {
        for (name, shown) in [(&b"h2"[..], "h2"), (b"http/1.1", "h1"), (b"x", "xx"), (b"", "00")] {
            assert_eq!(protocol(name).iter().collect::<String>(), shown);
        }
        for (name, shown) in [(&[0xab][..], "ab"), (&[0xab, 0xcd], "ad"), (&[0x30, 0xab], "3b"), (b"h2 ", "60")] {
            assert_eq!(protocol(name).iter().collect::<String>(), shown);
        }
    }

    #[test]
    fn dtls_versions_count_downwards() {
        let hello = Hello { version: 0xfefd, versions: &[0xfe, 0xfd, 0xfe, 0xfc], ..Hello::default() };
        assert_eq!(version(&hello), "d3");
    }
}
