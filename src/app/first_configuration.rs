//! The first configuration of a host, as a commented file: what `hopwatch init` writes.
//!
//! Contract: what is written is a configuration that the checks accept, and everything in it was found: interfaces, containers on the host's
//! network, contracts that were kept. Names come from containers, so they are quoted. Limits: what did not happen while this was observed is not
//! in it. Design: alerts about containers are low at first, so that nobody is called before somebody has read some of them.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::baseline::{Observation, Said, Suggestion};
use crate::escape::json::quoted;
use crate::escape::printable;
use crate::input::{NetworkMode, Workload};
use crate::wording::many;

/// Interfaces that are captured without a word of the configuration.
const BRIDGES: [&str; 3] = ["docker0", "br-*", "docker_gwbridge"];

/// What a look at this host shows; a recording shows none of it.
#[derive(Clone, Debug, Default)]
pub struct FoundHost {
    /// Interfaces of container networks that exist now.
    pub bridges: Vec<String>,
    /// Interfaces over which traffic leaves the host.
    pub uplinks: BTreeSet<String>,
    /// Container runtimes, and where each answers.
    pub runtimes: Vec<String>,
}

/// What the file is made of.
#[derive(Debug)]
pub struct FirstConfiguration<'a> {
    /// The host, where this is one.
    pub host: Option<FoundHost>,
    /// From what: `2m on this host`, `a recording`.
    pub source: String,
    /// The containers at the end.
    pub containers: &'a [Observation],
    /// Contracts that were kept.
    pub suggestion: &'a Suggestion,
    /// What they say of a recording.
    pub said: Option<&'a Said>,
}

impl FirstConfiguration<'_> {
    /// The file.
    pub fn yaml(&self) -> String {
        let mut text = format!(
            "# hopwatch: the first configuration, from {}. Read it, correct it, and look at what it can prove: `hopwatch paths -c FILE`.\n\
             # All keys: docs/configuration.md; for an editor: `hopwatch config schema`.\n\n",
            self.source
        );
        text.push_str(&self.runtimes());
        text.push_str(&self.capture());
        text.push_str(&self.host_network());
        text.push_str(OBSERVE_ONLY);
        text.push_str(&self.contracts());
        text
    }

    /// The containers that are allowed to be on the host's network, in words for the one who asked.
    pub fn on_host_network(&self) -> usize {
        self.allowed().len()
    }

    fn runtimes(&self) -> String {
        let Some(host) = &self.host else { return String::new() };
        if host.runtimes.is_empty() {
            return "# No container runtime was found: only addresses can be judged. Name its socket under `runtime`.\n\n".to_owned();
        }
        let each: String = host.runtimes.iter().map(|one| format!("#   {}\n", printable(one))).collect();
        format!("# Found by themselves, so they need no line here:\n{each}\n")
    }

    fn capture(&self) -> String {
        let Some(host) = &self.host else {
            return "# Where packets are captured on the host that this is for; bridges of containers are by themselves.\n\
                    # capture:\n#   interfaces: [\"docker0\", \"br-*\", \"docker_gwbridge\", eth0, lo]\n\n"
                .to_owned();
        };
        let now = match &host.bridges[..] {
            [] => "none of the bridges exists now".to_owned(),
            names => format!("now: {}", names.join(", ")),
        };
        let mut interfaces: Vec<String> = BRIDGES.iter().map(|name| quoted(name)).collect();
        let mut beside = String::new();
        if !host.uplinks.is_empty() {
            interfaces.extend(host.uplinks.iter().map(|name| quoted(name)));
            interfaces.push(quoted("lo"));
            let uplinks = host.uplinks.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
            beside = format!(
                "  # {uplinks} and lo show what containers on the host's network do; a busy uplink costs processor time.\n"
            );
        }
        format!(
            "capture:\n  # Bridges that containers are on ({}); later ones are captured as they come.\n{}  interfaces: [{}]\n\n",
            printable(&now),
            printable_lines(&beside),
            interfaces.join(", ")
        )
    }

    /// By digest, where that is known: the user who starts a container chooses its name.
    fn allowed(&self) -> BTreeMap<String, String> {
        let on_host = self.containers.iter().filter(|it| it.workload.network_mode == NetworkMode::Host);
        on_host.map(|it| (select(&it.workload), it.workload.name.clone())).collect()
    }

    fn host_network(&self) -> String {
        let allowed = self.allowed();
        if allowed.is_empty() {
            return String::new();
        }
        let mut text = "rules:\n  unexpected-host-network:\n    # They are on the host's network now. Take out what should not be: it is then an alert.\n    allowed:\n".to_owned();
        for (selector, name) in allowed {
            let _ = writeln!(text, "      - {selector} # {}", printable(&name));
        }
        text.push('\n');
        text
    }

    fn contracts(&self) -> String {
        if self.suggestion.is_empty() {
            return NO_CONTRACTS.to_owned();
        }
        self.suggestion.yaml(self.said)
    }

    /// What it holds, in words.
    pub fn summary(&self) -> String {
        format!(
            "{}, {} allowed on the host's network, alerts low at first",
            many(self.suggestion.len() as u64, "contract"),
            many(self.on_host_network() as u64, "container"),
        )
    }
}

/// The configuration's selector of one image, or of one name where the image has no digest.
fn select(workload: &Workload) -> String {
    if workload.image_digest.is_empty() {
        let (name, image) = (globset::escape(&workload.name), globset::escape(&workload.image));
        return format!("{{name: {}, image: {}}}", quoted(&name), quoted(&image));
    }
    format!("{{digest: {}}}", quoted(&workload.image_digest))
}

/// A comment with names in it stays one.
fn printable_lines(text: &str) -> String {
    text.lines().map(|line| format!("{}\n", printable(line))).collect()
}

const OBSERVE_ONLY: &str = "environments:\n  \
    # Observe only: alerts about containers are low, but for what is dangerous in itself. Take this out once the alerts of some days are as they\n  \
    # should be.\n  \
    first-days: {workloads: [{name: \"*\"}], severity: observe}\n\n";

const NO_CONTRACTS: &str = "# No contract is suggested: no service went outside, resolved names or was reached through one place. How to write one:\n\
    # docs/contracts.md; what it looks like:\n\
    # hops:\n#   proxy: {workloads: [{labels: {com.docker.compose.service: proxy}}], ports: [3128]}\n\
    # contracts:\n#   - {name: egress-through-proxy, from: [{labels: {com.docker.compose.project: shop}}], to: [internet], via: [proxy]}\n";
