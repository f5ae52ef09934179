//! What is never responded to, and what only a person may insist on.
//!
//! Contract: protections (the configuration's selectors, hops, declared monitors, sinks, hopwatch itself, a pod's infra container, the limit) hold whatever is asked; doubts (who it was, a name
//! that looks like an agent's) are lifted by `--force`. No label or name that a container's owner chooses protects it, unless the configuration says so.
//! Limits: a hopwatch in a container is known by its own id; one that mounts the state directory raises a doubt. Name both under `response.protected`.

use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use super::container::Container;
use super::situation::Situation;
use super::subject::Subject;
use crate::input::Workload;
use crate::path::{Hop, MonitorRole, Monitors, Selector};
use crate::time::{Timestamp, duration_text};

/// Clocks of packets and of the runtime are the same, but a first packet may leave before the runtime notes the start.
const START_SLACK: Duration = Duration::from_secs(1);

/// What the configuration says of responses.
#[derive(Clone, Debug)]
pub struct Policy {
    /// Whether anything may be done.
    pub enabled: bool,
    /// Workloads to which nothing is done.
    pub protected: Vec<Selector>,
    /// What watches others.
    pub monitors: Monitors,
    /// Hops of the configuration.
    pub hops: Vec<Arc<Hop>>,
    /// Where alerts are delivered to: host and port.
    pub sinks: Vec<(String, u16)>,
    /// Responses in [`Self::period`], at most.
    pub limit: usize,
    /// See [`Self::limit`].
    pub period: Duration,
    /// When a response is undone, unless asked otherwise.
    pub undo_after: Duration,
}

/// Why something is not done.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Refusal {
    /// In words.
    pub why: String,
    /// Whether `--force` lifts it.
    pub force_lifts: bool,
}

impl Refusal {
    /// One that holds.
    pub fn always(why: impl Into<String>) -> Self {
        Self { why: why.into(), force_lifts: false }
    }

    /// A doubt.
    pub fn doubt(why: impl Into<String>) -> Self {
        Self { why: why.into(), force_lifts: true }
    }
}

/// What the alert itself gives reason to.
pub(super) fn of_alert(subject: &Subject, container: &Container) -> Vec<Refusal> {
    let mut refused = Vec::new();
    if subject.state.as_deref() == Some("closed") {
        refused.push(Refusal::always("the alert is closed; `hopwatch alerts list` shows those that are open"));
    }
    if container.started > subject.last_seen.plus(START_SLACK) {
        let text = |at: Timestamp| at.readable();
        let (started, seen) = (text(container.started), text(subject.last_seen));
        refused.push(Refusal::always(format!(
            "the container was started anew at {started}, after the alert was last seen ({seen}): this run has done nothing yet that is known"
        )));
    }
    match subject.confidence.as_deref() {
        None | Some("exact") => {}
        Some(other) => {
            refused.push(Refusal::doubt(format!("the sender is not known for sure: its attribution is {other}")));
        }
    }
    refused
}

/// What the container is.
pub(super) fn of_container(
    container: &Container,
    workload: &Workload,
    situation: &Situation,
    policy: &Policy,
) -> Vec<Refusal> {
    let mut refused = Vec::new();
    if situation.own.contains(&container.id) {
        refused.push(Refusal::always("it is hopwatch itself"));
    }
    // The one who starts a container chooses its mounts, so they protect it from nobody who insists.
    let sees = |folder: &str| container.mounts.iter().any(|mount| holds(folder, mount));
    if situation.state_dir.as_deref().is_some_and(sees) {
        refused.push(Refusal::doubt("it mounts hopwatch's state directory, so it may be a part of hopwatch"));
    }
    if container.is_infra {
        refused.push(Refusal::always("it holds the namespaces of a pod: name one of the pod's containers"));
    }
    if Selector::any(&policy.protected, workload) {
        refused.push(Refusal::always("response.protected selects it"));
    }
    let is_hop = |hop: &Hop| hop.is_workload(workload) || workload.addresses().any(|ip| hop.is_address(ip));
    if let Some(hop) = policy.hops.iter().find(|hop| is_hop(hop)) {
        refused.push(Refusal::always(format!("it is the hop {}: traffic of others must pass it", hop.name)));
    }
    match policy.monitors.role(workload) {
        Some(MonitorRole::Declared) => refused.push(Refusal::always("it is declared under monitors")),
        Some(MonitorRole::Agent(name)) => {
            refused
                .push(Refusal::doubt(format!("its image has the name of an agent that watches or collects ({name})")));
        }
        Some(MonitorRole::Hop(..)) | None => {}
    }
    if let Some((host, port)) = policy.sinks.iter().find(|(host, port)| serves(container, host, *port)) {
        refused.push(Refusal::always(format!("alerts are delivered to it ({host}:{port})")));
    }
    refused
}

/// What was done before.
pub(super) fn of_policy(situation: &Situation, policy: &Policy) -> Vec<Refusal> {
    let mut refused = Vec::new();
    if !policy.enabled {
        refused
            .push(Refusal::always("response.enabled is false in the configuration: plans are shown, nothing is done"));
    }
    if situation.recent >= policy.limit {
        let (limit, period) = (policy.limit, duration_text(policy.period));
        refused.push(Refusal::always(format!(
            "{limit} responses were made within {period}, the most that response.limit allows"
        )));
    }
    refused
}

/// Whether the inner folder is the outer one, or lies in it.
fn holds(outer: &str, inner: &str) -> bool {
    let outer = outer.trim_end_matches('/');
    inner.strip_prefix(outer).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')) && !outer.is_empty()
}

/// Whether a sink is delivered to by this container: at its address, by its name, or through a port of the host.
fn serves(container: &Container, host: &str, port: u16) -> bool {
    let endpoints = &container.endpoints;
    let bare = host.trim_matches(['[', ']']);
    let named =
        container.name == bare || endpoints.iter().any(|endpoint| endpoint.aliases.iter().any(|alias| alias == bare));
    let address = bare.parse::<IpAddr>().ok();
    let has = |ip: IpAddr| endpoints.iter().any(|endpoint| endpoint.addresses.contains(&ip));
    // A name of the host, or one of its addresses: the published port decides.
    named || address.is_some_and(has) || (container.published.contains(&port) && address.is_none_or(|ip| !has(ip)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_holds_itself_and_what_lies_in_it() {
        assert!(holds("/var/lib/hopwatch", "/var/lib/hopwatch") && holds("/var/lib/", "/var/lib/hopwatch"));
        assert!(!holds("/var/lib/hop", "/var/lib/hopwatch") && !holds("", "/var/lib/hopwatch"));
    }
}
