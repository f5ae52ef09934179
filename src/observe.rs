//! Where packets come from and where they are kept: live interfaces, capture files, and the recorder's file format.
//!
//! Contract: shell. Yields packets with event time, observation point and both lengths; it decodes nothing.
//! Design: [`CaptureReader`] reads one file, [`Merge`] reads several as one stream in time order.

mod file;
pub mod filter;
#[cfg(feature = "live")]
pub mod live;
mod merge;
mod pcapng_write;

pub use file::{Batch, CaptureError, CaptureReader, FileLoss, Interface, Packet, odd_fractions, unknown_blocks};
pub use merge::{Merge, MergedPacket};
pub use pcapng_write::PcapngWriter;
