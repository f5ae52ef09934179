//! Protocols that begin with certain bytes, mining in JSON-RPC, and what begins as ciphertext does.
//!
//! Contract: pure, over the first bytes of one direction of a TCP connection; positive identification only. Limits: the first [`LOOKED_AT`] bytes.
//! Sources: RFC 9113 §3.4 (HTTP/2), MS-SMB2 §2.1, MS-RDPBCGR §2.2.1.1, RFC 6143 §7.1.1 (VNC), RFC 959, RFC 5321, RFC 1939, RFC 9051, `MySQL`'s and `PostgreSQL`'s
//! protocol documentation, RESP, MQTT 3.1.1 §3.1, BEP 3, Bitcoin Core's chain parameters, Monero's Levin header, Stratum; Wu et al., How the Great
//! Firewall of China Detects and Blocks Fully Encrypted Traffic (USENIX Security 2023), for ciphertext.

use crate::input::Magic;

/// Bytes that are looked at.
const LOOKED_AT: usize = 1024;
/// Fewer bytes say nothing about their distribution.
const LEAST_ENCRYPTED: usize = 32;

/// Networks of Bitcoin's family: main, test 3, test 4, signet, regtest, Litecoin, Litecoin's test, Dogecoin, Dash, Bitcoin Cash.
const NETWORKS: [[u8; 4]; 10] = [
    [0xf9, 0xbe, 0xb4, 0xd9],
    [0x0b, 0x11, 0x09, 0x07],
    [0x1c, 0x16, 0x3f, 0x28],
    [0x0a, 0x03, 0xcf, 0x40],
    [0xfa, 0xbf, 0xb5, 0xda],
    [0xfb, 0xc0, 0xb6, 0xdb],
    [0xfd, 0xd2, 0xc8, 0xf1],
    [0xc0, 0xc0, 0xc0, 0xc0],
    [0xbf, 0x0c, 0x6b, 0xbd],
    [0xe3, 0xe1, 0xf3, 0xe8],
];

/// Methods that only miners and pools use.
const MINING: [&str; 9] = [
    "mining.subscribe",
    "mining.authorize",
    "mining.configure",
    "mining.submit",
    "mining.notify",
    "mining.set_difficulty",
    "eth_submitLogin",
    "eth_submitWork",
    "eth_getWork",
];

/// The protocol that begins so.
pub fn magic(bytes: &[u8]) -> Option<Magic> {
    match bytes.first()? {
        0 if is_smb(bytes) => Some(Magic::Smb),
        0 if is_postgresql(bytes) => Some(Magic::Postgresql),
        1 if bytes.starts_with(&[0x01, 0x21, 0x01, 0x01, 0x01, 0x01, 0x01, 0x01]) => Some(Magic::Monero),
        3 if bytes.get(1) == Some(&0) && matches!(bytes.get(5), Some(0xe0 | 0xd0)) => Some(Magic::Rdp),
        0x10 if is_mqtt(bytes) => Some(Magic::Mqtt),
        0x13 if bytes.starts_with(b"\x13BitTorrent protocol") => Some(Magic::Bittorrent),
        b'P' if bytes.starts_with(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n") => Some(Magic::Http2),
        b'R' if bytes.starts_with(b"RFB 00") => Some(Magic::Vnc),
        b'*' if is_redis(bytes) => Some(Magic::Redis),
        b'*' if bytes.starts_with(b"* OK") => Some(Magic::Imap),
        b'+' if bytes.starts_with(b"+OK ") => Some(Magic::Pop3),
        b'2' if bytes.starts_with(b"220") => greeting(bytes),
        _ if is_bitcoin(bytes) => Some(Magic::Bitcoin),
        _ if is_mysql(bytes) => Some(Magic::Mysql),
        _ => None,
    }
}

/// A `NetBIOS` session header, then the dialect's mark.
fn is_smb(bytes: &[u8]) -> bool {
    matches!(bytes.get(4..8), Some([0xfd..=0xff, b'S', b'M', b'B']))
}

/// A request for TLS, or a start-up message of version 3.
fn is_postgresql(bytes: &[u8]) -> bool {
    bytes == [0, 0, 0, 8, 4, 210, 22, 47]
        || bytes.get(4..8) == Some(&[0, 3, 0, 0]) && bytes.get(8..).is_some_and(|rest| rest.starts_with(b"user\0"))
}

/// `CONNECT`, whose remaining length takes one or two bytes.
fn is_mqtt(bytes: &[u8]) -> bool {
    let named = |rest: &[u8]| rest.starts_with(b"\0\x04MQTT") || rest.starts_with(b"\0\x06MQIsdp");
    [2, 3].into_iter().any(|at| bytes.get(at..).is_some_and(named))
}

/// An array of strings.
fn is_redis(bytes: &[u8]) -> bool {
    matches!(bytes, [b'*', b'1'..=b'9', b'\r', b'\n', b'$', b'1'..=b'9', ..])
}

/// What greets with 220 says what it is.
fn greeting(bytes: &[u8]) -> Option<Magic> {
    let line: Vec<u8> = bytes.iter().take(128).take_while(|byte| **byte != b'\n').map(u8::to_ascii_uppercase).collect();
    let says = |word: &[u8]| line.windows(word.len()).any(|window| window == word);
    if says(b"FTP") {
        return Some(Magic::Ftp);
    }
    says(b"SMTP").then_some(Magic::Smtp)
}

/// The network's mark, then the name of a message, padded with zeros.
fn is_bitcoin(bytes: &[u8]) -> bool {
    let is_network = bytes.first_chunk().is_some_and(|start| NETWORKS.contains(start));
    let Some(command) = bytes.get(4..16).filter(|_| is_network) else { return false };
    let name = command.iter().take_while(|byte| byte.is_ascii_alphanumeric()).count();
    name >= 2 && command.iter().skip(name).all(|byte| *byte == 0)
}

/// A server's greeting: length, packet 0, protocol 10, a version that ends with zero.
fn is_mysql(bytes: &[u8]) -> bool {
    let Some([len, 0, 0, 0, 10, rest @ ..]) = bytes.get(..) else { return false };
    let version = rest.iter().take(64).take_while(|byte| matches!(byte, b'!'..=b'~')).count();
    *len > 20 && version >= 3 && rest.get(version) == Some(&0) && rest.first().is_some_and(u8::is_ascii_digit)
}

/// The method of a miner or a pool that JSON-RPC names.
pub fn mining(bytes: &[u8]) -> Option<&'static str> {
    let start = bytes.iter().find(|byte| !byte.is_ascii_whitespace())?;
    if *start != b'{' {
        return None;
    }
    let looked_at = bytes.get(..LOOKED_AT).unwrap_or(bytes);
    let text: Vec<u8> = looked_at.iter().copied().filter(|byte| !byte.is_ascii_whitespace()).collect();
    let has = |part: &str| text.windows(part.len()).any(|window| window == part.as_bytes());
    if has("\"method\":\"login\"") && (has("\"algo\"") || has("\"agent\"")) {
        return Some("login");
    }
    MINING.into_iter().find(|method| has(&format!("\"method\":\"{method}\"")))
}

/// Whether the first bytes of a client are like ciphertext from the first one on: as many bits set as not, and hardly anything printable.
pub fn looks_encrypted(bytes: &[u8]) -> bool {
    let bytes = bytes.get(..LOOKED_AT).unwrap_or(bytes);
    if bytes.len() < LEAST_ENCRYPTED {
        return false;
    }
    let is_printed = |byte: &u8| matches!(byte, b' '..=b'~');
    let ones: usize = bytes.iter().map(|byte| byte.count_ones() as usize).sum();
    // 3.4 to 4.6 bits a byte.
    let is_even = (34 * bytes.len()..=46 * bytes.len()).contains(&(10 * ones));
    let begins_printed = bytes.iter().take(6).all(is_printed);
    let printed = bytes.iter().filter(|byte| is_printed(byte)).count();
    let longest = bytes.split(|byte| !is_printed(byte)).map(<[u8]>::len).max().unwrap_or(0);
    is_even && !begins_printed && 2 * printed <= bytes.len() && longest < 20
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn protocols_are_known_by_their_first_bytes_and_nothing_else_is() {
        let bitcoin = |name: &[u8]| [&[0xf9, 0xbe, 0xb4, 0xd9][..], name, &vec![0; 12 - name.len()]].concat();
        for (bytes, known) in [
            (b"\0\0\0\x45\xffSMBr".to_vec(), Some(Magic::Smb)),
            (vec![0, 0, 0, 8, 4, 210, 22, 47], Some(Magic::Postgresql)),
            (vec![3, 0, 0, 19, 14, 0xe0, 0, 0], Some(Magic::Rdp)),
            (b"\x10\x1f\0\x04MQTT\x04".to_vec(), Some(Magic::Mqtt)),
            (b"\x13BitTorrent protocol".to_vec(), Some(Magic::Bittorrent)),
            (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n".to_vec(), Some(Magic::Http2)),
            (b"RFB 003.008\n".to_vec(), Some(Magic::Vnc)),
            (b"*1\r\n$4\r\nPING\r\n".to_vec(), Some(Magic::Redis)),
            (b"* OK IMAP4rev1 ready\r\n".to_vec(), Some(Magic::Imap)),
            (b"+OK ready\r\n".to_vec(), Some(Magic::Pop3)),
            (b"220 (vsFTPd 3.0.3)\r\n".to_vec(), Some(Magic::Ftp)),
            (b"220 mx.example ESMTP\r\n".to_vec(), Some(Magic::Smtp)),
            (b"220 hello\r\n".to_vec(), None),
            (bitcoin(b"version"), Some(Magic::Bitcoin)),
            (bitcoin(b"\x01\x02"), None),
            (vec![0x01, 0x21, 1, 1, 1, 1, 1, 1, 0], Some(Magic::Monero)),
            (b"\x4a\0\0\0\x0a8.0.36\0\x08".to_vec(), Some(Magic::Mysql)),
            (b"hello".to_vec(), None),
            (vec![], None),
        ] {
            assert_eq!(magic(&bytes), known, "{bytes:?}");
        }
    }

    #[test]
    fn mining_is_known_by_its_methods_in_json() {
        for (text, method) in [
            (r#"{"id": 1, "method": "mining.subscribe", "params": []}"#, Some("mining.subscribe")),
            (r#"{"id":1,"method":"login","params":{"login":"4A","pass":"x","agent":"XMRig/6"}}"#, Some("login")),
            (r#"{"id":1,"method":"login","params":{"user":"a"}}"#, None),
            (r#"{"jsonrpc":"2.0","method":"eth_blockNumber"}"#, None),
            ("mining.subscribe", None),
            (r#"{"text":"mining.subscribe"}"#, None),
        ] {
            assert_eq!(mining(text.as_bytes()), method, "{text}");
        }
    }

    #[test]
    fn ciphertext_has_as_many_bits_set_as_not_and_is_not_printable() {
        let mut state = 1_u64;
        let mut random = || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            state.to_be_bytes()[0]
        };
        let cipher: Vec<u8> = (0..200).map(|_| random()).collect();
        assert!(looks_encrypted(&cipher));
        assert!(!looks_encrypted(&cipher[..20]), "too short");
        assert!(!looks_encrypted(&[&b"HELLO "[..], &cipher].concat()), "printable start");
        assert!(!looks_encrypted(&[&cipher[..60], &[b'a'; 20]].concat()), "twenty printable in a row");
        assert!(!looks_encrypted(&[0; 200]) && !looks_encrypted(&[0xff; 200]), "too few bits, too many");
    }
}
