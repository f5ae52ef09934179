//! What the question's workloads may have sent and no verdict is about, and how much of what they sent is unobservable.
//!
//! Contract: each entry hides flows. Design: reads the log of verdicts only.

use super::NotSeen;
use super::phrases::clock;
use super::unseen::Measure;
use crate::engine::{Traffic, VerdictLogContents};
use crate::input::{NetworkMode, RuntimeKind, Workload};
use crate::inventory::Watched;
use crate::path::{Amount, Selector, UnjudgedReason, UnjudgedSender, UnjudgedTraffic};
use crate::report::Question;
use crate::wording::many;

/// An address that no workload has.
pub(super) const UNSPECIFIED: std::net::IpAddr = std::net::IpAddr::V4(std::net::Ipv4Addr::UNSPECIFIED);
/// The port that names are asked at.
const DNS: u16 = 53;

/// All of it: workloads under another name, or not there; networks of which it is not known whether they were captured; names that the runtime
/// asks for; frames that belong to no flow.
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
    let others = absent(question, contents, measure).into_iter().chain(unknown_networks(contents, measure));
    let frames = frames(question, contents, unjudged, measure);
    renamed.chain(others).chain(resolver(question, contents)).chain(frames).collect()
}

/// Of several workloads that were asked about, those that nobody is: a misspelt name must not be vouched for by the others.
fn absent(question: &Question, contents: &VerdictLogContents, measure: &Measure<'_>) -> Vec<NotSeen> {
    if contents.workloads_omitted > 0 {
        return Vec::new();
    }
    let is_absent = |selector: &Selector| {
        selector.matches_bare_address(UNSPECIFIED).is_none()
            && !contents.workloads.values().any(|line| selector.matches(&line.workload))
    };
    let absent = question.workloads.iter().zip(&question.asked).filter(|(selector, _)| is_absent(selector));
    let entry = |text: &String| NotSeen {
        text: format!("no workload is {text}, which was asked about"),
        fix: Some("correct the name, or leave it out".to_owned()),
        hides: true,
        ..measure.all_the_time("absent")
    };
    absent.map(|(_, text)| entry(text)).collect()
}

/// Workloads on several networks where no link was reported: a capture of one of them is not one of all.
fn unknown_networks(contents: &VerdictLogContents, measure: &Measure<'_>) -> Vec<NotSeen> {
    let unknown = contents.workloads.values().filter(|line| {
        line.watched == Watched::Unknown
            && line.workload.network_mode == NetworkMode::Own
            && line.workload.attachments.len() > 1
    });
    let entry = |workload: &Workload| {
        let networks = workload.attachments.iter().map(|attachment| attachment.network.as_str()).collect::<Vec<_>>();
        let name = &workload.name;
        NotSeen {
            text: format!("{name} is on the networks {}, and it is not known which were captured", networks.join(", ")),
            fix: Some("record with `hopwatch record`; where all were captured: --accept network:REASON".to_owned()),
            hides: true,
            ..measure.all_the_time("network")
        }
    };
    unknown.map(|line| entry(&line.workload)).collect()
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
                format!("an unknown MAC on network {network}")
            }
        };
        for ((_, reason), amount) in &traffic.amounts {
            let UnjudgedReason::Frame(label) = reason else { continue };
            let Amount { packets, bytes, .. } = *amount;
            all.push(NotSeen {
                text: format!(
                    "{who} sent {}, {}, without a flow ({label})",
                    many(packets, "frame"),
                    many(bytes, "byte")
                ),
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
            "Docker's resolver (127.0.0.11) may forward {name}'s queries from the host, where they cannot be attributed"
        ),
        fix: Some(fix.to_owned()),
        hides: true,
        ..NotSeen::new("daemon_resolver")
    })
}
