//! Entries of the host's own logs that are about recording itself (audit rules that go, daemons that stop, messages that are dropped), and about who ran a
//! client of a container runtime.
//!
//! Contract: pure and total: what is no such entry, or cannot be read, is nothing; texts of logs never leave this room. Who did it is believed only
//! where the kernel or the daemon's own manager wrote it. Limits: [`MAX_LINE`]. Design: one small reader for each log; [`tail`] follows files.

mod audit;
mod journal;
mod syslog;
mod tail;

pub use audit::AuditLines;
pub use journal::{JournalLine, journal_line};
pub use syslog::SyslogLines;
pub use tail::{Tail, TailEnd, open_plain};

/// Bytes of one line that are read; journald keeps fields of any length.
pub const MAX_LINE: usize = 1 << 20;

/// The daemon that a unit of systemd, or a command, is; none for all others.
fn daemon(unit: &str) -> Option<&'static str> {
    let unit = unit.strip_suffix(".service").or_else(|| unit.strip_suffix(".socket")).unwrap_or(unit);
    Some(match unit {
        "auditd" => "auditd",
        "systemd-journald" => "journald",
        "rsyslog" | "rsyslogd" => "rsyslogd",
        "syslog-ng" => "syslog-ng",
        "syslogd" | "inetutils-syslogd" | "busybox-syslogd" => "syslogd",
        _ => return None,
    })
}
