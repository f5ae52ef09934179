//! What records on the host, now: the kernel's audit, and log daemons.
//!
//! Contract: reads only. Limits: [`MAX_RULES`] audit rules; audit answers only in the initial network namespace and with `CAP_AUDIT_CONTROL`.
//! A daemon is a process of this process namespace with its usual command name that is neither stopped nor ended; who wants to look like
//! one can. Source: `linux/audit.h`, proc(5).

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;

use nix::sys::socket::SockProtocol;
use sha2::{Digest as _, Sha256};

use super::HostError;
use super::netlink::{BUFFER, Netlink, Query, number};
use crate::input::AuditState;

/// `AUDIT_GET` and `AUDIT_LIST_RULES`.
const STATUS: Query = Query::new("the state of the kernel's audit", 1000);
const RULES: Query = Query { asked: "the rules of the kernel's audit", kind: 1013, answers: 4096 };
/// Rules that are kept.
const MAX_RULES: usize = 4096;
/// Characters of a command's name; the kernel keeps 15.
const MAX_COMMAND: usize = 64;
/// Processes that are looked at.
const MAX_PROCESSES: usize = 65_536;
/// Command names, which have at most 15 characters, and what they are.
const DAEMONS: [(&str, &str); 5] = [
    ("auditd", "auditd"),
    ("systemd-journal", "journald"),
    ("rsyslogd", "rsyslogd"),
    ("syslog-ng", "syslog-ng"),
    ("syslogd", "syslogd"),
];

/// The kernel's audit as it is now.
pub fn audit() -> Result<AuditState, HostError> {
    let mut netlink = Netlink::open(SockProtocol::NetlinkAudit, 0).map_err(|error| STATUS.failed(error))?;
    let mut buffer = vec![0; BUFFER];
    let status =
        netlink.ask(&STATUS, &[], &mut buffer, |message| Some((enabled(message.body)?, reader(message.body))))?;
    let (enabled, reader) = status.unwrap_or_default();
    let mut rules = Vec::new();
    netlink.dump(&RULES, &[], &mut buffer, |message| {
        if message.kind == RULES.kind && rules.len() < MAX_RULES {
            rules.push(hash(message.body));
        }
    })?;
    rules.sort();
    Ok(AuditState { enabled, rules, reader: reader.and_then(command) })
}

/// The command's name of the process that the kernel hands its records to; nothing where nobody takes them, or that is not known.
pub fn audit_reader() -> Result<Option<String>, HostError> {
    let mut netlink = Netlink::open(SockProtocol::NetlinkAudit, 0).map_err(|error| STATUS.failed(error))?;
    let pid = netlink.ask(&STATUS, &[], &mut vec![0; BUFFER], |message| reader(message.body))?;
    Ok(pid.and_then(command))
}

/// `struct audit_status`: 0 is off, 1 on, 2 on until the next boot.
fn enabled(status: &[u8]) -> Option<bool> {
    number(status, 4).map(|enabled| enabled != 0)
}

/// The process that the kernel hands its records to, as this process namespace numbers it.
fn reader(status: &[u8]) -> Option<u32> {
    number(status, 12).filter(|pid| *pid != 0)
}

/// The name of a process's command.
fn command(pid: u32) -> Option<String> {
    let name = fs::read_to_string(path(pid, "comm")).ok()?;
    Some(name.trim_end().chars().take(MAX_COMMAND).collect())
}

fn hash(rule: &[u8]) -> String {
    Sha256::digest(rule).iter().take(8).fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

/// Log daemons that run.
#[derive(Debug, Default)]
pub struct Daemons {
    /// By pid: start time and name.
    known: BTreeMap<u32, (u64, &'static str)>,
}

impl Daemons {
    /// Those that were known and still run; whether one does not any more.
    pub fn check(&mut self) -> bool {
        let before = self.known.len();
        self.known.retain(|pid, (start, _)| running(*pid) == Some(*start));
        self.known.len() < before
    }

    /// Looks for all of them.
    pub fn scan(&mut self) {
        let own = fs::read_link("/proc/self/ns/pid").ok();
        let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
        let pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
        self.known = pids
            .take(MAX_PROCESSES)
            .filter_map(|pid| {
                let comm = fs::read_to_string(path(pid, "comm")).ok()?;
                let (_, name) = DAEMONS.iter().find(|(command, _)| *command == comm.trim_end())?;
                let is_hosts = fs::read_link(path(pid, "ns/pid")).ok() == own;
                is_hosts.then(|| Some((pid, (running(pid)?, *name)))).flatten()
            })
            .collect();
    }

    /// Their names.
    pub fn names(&self) -> BTreeSet<String> {
        self.known.values().map(|(_, name)| (*name).to_owned()).collect()
    }
}

/// When a process started that neither ended nor is stopped.
fn running(pid: u32) -> Option<u64> {
    start(&fs::read_to_string(path(pid, "stat")).ok()?)
}

/// State and start time follow the command's name, which may hold anything.
fn start(stat: &str) -> Option<u64> {
    let mut fields = stat.rsplit_once(')')?.1.split_whitespace();
    let state = fields.next()?;
    let began = fields.nth(18)?.parse().ok()?;
    (!matches!(state, "T" | "t" | "Z" | "X")).then_some(began)
}

fn path(pid: u32, file: &str) -> PathBuf {
    PathBuf::from(format!("/proc/{pid}/{file}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_is_stopped_or_ended_does_not_run() {
        let stat = |state: &str| format!("7 (a) b) {state} 1 {} 4711 0", "0 ".repeat(17).trim_end());
        assert_eq!(start(&stat("S")), Some(4711));
        for state in ["T", "Z", "X"] {
            assert_eq!(start(&stat(state)), None, "{state}");
        }
        assert_eq!(start("garbage"), None);
        assert!(running(std::process::id()).is_some());
    }

    #[test]
    fn audit_is_on_when_the_status_says_so_and_a_short_answer_says_nothing() {
        let status = |enabled: u32| [0_u32, enabled, 1, 0].map(u32::to_ne_bytes).concat();
        assert_eq!([0, 1, 2].map(|word| enabled(&status(word))), [Some(false), Some(true), Some(true)]);
        assert_eq!(enabled(&[0; 3]), None);
        let read_by = |pid: u32| [0_u32, 1, 1, pid].map(u32::to_ne_bytes).concat();
        assert_eq!([0, 7].map(|pid| reader(&read_by(pid))), [None, Some(7)]);
        assert!(command(std::process::id()).is_some() && command(u32::MAX).is_none());
    }
}
