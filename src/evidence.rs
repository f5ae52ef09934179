//! What an alert leaves behind: packets and facts from before it, in a bundle that says by hashes what it holds.
//!
//! Contract: pure. A [`PacketRing`] keeps the recent packets of one observation point, bounded in bytes and age, and of each flow its first
//! packets for longer; a [`Selection`] says which of them belong to an alert; a [`FactHistory`] gives the facts that a replay needs, as of
//! the beginning of the ring; a [`Manifest`] names every file of a bundle by its SHA-256, and [`Link`]s join the bundles to a chain.
//! Limits: each file says its own. Design: files, threads and the clock are the shell's (`src/app/evidence`).

mod budget;
mod chain;
mod facts;
mod manifest;
mod payload;
mod ring;
mod selection;
mod slab;

pub use budget::{Budget, BudgetLimits, Held, NotKept};
pub use chain::{Chain, Chained, GENESIS, Link, LinkKind, Links, Wrong};
pub use facts::{FactHistory, HistoryLimits, Known};
pub use manifest::{
    BUNDLE_SCHEMA, BundleFile, Manifest, PointCopy, ReplayCheck, Window, is_alert_id, is_file_name, sha256,
};
pub use payload::{Blanker, PayloadPolicy};
pub use ring::{Copied, PacketRing, RingLimits};
pub use selection::Selection;
pub use slab::{KeptPacket, RingMemory};
