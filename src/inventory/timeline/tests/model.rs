//! Property tests against a naive model: a table of who owned what in each second, filled by hand.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;

use super::*;

const END: usize = 60;
const ADDRESSES: [&str; 3] = ["172.18.0.2", "172.18.0.3", "172.18.0.4"];

/// One thing that happens, some seconds after the one before.
#[derive(Clone, Debug)]
enum Step {
    /// The workload runs with these addresses: a start, or a change.
    Tell { id: usize, addresses: BTreeSet<usize> },
    /// The runtime reports its end.
    Stop { id: usize },
    /// A whole list, which lacks this one.
    ListWithout { id: usize },
}

fn step() -> impl Strategy<Value = (usize, Step)> {
    let addresses = proptest::collection::btree_set(0..ADDRESSES.len(), 0..3);
    let what = prop_oneof![
        3 => (0..4_usize, addresses).prop_map(|(id, addresses)| Step::Tell { id, addresses }),
        2 => (0..4_usize).prop_map(|id| Step::Stop { id }),
        1 => (0..4_usize).prop_map(|id| Step::ListWithout { id }),
    ];
    (1..4_usize, what)
}

/// Who owned which address in each second, and since when each runs with what.
#[derive(Default)]
struct Naive {
    owned: BTreeMap<(usize, usize), BTreeSet<usize>>,
    running: BTreeMap<usize, (i64, BTreeSet<usize>)>,
}

impl Naive {
    /// Writes a second down for everything that runs.
    fn write(&mut self, second: usize) {
        for (id, (_, addresses)) in &self.running {
            for address in addresses {
                self.owned.entry((*address, second)).or_default().insert(*id);
            }
        }
    }

    fn expected(&self, address: usize, second: usize) -> String {
        let names = |ids: &BTreeSet<usize>| ids.iter().map(|id| format!("w{id}")).collect::<Vec<_>>().join("|");
        if let Some(ids) = self.owned.get(&(address, second)) {
            return names(ids);
        }
        // A span that covered second t has ended by t + 1, and a packet five seconds after its end is still late.
        let last = (second.saturating_sub(6)..second).rev().find(|past| self.owned.contains_key(&(address, *past)));
        let ended = last.map(|past| self.owned_until(address, past));
        match ended {
            Some(ids) if ids.len() == 1 => format!("{}?", names(&ids)),
            Some(ids) => names(&ids),
            None => "external".to_owned(),
        }
    }

    fn owned_until(&self, address: usize, second: usize) -> BTreeSet<usize> {
        self.owned.get(&(address, second)).cloned().unwrap_or_default()
    }
}

fn name(id: usize) -> String {
    format!("w{id}")
}

fn seconds(second: usize) -> i64 {
    i64::try_from(second).expect("small")
}

/// Plays the steps to both, one second at a time.
fn play(steps: &[(usize, Step)], timeline: &mut Timeline, naive: &mut Naive) {
    let mut due = steps.iter();
    let mut next = due.next().map(|(gap, step)| (*gap, step));
    for second in 0..END {
        while let Some((at, step)) = next.filter(|(at, _)| *at == second) {
            take(step, second, timeline, naive);
            next = due.next().map(|(gap, step)| (at + gap, step));
        }
        naive.write(second);
    }
}

fn take(step: &Step, second: usize, timeline: &mut Timeline, naive: &mut Naive) {
    let now = seconds(second);
    match step {
        Step::Tell { id, addresses } => {
            let since = naive.running.get(id).map_or(now, |(since, _)| *since);
            naive.running.insert(*id, (since, addresses.clone()));
            let addresses: Vec<&str> = addresses.iter().map(|address| ADDRESSES[*address]).collect();
            apply(timeline, now, workload(&name(*id), Some(since), &addresses));
        }
        Step::Stop { id } => {
            naive.running.remove(id);
            stop(timeline, now, &name(*id), now);
        }
        Step::ListWithout { id } => {
            naive.running.remove(id);
            let running: Vec<String> = naive.running.keys().map(|id| name(*id)).collect();
            reconcile(timeline, now, &running.iter().map(String::as_str).collect::<Vec<_>>());
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_second_is_answered_as_the_naive_table_does(steps in proptest::collection::vec(step(), 1..25)) {
        let (mut timeline, mut naive) = (timeline(), Naive::default());
        play(&steps, &mut timeline, &mut naive);
        for (number, address) in ADDRESSES.iter().enumerate() {
            for second in 0..END {
                let answer = at(&timeline, address, seconds(second));
                prop_assert_eq!(answer, naive.expected(number, second), "{} at {} after {:?}", address, second, &steps);
            }
        }
        let running: Vec<String> = timeline.running().map(|workload| workload.name.clone()).collect();
        let expected: Vec<String> = naive.running.keys().map(|id| name(*id)).collect();
        prop_assert_eq!(running, expected);
    }

    #[test]
    fn the_capacity_is_never_exceeded(
        steps in proptest::collection::vec((0..40_usize, 0..3_u8, 0..50_i64), 1..200),
        capacity in 0..8_usize,
    ) {
        let limits = TimelineLimits { workloads: capacity, remember: Duration::from_secs(20) };
        let mut timeline = Timeline::new(limits);
        for (id, what, time) in steps {
            match what {
                0 => apply(&mut timeline, time, workload(&name(id), Some(time), &[ADDRESSES[id % 3]])),
                1 => stop(&mut timeline, time, &name(id), time),
                _ => apply(&mut timeline, time, workload(&name(id), Some(time - 10), &[ADDRESSES[(id + 1) % 3]])),
            }
            prop_assert!(timeline.len() <= capacity);
            prop_assert!(timeline.running().count() <= capacity);
            prop_assert!(timeline.lifecycles.index.len() <= capacity * super::super::lifecycles::MAX_SPANS);
        }
    }
}
