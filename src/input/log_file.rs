//! Log files on the host: the runtime's own of each container, and folders of the host that are mounted over log folders.
//!
//! Contract: a change says what the file system shows, not who did it; a growing file is no fact. A change happened between the look
//! before and the time of the input. Limits: what came and went between two looks is not seen; a queue that overflowed is
//! [`LogFileFact::Missed`]. Paths and targets of links are attacker-chosen.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::WorkloadId;
use crate::time::Timestamp;

/// What was seen of log files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LogFileFact {
    /// A file is not what its writer left.
    Changed(Arc<LogFileChange>),
    /// The files of a workload at this path are watched from now on.
    Watched {
        /// Whose.
        workload: WorkloadId,
        /// The file, or the folder.
        path: String,
    },
    /// They cannot be watched, or no longer.
    Unwatched {
        /// Whose; absent where no file can be watched at all.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        workload: Option<WorkloadId>,
        /// The file, or the folder.
        #[serde(default, skip_serializing_if = "String::is_empty")]
        path: String,
        /// Why, in words.
        why: String,
    },
    /// The kernel's queue overflowed, or facts found no room; every file was looked at anew.
    Missed {
        /// How often since the last such fact.
        count: u64,
        /// Up to this time nothing was missed.
        since: Timestamp,
    },
}

/// Whose file it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LogFileSource {
    /// The runtime's, with the output of a container.
    #[default]
    Runtime,
    /// A folder of the host that is mounted over a log folder of a container.
    Folder,
}

/// A file that changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LogFileChange {
    /// Whose log it is; of a folder that several mount, one of them.
    pub workload: WorkloadId,
    /// Whose file it is.
    #[serde(default)]
    pub source: LogFileSource,
    /// Its path on the host.
    pub path: String,
    /// What became of it.
    pub change: LogChange,
}

/// What became of a log file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LogChange {
    /// The same file is shorter.
    Truncated {
        /// Bytes before.
        from: u64,
        /// Bytes now.
        to: u64,
        /// A file beside it that has about the old size: it was copied first.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        copy: Option<String>,
    },
    /// Nothing has its name, for a while.
    Removed {
        /// Bytes that it had.
        size: u64,
        /// The name that the file has now.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        renamed: Option<String>,
    },
    /// A link has its name.
    Linked {
        /// Where it leads.
        to: String,
    },
    /// Something that is no file has its name: a pipe, a device.
    Special,
    /// A new file has its name, and the old one another name beside it.
    Rotated {
        /// The old one's name.
        to: String,
    },
    /// A new file has its name, and the old one is gone.
    Replaced {
        /// Bytes that the old one had.
        size: u64,
    },
    /// A file has its name again.
    Restored,
}
