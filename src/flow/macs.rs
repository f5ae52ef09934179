//! Link addresses of a record: who sent each direction's first packet, and whom it was given to.
//!
//! Contract: what [`Macs::source`] and [`Macs::hop`] give is what the first packet of a direction said.
//! Design: what one end sends from is mostly what the other end sends to, so two places hold all four addresses; a next hop that
//! differs goes to the record's extras.

use crate::input::Mac;

/// The next hop of a direction that has no place, and its direction.
pub(super) type Misfit = (usize, Mac);

/// Link addresses of a record, in 13 bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Macs {
    /// By end: what it sends from, or until it sends, what is sent to it.
    places: [Mac; 2],
    /// Bits 0 and 1: a direction's source is in its place. 2 and 3: its next hop is in the other place.
    known: u8,
}

impl Macs {
    /// Of a record without packets.
    pub(super) const NONE: Self = Self { places: [Mac([0; 6]); 2], known: 0 };

    const fn source_bit(side: usize) -> u8 {
        1 << side
    }

    const fn hop_bit(side: usize) -> u8 {
        4 << side
    }

    /// What a direction was sent from.
    pub(super) fn source(&self, side: usize) -> Option<Mac> {
        self.places.get(side).copied().filter(|_| self.known & Self::source_bit(side) != 0)
    }

    /// What a direction was sent to, unless it was given back as a misfit.
    pub(super) fn hop(&self, side: usize) -> Option<Mac> {
        self.places.get(side ^ 1).copied().filter(|_| self.known & Self::hop_bit(side) != 0)
    }

    /// Takes the first packet of a direction; later ones change nothing. Gives next hops that have no place, if there are any.
    #[inline]
    pub(super) fn see(&mut self, side: usize, source: Option<Mac>, hop: Option<Mac>) -> Option<[Option<Misfit>; 2]> {
        if self.known & Self::source_bit(side) != 0 {
            return None;
        }
        if !self.fits(side, source) || !self.fits(side ^ 1, hop) {
            return Some(self.see_crooked(side, source, hop));
        }
        if let Some(source) = source {
            self.put(side, source);
            self.known |= Self::source_bit(side);
        }
        if let Some(hop) = hop {
            self.put(side ^ 1, hop);
            self.known |= Self::hop_bit(side);
        }
        None
    }

    /// Whether a place is free, or has this address.
    fn fits(&self, side: usize, mac: Option<Mac>) -> bool {
        let is_free = self.known & (Self::source_bit(side) | Self::hop_bit(side ^ 1)) == 0;
        is_free || mac.is_none() || mac.as_ref() == self.places.get(side)
    }

    #[cold]
    fn see_crooked(&mut self, side: usize, source: Option<Mac>, hop: Option<Mac>) -> [Option<Misfit>; 2] {
        let (mut displaced, mut misfit) = (None, None);
        if let Some(source) = source {
            displaced = self.hop(side ^ 1).filter(|there| *there != source).map(|there| (side ^ 1, there));
            if displaced.is_some() {
                self.known &= !Self::hop_bit(side ^ 1);
            }
            self.put(side, source);
            self.known |= Self::source_bit(side);
        }
        if let Some(hop) = hop {
            misfit = self.source(side ^ 1).filter(|there| *there != hop).map(|_| (side, hop));
            if misfit.is_none() {
                self.put(side ^ 1, hop);
                self.known |= Self::hop_bit(side);
            }
        }
        [displaced, misfit]
    }

    fn put(&mut self, side: usize, mac: Mac) {
        if let Some(place) = self.places.get_mut(side) {
            *place = mac;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const _: () = assert!(size_of::<Macs>() == 13);

    fn macs() -> impl Strategy<Value = Option<Mac>> {
        proptest::option::of((0..3_u8).prop_map(|last| Mac([0, 0, 0, 0, 0, last])))
    }

    proptest! {
        /// Against four fields, each written once.
        #[test]
        fn two_places_hold_four_addresses(packets in proptest::collection::vec((0..2_usize, macs(), macs()), 0..6)) {
            let (mut macs, mut extra) = (Macs::NONE, [None; 2]);
            let (mut sources, mut hops) = ([None; 2], [None; 2]);
            let mut seen = [false; 2];
            for (side, source, hop) in packets {
                // The meter shows the first packet of a direction only.
                if std::mem::replace(&mut seen[side], true) {
                    continue;
                }
                for (side, hop) in macs.see(side, source, hop).into_iter().flatten().flatten() {
                    prop_assert_eq!(extra[side].replace(hop), None);
                }
                (sources[side], hops[side]) = (source, hop);
                for side in 0..2 {
                    prop_assert_eq!(macs.source(side), sources[side]);
                    prop_assert_eq!(macs.hop(side).or(extra[side]), hops[side]);
                }
            }
        }
    }

    #[test]
    fn a_later_packet_of_a_direction_changes_nothing() {
        let [a, b, c] = [1, 2, 3].map(|last| Mac([0, 0, 0, 0, 0, last]));
        let mut macs = Macs::NONE;
        assert_eq!(macs.see(0, Some(a), Some(b)), None);
        assert_eq!(macs.see(0, Some(c), Some(c)), None);
        assert_eq!((macs.source(0), macs.hop(0), macs.source(1)), (Some(a), Some(b), None));
    }
}
