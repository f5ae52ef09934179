//! The sections that hold single values.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::PlacedSelector;
use crate::config::scalar::{
    Bounded, Cidr, CollectorUrl, DurationText, FilePath, InterfaceGlob, Label, Listen, RuleLink, Socket,
};
use crate::config::{InsideNamespaces, SnapLength, defaults};
use crate::evidence::PayloadPolicy;
use crate::flow::MeterLimits;
use crate::incident::IncidentLimits;

/// Where packets are captured.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(in crate::config) struct Capture {
    /// Interfaces, as globs; interfaces that appear later are captured as they come.
    pub interfaces: Vec<InterfaceGlob>,
    /// Bytes kept of each packet. `adaptive`: headers of most (160 bytes), more of what holds names: DNS, the start of a
    /// conversation (TLS, QUIC, HTTP, SSH, PROXY), short messages. A recording then keeps `payload_snap_length` of each.
    pub snap_length: SnapLength,
    /// With `adaptive`: the most that is kept of any packet.
    pub payload_snap_length: Bounded<256, 65_535>,
    /// Kernel buffer of each interface, in MiB; larger survives longer bursts.
    pub ring_mib: Bounded<1, 1024>,
    /// Kernel buffers of all interfaces of the host together, in MiB; with many interfaces each gets less than `ring_mib`, down to half a MiB.
    /// Those inside of namespaces get a quarter more.
    pub ring_budget_mib: Bounded<1, 65_536>,
    /// Threads that read packets, at most; never more than the host has processors.
    pub threads: Bounded<1, 64>,
    /// Leave out TCP to and from `serve.listen`, at the host's own addresses; such packets are not even counted.
    pub exclude_own: bool,
    /// Whether to capture inside the network namespaces of workloads (needs `CAP_SYS_ADMIN` and `CAP_SYS_PTRACE`). `never`; `unwatched`: where no
    /// captured interface of the host shows their traffic (macvlan, ipvlan, pods, rootless); `all`. At most 256 interfaces.
    pub inside_namespaces: InsideNamespaces,
}

impl Default for Capture {
    fn default() -> Self {
        Self {
            interfaces: defaults::INTERFACES.iter().map(|glob| InterfaceGlob((*glob).to_owned())).collect(),
            snap_length: SnapLength::Adaptive,
            payload_snap_length: Bounded(defaults::PAYLOAD_SNAP_LENGTH),
            ring_mib: Bounded(defaults::RING_MIB),
            ring_budget_mib: Bounded(defaults::RING_BUDGET_MIB),
            threads: Bounded(defaults::CAPTURE_THREADS),
            exclude_own: false,
            inside_namespaces: InsideNamespaces::Never,
        }
    }
}

/// Which container runtimes are asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(in crate::config) struct Runtime {
    /// Look for runtimes: what `DOCKER_HOST`, `CONTAINER_HOST` and `CONTAINER_RUNTIME_ENDPOINT` say, the usual sockets, and those
    /// of users (rootless Docker and Podman). Where sockets of a kind are given below, these take the place of root's usual one.
    pub discover: bool,
    /// How often the whole list of each runtime is compared, beside its events.
    pub reconcile_interval: DurationText<1_000>,
    /// Docker.
    pub docker: Docker,
    /// Podman.
    pub podman: Sockets,
    /// containerd, read by its own interface.
    pub containerd: Sockets,
    /// Kubernetes' Container Runtime Interface (containerd, CRI-O).
    pub cri: Sockets,
}

impl Default for Runtime {
    fn default() -> Self {
        Self {
            discover: true,
            reconcile_interval: DurationText::from_millis(defaults::RECONCILE_INTERVAL_MS),
            docker: Docker::default(),
            podman: Sockets::default(),
            containerd: Sockets::default(),
            cri: Sockets::default(),
        }
    }
}

/// The sockets of one kind of runtime.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(in crate::config) struct Sockets {
    /// Its sockets; each is missed, and said so, while it does not answer.
    pub sockets: Vec<Socket>,
}

/// Docker.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(in crate::config) struct Docker {
    /// Its socket. Without it, and without `sockets`: what `DOCKER_HOST` says, else the usual path.
    pub socket: Option<Socket>,
    /// Several sockets, where several Docker daemons run.
    pub sockets: Vec<Socket>,
    /// How often Docker's whole list is compared, if not as often as `runtime.reconcile_interval`.
    pub reconcile_interval: Option<DurationText<1_000>>,
}

/// Metrics and health over HTTP.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(in crate::config) struct Serve {
    /// Address and port of `/metrics`, `/livez` and `/readyz`.
    pub listen: Listen,
}

impl Default for Serve {
    fn default() -> Self {
        Self { listen: Listen(defaults::LISTEN) }
    }
}

/// The flow table of each interface.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[expect(clippy::struct_field_names, reason = "the names are the file's keys")]
pub(in crate::config) struct Flows {
    /// Flows held at once; when full, the longest idle is evicted and counted.
    pub max_flows: Bounded<1, 16_777_216>,
    /// A flow without a packet for so long has ended; `0s`: never.
    pub idle_timeout: DurationText<0>,
    /// A flow that lasts longer is reported and goes on in a new record; `0s`: never.
    pub active_timeout: DurationText<0>,
    /// Between two updates of one flow.
    pub update_interval: DurationText<100>,
    /// Send each flow with its verdict to an IPFIX collector, when it is judged; without: to none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ipfix: Option<Ipfix>,
}

/// An IPFIX collector.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(in crate::config) struct Ipfix {
    /// Where it is: `udp://HOST:PORT` or `tcp://HOST:PORT`.
    pub collector: CollectorUrl,
    /// Enterprise number (PEN) of hopwatch's own elements; 32473 is the one for examples.
    #[serde(default = "enterprise")]
    pub enterprise: Bounded<1, 4_294_967_295>,
}

const fn enterprise() -> Bounded<1, 4_294_967_295> {
    Bounded(defaults::ENTERPRISE_NUMBER)
}

impl Default for Flows {
    fn default() -> Self {
        Self {
            max_flows: Bounded(defaults::METER_MAX_FLOWS),
            idle_timeout: DurationText::from_millis(defaults::IDLE_TIMEOUT_MS),
            active_timeout: DurationText::from_millis(defaults::ACTIVE_TIMEOUT_MS),
            update_interval: DurationText::from_millis(defaults::FLOW_UPDATE_INTERVAL_MS),
            ipfix: None,
        }
    }
}

impl Flows {
    /// The meter's bounds.
    pub(in crate::config) fn limits(&self) -> MeterLimits {
        MeterLimits {
            max_flows: self.max_flows.size(),
            idle_timeout: self.idle_timeout.get(),
            active_timeout: self.active_timeout.get(),
            update_interval: self.update_interval.get(),
        }
    }
}

/// How long a flow waits for its judgement.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(in crate::config) struct Detection {
    /// How long a flow waits for the runtime to report whose address it is.
    pub attribution_grace: DurationText<0>,
    /// How long an attempt waits for an answer before it is judged as an attempt.
    pub answer_grace: DurationText<0>,
    /// How long a flow waits to be seen at a hop's own observation point, and for its translation to be reported.
    pub transit_grace: DurationText<300>,
    /// How long after its start a hop may take to become ready; a workload that started with it and went ahead of it is reported as such.
    pub startup_grace: DurationText<0>,
    /// Flows whose judgement is remembered at once; when full, the oldest is forgotten and counted.
    pub max_flows: Bounded<1, 16_777_216>,
}

impl Default for Detection {
    fn default() -> Self {
        Self {
            attribution_grace: DurationText::from_millis(defaults::ATTRIBUTION_GRACE_MS),
            answer_grace: DurationText::from_millis(defaults::ANSWER_GRACE_MS),
            transit_grace: DurationText::from_millis(defaults::TRANSIT_GRACE_MS),
            startup_grace: DurationText::from_millis(defaults::STARTUP_GRACE_MS),
            max_flows: Bounded(defaults::ENGINE_MAX_FLOWS),
        }
    }
}

/// Who acts where no runtime explains an address.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "Actors")]
pub(in crate::config) struct ActorsFile {
    /// Ranges whose addresses are yours. Without: private, shared, link-local and unique local ones. The host's own addresses, its container
    /// networks and loopback are yours anyway. Where none is seen, both ends of every flow count, and alerts about them are `medium` at most.
    #[schemars(extend("examples" = [["203.0.113.0/24"]]))]
    pub local: Vec<Cidr>,
}

/// What is remembered of workloads.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(in crate::config) struct Inventory {
    /// Workloads remembered at once, the ended ones included.
    pub max_workloads: Bounded<1, 1_000_000>,
    /// How long an ended workload is remembered.
    pub remember: DurationText<0>,
}

impl Default for Inventory {
    fn default() -> Self {
        Self {
            max_workloads: Bounded(defaults::MAX_WORKLOADS),
            remember: DurationText::from_millis(defaults::REMEMBER_MS),
        }
    }
}

/// What watches others. Hops are monitors anyway, and workloads that run a known agent (fluent-bit, vector, filebeat, falco, …).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
#[schemars(rename = "Monitors")]
pub(in crate::config) struct MonitorsFile {
    /// Workloads that watch others.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub workloads: Vec<PlacedSelector>,
    /// Names of programs that watch others, beside the known ones. They are shown where commands are reported.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub programs: Vec<Label>,
}

/// How alerts and events become incidents.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(in crate::config) struct Incidents {
    /// Write incidents: alerts of one chain, and what the runtime did to the same containers, in order. Alerts are written all the same.
    pub enabled: bool,
    /// An incident to which nothing is added for so long is closed; what follows is another one.
    pub close_after: DurationText<1_000>,
    /// Incidents open at once; when full, the oldest is closed.
    pub max_open: Bounded<1, 100_000>,
}

impl Default for Incidents {
    fn default() -> Self {
        Self {
            enabled: true,
            close_after: DurationText::from_millis(defaults::INCIDENT_CLOSE_AFTER_MS),
            max_open: Bounded(defaults::MAX_OPEN_INCIDENTS),
        }
    }
}

impl Incidents {
    /// The tracker's bounds; `None` where it is switched off.
    pub(in crate::config) fn limits(&self) -> Option<IncidentLimits> {
        let limits = IncidentLimits { close_after: self.close_after.get(), open: self.max_open.size() };
        self.enabled.then_some(limits)
    }
}

/// How alerts are grouped.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(in crate::config) struct Alerts {
    /// Between two counted updates of one alert.
    pub update_interval: DurationText<100>,
    /// An alert that is not repeated for so long is closed; the same cause then raises a new one.
    pub close_after: DurationText<1_000>,
    /// Alerts open at once; when full, the oldest is closed.
    pub max_open: Bounded<1, 1_000_000>,
    /// Destinations listed in one alert; further ones are counted.
    pub max_destinations: Bounded<1, 1_000>,
    /// Alerts that one rule raises about one sender (a workload, else an observation point) at once. Further causes are counted in one
    /// alert, which names the latest of them and lists their destinations.
    pub burst: Bounded<1, 100_000>,
    /// How long until such a rule raises one more alert about that sender.
    pub refill: DurationText<1>,
    /// Where the page of an alert's rule is, for people who get the alert elsewhere; `{rule}` stands for the rule's name. Without it, an alert names `docs/rules/RULE.md` of this version's sources.
    pub link: Option<RuleLink>,
}

impl Default for Alerts {
    fn default() -> Self {
        Self {
            update_interval: DurationText::from_millis(defaults::ALERT_UPDATE_INTERVAL_MS),
            close_after: DurationText::from_millis(defaults::CLOSE_AFTER_MS),
            max_open: Bounded(defaults::MAX_OPEN_ALERTS),
            max_destinations: Bounded(defaults::MAX_DESTINATIONS),
            burst: Bounded(defaults::ALERT_BURST),
            refill: DurationText::from_millis(defaults::ALERT_REFILL_MS),
            link: None,
        }
    }
}

/// What `hopwatch sniff` keeps of packets and facts from before each alert; see docs/evidence.md.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(in crate::config) struct Evidence {
    /// Write a bundle for each alert: facts from before it, and packets where `ring_mib` keeps some, which `hopwatch replay` judges again. Not where there is no state directory.
    pub enabled: bool,
    /// Folder of the bundles; without: `evidence` in the state directory.
    pub dir: Option<FilePath>,
    /// Recent packets of each observation point that are kept in memory, in MiB; 8 hold some tens of thousands. 0: none; bundles then hold the alert and its
    /// facts, and an alert about a flow does not replay from them.
    pub ring_mib: Bounded<0, 1024>,
    /// Recent packets of all observation points together, in MiB.
    pub ring_budget_mib: Bounded<1, 65_536>,
    /// How long packets and facts are kept in memory; longer than any rule waits with its judgement.
    pub age: DurationText<1_000>,
    /// Bytes kept of each packet; of the first ten of a flow all that was captured.
    pub snap_length: Bounded<64, 16_384>,
    /// What stays of what applications wrote. `none`: headers only; `head`: what names the other end, secrets blanked; `full`: as captured.
    pub payload: PayloadPolicy,
    /// For how long after an alert its packets are added.
    pub after: DurationText<0>,
    /// The most that one bundle holds of packets, in MiB.
    pub bundle_mib: Bounded<1, 256>,
    /// The most that is written in an hour, in MiB; the last fifth is for `high` and `critical` alerts.
    pub hour_mib: Bounded<1, 1_048_576>,
    /// The most that all bundles take, in MiB; those of the lowest severity leave first, the oldest of them before others.
    pub total_mib: Bounded<1, 1_048_576>,
}

impl Default for Evidence {
    fn default() -> Self {
        Self {
            enabled: true,
            dir: None,
            ring_mib: Bounded(defaults::EVIDENCE_RING_MIB),
            ring_budget_mib: Bounded(defaults::EVIDENCE_RING_BUDGET_MIB),
            age: DurationText::from_millis(defaults::EVIDENCE_AGE_MS),
            snap_length: Bounded(defaults::EVIDENCE_SNAP_LENGTH),
            payload: PayloadPolicy::Head,
            after: DurationText::from_millis(defaults::EVIDENCE_AFTER_MS),
            bundle_mib: Bounded(defaults::EVIDENCE_BUNDLE_MIB),
            hour_mib: Bounded(defaults::EVIDENCE_HOUR_MIB),
            total_mib: Bounded(defaults::EVIDENCE_TOTAL_MIB),
        }
    }
}

/// What `hopwatch respond` may do to the container of an alert; see docs/response.md. Nothing is ever done without a person who asks for it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(in crate::config) struct Response {
    /// Let `hopwatch respond --apply` act; without, it shows plans.
    pub enabled: bool,
    /// Workloads to which nothing is done, whatever a person asks for; hops, monitors, sinks and hopwatch itself are protected anyway.
    pub protected: Vec<PlacedSelector>,
    /// Responses within `limit_period`, at most.
    pub limit: Bounded<1, 1_000>,
    /// See `limit`.
    pub limit_period: DurationText<1_000>,
    /// A response is undone after this time, unless `--for` says otherwise; `0s`: only by a person.
    pub undo_after: DurationText<0>,
}

impl Default for Response {
    fn default() -> Self {
        Self {
            enabled: false,
            protected: Vec::new(),
            limit: Bounded(defaults::RESPONSE_LIMIT),
            limit_period: DurationText::from_millis(defaults::RESPONSE_LIMIT_PERIOD_MS),
            undo_after: DurationText::from_millis(defaults::RESPONSE_UNDO_AFTER_MS),
        }
    }
}

/// What is kept between runs.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub(in crate::config) struct State {
    /// Folder of the key that hides values of settings, and of what was approved. Without: systemd's `$STATE_DIRECTORY`, else
    /// `/var/lib/hopwatch` for root, and `$XDG_STATE_HOME/hopwatch` or `~/.local/state/hopwatch` for others.
    pub dir: Option<FilePath>,
}
