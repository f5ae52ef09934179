//! What an attacker may send.

use std::net::Ipv4Addr;

use hopwatch::input::{Mac, tcp_flags};
use proptest::prelude::*;

use super::history::Flow;
use crate::support::frames::{Content, Frame, arp_answer, loose_route};
use crate::support::lan::{APP, EVIL, FAR, GATEWAY, OTHER, PROXY, Port, Wire, address, host_mac, mac};

/// Who sends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Attacker {
    /// The workload itself, with raw sockets.
    App,
    /// A neighbour on the same bridge.
    Neighbour,
    /// A container of another bridge.
    Other,
    /// Somebody outside.
    Outside,
}

/// Whose MAC a frame carries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Borrowed {
    Own,
    App,
    Host,
    Proxy,
    Gateway,
    Nobody,
    /// Every station's: broadcast.
    Everybody,
}

/// Whose addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Claims {
    /// The flow's own packets.
    Forward,
    /// Packets of the far end.
    Reverse,
    /// A flow of a sender that does not exist.
    Nowhere,
    /// The proxy's answers.
    FromProxy,
}

/// One move, repeated `times` times.
#[derive(Clone, Debug)]
#[allow(clippy::struct_excessive_bools, reason = "what a frame may be, any of them together")]
pub struct Attack {
    pub by: Attacker,
    /// Of which flow, and when: milliseconds after its start, from before it to after its end.
    pub flow: usize,
    pub when: i64,
    pub src: Borrowed,
    pub dst: Borrowed,
    pub claims: Claims,
    pub flags: u8,
    /// Whether sequence numbers fit the conversation.
    pub fits: bool,
    pub ttl: u8,
    pub vlan: Option<u16>,
    pub first_bytes: Option<usize>,
    pub is_routed: bool,
    pub payload: usize,
    pub icmp: bool,
    pub arp: bool,
    pub times: u8,
}

pub fn attacks() -> impl Strategy<Value = Vec<Attack>> {
    prop::collection::vec(attack(), 0..5)
}

fn attack() -> impl Strategy<Value = Attack> {
    use tcp_flags::{ACK, FIN, PSH, RST, SYN};
    let by = prop_oneof![
        3 => Just(Attacker::App), 3 => Just(Attacker::Neighbour), 1 => Just(Attacker::Other), 1 => Just(Attacker::Outside)
    ];
    let borrowed = || {
        use Borrowed::{App, Gateway, Host, Nobody, Own, Proxy};
        prop::sample::select(vec![Own, Own, App, Host, Host, Proxy, Gateway, Nobody])
    };
    let claims = prop_oneof![
        3 => Just(Claims::Forward), 4 => Just(Claims::Reverse), 1 => Just(Claims::Nowhere), 1 => Just(Claims::FromProxy)
    ];
    let flags = prop::sample::select(vec![SYN, SYN | ACK, ACK, PSH | ACK, RST, RST | ACK, FIN | ACK, SYN | FIN, 0]);
    let who = (by, 0..3_usize, -3_000_i64..3_000, borrowed(), borrowed(), claims);
    let rarely = prop::bool::weighted;
    let what = (
        (flags, any::<bool>(), prop::sample::select(vec![1_u8, 1, 2, 64])),
        prop::option::weighted(0.1, Just(100_u16)),
        prop::option::weighted(0.1, prop::sample::select(vec![8_usize, 16])),
        (rarely(0.1), rarely(0.05), rarely(0.05)),
        prop::sample::select(vec![0_usize, 0, 20, 600]),
        prop_oneof![6 => Just(1_u8), 1 => 2..40_u8],
    );
    (who, what).prop_map(|((by, flow, when, src, dst, claims), what)| {
        let ((flags, fits, ttl), vlan, first_bytes, (is_routed, icmp, arp), payload, times) = what;
        Attack {
            by,
            flow,
            when,
            src,
            dst,
            claims,
            flags,
            fits,
            ttl,
            vlan,
            first_bytes,
            is_routed,
            payload,
            icmp,
            arp,
            times,
        }
    })
}

impl Attack {
    /// Where it enters.
    fn port(&self) -> Port {
        match self.by {
            Attacker::App => Port::Container(APP),
            Attacker::Neighbour => Port::Container(EVIL),
            Attacker::Other => Port::Container(OTHER),
            Attacker::Outside => Port::Outside,
        }
    }

    /// Whether a frame carries both the address and the MAC of app.
    pub fn is_perfect_forgery(&self) -> bool {
        self.by == Attacker::Neighbour && self.claims == Claims::Forward && self.src == Borrowed::App
    }

    /// Whether it comes before a UDP flow, as a question from outside that a router passed on: no frame shows that there was none, or the host
    /// did pass it on, and the workload may answer it.
    pub fn hides_who_asks(&self, flow: &Flow) -> bool {
        let is_passed_on = self.dst == Borrowed::Host && self.ttl > 1 && self.by != Attacker::App;
        let is_routers = matches!(self.src, Borrowed::Host | Borrowed::Gateway) || self.by == Attacker::Outside;
        let by_router = is_routers || is_passed_on;
        !flow.is_tcp && self.claims == Claims::Reverse && by_router && !self.icmp && !self.is_claim() && self.when <= 0
    }

    /// Whether it is a claim of ARP; outside there are none.
    fn is_claim(&self) -> bool {
        self.arp && self.by != Attacker::Outside
    }

    fn mac(&self, whose: Borrowed) -> Mac {
        match (whose, self.port()) {
            (Borrowed::Own, Port::Container(host)) => mac(host),
            (Borrowed::App, _) => mac(APP),
            (Borrowed::Host, Port::Container(OTHER)) => host_mac(1),
            (Borrowed::Host, _) => host_mac(0),
            (Borrowed::Proxy, _) => mac(PROXY),
            (Borrowed::Gateway, _) => mac(GATEWAY),
            (Borrowed::Everybody, _) => Mac([0xff; 6]),
            (Borrowed::Nobody, _) | (Borrowed::Own, Port::Outside) => Mac([2, 0, 0, 0, 7, 7]),
        }
    }

    /// Sends it.
    pub fn send(&self, wire: &mut Wire, flow: &Flow) {
        let start = i64::try_from(flow.start).expect("a time") * 1000;
        let first = u64::try_from((start + self.when * 1000 + 137).max(1)).expect("after the start");
        for number in 0..u64::from(self.times) {
            let now = first + number * 3_000;
            if let (true, Port::Container(host)) = (self.arp, self.port()) {
                wire.raw(now, host, &arp_answer(self.mac(self.src), address(PROXY), self.mac(self.src)));
                continue;
            }
            wire.send(now, self.port(), &self.frame(flow, u32::try_from(number).expect("few")), false);
        }
    }

    fn frame(&self, flow: &Flow, number: u32) -> Frame {
        let (client, server) = (flow.client(), flow.server());
        let (from, to) = match self.claims {
            Claims::Forward => (client, server),
            Claims::Reverse => (server, client),
            Claims::Nowhere => ((Ipv4Addr::new(203, 0, 113, 77), client.1), (FAR, server.1)),
            Claims::FromProxy => ((address(PROXY), 3128), client),
        };
        let is_forward = self.claims == Claims::Forward;
        let (seq, ack) = if is_forward { (flow.seq(), flow.peer_seq()) } else { (flow.peer_seq(), flow.seq()) };
        let wrong = if self.fits { 0 } else { 77_777 };
        let content = if self.icmp {
            Content::Icmp { kind: 3, payload: 28 + self.payload }
        } else if flow.is_tcp {
            let payload = if self.flags & tcp_flags::SYN == 0 { self.payload } else { 0 };
            let seq = seq.wrapping_add(wrong).wrapping_add(number);
            let ack = if self.flags & tcp_flags::ACK == 0 { 0 } else { ack.wrapping_add(1).wrapping_add(wrong) };
            Content::Tcp { flags: self.flags, seq, ack, payload }
        } else {
            Content::Udp { payload: vec![0x62; self.payload.max(4)] }
        };
        Frame {
            src: self.mac(self.src),
            dst: self.mac(self.dst),
            vlan: self.vlan,
            from,
            to,
            ttl: self.ttl,
            options: if self.is_routed { loose_route(&[address(PROXY)]) } else { vec![] },
            first_bytes: self.first_bytes,
            content,
        }
    }
}
