//! A short stand-in for what only must be recognized.
//!
//! Contract: the same in every run. Limits: 32 bits: of 256 things that are known, a new one is taken for one of them once in 16 million. Tables that hold
//! something for each destination of each actor keep digests, since an address with its place costs four times as much.

use std::hash::{DefaultHasher, Hash, Hasher};

/// The digest of a thing.
pub fn digest(of: &impl Hash) -> u32 {
    let mut hasher = DefaultHasher::new();
    of.hash(&mut hasher);
    let [a, b, c, d, ..] = hasher.finish().to_be_bytes();
    u32::from_be_bytes([a, b, c, d])
}
