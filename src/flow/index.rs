//! Which slot holds the flow of a key.
//!
//! Contract: maps hashes to slots; the caller compares keys. Limits: slots below [`NO_SLOT`]; hashes are 32 bits wide, so the
//! caller must be ready for a stranger with an equal hash.
//! Design: open addressing with linear probing and eight bytes an entry. An entry carries its whole hash, so that growing and
//! removing (by shifting back, without tombstones) never touch the flows; one cache line answers most questions.

/// No slot.
pub(super) const NO_SLOT: u32 = u32::MAX;

#[derive(Clone, Copy, Debug)]
struct Entry {
    hash: u32,
    slot: u32,
}

const EMPTY: Entry = Entry { hash: 0, slot: NO_SLOT };
/// Entries of a new index.
const SMALLEST: usize = 64;

/// Which slot holds the flow of a key.
#[derive(Debug)]
pub(super) struct Index {
    /// A power of two of them, at most three quarters full.
    entries: Vec<Entry>,
    len: usize,
}

impl Index {
    pub(super) fn new() -> Self {
        Self { entries: vec![EMPTY; SMALLEST], len: 0 }
    }

    pub(super) const fn len(&self) -> usize {
        self.len
    }

    const fn mask(&self) -> usize {
        self.entries.len() - 1
    }

    /// The slot with this hash that `is` the wanted one.
    #[inline]
    pub(super) fn find(&self, hash: u32, is: impl Fn(u32) -> bool) -> Option<u32> {
        let mut at = hash as usize & self.mask();
        loop {
            let entry = self.entries[at];
            if entry.slot == NO_SLOT {
                return None;
            }
            if entry.hash == hash && is(entry.slot) {
                return Some(entry.slot);
            }
            at = (at + 1) & self.mask();
        }
    }

    /// Reads where a search for this hash begins, so that the search itself need not wait.
    #[inline]
    pub(super) fn prefetch(&self, hash: u32) -> u32 {
        self.entries[hash as usize & self.mask()].slot
    }

    /// Adds a slot that is not in the index yet.
    pub(super) fn insert(&mut self, hash: u32, slot: u32) {
        if (self.len + 1) * 4 > self.entries.len() * 3 {
            self.grow();
        }
        self.place(Entry { hash, slot });
        self.len += 1;
    }

    fn place(&mut self, entry: Entry) {
        let mut at = entry.hash as usize & self.mask();
        while self.entries[at].slot != NO_SLOT {
            at = (at + 1) & self.mask();
        }
        self.entries[at] = entry;
    }

    fn grow(&mut self) {
        let doubled = vec![EMPTY; self.entries.len() * 2];
        for entry in std::mem::replace(&mut self.entries, doubled) {
            if entry.slot != NO_SLOT {
                self.place(entry);
            }
        }
    }

    /// Removes a slot; entries behind it move up, so that no probe ends too soon.
    pub(super) fn remove(&mut self, hash: u32, slot: u32) {
        let mut hole = hash as usize & self.mask();
        while self.entries[hole].slot != slot {
            if self.entries[hole].slot == NO_SLOT {
                return;
            }
            hole = (hole + 1) & self.mask();
        }
        let mut at = hole;
        loop {
            at = (at + 1) & self.mask();
            let entry = self.entries[at];
            if entry.slot == NO_SLOT {
                break;
            }
            let wanted = entry.hash as usize & self.mask();
            // How far the entry is from where it wants to be, and the hole from there: it may move if the hole lies on its way.
            let distance = at.wrapping_sub(wanted) & self.mask();
            let to_hole = at.wrapping_sub(hole) & self.mask();
            if to_hole <= distance {
                self.entries[hole] = entry;
                hole = at;
            }
        }
        self.entries[hole] = EMPTY;
        self.len -= 1;
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        /// Few different hashes, so that chains are long and wrap around.
        #[test]
        fn behaves_like_a_map(steps in prop::collection::vec((any::<bool>(), 0_u32..200, 0_u32..9), 0..600)) {
            let mut index = Index::new();
            let mut model = BTreeMap::new();
            for (insert, slot, hash) in steps {
                let hash = hash.wrapping_sub(4);
                if insert && !model.contains_key(&slot) {
                    index.insert(hash, slot);
                    model.insert(slot, hash);
                } else if let Some(hash) = model.remove(&slot) {
                    index.remove(hash, slot);
                }
                prop_assert_eq!(index.len(), model.len());
            }
            for (slot, hash) in &model {
                prop_assert_eq!(index.find(*hash, |found| found == *slot), Some(*slot));
            }
            prop_assert_eq!(index.find(5, |_| false), None);
        }
    }
}
