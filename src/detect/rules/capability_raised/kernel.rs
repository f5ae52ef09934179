//! The kernel's word on a container's rights against its runtime's.
//!
//! Contract: what the first process may do and the runtime's document says it may not is reported once a service, after [`SETTLE`]: at a start the runtime's own
//! process is seen before it gives up its rights. Fewer rights than told are never reported. Limits: those of [`PendingFindings`] and [`RollOuts`].
//! Design: capabilities in a user namespace of its own hold in there only, and are not compared; nor are those of a runtime that runs a machine of its own,
//! whose first process is that machine.

use std::sync::Arc;

use super::{DANGEROUS, META};
use crate::detect::debounce::{Next, PendingFindings};
use crate::detect::roll_out::RollOuts;
use crate::detect::told_and_seen::Seen;
use crate::detect::{Context, Finding, Findings, HoldTime, Severity, placement};
use crate::input::{
    Configuration, Confinement, KernelFact, ProcessRights, RecordedFact, SeccompMode, Workload, WorkloadId,
};
use crate::inventory::configuration::{DOCKER_DEFAULT, ServiceKey};
use crate::path::{Evidence, Selector};

/// How long a contradiction must stand: three looks of the sensor at a process that has just begun.
const SETTLE: HoldTime = HoldTime::secs(3);
/// Parts of the names of runtimes whose first process is the container's program.
const PLAIN_HANDLERS: [&str; 4] = ["runc", "crun", "youki", "nvidia"];

/// A right that the kernel shows and the runtime denies.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Contradiction {
    name: String,
    severity: Severity,
    /// What the kernel says of the first process.
    kernel: String,
    /// What the runtime says.
    runtime: String,
}

/// What it knows.
#[derive(Debug, Default)]
pub(super) struct KernelWord {
    allowed: Vec<Selector>,
    pending: PendingFindings<WorkloadId, String>,
    reported: RollOuts,
}

impl KernelWord {
    pub(super) fn new(allowed: &[Selector]) -> Self {
        Self { allowed: allowed.to_vec(), ..Self::default() }
    }

    fn check(&mut self, context: Context<'_>, id: &WorkloadId, findings: &mut Findings) {
        let Some(workload) = placement::running(context.timeline, id) else { return };
        let Some((told, rights)) = workload.configuration.as_ref().zip(context.timeline.kernel().rights(workload))
        else {
            return;
        };
        if Selector::any(&self.allowed, workload) {
            return;
        }
        let found = contradictions(told, rights);
        let names: Vec<&str> = found.iter().map(|one| one.name.as_str()).collect();
        let cause = names.join(", ");
        self.pending.keep(id, |known| *known == cause);
        if found.is_empty() {
            return;
        }
        match self.pending.observe(id, cause, context.now, context.now.plus(SETTLE.get())) {
            Next::Report => {}
            Next::Schedule(at) => return findings.schedule(at),
            Next::Nothing => return,
        }
        let service = ServiceKey::of(workload);
        let Some(report) = self.reported.report(context.now, &service, id, &names) else { return };
        let found: Vec<&Contradiction> = found.iter().filter(|one| report.names.contains(&one.name)).collect();
        let Some(severity) = found.iter().map(|one| one.severity).max() else { return };
        let evidence = evidence(&service, rights, &found);
        let cause = format!("the kernel says {}", report.cause());
        let finding = Finding::of_workload(&META, context.now, workload, &cause, evidence);
        let is_hostile = severity >= Severity::High;
        findings.push(Finding {
            severity,
            is_hostile,
            roll_out: report.roll_out,
            is_change: true,
            stands: true,
            ..finding
        });
    }
}

impl Seen for KernelWord {
    fn on_fact(&mut self, context: Context<'_>, fact: &RecordedFact, findings: &mut Findings) {
        self.pending.follow(context.timeline, fact);
        self.reported.follow(context.timeline, fact);
        if let RecordedFact::Kernel(KernelFact::Rights(rights)) = fact {
            self.check(context, &rights.workload, findings);
        }
    }

    fn on_workload(&mut self, context: Context<'_>, workload: &Workload, findings: &mut Findings) {
        self.check(context, &workload.id, findings);
    }

    fn on_time(&mut self, context: Context<'_>, findings: &mut Findings) {
        for id in self.pending.ripe(context.now) {
            self.check(context, &id, findings);
        }
    }

    fn forgotten(&self) -> u64 {
        self.reported.refused()
    }
}

fn evidence(service: &ServiceKey, rights: &Arc<ProcessRights>, found: &[&Contradiction]) -> Vec<Evidence> {
    let text = format!("the service is {service}; its containers that are alike are one alert");
    let mut evidence = vec![Evidence::new("service", text)];
    evidence.extend(found.iter().map(|one| {
        let text = format!("the kernel says {}, although the runtime says {}", one.kernel, one.runtime);
        Evidence::new("kernel", text)
    }));
    let text = format!(
        "its first process is {} on the host (see /proc/{}/status); who made it gave it these rights, or they were raised since",
        rights.pid, rights.pid
    );
    evidence.push(Evidence::new("process", text));
    evidence
}

/// What the kernel shows beyond what was told, in order of importance.
fn contradictions(told: &Configuration, rights: &ProcessRights) -> Vec<Contradiction> {
    // Privileged is every right there is, and reported as that.
    let is_plain = told.handler.is_empty() || PLAIN_HANDLERS.iter().any(|part| told.handler.contains(part));
    if told.privileged || !is_plain {
        return Vec::new();
    }
    let mut all = if rights.own_users { Vec::new() } else { capabilities(told, rights) };
    if told.seccomp != Confinement::Unconfined && rights.seccomp == Some(SeccompMode::Off) {
        let runtime = match &told.seccomp {
            Confinement::Profile(name) => format!("that the profile {name} filters them"),
            _ => "that its default profile filters them".to_owned(),
        };
        let kernel = "that no system call of its first process is filtered (Seccomp is 0)".to_owned();
        all.push(Contradiction { name: "seccomp off".to_owned(), severity: Severity::Medium, kernel, runtime });
    }
    if told.no_new_privileges && rights.no_new_privileges == Some(false) {
        let kernel = "that its first process can gain rights by executing (NoNewPrivs is 0)".to_owned();
        let runtime = "that it cannot (no-new-privileges)".to_owned();
        all.push(Contradiction { name: "new privileges".to_owned(), severity: Severity::Medium, kernel, runtime });
    }
    all
}

/// Those of the runtimes' defaults are left out: which of them a runtime gives depends on its version and its own configuration.
fn capabilities(told: &Configuration, rights: &ProcessRights) -> Vec<Contradiction> {
    let Some(told) = &told.capabilities else { return Vec::new() };
    let is_more = |name: &&String| !told.contains(*name) && !DOCKER_DEFAULT.contains(&name.as_str());
    let more = rights.bounding.union(&rights.effective).filter(is_more);
    let mut all: Vec<Contradiction> = more.map(|name| contradiction(name)).collect();
    all.sort_by_key(|one| std::cmp::Reverse(one.severity));
    all
}

fn contradiction(name: &str) -> Contradiction {
    let known = DANGEROUS.iter().find(|(known, ..)| *known == name);
    let (severity, what) =
        known.map_or((Severity::Medium, String::new()), |(_, severity, what)| (*severity, format!(": {what}")));
    let name = name.trim_start_matches("CAP_");
    Contradiction {
        name: name.to_owned(),
        severity,
        kernel: format!("that its first process may have the capability {name}{what}"),
        runtime: "that it may not".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inventory::configuration::effective;

    fn told() -> Configuration {
        let capabilities = Some(effective(DOCKER_DEFAULT, &[], &["MKNOD".to_owned()], false));
        Configuration { capabilities, no_new_privileges: true, ..Configuration::default() }
    }

    fn shown(bounding: &[&str]) -> ProcessRights {
        ProcessRights {
            workload: WorkloadId::new("web"),
            pid: 1,
            start: 1,
            effective: [].into(),
            bounding: bounding.iter().map(|name| (*name).to_owned()).collect(),
            no_new_privileges: Some(true),
            seccomp: Some(SeccompMode::Filter),
            own_users: false,
        }
    }

    fn names(told: &Configuration, shown: &ProcessRights) -> Vec<String> {
        contradictions(told, shown).into_iter().map(|one| one.name).collect()
    }

    #[test]
    fn more_than_told_counts_and_less_does_not() {
        let more = ["CAP_NET_ADMIN", "CAP_CHOWN", "CAP_SYS_TIME", "CAP_SYS_ADMIN"];
        assert_eq!(names(&told(), &shown(&more)), ["SYS_ADMIN", "NET_ADMIN", "SYS_TIME"]);
        let held = ProcessRights { effective: ["CAP_BPF".to_owned()].into(), ..shown(&[]) };
        assert_eq!(names(&told(), &held), ["BPF"]);
        assert_eq!(names(&told(), &shown(&["CAP_MKNOD"])), [""; 0], "runtimes differ in their defaults");
        assert_eq!(names(&told(), &shown(&[])), [""; 0], "a program may give up what it has");
    }

    #[test]
    fn confinement_that_was_told_and_is_not_there_counts() {
        let open = ProcessRights { no_new_privileges: Some(false), seccomp: Some(SeccompMode::Off), ..shown(&[]) };
        assert_eq!(names(&told(), &open), ["seccomp off", "new privileges"]);
        let open_by_word = Configuration { no_new_privileges: false, seccomp: Confinement::Unconfined, ..told() };
        assert_eq!(names(&open_by_word, &open), [""; 0]);
        let unknown = ProcessRights { no_new_privileges: None, seccomp: None, ..shown(&[]) };
        assert_eq!(names(&told(), &unknown), [""; 0]);
    }

    #[test]
    fn a_full_set_among_its_own_users_and_a_machine_of_its_own_are_left_out() {
        let full = shown(&["CAP_SYS_ADMIN", "CAP_SYS_MODULE"]);
        assert_eq!(names(&told(), &ProcessRights { own_users: true, ..full.clone() }), [""; 0]);
        assert_eq!(names(&Configuration { privileged: true, ..told() }, &full), [""; 0]);
        for (handler, is_compared) in [("", true), ("runc", true), ("io.containerd.runc.v2", true), ("kata", false)] {
            let told = Configuration { handler: handler.to_owned(), ..told() };
            assert_eq!(!names(&told, &full).is_empty(), is_compared, "{handler}");
        }
    }
}
