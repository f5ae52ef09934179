//! The flow meter: packets of one observation point in, flow events out.
//!
//! Contract: one [`Meter`] a point, owned by the thread that reads it; no lock, no copy of the frame.
//! Every packet is counted once: as IP, as non-IP, or as not decoded with a reason; the parts add up to the total.

mod meter;

pub use meter::{Meter, MeterLimits, MeterStats};

/// stub
pub fn community_id(_tuple: &crate::input::FiveTuple, _seed: u16) -> String {
    String::new()
}
