//! Which connections are translated, and into what.

use crate::input::{FiveTuple, NatBinding, NatFact};
use crate::time::Timestamp;

/// The translations that are known.
#[derive(Debug, Default)]
pub struct Bindings {}

impl Bindings {
    /// Takes in what connection tracking told.
    pub fn apply(&mut self, _at: Timestamp, _fact: &NatFact) {}

    /// The translation that a tuple, read in either direction, is a side of.
    pub fn find(&self, _tuple: &FiveTuple) -> Option<&NatBinding> {
        None
    }

    /// Whether every translation on the host is told now.
    pub const fn is_watched(&self) -> bool {
        false
    }
}
