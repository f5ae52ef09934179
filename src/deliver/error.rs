//! Why delivery cannot begin.

use std::io;

use super::store::StoreError;

/// Why delivery cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum DeliverError {
    /// The outbox does not work.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A sink's secret or certificate cannot be read.
    #[error("the sink {sink}: {source}")]
    Sink {
        /// Which.
        sink: String,
        /// What the system says.
        source: io::Error,
    },
}
