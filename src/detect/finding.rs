//! What a rule found, before exceptions and grouping.

use std::net::IpAddr;
use std::sync::Arc;

use super::{Actor, Explanation, FrameSender, RollOut, RuleMeta, Severity};
use crate::input::{Endpoint, ObservationPoint, Workload};
use crate::inventory::Owner;
use crate::names::KnownName;
use crate::path::{Evidence, MissingHop, ObservedFlow, Verdict};
use crate::time::Timestamp;

/// What a rule found.
#[expect(clippy::struct_excessive_bools, reason = "independent facts of one finding, not a state")]
#[derive(Clone, Debug)]
pub struct Finding {
    /// Which rule.
    pub rule: &'static RuleMeta,
    /// When it first showed (event time of the packet or fact, not of the judgement).
    pub at: Timestamp,
    /// How much it matters, here.
    pub severity: Severity,
    /// Whose doing.
    pub workload: Option<Arc<Workload>>,
    /// Whose doing, where it is about an actor: a service, or a plain address.
    pub actor: Option<Actor>,
    /// Whether nothing shows that the actor's address is ours.
    pub is_actor_assumed: bool,
    /// Why it is an anomaly.
    pub explanation: Option<Box<Explanation>>,
    /// Attribution of the source, where a flow is involved.
    pub attribution: Option<Owner>,
    /// Who sent the frames; absent: the engine looks for it where there is a flow.
    pub sender: Option<Box<FrameSender>>,
    /// The flow.
    pub flow: Option<ObservedFlow>,
    /// The other end that the alert lists.
    pub destination: Option<Endpoint>,
    /// Its name, and how that is known; absent: the engine looks for it.
    pub name: Option<KnownName>,
    /// Contract that was broken.
    pub contract: Option<String>,
    /// Verdict on it.
    pub verdict: Option<Verdict>,
    /// Hop that was skipped.
    pub missing_hop: Option<MissingHop>,
    /// Why this is said.
    pub evidence: Vec<Evidence>,
    /// What could not be seen around it; the engine looks for it.
    pub blind_spots: Vec<Evidence>,
    /// Whether a setting of its workload was changed then: the engine looks for what happened around that, and who asked for it.
    pub is_change: bool,
    /// Addresses whose traffic it rests on, beside those of its workload, its flow and its hop.
    pub witnesses: Vec<IpAddr>,
    /// Whether its flow is in the alert's count already: what is known of it changed.
    pub is_revision: bool,
    /// The observation point that it is about, where no flow is involved.
    pub point: Option<ObservationPoint>,
    /// What to do about this cause, in order; empty: what the rule says.
    pub steps: &'static [&'static str],
    /// Words of the steps that are known here (`FILE`), beside those that the workload, the flow and the point tell.
    pub known: Vec<(&'static str, String)>,
    /// A setting that is dangerous whatever the service: no maintenance window lowers it.
    pub is_hostile: bool,
    /// The containers of one service that it is counted with; absent: it is about its workload alone.
    pub roll_out: Option<RollOut>,
    /// The cause has ended: its open alert says so, and no alert is raised.
    pub is_over: bool,
    /// It is about a setting that is looked at anew at each start of hopwatch: what a run before reported of it goes on.
    pub stands: bool,
    /// Same cause, same key: findings with equal rule, workload (or roll-out), contract and this are one alert.
    pub cause: String,
}

impl Finding {
    /// About a workload, without a flow.
    pub fn of_workload(
        rule: &'static RuleMeta,
        at: Timestamp,
        workload: &Arc<Workload>,
        cause: &str,
        evidence: Vec<Evidence>,
    ) -> Self {
        Self { workload: Some(Arc::clone(workload)), ..Self::of_nobody(rule, at, cause, evidence) }
    }

    /// About an actor, with why it is an anomaly: a service is named by the first workload of it that was seen.
    pub fn of_actor(rule: &'static RuleMeta, at: Timestamp, actor: &Actor, cause: &str, why: Explanation) -> Self {
        let evidence = vec![Evidence::new("observed", why.observed.clone())];
        Self {
            workload: actor.workload().cloned(),
            actor: Some(actor.clone()),
            explanation: Some(Box::new(why)),
            ..Self::of_nobody(rule, at, cause, evidence)
        }
    }

    /// About nobody that is known, without a flow.
    pub fn of_nobody(rule: &'static RuleMeta, at: Timestamp, cause: &str, evidence: Vec<Evidence>) -> Self {
        Self {
            rule,
            at,
            severity: rule.severity,
            workload: None,
            actor: None,
            is_actor_assumed: false,
            explanation: None,
            attribution: None,
            sender: None,
            flow: None,
            destination: None,
            name: None,
            contract: None,
            verdict: None,
            missing_hop: None,
            evidence,
            blind_spots: Vec::new(),
            is_change: false,
            witnesses: Vec::new(),
            is_revision: false,
            point: None,
            steps: &[],
            known: Vec::new(),
            is_hostile: false,
            roll_out: None,
            is_over: false,
            stands: false,
            cause: cause.to_owned(),
        }
    }
}
