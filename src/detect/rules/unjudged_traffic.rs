//! `unjudged-traffic`.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::detect::debounce::HoldTime;
use crate::detect::params::rule_params;
use crate::detect::{Ads, Context, Finding, Findings, Rule, RuleMeta, Severity, Technique};
use crate::path::{Amount, Evidence, Selector, SenderTraffic, UnjudgedReason, UnjudgedSender};
use crate::time::Timestamp;
use crate::wording::many;

rule_params! {
    /// Workloads that may send more than that.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    allowed: Vec<Selector> = Vec::new(),
    /// Unobservable bytes that a workload may send within `window`.
    budget_bytes: u64 = 1_000_000,
    /// For how long they are added up.
    window: HoldTime = HoldTime::secs(3600),
}

/// Senders that are remembered; beyond, one is forgotten and starts anew with what it had sent by then.
const MAX_SENDERS: usize = 16_384;

/// The rule; of each sender it remembers when its window began.
#[derive(Debug)]
pub struct UnjudgedTraffic {
    params: Params,
    windows: BTreeMap<UnjudgedSender, Window>,
    forgotten: u64,
}

/// What a sender had sent when the window began, and by the last time.
#[derive(Clone, Copy, Debug)]
struct Window {
    since: Timestamp,
    before: u64,
    latest: u64,
}

/// The rule with its parameters.
pub fn rule(params: &Params) -> impl Rule + use<> {
    UnjudgedTraffic { params: params.clone(), windows: BTreeMap::new(), forgotten: 0 }
}

impl Rule for UnjudgedTraffic {
    fn on_unjudged(&mut self, context: Context<'_>, sender: &UnjudgedSender, findings: &mut Findings) {
        let Some(traffic) = context.path.unjudged.senders().get(sender) else { return };
        let is_allowed = |workload: &Arc<_>| Selector::any(&self.params.allowed, workload);
        if traffic.workload.as_ref().is_some_and(is_allowed) {
            return;
        }
        let total = traffic.unobservable().bytes;
        let budget = self.params.budget_bytes;
        // By the traffic's time, since a report of frames comes when something else makes it due.
        let now = traffic.last;
        let window = self.window(sender, total, now);
        // A revised verdict takes its flow's bytes out again.
        window.before = window.before.min(total);
        window.latest = total;
        if total - window.before > budget {
            let (since, sent) = (window.since, total - window.before);
            *window = Window { since: now, before: total, latest: total };
            findings.push(self.finding(sender, traffic, (since, sent)));
        }
    }

    fn forgotten(&self) -> u64 {
        self.forgotten
    }
}

impl UnjudgedTraffic {
    fn window(&mut self, sender: &UnjudgedSender, total: u64, now: Timestamp) -> &mut Window {
        let is_full = self.windows.len() >= MAX_SENDERS;
        if is_full && !self.windows.contains_key(sender) {
            self.forgotten += 1;
            self.windows.pop_first();
        }
        let length = self.params.window.get();
        let before = if is_full { total } else { 0 };
        let window = self.windows.entry(sender.clone()).or_insert(Window { since: now, before, latest: before });
        if now.since(window.since) > length {
            *window = Window { since: now, before: window.latest, latest: window.latest };
        }
        window
    }

    fn finding(&self, sender: &UnjudgedSender, traffic: &SenderTraffic, (since, sent): (Timestamp, u64)) -> Finding {
        let budget = self.params.budget_bytes;
        let over = crate::time::readable(traffic.last.since(since));
        let text = match sender {
            UnjudgedSender::Workload(_) => {
                format!("it sent {} in {over} that no contract could judge, more than {budget}", many(sent, "byte"))
            }
            UnjudgedSender::Network(network) => format!(
                "on network {network}, senders that are not a known workload sent {} in {over} that could not be judged, more than {budget}",
                many(sent, "byte")
            ),
        };
        let evidence: Vec<_> = [Evidence::new("volume", text)].into_iter().chain(reasons(traffic)).collect();
        match &traffic.workload {
            Some(workload) => Finding::of_workload(&META, traffic.last, workload, "unjudged", evidence),
            None => Finding::of_nobody(&META, traffic.last, &format!("unjudged {sender:?}"), evidence),
        }
    }
}

/// What it sent since the start, by contract and reason; most bytes first.
fn reasons(traffic: &SenderTraffic) -> impl Iterator<Item = Evidence> {
    let counts = traffic.amounts.iter().filter(|((_, reason), _)| reason.is_unobservable());
    let mut counts: Vec<_> = counts.collect();
    counts.sort_by_key(|((contract, reason), amount)| (std::cmp::Reverse(amount.bytes), contract, *reason));
    counts.into_iter().map(|((contract, reason), amount)| about(contract, *reason, *amount))
}

fn about(contract: &str, reason: UnjudgedReason, Amount { flows, packets, bytes }: Amount) -> Evidence {
    let of = if contract.is_empty() { String::new() } else { format!(" of contract {contract}") };
    let what = match reason {
        UnjudgedReason::Frame(reason) => format!("frames that belong to no flow ({reason})"),
        UnjudgedReason::Flow(reason) => format!("{}{of} without a verdict ({})", many(flows, "flow"), reason.as_str()),
        UnjudgedReason::NotCovered => format!("{} that no contract covers", many(flows, "flow")),
    };
    Evidence::new(
        "unobservable",
        format!("since the start: {}, {} in {what}", many(packets, "packet"), many(bytes, "byte")),
    )
}

/// What the rule is.
pub static META: RuleMeta = RuleMeta {
    name: "unjudged-traffic",
    title: "Container sent a lot of traffic that could not be judged",
    severity: Severity::Medium,
    techniques: &[Technique { name: "Non-Application Layer Protocol", v19: "T1095", v18: "T1095" }],
    ads: Ads {
        goal: "Detects a container that moves data in what hopwatch captures but cannot judge: frames that cannot be decoded, protocols \
             beside IP, flows whose direction, owner or path is unknown. `unobservable` must not become a place to hide.",
        categorization: "Command and Control and Exfiltration: data leaves in a form that a path check cannot read.",
        strategy: "Everything that a workload under a contract sends is counted: in flows whose verdict is `unobservable`, by reason, and in \
             frames that belong to no flow, by the reason for which they were not decoded, attributed by MAC. When these bytes exceed \
             `budget_bytes` within `window`, the rule fires, and again for each further budget. Frames of MACs that no workload has, and flows whose \
             sender is not known, count for the network on which they were seen. What no contract covers is counted, and not part of the budget.",
        technical_context: "With NET_RAW, Docker's default, a container writes any frame: more VLAN tags than are followed, an EtherType of \
             its own, headers cut short. A neighbour on the same bridge can read them, and a compromised one can pass them on. A TCP \
             connection of which only one direction is seen, or a tunnel that is not decoded, carries any amount without a verdict.",
        blind_spots: &[
            "Less than the budget in each window.",
            "A forged MAC of another workload accuses that workload: compare the veths, or drop NET_RAW.",
            "Traffic that passes no captured interface is not counted: unmonitored-driver and sensor-blinded report that.",
            "Payload that was not read for names (refused_payloads) belongs to flows that are judged by address.",
        ],
        assumptions: &[
            "The workload is under a contract; others have nothing that could be judged.",
            "The runtime reports the container's MAC.",
        ],
        false_positives: &[
            "Long connections that began before hopwatch did, where their direction cannot be known.",
            "A host that loses packets, or a capture with short snap lengths; the evidence names the reason.",
            "Containers that speak link-layer protocols on purpose (LLDP agents, industrial Ethernet): name them under \
             rules.unjudged-traffic.allowed.",
        ],
        true_positives: &["unjudged-frames"],
        benign_twins: &["unjudged-frames-allowed"],
        priority: "Medium: it is not known what was sent; the amount is.",
        response: &[
            "Read the evidence: which reason has most bytes? `hopwatch paths` says how a blind spot is closed.",
            "For frames that cannot be read: record the veth (`tcpdump -e -i VETH`), and look at their EtherType and tags.",
            "Does the container need NET_RAW and NET_ADMIN? Drop them: `--cap-drop NET_RAW`.",
            "If it may send them, add it to rules.unjudged-traffic.allowed, by digest.",
        ],
        resources: &[
            "https://attack.mitre.org/techniques/T1095/",
            "https://man7.org/linux/man-pages/man7/packet.7.html",
            "https://man7.org/linux/man-pages/man7/capabilities.7.html",
        ],
    },
};
