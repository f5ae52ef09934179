//! `OpenVPN`'s first messages: the reset of either side, alone in a datagram, or behind its length in a stream.
//!
//! Contract: strict, because nothing marks the protocol: a reset has one of few lengths, its kind's key number 0, and zeros or a
//! plausible time where its protection has them (`doc/doxygen/doc_protocol_overview.h`, `doc/tls-crypt-v2.txt` of `OpenVPN`).
//! Limits: versions 2 and 3 of the client's reset, which is what `OpenVPN` has sent since 2.0; not scrambled ones.
//! Design: resets only: what comes after them looks like anything.

use super::Parsed;
use super::reader::Reader;
use crate::input::{OpenVpn, OpenVpnProtection, OpenVpnReset};

/// Kind in the upper five bits, key number 0 in the lower three.
const CLIENT_V2: u8 = 7 << 3;
const SERVER_V2: u8 = 8 << 3;
const CLIENT_V3: u8 = 10 << 3;
/// Kind and session.
const HEAD: usize = 1 + 8;
/// Number and time against replay.
const REPLAY: usize = 4 + 4;
/// Lengths of MD5, SHA-1, SHA-224, SHA-256, SHA-384, SHA-512, one of which tls-auth has.
const DIGESTS: [usize; 6] = [16, 20, 28, 32, 48, 64];
/// The digest of tls-crypt.
const CRYPT_DIGEST: usize = 32;
/// What a client says: no acknowledgements, message 0.
const CLIENT_BODY: usize = 1 + 4;
/// What a server says: one acknowledgement, of the client's message 0 in its session; message 0.
const SERVER_BODY: usize = 1 + 4 + 8 + 4;
/// A client's key under the server's: digest 32, key 256, metadata, length 2.
const WRAPPED_KEY: std::ops::RangeInclusive<usize> = 290..=1024;
/// Longest reset.
const MAX_RESET: usize = HEAD + REPLAY + CRYPT_DIGEST + CLIENT_BODY + 1024;
/// What stands above the last byte of a number against replay: nothing, or the offer of early negotiation, in the released
/// version 2.6 and as it was before.
const EARLY: [u32; 3] = [0, 0x0f_0000, 0x0a_0100];
/// What a server adds when it takes that offer: type, length, flags.
const EARLY_FLAGS: usize = 2 + 2 + 2;
/// 2001: no clock was set before.
const FIRST_TIME: u32 = 1_000_000_000;

/// Whether a first byte may be a reset's.
const fn is_reset(first: u8) -> bool {
    matches!(first, CLIENT_V2 | SERVER_V2 | CLIENT_V3)
}

/// A message that is `len` bytes long, of which these were captured.
pub fn datagram(message: &[u8], len: usize) -> Option<OpenVpn> {
    let mut reader = Reader(message);
    let first = reader.u8().filter(|first| is_reset(*first))?;
    reader.take(8).filter(|session| session.iter().any(|byte| *byte != 0))?;
    let behind = len.checked_sub(HEAD)?;
    let (reset, protection) = match first {
        CLIENT_V2 => (OpenVpnReset::ClientV2, version_2(reader.0, behind, CLIENT_BODY, is_client)?),
        SERVER_V2 => (OpenVpnReset::ServerV2, version_2(reader.0, behind, SERVER_BODY, is_server)?),
        _ => (OpenVpnReset::ClientV3, version_3(reader.0, behind)?),
    };
    Some(OpenVpn { reset, protection })
}

/// The start of a stream: two bytes of length, message. With `last`, nothing more will come. Gives the length of both.
pub fn stream(stream: &[u8], last: bool) -> Parsed<(OpenVpn, usize)> {
    let [high, low, rest @ ..] = stream else { return Parsed::Other };
    let len = usize::from(u16::from_be_bytes([*high, *low]));
    let may_be = rest.first().is_some_and(|first| is_reset(*first));
    if !may_be || !(HEAD + CLIENT_BODY..=MAX_RESET).contains(&len) {
        return Parsed::Other;
    }
    if rest.len() < len && !last {
        return Parsed::More;
    }
    datagram(rest.get(..len).unwrap_or(rest), len).map_or(Parsed::Other, |found| Parsed::Whole((found, 2 + len)))
}

/// What protects `behind` bytes that end with a body.
fn version_2(bytes: &[u8], behind: usize, body: usize, is_body: fn(&[u8]) -> bool) -> Option<OpenVpnProtection> {
    let over = behind.checked_sub(body)?;
    let ends_with_body = |at: usize| bytes.get(at..behind).is_some_and(is_body);
    if over == 0 {
        return ends_with_body(0).then_some(OpenVpnProtection::None);
    }
    let digest = over.checked_sub(REPLAY)?;
    if DIGESTS.contains(&digest) && is_replay(bytes.get(digest..)?) && ends_with_body(over) {
        return Some(OpenVpnProtection::TlsAuth);
    }
    let has_flags = body == SERVER_BODY && digest == CRYPT_DIGEST + EARLY_FLAGS;
    ((digest == CRYPT_DIGEST || has_flags) && is_replay(bytes)).then_some(OpenVpnProtection::TlsCrypt)
}

/// As tls-crypt, and the client's key behind it, which ends with its length.
fn version_3(bytes: &[u8], behind: usize) -> Option<OpenVpnProtection> {
    let wrapped = behind.checked_sub(REPLAY + CRYPT_DIGEST + CLIENT_BODY)?;
    // What was not captured cannot be compared.
    let stated = bytes.get(behind.saturating_sub(2)..behind).and_then(|bytes| Reader(bytes).u16());
    let has_length = stated.is_none_or(|stated| usize::from(stated) == wrapped);
    (WRAPPED_KEY.contains(&wrapped) && has_length && is_replay(bytes)).then_some(OpenVpnProtection::TlsCryptV2)
}

/// A small number, or one that offers early negotiation, and a time.
fn is_replay(bytes: &[u8]) -> bool {
    let mut rest = Reader(bytes);
    let (Some(number), Some(time)) = (rest.u32(), rest.u32()) else { return false };
    number & 0xff != 0 && EARLY.contains(&(number >> 8)) && time >= FIRST_TIME
}

fn is_client(body: &[u8]) -> bool {
    *body == [0; CLIENT_BODY]
}

fn is_server(body: &[u8]) -> bool {
    let Some((acknowledged, rest)) = body.split_first_chunk::<5>() else { return false };
    let Some((session, message)) = rest.split_first_chunk::<8>() else { return false };
    *acknowledged == [1, 0, 0, 0, 0] && *session != [0; 8] && *message == [0; 4]
}
