//! `namespace-mismatch`.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::detect::debounce::{HoldTime, Next, PendingFindings};
use crate::detect::params::rule_params;
use crate::detect::{Ads, Context, Finding, Findings, Rule, RuleMeta, Severity, Technique, placement};
use crate::input::{
    InventoryEvent, KernelFact, NetnsId, NetworkMode, ProcessNamespaces, RecordedFact, Stray, Workload, WorkloadId,
};
use crate::inventory::Timeline;
use crate::path::{Evidence, Selector};
use crate::time::Timestamp;

/// Workloads whose first namespace is remembered: as many as the kernel's state holds.
const MAX_ANCHORS: usize = 32_768;

rule_params! {
    /// Workloads that may enter other network namespaces: network plugins, orchestrators' agents.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    allowed: Vec<Selector> = Vec::new(),
    /// How long runtime and kernel may disagree while a container starts or restarts.
    settle: HoldTime = HoldTime::secs(1),
}

/// The rule; it remembers the namespace in which each workload started, and what it suspects.
#[derive(Debug)]
pub struct NamespaceMismatch {
    params: Params,
    anchors: BTreeMap<WorkloadId, Anchor>,
    pending: PendingFindings<WorkloadId, Mismatch>,
    host: Option<NetnsId>,
    forgotten: u64,
}

/// Where a run of a workload began.
#[derive(Debug)]
struct Anchor {
    pid: Option<u32>,
    netns: NetnsId,
    seen: Timestamp,
}

/// What does not fit.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Mismatch {
    /// The first process is in the host's namespace.
    Host,
    /// It is in the namespace of another workload.
    Other(WorkloadId),
    /// It is not where it started.
    Moved(NetnsId),
    /// Another process of it is in the host's or in another workload's namespace.
    Stray { pid: u32, netns: NetnsId },
}

/// The rule with its parameters.
pub fn rule(params: &Params) -> impl Rule + use<> {
    NamespaceMismatch {
        params: params.clone(),
        anchors: BTreeMap::new(),
        pending: PendingFindings::default(),
        host: None,
        forgotten: 0,
    }
}

impl Rule for NamespaceMismatch {
    fn on_workload(&mut self, context: Context<'_>, workload: &Arc<Workload>, findings: &mut Findings) {
        self.check(context, &workload.id, false, findings);
    }

    fn on_fact(&mut self, context: Context<'_>, fact: &RecordedFact, findings: &mut Findings) {
        match fact {
            RecordedFact::Kernel(KernelFact::Processes(processes)) => {
                self.check(context, &processes.workload, true, findings);
            }
            RecordedFact::Kernel(KernelFact::Namespace(_)) if self.host != context.timeline.kernel().host() => {
                // Only now it is known which one is the host's.
                self.host = context.timeline.kernel().host();
                for workload in context.timeline.running() {
                    self.check(context, &workload.id, false, findings);
                }
            }
            RecordedFact::Kernel(KernelFact::Namespace(view)) => {
                view.workloads.iter().for_each(|id| self.check(context, id, false, findings));
            }
            RecordedFact::Inventory(InventoryEvent::Stopped { id, .. }) => self.forget(id),
            RecordedFact::Inventory(InventoryEvent::Reconciled { .. }) => {
                self.pending.keep_subjects(|id| context.timeline.is_running(id));
                self.anchors.retain(|id, _| context.timeline.is_running(id));
            }
            _ => {}
        }
    }

    fn on_time(&mut self, context: Context<'_>, findings: &mut Findings) {
        for id in self.pending.ripe(context.now) {
            self.check(context, &id, false, findings);
        }
    }

    fn forgotten(&self) -> u64 {
        self.forgotten
    }
}

impl NamespaceMismatch {
    /// Compares both words about a workload. `changed`: the kernel has just reported its processes.
    fn check(&mut self, context: Context<'_>, id: &WorkloadId, changed: bool, findings: &mut Findings) {
        let Context { timeline, now, .. } = context;
        let subject = placement::running(timeline, id).zip(timeline.kernel().processes(id));
        let Some((workload, processes)) =
            subject.filter(|(workload, _)| !Selector::any(&self.params.allowed, workload))
        else {
            self.pending.keep(id, |_| false);
            return;
        };
        let mismatches = self.mismatches(context, workload, processes);
        self.pending.keep(id, |known| mismatches.contains(known));
        let started = workload.since.is_none_or(|since| now >= since.plus(self.params.settle.get()));
        for mismatch in mismatches {
            let at_once = started && self.is_certain(timeline, processes, &mismatch, changed);
            let until = if at_once { now } else { now.plus(self.params.settle.get()) };
            match self.pending.observe(id, mismatch.clone(), now, until) {
                Next::Report => {
                    findings.push(self.finding(context, workload, processes, &mismatch));
                    self.record_move(context, workload, processes, &mismatch);
                }
                Next::Schedule(at) => findings.schedule(at),
                Next::Nothing => {}
            }
        }
    }

    /// Everything that does not fit now. The host goes before another's namespace, and both before a move.
    fn mismatches(
        &mut self,
        context: Context<'_>,
        workload: &Workload,
        processes: &ProcessNamespaces,
    ) -> Vec<Mismatch> {
        let timeline = context.timeline;
        if placement::host_by_runtime(timeline, workload).is_some() || is_joining_unknown(timeline, workload) {
            return Vec::new();
        }
        let moved = self.moved(context, workload, processes.netns);
        let other = |netns| placement::intrudes_on(timeline, workload, netns);
        let mut found = Vec::new();
        if timeline.kernel().host() == Some(processes.netns) {
            found.push(Mismatch::Host);
        } else if let Some(other) = other(processes.netns).filter(|_| placement::reports_joins(workload)) {
            found.push(Mismatch::Other(other.id.clone()));
        } else if let Some(from) = moved {
            found.push(Mismatch::Moved(from));
        }
        let is_elsewhere =
            |stray: &&Stray| timeline.kernel().host() == Some(stray.netns) || other(stray.netns).is_some();
        let strays = processes.strays.iter().filter(is_elsewhere);
        found.extend(strays.map(|stray| Mismatch::Stray { pid: stray.pid, netns: stray.netns }));
        found
    }

    /// The namespace in which the present run began, where it is another one by now.
    fn moved(&mut self, context: Context<'_>, workload: &Workload, netns: NetnsId) -> Option<NetnsId> {
        let Context { now, .. } = context;
        let settle = self.params.settle.get();
        let fresh = Anchor { pid: workload.pid, netns, seen: now };
        match self.anchors.get_mut(&workload.id) {
            Some(anchor) if anchor.pid != workload.pid || now < anchor.seen.plus(settle) => {
                let seen = if anchor.pid == workload.pid { anchor.seen } else { now };
                *anchor = Anchor { seen, ..fresh };
                None
            }
            Some(anchor) => (anchor.netns != netns).then_some(anchor.netns),
            None => {
                if self.anchors.len() < MAX_ANCHORS {
                    self.anchors.insert(workload.id.clone(), fresh);
                } else {
                    self.forgotten += 1;
                }
                None
            }
        }
    }

    /// A move that was reported is where it is from now on.
    fn record_move(
        &mut self,
        context: Context<'_>,
        workload: &Workload,
        processes: &ProcessNamespaces,
        reported: &Mismatch,
    ) {
        let anchor = self.anchors.get_mut(&workload.id).filter(|_| !matches!(reported, Mismatch::Stray { .. }));
        if let Some(anchor) = anchor {
            *anchor = Anchor { pid: workload.pid, netns: processes.netns, seen: context.now };
        }
    }

    /// Whether it needs no waiting: a stray in the host's namespace, or one that stays where it was suspected.
    fn is_certain(
        &self,
        timeline: &Timeline,
        processes: &ProcessNamespaces,
        mismatch: &Mismatch,
        changed: bool,
    ) -> bool {
        let Mismatch::Stray { pid, netns } = mismatch else { return false };
        let stayed = changed && self.pending.waits(&processes.workload, mismatch);
        let starting = processes.strays.iter().any(|stray| stray.pid == *pid && is_runtime_helper(&stray.command));
        stayed || (timeline.kernel().host() == Some(*netns) && !starting)
    }

    fn finding(
        &self,
        context: Context<'_>,
        workload: &Arc<Workload>,
        processes: &ProcessNamespaces,
        mismatch: &Mismatch,
    ) -> Finding {
        let evidence =
            vec![runtime_word(context.timeline, workload), self.kernel_word(context.timeline, processes, mismatch)];
        let host = context.timeline.kernel().host();
        let cause = match mismatch {
            Mismatch::Host => "host".to_owned(),
            Mismatch::Other(other) => format!("workload {other}"),
            Mismatch::Moved(_) => "moved".to_owned(),
            Mismatch::Stray { netns, .. } if host == Some(*netns) => "entered host".to_owned(),
            Mismatch::Stray { netns, .. } => {
                let whose = placement::owner_of(context.timeline, *netns).map(|owner| owner.id.to_string());
                format!("entered {}", whose.unwrap_or_default())
            }
        };
        let stands = matches!(mismatch, Mismatch::Host | Mismatch::Other(_));
        Finding { stands, ..Finding::of_workload(&META, context.now, workload, &cause, evidence) }
    }

    fn kernel_word(&self, timeline: &Timeline, processes: &ProcessNamespaces, mismatch: &Mismatch) -> Evidence {
        let own = processes.netns;
        let started = self.anchors.get(&processes.workload).filter(|anchor| anchor.netns != own);
        let before = started.map(|anchor| format!("; it started in {}", anchor.netns)).unwrap_or_default();
        let text = match mismatch {
            Mismatch::Host => format!("the kernel shows its first process in {own}, the host's namespace{before}"),
            Mismatch::Other(other) => {
                format!(
                    "the kernel shows its first process in {own}, the namespace of {}{before}",
                    name_of(timeline, other)
                )
            }
            Mismatch::Moved(from) => {
                format!(
                    "the kernel shows its first process in {own}; it started in {from}, and its process is the same"
                )
            }
            Mismatch::Stray { pid, netns } => {
                let stray = processes.strays.iter().find(|stray| stray.pid == *pid);
                let command = stray.map(|stray| stray.command.as_str()).unwrap_or_default();
                let whose = match placement::owner_of(timeline, *netns) {
                    _ if timeline.kernel().host() == Some(*netns) => "the host's namespace".to_owned(),
                    Some(owner) => format!("the namespace of {}", owner.name),
                    None => "another workload's namespace".to_owned(),
                };
                format!("its process {pid} ({command}) is in {netns}, {whose}; its first process is in {own}")
            }
        };
        Evidence::new("kernel", text)
    }

    fn forget(&mut self, id: &WorkloadId) {
        self.anchors.remove(id);
        self.pending.forget(id);
    }
}

/// It joined a workload that nobody reported yet: there is nothing to compare with.
fn is_joining_unknown(timeline: &Timeline, workload: &Workload) -> bool {
    matches!(workload.network_mode, NetworkMode::Container(_)) && placement::joined(timeline, workload).is_none()
}

/// What a runtime's own helper is called while it sets up a process; by its name it gains a moment, no more.
fn is_runtime_helper(command: &str) -> bool {
    ["runc", "crun", "youki", "runsc"].iter().any(|helper| command.starts_with(helper))
}

fn name_of(timeline: &Timeline, id: &WorkloadId) -> String {
    timeline.workload(id).map_or_else(|| id.short().to_owned(), |workload| workload.name.clone())
}

fn runtime_word(timeline: &Timeline, workload: &Workload) -> Evidence {
    let mode = match &workload.network_mode {
        NetworkMode::Container(id) => format!("the network of {}", name_of(timeline, id)),
        NetworkMode::Own => "networks of its own".to_owned(),
        NetworkMode::None => "no network".to_owned(),
        NetworkMode::Rootless(stack) => format!("a rootless network ({stack})"),
        NetworkMode::Host => "the host's network".to_owned(),
    };
    Evidence::new("runtime", format!("{} says it has {mode}", workload.runtime))
}

/// What the rule is.
pub static META: RuleMeta = RuleMeta {
    name: "namespace-mismatch",
    title: "Container is in a network namespace that its runtime does not know of",
    severity: Severity::High,
    techniques: &[Technique { name: "Escape to Host", v19: "T1611", v18: "T1611" }],
    ads: Ads {
        goal: "Detects a container whose processes the kernel shows in the host's network namespace, or in another \
             container's, while the runtime reports a network of its own. Tools that rely on the runtime then watch \
             the wrong namespace.",
        categorization: "Privilege Escalation and Defense Evasion: a privileged container enters the host's network with nsenter \
             or setns(2), or was created so by somebody who went around the runtime.",
        strategy: "The network namespace inode of each process of a workload is compared with the host's, with those \
             of other workloads and with the one in which it started. The first process in the host's or another \
             workload's namespace, or in another one than at its start (same pid), fires when that still stands \
             after `settle`. Any other process of the workload fires at once when it is in the host's namespace, and \
             in another workload's when it is still there at the next scan or after `settle`. Containers of one pod, \
             and those that joined each other according to the runtime, share a namespace by right.",
        technical_context: "`/proc/PID/ns/net` names the namespace; its inode is unique while it lives. With SYS_ADMIN and a path to \
             the host's namespace (`--pid host`, a mounted /proc) `nsenter -t 1 -n` is one command. Commands that a \
             runtime executes in a container (`docker exec`) are in the container's namespace and are normal. While a \
             container starts, its first process is still in the host's namespace for some milliseconds.",
        blind_spots: &[
            "A process that enters and leaves between two scans of the kernel's collector is not seen; processes \
             that were gone before they could be looked at are counted as missed.",
            "A process that takes itself out of the container's cgroup is no longer known to be the container's.",
            "containerd and CRI do not always say who joins whom; there, joined-namespace reports a shared \
             namespace.",
            "Namespaces that a container makes for itself (unshare, containers inside a container) belong to nobody \
             else and are not reported.",
            "A process named like a runtime's helper (runc, crun) in the host's namespace is reported only when it \
             stays for `settle`.",
            "A file descriptor of a socket that was made in another namespace and handed over moves no process.",
            "Without the right to read other users' /proc/PID/ns the kernel's view is missing; that is counted as \
             hidden.",
        ],
        assumptions: &[
            "The kernel's collector runs (root, or SYS_PTRACE and a /proc that hides nothing).",
            "hopwatch itself runs in the host's network namespace.",
            "The network mode that the runtime reports can be read.",
        ],
        false_positives: &[
            "Network plugins and node agents that enter other namespaces by design: name them under \
             rules.namespace-mismatch.allowed, by digest.",
            "A slow host on which a container takes longer than `settle` to start.",
        ],
        true_positives: &["namespace-entered"],
        benign_twins: &["namespace-own"],
        priority: "High: two independent words about the same process contradict each other, and the reality is the one \
             with less isolation.",
        response: &[
            "The evidence names the process: `ls -l /proc/PID/ns/net`, `tr '\\0' ' ' < /proc/PID/cmdline`, and its \
             parents.",
            "How could it? Look at the container's capabilities, pid mode and mounts: `docker inspect NAME`.",
            "What does it do there? `ss -tanp | grep pid=PID` on the host, and the alerts of host-network-flow.",
            "If there is no explanation, `docker pause NAME`, keep it as evidence, and treat the host's loopback \
             services as reached.",
            "If it is allowed, add the workload to rules.namespace-mismatch.allowed, by digest.",
        ],
        resources: &[
            "https://attack.mitre.org/techniques/T1611/",
            "https://man7.org/linux/man-pages/man7/network_namespaces.7.html",
            "https://man7.org/linux/man-pages/man1/nsenter.1.html",
        ],
    },
};
