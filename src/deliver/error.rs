//! Why delivery cannot begin.

use std::io;

use super::store::StoreError;

/// Why delivery cannot begin.
#[derive(Debug, thiserror::Error)]
pub enum DeliverError {
    /// The outbox does not work.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// No thread can be started that may read them.
    #[error("starting a thread that reads the secrets and certificates of sinks: {0}")]
    Thread(io::Error),
    /// A sink's secret or certificate cannot be read.
    #[error("the sink {sink}: {source}")]
    Sink {
        /// Which.
        sink: String,
        /// What the system says.
        source: io::Error,
    },
}
