//! The kernel's rings: how their memory is divided among interfaces, and how long they hold packets back.
//!
//! Contract: pure. Every interface gets a ring; all rings together stay within the budget, or within [`MIN_RING`] an interface
//! where that is more. Design: who waits now shares what is left with [`LATER`] that may come.

use std::time::Duration;

/// How long the kernel may hold a filled part of a ring block.
pub(super) const RETIRE: Duration = Duration::from_millis(50);
/// The kernel holds a packet back until its block is retired; its timer and this process may be late by the rest.
pub(super) const HELD_BACK: Duration = RETIRE.saturating_add(Duration::from_millis(10));
/// The smallest ring: four blocks of libpcap's. With two, one of 250 interfaces lost packets at 200,000 a second.
pub const MIN_RING: u32 = 1 << 20;
/// A ring is made of blocks of this size.
const BLOCK: u64 = 256 << 10;
/// Interfaces to come for which some of the budget is kept.
const LATER: u64 = 4;

/// Bytes of the next ring: at most `most`, of a `budget` of which `used` is given away, while `waiting` interfaces, this one
/// included, have none.
pub fn ring_bytes(most: u32, budget: u64, used: u64, waiting: usize) -> u32 {
    let shares = (waiting as u64).max(1).saturating_add(LATER);
    let share = budget.saturating_sub(used) / shares / BLOCK * BLOCK;
    u32::try_from(share).unwrap_or(u32::MAX).min(most).max(MIN_RING)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MIB: u64 = 1 << 20;

    #[test]
    fn few_interfaces_get_what_they_may_have_and_many_share() {
        assert_eq!(ring_bytes(16 << 20, 256 * MIB, 0, 4), 16 << 20);
        assert_eq!(ring_bytes(16 << 20, 256 * MIB, 0, 60), 4 << 20);
        assert_eq!(ring_bytes(16 << 20, 256 * MIB, 256 * MIB, 1), MIN_RING, "the budget is spent");
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn all_rings_together_stay_within_the_budget(groups in proptest::collection::vec(1..200_usize, 1..6), budget in 0..1024_u64, most in 1..64_u32) {
            let (mut used, mut count) = (0_u64, 0_u64);
            for group in groups {
                for waiting in (1..=group).rev() {
                    let ring = ring_bytes(most << 20, budget * MIB, used, waiting);
                    prop_assert!((MIN_RING..=most << 20).contains(&ring));
                    used += u64::from(ring);
                    count += 1;
                }
            }
            prop_assert!(used <= (budget * MIB) + count * u64::from(MIN_RING));
        }
    }
}
