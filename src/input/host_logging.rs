//! What records on the host: the kernel's audit, and the daemons that write logs.
//!
//! Contract: the whole state each time it changed, as the kernel and `/proc` show it; no text of any log. Limits: a daemon is known by its
//! command's name in the host's own process namespace; a change happened between the look before and the time of the input.

use std::collections::BTreeSet;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

/// What was seen of the host's own recording.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HostLoggingFact {
    /// How it is now; replaces what was known.
    State(Arc<HostLogging>),
    /// A part of it cannot be seen.
    Unwatched {
        /// Which: `audit`.
        part: String,
        /// Why, in words.
        why: String,
    },
}

/// The host's own recording.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct HostLogging {
    /// The kernel's audit; absent where it cannot be asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audit: Option<AuditState>,
    /// Log daemons that run: `auditd`, `journald`, `rsyslogd`, `syslog-ng`.
    pub daemons: BTreeSet<String>,
}

/// The kernel's audit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditState {
    /// Whether it records; rules that nobody may change count as recording too.
    pub enabled: bool,
    /// Its rules, each as a hash, sorted.
    pub rules: Vec<String>,
}
