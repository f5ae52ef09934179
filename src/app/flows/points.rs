//! The observation points of the captures: a meter each.

use super::super::point_places::PointPlaces;
use super::summary::{PointFlows, Totals};
use super::{Metering, Records, Tap};
use crate::decode::{LinkType, TunnelPorts};
use crate::flow::{FlowSink, Frame, Meter, Meters, Stages};
use crate::input::ObservationPoint;
use crate::observe::{Batch, Interface};

/// A point, its meter, and what its records add up to.
struct Point {
    name: ObservationPoint,
    link: LinkType,
    meter: Meter,
    totals: Totals,
}

/// The meters, and where their records go.
struct Taps<'t, 'a> {
    all: &'t mut [Point],
    records: Option<&'t mut Records<'a>>,
}

impl Meters for Taps<'_, '_> {
    #[inline]
    fn meter(&mut self, place: usize) -> &mut Meter {
        &mut self.all[place].meter
    }

    #[inline]
    fn with_sink(&mut self, place: usize) -> (&mut Meter, impl FlowSink) {
        let Point { meter, totals, .. } = &mut self.all[place];
        (meter, Tap { totals, records: self.records.as_deref_mut() })
    }
}

/// All points.
pub(super) struct Points {
    metering: Metering,
    all: Vec<Point>,
    stages: Stages,
    places: PointPlaces,
}

impl Points {
    pub(super) fn new(metering: Metering) -> Self {
        Self { metering, all: Vec::new(), stages: Stages::default(), places: PointPlaces::default() }
    }

    /// Meters the packets of a file.
    pub(super) fn take(&mut self, file: usize, batch: &Batch<'_>, records: Option<&mut Records<'_>>) {
        let (mut places, mut frames) = ([0; Batch::MAX], [Frame::EMPTY; Batch::MAX]);
        let mut is_one = true;
        for (n, (interface, frame)) in batch.packets().enumerate() {
            (places[n], frames[n]) = (self.place(file, interface, batch), frame);
            is_one &= places[n] == places[0];
        }
        let frames = &frames[..batch.packets().len()];
        let mut meters = Taps { all: &mut self.all, records };
        if is_one {
            let (meter, mut tap) = meters.with_sink(places[0]);
            self.stages.one(meter, frames, &mut tap);
        } else {
            self.stages.run(&mut meters, |n| places[n], frames);
        }
    }

    /// Where the meter of a file's interface is.
    fn place(&mut self, file: usize, number: usize, batch: &Batch<'_>) -> usize {
        match (self.places.get(file, number), batch.origin(number)) {
            (Some(place), _) => place,
            (None, Some(interface)) => self.meet(file, number, interface),
            // The reader gives no packet of an interface that it does not know.
            (None, None) => 0,
        }
    }

    /// The first packet of an interface.
    #[cold]
    fn meet(&mut self, file: usize, number: usize, interface: &Interface) -> usize {
        let Interface { point, link, .. } = interface;
        self.places.meet(file, number, interface, || {
            let meter = Meter::new(point.clone(), *link, self.metering.limits);
            let meter = meter.with_layer(self.metering.layer, TunnelPorts::new(&self.metering.vxlan_ports));
            self.all.push(Point { name: point.clone(), link: *link, meter, totals: Totals::default() });
            self.all.len() - 1
        })
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
        self.places
            .named()
            .map(|(_, place)| &points[place])
            .map(|point| PointFlows::of(&point.name, point.link, point.meter.stats(), &point.totals))
            .collect()
    }
}
