//! Windows in which something was not seen, so that absence proves nothing.

use crate::input::{Loss, ObservationPoint};
use crate::time::Timestamp;

/// The windows that are remembered.
#[derive(Debug, Default)]
pub struct Losses {}

impl Losses {
    /// Takes in a loss that was told at a time.
    pub fn apply(&mut self, _at: Timestamp, _loss: &Loss) {}

    /// Whether anything was lost at this point (or everywhere) between two times.
    pub fn overlap(&self, _point: &ObservationPoint, _from: Timestamp, _until: Timestamp) -> bool {
        false
    }
}
