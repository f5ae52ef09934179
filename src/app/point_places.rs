//! Where the meter of each interface of each capture file is.
//!
//! Contract: the same name with the same link type is one point, also in several files.
//! Design: a packet finds its meter by file and interface number; names are compared once an interface.

use std::collections::BTreeMap;

use crate::decode::LinkType;
use crate::input::ObservationPoint;
use crate::observe::Interface;

/// Places of meters in a list.
#[derive(Debug, Default)]
pub(super) struct PointPlaces {
    /// The place of each interface of each file; [`Self::UNKNOWN`] where no packet has come yet.
    places: Vec<Vec<usize>>,
    names: BTreeMap<(ObservationPoint, LinkType), usize>,
}

impl PointPlaces {
    const UNKNOWN: usize = usize::MAX;

    /// Where the meter of a file's interface is; `None` for its first packet.
    #[inline]
    pub(super) fn get(&self, file: usize, number: usize) -> Option<usize> {
        let known = self.places.get(file).and_then(|places| places.get(number)).copied();
        known.filter(|place| *place != Self::UNKNOWN)
    }

    /// The first packet of an interface: its place, which `add` gives to a point that is new.
    #[cold]
    pub(super) fn meet(
        &mut self,
        file: usize,
        number: usize,
        interface: &Interface,
        add: impl FnOnce() -> usize,
    ) -> usize {
        let place = *self.names.entry((interface.point.clone(), interface.link)).or_insert_with(add);
        if self.places.len() <= file {
            self.places.resize(file + 1, Vec::new());
        }
        let places = &mut self.places[file];
        if places.len() <= number {
            places.resize(number + 1, Self::UNKNOWN);
        }
        places[number] = place;
        place
    }

    /// Names and link types with their places, in order.
    pub(super) fn named(&self) -> impl Iterator<Item = (&(ObservationPoint, LinkType), usize)> {
        self.names.iter().map(|(name, place)| (name, *place))
    }
}
