//! Who sent frames: over which interface, with which MAC, by which process, and whether the address was its own.
//!
//! Contract: part of an alert, added within version 1 of its schema. Each part is what a link, a runtime or the kernel showed, else it is absent.
//! Limits: a command's name is chosen by the sender.

use schemars::JsonSchema;
use serde::Serialize;

use crate::input::Mac;

/// Who sent the frames, as far as it was seen.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct FrameSender {
    /// The workload's interface on the host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interface: Option<String>,
    /// The source MAC of its frames.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mac: Option<Mac>,
    /// The source address belongs to somebody else, or to no network here.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub forged: bool,
    /// To whom a forged address belongs: a workload's name, or `the host`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub address_of: Option<String>,
    /// The process.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub process: Option<SenderProcess>,
}

/// A process that sent something.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct SenderProcess {
    /// As the sensor's namespace numbers it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    /// Its command's name (`/proc/PID/comm`): the sender chooses it.
    pub command: String,
    /// How it is known.
    pub how: ProcessEvidence,
}

/// How a process is known to have sent something.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum ProcessEvidence {
    /// It holds the flow's socket.
    Socket,
    /// It holds the only socket of its workload that can send such frames, and they are forged.
    PacketSocket,
}

impl ProcessEvidence {
    /// For a person: `by its socket`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Socket => "by its socket",
            Self::PacketSocket => "by its packet socket",
        }
    }
}
