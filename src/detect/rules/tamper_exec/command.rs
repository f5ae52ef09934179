//! What a command does, by its words.
//!
//! Contract: pure; looks at words that are shown in an event, in any shell's line. Limits: words alone: it neither knows variables nor
//! follows scripts. Design: a line is a list of commands; those that a pipe or a substitution joins are looked at together, because
//! one names the agent and another one kills it.

use crate::input::{ExecutedCommand, HIDDEN};
use crate::inventory::command_words::{AGENT_PATHS, LOG_PATHS, VOIDS, Vocabulary, signal_number};

/// What a command acts against.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Tampering {
    Agent,
    Service,
    Logs,
    Settings,
    Audit,
    Network,
    History,
}

impl Tampering {
    pub(super) const fn text(self) -> &'static str {
        match self {
            Self::Agent => "sends a signal to an agent",
            Self::Service => "stops or disables an agent's service",
            Self::Logs => "removes, empties or redirects logs",
            Self::Settings => "changes an agent's settings",
            Self::Audit => "switches auditing off or clears records",
            Self::Network => "changes routes, interfaces or firewall rules",
            Self::History => "switches the shell's history off",
        }
    }
}

/// Programs that run another one, which is what counts.
const WRAPPERS: [&str; 13] =
    ["ash", "bash", "busybox", "dash", "env", "exec", "nohup", "nsenter", "setsid", "sh", "sudo", "timeout", "xargs"];
/// Signals by which agents reopen files or read their settings again, and which end nothing: also 0, which only asks.
const BENIGN: [u8; 6] = [0, 1, 10, 12, 18, 28];
const KILLS: [&str; 4] = ["kill", "killall", "killall5", "pkill"];
const SERVICES: [&str; 6] = ["initctl", "rc-service", "service", "supervisorctl", "sv", "systemctl"];
const STOPS: [&str; 6] = ["disable", "down", "halt", "kill", "mask", "stop"];
const REMOVERS: [&str; 5] = ["mv", "rm", "shred", "truncate", "unlink"];
const WRITERS: [&str; 8] = ["cp", "dd", "install", "ln", "mv", "rm", "tee", "truncate"];
const FIREWALLS: [&str; 8] = [
    "ebtables",
    "ip6tables",
    "ip6tables-legacy",
    "ip6tables-nft",
    "ipset",
    "iptables",
    "iptables-legacy",
    "iptables-nft",
];
/// What changes rules: `-F` and its like, and nft's verbs.
const RULE_CHANGES: [&str; 7] = ["-A", "-D", "-F", "-I", "-P", "-R", "-X"];
const CHANGES: [&str; 10] = ["add", "append", "change", "del", "delete", "down", "flush", "insert", "replace", "set"];

/// What a command acts against, first of all; `None` where its words say nothing of the kind.
pub(super) fn classify(command: &ExecutedCommand, agents: &Vocabulary, in_monitor: bool) -> Option<Tampering> {
    let program = command.program.rsplit('/').next().unwrap_or_default();
    let words: Vec<&str> = std::iter::once(program).chain(command.words.iter().map(String::as_str)).collect();
    let lines = words.split(|word| matches!(*word, ";" | "&" | "&&" | "||"));
    lines.filter_map(|line| Line { words: line, agents, in_monitor }.classify()).min()
}

/// Commands that a pipe or a substitution joins.
struct Line<'a> {
    words: &'a [&'a str],
    agents: &'a Vocabulary,
    in_monitor: bool,
}

impl Line<'_> {
    fn classify(&self) -> Option<Tampering> {
        let stages = self.words.split(|word| matches!(*word, "|" | "(" | ")" | "`"));
        let own = stages.filter_map(|stage| self.stage(stage)).min();
        own.into_iter().chain(self.redirected()).min()
    }

    fn names_agent(&self) -> bool {
        self.words.iter().any(|word| self.agents.is_agent(word))
    }

    /// A single `>` empties what it writes to.
    fn redirected(&self) -> Option<Tampering> {
        let targets = self.words.windows(2).filter(|pair| pair[0] == ">").map(|pair| pair[1]);
        targets
            .filter_map(|target| {
                if is_in(target, &LOG_PATHS) {
                    Some(Tampering::Logs)
                } else {
                    is_in(target, &AGENT_PATHS).then_some(Tampering::Settings)
                }
            })
            .min()
    }

    fn stage(&self, stage: &[&str]) -> Option<Tampering> {
        let at = stage.iter().position(|word| !is_prefix(word))?;
        let (name, words) = (stage[at], &stage[at + 1..]);
        let has = |listed: &[&str]| words.iter().any(|word| listed.contains(word));
        let touches = |paths: &[&str]| words.iter().any(|word| is_in(word, paths));
        let against_agent = || self.in_monitor || self.names_agent();
        let is = |listed: &[&str]| listed.contains(&name);
        if is(&KILLS) {
            return (is_fatal(words) && against_agent()).then_some(Tampering::Agent);
        }
        if is(&SERVICES) {
            return (has(&STOPS) && against_agent()).then_some(Tampering::Service);
        }
        let removes = is(&REMOVERS) || (name == "find" && has(&["-delete", "rm", "shred", "truncate"]));
        if (removes && touches(&LOG_PATHS))
            || (is(&["ln", "cp", "dd", "mount"]) && touches(&LOG_PATHS) && touches(&VOIDS))
        {
            return Some(Tampering::Logs);
        }
        if (is(&WRITERS) || (name == "sed" && has(&["-i"]))) && touches(&AGENT_PATHS) {
            return Some(Tampering::Settings);
        }
        audit(name, words).or_else(|| network(name, words)).or_else(|| {
            let unset = name == "unset" && has(&["HISTFILE"]);
            unset.then_some(Tampering::History)
        })
    }
}

/// Whether a word stands before the program that counts.
fn is_prefix(word: &str) -> bool {
    let is_number = word.bytes().all(|byte| byte.is_ascii_digit());
    WRAPPERS.contains(&word) || word == HIDDEN || word.starts_with('-') || is_number
}

fn is_in(word: &str, paths: &[&str]) -> bool {
    paths.iter().any(|path| word.strip_prefix(path).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')))
}

/// Whether the signal that a kill sends ends or freezes.
fn is_fatal(words: &[&str]) -> bool {
    if words.first().is_some_and(|first| *first == "-l" || *first == "-L") {
        return false;
    }
    let after = words.windows(2).find(|pair| matches!(pair[0], "-s" | "--signal")).map(|pair| pair[1]);
    let number =
        after.and_then(signal_number).or_else(|| words.iter().find_map(|word| signal_number(word.strip_prefix('-')?)));
    number.is_none_or(|number| !BENIGN.contains(&number))
}

fn audit(name: &str, words: &[&str]) -> Option<Tampering> {
    let has = |word: &str| words.contains(&word);
    let is_it = match name {
        "auditctl" => has("-D") || words.windows(2).any(|pair| pair == ["-e", "0"]),
        "journalctl" => words.iter().any(|word| word.starts_with("--vacuum")),
        "dmesg" => has("-C") || has("-c") || has("--clear"),
        _ => false,
    };
    is_it.then_some(Tampering::Audit)
}

fn network(name: &str, words: &[&str]) -> Option<Tampering> {
    let has = |listed: &[&str]| words.iter().any(|word| listed.contains(word));
    let is_it = match name {
        "nft" => has(&CHANGES) || has(&["-f"]),
        "ip" | "tc" | "route" | "ifconfig" | "bridge" => has(&CHANGES),
        name if FIREWALLS.contains(&name) => has(&RULE_CHANGES) || has(&CHANGES),
        _ => false,
    };
    is_it.then_some(Tampering::Network)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(words: &[&str], in_monitor: bool) -> Option<Tampering> {
        let agents = Vocabulary::new(["own-agent".to_owned()]);
        let (program, words) = agents.shown(words.iter().copied());
        classify(&ExecutedCommand { program, words, ..ExecutedCommand::default() }, &agents, in_monitor)
    }

    fn shell(line: &str) -> Option<Tampering> {
        of(&["sh", "-c", line], false)
    }

    #[test]
    fn what_acts_against_agents_logs_and_rules_is_recognized() {
        for (line, what) in [
            ("kill -9 $(pidof fluent-bit)", Tampering::Agent),
            ("ps | grep own-agent | xargs kill", Tampering::Agent),
            ("true; sudo pkill -f filebeat", Tampering::Agent),
            ("killall -STOP vector", Tampering::Agent),
            ("systemctl disable --now rsyslog.service", Tampering::Service),
            ("rm -rf /var/log/nginx", Tampering::Logs),
            (": > /var/log/app.log", Tampering::Logs),
            ("ln -sf /dev/null /var/log/app.log", Tampering::Logs),
            ("find /var/log -name '*.log' -delete", Tampering::Logs),
            ("sed -i s/a/b/ /etc/fluent-bit/fluent-bit.conf", Tampering::Settings),
            ("echo x > /etc/rsyslog.d/90.conf", Tampering::Settings),
            ("auditctl -e 0", Tampering::Audit),
            ("journalctl --vacuum-time=1s", Tampering::Audit),
            ("dmesg -C", Tampering::Audit),
            ("iptables -t nat -F", Tampering::Network),
            ("ip route replace default via 10.0.0.1", Tampering::Network),
            ("nft flush ruleset", Tampering::Network),
            ("unset HISTFILE", Tampering::History),
            ("unset HISTFILE && rm /var/log/wtmp", Tampering::Logs),
        ] {
            assert_eq!(shell(line), Some(what), "{line}");
        }
    }

    #[test]
    fn reading_rotating_and_checking_is_not() {
        for line in [
            "kill -HUP $(pidof fluent-bit)",
            "pkill -s USR1 filebeat",
            "kill -0 $(pidof fluent-bit)",
            "kill -l",
            "kill -9 $(pidof nginx)",
            "cat /var/log/app.log | tail",
            "echo x >> /var/log/app.log",
            "systemctl status rsyslog",
            "service nginx stop",
            "iptables -L -n",
            "ip route show",
            "ip addr",
            "auditctl -l",
            "journalctl -f",
            "curl -f http://localhost/ || exit 1",
            "rm -rf /tmp/x",
            "echo kill fluent-bit",
            "pgrep fluent-bit",
        ] {
            assert_eq!(shell(line), None, "{line}");
        }
    }

    #[test]
    fn in_a_monitor_every_kill_counts() {
        assert_eq!(of(&["kill", "-9", "1"], true), Some(Tampering::Agent));
        assert_eq!(of(&["kill", "-9", "1"], false), None);
        assert_eq!(of(&["kill", "-HUP", "1"], true), None);
        assert_eq!(of(&["kill", "-s", "USR2", "1"], true), None);
    }
}
