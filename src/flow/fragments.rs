//! Fragments: later pieces of an IP packet learn the ports that only the first one has.
//!
//! Contract: every piece that is put in comes out exactly once: at once, when its first piece arrives, or without ports when
//! that does not arrive. The pieces of a packet that wait keep their order.
//! Limits: [`MAX_PACKETS`] packets and [`MAX_HELD`] pieces are remembered, for [`WAIT`] of packet time after the last piece; what has to go early is
//! counted. Addresses, protocol and identification are the key (RFC 791, RFC 8200): networks that use the same
//! addresses in different tunnels are not distinguished.
//! Design: a map, and its keys in order of deadlines; only fragments ever come here.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::net::IpAddr;
use std::time::Duration;

use foldhash::fast::RandomState;

use crate::decode::{Fragment, Headers};
use crate::input::Protocol;
use crate::time::Timestamp;

/// How long pieces of a packet belong together (Linux reassembles for as long).
const WAIT: Duration = Duration::from_secs(30);
/// Packets in pieces that are remembered at once.
const MAX_PACKETS: usize = 4096;
/// Pieces that wait for their first one.
const MAX_HELD: usize = 4096;

/// A counted-once packet, without its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Piece {
    pub(super) at: Timestamp,
    pub(super) wire_len: u32,
    pub(super) headers: Headers,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
struct Key {
    src: IpAddr,
    dst: IpAddr,
    id: u32,
    protocol: Protocol,
}

/// What only a first piece knows.
#[derive(Clone, Copy, Debug)]
struct Known {
    protocol: Protocol,
    src_port: u16,
    dst_port: u16,
    one_way: bool,
}

#[derive(Debug, Default)]
struct Packet {
    known: Option<Known>,
    held: Vec<Piece>,
    /// When it is given up; its place among the deadlines may be an earlier one.
    due: Timestamp,
}

/// When a packet is given up; the number keeps the order among equals.
type Place = (Timestamp, u64);

/// Packets in pieces.
#[derive(Debug, Default)]
pub(super) struct Fragments {
    packets: HashMap<Key, Packet, RandomState>,
    deadlines: BTreeMap<Place, Key>,
    ready: VecDeque<Piece>,
    held: usize,
    touched: u64,
    evicted: u64,
}

impl Fragments {
    /// A piece: comes back with ports if they are known, else it waits and comes out of [`Self::ready`].
    pub(super) fn put(&mut self, piece: Piece, fragment: Fragment, now: Timestamp) -> Option<Headers> {
        let key = key(&piece.headers, fragment);
        if fragment.is_first() {
            self.learn(key, &piece.headers, now);
            return Some(piece.headers);
        }
        if self.held >= MAX_HELD && !self.packets.contains_key(&key) {
            self.evicted += 1;
            return Some(piece.headers);
        }
        let is_full = self.held >= MAX_HELD;
        let packet = self.touch(key, now);
        if let Some(known) = packet.known {
            return Some(known.applied(&piece.headers));
        }
        if is_full {
            self.evicted += 1;
            return Some(piece.headers);
        }
        packet.held.push(piece);
        self.held += 1;
        None
    }

    /// The next piece whose waiting is over.
    pub(super) fn ready(&mut self) -> Option<Piece> {
        self.ready.pop_front()
    }

    /// No packet is given up before this.
    #[inline]
    pub(super) fn next_deadline(&self) -> Option<Timestamp> {
        self.deadlines.first_key_value().map(|((deadline, _), _)| *deadline)
    }

    /// Gives up on packets whose time is over.
    pub(super) fn expire(&mut self, now: Timestamp) {
        while let Some(entry) = self.deadlines.first_entry().filter(|entry| entry.key().0 <= now) {
            let (place, key) = entry.remove_entry();
            if self.is_over(place, key) {
                self.forget(&key);
            }
        }
    }

    /// Gives up on all packets.
    pub(super) fn drain(&mut self) {
        while self.forget_oldest() {}
    }

    /// Pieces that are in and have not come out.
    pub(super) fn waiting(&self) -> u64 {
        (self.held + self.ready.len()) as u64
    }

    /// Packets forgotten, and pieces not held, because there were too many.
    pub(super) const fn evicted(&self) -> u64 {
        self.evicted
    }

    /// Keeps what a first piece knows, and lets those go that wait for it. The same identification may be used again.
    fn learn(&mut self, key: Key, headers: &Headers, now: Timestamp) {
        let known = Known {
            protocol: headers.protocol,
            src_port: headers.src_port,
            dst_port: headers.dst_port,
            one_way: headers.one_way,
        };
        let packet = self.touch(key, now);
        packet.known = Some(known);
        let held = std::mem::take(&mut packet.held);
        self.held -= held.len();
        self.ready.extend(held.into_iter().map(|piece| Piece { headers: known.applied(&piece.headers), ..piece }));
    }

    /// The packet of a key, with a new deadline; a new one makes room first.
    fn touch(&mut self, key: Key, now: Timestamp) -> &mut Packet {
        while self.packets.len() >= MAX_PACKETS && !self.packets.contains_key(&key) {
            self.forget_oldest();
            self.evicted += 1;
        }
        let due = now.plus(WAIT);
        let packet = self.packets.entry(key).or_insert_with(|| {
            self.touched += 1;
            self.deadlines.insert((due, self.touched), key);
            Packet::default()
        });
        packet.due = due;
        packet
    }

    /// Whether a packet's time is over when its deadline comes; if it was renewed it gets a later place.
    fn is_over(&mut self, (deadline, number): Place, key: Key) -> bool {
        let due = self.packets.get(&key).map_or(deadline, |packet| packet.due);
        if due > deadline {
            self.deadlines.insert((due, number), key);
        }
        due <= deadline
    }

    /// Forgets the packet whose time is over first; false when there is none.
    fn forget_oldest(&mut self) -> bool {
        while let Some((place, key)) = self.deadlines.pop_first() {
            if self.is_over(place, key) {
                self.forget(&key);
                return true;
            }
        }
        false
    }

    /// Forgets a packet; what is held of it comes out without ports.
    fn forget(&mut self, key: &Key) {
        let held = self.packets.remove(key).map(|packet| packet.held).unwrap_or_default();
        self.held -= held.len();
        self.ready.extend(held);
    }
}

impl Known {
    const fn applied(self, headers: &Headers) -> Headers {
        Headers {
            protocol: self.protocol,
            src_port: self.src_port,
            dst_port: self.dst_port,
            one_way: self.one_way,
            ..*headers
        }
    }
}

const fn key(headers: &Headers, fragment: Fragment) -> Key {
    Key { src: headers.src, dst: headers.dst, id: fragment.id, protocol: fragment.protocol }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::{Decoded, LinkType, decode};

    /// A UDP piece of 8 bytes from a host, with an identification and an offset in units of 8 bytes.
    fn piece(host: u8, id: u16, offset: u16, more: bool) -> (Piece, Fragment) {
        let place = (offset | if more { 0x2000 } else { 0 }).to_be_bytes();
        let id = id.to_be_bytes();
        let mut packet = vec![0x45, 0, 0, 28, id[0], id[1], place[0], place[1], 64, 17, 0, 0];
        packet.extend([10, 0, 0, host, 10, 0, 0, 255, 0x11, 0x11, 0, 53, 0, 100, 0, 0]);
        let Ok(Decoded::Ip(headers)) = decode(LinkType::RAW, 28, &packet) else { panic!("IP") };
        (Piece { at: Timestamp::from_secs(1), wire_len: 28, headers }, headers.fragment.expect("a fragment"))
    }

    fn put(fragments: &mut Fragments, (piece, fragment): (Piece, Fragment), now: Timestamp) -> Option<u16> {
        fragments.put(piece, fragment, now).map(|headers| headers.dst_port)
    }

    #[test]
    fn pieces_wait_for_their_first_one_and_no_other() {
        let mut fragments = Fragments::default();
        let now = Timestamp::from_secs(1);
        assert_eq!(put(&mut fragments, piece(1, 7, 2, false), now), None);
        assert_eq!(put(&mut fragments, piece(1, 8, 0, true), now), Some(53), "another packet");
        assert_eq!(put(&mut fragments, piece(2, 7, 0, true), now), Some(53), "another host");
        assert_eq!((fragments.waiting(), fragments.ready()), (1, None));
        assert_eq!(put(&mut fragments, piece(1, 7, 0, true), now), Some(53));
        assert_eq!(fragments.ready().map(|piece| piece.headers.dst_port), Some(53));
        assert_eq!(put(&mut fragments, piece(1, 7, 1, true), now), Some(53), "one that comes after it");
        assert_eq!((fragments.waiting(), fragments.evicted()), (0, 0));
    }

    #[test]
    fn what_waits_in_vain_comes_out_without_ports() {
        let mut fragments = Fragments::default();
        put(&mut fragments, piece(1, 7, 2, false), Timestamp::from_secs(1));
        assert_eq!(fragments.next_deadline(), Some(Timestamp::from_secs(31)));
        fragments.expire(Timestamp::from_secs(30));
        assert_eq!(fragments.ready(), None);
        fragments.expire(Timestamp::from_secs(31));
        assert_eq!(fragments.ready().map(|piece| piece.headers.dst_port), Some(0));
    }

    #[test]
    fn each_piece_renews_the_wait() {
        let mut fragments = Fragments::default();
        put(&mut fragments, piece(1, 7, 0, true), Timestamp::from_secs(0));
        for second in [20, 40, 60] {
            fragments.expire(Timestamp::from_secs(second));
            assert_eq!(put(&mut fragments, piece(1, 7, 1, true), Timestamp::from_secs(second)), Some(53));
        }
        fragments.expire(Timestamp::from_secs(90));
        assert_eq!(put(&mut fragments, piece(1, 7, 1, true), Timestamp::from_secs(90)), None);
    }

    /// A flood of pieces that never become packets: memory stays bounded and every piece comes out once.
    #[test]
    fn a_flood_is_bounded_and_counted() {
        let mut fragments = Fragments::default();
        let mut out = 0;
        let total = 3 * u16::try_from(MAX_PACKETS).expect("small");
        for id in 0..total {
            out += u64::from(put(&mut fragments, piece(1, id, 1, true), Timestamp::from_secs(1)).is_some());
            out += std::iter::from_fn(|| fragments.ready()).count() as u64;
            assert!(fragments.packets.len() <= MAX_PACKETS && fragments.held <= MAX_HELD);
            assert_eq!(fragments.packets.len(), fragments.deadlines.len());
        }
        assert_eq!(fragments.evicted(), u64::from(total) - MAX_PACKETS as u64);
        fragments.drain();
        out += std::iter::from_fn(|| fragments.ready()).count() as u64;
        assert_eq!((out, fragments.waiting()), (u64::from(total), 0));
    }
}
