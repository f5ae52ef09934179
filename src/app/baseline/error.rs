//! Why a baseline cannot be used.

use std::io;
use std::path::PathBuf;

use crate::app::state_dir::StateError;
use crate::baseline::DocumentError;
use crate::config::ConfigError;

/// Why a baseline cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum BaselineError {
    /// The file cannot be read.
    #[error("cannot read the baseline {}: {source}", path.display())]
    Read {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// It cannot be written.
    #[error("cannot write the baseline {}: {source}", path.display())]
    Write {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        source: io::Error,
    },
    /// The configured time zone is not known here.
    #[error("time_zone {name}: {reason}; write its rule instead, such as CET-1CEST,M3.5.0,M10.5.0/3")]
    Zone {
        /// Its name.
        name: String,
        /// What is wrong.
        reason: String,
    },
    /// Its shape is wrong.
    #[error(transparent)]
    Shape(#[from] ConfigError),
    /// It is no baseline that this version reads.
    #[error("{}: {error}", path.display())]
    Document {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        error: DocumentError,
    },
    /// Its signature does not fit.
    #[error("{}: {reason}", path.display())]
    Signature {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// It is older than what was approved.
    #[error(
        "{} has serial {found}, and serial {approved} was approved on this host: this is a roll-back; take the newer file, or give this one a \
         higher serial", path.display()
    )]
    RolledBack {
        /// Which file.
        path: PathBuf,
        /// Its serial number.
        found: u64,
        /// The approved one.
        approved: u64,
    },
    /// The state directory cannot be used.
    #[error(transparent)]
    State(#[from] StateError),
    /// There is nothing to read.
    #[error("no baseline is named; write `baseline: FILE` in the configuration, or give --baseline FILE")]
    NotNamed,
    /// What is to be approved is not there.
    #[error("there is no difference or quarantined value {id}; `hopwatch baseline diff` and `show` list them")]
    NoSuchItem {
        /// What was asked for.
        id: String,
    },
    /// Several fields or services at once.
    #[error("{ids} are of several services or fields; several at once are approved only for one field of one service")]
    Several {
        /// What was asked for.
        ids: String,
    },
    /// Anything else that must be done first.
    #[error("{0}")]
    Refused(String),
}
