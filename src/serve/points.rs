//! Counters by observation point, written by the capture threads and read by a scrape at any time.
//!
//! Contract: a thread replaces its point's numbers once per batch, never per packet, and waits for nobody but another batch or scrape of
//! the same shard for the time of a copy. An interface that is gone keeps its series until one scrape has shown its last numbers; `other`,
//! the sum of the points without series of their own, never falls. Limits: [`MAX_POINTS`] points have series, [`RESERVED`] of them are
//! kept for what is neither a veth nor inside a namespace: however many containers come and go, uplinks and bridges have theirs.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard};

use dashmap::DashMap;

use crate::flow::PointCounters;
use crate::input::ObservationPoint;
use crate::sync;

/// Observation points with series of their own.
pub const MAX_POINTS: usize = 200;
/// Series that veths and interfaces inside namespaces do not take.
const RESERVED: usize = 40;

/// All observation points.
#[derive(Debug, Default)]
pub struct PointTable {
    points: DashMap<ObservationPoint, Point>,
    /// Held while a point appears, ends or is scraped; never while a batch is counted.
    series: Mutex<Series>,
}

#[derive(Debug, Default)]
struct Point {
    /// What former taps at this point counted.
    ended: PointCounters,
    /// What the running tap counts.
    running: PointCounters,
    /// It has series of its own.
    own: bool,
    gone: bool,
    /// A scrape has shown it.
    shown: bool,
}

impl Point {
    fn total(&self) -> PointCounters {
        let mut total = self.ended.clone();
        total += &self.running;
        total
    }
}

#[derive(Debug, Default)]
struct Series {
    own: usize,
    /// Of these, veths and interfaces inside namespaces.
    of_containers: usize,
    /// What points without series of their own counted until they were gone; `None` while there was none.
    other: Option<PointCounters>,
}

/// The counters that a scrape shows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct PointSeries {
    /// Points with series of their own.
    pub own: BTreeMap<String, PointCounters>,
    /// The sum of all others, once there was one.
    pub other: Option<PointCounters>,
}

/// Of these there are as many as there are containers.
fn is_of_a_container(point: &ObservationPoint) -> bool {
    point.as_str().starts_with("veth") || point.as_str().contains(':')
}

impl PointTable {
    /// What the running tap at a point has counted so far.
    pub fn update(&self, point: &ObservationPoint, counters: PointCounters) {
        if let Some(mut known) = self.points.get_mut(point) {
            known.running = counters;
            known.gone = false;
            return;
        }
        let mut series = self.series();
        let own = self.take_series(&mut series, point);
        self.points.insert(point.clone(), Point { running: counters, own, ..Point::default() });
    }

    /// The tap at a point has ended.
    pub fn ended(&self, point: &ObservationPoint) {
        let mut series = self.series();
        let Some(mut known) = self.points.get_mut(point) else { return };
        known.running.active_flows = 0;
        known.ended = known.total();
        known.running = PointCounters::default();
        known.gone = true;
        let own = known.own;
        drop(known);
        if !own {
            self.sum_up(&mut series, point);
        }
    }

    /// The counters now. Interfaces that are gone have been shown afterwards, and are forgotten.
    pub fn scrape(&self) -> PointSeries {
        let mut series = self.series();
        let mut scraped = PointSeries { other: series.other.clone(), ..PointSeries::default() };
        let mut gone = Vec::new();
        for mut point in self.points.iter_mut() {
            let total = point.total();
            if point.own {
                scraped.own.insert(point.key().to_string(), total);
                point.shown = true;
                if point.gone {
                    gone.push(point.key().clone());
                }
            } else {
                *scraped.other.get_or_insert_default() += &total;
            }
        }
        for point in gone {
            self.forget(&mut series, &point);
        }
        scraped
    }

    /// Whether a new point gets series of its own.
    fn take_series(&self, series: &mut Series, point: &ObservationPoint) -> bool {
        let of_containers = is_of_a_container(point);
        let full = |series: &Series| {
            series.own >= MAX_POINTS || (of_containers && series.of_containers >= MAX_POINTS - RESERVED)
        };
        if full(series) {
            self.make_room(series, of_containers);
        }
        if full(series) {
            series.other.get_or_insert_default();
            return false;
        }
        series.own += 1;
        series.of_containers += usize::from(of_containers);
        true
    }

    /// Takes the series of a point that is gone. What no scrape has shown becomes part of `other`.
    fn make_room(&self, series: &mut Series, of_containers: bool) {
        let gone = self
            .points
            .iter()
            .filter(|point| point.own && point.gone && (!of_containers || is_of_a_container(point.key())));
        let Some((shown, point)) = gone.map(|point| (point.shown, point.key().clone())).max() else { return };
        if !shown {
            self.sum_up(series, &point);
        }
        self.forget(series, &point);
    }

    /// Adds a point that is gone to `other`, and forgets it unless it has series of its own.
    fn sum_up(&self, series: &mut Series, point: &ObservationPoint) {
        if let Some(known) = self.points.get(point) {
            *series.other.get_or_insert_default() += &known.total();
        }
        self.points.remove_if(point, |_, known| !known.own);
    }

    fn forget(&self, series: &mut Series, point: &ObservationPoint) {
        if let Some((_, known)) = self.points.remove_if(point, |_, known| known.gone)
            && known.own
        {
            series.own -= 1;
            series.of_containers -= usize::from(is_of_a_container(point));
        }
    }

    fn series(&self) -> MutexGuard<'_, Series> {
        sync::lock(&self.series)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counted(packets: u64) -> PointCounters {
        PointCounters { packets, active_flows: 1, ..PointCounters::default() }
    }

    fn point(name: &str) -> ObservationPoint {
        ObservationPoint::new(name)
    }

    /// A container that comes, sends and goes.
    fn short_lived(table: &PointTable, number: usize) {
        let veth = point(&format!("veth{number:04}"));
        table.update(&veth, counted(10));
        table.ended(&veth);
    }

    fn all(series: &PointSeries) -> u64 {
        series.own.values().chain(&series.other).map(|counters| counters.packets).sum()
    }

    #[test]
    fn an_interface_that_is_gone_is_shown_once_more_and_then_has_no_series() {
        let table = PointTable::default();
        table.update(&point("br-a"), counted(5));
        table.update(&point("veth1"), counted(7));
        table.ended(&point("veth1"));
        let last = table.scrape();
        assert_eq!((last.own["veth1"].packets, last.own["veth1"].active_flows), (7, 0), "its last numbers");
        let names: Vec<_> = table.scrape().own.into_keys().collect();
        assert_eq!(names, ["br-a"]);
    }

    #[test]
    fn after_many_veths_a_new_bridge_has_series_and_other_never_falls() {
        let table = PointTable::default();
        table.update(&point("eth0"), counted(1));
        let mut other = 0;
        for round in 0..4 {
            for number in 0..300 {
                short_lived(&table, round * 300 + number);
            }
            for number in 0..300 {
                table.update(&point(&format!("veth-stays{number}")), counted(10 + round as u64));
            }
            let now = table.scrape().other.map_or(0, |other| other.packets);
            assert!(now >= other, "{now} after {other}");
            other = now;
        }
        table.update(&point("br-late"), counted(3));
        let series = table.scrape();
        assert!(series.own.contains_key("eth0") && series.own.contains_key("br-late"));
        assert!(series.own.len() <= MAX_POINTS);
    }

    #[test]
    fn nothing_that_was_never_scraped_is_lost() {
        let table = PointTable::default();
        for number in 0..1000 {
            short_lived(&table, number);
        }
        assert_eq!(all(&table.scrape()), 10_000);
        assert!(table.points.len() <= MAX_POINTS);
    }

    #[test]
    fn an_interface_that_comes_back_goes_on_counting() {
        let table = PointTable::default();
        table.update(&point("br-a"), counted(5));
        table.ended(&point("br-a"));
        table.update(&point("br-a"), counted(2));
        assert_eq!(table.scrape().own["br-a"].packets, 7);
        assert_eq!(table.scrape().own["br-a"].packets, 7, "it is not gone");
    }

    #[test]
    fn threads_that_count_and_scrape_at_the_same_time_lose_nothing() {
        let table = PointTable::default();
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let table = &table;
                scope.spawn(move || {
                    let veth = point(&format!("veth{thread}"));
                    (1..=1000).for_each(|packets| table.update(&veth, counted(packets)));
                });
            }
            (0..100).for_each(|_| drop(table.scrape()));
        });
        assert_eq!(all(&table.scrape()), 4000);
    }
}
