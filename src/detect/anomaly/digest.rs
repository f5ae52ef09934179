//! A short stand-in for what only must be recognized.
//!
//! Contract: the same in every run. Limits: 32 bits: of 256 things that are known, a new one is taken for one of them once in 16 million. Tables that hold
//! something for each destination of each actor keep digests, since an address with its place costs four times as much.

use std::hash::{BuildHasher as _, Hash};

use foldhash::fast::FixedState;

/// The digest of a thing.
pub fn digest(of: &impl Hash) -> u32 {
    let [a, b, c, d, ..] = FixedState::with_seed(0).hash_one(of).to_be_bytes();
    u32::from_be_bytes([a, b, c, d])
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;
    use std::net::IpAddr;

    use super::*;

    #[test]
    fn addresses_in_a_row_have_digests_of_their_own() {
        let all: BTreeSet<u32> = (0..10_000_u32).map(|number| digest(&IpAddr::from(number.to_be_bytes()))).collect();
        assert!(all.len() > 9990, "{}", all.len());
    }
}
