//! What the question's workloads may have sent and no verdict is about, and how much of what they sent is unobservable.
//!
//! Contract: each entry hides flows. Design: reads the log of verdicts only.

use super::NotSeen;
use super::phrases::clock;
use crate::engine::{Amount, Traffic, VerdictLogContents};
use crate::input::{NetworkMode, RuntimeKind};
use crate::report::Question;

/// The port that names are asked at.
const DNS: u16 = 53;

/// All of it: workloads under another name, names that the runtime asks for.
pub(super) fn beside(question: &Question, contents: &VerdictLogContents) -> Vec<NotSeen> {
    let renamed = contents.renamed.iter().map(|renamed| NotSeen {
        text: format!(
            "{} was renamed to {} at {}: what it sent under the name that is not asked about is left out",
            renamed.before,
            renamed.after,
            clock(renamed.at)
        ),
        since: Some(renamed.at),
        fix: Some("ask for both names, or for a label or an image".to_owned()),
        hides: true,
        ..NotSeen::new("renamed")
    });
    renamed.chain(resolver(question, contents)).collect()
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
