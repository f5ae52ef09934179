//! What can be wrong with a capture file.
//!
//! Contract: every message names the file and what to do. [`CaptureError::is_partial`] tells errors that come after good
//! packets, which count, from those that mean that nothing could be read.

use std::io;

/// What can be wrong with a capture file.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    /// No such file.
    #[error("{path} does not exist; give a pcap or pcapng file, or - for standard input")]
    NotFound {
        /// The file.
        path: String,
    },
    /// It exists and cannot be opened or read.
    #[error("cannot read {path}; check that it is a file and that its permissions allow it")]
    Unreadable {
        /// The file.
        path: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// It is something else.
    #[error(
        "{path} is not a capture that can be read, it looks like {looks_like}; \
         accepted are pcap and pcapng, as they are or compressed by gzip or zstd"
    )]
    NotACapture {
        /// The file.
        path: String,
        /// What it looks like.
        looks_like: String,
    },
    /// It ends too early.
    #[error(
        "{path} is truncated: it ends inside the record at byte {offset}, after {packets} whole packets; \
         these count, capture or copy it again for the rest"
    )]
    Truncated {
        /// The file.
        path: String,
        /// Where the unfinished record starts, in the uncompressed stream.
        offset: u64,
        /// Packets read before.
        packets: u64,
    },
    /// Its structure is broken.
    #[error(
        "{path} is damaged at byte {offset}, after {packets} whole packets: {what}; \
         these count, capture or copy it again for the rest"
    )]
    Damaged {
        /// The file.
        path: String,
        /// Where the broken record starts, in the uncompressed stream.
        offset: u64,
        /// Packets read before.
        packets: u64,
        /// What is wrong there.
        what: String,
    },
}

impl CaptureError {
    /// Whether packets read before it count; otherwise nothing could be read at all.
    pub const fn is_partial(&self) -> bool {
        matches!(self, Self::Truncated { .. } | Self::Damaged { .. })
    }

    /// The file, as [`super::CaptureReader::path`] names it.
    pub fn path(&self) -> &str {
        match self {
            Self::NotFound { path }
            | Self::Unreadable { path, .. }
            | Self::NotACapture { path, .. }
            | Self::Truncated { path, .. }
            | Self::Damaged { path, .. } => path,
        }
    }
}
