//! `miner`.

mod strategy;
#[cfg(test)]
mod tests;

use crate::detect::anomaly::once::{InFlow, OnRecords, Once, RecordRule};
use crate::detect::params::rule_params;
use crate::detect::{Alternative, Context, ExpectedFrom, Explanation, Finding, Rule, Severity, name_of};
use crate::input::{FlowRecord, Magic};
use crate::path::{JudgedFlow, Selector};
pub use strategy::META;

/// Domains of mining pools, and nothing else. Source: the pools' own pages; July 2026.
const POOLS: [&str; 24] = [
    "2miners.com",
    "antpool.com",
    "braiins.com",
    "c3pool.com",
    "c3pool.org",
    "ethermine.org",
    "f2pool.com",
    "flypool.org",
    "hashvault.pro",
    "herominers.com",
    "kryptex.network",
    "minexmr.com",
    "miningpoolhub.com",
    "moneroocean.stream",
    "nanopool.org",
    "nicehash.com",
    "prohashing.com",
    "slushpool.com",
    "sparkpool.com",
    "supportxmr.com",
    "unmineable.com",
    "viabtc.com",
    "woolypooly.com",
    "xmrpool.eu",
];

rule_params! {
    /// Services that may: nodes, wallets, miners by intent.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    allowed: Vec<Selector> = Vec::new(),
}

/// The rule.
#[derive(Debug)]
struct Miner {
    params: Params,
}

/// The rule with its parameters.
pub fn rule(params: &Params) -> impl Rule + use<> {
    OnRecords::new(Miner { params: params.clone() })
}

/// What gives it away, and how sure that is.
struct Sign {
    severity: Severity,
    cause: &'static str,
    observed: String,
}

impl RecordRule for Miner {
    fn look(
        &mut self,
        context: Context<'_>,
        flow: &JudgedFlow,
        record: &FlowRecord,
        reported: &mut Once,
    ) -> Option<Finding> {
        let sign = by_content(record).or_else(|| by_name(context, flow, record))?;
        let actor = context.actors.source(flow)?;
        let is_allowed = flow.source.workload().is_some_and(|one| Selector::any(&self.params.allowed, one));
        if is_allowed || !reported.is_new(flow) {
            return None;
        }
        let found = InFlow { rule: &META, flow, record, actor: &actor };
        let (severity, cause) = (sign.severity, sign.cause);
        Some(found.finding(context, severity, cause, sign.explain()))
    }
}

fn by_content(record: &FlowRecord) -> Option<Sign> {
    let app = record.app.as_ref()?;
    if let Some(method) = &app.mining {
        let observed =
            format!("the first bytes are JSON-RPC with the method {method}, which only miners and pools use");
        return Some(Sign { severity: Severity::High, cause: "stratum", observed });
    }
    let chain = match app.magic? {
        Magic::Bitcoin => "Bitcoin's family",
        Magic::Monero => "Monero",
        _ => return None,
    };
    let observed = format!("the first bytes are those of a node of {chain}");
    Some(Sign { severity: Severity::Medium, cause: "node", observed })
}

/// A pool that was asked for: by a question, or by the name of where the flow goes.
fn by_name(context: Context<'_>, flow: &JudgedFlow, record: &FlowRecord) -> Option<Sign> {
    let asked =
        record.app.iter().flat_map(|app| &app.dns).map(|question| question.query.as_str()).find(|name| is_pool(name));
    let observed = if let Some(name) = asked {
        format!("the name of a mining pool was asked for: {name}")
    } else {
        let known = name_of(context, flow, record).filter(|known| is_pool(&known.name))?;
        format!("the flow goes to a mining pool: {} (by {})", known.name, known.by.as_str())
    };
    Some(Sign { severity: Severity::Low, cause: "pool", observed })
}

/// Whether a name is a pool's, or below it.
fn is_pool(name: &str) -> bool {
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    POOLS.iter().any(|pool| name.strip_suffix(pool).is_some_and(|below| below.is_empty() || below.ends_with('.')))
}

impl Sign {
    fn explain(self) -> Explanation {
        let mut why = Explanation::new(
            self.observed,
            "no service mines or runs a node unless that is its task",
            ExpectedFrom::Floor,
        );
        why.threshold = "one flow".into();
        why.parameter = "rules.miner.allowed".into();
        why.alternatives = vec![match self.cause {
            "pool" => Alternative::new(
                "somebody who reads a pool's web page, or a block list that is looked up",
                "what follows the question, and whether a program or a person asked",
            ),
            "node" => {
                Alternative::new("a wallet or a payment service with a node of its own", "ask the service's owner")
            }
            _ => Alternative::new("a service that is a pool or tests one", "ask the service's owner"),
        }];
        if self.cause == "pool" {
            why.limits.push("a name alone: likely, not certain".into());
        }
        why.silence = "name the service under rules.miner.allowed".into();
        why
    }
}
