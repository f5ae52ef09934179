//! What the engine is given under a flood: the source of the flood is left out, and no other.

use std::collections::VecDeque;
use std::sync::Arc;

use hopwatch::flow::{Admission, Backlog, PointKind, Pressure, Receipt, SAMPLE, Share, WINDOW, Worth};
use hopwatch::input::Mac;
use hopwatch::time::Timestamp;
use proptest::prelude::*;

const EVENT: u64 = 700;
const CAPACITY: u64 = 10_000 * EVENT;

fn at(micros: i64) -> Timestamp {
    Timestamp::from_nanos(1_000_000_000_000 + micros * 1000)
}

fn mac(number: u32) -> Mac {
    let [a, b, c, d] = number.to_be_bytes();
    Mac([2, 0, a, b, c, d])
}

/// An engine that consumes so many events a millisecond, behind one tap.
struct World {
    admission: Admission,
    backlog: Arc<Backlog>,
    waiting: VecDeque<Receipt>,
}

impl World {
    fn new(kind: PointKind) -> Self {
        let backlog = Arc::new(Backlog::new(CAPACITY));
        Self { admission: Admission::new(Arc::clone(&backlog), kind), backlog, waiting: VecDeque::new() }
    }

    fn offers(&mut self, micros: i64, source: u32, worth: Worth) -> bool {
        let admitted = self.admission.admits(at(micros), Some(mac(source)), worth, EVENT);
        if admitted {
            self.waiting.push_back(self.admission.receipt());
        }
        admitted
    }

    fn consume(&mut self, events: usize) {
        self.waiting.drain(..events.min(self.waiting.len()));
    }
}

#[test]
fn without_pressure_everything_is_admitted() {
    let mut world = World::new(PointKind::Shared);
    for number in 0..100_000 {
        assert!(world.offers(number * 10, 1, Worth::Uncovered), "100,000 a second, consumed as they come: {number}");
        world.consume(1);
    }
    assert_eq!((world.admission.shed_total(), world.backlog.pressure().waiting), (0, 0));
}

#[test]
fn a_scanner_is_sampled_until_it_opens_few_flows_again() {
    let mut world = World::new(PointKind::Shared);
    let mut admitted = |from: i64, count: i64, step: i64| {
        (0..count).filter(|number| world.offers(from + number * step, 1, Worth::Uncovered)).count()
    };
    let first = admitted(0, 100_000, 1);
    assert!((1000..10_000).contains(&first), "its share of what is free, and no more: {first}");
    let sample = admitted(100_000, 100_000, 1);
    assert!(sample <= SAMPLE as usize, "{sample}");
    world.consume(usize::MAX);
    let mut admitted = |from: i64, count: i64, step: i64| {
        (0..count).filter(|number| world.offers(from + number * step, 1, Worth::Uncovered)).count()
    };
    assert_eq!(admitted(200_000, 100_000, 1), SAMPLE as usize, "the engine has time, and it still floods");
    assert_eq!(admitted(300_000, 100, 1000), 100, "100 in a window");
    assert_eq!(admitted(400_000, 1000, 100), 1000, "a scanner no more");
}

#[test]
fn what_was_left_out_is_reported_of_its_source_only_and_once() {
    let mut world = World::new(PointKind::Shared);
    (0..50_000).for_each(|number| _ = world.offers(number, 7, Worth::Uncovered));
    assert!(world.offers(50_000, 8, Worth::Covered));
    let unreported = world.admission.unreported();
    assert_eq!(unreported.iter().map(|shed| shed.source).collect::<Vec<_>>(), [Some(mac(7))]);
    assert_eq!(unreported[0].count, world.admission.shed_total());
    world.admission.reported();
    assert!(!world.admission.has_unreported() && world.admission.unreported().is_empty());
}

#[test]
fn many_sources_that_flood_are_one_loss_of_the_point() {
    let mut world = World::new(PointKind::Shared);
    (0..500_000)
        .for_each(|number| _ = world.offers(number, u32::try_from(number % 5000).expect("small"), Worth::Uncovered));
    let unreported = world.admission.unreported();
    assert_eq!((unreported.len(), unreported[0].source, unreported[0].count), (1, None, world.admission.shed_total()));
}

#[test]
fn on_its_own_link_a_container_gains_nothing_by_forging_macs() {
    let mut world = World::new(PointKind::OneSource);
    let admitted =
        (0..100_000).filter(|number| world.offers(*number, u32::try_from(*number).expect("small"), Worth::Uncovered));
    assert!(admitted.count() < 10_000);
}

fn worth() -> impl Strategy<Value = Worth> {
    prop_oneof![Just(Worth::Uncovered), Just(Worth::Covered), Just(Worth::Conversation), Just(Worth::Followed)]
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// Whenever a scanner's thousandth start is admitted, so are a covered source's first one and an established conversation.
    #[test]
    fn nobody_is_left_out_before_a_scanners_thousandth(
        waiting in 0..4 * CAPACITY,
        capacity in 1..4 * CAPACITY,
        own in 0..2 * CAPACITY,
        opened in 0..3 * SAMPLE,
        talks in 0..2 * CAPACITY,
    ) {
        let own = own.max(1000 * EVENT).min(waiting);
        prop_assume!(own >= 1000 * EVENT);
        let pressure = Pressure { waiting, capacity };
        let mut scanner = Share::default();
        for number in 0..opened {
            scanner.admits(at(i64::from(number)), Worth::Uncovered, (own, EVENT), pressure);
        }
        if scanner.admits(at(i64::from(opened)), Worth::Uncovered, (own, EVENT), pressure) {
            let mut first = Share::default();
            prop_assert!(first.admits(at(0), Worth::Covered, (0, EVENT), pressure));
            // Of the scanner itself, and of anybody who has no more waiting.
            prop_assert!(scanner.admits(at(0), Worth::Conversation, (own, EVENT), pressure));
            prop_assert!(first.admits(at(0), Worth::Conversation, (talks.min(own), EVENT), pressure));
        }
    }

    /// However many flood, however fast the engine is: who opens a flow every ten milliseconds loses none, and what waits is bounded.
    #[test]
    fn who_opens_few_flows_loses_none_of_them(
        scanners in 1..6_u32,
        each in 1..400_u32,
        consumed in 1..400_usize,
        kinds in proptest::collection::vec(worth(), 6),
    ) {
        let mut world = World::new(PointKind::Shared);
        for milli in 0..150_i64 {
            for scanner in 0..scanners {
                // What belongs to flows that the engine follows comes only for those that were admitted.
                let worth = kinds[scanner as usize].min(Worth::Conversation);
                for number in 0..each {
                    world.offers(milli * 1000 + i64::from(number), 100 + scanner, worth);
                }
            }
            if milli % 10 == 0 {
                prop_assert!(world.offers(milli * 1000 + 999, 1, Worth::Covered), "at {milli} ms");
                prop_assert!(world.offers(milli * 1000 + 999, 2, Worth::Conversation), "at {milli} ms");
            }
            prop_assert!(world.backlog.pressure().waiting <= CAPACITY);
            world.consume(consumed);
        }
        prop_assert!(world.admission.unreported().iter().all(|shed| shed.source >= Some(mac(100))));
        world.consume(usize::MAX);
        prop_assert_eq!(world.backlog.pressure().waiting, 0);
    }

    /// Whatever comes, what waits stays within twice the capacity, and everything is either waiting or counted.
    #[test]
    fn what_waits_is_bounded(events in proptest::collection::vec((0..400_u32, worth()), 1..2000)) {
        let backlog = Arc::new(Backlog::new(200 * EVENT));
        let mut admission = Admission::new(Arc::clone(&backlog), PointKind::Shared);
        let mut receipts = Vec::new();
        for (number, (source, worth)) in (0..).zip(&events) {
            if admission.admits(at(number), Some(mac(*source)), *worth, EVENT) {
                receipts.push(admission.receipt());
            }
        }
        prop_assert!(backlog.pressure().waiting <= 400 * EVENT);
        prop_assert_eq!(receipts.len() as u64 + admission.shed_total(), events.len() as u64);
    }
}

const _: () = assert!(WINDOW.as_millis() == 100, "the tests count in such windows");
