//! TLS `ClientHello` (RFC 8446 §4.1.2, RFC 5246 §7.4.1.2): server name, application protocols, and what JA4 needs.
//!
//! Contract: [`handshake`] takes the record heads out of a stream, [`client_hello`] reads the message. A hello that is cut or
//! malformed gives the fields before that place and is not [`Hello::whole`]; then it has no fingerprint.
//! Limits: hellos up to [`MAX_HELLO`]; [`MAX_ALPN`] protocols and [`MAX_NAME`] bytes of the server name are kept.
//! Encrypted hellos show their outer name. Hellos in the format of SSL 2 carry no names and are not read.
//! Design: the hello borrows from the stream; a stream is copied only where a hello is split over records.

use std::borrow::Cow;

use super::reader::Reader;
use super::{Parsed, ja4, text};
use crate::input::TlsHello;

/// Longest hello that is read, with its records, in bytes. The longest in use are below 4 kB.
pub const MAX_HELLO: usize = 16 * 1024;
/// Longest hello that can be: ciphers and extensions of 64 KiB each, and the fixed fields. Of one above [`MAX_HELLO`] the start is read.
const MAX_CLAIM: usize = 2 * 65_536 + 512;
/// Application protocols that are kept.
pub const MAX_ALPN: usize = 16;
/// Bytes of a server name that are kept; a DNS name is shorter.
pub const MAX_NAME: usize = 512;

/// Content type of records that carry handshake messages.
const HANDSHAKE: u8 = 22;
const CLIENT_HELLO: u8 = 1;
/// Longest record (RFC 5246 §6.2.3), in bytes.
const MAX_RECORD: usize = 16_384 + 2_048;

const SERVER_NAME: u16 = 0;
const SIGNATURE_ALGORITHMS: u16 = 13;
const ALPN: u16 = 16;
const SUPPORTED_VERSIONS: u16 = 43;

/// What a hello travelled in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Transport {
    /// TLS over TCP.
    Tcp,
    /// TLS inside QUIC.
    Quic,
    /// DTLS.
    Dtls,
}

/// A `ClientHello`, borrowed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Hello<'a> {
    /// `legacy_version`.
    pub version: u16,
    /// Cipher suites, two bytes each.
    pub ciphers: &'a [u8],
    /// Extension types in their order.
    pub extensions: Vec<u16>,
    /// The name in `server_name`.
    pub server_name: Option<&'a [u8]>,
    /// Names in `application_layer_protocol_negotiation`.
    pub alpn: Vec<&'a [u8]>,
    /// `supported_versions`, two bytes each.
    pub versions: &'a [u8],
    /// `signature_algorithms`, two bytes each.
    pub signatures: &'a [u8],
    /// It was read to its end.
    pub whole: bool,
}

/// The handshake bytes at the start of a stream, as far as they came; `None` where it does not begin with such a record.
pub fn handshake(stream: &[u8]) -> Option<Cow<'_, [u8]>> {
    let mut rest = Reader(stream);
    let first = record(&mut rest)?;
    let mut all = Cow::Borrowed(first);
    while let Some(next) = record(&mut rest) {
        if all.len() >= MAX_HELLO {
            break;
        }
        all.to_mut().extend_from_slice(next);
    }
    Some(all)
}

/// The content of the next handshake record, as far as it came.
fn record<'a>(stream: &mut Reader<'a>) -> Option<&'a [u8]> {
    let (kind, version, len) = (stream.u8()?, stream.u16()?, usize::from(stream.u16()?));
    let is_record = kind == HANDSHAKE && version >> 8 == 3 && (1..=MAX_RECORD).contains(&len);
    is_record.then(|| stream.take(len.min(stream.0.len()))).flatten()
}

/// Whether a stream may begin with a hello, by its first bytes.
pub fn may_begin(stream: &[u8]) -> bool {
    let expected = |at: usize, test: fn(u8) -> bool| stream.get(at).is_none_or(|byte| test(*byte));
    stream.first() == Some(&HANDSHAKE)
        && expected(1, |byte| byte == 3)
        && expected(2, |byte| byte <= 4)
        && expected(5, |byte| byte == CLIENT_HELLO)
}

/// Reads the hello at the start of a stream. With `last`, nothing more will come.
pub fn stream(stream: &[u8], last: bool) -> Parsed<TlsHello> {
    if !may_begin(stream) {
        return Parsed::Other;
    }
    match handshake(stream) {
        Some(bytes) => client_hello(&bytes, last).map(|hello| hello.facts(Transport::Tcp)),
        None if stream.len() <= 5 && !last => Parsed::More,
        None => Parsed::Other,
    }
}

/// Reads a `ClientHello` message: type, length, body. With `last`, nothing more will come.
pub fn client_hello(message: &[u8], last: bool) -> Parsed<Hello<'_>> {
    let mut head = Reader(message);
    let (kind, len) = (head.u8(), head.u24());
    if kind.is_some_and(|kind| kind != CLIENT_HELLO) || len.is_some_and(|len| len > MAX_CLAIM) {
        return Parsed::Other;
    }
    let is_here = len.is_some_and(|len| head.0.len() >= len);
    if !is_here && !last {
        return Parsed::More;
    }
    let body = len.and_then(|len| head.0.get(..len)).unwrap_or(head.0);
    match read(body, false) {
        Some(hello) => Parsed::Whole(Hello { whole: hello.whole && is_here, ..hello }),
        None => Parsed::Other,
    }
}

/// Reads the body of a hello; `None` where it ends before the cipher suites do.
fn read(body: &[u8], is_dtls: bool) -> Option<Hello<'_>> {
    let mut rest = Reader(body);
    let version = rest.u16()?;
    // Random.
    rest.take(32)?;
    // Session.
    rest.vec8().filter(|session| session.len() <= 32)?;
    if is_dtls {
        // Cookie.
        rest.vec8()?;
    }
    let ciphers = rest.vec16()?;
    let mut hello = Hello { version, ciphers, ..Hello::default() };
    // Compression methods, then the extensions, which old hellos lack.
    hello.whole = rest.vec8().is_some() && (rest.0.is_empty() || hello.read_extensions(rest).is_some());
    Some(hello)
}

impl<'a> Hello<'a> {
    /// `None` where they end early.
    fn read_extensions(&mut self, mut rest: Reader<'a>) -> Option<()> {
        let len = usize::from(rest.u16()?);
        let is_here = rest.0.len() >= len;
        let mut list = Reader(rest.0.get(..len).unwrap_or(rest.0));
        while !list.0.is_empty() {
            let kind = list.u16()?;
            let content = list.vec16()?;
            self.extensions.push(kind);
            match kind {
                SERVER_NAME if self.server_name.is_none() => self.server_name = server_name(content),
                ALPN if self.alpn.is_empty() => self.alpn = protocols(content),
                SUPPORTED_VERSIONS => self.versions = Reader(content).vec8().unwrap_or(&[]),
                SIGNATURE_ALGORITHMS => self.signatures = Reader(content).vec16().unwrap_or(&[]),
                _ => {}
            }
        }
        is_here.then_some(())
    }

    /// What is kept of it.
    pub fn facts(&self, transport: Transport) -> TlsHello {
        let name = self.server_name.filter(|name| !name.is_empty());
        TlsHello {
            sni: name.map(|name| text(name, MAX_NAME)),
            alpn: self.alpn.iter().map(|name| text(name, MAX_NAME)).collect(),
            ja4: self.whole.then(|| ja4::fingerprint(self, transport)),
        }
    }
}

/// The first host name of a `server_name` list (RFC 6066 §3).
fn server_name(content: &[u8]) -> Option<&[u8]> {
    let mut list = Reader(Reader(content).vec16()?);
    loop {
        let (kind, name) = (list.u8()?, list.vec16()?);
        if kind == 0 {
            return Some(name);
        }
    }
}

/// Names of a protocol list (RFC 7301 §3.1).
fn protocols(content: &[u8]) -> Vec<&[u8]> {
    let mut list = Reader(Reader(content).vec16().unwrap_or(&[]));
    std::iter::from_fn(|| list.vec8()).take(MAX_ALPN).collect()
}

/// Reads a hello in the first record of a DTLS datagram (RFC 6347 §4.2), where it is not split.
pub fn datagram(datagram: &[u8]) -> Parsed<TlsHello> {
    match dtls(datagram) {
        Some(hello) => Parsed::Whole(hello.facts(Transport::Dtls)),
        None => Parsed::Other,
    }
}

fn dtls(datagram: &[u8]) -> Option<Hello<'_>> {
    let mut rest = Reader(datagram);
    let (kind, version, epoch) = (rest.u8()?, rest.u16()?, rest.u16()?);
    if kind != HANDSHAKE || version >> 8 != 0xfe || epoch != 0 {
        return None;
    }
    // Sequence number.
    rest.take(6)?;
    let mut message = Reader(rest.vec16()?);
    let (kind, len) = (message.u8()?, message.u24()?);
    // Message number, fragment offset, fragment length.
    let (_, offset, fragment) = (message.u16()?, message.u24()?, message.u24()?);
    let is_one = kind == CLIENT_HELLO && offset == 0 && fragment == len;
    is_one.then(|| message.take(len)).flatten().and_then(|body| read(body, true))
}
