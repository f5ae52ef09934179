//! Payloads built from their meaning: what the parsers of first-payload facts must read back.
#![allow(dead_code, clippy::expect_used, missing_docs, reason = "helpers of tests: a failure ends the test")]

use aes::Aes128;
use aes::cipher::{BlockCipherEncrypt as _, KeyInit as _, KeyIvInit as _, StreamCipher as _};
use hkdf::Hkdf;
use sha2::Sha256;

fn vec8(bytes: &[u8]) -> Vec<u8> {
    let len = u8::try_from(bytes.len()).expect("a short vector");
    [&[len], bytes].concat()
}

fn vec16(bytes: &[u8]) -> Vec<u8> {
    let len = u16::try_from(bytes.len()).expect("a vector");
    [&len.to_be_bytes(), bytes].concat()
}

fn extension(kind: u16, content: &[u8]) -> Vec<u8> {
    [kind.to_be_bytes().to_vec(), vec16(content)].concat()
}

/// A `ClientHello` message as of a browser with a post-quantum key share: about 1.7 kB. An empty name is left out.
pub fn hello(name: &str, alpn: &[&str]) -> Vec<u8> {
    hello_with(name, alpn, &[0x1301, 0x1302, 0x1303, 0xc02b, 0xc02f], 1216)
}

/// A `ClientHello` message with given ciphers and length of its key share.
pub fn hello_with(name: &str, alpn: &[&str], ciphers: &[u16], key_share: usize) -> Vec<u8> {
    let mut extensions = extension(0x2a2a, &[]);
    if !name.is_empty() {
        let entry = [&[0][..], &vec16(name.as_bytes())].concat();
        extensions.extend(extension(0, &vec16(&entry)));
    }
    extensions.extend(extension(13, &vec16(&[4, 3, 8, 4, 4, 1])));
    if !alpn.is_empty() {
        let names: Vec<u8> = alpn.iter().flat_map(|name| vec8(name.as_bytes())).collect();
        extensions.extend(extension(16, &vec16(&names)));
    }
    extensions.extend(extension(43, &vec8(&[0x3a, 0x3a, 3, 4, 3, 3])));
    extensions.extend(extension(51, &vec![7; key_share]));
    let ciphers: Vec<u8> = std::iter::once(&0x1a1a).chain(ciphers).flat_map(|cipher| cipher.to_be_bytes()).collect();
    let session = vec8(&[9; 32]);
    let body = [&[3, 3][..], &[5; 32], &session, &vec16(&ciphers), &vec8(&[0]), &vec16(&extensions)].concat();
    let len = u32::try_from(body.len()).expect("a short hello").to_be_bytes();
    [&[1, len[1], len[2], len[3]][..], &body].concat()
}

/// A handshake message in records of at most `max` bytes.
pub fn records(message: &[u8], max: usize) -> Vec<u8> {
    message.chunks(max.max(1)).flat_map(|piece| [vec![22, 3, 1], vec16(piece)].concat()).collect()
}

/// A DNS name on the wire.
pub fn dns_name(name: &str) -> Vec<u8> {
    let labels = name.split('.').filter(|label| !label.is_empty());
    labels.flat_map(|label| vec8(label.as_bytes())).chain([0]).collect()
}

/// A DNS question.
pub fn dns_query(name: &str, kind: u16) -> Vec<u8> {
    let head = [0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    [&head[..], &dns_name(name), &kind.to_be_bytes(), &[0, 1]].concat()
}

/// The answer to a question: one record, its name a pointer to the question's.
pub fn dns_answer(query: &[u8], rcode: u8) -> Vec<u8> {
    let mut answer = query.to_vec();
    answer[2] |= 0x80;
    answer[3] = 0x80 | rcode;
    answer[7] = 1;
    answer.extend([0xc0, 12, 0, 1, 0, 1, 0, 0, 0, 60, 0, 4, 192, 0, 2, 1]);
    answer
}

fn varint(value: usize) -> [u8; 4] {
    (u32::try_from(value).expect("a small number") | 0x8000_0000).to_be_bytes()
}

/// CRYPTO frames of a message, as offset and bytes.
pub fn crypto_frames(pieces: &[(usize, &[u8])]) -> Vec<u8> {
    pieces.iter().flat_map(|(at, bytes)| [&[6][..], &varint(*at), &varint(bytes.len()), bytes].concat()).collect()
}

/// An Initial packet of a client of version 1 or 2, with CRYPTO frames, padded to 1200 bytes. Its tag is not a true one.
pub fn initial(version: u32, pieces: &[(usize, &[u8])]) -> Vec<u8> {
    const DESTINATION: [u8; 8] = [0x83, 0x94, 0xc8, 0xf0, 0x3e, 0x51, 0x57, 0x08];
    let is_2 = version != 1;
    let mut plain = crypto_frames(pieces);
    plain.resize(plain.len().max(1150), 0);
    let number: u32 = 2;
    let first = if is_2 { 0xd3 } else { 0xc3 };
    let mut packet = [&[first][..], &version.to_be_bytes(), &vec8(&DESTINATION), &[0, 0]].concat();
    packet.extend(varint(4 + plain.len() + 16));
    let number_at = packet.len();
    packet.extend(number.to_be_bytes());
    let (key, iv, mask) = keys(is_2, &DESTINATION);
    let mut counter = [0; 16];
    counter[..12].copy_from_slice(&iv);
    counter[11] ^= 2;
    counter[15] = 2;
    ctr::Ctr32BE::<Aes128>::new(&key.into(), &counter.into()).apply_keystream(&mut plain);
    packet.extend(plain);
    packet.extend([0; 16]);
    let sample: [u8; 16] = packet[number_at + 4..number_at + 20].try_into().expect("a sample");
    let mut block = sample.into();
    Aes128::new(&mask.into()).encrypt_block(&mut block);
    packet[0] ^= block[0] & 0x0f;
    for place in 0..4 {
        packet[number_at + place] ^= block[1 + place];
    }
    packet
}

fn keys(is_2: bool, destination: &[u8]) -> ([u8; 16], [u8; 12], [u8; 16]) {
    let salt_1 = [
        0x38, 0x76, 0x2c, 0xf7, 0xf5, 0x59, 0x34, 0xb3, 0x4d, 0x17, 0x9a, 0xe6, 0xa4, 0xc8, 0x0c, 0xad, 0xcc, 0xbb,
        0x7f, 0x0a,
    ];
    let salt_2 = [
        0x0d, 0xed, 0xe3, 0xde, 0xf7, 0x00, 0xa6, 0xdb, 0x81, 0x93, 0x81, 0xbe, 0x6e, 0x26, 0x9d, 0xcb, 0xf9, 0xbd,
        0x2e, 0xd9,
    ];
    let initial = Hkdf::<Sha256>::new(Some(if is_2 { &salt_2 } else { &salt_1 }), destination);
    let mut secret = [0; 32];
    expand(&initial, "client in", &mut secret);
    let client = Hkdf::<Sha256>::from_prk(&secret).expect("a secret");
    let label = |name: &str| format!("quic{} {name}", if is_2 { "v2" } else { "" });
    let (mut key, mut iv, mut mask) = ([0; 16], [0; 12], [0; 16]);
    expand(&client, &label("key"), &mut key);
    expand(&client, &label("iv"), &mut iv);
    expand(&client, &label("hp"), &mut mask);
    (key, iv, mask)
}

fn expand(secret: &Hkdf<Sha256>, label: &str, out: &mut [u8]) {
    let len = u16::try_from(out.len()).expect("short").to_be_bytes();
    let info = [&len[..], &vec8(format!("tls13 {label}").as_bytes()), &[0]].concat();
    secret.expand(&info, out).expect("a short key");
}
