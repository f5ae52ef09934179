//! First-payload facts of UDP flows: DNS, QUIC, DTLS, `OpenVPN`.
//!
//! Contract: every datagram stands for itself, except that a QUIC hello may be spread over several, in any order.
//! Limits: [`MAX_INITIALS`] Initial packets a flow are decrypted; then what came is what there is.

use super::content::Fact;
use super::stream::{Stream, WINDOW};
use super::{Interest, Probes, Seat};
use crate::decode::Headers;
use crate::decode::app::quic::{Initial, Initials, Keys, crypto_frames};
use crate::decode::app::{Parsed, dns, openvpn, quic, tls};
use crate::input::{QuicInitial, TlsHello};

/// Initial packets of a flow that are decrypted.
const MAX_INITIALS: u8 = 24;

/// A QUIC handshake that is not complete.
#[derive(Debug, Default)]
pub(super) struct Quic {
    keys: Option<Keys>,
    pub(super) crypto: Stream,
    tried: u8,
}

impl Quic {
    /// The hello so far.
    pub(super) fn hello(&self, last: bool) -> Parsed<TlsHello> {
        tls::client_hello(self.crypto.prefix(), last).map(|hello| hello.facts(tls::Transport::Quic))
    }

    /// Decrypts a packet. After a Retry the keys follow from another connection id, and so they do in a new connection.
    fn open(&mut self, packet: &Initial<'_>, plain: &mut Vec<u8>) -> bool {
        if self.keys.as_ref().is_some_and(|keys| packet.open(keys, plain)) {
            return true;
        }
        let Some(keys) = Keys::client(packet.version, packet.destination) else { return false };
        let is_open = packet.open(&keys, plain);
        if is_open {
            self.crypto = Stream::default();
            self.keys = Some(keys);
        }
        is_open
    }

    /// Takes the handshake bytes of a decrypted payload.
    fn take(&mut self, plain: &[u8], is_cut: bool) {
        crypto_frames(plain, is_cut, |offset, bytes| {
            if let Some(offset) = usize::try_from(offset).ok().filter(|offset| *offset < WINDOW) {
                self.crypto.push(offset, bytes);
            }
        });
    }
}

impl Probes {
    /// A datagram.
    pub(super) fn datagram(
        &mut self,
        interest: &mut Interest,
        seat: &mut Seat,
        side: usize,
        headers: &Headers,
        payload: &[u8],
    ) {
        let is_dns = super::is_dns(headers);
        if quic::may_begin(payload) {
            self.initials(interest, seat, side, payload);
        } else if let Some(reset) = openvpn::datagram(payload, headers.payload_bytes as usize) {
            self.keep(interest, seat, side, Fact::OpenVpn(reset));
            interest.end();
        } else if self.is_counting(seat) {
            self.count_question(seat, dns::is_question(payload));
        } else if let Some(question) = self.question(seat, payload, is_dns) {
            self.keep(interest, seat, side, Fact::Dns(question));
        } else if let Parsed::Whole(hello) = tls::datagram(payload) {
            self.keep(interest, seat, side, Fact::Tls(hello));
            interest.end();
        } else if is_dns || self.is_started(seat) {
            interest.disappoint(side);
        } else {
            interest.set(side, 0);
        }
    }

    /// A question, by its port, by those before it in the flow, or beyond doubt.
    fn question(&mut self, seat: &Seat, payload: &[u8], is_dns: bool) -> Option<dns::Question> {
        let is_expected = is_dns || self.is_more_dns(seat);
        let may_be = is_expected || dns::may_be_query(payload);
        let question = may_be.then(|| dns::read(payload, &mut self.name)).flatten()?;
        (is_expected || dns::is_certain(payload, &self.name, &question)).then_some(question)
    }

    /// Whether the flow has asked before.
    fn is_more_dns(&self, seat: &Seat) -> bool {
        let facts = self.all.get(seat.slot as usize).and_then(|probe| probe.facts.as_ref());
        facts.is_some_and(|facts| !facts.dns.is_empty())
    }

    /// Whether the flow has said something.
    fn is_started(&self, seat: &Seat) -> bool {
        self.all.get(seat.slot as usize).is_some_and(|probe| probe.facts.is_some() || probe.work.is_some())
    }

    /// Initial packets of QUIC.
    fn initials(&mut self, interest: &mut Interest, seat: &mut Seat, side: usize, payload: &[u8]) {
        let mut plain = std::mem::take(&mut self.plain);
        let Some(mut quic) = self.work(seat).map(|work| work.quic.take().unwrap_or_default()) else {
            return interest.end();
        };
        let (held, mut hello, mut opened) = (quic.crypto.held(), Parsed::More, None);
        for packet in Initials::new(payload) {
            quic.tried += 1;
            if quic.tried > MAX_INITIALS || hello != Parsed::More {
                break;
            }
            if quic.open(&packet, &mut plain) {
                opened = Some(packet.version);
                quic.take(&plain, packet.is_cut());
                hello = quic.hello(false);
            }
        }
        self.plain = plain;
        if let Some(version) = opened {
            // The other side is the server: what it protects has other keys.
            interest.set(side ^ 1, 0);
            self.keep(interest, seat, side, Fact::Quic(QuicInitial { version }));
        } else {
            interest.disappoint(side);
        }
        let is_over = quic.tried >= MAX_INITIALS || hello != Parsed::More || interest.is_none();
        if let Some(hello) = hello.whole() {
            self.keep(interest, seat, side, Fact::Tls(hello));
        }
        self.store(interest, seat, (quic, held), is_over);
    }

    fn store(&mut self, interest: &mut Interest, seat: &Seat, (quic, held): (Quic, usize), is_over: bool) {
        self.buffered = (self.buffered + quic.crypto.held()).saturating_sub(held);
        if let Some(work) = self.all.get_mut(seat.slot as usize).and_then(|probe| probe.work.as_mut()) {
            work.quic = Some(quic);
        }
        if is_over {
            interest.end();
            self.drop_work(seat);
        }
    }
}
