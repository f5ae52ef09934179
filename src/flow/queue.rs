//! A queue of table slots from which any slot can be taken in constant time.
//!
//! Contract: a slot is in a queue at most once; order is the order of pushing. Because the meter's clock only moves forward
//! and every queue has one fixed timeout, that order is the order of deadlines.
//! Design: a doubly linked list whose links lie in one array, indexed by slot.

/// No slot.
const NONE: u32 = u32::MAX;
/// In `Node::previous`: the slot is not in the queue.
const ABSENT: u32 = u32::MAX - 1;

#[derive(Clone, Copy, Debug)]
struct Node {
    previous: u32,
    next: u32,
}

/// A queue of slots.
#[derive(Debug)]
pub(super) struct Queue {
    nodes: Vec<Node>,
    first: u32,
    last: u32,
}

impl Queue {
    /// Slots must be smaller than this.
    pub(super) const MAX_SLOTS: u32 = ABSENT;

    pub(super) const fn new() -> Self {
        Self { nodes: Vec::new(), first: NONE, last: NONE }
    }

    /// The slot that was pushed longest ago.
    pub(super) const fn front(&self) -> Option<u32> {
        if self.first == NONE { None } else { Some(self.first) }
    }

    pub(super) fn contains(&self, slot: u32) -> bool {
        self.nodes.get(slot as usize).is_some_and(|node| node.previous != ABSENT)
    }

    /// Puts a slot at the end, wherever it was before.
    pub(super) fn push(&mut self, slot: u32) {
        if self.last == slot {
            return;
        }
        self.remove(slot);
        if self.nodes.len() <= slot as usize {
            self.nodes.resize(slot as usize + 1, Node { previous: ABSENT, next: NONE });
        }
        self.nodes[slot as usize] = Node { previous: self.last, next: NONE };
        match self.nodes.get_mut(self.last as usize) {
            Some(last) => last.next = slot,
            None => self.first = slot,
        }
        self.last = slot;
    }

    /// Takes a slot out, if it is in.
    pub(super) fn remove(&mut self, slot: u32) {
        if !self.contains(slot) {
            return;
        }
        let Node { previous, next } = self.nodes[slot as usize];
        match self.nodes.get_mut(previous as usize) {
            Some(node) => node.next = next,
            None => self.first = next,
        }
        match self.nodes.get_mut(next as usize) {
            Some(node) => node.previous = previous,
            None => self.last = previous,
        }
        self.nodes[slot as usize].previous = ABSENT;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn content(queue: &mut Queue) -> Vec<u32> {
        std::iter::from_fn(|| queue.front().inspect(|slot| queue.remove(*slot))).collect()
    }

    #[test]
    fn keeps_the_order_of_pushing() {
        let mut queue = Queue::new();
        for slot in [3, 0, 2, 1, 0] {
            queue.push(slot);
        }
        queue.push(3);
        queue.remove(2);
        queue.remove(2);
        queue.remove(77);
        assert!(queue.contains(1) && !queue.contains(2));
        assert_eq!(content(&mut queue), [1, 0, 3]);
        assert_eq!(queue.front(), None);
        queue.push(2);
        assert_eq!(content(&mut queue), [2]);
    }
}
