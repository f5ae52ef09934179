//! Lines of syslog's files: `Nov 30 02:28:32 host rsyslogd: … exiting on signal 15.`
//!
//! Contract: any process that may write to `/dev/log` chooses every word of a line, so an entry of here names no actor, and explains what the kernel shows but
//! decides nothing. A line that does not begin with a time is counted. Limits: the two formats of rsyslog's files (traditional and RFC 3339); the
//! traditional one has neither year nor zone, so such an entry has the time at which it was read.
//! Source: rsyslog's `RSYSLOG_TraditionalFileFormat` and `RSYSLOG_FileFormat`; messages of rsyslogd, syslog-ng, systemd, journald, auditd.

use super::audit::{act_of, add};
use super::daemon;
use crate::input::{HostLog, HostLogEntry, LogAct};
use crate::time::Timestamp;

/// `AUDIT_CONFIG_CHANGE`, `AUDIT_SERVICE_START` and `_STOP` as the kernel writes them to its own log.
const KINDS: [(&str, &str); 3] = [("1305", "CONFIG_CHANGE"), ("1130", "SERVICE_START"), ("1131", "SERVICE_STOP")];
const MONTHS: &str = "Jan Feb Mar Apr May Jun Jul Aug Sep Oct Nov Dec";
/// What systemd calls units in messages of versions that do not name the unit.
const DESCRIPTIONS: [(&str, &str); 3] =
    [("System Logging Service", "rsyslogd"), ("Security Auditing Service", "auditd"), ("Journal Service", "journald")];

/// Reads lines.
#[derive(Debug, Default)]
pub struct SyslogLines {
    done: Vec<HostLogEntry>,
    cut: u64,
}

impl SyslogLines {
    /// One line without its end, read at this time.
    pub fn line(&mut self, line: &[u8], now: Timestamp) {
        if line.trim_ascii().is_empty() {
            return;
        }
        let line = String::from_utf8_lossy(line);
        let Some((at, rest)) = time(&line) else {
            self.cut += 1;
            return;
        };
        let Some(act) = message(rest).and_then(|(tag, text)| act(tag, text)) else { return };
        if self.done.last_mut().is_some_and(|last| add(&mut last.act, &act)) {
            return;
        }
        self.done.push(HostLogEntry { log: HostLog::Syslog, at: at.unwrap_or(now), act, by: None });
    }

    /// What was found since the last call.
    pub fn take(&mut self) -> Vec<HostLogEntry> {
        std::mem::take(&mut self.done)
    }

    /// Lines that could not be read since the last call.
    pub fn take_cut(&mut self) -> u64 {
        std::mem::take(&mut self.cut)
    }
}

/// When it was written, where the format says so, and what follows the time.
fn time(line: &str) -> Option<(Option<Timestamp>, &str)> {
    let (first, rest) = line.split_once(' ')?;
    if first.len() >= 19 && first.as_bytes().get(10) == Some(&b'T') {
        return Some((Some(first.parse().ok()?), rest));
    }
    // `Nov  3 02:28:32 `: every part has its place.
    let stamp = line.get(..16)?;
    let is_month = first.len() == 3 && MONTHS.split(' ').any(|month| month == first);
    let is_digit = |at: &usize| stamp.as_bytes().get(*at).is_some_and(u8::is_ascii_digit);
    let is_stamp = is_month && [5, 7, 8, 10, 11, 13, 14].iter().all(is_digit) && stamp.ends_with(' ');
    is_stamp.then(|| (None, line.get(16..).unwrap_or_default()))
}

/// Tag and text of `host tag[pid]: text`.
fn message(rest: &str) -> Option<(&str, &str)> {
    let (_, rest) = rest.split_once(' ')?;
    let (tag, text) = rest.split_once(':')?;
    Some((tag.split('[').next().unwrap_or_default(), text.trim_start()))
}

fn act(tag: &str, text: &str) -> Option<LogAct> {
    let stopped = |daemon: &str| LogAct::Stopped { daemon: daemon.to_owned() };
    let started = |daemon: &str| LogAct::Started { daemon: daemon.to_owned() };
    let starts = |start: &str| text.starts_with(start);
    Some(match tag {
        "rsyslogd" if starts("[origin ") && text.contains("] exiting on signal ") => stopped("rsyslogd"),
        "rsyslogd" if starts("[origin ") && text.ends_with("] start") => started("rsyslogd"),
        "rsyslogd" => dropped(text, " due to rate-limiting")?,
        "syslog-ng" if starts("syslog-ng shutting down") => stopped("syslog-ng"),
        "syslog-ng" if starts("syslog-ng starting up") => started("syslog-ng"),
        "syslogd" if starts("exiting on signal ") => stopped("syslogd"),
        "auditd" if starts("The audit daemon is exiting") => stopped("auditd"),
        "auditd" if starts("Init complete") || starts("The audit daemon is starting") => started("auditd"),
        "systemd-journald" if starts("Journal stopped") => stopped("journald"),
        "systemd-journald" if starts("Journal started") => started("journald"),
        "systemd-journald" if starts("Suppressed ") => dropped(text, " messages from ")?,
        "systemd" => unit(text)?,
        "kernel" => audit(text)?,
        _ => return None,
    })
}

/// `Stopped rsyslog.service - System Logging Service.`, or without the unit.
fn unit(text: &str) -> Option<LogAct> {
    let (verb, rest) = text.split_once(' ')?;
    let description = |(description, daemon): &(&str, &'static str)| rest.starts_with(description).then_some(*daemon);
    let daemon = daemon(rest.split(' ').next()?).or_else(|| DESCRIPTIONS.iter().find_map(description))?.to_owned();
    match verb {
        "Stopped" => Some(LogAct::Stopped { daemon }),
        "Started" => Some(LogAct::Started { daemon }),
        _ => None,
    }
}

/// The number in `imuxsock lost 345 messages from pid 9 due to rate-limiting`, `Suppressed 12 messages from /a.slice`.
fn dropped(text: &str, sign: &str) -> Option<LogAct> {
    let before = text.split_once(sign)?.0;
    let count = before.split(' ').find_map(|word| word.parse().ok())?;
    Some(LogAct::Dropped { count })
}

/// `[  12.345678] audit: type=1305 audit(1795000002.000:401): op=set audit_enabled=0 …`: the kernel's log has them where no auditd runs.
fn audit(text: &str) -> Option<LogAct> {
    let text = text.strip_prefix('[').and_then(|rest| rest.split_once("] ")).map_or(text, |(_, rest)| rest);
    let (number, rest) = text.strip_prefix("audit: type=")?.split_once(' ')?;
    let (_, kind) = KINDS.iter().find(|(known, _)| *known == number)?;
    act_of(&format!("type={kind} msg={rest}"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn entries(lines: &[&str]) -> (Vec<HostLogEntry>, u64) {
        let mut syslog = SyslogLines::default();
        for line in lines {
            syslog.line(line.as_bytes(), Timestamp::from_secs(7));
        }
        (syslog.take(), syslog.take_cut())
    }

    #[test]
    fn daemons_that_stop_start_and_drop_are_read_in_both_formats() {
        let stopped = |daemon: &str| LogAct::Stopped { daemon: daemon.to_owned() };
        let started = |daemon: &str| LogAct::Started { daemon: daemon.to_owned() };
        for (line, expected) in [
            (
                "rsyslogd: [origin software=\"rsyslogd\" swVersion=\"8.2302.0\" x-pid=\"512\" x-info=\"https://www.rsyslog.com\"] exiting on signal 15.",
                stopped("rsyslogd"),
            ),
            ("rsyslogd[512]: [origin software=\"rsyslogd\" x-pid=\"9\"] start", started("rsyslogd")),
            (
                "rsyslogd: imuxsock[pid: 9]: lost 345 messages from pid 9 due to rate-limiting",
                LogAct::Dropped { count: 345 },
            ),
            ("systemd[1]: Stopped rsyslog.service - System Logging Service.", stopped("rsyslogd")),
            ("systemd[1]: Stopped Security Auditing Service.", stopped("auditd")),
            (
                "systemd-journald[301]: Suppressed 12 messages from /system.slice/a.service",
                LogAct::Dropped { count: 12 },
            ),
            ("syslog-ng[7]: syslog-ng shutting down; version='3.38.1'", stopped("syslog-ng")),
            ("auditd[88]: The audit daemon is exiting.", stopped("auditd")),
            (
                "kernel: [   12.000001] audit: type=1305 audit(1795000002.000:401): op=set audit_enabled=0 old=1 auid=0 ses=1 res=1",
                LogAct::AuditOff,
            ),
            (
                "kernel: audit: type=1305 audit(1795000002.000:402): auid=0 op=remove_rule key=\"x\" list=4 res=1",
                LogAct::RulesRemoved { count: 1 },
            ),
        ] {
            let (found, cut) = entries(&[
                &format!("Nov  3 02:28:32 host {line}"),
                &format!("2026-11-30T02:28:32.5+01:00 host {line}"),
            ]);
            let acts: Vec<_> = found.iter().map(|entry| entry.act.clone()).collect();
            let expected = match expected {
                LogAct::RulesRemoved { .. } => vec![LogAct::RulesRemoved { count: 2 }],
                one => vec![one.clone(), one],
            };
            assert_eq!((acts, cut), (expected, 0), "{line}");
            assert!(found.iter().all(|entry| entry.by.is_none() && entry.log == HostLog::Syslog));
            assert_eq!(found[0].at, Timestamp::from_secs(7), "the traditional format has no year");
        }
        let (found, _) = entries(&["2026-11-30T02:28:32.5+01:00 host auditd: The audit daemon is exiting."]);
        assert_eq!(found[0].at.to_string(), "2026-11-30T01:28:32.500000000Z");
    }

    #[test]
    fn other_lines_say_nothing_and_lines_without_a_time_are_counted() {
        let (found, cut) = entries(&[
            "Nov 30 02:28:32 host sshd[9]: exiting on signal 15",
            "Nov 30 02:28:32 host rsyslogd: action 'x' resumed",
            "Nov 30 02:28:32 host systemd[1]: Stopped nginx.service.",
            "Nov 30 02:28:32 host app: Stopped rsyslog.service",
            "Nov 30 02:28:32 host",
            "",
            "30 02:28:32 host auditd: The audit daemon is exiting.",
            "Nov 30 02:2",
        ]);
        assert_eq!((found.len(), cut), (0, 2), "{found:?}");
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..200), text in ".{0,40}") {
            let mut syslog = SyslogLines::default();
            syslog.line(&bytes, Timestamp::from_secs(7));
            for tag in ["rsyslogd", "systemd", "kernel", "systemd-journald"] {
                syslog.line(format!("Nov 30 02:28:32 host {tag}: {text}").as_bytes(), Timestamp::from_secs(7));
                syslog.line(format!("Nov 30 02:28:{text}").as_bytes(), Timestamp::from_secs(7));
            }
        }
    }
}
