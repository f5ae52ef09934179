//! `joined-namespace`.

use std::sync::Arc;

use crate::detect::debounce::{HoldTime, Next, PendingFindings};
use crate::detect::params::rule_params;
use crate::detect::{Ads, Context, Finding, Findings, Rule, RuleMeta, Severity, Technique, placement};
use crate::input::{KernelFact, NetworkMode, RecordedFact, Workload, WorkloadId};
use crate::inventory::Timeline;
use crate::path::{Evidence, Selector};

rule_params! {
    /// Workloads that may join the network of another: sidecars, clients of a VPN container.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    allowed: Vec<Selector> = Vec::new(),
    /// How long to wait for the runtime to report the workload that was joined.
    settle: HoldTime = HoldTime::secs(1),
}

/// The rule; it remembers which joins it reported or waits for.
#[derive(Debug)]
pub struct JoinedNamespace {
    params: Params,
    pending: PendingFindings<WorkloadId, WorkloadId>,
}

/// The rule with its parameters.
pub fn rule(params: &Params) -> impl Rule + use<> {
    JoinedNamespace { params: params.clone(), pending: PendingFindings::default() }
}

impl Rule for JoinedNamespace {
    fn on_workload(&mut self, context: Context<'_>, workload: &Arc<Workload>, findings: &mut Findings) {
        self.check(context, &workload.id, findings);
    }

    fn on_fact(&mut self, context: Context<'_>, fact: &RecordedFact, findings: &mut Findings) {
        self.pending.follow(context.timeline, fact);
        if let RecordedFact::Kernel(KernelFact::Namespace(view)) = fact
            && !view.host
        {
            view.workloads.iter().for_each(|id| self.check(context, id, findings));
        }
    }

    fn on_time(&mut self, context: Context<'_>, findings: &mut Findings) {
        for id in self.pending.ripe(context.now) {
            self.check(context, &id, findings);
        }
    }
}

impl JoinedNamespace {
    fn check(&mut self, context: Context<'_>, id: &WorkloadId, findings: &mut Findings) {
        let Context { timeline, now, .. } = context;
        let join =
            placement::running(timeline, id).and_then(|workload| self.join(timeline, workload).zip(Some(workload)));
        let Some((joined, workload)) = join else {
            self.pending.keep(id, |_| false);
            return;
        };
        self.pending.keep(id, |known| *known == joined);
        let is_clear =
            matches!(workload.network_mode, NetworkMode::Container(_)) && timeline.workload(&joined).is_some();
        let until = if is_clear { now } else { now.plus(self.params.settle.get()) };
        match self.pending.observe(id, joined.clone(), now, until) {
            Next::Report => findings.push(finding(context, workload, &joined)),
            Next::Schedule(at) => findings.schedule(at),
            Next::Nothing => {}
        }
    }

    /// Whom it joined without belonging to it: according to the runtime, or to the kernel where the runtime has none.
    fn join(&self, timeline: &Timeline, workload: &Workload) -> Option<WorkloadId> {
        if Selector::any(&self.params.allowed, workload) || placement::host_by_runtime(timeline, workload).is_some() {
            return None;
        }
        let NetworkMode::Container(id) = &workload.network_mode else {
            let netns = timeline.kernel().netns_of(&workload.id).filter(|_| !placement::reports_joins(workload))?;
            let inside = timeline.kernel().host() != Some(netns);
            return placement::intrudes_on(timeline, workload, netns).filter(|_| inside).map(|other| other.id.clone());
        };
        let is_own_pod = match timeline.workload(id) {
            Some(joined) => placement::same_pod(workload, joined),
            // The sandbox of a pod may be known to the runtime alone.
            None => workload.pod.is_some(),
        };
        (!is_own_pod).then(|| id.clone())
    }
}

fn finding(context: Context<'_>, workload: &Arc<Workload>, id: &WorkloadId) -> Finding {
    let timeline = context.timeline;
    let joined = timeline.workload(id);
    let runtime = &workload.runtime;
    let whom =
        joined.map_or_else(|| format!("{}, about which it reports nothing more", id.short()), |to| to.name.clone());
    let text = match workload.network_mode {
        NetworkMode::Container(_) => format!("{runtime} says it joined the network of {whom}"),
        _ => format!("{runtime} does not say whose network it uses; the kernel shows that of {whom}"),
    };
    let mut evidence = vec![Evidence::new("runtime", text)];
    let kernel = timeline.kernel();
    if let (Some(own), Some(other)) = (kernel.netns_of(&workload.id), kernel.netns_of(id)) {
        let text = if own == other {
            format!("the kernel shows both in {own}")
        } else {
            format!("the kernel shows it in {own}, and the other in {other}: one of them has restarted since")
        };
        evidence.push(Evidence::new("kernel", text));
    }
    if let Some(to) = joined {
        evidence.push(Evidence::new("policy", why_not_together(workload, to)));
    }
    Finding::of_workload(&META, workload.since.unwrap_or(context.now), workload, &format!("joined {id}"), evidence)
}

fn why_not_together(workload: &Workload, joined: &Workload) -> String {
    let pod = |workload: &Workload| {
        workload.pod.as_ref().map_or_else(|| "no pod".to_owned(), |pod| format!("pod {}/{}", pod.namespace, pod.name))
    };
    format!(
        "{} is of {}, {} of {}, and no selector allows the join",
        workload.name,
        pod(workload),
        joined.name,
        pod(joined)
    )
}

/// What the rule is.
pub static META: RuleMeta = RuleMeta {
    name: "joined-namespace",
    title: "Container joined another container's network namespace",
    severity: Severity::Medium,
    techniques: &[Technique { name: "Network Boundary Bridging", v19: "T1599", v18: "T1599" }],
    ads: Ads {
        goal: "Detects a container that uses the network namespace of a container outside of its pod without \
             permission: it sends with the other's address, passes every rule written for the other, and reaches the \
             services on the other's loopback.",
        categorization: "Defense Evasion: a boundary between two networks is crossed not over the wire but by standing inside.",
        strategy: "The network mode `container:ID` (Docker, Podman) or the sandbox of a pod (CRI) names the workload that \
             another one joined. containerd and CRI may be given a path to a namespace and not know whose it is; there, two \
             workloads in one namespace inode are a join by the one that started later. Joining a workload of the \
             same pod is normal; any other join fires once, unless a selector under `rules.joined-namespace.allowed` \
             matches the one that joins. Where the workload that was joined is not known yet, or only the kernel \
             shows the join, `settle` is waited for.",
        technical_context: "`docker run --network container:web` shares interfaces, addresses, ports and loopback of `web`; packets \
             of both leave over the same veth with the same MAC and address, so only the owner of a socket tells them \
             apart. VPN containers with their clients and debugging sidecars are built so.",
        blind_spots: &[
            "A container that shares a namespace although Docker or Podman says that it has its own: \
             namespace-mismatch reports it.",
            "unexpected-host-network reports a container that joins another one in the host's network.",
            "What pod a container is of is what the runtime reports; anyone who may create containers at the CRI \
             socket may claim any pod.",
            "Flows of the two can be distinguished only while their sockets are seen; else their attribution is ambiguous.",
        ],
        assumptions: &["The runtime's socket can be read.", "The list of allowed joins is kept up to date."],
        false_positives: &[
            "Sidecars and VPN clients of Compose projects (`network_mode: service:vpn`) that are not on the list yet.",
            "A person who debugs with a throw-away container in the network of another.",
        ],
        true_positives: &["joined-namespace"],
        benign_twins: &["joined-namespace-allowed"],
        priority: "Medium: it needs access to the runtime, and it is a usual way to build sidecars; but nothing that \
             watches by address can tell the two apart.",
        response: &[
            "Who started it, and when? `docker inspect NAME`, the orchestrator's history.",
            "What listens inside: `nsenter -t PID -n ss -tanp` lists the sockets of both with their processes.",
            "Look at its capabilities: with NET_RAW it reads the other's traffic (packet-socket tells), with \
             NET_ADMIN it redirects it.",
            "If there is no explanation, `docker pause NAME` and keep it as evidence.",
            "If it is allowed, add it to rules.joined-namespace.allowed, by digest.",
        ],
        resources: &[
            "https://attack.mitre.org/techniques/T1599/",
            "https://docs.docker.com/engine/network/#container-networks",
            "https://man7.org/linux/man-pages/man7/network_namespaces.7.html",
        ],
    },
};
