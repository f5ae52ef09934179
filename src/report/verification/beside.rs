//! What the question's workloads may have sent and no verdict is about, and how much of what they sent is unobservable.
//!
//! Contract: each entry hides flows. Design: reads the log of verdicts only.

use super::NotSeen;
use super::phrases::clock;
use super::unseen::Measure;
use crate::engine::{Traffic, VerdictLogContents};
use crate::input::{NetworkMode, RuntimeKind};
use crate::path::{Amount, Selector, UnjudgedReason, UnjudgedSender, UnjudgedTraffic};
use crate::report::Question;

/// The port that names are asked at.
const DNS: u16 = 53;

/// All of it: workloads under another name, names that the runtime asks for, frames that belong to no flow.
pub(super) fn beside(
    question: &Question,
    contents: &VerdictLogContents,
    unjudged: &UnjudgedTraffic,
    measure: &Measure<'_>,
) -> Vec<NotSeen> {
    let renamed = contents.renamed.iter().map(|renamed| NotSeen {
        text: format!(
            "{} was renamed to {} at {}: what it sent under the name that is not asked about is left out",
            renamed.before,
            renamed.after,
            clock(renamed.at)
        ),
        since: Some(renamed.at),
        seconds: measure.lasted(Some(renamed.at), None),
        fix: Some("ask for both names, or for a label or an image".to_owned()),
        hides: true,
        ..NotSeen::new("renamed")
    });
    renamed.chain(resolver(question, contents)).chain(frames(question, contents, unjudged, measure)).collect()
}

/// Frames of the question's workloads that belong to no flow, and those of nobody on a network.
fn frames(
    question: &Question,
    contents: &VerdictLogContents,
    unjudged: &UnjudgedTraffic,
    measure: &Measure<'_>,
) -> Vec<NotSeen> {
    let (_, judged) = unobservable_bytes(contents);
    let mut all = Vec::new();
    for (sender, traffic) in unjudged.senders() {
        let who = match (sender, &traffic.workload) {
            (UnjudgedSender::Workload(_), Some(workload)) if Selector::any(&question.workloads, workload) => {
                workload.name.clone()
            }
            (UnjudgedSender::Workload(_), _) => continue,
            (UnjudgedSender::Network(network), _) => {
                format!("somebody on network {network} whose MAC no workload has")
            }
        };
        for ((_, reason), amount) in &traffic.amounts {
            let UnjudgedReason::Frame(label) = reason else { continue };
            let Amount { packets, bytes, .. } = *amount;
            all.push(NotSeen {
                text: format!("{who} sent {packets} frames, {bytes} bytes, that belong to no flow ({label})"),
                count: Some(packets),
                packets: Some(packets),
                bytes: Some(bytes),
                fix: Some(reason.fix().to_owned()),
                hides: measure.is_much(bytes, judged.saturating_add(bytes)),
                ..NotSeen::new("not_decoded")
            });
        }
    }
    all
}

/// Bytes of the question's flows: those that are unobservable, and all.
pub(super) fn unobservable_bytes(contents: &VerdictLogContents) -> (u64, u64) {
    let of = |traffic| contents.amounts.get(&traffic).map_or(0, |amount: &Amount| amount.bytes);
    let all = [Traffic::Verified, Traffic::Exception, Traffic::Unobservable].map(of);
    (all[2], all.iter().sum())
}

/// A container on a network of its own asks 127.0.0.11; where the host's resolver is on loopback, or the network is internal, the daemon asks on
/// from the host (moby/libnetwork#1595).
fn resolver(question: &Question, contents: &VerdictLogContents) -> Option<NotSeen> {
    if !question.ports.iter().any(|spec| spec.port == DNS) {
        return None;
    }
    let line = contents.workloads.values().find(|line| {
        let workload = &line.workload;
        workload.network_mode == NetworkMode::Own
            && workload.runtime.kind() == RuntimeKind::Docker
            && !question.hop.is_workload(workload)
            && workload.attachments.iter().any(|attachment| attachment.network != "bridge")
    })?;
    let name = &line.workload.name;
    let fix = "see that the host's resolv.conf names no loopback address, or give the container `dns:` addresses";
    Some(NotSeen {
        text: format!(
            "Docker's resolver (127.0.0.11) may ask from the host for {name}, where the question is nobody's"
        ),
        fix: Some(fix.to_owned()),
        hides: true,
        ..NotSeen::new("daemon_resolver")
    })
}
