//! `unmonitored-driver`.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::detect::debounce::{HoldTime, Next, PendingFindings};
use crate::detect::params::rule_params;
use crate::detect::{Ads, Context, Finding, Findings, Rule, RuleMeta, Severity, placement};
use crate::input::{InventoryEvent, NetworkMode, ObservationPoint, RecordedFact, Workload, WorkloadId};
use crate::inventory::{Unseen, Watched};
use crate::path::{Evidence, Selector, Unobservable, Verdict};
use crate::time::Timestamp;

/// Workloads that are looked at again when more is known.
const MAX_UNKNOWN: usize = 32_768;

rule_params! {
    /// Workloads whose traffic need not be seen.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    allowed: Vec<Selector> = Vec::new(),
    /// How long a container may take until its interface is found and watched.
    settle: HoldTime = HoldTime::secs(2),
}

/// The rule; it remembers what it reported, and of whom too little is known yet.
#[derive(Debug)]
pub struct UnmonitoredDriver {
    params: Params,
    pending: PendingFindings<WorkloadId, ()>,
    /// Those that wait on a network whose driver gives them no interface: what they are, and why they are not seen.
    hopeless: BTreeMap<WorkloadId, Vec<(String, Unseen)>>,
    unknown: BTreeSet<WorkloadId>,
    next_look: Option<Timestamp>,
    forgotten: u64,
}

/// The rule with its parameters.
pub fn rule(params: &Params) -> impl Rule + use<> {
    UnmonitoredDriver {
        params: params.clone(),
        pending: PendingFindings::default(),
        hopeless: BTreeMap::new(),
        unknown: BTreeSet::new(),
        next_look: None,
        forgotten: 0,
    }
}

impl Rule for UnmonitoredDriver {
    fn on_workload(&mut self, context: Context<'_>, workload: &Arc<Workload>, findings: &mut Findings) {
        self.check(context, &workload.id, findings);
    }

    fn on_fact(&mut self, context: Context<'_>, fact: &RecordedFact, findings: &mut Findings) {
        match fact {
            RecordedFact::Link(_) | RecordedFact::Inventory(InventoryEvent::Network(_))
                if !self.unknown.is_empty() && self.next_look.is_none() =>
            {
                let at = context.now.plus(self.params.settle.get());
                self.next_look = Some(at);
                findings.schedule(at);
            }
            RecordedFact::Inventory(InventoryEvent::Stopped { id, .. }) => self.ended(context, id, findings),
            RecordedFact::Inventory(InventoryEvent::Reconciled { .. }) => {
                self.pending.keep_subjects(|id| context.timeline.is_running(id));
                self.unknown.retain(|id| context.timeline.is_running(id));
                self.hopeless.retain(|id, _| context.timeline.is_running(id));
            }
            _ => {}
        }
    }

    fn on_time(&mut self, context: Context<'_>, findings: &mut Findings) {
        let mut ids = self.pending.ripe(context.now);
        if self.next_look.is_some_and(|at| at <= context.now) {
            self.next_look = None;
            ids.append(&mut self.unknown);
        }
        for id in ids {
            self.check(context, &id, findings);
        }
    }

    fn forgotten(&self) -> u64 {
        self.forgotten
    }
}

impl UnmonitoredDriver {
    fn check(&mut self, context: Context<'_>, id: &WorkloadId, findings: &mut Findings) {
        let now = context.now;
        let workload = placement::running(context.timeline, id).filter(|workload| self.is_meant(workload));
        let watched = workload.map_or(Watched::NoTraffic, |workload| context.timeline.is_watched(workload));
        self.unknown.remove(id);
        if matches!(watched, Watched::At(_)) {
            self.hopeless.remove(id);
        }
        if watched == Watched::Unknown {
            if self.unknown.len() < MAX_UNKNOWN {
                self.unknown.insert(id.clone());
            } else {
                self.forgotten += 1;
            }
        }
        let (Some(workload), Watched::Partly { points, unseen }) = (workload, &watched) else {
            self.pending.keep(id, |()| false);
            return;
        };
        // A point that went away is one alert of `sensor-blinded`, not one of each workload behind it.
        let unseen: Vec<_> = unseen.iter().filter(|(_, why)| !matches!(why, Unseen::Down(_))).cloned().collect();
        if unseen.is_empty() {
            return;
        }
        match self.pending.observe(id, (), now, now.plus(self.params.settle.get())) {
            Next::Report => {
                self.hopeless.remove(id);
                let points: Vec<_> = points.iter().map(ObservationPoint::as_str).collect();
                findings.push(finding(context, workload, &points, &unseen));
            }
            Next::Schedule(at) => {
                findings.schedule(at);
                let by_driver = |(_, why): &&(String, Unseen)| matches!(why, Unseen::Driver(_) | Unseen::Rootless(_));
                let hopeless: Vec<_> = unseen.iter().filter(by_driver).cloned().collect();
                if !hopeless.is_empty() && self.hopeless.len() < MAX_UNKNOWN {
                    self.hopeless.insert(id.clone(), hopeless);
                }
            }
            Next::Nothing => {}
        }
    }

    /// One that ended before it had settled, on a network whose driver gives it no interface, was seen by nobody.
    fn ended(&mut self, context: Context<'_>, id: &WorkloadId, findings: &mut Findings) {
        if let Some((unseen, workload)) = self.hopeless.remove(id).zip(context.timeline.workload(id)) {
            findings.push(finding(context, workload, &[], &unseen));
        }
        self.forget(id);
    }

    /// Networks of its own, or a rootless stack; what it joined or shares is reported elsewhere.
    fn is_meant(&self, workload: &Workload) -> bool {
        matches!(workload.network_mode, NetworkMode::Own | NetworkMode::Rootless(_))
            && !Selector::any(&self.params.allowed, workload)
    }

    fn forget(&mut self, id: &WorkloadId) {
        self.pending.forget(id);
        self.unknown.remove(id);
        self.hopeless.remove(id);
    }
}

fn finding(context: Context<'_>, workload: &Arc<Workload>, points: &[&str], unseen: &[(String, Unseen)]) -> Finding {
    let rootless = unseen.iter().any(|(_, why)| matches!(why, Unseen::Rootless(_)));
    let reason = if rootless { Unobservable::RootlessStack } else { Unobservable::NoObservationPoint };
    let mut evidence: Vec<_> = unseen.iter().flat_map(|(network, why)| about(network, why)).collect();
    if !points.is_empty() {
        evidence.push(Evidence::new("observation", format!("its other networks are seen at {}", points.join(", "))));
    }
    Finding {
        verdict: Some(Verdict::Unobservable(reason)),
        stands: true,
        ..Finding::of_workload(&META, context.now, workload, "unmonitored", evidence)
    }
}

/// Why a network is not seen, and how to fix it.
fn about(network: &str, why: &Unseen) -> [Evidence; 2] {
    [Evidence::new("observation", why.why(network)), Evidence::new("fix", why.fix().to_owned())]
}

/// What the rule is.
pub static META: RuleMeta = RuleMeta {
    name: "unmonitored-driver",
    title: "Nothing can see this container's traffic",
    severity: Severity::Medium,
    // A blind spot of ours is nobody's technique.
    techniques: &[],
    ads: Ads {
        goal: "Reports once for each container that its traffic, or that of one of its networks, passes no point \
             that hopwatch captures, so that silence is not mistaken for good behaviour.",
        categorization: "No technique: the finding is about the observation, not about an act. An attacker who wants \
             to stay unseen may choose such a network, which is why it is reported at once and not only counted.",
        strategy: "For every running workload with networks of its own, the links that are watched are compared with its \
             host-side interfaces, the bridges and parents of its networks and captures inside its namespace. A network with none \
             of these fires once `settle` is over, or when the workload ends before that on a driver without an interface on the host, with the verdict unobservable: `no_observation_point` for macvlan, \
             ipvlan, SR-IOV, overlay or a bridge that is not captured, `rootless_stack` for slirp4netns and pasta.",
        technical_context: "A macvlan or ipvlan interface sends straight over its parent: no veth, no bridge. SR-IOV hands a part of \
             the network card to the container. A rootless stack is an ordinary process that opens one socket for each \
             connection of the container; on the host nothing carries the container's address. Flows of such workloads \
             are never `verified` nor `bypassed`.",
        blind_spots: &[
            "Workloads of runtimes that report no networks (containerd, CRI) count as unknown, not unmonitored.",
            "sensor-blinded reports a point that was watched and vanished later.",
            "Where the parent of a macvlan or ipvlan network is captured, its containers count as seen; what two of them say to each other does \
             not pass there.",
            "Containers in the host's namespace (host-network-flow), without a network, or joined to another \
             (joined-namespace) are left out.",
        ],
        assumptions: &[
            "The runtime reports the driver of each network.",
            "The captured links were reported as facts; before the first one the rule reports nothing.",
        ],
        false_positives: &[
            "Networks that are left out of the capture on purpose: name their workloads under \
             rules.unmonitored-driver.allowed, for instance by `network`.",
            "A host so slow that a container's interface is captured later than `settle`.",
        ],
        true_positives: &["unmonitored-macvlan"],
        benign_twins: &["monitored-inside"],
        priority: "Medium: no attack is seen, but none would be.",
        response: &[
            "The evidence says which network it is, and how to make it visible.",
            "Was the driver chosen on purpose? `docker network inspect NET` shows who made it with which parent.",
            "If contracts cover this workload, fix it now: hopwatch cannot check them.",
            "If it need not be seen, add it to rules.unmonitored-driver.allowed with the network's name.",
        ],
        resources: &[
            "https://docs.docker.com/engine/network/drivers/macvlan/",
            "https://docs.docker.com/engine/network/drivers/ipvlan/",
            "https://man7.org/linux/man-pages/man4/veth.4.html",
        ],
    },
};
