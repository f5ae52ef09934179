//! First-payload facts of UDP flows: DNS, QUIC, DTLS, `OpenVPN`.
//!
//! Contract: every datagram stands for itself, except that a QUIC hello may be spread over several, in any order.
//! Limits: [`MAX_INITIALS`] Initial packets per flow are decrypted; then what came is what there is.

use super::content::Fact;
use super::stream::{Stream, WINDOW};
use super::{PayloadBudget, PayloadInspector, PayloadSlot};
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

impl PayloadInspector {
    /// A datagram.
    pub(super) fn datagram(
        &mut self,
        budget: &mut PayloadBudget,
        slot: &mut PayloadSlot,
        side: usize,
        headers: &Headers,
        payload: &[u8],
    ) {
        let is_dns = super::is_dns(headers);
        if quic::may_begin(payload) {
            self.initials(budget, slot, side, payload);
        } else if let Some(reset) = openvpn::datagram(payload, headers.payload_bytes as usize) {
            self.keep(budget, slot, side, Fact::OpenVpn(reset));
            budget.end();
        } else if self.is_counting(slot) {
            self.count_question(slot, dns::is_question(payload));
            if side == 1
                && let Some(answer) = dns::read(payload, &mut self.name)
            {
                self.note_answer(slot, side, &answer, payload);
            }
        } else if let Some(question) = self.question(slot, payload, is_dns) {
            self.note_answer(slot, side, &question, payload);
            self.keep(budget, slot, side, Fact::Dns(question));
        } else if let Parsed::Whole(hello) = tls::datagram(payload) {
            self.keep(budget, slot, side, Fact::Tls(hello));
            budget.end();
        } else if is_dns || self.is_started(slot) {
            budget.disappoint(side);
        } else {
            budget.set(side, 0);
        }
    }

    /// A question, by its port, by those before it in the flow, or beyond doubt.
    fn question(&mut self, slot: &PayloadSlot, payload: &[u8], is_dns: bool) -> Option<dns::Question> {
        let is_expected = is_dns || self.is_more_dns(slot);
        let may_be = is_expected || dns::may_be_query(payload);
        let question = may_be.then(|| dns::read(payload, &mut self.name)).flatten()?;
        (is_expected || dns::is_certain(payload, &self.name, &question)).then_some(question)
    }

    /// Whether the flow has asked before.
    fn is_more_dns(&self, slot: &PayloadSlot) -> bool {
        let facts = self.all.get(slot.index as usize).and_then(|flow| flow.facts.as_ref());
        facts.is_some_and(|facts| !facts.dns.is_empty())
    }

    /// Whether the flow has said something.
    fn is_started(&self, slot: &PayloadSlot) -> bool {
        self.all.get(slot.index as usize).is_some_and(|flow| flow.facts.is_some() || flow.work.is_some())
    }

    /// Initial packets of QUIC.
    fn initials(&mut self, budget: &mut PayloadBudget, slot: &mut PayloadSlot, side: usize, payload: &[u8]) {
        let mut plain = std::mem::take(&mut self.plain);
        let Some(mut quic) = self.work(slot).map(|work| work.quic.take().unwrap_or_default()) else {
            return budget.end();
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
            budget.set(side ^ 1, 0);
            self.keep(budget, slot, side, Fact::Quic(QuicInitial { version }));
        } else {
            budget.disappoint(side);
        }
        let is_over = quic.tried >= MAX_INITIALS || hello != Parsed::More || budget.is_none();
        if let Some(hello) = hello.whole() {
            self.keep(budget, slot, side, Fact::Tls(hello));
        }
        self.store(budget, slot, (quic, held), is_over);
    }

    fn store(&mut self, budget: &mut PayloadBudget, slot: &PayloadSlot, (quic, held): (Quic, usize), is_over: bool) {
        self.buffered = (self.buffered + quic.crypto.held()).saturating_sub(held);
        if let Some(work) = self.all.get_mut(slot.index as usize).and_then(|flow| flow.work.as_mut()) {
            work.quic = Some(quic);
        }
        if is_over {
            budget.end();
            self.drop_work(slot);
        }
    }
}
