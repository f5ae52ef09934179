//! Peers that an actor contacted once.
//!
//! Contract: what a series begins with: when, and what was sent and received (of questions: which name). Limits: the caller's; digests instead of keys. A contact
//! more than 49 days after the first that is kept begins the table anew, which is counted. Design: most peers of an actor are contacted once; a series of each
//! would cost ten times as much.

use std::time::Duration;

use crate::detect::anomaly::digest::Digest;
use crate::detect::anomaly::per_actor::insert_tightly;
use crate::time::Timestamp;

/// The first contact.
#[derive(Clone, Copy, Debug)]
struct Once {
    key: Digest,
    /// Milliseconds since the table began.
    at: u32,
    more: [u32; 2],
}

/// See the module.
#[derive(Debug, Default)]
pub(super) struct Seldom {
    began: Timestamp,
    /// In order of the key.
    once: Vec<Once>,
}

impl Seldom {
    pub(super) const fn len(&self) -> usize {
        self.once.len()
    }

    /// The first contact with a peer.
    pub(super) fn get(&self, key: Digest) -> Option<(Timestamp, [u32; 2])> {
        let once = self.once.get(self.place(key).ok()?)?;
        Some((self.time(once), once.more))
    }

    /// A further contact: adds what was sent and received; the earlier start counts.
    pub(super) fn add(&mut self, key: Digest, at: Timestamp, more: [u32; 2]) {
        let (at, place) = (self.millis(at), self.place(key).ok());
        if let Some(once) = place.and_then(|place| self.once.get_mut(place)) {
            once.more = [once.more[0].saturating_add(more[0]), once.more[1].saturating_add(more[1])];
            once.at = once.at.min(at);
        }
    }

    /// Takes in a first contact; how many were forgotten because they are too long ago.
    pub(super) fn insert(&mut self, key: Digest, at: Timestamp, more: [u32; 2]) -> u64 {
        let mut forgotten = 0;
        if self.once.is_empty() || u32::try_from(at.since(self.began).as_millis()).is_err() {
            forgotten = self.once.len() as u64;
            self.once.clear();
            // Flows are reported in the order of their ends.
            self.began = whole_millis(at.minus(Duration::from_hours(1)));
        }
        let at = self.millis(at);
        if let Err(place) = self.place(key) {
            insert_tightly(&mut self.once, place, Once { key, at, more });
        }
        forgotten
    }

    /// A clock was set back, or the first contact's time was wrong.
    fn begin_earlier(&mut self, at: Timestamp) {
        let began = whole_millis(at.minus(Duration::from_hours(1)));
        let later = u32::try_from(self.began.since(began).as_millis()).unwrap_or(u32::MAX);
        self.once.iter_mut().for_each(|once| once.at = once.at.saturating_add(later));
        self.began = began;
    }

    /// A time as the table keeps it.
    fn millis(&mut self, at: Timestamp) -> u32 {
        if at < self.began {
            self.begin_earlier(at);
        }
        u32::try_from(at.since(self.began).as_millis()).unwrap_or(u32::MAX)
    }

    pub(super) fn remove(&mut self, key: Digest) {
        if let Ok(place) = self.place(key) {
            self.once.remove(place);
        }
    }

    /// The one that is longest ago.
    pub(super) fn oldest(&self) -> Option<(Timestamp, Digest)> {
        self.once.iter().min_by_key(|once| once.at).map(|once| (self.time(once), once.key))
    }

    fn place(&self, key: Digest) -> Result<usize, usize> {
        self.once.binary_search_by_key(&key, |once| once.key)
    }

    fn time(&self, once: &Once) -> Timestamp {
        self.began.plus(Duration::from_millis(u64::from(once.at)))
    }
}

/// So that what is kept of a contact does not depend on which one came first.
const fn whole_millis(at: Timestamp) -> Timestamp {
    Timestamp::from_nanos(at.as_nanos() - at.as_nanos().rem_euclid(1_000_000))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(secs: i64) -> Timestamp {
        Timestamp::from_secs(1_764_000_000 + secs)
    }

    #[test]
    fn a_first_contact_is_kept_to_the_millisecond_and_the_oldest_is_known() {
        let mut seldom = Seldom::default();
        assert_eq!(seldom.insert([0, 7], at(5).plus(Duration::from_millis(3)), [10, 20]), 0);
        assert_eq!(seldom.insert([0, 3], at(1), [1, 2]), 0, "it ended later and began before");
        seldom.add([0, 7], at(9), [1, u32::MAX]);
        assert_eq!(seldom.get([0, 7]), Some((at(5).plus(Duration::from_millis(3)), [11, u32::MAX])));
        assert_eq!(seldom.oldest(), Some((at(1), [0, 3])));
        seldom.remove([0, 3]);
        assert_eq!((seldom.get([0, 3]), seldom.len()), (None, 1));
    }

    #[test]
    fn what_is_kept_of_a_contact_does_not_depend_on_the_first() {
        let of = |first: u64| {
            let mut seldom = Seldom::default();
            seldom.insert([0, 1], at(0).plus(Duration::from_nanos(first)), [0; 2]);
            seldom.insert([0, 2], at(9).plus(Duration::from_micros(1_400)), [0; 2]);
            seldom.get([0, 2])
        };
        assert_eq!(of(0), of(900_000));
        assert_eq!(of(0), of(1_500_001));
    }

    #[test]
    fn a_first_contact_with_a_wrong_time_blinds_nothing() {
        let mut seldom = Seldom::default();
        seldom.insert([0, 1], at(86_400), [0; 2]);
        seldom.insert([0, 2], at(0), [0; 2]);
        assert_eq!((seldom.get([0, 1]), seldom.get([0, 2])), (Some((at(86_400), [0; 2])), Some((at(0), [0; 2]))));
        seldom.add([0, 1], at(5), [0; 2]);
        assert_eq!(seldom.get([0, 1]), Some((at(5), [0; 2])));
    }

    #[test]
    fn after_fifty_days_it_begins_anew_and_counts_what_it_forgot() {
        let mut seldom = Seldom::default();
        seldom.insert([0, 1], at(0), [0; 2]);
        seldom.insert([0, 2], at(1), [0; 2]);
        assert_eq!(seldom.insert([0, 3], at(50 * 86_400), [0; 2]), 2);
        assert_eq!((seldom.len(), seldom.get([0, 3])), (1, Some((at(50 * 86_400), [0; 2]))));
    }
}
