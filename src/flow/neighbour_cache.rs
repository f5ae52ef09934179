//! The last claims of each address at one observation point, so that only new ones are reported.
//!
//! Contract: reported are a MAC that an address was not claimed for lately, a change back to the other of its last two MACs, at most once
//! [`AGAIN`] an address, a claim that stands since [`RENEW`], for consumers that came later, and one that asks for an address that its MAC did not
//! ask for lately. What is withheld is counted.
//! Limits: [`MAX_ADDRESSES`], and as many questions; when full, the one that was seen first goes, is counted, and is new when it comes again.
//! Design: only frames without IP and neighbour discovery come here; places are used in turn, so the oldest is the next.

use std::collections::VecDeque;
use std::net::IpAddr;
use std::time::Duration;

use super::counters::PointCounters;
use super::packet::Packet;
use crate::decode::{Claim, LinkType, arp_claim, neighbour_claim};
use crate::input::{Mac, NeighbourClaim, ObservationPoint};
use crate::time::Timestamp;

/// Addresses remembered.
pub(super) const MAX_ADDRESSES: usize = 4096;
/// A change between two MACs that were both reported is reported again after so long.
const AGAIN: Duration = Duration::from_secs(1);
/// A claim that does not change is reported again after so long.
const RENEW: Duration = Duration::from_mins(1);

/// What was claimed for an address.
#[derive(Clone, Copy, Debug)]
struct Place {
    ip: IpAddr,
    /// The MAC reported last.
    mac: Mac,
    /// The one reported before, while it is another.
    before: Option<Mac>,
    reported: Timestamp,
}

/// Who asked for which address.
type Question = (Mac, IpAddr);

/// The latest questions.
#[derive(Debug, Default)]
struct Questions {
    known: hashbrown::HashSet<Question, foldhash::fast::RandomState>,
    order: VecDeque<Question>,
    forgotten: u64,
}

impl Questions {
    /// Whether it was not asked lately; from now on it was.
    fn is_new(&mut self, question: Question) -> bool {
        if !self.known.insert(question) {
            return false;
        }
        self.order.push_back(question);
        if self.order.len() > MAX_ADDRESSES
            && let Some(oldest) = self.order.pop_front()
        {
            self.known.remove(&oldest);
            self.forgotten += 1;
        }
        true
    }
}

/// The addresses and their last claims.
#[derive(Debug, Default)]
pub(super) struct NeighbourCache {
    places: Vec<Place>,
    by_ip: hashbrown::HashMap<IpAddr, usize, foldhash::fast::RandomState>,
    /// The oldest, once all places are taken.
    next: usize,
    questions: Questions,
    reported: u64,
    withheld: u64,
    forgotten: u64,
}

impl NeighbourCache {
    /// What a frame claims, if that is new.
    pub(super) fn observe(
        &mut self,
        packet: &Packet,
        data: &[u8],
        (point, link): (&ObservationPoint, LinkType),
        now: Timestamp,
    ) -> Option<NeighbourClaim> {
        let claim = if packet.key.is_none() { arp_claim(link, data) } else { neighbour_claim(&packet.headers, data) };
        let Claim { kind, ip, mac, asks, src_mac, dst_mac } = claim.filter(|claim| self.is_reported(claim, now))?;
        let frame_mac = src_mac.filter(|src| *src != mac);
        Some(NeighbourClaim { point: point.clone(), kind, ip, mac, asks, frame_mac, to: dst_mac })
    }

    /// Whether a claim must be reported; it is recorded as reported then.
    fn is_reported(&mut self, claim: &Claim, now: Timestamp) -> bool {
        let asks_anew = claim.asks.is_some_and(|asks| self.questions.is_new((claim.mac, asks)));
        let is_reported = self.is_new(claim.ip, claim.mac, now) || asks_anew;
        *(if is_reported { &mut self.reported } else { &mut self.withheld }) += 1;
        is_reported
    }

    /// Whether it says something new of an address.
    fn is_new(&mut self, ip: IpAddr, mac: Mac, now: Timestamp) -> bool {
        let known = self.by_ip.get(&ip).and_then(|at| self.places.get_mut(*at));
        let is_new = known.map(|place| place.is_new(mac, now));
        if is_new.is_none() {
            self.insert(Place { ip, mac, before: None, reported: now });
        }
        is_new.unwrap_or(true)
    }

    fn insert(&mut self, place: Place) {
        if self.places.len() < MAX_ADDRESSES {
            self.by_ip.insert(place.ip, self.places.len());
            self.places.push(place);
        } else if let Some(oldest) = self.places.get_mut(self.next) {
            self.by_ip.remove(&oldest.ip);
            self.by_ip.insert(place.ip, self.next);
            *oldest = place;
            self.next = (self.next + 1) % MAX_ADDRESSES;
            self.forgotten += 1;
        }
    }

    /// What the meter counted, with what was counted here.
    pub(super) fn counted(&self, stats: &PointCounters) -> PointCounters {
        PointCounters {
            claims_reported: self.reported,
            claims_withheld: self.withheld,
            claims_forgotten: self.forgotten + self.questions.forgotten,
            ..stats.clone()
        }
    }
}

impl Place {
    fn is_new(&mut self, mac: Mac, now: Timestamp) -> bool {
        let age = now.since(self.reported);
        let is_new = if mac == self.mac {
            age >= RENEW
        } else {
            // A MAC that was not reported lately is reported at once, or a single forged answer right behind the true one would be missed.
            self.before != Some(mac) || age >= AGAIN
        };
        if is_new {
            if mac != self.mac {
                self.before = Some(self.mac);
                self.mac = mac;
            }
            self.reported = now;
        }
        is_new
    }
}
