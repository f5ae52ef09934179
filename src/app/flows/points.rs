//! The observation points of the captures: a meter each.
//!
//! Contract: the same name with the same link type is one point, also in several files. Design: a packet finds its meter by file
//! and interface number; names are compared once an interface.

use std::collections::BTreeMap;

use super::summary::{PointFlows, Totals};
use super::{Metering, Records, Tap};
use crate::decode::{LinkType, TunnelPorts};
use crate::flow::Meter;
use crate::input::ObservationPoint;
use crate::observe::Interface;

/// A point, its meter, and what its records add up to.
struct Point {
    name: ObservationPoint,
    link: LinkType,
    meter: Meter,
    totals: Totals,
}

/// All points.
pub(super) struct Points {
    metering: Metering,
    all: Vec<Point>,
    /// The point of each interface of each file; [`Self::UNKNOWN`] where no packet has come yet.
    places: Vec<Vec<usize>>,
    names: BTreeMap<(ObservationPoint, LinkType), usize>,
}

impl Points {
    const UNKNOWN: usize = usize::MAX;

    pub(super) const fn new(metering: Metering) -> Self {
        Self { metering, all: Vec::new(), places: Vec::new(), names: BTreeMap::new() }
    }

    /// The meter of a file's interface, and what its records add up to.
    pub(super) fn of(&mut self, file: usize, number: usize, interface: &Interface) -> (&mut Meter, &mut Totals) {
        let known = self.places.get(file).and_then(|places| places.get(number)).copied();
        let place = match known {
            Some(place) if place != Self::UNKNOWN => place,
            _ => self.meet(file, number, interface),
        };
        let Point { meter, totals, .. } = &mut self.all[place];
        (meter, totals)
    }

    /// The first packet of an interface.
    #[cold]
    fn meet(&mut self, file: usize, number: usize, interface: &Interface) -> usize {
        let Interface { point, link, .. } = interface;
        let place = *self.names.entry((point.clone(), *link)).or_insert_with(|| {
            let meter = Meter::new(point.clone(), *link, self.metering.limits);
            let meter = meter.with_layer(self.metering.layer, TunnelPorts::new(&self.metering.vxlan_ports));
            self.all.push(Point { name: point.clone(), link: *link, meter, totals: Totals::default() });
            self.all.len() - 1
        });
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

    /// Ends every record, point by point in the order of their first packets.
    pub(super) fn drain(&mut self, mut records: Option<&mut Records<'_>>) {
        for Point { meter, totals, .. } in &mut self.all {
            meter.drain(&mut Tap { totals, records: records.as_deref_mut() });
        }
    }

    /// What each point counted, in order of name.
    pub(super) fn into_summaries(self) -> Vec<PointFlows> {
        let points = &self.all;
        self.names
            .values()
            .map(|place| &points[*place])
            .map(|point| PointFlows::of(&point.name, point.link, point.meter.stats(), &point.totals))
            .collect()
    }
}
