//! Rules of iptables-legacy, which nftables neither shows nor reports.
//!
//! Contract: reads only, through `iptables-legacy-save`, and only while the kernel has such tables: asking for one that it has not would load it. A
//! rule's `id` is a hash of its words without counters and comments. Limits: of the network namespace of the calling thread; [`MAX_BYTES`] of
//! output, each part within [`PATIENCE`]; no report says that something changed, or who did it. Chains of container runtimes are left out, as those of nftables are.
//! Source: iptables-save(8); `xtables-legacy-multi` is the program behind all names.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read as _;
use std::os::fd::AsFd as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use sha2::{Digest as _, Sha256};

use super::rule::{MAX_NAME, is_runtimes};
use crate::input::FirewallRule;

/// Bytes of output that are read.
const MAX_BYTES: usize = 8 << 20;
/// How long the program may be silent.
const PATIENCE: Duration = Duration::from_secs(5);
/// Where the program is; of old versions, which write nothing but legacy tables, the last.
const PROGRAMS: [&str; 6] = [
    "/usr/sbin/xtables-legacy-multi",
    "/sbin/xtables-legacy-multi",
    "/usr/bin/xtables-legacy-multi",
    "/usr/local/sbin/xtables-legacy-multi",
    "/usr/sbin/xtables-multi",
    "/sbin/xtables-multi",
];
/// Family, the kernel's list of its tables, and the program's name for it.
const FAMILIES: [(&str, &str, &str); 2] = [
    ("ip", "/proc/thread-self/net/ip_tables_names", "iptables-save"),
    ("ip6", "/proc/thread-self/net/ip6_tables_names", "ip6tables-save"),
];

/// Where the program may be; the first that is there is run.
pub fn legacy_programs() -> Vec<PathBuf> {
    PROGRAMS.iter().map(PathBuf::from).collect()
}

/// The rules that redirect, mark, queue, copy, drop or jump; why they are not known, where they are not.
pub fn legacy_rules() -> Result<Vec<FirewallRule>, String> {
    let mut rules = Vec::new();
    for (family, list, program) in FAMILIES {
        let tables = tables(list);
        if !tables.is_empty() {
            let unread =
                |why| format!("its tables {} are not read; rules there may steer or drop: {why}", tables.join(", "));
            rules.extend(read(family, &saved(program).map_err(unread)?));
        }
    }
    Ok(rules)
}

/// The tables of a family that the kernel has.
fn tables(list: &str) -> Vec<String> {
    let mut names: Vec<String> =
        std::fs::read_to_string(list).unwrap_or_default().split_whitespace().map(str::to_owned).collect();
    names.sort();
    names
}

/// What the program prints.
fn saved(name: &str) -> Result<String, String> {
    let program = PROGRAMS.iter().find(|program| Path::new(program).is_file());
    let program = program.ok_or("iptables-legacy is not installed (xtables-legacy-multi in /usr/sbin)")?;
    let mut command = Command::new(program);
    command.arg(name).env_clear().stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = command.spawn().map_err(|error| format!("{program} {name} cannot be started: {error}"))?;
    let output = output(&mut child);
    // Where it ended by itself, this does nothing.
    let _ = child.kill();
    let status = child.wait().map_err(|error| format!("{program} {name}: {error}"))?;
    let output = output.map_err(|why| format!("{program} {name}: {why}"))?;
    if !status.success() {
        return Err(format!("{program} {name} ended with {status}; it needs CAP_NET_ADMIN and CAP_NET_RAW"));
    }
    Ok(String::from_utf8_lossy(&output).into_owned())
}

/// Everything that the program prints until it ends.
fn output(child: &mut Child) -> Result<Vec<u8>, String> {
    let mut out = child.stdout.take().ok_or("it has no output")?;
    let (mut all, mut buffer) = (Vec::new(), vec![0; 64 * 1024]);
    let silent = || format!("it was silent for {} s", PATIENCE.as_secs());
    loop {
        let mut wanted = [PollFd::new(out.as_fd(), PollFlags::POLLIN)];
        if !matches!(poll(&mut wanted, PollTimeout::try_from(PATIENCE).unwrap_or(PollTimeout::MAX)), Ok(1..)) {
            return Err(silent());
        }
        match out.read(&mut buffer).map_err(|error| error.to_string())? {
            0 => break,
            read if all.len() + read > MAX_BYTES => return Err(format!("more than {MAX_BYTES} bytes of rules")),
            read => all.extend_from_slice(buffer.get(..read).unwrap_or_default()),
        }
    }
    // Its exit follows the end of its output.
    for _ in 0..PATIENCE.as_millis() {
        if child.try_wait().map_err(|error| error.to_string())?.is_some() {
            return Ok(all);
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Err(silent())
}

/// Reads what `iptables-save` prints.
fn read(family: &str, text: &str) -> Vec<FirewallRule> {
    let mut reader = Reader { family, table: String::new(), chains: BTreeSet::new(), passing: BTreeMap::new() };
    text.lines().filter_map(|line| reader.line(line)).collect()
}

struct Reader<'t> {
    family: &'t str,
    table: String,
    /// Those of the table that its users made.
    chains: BTreeSet<&'t str>,
    /// Rules of each chain of the table that let packets pass the rules after them.
    passing: BTreeMap<&'t str, u32>,
}

impl<'t> Reader<'t> {
    fn line(&mut self, line: &'t str) -> Option<FirewallRule> {
        if let Some(table) = line.strip_prefix('*') {
            self.table = format!("{} (legacy)", short(table.trim()));
            (self.chains, self.passing) = (BTreeSet::new(), BTreeMap::new());
            return None;
        }
        if let Some(chain) = line.strip_prefix(':') {
            let mut words = chain.split(' ');
            let (chain, policy) = (words.next()?, words.next()?);
            if policy == "-" {
                self.chains.insert(chain);
            }
            return (policy == "DROP").then(|| self.rule(chain, "policy drop".to_owned(), "policy".to_owned()));
        }
        let (chain, rest) = line.strip_prefix("-A ")?.split_once(' ')?;
        if is_runtimes(chain) {
            return None;
        }
        let words = meaningful(words(rest));
        let target = words.iter().position(|word| word == "-j" || word == "-g").and_then(|at| words.get(at + 1))?;
        if matches!(target.as_str(), "ACCEPT" | "RETURN") {
            *self.passing.entry(chain).or_default() += 1;
            return None;
        }
        let action = self.action(target)?;
        let mut rule = self.rule(chain, action, id(&words));
        if rule.steers() {
            rule.overruled_by = self.passing.get(chain).copied().unwrap_or_default();
        }
        Some(rule)
    }

    fn action(&self, target: &str) -> Option<String> {
        let does = match target {
            "REDIRECT" => "redirect",
            "DNAT" => "dnat",
            "TPROXY" => "tproxy",
            "NFQUEUE" | "QUEUE" => "queue",
            "MARK" | "CONNMARK" => "mark",
            "TEE" => "copy",
            "DROP" | "REJECT" => "drop",
            chain if self.chains.contains(chain) && !is_runtimes(chain) => {
                return Some(format!("jump {}", short(chain)));
            }
            _ => return None,
        };
        Some(does.to_owned())
    }

    fn rule(&self, chain: &str, action: String, id: String) -> FirewallRule {
        let (family, table, chain) = (self.family.to_owned(), self.table.clone(), short(chain));
        FirewallRule { family, table, chain, action, id, overruled_by: 0 }
    }
}

fn short(name: &str) -> String {
    name.chars().take(MAX_NAME).collect()
}

/// The words of a rule; quoted ones may have spaces, and quotes behind a backslash.
fn words(text: &str) -> Vec<String> {
    let (mut words, mut word, mut quoted, mut escaped) = (Vec::new(), String::new(), false, false);
    for c in text.chars() {
        match c {
            _ if escaped => {
                word.push(c);
                escaped = false;
            }
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            ' ' if !quoted => words.push(std::mem::take(&mut word)),
            _ => word.push(c),
        }
    }
    words.push(word);
    words
}

/// Without comments, which say nothing to the kernel.
fn meaningful(words: Vec<String>) -> Vec<String> {
    let mut kept: Vec<String> = Vec::with_capacity(words.len());
    let mut words = words.into_iter();
    while let Some(word) = words.next() {
        if word == "--comment" {
            words.next();
            // `-m comment` stands before it.
            kept.truncate(kept.len().saturating_sub(2));
        } else {
            kept.push(word);
        }
    }
    kept
}

fn id(words: &[String]) -> String {
    let mut hash = Sha256::new();
    for word in words {
        hash.update(word.as_bytes());
        hash.update([0]);
    }
    hash.finalize().iter().take(8).fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SAVED: &str = "# Generated by iptables-save v1.8.9 on Mon Nov 30 02:48:52 2026
*filter
:INPUT ACCEPT [12:840]
:FORWARD DROP [0:0]
:MINE - [0:0]
:DOCKER-USER - [0:0]
:DOCKER-FORWARD - [0:0]
-A FORWARD -j DOCKER-USER
-A FORWARD -j DOCKER-FORWARD
-A FORWARD -i br-1 -g MINE
-A MINE -j LOG
-A DOCKER-FORWARD -j DROP
-A DOCKER-USER -s 172.20.0.0/16 -j REJECT --reject-with icmp-port-unreachable
COMMIT
*nat
:PREROUTING ACCEPT [0:0]
-A PREROUTING -s 10.0.0.9/32 -j RETURN
-A PREROUTING -p tcp -m tcp --dport 80 -m comment --comment \"to \\\"squid\\\" -j DROP\" -j REDIRECT --to-ports 3128
-A PREROUTING -j MASQUERADE
COMMIT
";

    fn shown(rule: &FirewallRule) -> String {
        let FirewallRule { family, table, chain, action, overruled_by, .. } = rule;
        format!("{family} {table} {chain} {action} {overruled_by}")
    }

    #[test]
    fn rules_that_steer_or_drop_are_read() {
        let found: Vec<String> = read("ip", SAVED).iter().map(shown).collect();
        assert_eq!(
            found,
            [
                "ip filter (legacy) FORWARD policy drop 0",
                "ip filter (legacy) FORWARD jump DOCKER-USER 0",
                "ip filter (legacy) FORWARD jump MINE 0",
                "ip filter (legacy) DOCKER-USER drop 0",
                "ip nat (legacy) PREROUTING redirect 1",
            ]
        );
    }

    #[test]
    fn counters_and_comments_do_not_change_a_rule_and_matches_do() {
        let id = |text: &str| read("ip", text).pop().expect("a rule").id;
        let (before, port) = (id(SAVED), SAVED.replace("--dport 80", "--dport 81"));
        let comment = SAVED.replace("to \\\"squid\\\" -j DROP", "proxy").replace("[12:840]", "[90:1]");
        assert_eq!(before, id(&comment));
        assert_ne!(before, id(&port));
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn any_text_is_read_without_a_panic(text in "(\\*[a-z]{0,3}\n|:[A-Z]{0,3} (-|DROP)?\n|-A [A-Z]? ?(-j|--comment|-m|\"|\\\\| )*.{0,9}\n){0,12}") {
            let _ = read("ip", &text);
        }
    }
}
