//! The flow meter: packets of one observation point in, flow events out.
//!
//! Contract: one [`Meter`] a point, owned by the thread that reads it; no lock, no copy of the frame, no allocation a packet.
//! Every packet is counted once: as IP, as non-IP, or as not decoded with a reason; the parts add up to the total.
//! Limits: later fragments carry no ports and are a flow of their own (ports 0).
//! Design: [`Meter`] holds the rules; the key, the table with its queues, and a flow's state have a file each.

mod community_id;
mod id;
mod key;
mod meter;
mod probe;
mod queue;
mod sink;
mod state;
mod table;

pub use community_id::community_id;
pub use meter::{Meter, MeterLimits, MeterStats, TCP_LINGER};
pub use sink::{FlowSink, FlowView, Frame};
