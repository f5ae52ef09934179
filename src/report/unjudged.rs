//! What covered workloads sent without a verdict, line by line.
//!
//! Contract: a line for each sender, contract and reason; those that a contract covers first, most bytes first. Limits: [`MOST`] lines; further ones are counted.

use std::cmp::Reverse;

use schemars::JsonSchema;
use serde::Serialize;

use crate::path::{Amount, UnjudgedReason, UnjudgedSender, UnjudgedTraffic};
use crate::wording::many;

/// Lines that are listed.
const MOST: usize = 100;

/// All lines.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Unjudged {
    /// The lines with most bytes.
    pub lines: Vec<UnjudgedLine>,
    /// Further lines.
    pub omitted: usize,
}

/// What one sender sent for one reason.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct UnjudgedLine {
    /// Name of the workload; absent for frames of which only the network is known.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workload: Option<String>,
    /// The network on which frames of a MAC that no workload has were seen.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub network: Option<String>,
    /// The contract about what the workload sends; empty for a network.
    pub contract: String,
    /// Why there is no verdict: a reason of `unobservable`, a reason of `not_decoded`, `non_ip`, or `not_covered`.
    pub reason: &'static str,
    /// How much the sender sent.
    #[serde(flatten)]
    pub amount: Amount,
    /// How to fix it.
    pub fix: &'static str,
}

impl Unjudged {
    /// From what the core counted.
    pub fn new(traffic: &UnjudgedTraffic) -> Self {
        let mut lines: Vec<_> = traffic
            .senders()
            .iter()
            .flat_map(|(sender, traffic)| {
                let name = traffic.workload.as_ref().map(|workload| workload.name.clone());
                let counted = traffic.amounts.iter().filter(|(_, amount)| amount.packets > 0);
                counted.map(move |((contract, reason), amount)| {
                    UnjudgedLine::new(sender, name.clone(), (contract, *reason), *amount)
                })
            })
            .collect();
        lines.sort_by(|a, b| a.order().cmp(&b.order()));
        let omitted = lines.len().saturating_sub(MOST);
        lines.truncate(MOST);
        Self { lines, omitted }
    }
}

impl Unjudged {
    /// For a person: a line for each of the first `most` that a contract covers and could not judge, and one about all others.
    pub fn text(&self, most: usize) -> Vec<String> {
        let covered = self.lines.iter().filter(|line| line.is_unobservable());
        let mut all: Vec<_> = covered.clone().take(most).map(|line| format!("{}; {}", line.text(), line.fix)).collect();
        let more = covered.count().saturating_sub(most) + self.omitted;
        if more > 0 {
            all.push(format!(
                "and {} of traffic without a verdict; JSON has the first {MOST}",
                many(more, "more line")
            ));
        }
        let others = self.lines.iter().filter(|line| !line.is_unobservable());
        let sum = others.fold(Amount::default(), |sum, line| sum + line.amount);
        if sum.packets > 0 {
            let Amount { flows, packets, bytes } = sum;
            all.push(format!(
                "workloads under a contract sent {}, {} in {} that no contract covers; {}",
                many(packets, "packet"),
                many(bytes, "byte"),
                many(flows, "flow"),
                UnjudgedReason::NotCovered.fix()
            ));
        }
        all
    }
}

impl UnjudgedLine {
    fn new(
        sender: &UnjudgedSender,
        name: Option<String>,
        (contract, reason): (&str, UnjudgedReason),
        amount: Amount,
    ) -> Self {
        let (workload, network) = match sender {
            UnjudgedSender::Workload(id) => (Some(name.unwrap_or_else(|| id.short().to_owned())), None),
            UnjudgedSender::Network(network) => (None, Some(network.clone())),
        };
        Self { workload, network, contract: contract.to_owned(), reason: reason.as_str(), amount, fix: reason.fix() }
    }

    /// Whether a contract covers it and could not judge it.
    pub fn is_unobservable(&self) -> bool {
        self.reason != UnjudgedReason::NotCovered.as_str()
    }

    fn order(&self) -> impl Ord + '_ {
        (
            !self.is_unobservable(),
            Reverse(self.amount.bytes),
            &self.workload,
            &self.network,
            &self.contract,
            self.reason,
        )
    }

    /// For a person, in a sentence without its end.
    pub fn text(&self) -> String {
        let who = match (&self.workload, &self.network) {
            (Some(workload), _) => workload.clone(),
            (None, Some(network)) => format!("an unknown MAC on network {network}"),
            (None, None) => "an unknown sender".to_owned(),
        };
        let Amount { flows, packets, bytes } = self.amount;
        let in_flows = if flows > 0 { format!(" in {}", many(flows, "flow")) } else { String::new() };
        format!(
            "{who} sent {}, {}{in_flows} without a verdict: {}",
            many(packets, "packet"),
            many(bytes, "byte"),
            self.reason
        )
    }
}
