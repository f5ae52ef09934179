//! What records on the host: the kernel's audit, and the daemons that write logs.
//!
//! Contract: the whole state each time it changed, as the kernel and `/proc` show it; of the host's logs only entries about recording itself and about
//! clients of runtimes, in words of this file; no text of any log. Who did it is what the kernel added to an entry, never what its sender wrote. Limits: a daemon is known by its
//! command's name in the host's own process namespace; a change happened between the look before and the time of the input.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::time::Timestamp;

/// What was seen of the host's own recording.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum HostLoggingFact {
    /// A log of the host has an entry about recording itself.
    Entry(Arc<HostLogEntry>),
    /// Entries of a log are missing, or could not be read.
    Gap {
        /// Which.
        log: HostLog,
        /// How many; 0 where that is not known.
        count: u64,
        /// Whether the file was cut or emptied in place, removed or replaced, which rotation does not do.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        truncated: bool,
        /// What was seen, in words.
        why: String,
    },
    /// A log that is followed had entries; once a minute at most; at the start, when its file was written last.
    Heard {
        /// Which kind.
        log: HostLog,
        /// Which: `audit.log`, `audit` (the kernel's own records), `journal`, or the path of one of syslog's files.
        part: String,
        /// When its last entry was read; at the start, when its file was written last.
        at: Timestamp,
        /// Entries since the last such fact, whatever they say; 0 at the start.
        entries: u64,
    },
    /// How it is now; replaces what was known.
    State(Arc<HostLogging>),
    /// A part of it cannot be seen.
    Unwatched {
        /// Which: `audit`, `audit.log`, `journal`, `syslog`, or the path of one of its files.
        part: String,
        /// Why, in words.
        why: String,
    },
}

/// The host's own recording.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HostLogging {
    /// The kernel's audit; absent where it cannot be asked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub audit: Option<AuditState>,
    /// Log daemons that run: `auditd`, `journald`, `rsyslogd`, `syslog-ng`.
    pub daemons: BTreeSet<String>,
}

/// The kernel's audit.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AuditState {
    /// Whether it records; rules that nobody may change count as recording too.
    pub enabled: bool,
    /// Its rules, each as a hash, sorted.
    pub rules: Vec<String>,
    /// The command's name of the process that the kernel hands its records to; absent where nobody takes them, or that is not known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reader: Option<String>,
}

/// A log that is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum HostLog {
    /// What auditd writes; where it writes nothing, the kernel's own records.
    Audit,
    /// The journal of systemd.
    Journal,
    /// A file that rsyslogd, syslog-ng or another syslogd writes: every word of it is its sender's.
    Syslog,
}

impl HostLog {
    /// Its name for people.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Audit => "the audit log",
            Self::Journal => "the journal",
            Self::Syslog => "a syslog file",
        }
    }
}

/// An entry about recording itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HostLogEntry {
    /// Where it stands.
    pub log: HostLog,
    /// When it was written, by that log.
    pub at: Timestamp,
    /// What happened.
    pub act: LogAct,
    /// Who did it, as the kernel reports it; absent where the entry does not say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub by: Option<LogActor>,
}

/// What happened to recording.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum LogAct {
    /// The kernel's audit was switched off.
    AuditOff,
    /// It was switched on.
    AuditOn,
    /// Audit rules were removed.
    RulesRemoved {
        /// How many, one after the other by the same process.
        count: u64,
    },
    /// Audit rules were added.
    RulesAdded {
        /// How many, one after the other by the same process.
        count: u64,
    },
    /// A log daemon was stopped, or ended.
    Stopped {
        /// Which.
        daemon: String,
    },
    /// A log daemon was started.
    Started {
        /// Which.
        daemon: String,
    },
    /// A client of a container runtime was run: `docker`, `podman` and their like. Reported by the kernel's audit alone.
    AskedRuntime,
    /// A daemon did not keep messages.
    Dropped {
        /// How many.
        count: u64,
    },
}

/// Who did something.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct LogActor {
    /// The user who logged in, however often he changed his identity since; absent for daemons.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub login: Option<u32>,
    /// The user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uid: Option<u32>,
    /// The process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    /// Its program.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub program: Option<String>,
}

impl fmt::Display for LogActor {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.program.as_deref().unwrap_or("a process"))?;
        let numbers = [("pid", self.pid), ("uid", self.uid), ("login uid", self.login)];
        let mut numbers = numbers.into_iter().filter_map(|(name, number)| Some((name, number?)));
        numbers.try_for_each(|(name, number)| write!(f, ", {name} {number}"))
    }
}
