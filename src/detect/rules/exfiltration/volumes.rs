//! What one actor sent to and received from each outside peer within an hour.
//!
//! Contract: bytes are exact, but for two peers with one digest; times are whole seconds while a peer got little; half hours take turns, so a sum is of the last half hour to an hour. A peer that was quiet for an hour adds nothing, and is forgotten when room is
//! made, unless it was reported. Limits: [`MAX_PEERS`] peers, of which the one that was quiet longest makes room. Design: most peers get little: until
//! [`SMALL`] bytes a peer is 28 bytes and a digest.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

use crate::detect::anomaly::digest::{Digest, digest};
use crate::detect::anomaly::per_actor::insert_tightly;
use crate::time::Timestamp;

/// Outside peers of one actor that are followed.
const MAX_PEERS: usize = 256;
/// Bytes in one direction from which on a peer has numbers of its own, or less where less is worth a look.
const SMALL: u64 = 1 << 20;
const HOUR: Duration = Duration::from_hours(1);

/// What went to and came from one peer, in two half hours that take turns.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Volume {
    since: Timestamp,
    last: Timestamp,
    sent: [u64; 2],
    received: [u64; 2],
    /// From how many bytes on to look again.
    pub(super) next: u64,
    pub(super) is_named: bool,
    pub(super) is_known_protocol: bool,
}

/// The same while it is little: whole seconds since the epoch.
#[derive(Clone, Copy, Debug)]
struct Little {
    key: Digest,
    since: u32,
    last: u32,
    sent: [u32; 2],
    received: [u32; 2],
    is_named: bool,
    is_known_protocol: bool,
}

/// All peers of an actor.
#[derive(Debug, Default)]
pub(super) struct PeerVolumes {
    /// In order of the key.
    little: Vec<Little>,
    much: BTreeMap<IpAddr, Volume>,
}

/// What a flow adds.
#[derive(Clone, Copy, Debug)]
pub(super) struct Grown {
    pub(super) at: Timestamp,
    pub(super) sent: u64,
    pub(super) received: u64,
    pub(super) is_named: bool,
    pub(super) is_known_protocol: bool,
}

impl PeerVolumes {
    /// Adds what a flow brought; the sum, and how many peers were forgotten. From `worth_a_look` bytes sent on a peer has numbers of its own.
    pub(super) fn add(&mut self, ip: IpAddr, grown: Grown, worth_a_look: u64) -> (Volume, u64) {
        if let Some(known) = self.much.get_mut(&ip) {
            known.add(grown);
            return (*known, 0);
        }
        let key = digest(&ip);
        let place = self.little.binary_search_by_key(&key, |one| one.key);
        let before = place.ok().and_then(|place| self.little.get(place)).copied();
        let mut volume = before.map_or_else(|| Volume::begun(grown.at), Volume::from);
        volume.add(grown);
        match (volume.is_little(worth_a_look).then(|| Little::of(key, &volume)), place) {
            (Some(little), Ok(place)) => {
                if let Some(known) = self.little.get_mut(place) {
                    *known = little;
                }
                (volume, 0)
            }
            (Some(little), Err(_)) => {
                let forgotten = self.make_room(grown.at);
                let place = self.little.partition_point(|one| one.key < key);
                insert_tightly(&mut self.little, place, little);
                (volume, forgotten)
            }
            (None, place) => {
                let forgotten = if let Ok(place) = place {
                    self.little.remove(place);
                    0
                } else {
                    self.make_room(grown.at)
                };
                self.much.insert(ip, volume);
                (volume, forgotten)
            }
        }
    }

    /// The numbers of a peer, where they are worth a look.
    pub(super) fn much(&mut self, ip: &IpAddr) -> Option<&mut Volume> {
        self.much.get_mut(ip)
    }

    /// Forgets what was quiet for an hour, and if that is not enough the one that was quiet longest; how many of those that still counted.
    fn make_room(&mut self, now: Timestamp) -> u64 {
        let is_full = || self.little.len() + self.much.len() >= MAX_PEERS;
        if self.little.len() == self.little.capacity() || is_full() {
            let horizon = seconds(now.minus(HOUR));
            self.little.retain(|one| one.last >= horizon);
            self.much.retain(|_, one| one.next > 0 || now.since(one.last) < HOUR);
        }
        if self.little.len() + self.much.len() < MAX_PEERS {
            return 0;
        }
        let little = self.little.iter().enumerate().min_by_key(|(_, one)| one.last);
        let little = little.map(|(place, one)| (one.last, place));
        let much = self.much.iter().min_by_key(|(_, one)| one.last).map(|(ip, one)| (seconds(one.last), *ip));
        match (little, much) {
            (Some((last, place)), other) if other.is_none_or(|(other, _)| last <= other) => {
                self.little.remove(place);
            }
            (_, Some((_, ip))) => drop(self.much.remove(&ip)),
            _ => {}
        }
        1
    }
}

impl Volume {
    fn begun(at: Timestamp) -> Self {
        Self { since: at, last: at, ..Self::default() }
    }

    fn add(&mut self, grown: Grown) {
        let age = grown.at.since(self.since);
        if age >= HOUR / 2 {
            let keep = |[newer, _]: [u64; 2]| if age < HOUR { [0, newer] } else { [0, 0] };
            (self.sent, self.received, self.since) = (keep(self.sent), keep(self.received), grown.at);
        }
        self.last = self.last.max(grown.at);
        self.sent[0] = self.sent[0].saturating_add(grown.sent);
        self.received[0] = self.received[0].saturating_add(grown.received);
        self.is_named |= grown.is_named;
        self.is_known_protocol |= grown.is_known_protocol;
    }

    /// Bytes sent and received.
    pub(super) fn sum(&self) -> (u64, u64) {
        let sum = |[newer, older]: [u64; 2]| newer.saturating_add(older);
        (sum(self.sent), sum(self.received))
    }

    fn is_little(&self, worth_a_look: u64) -> bool {
        let (sent, received) = self.sum();
        sent < worth_a_look.min(SMALL) && received < SMALL
    }
}

impl Little {
    fn of(key: Digest, volume: &Volume) -> Self {
        let small = |bytes: [u64; 2]| bytes.map(|bytes| u32::try_from(bytes).unwrap_or(u32::MAX));
        Self {
            key,
            since: seconds(volume.since),
            last: seconds(volume.last),
            sent: small(volume.sent),
            received: small(volume.received),
            is_named: volume.is_named,
            is_known_protocol: volume.is_known_protocol,
        }
    }
}

impl From<Little> for Volume {
    fn from(little: Little) -> Self {
        let at = |seconds: u32| Timestamp::from_secs(i64::from(seconds));
        Self {
            since: at(little.since),
            last: at(little.last),
            sent: little.sent.map(u64::from),
            received: little.received.map(u64::from),
            next: 0,
            is_named: little.is_named,
            is_known_protocol: little.is_known_protocol,
        }
    }
}

fn seconds(at: Timestamp) -> u32 {
    u32::try_from(at.since(Timestamp::default()).as_secs()).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grown(secs: i64, sent: u64) -> Grown {
        let at = Timestamp::from_secs(1_764_000_000 + secs);
        Grown { at, sent, received: 7, is_named: false, is_known_protocol: true }
    }

    fn ip(number: u32) -> IpAddr {
        IpAddr::from(number.to_be_bytes())
    }

    #[test]
    fn little_and_much_are_summed_alike_and_an_hour_later_nothing_is_left() {
        let mut volumes = PeerVolumes::default();
        for (secs, sent, sum) in
            [(0, 1000, 1000), (10, SMALL, SMALL + 1000), (1900, 5, SMALL + 1005), (3800, 5, 10), (9000, 3, 3)]
        {
            assert_eq!(volumes.add(ip(1), grown(secs, sent), u64::MAX).0.sum().0, sum, "at {secs}");
        }
        assert_eq!((volumes.much.len(), volumes.little.len()), (1, 0));
        assert_eq!(volumes.add(ip(2), grown(9000, 1000), u64::MAX).0.sum(), (1000, 7));
        assert_eq!(volumes.add(ip(2), grown(10_900, 1), u64::MAX).0.sum(), (1001, 14));
    }

    #[test]
    fn peers_are_bounded_the_quiet_go_first_and_only_those_that_still_count_are_counted() {
        let mut volumes = PeerVolumes::default();
        let mut forgotten = 0;
        for number in 0..300 {
            forgotten += volumes.add(ip(number), grown(i64::from(number), 10), u64::MAX).1;
        }
        assert_eq!((volumes.little.len(), forgotten), (MAX_PEERS, 44));
        for number in 300..600 {
            forgotten += volumes.add(ip(number), grown(20_000 + i64::from(number), 10), u64::MAX).1;
        }
        assert_eq!(forgotten, 88);
        assert!(volumes.little.len() <= MAX_PEERS);
        assert!(volumes.add(ip(1), grown(30_000, 10), u64::MAX).0.sum().0 == 10, "the first is long forgotten");
    }
}
