//! What verdicts rest on beside the inventory: translations, losses, and when each hop was last seen.
//!
//! Contract: filled from facts and judged flows in event-time order; every table is bounded.

mod bindings;
mod hops;
mod losses;

pub use bindings::Bindings;
pub use hops::{HopMemory, HopRecord};
pub use losses::Losses;

/// All of it.
#[derive(Debug, Default)]
pub struct PathState {
    /// Address translations.
    pub bindings: Bindings,
    /// Windows in which something was not seen.
    pub losses: Losses,
    /// When each hop was last seen.
    pub hops: HopMemory,
}
