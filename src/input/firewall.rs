//! The host's firewall: the rules that redirect, mark, queue or drop, as the kernel has them.
//!
//! Contract: a rule's `id` stands for its meaning: handles, counters and comments are not in it, so a rule set that is loaded again has the
//! same ids. Limits: nftables, which is what today's iptables writes too, and iptables-legacy; rules of container runtimes' own chains come and go with containers and are
//! left out. Names of tables, chains and processes are chosen by those who made them.

use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What the host's firewall showed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum FirewallFact {
    /// The rules as they are now; replaces what was known.
    Rules(Arc<FirewallRules>),
    /// A part of it is not read.
    Unwatched {
        /// Which: `nftables`, `iptables-legacy`.
        part: String,
        /// Why, in words.
        why: String,
    },
}

/// Rules that redirect, mark, queue or drop.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct FirewallRules {
    /// Processes that changed the firewall since the rules before, as the kernel reports them; the names are their own.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub processes: Vec<String>,
    /// The rules, in order of table, chain and place.
    pub rules: Vec<FirewallRule>,
    /// Rules for which there was no room.
    #[serde(default)]
    pub omitted: u64,
}

/// One of them.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
pub struct FirewallRule {
    /// `ip`, `ip6`, `inet`, `bridge`, `netdev`, `arp`.
    pub family: String,
    /// Its table; `nat (legacy)` where it is one of iptables-legacy.
    pub table: String,
    /// Its chain.
    pub chain: String,
    /// What it does: `redirect`, `dnat`, `tproxy`, `mark`, `queue`, `copy`, `drop`, `jump NAME`, `policy drop`.
    pub action: String,
    /// Stands for its meaning.
    pub id: String,
    /// Rules before it in its chain that let packets pass it: an accept or a return.
    #[serde(default)]
    pub overruled_by: u32,
}

impl FirewallRule {
    /// Whether it leads traffic elsewhere, and does not only drop it.
    pub fn steers(&self) -> bool {
        !matches!(self.action.as_str(), "drop" | "policy drop")
    }
}
