//! Puts live inputs of many sources into event-time order.
//!
//! Contract: what is released is older than everything that is still to come, as far as the sources keep their promises; the caller says up to when
//! that is. One that comes later than that is passed on at once, and the engine's watermark takes it; so is one from the future, as a clock that was
//! set back leaves them. A fact that is late by up to [`LATE`] gets the time at which the engine learns of it, so that a recording shows it in its place.
//! Limits: holds what arrives meanwhile; what waits in front of it and in it is bounded by the taps' backlog.
//! Design: batches as they came, each in order of time, merged by their first inputs; of one time, facts come first, then frames by the name of their
//! point (as in a replay), then what arrived first. What a batch counted as waiting is given back when its last input has been released.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::collections::binary_heap::PeekMut;
use std::time::Duration;
use std::vec::IntoIter;

use crate::flow::Receipt;
use crate::input::{Fact, Input, ObservationPoint};
use crate::time::Timestamp;

/// By more than this no source is late: the clock was set back.
const LATE: Duration = Duration::from_secs(2);

/// Inputs that wait for their turn.
#[derive(Debug, Default)]
pub struct Reorder {
    held: BinaryHeap<Reverse<Batch>>,
    sequence: u64,
    /// Up to when everything was passed on.
    passed: Timestamp,
}

/// The rest of a batch.
#[derive(Debug)]
struct Batch {
    sequence: u64,
    next: Input,
    rest: IntoIter<Input>,
    /// Held until the batch is over.
    _receipt: Receipt,
}

impl Batch {
    fn key(&self) -> (Timestamp, Option<&ObservationPoint>, u64) {
        (self.next.at, self.next.point(), self.sequence)
    }
}

impl PartialEq for Batch {
    fn eq(&self, other: &Self) -> bool {
        self.key() == other.key()
    }
}

impl Eq for Batch {}

impl PartialOrd for Batch {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Batch {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.key().cmp(&other.key())
    }
}

impl Reorder {
    /// Takes a batch in.
    pub fn hold(&mut self, mut inputs: Vec<Input>, receipt: Receipt) {
        for input in inputs.iter_mut().filter(|input| matches!(input.fact, Fact::Recorded(_))) {
            if self.passed.since(input.at) <= LATE {
                input.at = input.at.max(self.passed);
            }
        }
        if !inputs.is_sorted_by_key(|input| input.at) {
            inputs.sort_by_key(|input| input.at);
        }
        let mut rest = inputs.into_iter();
        if let Some(next) = rest.next() {
            self.held.push(Reverse(Batch { sequence: self.sequence, next, rest, _receipt: receipt }));
            self.sequence += 1;
        }
    }

    /// The next input that happened up to `reached`, or after `future`.
    pub fn pop(&mut self, reached: Timestamp, future: Timestamp) -> Option<Input> {
        let first = self.held.peek_mut().filter(|first| {
            let at = first.0.next.at;
            at <= reached || at > future
        });
        let Some(mut first) = first else {
            self.passed = self.passed.max(reached);
            return None;
        };
        Some(match first.0.rest.next() {
            Some(next) => std::mem::replace(&mut first.0.next, next),
            None => PeekMut::pop(first).0.next,
        })
    }

    /// When the first of those that are held happened.
    pub fn first(&self) -> Option<Timestamp> {
        self.held.peek().map(|batch| batch.0.next.at)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use proptest::prelude::*;

    use super::*;
    use crate::input::{NatFact, RecordedFact, Undecoded};

    fn at(millis: i64) -> Timestamp {
        Timestamp::from_nanos(millis * 1_000_000)
    }

    fn batch(millis: &[i64]) -> Vec<Input> {
        millis.iter().map(|millis| Input::new(at(*millis), Fact::Tick)).collect()
    }

    #[test]
    fn batches_are_merged_in_event_time_order() {
        let mut reorder = Reorder::default();
        reorder.hold(batch(&[10, 30, 50]), Receipt::default());
        reorder.hold(batch(&[40, 20]), Receipt::default());
        reorder.hold(Vec::new(), Receipt::default());
        let future = at(1000);
        let mut released = |until| -> Vec<i64> {
            let inputs = std::iter::from_fn(|| reorder.pop(at(until), future));
            inputs.map(|input| input.at.as_nanos() / 1_000_000).collect()
        };
        assert_eq!((released(9), released(30), released(49)), (vec![], vec![10, 20, 30], vec![40]));
        assert_eq!(reorder.first(), Some(at(50)));
        assert!(reorder.pop(at(0), at(49)).is_some(), "the clock was set back: it would wait for ever");
    }

    #[test]
    fn a_late_fact_gets_the_time_at_which_the_engine_learns_of_it() {
        let mut reorder = Reorder::default();
        let fact = |millis| {
            let fact = Fact::Recorded(RecordedFact::Nat(NatFact::Watched { netns: None }));
            vec![Input::new(at(millis), fact)]
        };
        let mut passed_at = |millis: i64, until: i64| -> Vec<i64> {
            reorder.hold(fact(millis), Receipt::default());
            reorder.hold(vec![seen("veth1", millis, 1)], Receipt::default());
            let inputs = std::iter::from_fn(|| reorder.pop(at(until), at(until + 200)));
            inputs.map(|input| input.at.as_nanos() / 1_000_000).collect()
        };
        assert_eq!(passed_at(9_990, 10_000), [9_990, 9_990]);
        assert_eq!(passed_at(9_950, 10_050), [9_950, 10_000], "a packet keeps its time: the recording has it, too");
        assert_eq!(passed_at(7_000, 10_100), [7_000, 7_000], "the clock was set back");
    }

    /// What a point reports; `number` is its place among the point's.
    fn seen(point: &str, millis: i64, number: u64) -> Input {
        let point = ObservationPoint::new(point);
        let last = at(millis);
        let undecoded = Undecoded { point, mac: None, reason: "non_ip", packets: number, frame_bytes: 0, last };
        Input::new(last, Fact::Undecoded(Box::new(undecoded)))
    }

    fn released(batches: Vec<Vec<Input>>) -> Vec<String> {
        let mut reorder = Reorder::default();
        for batch in batches {
            reorder.hold(batch, Receipt::default());
        }
        std::iter::from_fn(|| reorder.pop(at(1000), at(2000))).map(|input| format!("{input:?}")).collect()
    }

    proptest! {
        /// Each point reports in order of time, in batches; which point's batch comes first is chance.
        #[test]
        fn the_order_in_which_points_report_changes_nothing(
            points in prop::collection::vec(prop::collection::vec(0_i64..8, 0..12), 1..5),
            size in 1_usize..4,
            turns in prop::collection::vec(any::<prop::sample::Index>(), 64),
        ) {
            let mut queues: Vec<VecDeque<Vec<Input>>> = (0..).zip(&points).map(|(index, millis)| {
                let (mut millis, name) = (millis.clone(), format!("veth{index}"));
                millis.sort_unstable();
                let inputs: Vec<Input> = (0..).zip(millis).map(|(number, millis)| seen(&name, millis, number)).collect();
                inputs.chunks(size).map(<[Input]>::to_vec).collect()
            }).collect();
            let in_turn: Vec<Vec<Input>> = queues.iter().flatten().cloned().collect();
            let mut by_chance = Vec::new();
            for turn in turns.iter().cycle() {
                queues.retain(|queue| !queue.is_empty());
                if queues.is_empty() {
                    break;
                }
                by_chance.extend(turn.get_mut(&mut queues).pop_front());
            }
            prop_assert_eq!(released(in_turn), released(by_chance));
        }
    }
}
