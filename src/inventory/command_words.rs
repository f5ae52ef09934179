//! Which words of a command that was executed in a container are shown.
//!
//! Contract: the program is shown, and of what follows it the words, options' names, signs of the shell and folders of the lists below;
//! everything else is [`HIDDEN`], so no argument that may be a secret leaves memory. Paths of programs are shown by their last part.
//! Limits: [`MAX_TEXT`] bytes of a command are read; of more than [`MAX_WORDS`] words the first and the last half stay.
//! Design: a list of what is no secret, because a list of secrets is never complete. The names of agents that the configuration adds are
//! part of it.

use std::collections::BTreeSet;

use super::configuration::option_name;
use crate::input::{HIDDEN, MAX_WORDS};

/// Bytes of one command that are read.
const MAX_TEXT: usize = 64 * 1024;
/// Bytes of a process' name that the kernel keeps (`TASK_COMM_LEN` without its end).
const MAX_COMM: usize = 15;
/// Bytes of a program's name that are shown.
const MAX_PROGRAM: usize = 256;

/// Programs that watch, collect or ship what containers do.
pub const AGENTS: [&str; 36] = [
    "alloy",
    "auditbeat",
    "auditd",
    "cilium-agent",
    "datadog-agent",
    "falco",
    "falcosidekick",
    "filebeat",
    "fluent-bit",
    "fluentd",
    "grafana-agent",
    "heartbeat",
    "hopwatch",
    "journalbeat",
    "logspout",
    "logstash",
    "metricbeat",
    "node_exporter",
    "osqueryd",
    "otelcol",
    "otelcol-contrib",
    "ossec-agentd",
    "packetbeat",
    "promtail",
    "rsyslogd",
    "snort",
    "splunkd",
    "suricata",
    "syslog-ng",
    "tetragon",
    "tracee",
    "vector",
    "wazuh-agent",
    "wazuh-agentd",
    "wazuh-modulesd",
    "zeek",
];

/// Names by which services of agents are known where it is not their program's.
pub const AGENT_SERVICES: [&str; 4] = ["journald", "rsyslog", "syslog", "systemd-journald"];

/// Folders and files of logs, and of what configures agents.
pub const LOG_PATHS: [&str; 6] =
    ["/proc/1/fd/1", "/proc/1/fd/2", "/run/log", "/var/lib/docker/containers", "/var/log", "/var/spool/rsyslog"];
/// Files and folders of agents' settings.
pub const AGENT_PATHS: [&str; 20] = [
    "/etc/alloy",
    "/etc/audit",
    "/etc/datadog-agent",
    "/etc/falco",
    "/etc/filebeat",
    "/etc/fluent",
    "/etc/fluent-bit",
    "/etc/fluentd",
    "/etc/grafana-agent",
    "/etc/osquery",
    "/etc/otelcol",
    "/etc/promtail",
    "/etc/rsyslog.conf",
    "/etc/rsyslog.d",
    "/etc/suricata",
    "/etc/syslog-ng",
    "/etc/vector",
    "/fluent-bit/etc",
    "/fluentd/etc",
    "/usr/share/filebeat",
];
/// Where what is written is lost.
pub const VOIDS: [&str; 3] = ["/dev/full", "/dev/null", "/dev/zero"];

/// Words that say what a command does, and never what it is about.
const WORDS: [&str; 111] = [
    "-delete",
    "-exec",
    "HISTFILE",
    "HISTSIZE",
    "add",
    "append",
    "ash",
    "auditctl",
    "bash",
    "bridge",
    "busybox",
    "cat",
    "change",
    "chattr",
    "chmod",
    "cp",
    "dash",
    "dd",
    "del",
    "delete",
    "disable",
    "dmesg",
    "down",
    "ebtables",
    "echo",
    "env",
    "exec",
    "export",
    "fg",
    "filter",
    "find",
    "flush",
    "forward",
    "grep",
    "halt",
    "head",
    "history",
    "ifconfig",
    "initctl",
    "input",
    "insert",
    "install",
    "ip",
    "ip6tables",
    "ip6tables-legacy",
    "ip6tables-nft",
    "ipset",
    "iptables",
    "iptables-legacy",
    "iptables-nft",
    "journalctl",
    "kill",
    "killall",
    "killall5",
    "link",
    "ln",
    "logrotate",
    "mangle",
    "mask",
    "mount",
    "mv",
    "nat",
    "nft",
    "nohup",
    "nsenter",
    "off",
    "on",
    "output",
    "perl",
    "pgrep",
    "pidof",
    "pkill",
    "poweroff",
    "printf",
    "ps",
    "python",
    "python3",
    "raw",
    "rc-service",
    "reload",
    "replace",
    "restart",
    "rm",
    "rotate",
    "route",
    "rule",
    "ruleset",
    "sed",
    "service",
    "set",
    "setsid",
    "sh",
    "shred",
    "sleep",
    "stop",
    "sudo",
    "supervisorctl",
    "sv",
    "systemctl",
    "table",
    "tail",
    "tc",
    "tee",
    "test",
    "timeout",
    "touch",
    "truncate",
    "umount",
    "unlink",
    "unset",
    "xargs",
];

/// Names of signals without `SIG`.
const SIGNALS: [(&str, u8); 16] = [
    ("ABRT", 6),
    ("ALRM", 14),
    ("CONT", 18),
    ("HUP", 1),
    ("INT", 2),
    ("KILL", 9),
    ("PIPE", 13),
    ("QUIT", 3),
    ("SEGV", 11),
    ("STOP", 19),
    ("TERM", 15),
    ("TSTP", 20),
    ("USR1", 10),
    ("USR2", 12),
    ("WINCH", 28),
    ("XCPU", 24),
];

/// The number of a signal as a command names it: `9`, `KILL`, `SIGKILL`.
pub fn signal_number(word: &str) -> Option<u8> {
    let bare = word.strip_prefix("SIG").unwrap_or(word);
    let named = || SIGNALS.iter().find(|(name, _)| *name == bare).map(|(_, number)| *number);
    word.parse().ok().filter(|number| *number <= 64).or_else(named)
}

/// Names of programs that are shown beside those of the lists.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Vocabulary {
    names: BTreeSet<String>,
}

impl Vocabulary {
    /// With these names of agents.
    pub fn new(names: impl IntoIterator<Item = String>) -> Self {
        Self { names: names.into_iter().collect() }
    }

    /// Whether a word is the name of an agent or of its service.
    pub fn is_agent(&self, word: &str) -> bool {
        let name = word.strip_suffix(".service").unwrap_or(word);
        AGENTS.contains(&name) || AGENT_SERVICES.contains(&name) || self.names.contains(name)
    }

    /// Whether a process of this name (`/proc/PID/comm`, which is cut) is an agent's.
    pub fn is_process(&self, name: &str) -> bool {
        let is_cut = |agent: &str| agent.len() > MAX_COMM && agent.get(..MAX_COMM) == Some(name);
        self.is_agent(name) || AGENTS.into_iter().any(is_cut) || self.names.iter().any(|agent| is_cut(agent))
    }

    /// The program of a command and what is shown of the words that follow it.
    pub fn shown<'a>(&self, mut words: impl Iterator<Item = &'a str>) -> (String, Vec<String>) {
        let program = words.next().unwrap_or_default();
        let program = program.get(..program.floor_char_boundary(MAX_PROGRAM)).unwrap_or_default().to_owned();
        let mut shown: Vec<String> = Vec::new();
        let mut left = MAX_TEXT;
        for word in words {
            let part = word.get(..word.floor_char_boundary(left)).unwrap_or_default();
            left = left.saturating_sub(part.len());
            for token in tokens(part) {
                for word in self.clear(&token) {
                    if word != HIDDEN || shown.last().is_none_or(|last| last != HIDDEN) {
                        shown.push(word);
                    }
                }
            }
        }
        (program, cut(shown))
    }

    /// What is shown of one word.
    fn clear(&self, token: &str) -> Vec<String> {
        let one = |word: &str| vec![word.to_owned()];
        if is_sign(token) {
            return one(token);
        }
        let base = if token.starts_with('/') { token.rsplit('/').next().unwrap_or_default() } else { token };
        let is_short_number = token.len() <= 2 && token.bytes().all(|byte| byte.is_ascii_digit());
        if WORDS.contains(&base)
            || self.is_agent(base)
            || is_short_number
            || signal_number(token).is_some_and(|_| !is_number(token))
        {
            return one(base);
        }
        if let Some(path) = folder(token) {
            return vec![path];
        }
        if token.strip_prefix('-').is_some_and(|rest| signal_number(rest).is_some()) {
            return one(token);
        }
        match option_name(token) {
            Some(name) if name.len() == token.len() => one(name),
            Some(name) => vec![name.to_owned(), HIDDEN.to_owned()],
            None => one(HIDDEN),
        }
    }
}

fn is_number(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_digit())
}

/// The listed folder that a path is in, or the listed file that it is.
fn folder(path: &str) -> Option<String> {
    let all = LOG_PATHS.iter().chain(&AGENT_PATHS).chain(&VOIDS);
    let inside =
        |listed: &&&str| path.strip_prefix(**listed).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    let listed = all.filter(inside).max_by_key(|listed| listed.len())?;
    let deeper = path.len() > listed.len() + 1;
    Some(if deeper { format!("{listed}/{HIDDEN}") } else { (*listed).to_owned() })
}

/// Whether it is a sign of the shell.
fn is_sign(token: &str) -> bool {
    matches!(token, ";" | "|" | "||" | "&" | "&&" | "<" | "<<" | ">" | ">>" | "(" | ")" | "`")
}

/// Words and signs of a shell's line. Quotes are left out.
fn tokens(text: &str) -> Vec<String> {
    let (mut all, mut word) = (Vec::new(), String::new());
    let mut characters = text.chars().peekable();
    while let Some(character) = characters.next() {
        match character {
            '\'' | '"' | '\\' => {}
            '$' if characters.peek() == Some(&'(') => {}
            '\n' => end(&mut all, &mut word, ";"),
            blank if blank.is_whitespace() => end(&mut all, &mut word, ""),
            ';' | '(' | ')' | '`' => end(&mut all, &mut word, character.encode_utf8(&mut [0; 4])),
            '|' | '&' | '<' | '>' => {
                let is_double = characters.next_if_eq(&character).is_some();
                let sign = if is_double { format!("{character}{character}") } else { character.to_string() };
                end(&mut all, &mut word, &sign);
            }
            other => word.push(other),
        }
    }
    end(&mut all, &mut word, "");
    all
}

/// Ends a word, and adds a sign behind it.
fn end(all: &mut Vec<String>, word: &mut String, sign: &str) {
    if !word.is_empty() {
        all.push(std::mem::take(word));
    }
    if !sign.is_empty() {
        all.push(sign.to_owned());
    }
}

/// The first and the last half of too many words.
fn cut(mut words: Vec<String>) -> Vec<String> {
    if words.len() > MAX_WORDS {
        let last = words.split_off(words.len() - MAX_WORDS / 2);
        words.truncate(MAX_WORDS / 2 - 1);
        words.push(HIDDEN.to_owned());
        words.extend(last);
    }
    words
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(words: &[&str]) -> String {
        let vocabulary = Vocabulary::new(["myshipper".to_owned()]);
        let (program, words) = vocabulary.shown(words.iter().copied());
        format!("{program} {}", words.join(" "))
    }

    #[test]
    fn what_a_command_does_is_shown_and_what_it_is_about_is_not() {
        for (words, text) in [
            (&["sh", "-c", "kill -9 $(pidof fluent-bit)"][..], "sh -c kill -9 ( pidof fluent-bit )"),
            (&["/usr/bin/pkill", "-KILL", "myshipper"], "/usr/bin/pkill -KILL myshipper"),
            (&["sh", "-c", "rm -rf /var/log/secret/x; echo hunter2"], "sh -c rm -r … /var/log/… ; echo …"),
            (&["ln", "-sf", "/dev/null", "/var/log/app.log"], "ln -s … /dev/null /var/log/…"),
            (&["mysql", "-phunter2", "--password=hunter2", "hunter2", "hunter2"], "mysql -p … --password …"),
            (&["sh", "-c", ": > /var/log/x"], "sh -c … > /var/log/…"),
            (&["systemctl", "stop", "rsyslog.service"], "systemctl stop rsyslog.service"),
            (&["kill", "-s", "SIGUSR1", "1"], "kill -s SIGUSR1 1"),
            (&["kill", "123456"], "kill …"),
            (&["sh", "-c", "/opt/hunter2/bin/kill 1"], "sh -c kill 1"),
            (&["cat", "/var/logs/hunter2"], "cat …"),
        ] {
            assert_eq!(shown(words), text, "{words:?}");
            assert!(!shown(words).contains("hunter2"));
        }
    }

    #[test]
    fn a_long_command_keeps_its_beginning_and_its_end() {
        let long = format!("{} kill 1", "cat ;".repeat(500));
        let (_, words) = Vocabulary::default().shown(["sh", "-c", &long].into_iter());
        assert_eq!(words.len(), MAX_WORDS);
        assert_eq!(words.last().map(String::as_str), Some("1"));
        assert_eq!(Vocabulary::default().shown([].into_iter()), (String::new(), vec![]));
    }

    #[test]
    fn signals_have_several_names() {
        for (word, number) in [("9", Some(9)), ("KILL", Some(9)), ("SIGKILL", Some(9)), ("kill", None), ("99", None)] {
            assert_eq!(signal_number(word), number, "{word}");
        }
    }
}
