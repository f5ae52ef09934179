//! What is due next: a timing wheel over slots, exact to the nanosecond.
//!
//! Contract: [`Wheel::peek`] gives armed slots in the order of (deadline, slot), whatever the steps in which time passes. A
//! deadline that moved later since the slot was armed needs no call: it is asked for again when the slot comes up. One that
//! moved earlier must be armed again. Limits: slots below [`NO_SLOT`]; memory is eight bytes a slot.
//! Design: buckets of equal spans hold linked lists of slots, so that a packet costs nothing here. When a bucket is opened its
//! slots go to a heap with their deadlines of now, or on to a later bucket. What lies beyond the last bucket waits in a list
//! of its own until the wheel has turned so far.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::Duration;

use super::index::NO_SLOT;
use crate::time::Timestamp;

/// Buckets of a wheel: a power of two, and a multiple of the bits of a word.
const BUCKETS: usize = 512;
/// The same number, for arithmetic with bucket numbers.
const TURN: i64 = 512;
const WORDS: usize = BUCKETS / 64;
/// In `Node::previous`: the slot is not armed.
const ABSENT: u32 = NO_SLOT - 1;
/// In `Node::previous`: the slot is in the heap; `Node::next` is its ticket.
const OPEN: u32 = NO_SLOT - 2;
/// In `Node::previous`: the slot is the first of the bucket with the number in the lower bits.
const FIRST: u32 = 1 << 31;

#[derive(Clone, Copy, Debug)]
struct Node {
    previous: u32,
    next: u32,
}

/// Armed slots by deadline.
#[derive(Debug)]
pub(super) struct Wheel {
    /// Span of a bucket: two to this power nanoseconds.
    shift: u32,
    nodes: Vec<Node>,
    /// First slots of the buckets; the last one of what lies beyond them. There are none before the first slot is armed.
    heads: Box<[u32]>,
    /// A bit a bucket that is not empty.
    occupied: [u64; WORDS],
    /// The first bucket that is not open, counted since the epoch.
    cursor: i64,
    /// What lies beyond the buckets is not due before this one.
    far: i64,
    heap: BinaryHeap<Reverse<(Timestamp, u32, u32)>>,
    tickets: u32,
}

impl Wheel {
    /// Slots must be smaller than this.
    pub(super) const MAX_SLOTS: u32 = FIRST - 1;

    /// A wheel for deadlines that are usually at most `span` away.
    pub(super) fn new(span: Duration) -> Self {
        let bucket = (span.as_nanos() / (BUCKETS as u128 / 2)).clamp(1 << 20, 1 << 36);
        Self {
            shift: u128::BITS - bucket.leading_zeros(),
            nodes: Vec::new(),
            heads: Box::default(),
            occupied: [0; WORDS],
            cursor: i64::MIN >> 1,
            far: i64::MAX,
            heap: BinaryHeap::new(),
            tickets: 0,
        }
    }

    fn bucket(&self, time: Timestamp) -> i64 {
        time.as_nanos() >> self.shift
    }

    /// Arms a slot, wherever it was before. `now` is the time that was reached.
    pub(super) fn arm(&mut self, slot: u32, deadline: Timestamp, now: Timestamp) {
        self.disarm(slot);
        if self.heads.is_empty() {
            self.heads = vec![NO_SLOT; BUCKETS + 1].into();
        }
        if self.nodes.len() <= slot as usize {
            self.nodes.resize(slot as usize + 1, Node { previous: ABSENT, next: NO_SLOT });
        }
        if self.occupied == [0; WORDS] {
            self.cursor = self.cursor.max(self.bucket(now));
        }
        self.place(slot, deadline);
    }

    /// Takes a slot out, if it is armed.
    pub(super) fn disarm(&mut self, slot: u32) {
        let Some(Node { previous, next }) = self.nodes.get(slot as usize).copied() else { return };
        self.nodes[slot as usize].previous = ABSENT;
        if previous == ABSENT || previous == OPEN {
            // In the heap its ticket is void now.
            return;
        }
        if let Some(node) = self.nodes.get_mut(next as usize) {
            node.previous = previous;
        }
        if previous & FIRST == 0 {
            self.nodes[previous as usize].next = next;
            return;
        }
        let place = (previous & !FIRST) as usize;
        self.heads[place] = next;
        if next == NO_SLOT {
            self.empty(place);
        }
    }

    /// A list has become empty.
    fn empty(&mut self, place: usize) {
        match self.occupied.get_mut(place / 64) {
            Some(word) => *word &= !(1 << (place % 64)),
            None => self.far = i64::MAX,
        }
    }

    /// Puts a slot that is in no list where its deadline belongs.
    fn place(&mut self, slot: u32, deadline: Timestamp) {
        let bucket = self.bucket(deadline);
        if bucket < self.cursor {
            self.tickets = self.tickets.wrapping_add(1);
            self.nodes[slot as usize] = Node { previous: OPEN, next: self.tickets };
            self.heap.push(Reverse((deadline, slot, self.tickets)));
            self.drop_void();
            return;
        }
        let place = if bucket - self.cursor < TURN {
            let place = place_of(bucket);
            self.occupied[place / 64] |= 1 << (place % 64);
            place
        } else {
            self.far = self.far.min(bucket);
            BUCKETS
        };
        let next = std::mem::replace(&mut self.heads[place], slot);
        if let Some(node) = self.nodes.get_mut(next as usize) {
            node.previous = slot;
        }
        self.nodes[slot as usize] = Node { previous: FIRST | u32::try_from(place).unwrap_or(0), next };
    }

    /// Void entries never outnumber the slots: who opens and resets connections all day does not grow the heap.
    fn drop_void(&mut self) {
        if self.heap.len() > 2 * self.nodes.len() + BUCKETS {
            let nodes = &self.nodes;
            self.heap.retain(|Reverse((_, slot, ticket))| {
                let node = nodes[*slot as usize];
                node.previous == OPEN && node.next == *ticket
            });
        }
    }

    /// The slot with the first deadline and that deadline, if it is not after `limit`; it stays armed.
    pub(super) fn peek(&mut self, limit: Timestamp, deadline: impl Fn(u32) -> Timestamp) -> Option<(Timestamp, u32)> {
        loop {
            while let Some(&Reverse((due, slot, ticket))) = self.heap.peek() {
                let node = self.nodes[slot as usize];
                let is_void = node.previous != OPEN || node.next != ticket;
                if !is_void && due > limit {
                    return None;
                }
                let real = if is_void { due } else { deadline(slot) };
                if !is_void && real == due {
                    return Some((due, slot));
                }
                self.heap.pop();
                if !is_void {
                    self.place(slot, real);
                }
            }
            let bucket = self.next_bucket().min(self.far);
            if bucket > self.bucket(limit) || bucket == i64::MAX {
                return None;
            }
            self.open(bucket, &deadline);
        }
    }

    /// Nothing is due before this.
    pub(super) fn next_check(&self) -> Timestamp {
        if let Some(Reverse((due, ..))) = self.heap.peek() {
            return *due;
        }
        match self.next_bucket().min(self.far) {
            i64::MAX => Timestamp::MAX,
            bucket => Timestamp::from_nanos(bucket << self.shift),
        }
    }

    /// The first bucket with slots; the largest number if there is none.
    fn next_bucket(&self) -> i64 {
        let start = place_of(self.cursor);
        // The word of the cursor twice: first its upper part, at last its lower part.
        let found = (0..=WORDS).find_map(|step| {
            let word = (start / 64 + step) % WORDS;
            let mask = match step {
                0 => u64::MAX << (start % 64),
                WORDS => !(u64::MAX << (start % 64)),
                _ => u64::MAX,
            };
            let bits = self.occupied[word] & mask;
            (bits != 0).then(|| {
                let place = word * 64 + bits.trailing_zeros() as usize;
                self.cursor + i64::try_from(place.wrapping_sub(start) % BUCKETS).unwrap_or(0)
            })
        });
        found.unwrap_or(i64::MAX)
    }

    /// Turns the wheel to a bucket, before which nothing waits, and moves its slots, or what lies beyond the buckets, to where
    /// they belong by now.
    fn open(&mut self, bucket: i64, deadline: &impl Fn(u32) -> Timestamp) {
        let is_far = bucket == self.far;
        let place = if is_far { BUCKETS } else { place_of(bucket) };
        let mut slot = std::mem::replace(&mut self.heads[place], NO_SLOT);
        self.empty(place);
        self.cursor = self.cursor.max(if is_far { bucket } else { bucket + 1 });
        while slot != NO_SLOT {
            let next = self.nodes[slot as usize].next;
            self.place(slot, deadline(slot));
            slot = next;
        }
    }
}

/// Where a bucket is in the wheel.
fn place_of(bucket: i64) -> usize {
    usize::try_from(bucket.rem_euclid(TURN)).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[derive(Clone, Debug)]
    enum Step {
        /// A slot is armed with a deadline so far away.
        Arm(usize, i64),
        Disarm(usize),
        /// The deadline of a slot moves later, without a word to the wheel.
        Delay(usize, i64),
        /// Time passes, and everything due is taken.
        Pass(i64),
        /// The first slot is taken, due or not.
        Take,
    }

    fn step() -> impl Strategy<Value = Step> {
        let slot = 0_usize..12;
        let span = prop_oneof![0_i64..50, 0_i64..100_000, Just(i64::MAX / 8)];
        prop_oneof![
            4 => (slot.clone(), span.clone()).prop_map(|(slot, span)| Step::Arm(slot, span.saturating_mul(1_000_000))),
            1 => slot.clone().prop_map(Step::Disarm),
            2 => (slot, 0_i64..100_000).prop_map(|(slot, span)| Step::Delay(slot, span * 1_000_000)),
            2 => (0_i64..200_000).prop_map(|span| Step::Pass(span * 1_000_000)),
            1 => Just(Step::Take),
        ]
    }

    fn first(model: &[Option<i64>; 12]) -> Option<(i64, usize)> {
        let armed = model.iter().enumerate().filter_map(|(slot, deadline)| Some(((*deadline)?, slot)));
        armed.min()
    }

    #[test]
    fn slots_armed_again_and_again_do_not_pile_up() {
        let mut wheel = Wheel::new(Duration::from_mins(1));
        let start = Timestamp::from_secs(1_700_000_000);
        wheel.arm(0, start.plus(Duration::from_mins(1)), start);
        // Looking for the first to end turns the wheel ahead of the clock; nearer deadlines go to the heap.
        assert!(wheel.peek(Timestamp::MAX, |_| start.plus(Duration::from_mins(1))).is_some());
        for _ in 0..100_000 {
            wheel.arm(1, start.plus(Duration::from_secs(5)), start);
        }
        assert!(wheel.heap.len() <= 2 * wheel.nodes.len() + BUCKETS);
        assert_eq!(
            wheel
                .peek(Timestamp::MAX, |slot| start.plus(Duration::from_secs(if slot == 1 { 5 } else { 60 })))
                .map(|(_, slot)| slot),
            Some(1)
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, cases: 1000, ..ProptestConfig::default() })]

        #[test]
        fn gives_what_a_sorted_list_would(steps in prop::collection::vec(step(), 0..80)) {
            let mut wheel = Wheel::new(Duration::from_mins(1));
            let mut model = [None; 12];
            let mut now = 1_700_000_000_000_000_000_i64;
            for step in steps {
                let mut limit = None;
                match step {
                    Step::Arm(slot, span) => {
                        let deadline = now.saturating_add(span);
                        model[slot] = Some(deadline);
                        wheel.arm(u32::try_from(slot).unwrap(), Timestamp::from_nanos(deadline), Timestamp::from_nanos(now));
                    }
                    Step::Disarm(slot) => {
                        model[slot] = None;
                        wheel.disarm(u32::try_from(slot).unwrap());
                    }
                    Step::Delay(slot, span) => model[slot] = model[slot].map(|deadline: i64| deadline.saturating_add(span)),
                    Step::Pass(span) => {
                        now += span;
                        limit = Some(now);
                    }
                    Step::Take => limit = first(&model).map(|(deadline, _)| deadline),
                }
                let Some(limit) = limit else { continue };
                let is_exact = matches!(step, Step::Take);
                while let Some((deadline, slot)) = first(&model).filter(|(deadline, _)| *deadline <= limit) {
                    prop_assert!(wheel.next_check().as_nanos() <= deadline);
                    let asked = if is_exact { Timestamp::MAX } else { Timestamp::from_nanos(limit) };
                    let found = wheel.peek(asked, |slot| Timestamp::from_nanos(model[slot as usize].unwrap()));
                    prop_assert_eq!(found, Some((Timestamp::from_nanos(deadline), u32::try_from(slot).unwrap())));
                    wheel.disarm(u32::try_from(slot).unwrap());
                    model[slot] = None;
                }
                let deadline = |slot: u32| Timestamp::from_nanos(model[slot as usize].unwrap());
                prop_assert_eq!(wheel.peek(Timestamp::from_nanos(limit), deadline), None);
            }
        }
    }
}
