//! The observation points of the captures: a meter each.

use super::super::point_filters::PointFilters;
use super::super::point_places::PointPlaces;
use super::summary::{PointFlows, Totals};
use super::{Metering, Records, Tap};
use crate::decode::{LinkType, TunnelPorts};
use crate::flow::{FlowSink, Frame, Meter, Meters, Stages};
use crate::input::ObservationPoint;
use crate::observe::filter::FilterError;
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
    filter: Option<PointFilters>,
}

impl Points {
    pub(super) fn new(metering: Metering) -> Self {
        let filter = metering.filter.clone().map(PointFilters::new);
        Self { metering, all: Vec::new(), stages: Stages::default(), places: PointPlaces::default(), filter }
    }

    /// Meters the packets of a file.
    pub(super) fn take(
        &mut self,
        file: usize,
        batch: &Batch<'_>,
        records: Option<&mut Records<'_>>,
    ) -> Result<(), FilterError> {
        let (mut places, mut frames) = ([0; Batch::MAX], [Frame::EMPTY; Batch::MAX]);
        let (mut is_one, mut n) = (true, 0);
        for (interface, frame) in batch.packets() {
            let place = self.place(file, interface, batch)?;
            if self.filter.as_mut().is_some_and(|filter| !filter.keeps(place, &frame)) {
                continue;
            }
            (places[n], frames[n]) = (place, frame);
            is_one &= place == places[0];
            n += 1;
        }
        let frames = &frames[..n];
        let mut meters = Taps { all: &mut self.all, records };
        if is_one {
            let (meter, mut tap) = meters.with_sink(places[0]);
            self.stages.one(meter, frames, &mut tap);
        } else {
            self.stages.run(&mut meters, |n| places[n], frames);
        }
        Ok(())
    }

    /// Where the meter of a file's interface is.
    fn place(&mut self, file: usize, number: usize, batch: &Batch<'_>) -> Result<usize, FilterError> {
        match (self.places.get(file, number), batch.origin(number)) {
            (Some(place), _) => Ok(place),
            (None, Some(interface)) => self.meet(file, number, interface),
            // The reader gives no packet of an interface that it does not know.
            (None, None) => Ok(0),
        }
    }

    /// The first packet of an interface.
    #[cold]
    fn meet(&mut self, file: usize, number: usize, interface: &Interface) -> Result<usize, FilterError> {
        let Interface { point, link, .. } = interface;
        let place = self.places.meet(file, number, interface, || {
            let meter = Meter::new(point.clone(), *link, self.metering.limits);
            let meter = meter.with_layer(self.metering.layer, TunnelPorts::new(&self.metering.vxlan_ports));
            self.all.push(Point { name: point.clone(), link: *link, meter, totals: Totals::default() });
            self.all.len() - 1
        });
        if let Some(filter) = &mut self.filter {
            filter.meet(place, point, *link)?;
        }
        Ok(place)
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
            .map(|(_, place)| {
                let point = &points[place];
                let mut stats = point.meter.stats();
                stats.dropped.extend(self.filter.as_ref().and_then(|filter| filter.hidden(place)));
                PointFlows::of(&point.name, point.link, stats, &point.totals)
            })
            .collect()
    }
}
