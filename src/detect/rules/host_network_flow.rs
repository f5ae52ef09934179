//! `host-network-flow`.

use std::net::IpAddr;
use std::sync::Arc;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::detect::params::rule_params;
use crate::detect::placement::ByRuntime;
use crate::detect::{Ads, Context, Finding, Findings, Rule, RuleMeta, Severity, Technique, placement};
use crate::input::{Protocol, Workload};
use crate::inventory::{AttributionMethod, Owner, Timeline};
use crate::path::{DestinationSet, Evidence, JudgedFlow, Selector, owner_of, parse_range};

rule_params! {
    /// Workloads whose traffic over the host's network is expected. Those that `unexpected-host-network` allows are not included: to be there
    /// is one thing, to talk another.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    allowed: Vec<Selector> = Vec::new(),
    /// To where it counts: address ranges, `internet`, `loopback`, `any`; empty: any.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    to: Vec<Target> = Vec::new(),
}

/// A set of destinations as the configuration writes it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
#[schemars(with = "String", example = &"internet")]
pub struct Target {
    text: String,
    set: DestinationSet,
}

impl TryFrom<String> for Target {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        let ranges = |texts: &[&str]| {
            texts.iter().map(|text| parse_range(text)).collect::<Result<_, _>>().map(DestinationSet::Ranges)
        };
        let set = match text.as_str() {
            "any" => Ok(DestinationSet::Any),
            "internet" => Ok(DestinationSet::Internet),
            "loopback" => ranges(&["127.0.0.0/8", "::1/128"]),
            range => ranges(&[range]),
        };
        let set = set.map_err(|error| format!("{error}, nor internet, loopback or any"))?;
        Ok(Self { text, set })
    }
}

impl From<Target> for String {
    fn from(target: Target) -> Self {
        target.text
    }
}

/// The rule; it keeps no state.
#[derive(Debug)]
pub struct HostNetworkFlow {
    params: Params,
}

/// The rule with its parameters.
pub fn rule(params: &Params) -> impl Rule + use<> {
    HostNetworkFlow { params: params.clone() }
}

impl Rule for HostNetworkFlow {
    fn on_flow(&mut self, context: Context<'_>, flow: &JudgedFlow, findings: &mut Findings) {
        let Some(workload) = sender(context.timeline, flow) else { return };
        let to = flow.oriented.tuple.resp;
        let meant = self.params.to.is_empty() || self.params.to.iter().any(|target| target.set.contains(to.ip));
        if !meant || Selector::any(&self.params.allowed, workload) {
            return;
        }
        let evidence = vec![socket_word(flow), place_word(context.timeline, workload), reached(context.timeline, flow)];
        findings.push(Finding {
            attribution: Some(flow.source.clone()),
            flow: Some(flow.view.clone()),
            destination: Some(to),
            ..Finding::of_workload(&META, flow.view.record.start, workload, "host network", evidence)
        });
    }
}

/// The workload that sent it over the host's network, by its socket; nobody where it has the address by right.
fn sender<'a>(timeline: &Timeline, flow: &'a JudgedFlow) -> Option<&'a Arc<Workload>> {
    let Owner::Workload { workload, how: AttributionMethod::Socket, .. } = &flow.source else { return None };
    let from = flow.oriented.tuple.orig.ip.to_canonical();
    let is_its_own = workload.addresses().any(|own| own.to_canonical() == from);
    (!is_its_own && placement::in_host_network(timeline, workload)).then_some(workload)
}

fn socket_word(flow: &JudgedFlow) -> Evidence {
    let from = flow.oriented.tuple.orig;
    let protocol = match flow.oriented.tuple.protocol {
        Protocol::TCP => "TCP",
        Protocol::UDP => "UDP",
        _ => "internet",
    };
    Evidence::new(
        "socket",
        format!("the {protocol} socket at {from} on {} is the workload's", flow.oriented.point.as_str()),
    )
}

fn place_word(timeline: &Timeline, workload: &Workload) -> Evidence {
    let kernel = timeline.kernel();
    let host = kernel.host().map(|host| format!(" ({host})")).unwrap_or_default();
    let first = kernel.netns_of(&workload.id);
    let (kind, text) = match placement::host_by_runtime(timeline, workload) {
        Some(ByRuntime::Itself) => ("runtime", format!("{} says network mode host", workload.runtime)),
        Some(ByRuntime::Joined(owner)) => {
            ("runtime", format!("{} says it joined {}, which is in the host's network", workload.runtime, owner.name))
        }
        None if first.is_some() && first == kernel.host() => {
            ("kernel", format!("its first process is in the host's network namespace{host}"))
        }
        None => ("kernel", format!("one of its processes is in the host's network namespace{host}")),
    };
    Evidence::new(kind, text)
}

/// What kind of destination it is.
fn reached(timeline: &Timeline, flow: &JudgedFlow) -> Evidence {
    let to = flow.oriented.tuple.resp;
    let text = match owner_of(timeline, &flow.oriented.point, to, flow.oriented.at) {
        _ if is_loopback(to.ip) => format!("{to} is a service on the host's loopback"),
        Owner::Workload { workload, .. } => format!("{to} is {}, reached from the host's side", workload.name),
        Owner::Host | Owner::Ambiguous { host: true, .. } => format!("{to} is an address of the host itself"),
        Owner::Ambiguous { host: false, .. } | Owner::Unknown => format!("{to} is inside a container network"),
        Owner::External => format!("{to} is outside: the traffic leaves the host"),
    };
    Evidence::new("peer", text)
}

fn is_loopback(ip: IpAddr) -> bool {
    ip.to_canonical().is_loopback()
}

/// What the rule is.
pub static META: RuleMeta = RuleMeta {
    name: "host-network-flow",
    title: "Container talks over the host's network",
    severity: Severity::Medium,
    techniques: &[Technique { name: "Escape to Host", v19: "T1611", v18: "T1611" }],
    ads: Ads {
        goal: "Reports which destinations a container in the host's network namespace connects to. Its packets carry \
             the host's address, so every tool that attributes by address takes them for the host's own.",
        categorization: "Privilege Escalation: the network isolation of a container is gone, and it is used. What is reached \
             (loopback services, the internet) says what for.",
        strategy: "A flow on the uplink or on `lo` whose own end is a socket that the kernel shows to be a workload's (by \
             cgroup, or by a process that holds it) and that runs in the host's network namespace, according to the \
             runtime or the kernel. The first one fires; later ones count, and add their destinations to the same alert. \
             `to` narrows the destinations, `allowed` names workloads that may.",
        technical_context: "With --network host a container reaches services that listen on 127.0.0.1 and trust \
             every client from there (metrics, debug ports, runtimes on TCP, databases), the cloud's metadata \
             service, and the outside without the bridge, its proxies and its firewall rules. Node exporters, \
             network plugins and ingress proxies do so legitimately.",
        blind_spots: &[
            "A socket that two workloads, or a workload and the host, could own gives an ambiguous attribution, and \
             this rule is silent: it accuses nobody by a guess. hopwatch_attributions_total counts them.",
            "A socket that was opened and closed between two scans of the kernel's collector leaves its flow with \
             the host; such sockets are counted as missed (short_socket).",
            "Traffic on interfaces that are not captured is not seen; capture the uplink and `lo`.",
            "Raw and packet sockets have no ports and are attributed to no workload; packet-socket reports them.",
            "Connections that others open to the container are not reported; the one who asks is the source.",
        ],
        assumptions: &[
            "The kernel's collector runs (root, or NET_ADMIN and SYS_PTRACE).",
            "The uplink and `lo` are among the captured interfaces.",
        ],
        false_positives: &[
            "Agents that belong on the host's network: name them under rules.host-network-flow.allowed, by digest, or \
             narrow `to`.",
            "A container that asks its own service on the loopback (a health check).",
            "Name resolution by a stub resolver on the host (127.0.0.53) is a loopback service too.",
        ],
        true_positives: &["host-network-flow"],
        benign_twins: &["host-network-flow-allowed"],
        priority: "Medium: unexpected-host-network reports that it is in the host's network (high); this one says \
             what it does there.",
        response: &[
            "Read the destinations: a loopback service, the metadata service, or the outside?",
            "For a loopback service, find out what it gives to any client: `ss -tlnp` on the host names it.",
            "Find the process: `ss -tanp` on the host shows it with its pid; `cat /proc/PID/cgroup` names the \
             container.",
            "If there is no explanation, `docker pause NAME`, keep it as evidence, and rotate what the service gives \
             out.",
            "If it is allowed, add it to rules.host-network-flow.allowed, by digest.",
        ],
        resources: &[
            "https://attack.mitre.org/techniques/T1611/",
            "https://docs.docker.com/engine/network/drivers/host/",
            "https://man7.org/linux/man-pages/man7/sock_diag.7.html",
        ],
    },
};

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::input::{
        Attachment, Counters, Endpoint, FiveTuple, FlowId, FlowRecord, InventoryEvent, KernelFact, NamespaceView,
        NetnsId, NetworkMode, ObservationPoint, ProcessNamespaces, Side, Stray, WorkloadId,
    };
    use crate::inventory::{Confidence, TimelineLimits};
    use crate::path::{ObservedFlow, Oriented, SelectorFile};
    use crate::time::Timestamp;

    const NOW: Timestamp = Timestamp::from_secs(1000);

    fn workload(mode: NetworkMode) -> Arc<Workload> {
        let address = "172.20.0.10".parse().expect("an address");
        let attachment = Attachment { network: "net".into(), addresses: vec![address], ..Attachment::default() };
        let own = mode == NetworkMode::Own;
        Arc::new(Workload {
            image: "agent:1".into(),
            image_digest: "sha256:aa".into(),
            network_mode: mode,
            attachments: if own { vec![attachment] } else { vec![] },
            pid: Some(1),
            since: Some(Timestamp::from_secs(1)),
            ..Workload::new(WorkloadId::new("agent"), "agent", crate::input::RuntimeId::DOCKER)
        })
    }

    fn timeline(workload: &Arc<Workload>) -> Timeline {
        let mut timeline = Timeline::new(TimelineLimits { workloads: 10, remember: Duration::from_mins(1) });
        timeline.apply(NOW, &InventoryEvent::Workload(Arc::clone(workload)));
        timeline
    }

    fn flow(owner: Owner, from: &str, to: &str) -> JudgedFlow {
        let tuple = FiveTuple {
            protocol: Protocol::TCP,
            orig: Endpoint { ip: from.parse().expect("an address"), port: 40_000 },
            resp: Endpoint { ip: to.parse().expect("an address"), port: 443 },
        };
        let point = ObservationPoint::new("eth0");
        let record = FlowRecord {
            orig: Side { mac: None, next_hop: None, counters: Counters::default() },
            ..FlowRecord::new(FlowId(1), point.clone(), tuple, NOW)
        };
        let view = ObservedFlow { record, points: vec![point.clone()], translated: None };
        let oriented = Oriented { tuple, point, at: NOW, forward: true, certain: true };
        JudgedFlow {
            view,
            oriented,
            source: owner,
            responder: Owner::External,
            answered: true,
            judgement: None,
            sent_on: false,
            took: std::time::Duration::ZERO,
            over: false,
            again: false,
            revised_from: None,
        }
    }

    fn by(workload: &Arc<Workload>, how: AttributionMethod) -> Owner {
        Owner::Workload { workload: Arc::clone(workload), how, confidence: Confidence::Exact, why: None }
    }

    fn found(params: &Params, timeline: &Timeline, flow: &JudgedFlow) -> Vec<Finding> {
        let mut findings = Findings::default();
        rule(params).on_flow(
            Context {
                timeline,
                actors: &crate::detect::Actors::default(),
                path: &crate::path::PathState::default(),
                names: &crate::names::Names::default(),
                baseline: None,
                compared: None,
                now: NOW,
            },
            flow,
            &mut findings,
        );
        findings.into_parts().0
    }

    #[test]
    fn what_it_talked_to_is_named_with_its_kind_under_one_cause() {
        let agent = workload(NetworkMode::Host);
        let timeline = timeline(&agent);
        let mut causes = Vec::new();
        for (to, kind) in [
            ("198.51.100.7", "the traffic leaves the host"),
            ("127.0.0.1", "on the host's loopback"),
            ("::1", "loopback"),
        ] {
            let [finding] = &found(
                &Params::default(),
                &timeline,
                &flow(by(&agent, AttributionMethod::Socket), "192.0.2.1", to),
            )[..] else {
                panic!("one finding")
            };
            assert_eq!(finding.destination.map(|end| end.ip.to_string()).as_deref(), Some(to));
            assert!(finding.evidence.iter().any(|one| one.text.contains(kind)), "{:?}", finding.evidence);
            causes.push((finding.cause.clone(), finding.severity));
        }
        causes.dedup();
        assert_eq!(causes, [("host network".to_owned(), Severity::Medium)]);
    }

    #[test]
    fn only_the_socket_of_a_workload_in_the_hosts_network_counts() {
        let (host, own) = (workload(NetworkMode::Host), workload(NetworkMode::Own));
        let ambiguous = Owner::Ambiguous { candidates: vec![Arc::clone(&host)], host: true };
        for (agent, owner, from) in [
            (&host, by(&host, AttributionMethod::Address), "192.0.2.1"),
            (&host, ambiguous, "192.0.2.1"),
            (&host, Owner::Host, "192.0.2.1"),
            (&own, by(&own, AttributionMethod::Socket), "172.20.0.10"),
            (&own, by(&own, AttributionMethod::Socket), "192.0.2.1"),
        ] {
            let flow = flow(owner, from, "198.51.100.7");
            assert!(found(&Params::default(), &timeline(agent), &flow).is_empty(), "{flow:?}");
        }
    }

    #[test]
    fn a_process_that_entered_the_hosts_network_counts_too() {
        let agent = workload(NetworkMode::Own);
        let mut timeline = timeline(&agent);
        let (host, own) = (NetnsId(1), NetnsId(2));
        let view = NamespaceView { netns: host, host: true, workloads: vec![], interfaces: vec![], settings: None };
        timeline.apply_kernel(NOW, &KernelFact::Namespace(Arc::new(view)));
        let strays = vec![Stray { pid: 9, command: "curl".into(), netns: host }];
        let processes = ProcessNamespaces { workload: agent.id.clone(), netns: own, strays };
        timeline.apply_kernel(NOW, &KernelFact::Processes(Arc::new(processes)));
        let from_host = flow(by(&agent, AttributionMethod::Socket), "192.0.2.1", "198.51.100.7");
        assert_eq!(found(&Params::default(), &timeline, &from_host).len(), 1);
        let from_inside = flow(by(&agent, AttributionMethod::Socket), "172.20.0.10", "198.51.100.7");
        assert!(found(&Params::default(), &timeline, &from_inside).is_empty());
    }

    #[test]
    fn allowed_workloads_and_other_destinations_are_quiet() {
        let agent = workload(NetworkMode::Host);
        let timeline = timeline(&agent);
        let out = flow(by(&agent, AttributionMethod::Socket), "192.0.2.1", "198.51.100.7");
        let digest = SelectorFile { digest: Some("sha256:aa".into()), ..SelectorFile::default() };
        let allowed = vec![Selector::try_from(digest).expect("a selector")];
        assert!(found(&Params { allowed, ..Params::default() }, &timeline, &out).is_empty());
        for (target, count) in [("any", 1), ("internet", 1), ("loopback", 0), ("198.51.100.0/24", 1), ("10.0.0.0/8", 0)]
        {
            let to = vec![Target::try_from(target.to_owned()).expect("a target")];
            assert_eq!(found(&Params { to, ..Params::default() }, &timeline, &out).len(), count, "{target}");
        }
        let wrong = Target::try_from("intranet".to_owned()).expect_err("no target");
        assert!(wrong.contains("nor internet, loopback or any"), "{wrong}");
    }
}
