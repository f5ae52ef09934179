//! Lines of auditd's log: `type=CONFIG_CHANGE msg=audit(1364481363.243:24287): auid=0 op=remove_rule key="x" list=4 res=1`.
//!
//! Contract: records of one serial number are one event; its process is in the record itself or in the SYSCALL record of the same number, whichever
//! comes first. A line that is cut is counted. Changes of one kind by one process in a row are one entry. Limits: an event waits for its other
//! records until another event begins, or [`AuditLines::finish`]; a key that its sender chose is never read.
//! Source: linux-audit's record dictionary; auditd.conf(5) (`log_format=ENRICHED` adds a part behind 0x1d).

use super::daemon;
use crate::input::{HostLog, HostLogEntry, LogAct, LogActor};
use crate::time::Timestamp;

/// The user of who never logged in.
const NOBODY: u32 = u32::MAX;

/// Programs that ask a container runtime.
const CLIENTS: [&str; 8] =
    ["crictl", "ctr", "docker", "docker-compose", "kubectl", "nerdctl", "podman", "podman-remote"];

/// Puts records together.
#[derive(Debug, Default)]
pub struct AuditLines {
    waiting: Option<Event>,
    done: Vec<HostLogEntry>,
    cut: u64,
}

#[derive(Debug)]
struct Event {
    serial: u64,
    at: Timestamp,
    act: Option<LogAct>,
    by: LogActor,
}

impl AuditLines {
    /// One line without its end.
    pub fn line(&mut self, line: &[u8]) {
        let Ok(text) = std::str::from_utf8(line) else {
            self.cut += 1;
            return;
        };
        if text.trim().is_empty() {
            return;
        }
        let Some(record) = Record::read(text) else {
            self.cut += 1;
            return;
        };
        if self.waiting.as_ref().is_none_or(|event| event.serial != record.serial) {
            self.end();
            let (serial, at) = (record.serial, record.at);
            self.waiting = Some(Event { serial, at, act: None, by: LogActor::default() });
        }
        if let Some(event) = &mut self.waiting {
            event.act = event.act.take().or_else(|| record.act());
            record.actor(&mut event.by);
        }
    }

    /// Nothing more comes for now: what waits is whole.
    pub fn finish(&mut self) {
        self.end();
    }

    /// What was found since the last call.
    pub fn take(&mut self) -> Vec<HostLogEntry> {
        std::mem::take(&mut self.done)
    }

    /// Lines that could not be read since the last call.
    pub fn take_cut(&mut self) -> u64 {
        std::mem::take(&mut self.cut)
    }

    fn end(&mut self) {
        let Some(Event { at, act: Some(act), by, .. }) = self.waiting.take() else { return };
        let by = Some(by).filter(|by| *by != LogActor::default());
        if let Some(last) = self.done.last_mut().filter(|last| last.by == by)
            && add(&mut last.act, &act)
        {
            return;
        }
        self.done.push(HostLogEntry { log: HostLog::Audit, at, act, by });
    }
}

/// What one line says happened.
pub(super) fn act_of(line: &str) -> Option<LogAct> {
    Record::read(line)?.act()
}

/// Counts a second one of the same kind.
pub(super) fn add(known: &mut LogAct, more: &LogAct) -> bool {
    match (known, more) {
        (LogAct::RulesRemoved { count }, LogAct::RulesRemoved { count: more })
        | (LogAct::RulesAdded { count }, LogAct::RulesAdded { count: more }) => {
            *count = count.saturating_add(*more);
            true
        }
        _ => false,
    }
}

/// One line.
struct Record<'a> {
    kind: &'a str,
    at: Timestamp,
    serial: u64,
    fields: &'a str,
}

impl<'a> Record<'a> {
    fn read(line: &'a str) -> Option<Self> {
        let line = line.split('\u{1d}').next().unwrap_or_default();
        // Several hosts in one log: `node=NAME` comes first.
        let line = line.strip_prefix("node=").and_then(|rest| rest.split_once(' ')).map_or(line, |(_, rest)| rest);
        let (kind, rest) = line.strip_prefix("type=")?.split_once(' ')?;
        let (stamp, fields) = rest.strip_prefix("msg=audit(")?.split_once("):")?;
        let (time, serial) = stamp.split_once(':')?;
        let (seconds, fraction) = time.split_once('.')?;
        let millis = seconds.parse::<i64>().ok()?.checked_mul(1000)?.checked_add(fraction.parse::<i64>().ok()?)?;
        let at = Timestamp::from_nanos(millis.checked_mul(1_000_000)?);
        Some(Self { kind, at, serial: serial.parse().ok()?, fields })
    }

    /// The first field of this name; quotes around it do not count. Programs write the text in `msg='…'`; the kernel quotes names of processes, which may hold such quotes.
    fn field(&self, name: &str) -> Option<&'a str> {
        let fields = match self.fields.split_once(" msg='") {
            Some((before, said)) if self.kind != "SYSCALL" && self.kind != "CONFIG_CHANGE" => [before, said],
            _ => [self.fields, ""],
        };
        let mut all = fields.into_iter().flat_map(|fields| fields.split(' '));
        let found = all.find_map(|field| field.strip_prefix(name)?.strip_prefix('='))?;
        Some(found.trim_matches(['"', '\'']))
    }

    fn act(&self) -> Option<LogAct> {
        let unit = || self.field("unit").and_then(daemon).map(str::to_owned);
        let auditd = || "auditd".to_owned();
        let switched = self.field("audit_enabled");
        Some(match (self.kind, self.field("op")) {
            ("CONFIG_CHANGE", Some("remove_rule")) => LogAct::RulesRemoved { count: 1 },
            ("CONFIG_CHANGE", Some("add_rule")) => LogAct::RulesAdded { count: 1 },
            ("CONFIG_CHANGE", _) if switched == Some("0") => LogAct::AuditOff,
            ("CONFIG_CHANGE", _) if switched.is_some() => LogAct::AuditOn,
            ("DAEMON_END" | "DAEMON_ABORT", _) => LogAct::Stopped { daemon: auditd() },
            ("DAEMON_START", _) => LogAct::Started { daemon: auditd() },
            ("SYSCALL", _) if self.is_client() => LogAct::AskedRuntime,
            ("SERVICE_STOP", _) => LogAct::Stopped { daemon: unit()? },
            ("SERVICE_START", _) => LogAct::Started { daemon: unit()? },
            _ => return None,
        })
    }

    /// Whether it is the start of a client of a container runtime. A system call has another number on each architecture.
    fn is_client(&self) -> bool {
        let text = |name: &str| self.field(name).unwrap_or_default();
        let is_exec = match text("arch") {
            "c000003e" => matches!(text("syscall"), "59" | "322"),
            "40000003" => matches!(text("syscall"), "11" | "358"),
            "c00000b7" => matches!(text("syscall"), "221" | "281"),
            _ => false,
        };
        let program = decoded(text("exe"));
        is_exec && text("success") == "yes" && CLIENTS.contains(&program.rsplit('/').next().unwrap_or_default())
    }

    /// Adds what this record says of the process.
    fn actor(&self, by: &mut LogActor) {
        let number = |name: &str| self.field(name).and_then(|text| text.parse::<u32>().ok());
        // Of a service, the record names systemd, and not who asked it.
        if !matches!(self.kind, "CONFIG_CHANGE" | "SYSCALL" | "DAEMON_END" | "SERVICE_STOP" | "SERVICE_START") {
            return;
        }
        by.login = by.login.or_else(|| number("auid").filter(|login| *login != NOBODY));
        by.uid = by.uid.or_else(|| number("uid"));
        by.pid = by.pid.or_else(|| number("pid"));
        by.program = by.program.take().or_else(|| self.field("exe").map(decoded));
    }
}

/// A path as audit writes it: in hexadecimal digits where it has odd characters, `?` where there is none.
fn decoded(field: &str) -> String {
    const MOST: usize = 256;
    let hex = || -> Option<Vec<u8>> {
        let digits = field.as_bytes();
        let is_hex = digits.len() >= 2 && digits.len().is_multiple_of(2) && digits.iter().all(u8::is_ascii_hexdigit);
        let pairs = is_hex.then_some(digits.as_chunks::<2>().0)?;
        pairs.iter().map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()).collect()
    };
    let decoded = hex().map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    decoded.unwrap_or_else(|| field.to_owned()).chars().take(MOST).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entries(lines: &[&str]) -> Vec<HostLogEntry> {
        let mut audit = AuditLines::default();
        for line in lines {
            audit.line(line.as_bytes());
        }
        audit.finish();
        assert_eq!(audit.take_cut(), 0, "{lines:?}");
        audit.take()
    }

    /// As auditd 3.0 writes them for `auditctl -D` by a user who became root, and for a service that systemd stops.
    const REMOVED: &str = "type=CONFIG_CHANGE msg=audit(1795000000.243:88): auid=1000 ses=3 subj==unconfined op=remove_rule key=\"x\" list=4 res=1\u{1d}AUID=\"kai\"";
    const SYSCALL: &str = "type=SYSCALL msg=audit(1795000000.243:88): arch=c000003e syscall=44 success=yes exit=1060 a0=3 items=0 ppid=810 pid=812 \
         auid=1000 uid=0 gid=0 tty=pts0 ses=3 comm=\"auditctl\" exe=\"/usr/sbin/auditctl\" subj==unconfined key=(null)";
    const STOPPED: &str = "type=SERVICE_STOP msg=audit(1795000001.000:90): pid=1 uid=0 auid=4294967295 ses=4294967295 \
         msg='unit=rsyslog comm=\"systemd\" exe=\"/usr/lib/systemd/systemd\" hostname=? addr=? terminal=? res=success'";

    #[test]
    fn an_event_of_several_records_says_what_and_who() {
        let found = entries(&[
            REMOVED,
            SYSCALL,
            "type=PROCTITLE msg=audit(1795000000.243:88): proctitle=617564697463746C002D44",
            STOPPED,
        ]);
        let [removed, stopped] = &found[..] else { panic!("{found:?}") };
        assert_eq!(removed.act, LogAct::RulesRemoved { count: 1 });
        assert_eq!(removed.at.to_string(), "2026-11-18T11:06:40.243000000Z");
        let by = removed.by.as_ref().expect("somebody").to_string();
        assert_eq!(by, "/usr/sbin/auditctl, pid 812, uid 0, login uid 1000");
        assert_eq!(stopped.act, LogAct::Stopped { daemon: "rsyslogd".to_owned() });
        assert_eq!(stopped.by.as_ref().and_then(|by| by.login), None, "systemd never logged in");
    }

    #[test]
    fn a_client_of_a_runtime_that_was_run_is_an_entry_with_the_login() {
        let ran = "type=SYSCALL msg=audit(1795000000.243:88): arch=c000003e syscall=59 success=yes exit=0 ppid=810 pid=812 auid=1000 uid=0 \
             comm=\"docker\" exe=\"/usr/bin/docker\" key=\"docker\"";
        let argument = "type=EXECVE msg=audit(1795000000.243:88): argc=3 a0=\"docker\" a1=\"run\" a2=\"SECRET=x\"";
        let found = entries(&[ran, argument]);
        let [one] = &found[..] else { panic!("{found:?}") };
        assert_eq!(one.act, LogAct::AskedRuntime);
        let by = one.by.as_ref().expect("somebody").to_string();
        assert_eq!(by, "/usr/bin/docker, pid 812, uid 0, login uid 1000", "no argument is kept");
        for hidden in ["\"x'exe=ls\"", "\"x exe=ls\""].map(|name| ran.replace("\"docker\" exe", &format!("{name} exe")))
        {
            let [one] = &entries(&[&hidden.replace("x exe", "x'exe")])[..] else { panic!("{hidden}") };
            let by = one.by.as_ref().and_then(|by| by.program.as_deref());
            assert_eq!(by, Some("/usr/bin/docker"), "the name of a process is its own choice: {hidden}");
        }
        let odd = ran.replace("\"/usr/bin/docker\"", "2F746D702F61206220646F636B65722F646F636B6572");
        assert_eq!(entries(&[&odd]).len(), 1, "a path with a blank is a client, too");
        for other in [("success=yes", "success=no"), ("syscall=59", "syscall=42"), ("bin/docker", "bin/dockerd")] {
            assert_eq!(entries(&[&ran.replace(other.0, other.1)]), [], "{other:?}");
        }
    }

    #[test]
    fn changes_in_a_row_by_one_process_are_one_entry_and_words_of_a_sender_are_none() {
        let mut lines: Vec<String> = Vec::new();
        for serial in 1..=300 {
            lines.push(REMOVED.replace(":88)", &format!(":{serial})")));
            lines.push(SYSCALL.replace(":88)", &format!(":{serial})")));
        }
        lines.push(
            "type=USER msg=audit(1795000000.300:400): pid=9 uid=1000 msg='op=remove_rule type=CONFIG_CHANGE'"
                .to_owned(),
        );
        lines.push(
            "type=CONFIG_CHANGE msg=audit(1795000002.000:401): op=set audit_enabled=0 old=1 auid=0 ses=1 res=1"
                .to_owned(),
        );
        let found = entries(&lines.iter().map(String::as_str).collect::<Vec<_>>());
        let acts: Vec<&LogAct> = found.iter().map(|entry| &entry.act).collect();
        assert_eq!(acts, [&LogAct::RulesRemoved { count: 300 }, &LogAct::AuditOff]);
    }

    #[test]
    fn a_cut_line_is_counted_and_an_odd_path_is_decoded() {
        let mut audit = AuditLines::default();
        for cut in ["type=CONFIG_CHANGE msg=audit(17950", "type=", "nonsense"] {
            audit.line(cut.as_bytes());
        }
        audit.line(&[0xff, 0xfe]);
        audit.line(b"");
        assert_eq!(audit.take_cut(), 4);
        assert_eq!(
            (decoded("2F746D702F612062"), decoded("/usr/sbin/auditctl")),
            ("/tmp/a b".to_owned(), "/usr/sbin/auditctl".to_owned())
        );
    }
}
