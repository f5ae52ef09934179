//! What the rule is.

use crate::detect::{Ads, RuleMeta, Severity, Technique};

/// What the rule is.
pub static META: RuleMeta = RuleMeta {
    name: "host-audit-tampered",
    title: "The host's audit or a log daemon stopped recording",
    severity: Severity::High,
    techniques: &[Technique { name: "Disable or Modify Linux Audit System", v19: "T1685.004", v18: "T1562.012" }],
    ads: Ads {
        goal: "Detects that the host itself stops recording: the kernel's audit is switched off, its rule set shrinks, or auditd, journald, rsyslogd or \
             syslog-ng ends or is stopped.",
        categorization: "Defense Evasion: an attacker with root on the host removes the witnesses of what follows.",
        strategy: "The kernel's audit is asked for its state and rules every two seconds; log daemons are known by name in the host's own process \
             namespace and looked at twice a second; a process that is stopped (SIGSTOP) does not run. Each state that differs is a fact. What recorded before \
             and does not for `settle` is reported: `augenrules` and upgrades delete all rules and load them again, services restart. The set of rules after \
             that time counts, not the way to it. A HUP for rotation ends no process and is nothing. auditd's log and the journal are followed for entries about \
             recording itself: they say who did it, and where the kernel cannot be asked, that rules are gone. Where auditd does not write them, the kernel's records are \
             read as it hands them to listeners. Syslog's files (auth.log, syslog, \
             messages, secure, kern.log, daemon.log under /var/log) are followed alike; anybody can write their lines, so these only explain. A file of both that is cut \
             in place, is removed, or gives way to something that is no file is reported; rotation renames it, and a copy of at least what was read, made within \
             a minute, is rotation with `copytruncate`. A log that falls silent is reported only where something proves that it should have a line: the kernel's \
             rules changed, which it always writes down, and audit.log has had no line for 150 seconds; or auditd runs and the kernel no longer hands its records to it. \
             Every other silence is told with the time of the last entry by `paths`, `audit`, `doctor` and a metric.",
        technical_context: "`auditctl -e 0` and `auditctl -D` leave auditd running; `kill -STOP` leaves the process and its pid file. A daemon's end \
             loses what containers send to /dev/log and the journal, and with it the record of the runtime itself. Immutable audit (`-e 2`) \
             cannot be switched off before the next boot.",
        blind_spots: &[
            "Audit answers only in the initial network namespace and with CAP_AUDIT_CONTROL; otherwise that is a fact, and `hopwatch paths` says so.",
            "A daemon that runs and drops: another configuration, a full disk, a rate limit.",
            "Of auditd's log, the journal and syslog's files only entries about recording itself are read. A journal that is vacuumed is a gap \
             that `hopwatch paths` names: a bound of its size does the same.",
            "Who it was is known only where auditd or systemd runs, or the kernel's audit is on and can be listened to (CAP_AUDIT_READ, the initial network \
             namespace; `hopwatch paths` says where not), and as they report it. A record for which a listener has no room is lost, which is a gap.",
            "Syslog's files elsewhere than at their usual paths, in other formats than rsyslog's own, and lines that are changed or removed without making a \
             file shorter than what was read of it.",
            "Silence of the journal and of syslog's files while their daemons run: a host may have nothing to write. \
             `hopwatch_host_log_last_entry_timestamp_seconds` has the time of the last entry.",
            "A process that calls itself like a daemon hides that the real one ended.",
            "What had stopped before observation began, and a daemon that was replaced by another one of the same name.",
        ],
        assumptions: &["hopwatch runs in the host's process namespace."],
        false_positives: &[
            "Maintenance: a daemon that is removed or replaced by another one on purpose. It is reported once.",
            "An upgrade that takes longer than `settle`.",
            "Audit rules that exclude CONFIG_CHANGE, on a host whose audit.log has no other line.",
        ],
        true_positives: &["host-logger-stopped"],
        benign_twins: &["host-logger-restarted"],
        priority: "High: what happens on the host from now on is not recorded.",
        response: &[
            "The evidence says what does not record, and since when.",
            "Start it again: `systemctl start auditd rsyslog systemd-journald`, `auditctl -e 1`, `augenrules --load`.",
            "Who did it? The evidence has the process and the login, where the audit log has them; else `journalctl --since` the time, `ausearch -m CONFIG_CHANGE,DAEMON_END,SERVICE_STOP`, the shell history of root.",
            "What ran on the host since then? Containers that started, execs, the other alerts of that time.",
        ],
        resources: &[
            "https://attack.mitre.org/techniques/T1562/012/",
            "https://man7.org/linux/man-pages/man8/auditctl.8.html",
        ],
    },
};
