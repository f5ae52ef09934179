//! QUIC Initial packets of clients (RFC 9000 §17.2.2, RFC 9001 §5; version 2: RFC 9369).
//!
//! Contract: [`Initials`] finds the Initial packets of a datagram; [`Initial::open`] takes off header protection and
//! encryption, whose keys follow from the packet itself; [`crypto_frames`] gives the handshake bytes with their offsets.
//! Limits: AES-128 only, which is what Initial packets use. The authentication tag is not checked, so that packets cut by
//! the snap length can be read; instead every frame must be one that an Initial packet may have.
//! Drafts 23 to 34 and Google's T051 are read like version 1.
//! Design: ciphers by `RustCrypto`; a packet is decrypted once, into a buffer that the caller keeps.

use aes::Aes128;
use aes::cipher::{BlockCipherEncrypt as _, KeyInit as _, KeyIvInit as _, StreamCipher as _};
use hkdf::Hkdf;
use sha2::Sha256;

use super::reader::Reader;

/// Longest Initial payload that is decrypted, in bytes.
pub const MAX_PACKET: usize = 16 * 1024;
/// Longest connection id (RFC 9000 §17.2).
const MAX_ID: usize = 20;
/// Length of the authentication tag.
const TAG: usize = 16;

const VERSION_1: [u8; 20] = hex(b"38762cf7f55934b34d179ae6a4c80cadccbb7f0a");
const VERSION_2: [u8; 20] = hex(b"0dede3def700a6db819381be6e269dcbf9bd2ed9");
const DRAFT_29: [u8; 20] = hex(b"afbfec289993d24c9e9786f19c6111e04390a899");
const DRAFT_23: [u8; 20] = hex(b"c3eef712c72ebb5a11a7d2432bb46365bef9f502");
const T051: [u8; 20] = hex(b"7a4edef4e7ccee5fa4506c19124fc8ccda6e033d");

/// Digits to bytes.
const fn hex(digits: &[u8; 40]) -> [u8; 20] {
    const fn nibble(digit: u8) -> u8 {
        if digit.is_ascii_digit() { digit - b'0' } else { digit - b'a' + 10 }
    }
    let mut bytes = [0; 20];
    let mut at = 0;
    while at < 20 {
        bytes[at] = nibble(digits[at * 2]) << 4 | nibble(digits[at * 2 + 1]);
        at += 1;
    }
    bytes
}

/// How Initial packets of a version are protected.
fn salt(version: u32) -> Option<&'static [u8; 20]> {
    match version {
        1 | 0xff00_0021 | 0xff00_0022 => Some(&VERSION_1),
        0x6b33_43cf => Some(&VERSION_2),
        0xff00_001d..=0xff00_0020 => Some(&DRAFT_29),
        // Facebook's own numbers of draft 27.
        0xff00_0017..=0xff00_001c | 0xface_b002 | 0xface_b00e => Some(&DRAFT_23),
        0x5430_3531 => Some(&T051),
        _ => None,
    }
}

const fn is_version_2(version: u32) -> bool {
    version == 0x6b33_43cf
}

/// A protected Initial packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Initial<'a> {
    /// Version as on the wire.
    pub version: u32,
    /// Destination connection id; the keys follow from the first one that the client chose.
    pub destination: &'a [u8],
    /// First byte.
    first: u8,
    /// Packet number and payload, as far as they were captured, with the tag.
    protected: &'a [u8],
    /// How long that is on the wire.
    len: usize,
}

/// Whether a datagram may begin with a long header of a version that is known here.
pub fn may_begin(datagram: &[u8]) -> bool {
    let [first, a, b, c, d, ..] = *datagram else { return false };
    first & 0xc0 == 0xc0 && salt(u32::from_be_bytes([a, b, c, d])).is_some()
}

/// The Initial packets of a datagram; others between them are passed over.
#[derive(Clone, Debug)]
pub struct Initials<'a>(Reader<'a>);

impl<'a> Initials<'a> {
    /// Looks at a datagram.
    pub fn new(datagram: &'a [u8]) -> Self {
        Self(Reader(datagram))
    }
}

impl<'a> Iterator for Initials<'a> {
    type Item = Initial<'a>;

    fn next(&mut self) -> Option<Initial<'a>> {
        while may_begin(self.0.0) {
            let (kind, packet) = long_header(&mut self.0)?;
            if kind == u8::from(is_version_2(packet.version)) {
                return Some(packet);
            }
        }
        None
    }
}

/// A packet with a long header (RFC 9000 §17.2) and its type; `None` for those without a length.
fn long_header<'a>(rest: &mut Reader<'a>) -> Option<(u8, Initial<'a>)> {
    let (first, version) = (rest.u8()?, rest.u32()?);
    let destination = rest.vec8().filter(|id| id.len() <= MAX_ID)?;
    rest.vec8().filter(|id| id.len() <= MAX_ID)?;
    let kind = first >> 4 & 3;
    let initial = u8::from(is_version_2(version));
    if kind == initial {
        let token = usize::try_from(rest.varint()?).ok()?;
        rest.take(token)?;
    } else if kind == (3 + initial) & 3 {
        // Retry.
        return None;
    }
    let len = usize::try_from(rest.varint()?).ok()?;
    let protected = rest.take(len.min(rest.0.len()))?;
    Some((kind, Initial { version, destination, first, protected, len }))
}

/// Keys of what a client protects (RFC 9001 §5.2).
#[derive(Clone)]
pub struct Keys {
    key: [u8; 16],
    iv: [u8; 12],
    mask: Aes128,
}

impl std::fmt::Debug for Keys {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Keys")
    }
}

impl Keys {
    /// The keys that follow from the first destination connection id.
    pub fn client(version: u32, destination: &[u8]) -> Option<Self> {
        let initial = Hkdf::<Sha256>::new(Some(salt(version)?), destination);
        let secret: [u8; 32] = expand(&initial, b"client in")?;
        let secret = Hkdf::<Sha256>::from_prk(&secret).ok()?;
        let labels: [&[u8]; 3] = if is_version_2(version) {
            [b"quicv2 key", b"quicv2 iv", b"quicv2 hp"]
        } else {
            [b"quic key", b"quic iv", b"quic hp"]
        };
        let mask: [u8; 16] = expand(&secret, labels[2])?;
        Some(Self {
            key: expand(&secret, labels[0])?,
            iv: expand(&secret, labels[1])?,
            mask: Aes128::new(&mask.into()),
        })
    }
}

/// HKDF-Expand-Label (RFC 8446 §7.1) without a context.
fn expand<const N: usize>(secret: &Hkdf<Sha256>, label: &[u8]) -> Option<[u8; N]> {
    let len = u16::try_from(N).ok()?.to_be_bytes();
    let label_len = [u8::try_from(label.len() + 6).ok()?];
    let mut out = [0; N];
    secret.expand_multi_info(&[&len, &label_len, b"tls13 ", label, &[0]], &mut out).ok()?;
    Some(out)
}

impl Initial<'_> {
    /// Decrypts the payload, as far as it was captured, into `plain`; true when what came out is a list of frames.
    pub fn open(&self, keys: &Keys, plain: &mut Vec<u8>) -> bool {
        plain.clear();
        self.decrypt(keys, plain).is_some() && crypto_frames(plain, self.is_cut(), |_, _| {})
    }

    /// Whether the snap length, or fragmentation, cut it.
    pub const fn is_cut(&self) -> bool {
        self.protected.len() < self.len
    }

    fn decrypt(&self, keys: &Keys, plain: &mut Vec<u8>) -> Option<()> {
        let sample: [u8; 16] = *self.protected.get(4..)?.first_chunk()?;
        let mut mask = sample.into();
        keys.mask.encrypt_block(&mut mask);
        let number_len = usize::from((self.first ^ mask[0]) & 3) + 1;
        let mut counter = [0; 16];
        counter[..12].copy_from_slice(&keys.iv);
        for (place, (byte, mask)) in self.protected.iter().zip(&mask[1..]).take(number_len).enumerate() {
            counter[12 - number_len + place] ^= byte ^ mask;
        }
        // GCM keeps counter 1 for the tag.
        counter[15] = 2;
        let end = if self.is_cut() { self.protected.len() } else { self.len.checked_sub(TAG)? };
        let payload = self.protected.get(number_len..end.min(MAX_PACKET))?;
        plain.extend_from_slice(payload);
        let mut cipher = ctr::Ctr32BE::<Aes128>::new(&keys.key.into(), &counter.into());
        cipher.apply_keystream(plain);
        Some(())
    }
}

/// Calls with offset and bytes of each CRYPTO frame. False where something is no frame of an Initial packet
/// (RFC 9000 §12.4), or where there is nothing but padding; a cut payload may end inside a frame.
pub fn crypto_frames<'a>(payload: &'a [u8], is_cut: bool, mut each: impl FnMut(u64, &'a [u8])) -> bool {
    let mut rest = Reader(payload);
    let mut frames = 0;
    while let Some(kind) = rest.u8() {
        let known = match kind {
            // Padding: the first other byte is next.
            0 => {
                rest.0 = rest.0.iter().position(|byte| *byte != 0).and_then(|at| rest.0.get(at..)).unwrap_or(&[]);
                continue;
            }
            // Ping.
            1 => Some(()),
            2 | 3 => acknowledgement(&mut rest, kind == 3),
            // 8: T051.
            6 | 8 => crypto(&mut rest, is_cut, &mut each),
            0x1c => close(&mut rest),
            _ => return false,
        };
        if known.is_none() {
            return is_cut && frames > 0;
        }
        frames += 1;
    }
    frames > 0
}

fn crypto<'a>(rest: &mut Reader<'a>, is_cut: bool, each: &mut impl FnMut(u64, &'a [u8])) -> Option<()> {
    let offset = rest.varint()?;
    let len = usize::try_from(rest.varint()?).ok()?;
    let bytes = rest.take(if is_cut { len.min(rest.0.len()) } else { len })?;
    each(offset, bytes);
    Some(())
}

fn acknowledgement(rest: &mut Reader<'_>, with_ecn: bool) -> Option<()> {
    // Largest, delay, number of ranges, first range.
    let (_, _, ranges, _) = (rest.varint()?, rest.varint()?, rest.varint()?, rest.varint()?);
    // Every one of them takes at least two bytes, so this ends with the payload.
    for _ in 0..ranges {
        rest.varint()?;
        rest.varint()?;
    }
    for _ in 0..if with_ecn { 3 } else { 0 } {
        rest.varint()?;
    }
    Some(())
}

fn close(rest: &mut Reader<'_>) -> Option<()> {
    // Error, type of the frame, reason.
    let (_, _, len) = (rest.varint()?, rest.varint()?, rest.varint()?);
    rest.take(usize::try_from(len).ok()?).map(|_| ())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn digits(bytes: &[u8]) -> String {
        bytes.iter().map(|byte| format!("{byte:02x}")).collect()
    }

    /// RFC 9001 appendix A.1 and RFC 9369 appendix A.1.
    #[test]
    fn published_keys() {
        let destination = [0x83, 0x94, 0xc8, 0xf0, 0x3e, 0x51, 0x57, 0x08];
        let keys = Keys::client(1, &destination).expect("keys");
        assert_eq!(digits(&keys.key), "1f369613dd76d5467730efcbe3b1a22d");
        assert_eq!(digits(&keys.iv), "fa044b2f42a3fd3b46fb255c");
        let keys = Keys::client(0x6b33_43cf, &destination).expect("keys");
        assert_eq!(digits(&keys.key), "8b1a0bc121284290a29e0971b5cd045d");
        assert_eq!(digits(&keys.iv), "91f73e2351d8fa91660e909f");
        assert!(Keys::client(2, &destination).is_none(), "an unknown version has no salt");
    }

    /// RFC 9001 appendix A.2: sample and mask of the client's Initial packet.
    #[test]
    fn published_mask() {
        let keys = Keys::client(1, &[0x83, 0x94, 0xc8, 0xf0, 0x3e, 0x51, 0x57, 0x08]).expect("keys");
        let mut block = 0xd1b1_c98d_d768_9fb8_ec11_d242_b123_dc9b_u128.to_be_bytes().into();
        keys.mask.encrypt_block(&mut block);
        assert_eq!(digits(&block[..5]), "437b9aec36");
    }

    #[test]
    fn frames_that_an_initial_packet_may_not_have_are_refused() {
        let offsets = |payload: &[u8], is_cut| {
            let mut all = Vec::new();
            let is_list = crypto_frames(payload, is_cut, |offset, bytes| all.push((offset, bytes.len())));
            (is_list, all)
        };
        assert_eq!(offsets(&[0, 0, 1, 6, 5, 2, 9, 9, 2, 1, 0, 0, 1, 0, 0x1c, 1, 0, 0, 0], false), (true, vec![(5, 2)]));
        assert!(!offsets(&[6, 0, 1, 9, 4], false).0, "a RESET_STREAM frame");
        assert!(!offsets(&[0, 0, 0], false).0, "nothing but padding");
        assert!(!offsets(&[6, 0, 9, 1], false).0, "a frame longer than the payload");
        assert_eq!(offsets(&[6, 0, 9, 1], true), (true, vec![(0, 1)]));
    }
}
