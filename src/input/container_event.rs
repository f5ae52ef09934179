//! What a runtime did to a container: events, beside what they change in the inventory.
//!
//! Contract: the workload, the kind and the time are the event's own; everything else is `None` where it may have been written by the one who
//! started the container. Limits: [`MAX_WORDS`] words of a command. Words that are on no list stand as [`HIDDEN`], so that no argument of a
//! command is in an output or a recording. The program's name and words are attacker-chosen.
//! Design: a fact of its own, because most events leave the workload as it was.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{RuntimeId, WorkloadId};
use crate::time::Timestamp;

/// Stands for words of a command that are not shown.
pub const HIDDEN: &str = "…";
/// Words of one command that are kept.
pub const MAX_WORDS: usize = 64;

/// Something that a runtime did to a container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ContainerEvent {
    /// To which container.
    pub workload: WorkloadId,
    /// Which runtime.
    pub runtime: RuntimeId,
    /// When, by the runtime's clock.
    pub at: Timestamp,
    /// What.
    pub action: ContainerAct,
}

/// What a runtime did.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ContainerAct {
    /// It was created.
    Created,
    /// It was started.
    Started,
    /// A program was started inside it.
    Exec(Box<ExecutedCommand>),
    /// A signal was sent to its first process.
    Killed {
        /// Which; absent where the event cannot be believed about it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        signal: Option<u8>,
    },
    /// Its first process ended.
    Died {
        /// With which code; absent where the event cannot be believed about it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        exit_code: Option<i32>,
    },
    /// The kernel ended a process of it because its memory was used up.
    OutOfMemory,
    /// All its processes were frozen.
    Paused,
    /// They run again.
    Unpaused,
    /// An image was made of it, for which Docker freezes it.
    Committed,
    /// It has another name.
    Renamed,
    /// Its limits or its restart policy were changed.
    Updated,
    /// It was attached to a network.
    Connected {
        /// The network's name, else its id.
        network: String,
    },
    /// It was detached from a network.
    Disconnected {
        /// The network's name, else its id.
        network: String,
    },
    /// It was removed.
    Removed,
}

impl ContainerAct {
    /// The word that recordings use.
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Created => "created",
            Self::Started => "started",
            Self::Exec(_) => "exec",
            Self::Killed { .. } => "killed",
            Self::Died { .. } => "died",
            Self::OutOfMemory => "out_of_memory",
            Self::Paused => "paused",
            Self::Unpaused => "unpaused",
            Self::Committed => "committed",
            Self::Renamed => "renamed",
            Self::Updated => "updated",
            Self::Connected { .. } => "connected",
            Self::Disconnected { .. } => "disconnected",
            Self::Removed => "removed",
        }
    }
}

/// In a sentence whose subject is the container.
impl fmt::Display for ContainerAct {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Created => f.write_str("was created"),
            Self::Started => f.write_str("was started"),
            Self::Exec(command) => write!(f, "executed `{command}`"),
            Self::Killed { signal: Some(signal) } => write!(f, "was sent signal {signal}"),
            Self::Killed { signal: None } => f.write_str("was sent a signal"),
            Self::Died { exit_code: Some(code) } => write!(f, "ended with code {code}"),
            Self::Died { exit_code: None } => f.write_str("ended"),
            Self::OutOfMemory => f.write_str("lost a process because its memory was used up"),
            Self::Paused => f.write_str("was paused"),
            Self::Unpaused => f.write_str("was unpaused"),
            Self::Committed => f.write_str("was committed to an image"),
            Self::Renamed => f.write_str("was renamed"),
            Self::Updated => f.write_str("was updated"),
            Self::Connected { network } => write!(f, "was connected to the network {network}"),
            Self::Disconnected { network } => write!(f, "was disconnected from the network {network}"),
            Self::Removed => f.write_str("was removed"),
        }
    }
}

/// A command that was started inside a container.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ExecutedCommand {
    /// The program; empty where the runtime does not report it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub program: String,
    /// What follows it: words and signs of the shell that are known, in order, and `…` for the others.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub words: Vec<String>,
    /// As whom, where the runtime reports it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// Whether with every privilege.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub privileged: bool,
    /// Whether at a terminal.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub terminal: bool,
}

impl fmt::Display for ExecutedCommand {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.program.is_empty() { "(not reported)" } else { &self.program })?;
        self.words.iter().try_for_each(|word| write!(f, " {word}"))
    }
}
