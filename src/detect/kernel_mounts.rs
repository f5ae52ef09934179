//! What the kernel shows mounted in a container that its runtime did not mount.
//!
//! Contract: a file of the runtime that is unmounted, and mounts that come beyond what is read, are reported; a mount over a watched place is reported once a container when it came after the first look and the runtime's document does not name it; one that
//! was there at the first look, when the document is known and names nothing at or above its path. What runtimes mount of their own is left out. It must stand for [`SETTLE`]:
//! kernel and runtime report in any order. Limits: those of [`PendingFindings`].
//! Design: a rule names its places; a mount that covers places of several rules is the first one's that is asked, by [`Place`].

use std::collections::BTreeMap;

use super::debounce::{Next, PendingFindings};
use super::told_and_seen::Seen;
use super::{Context, Finding, Findings, HoldTime, RuleMeta, Severity, placement};
use crate::input::{KernelFact, KernelMount, Mount, RecordedFact, Workload, WorkloadId};
use crate::inventory::SeenMounts;
use crate::inventory::mount_places::{Place, covered, is_at_or_below};
use crate::path::{Evidence, Selector};

/// How long it must stand.
const SETTLE: HoldTime = HoldTime::secs(1);
/// Files that every runtime mounts once in every container.
const OWN_FILES: [&str; 3] = ["/etc/resolv.conf", "/etc/hosts", "/etc/hostname"];
/// A tmpfs that Podman mounts where systemd is the container's program.
const OWN_TMPFS: &str = "/var/log/journal";

/// A mount that the runtime did not report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Untold<'a> {
    mount: &'a KernelMount,
    place: Place,
    /// It came after the first look.
    is_later: bool,
}

/// What a rule knows of such mounts.
#[derive(Debug)]
pub(super) struct KernelMounts {
    rule: &'static RuleMeta,
    is_own: fn(&[Place]) -> bool,
    allowed: Vec<Selector>,
    pending: PendingFindings<WorkloadId, String>,
}

impl KernelMounts {
    /// Of a rule; `is_own` says whether a mount that covers these places is the rule's.
    pub(super) fn new(rule: &'static RuleMeta, is_own: fn(&[Place]) -> bool, allowed: &[Selector]) -> Self {
        Self { rule, is_own, allowed: allowed.to_vec(), pending: PendingFindings::default() }
    }

    fn check(&mut self, context: Context<'_>, id: &WorkloadId, findings: &mut Findings) {
        let Some(workload) = placement::running(context.timeline, id) else { return };
        let Some(seen) = context.timeline.kernel().mounts(workload) else { return };
        if Selector::any(&self.allowed, workload) {
            return;
        }
        let found = unexplained(workload, seen, self.is_own);
        self.pending.keep(id, |known| found.iter().any(|one| one.cause == *known));
        for one in found {
            let until = context.now.plus(SETTLE.get());
            match self.pending.observe(id, one.cause.clone(), context.now, until) {
                Next::Report => {
                    let finding = Finding::of_workload(self.rule, context.now, workload, &one.cause, one.evidence);
                    let severity = if one.is_later { Severity::High } else { Severity::Medium };
                    let (is_hostile, is_change) = (one.is_later, one.is_later);
                    findings.push(Finding { severity, is_hostile, is_change, stands: true, ..finding });
                }
                Next::Schedule(at) => findings.schedule(at),
                Next::Nothing => {}
            }
        }
    }
}

/// Something about its mounts that no runtime does, or did.
struct Unexplained {
    cause: String,
    is_later: bool,
    evidence: Vec<Evidence>,
}

/// What there is to say: mounts that were not told, files of every container that were unmounted, and mounts that are not read.
fn unexplained(workload: &Workload, seen: &SeenMounts, is_own: fn(&[Place]) -> bool) -> Vec<Unexplained> {
    let covers = |one: Untold<'_>| {
        let (cause, evidence) = (format!("mounted over {}", one.mount.target), evidence(&one, seen));
        Unexplained { cause, is_later: one.is_later, evidence }
    };
    let later = |(cause, text): (String, String)| {
        let evidence = vec![Evidence::new("kernel", text), process(seen)];
        Unexplained { cause, is_later: true, evidence }
    };
    let others = unmounted(seen, is_own).chain(unread(workload, seen, is_own)).map(later);
    untold(workload, seen, is_own).into_iter().map(covers).chain(others).collect()
}

/// Files of the runtime that are no longer mounted: what is written at their path then reaches no copy on the host.
fn unmounted(seen: &SeenMounts, is_own: fn(&[Place]) -> bool) -> impl Iterator<Item = (String, String)> + '_ {
    let is_at = |mounts: &[KernelMount], path: &str| mounts.iter().any(|mount| mount.target == path);
    // Of more mounts than are read the oldest are left out.
    let is_gone = move |path: &&&str| {
        seen.now.omitted == 0
            && is_own(&covered(path))
            && is_at(&seen.first.mounts, path)
            && !is_at(&seen.now.mounts, path)
    };
    OWN_FILES.iter().filter(is_gone).map(|path| {
        let text =
            format!("{path} was mounted in it by its runtime and is not mounted any longer, which no runtime does");
        (format!("unmounted {path}"), text)
    })
}

/// Mounts that came and are not read, where none come from the host by themselves.
fn unread(workload: &Workload, seen: &SeenMounts, is_own: fn(&[Place]) -> bool) -> Option<(String, String)> {
    let more = seen.now.omitted.saturating_sub(seen.first.omitted);
    let told = workload.configuration.iter().flat_map(|of| &of.mounts);
    let is_wanted = more > 0 && is_own(&[Place::Logs]) && !told.into_iter().any(comes_from_host);
    is_wanted.then(|| {
        let text = format!(
            "{more} mounts more than are read were made while it ran: what is mounted over its logs, certificates and resolver is not known"
        );
        ("mounted more than is read".to_owned(), text)
    })
}

impl Seen for KernelMounts {
    fn on_fact(&mut self, context: Context<'_>, fact: &RecordedFact, findings: &mut Findings) {
        self.pending.follow(context.timeline, fact);
        if let RecordedFact::Kernel(KernelFact::Mounts(mounts)) = fact {
            self.check(context, &mounts.workload, findings);
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
}

fn evidence(one: &Untold<'_>, seen: &SeenMounts) -> Vec<Evidence> {
    let Untold { mount, place, is_later } = one;
    let KernelMount { target, kind, source, root, .. } = mount;
    let text =
        format!("the kernel shows {kind} ({source}, {root} of it) mounted over {target} in it: {}", place.what());
    let when = if *is_later {
        "it was mounted while the container ran, which no runtime does: by a process with CAP_SYS_ADMIN inside, or from the host (nsenter)"
    } else {
        "it was there when hopwatch first looked; no mount at or above it is in the runtime's document"
    };
    vec![Evidence::new("kernel", text), Evidence::new("runtime", when), process(seen)]
}

fn process(seen: &SeenMounts) -> Evidence {
    let pid = seen.now.pid;
    Evidence::new("process", format!("its first process is {pid} on the host (see /proc/{pid}/mountinfo)"))
}

/// The mounts that are a rule's, in the kernel's order, of several alike the first.
fn untold<'a>(workload: &Workload, seen: &'a SeenMounts, is_own: fn(&[Place]) -> bool) -> Vec<Untold<'a>> {
    let mut times: BTreeMap<(&str, &str, &str, &str), usize> = BTreeMap::new();
    let mut at_target: BTreeMap<&str, usize> = BTreeMap::new();
    let mut all: Vec<Untold<'_>> = Vec::new();
    for mount in &seen.now.mounts {
        let key = (&*mount.target, &*mount.kind, &*mount.source, &*mount.root);
        let nth = *times.entry(key).and_modify(|times| *times += 1).or_insert(1);
        let layer = *at_target.entry(&*mount.target).and_modify(|times| *times += 1).or_insert(1);
        let is_later = seen.first.mounts.iter().filter(|first| is_alike(first, mount)).count() < nth;
        let places = covered(&mount.target);
        let Some(place) = places.last().copied().filter(|_| is_own(&places)) else { continue };
        let is_told = if is_later { propagates(workload, mount) } else { is_runtimes(workload, seen, mount, layer) };
        if !is_told && all.iter().all(|one| one.mount.target != mount.target) {
            all.push(Untold { mount, place, is_later });
        }
    }
    all
}

/// Its number apart, which is another one when it is mounted again.
fn is_alike(one: &KernelMount, other: &KernelMount) -> bool {
    (&one.target, &one.kind, &one.source, &one.root) == (&other.target, &other.kind, &other.source, &other.root)
}

fn told<'a>(workload: &'a Workload, mount: &KernelMount) -> impl Iterator<Item = &'a Mount> {
    let configuration = workload.configuration.as_ref();
    let target = mount.target.clone();
    configuration.into_iter().flat_map(|of| &of.mounts).filter(move |told| is_at_or_below(&target, &told.target))
}

/// What the host mounts below a folder that it shares appears in the container.
fn propagates(workload: &Workload, mount: &KernelMount) -> bool {
    told(workload, mount).any(|told| told.target != mount.target && comes_from_host(told))
}

/// Whether what the host mounts below it appears in the container.
fn comes_from_host(told: &Mount) -> bool {
    told.propagation.ends_with("slave") || told.propagation.ends_with("shared")
}

/// Whether a mount of the first look is the runtime's doing; `layer`: it is the first, the second … at its path.
fn is_runtimes(workload: &Workload, seen: &SeenMounts, mount: &KernelMount, layer: usize) -> bool {
    let is_own_file = layer == 1 && OWN_FILES.contains(&&*mount.target);
    let is_own_tmpfs = mount.kind == "tmpfs" && mount.target == OWN_TMPFS;
    let Some(configuration) = &workload.configuration else { return true };
    let is_linked = || configuration.mounts.iter().any(|told| is_behind_link(told, seen, mount));
    is_own_file || is_own_tmpfs || told(workload, mount).next().is_some() || is_linked()
}

/// Whether a mount of the document is this one, at the place that a link of the image leads to: `/etc/ssl/certs` is one in many.
fn is_behind_link(told: &Mount, seen: &SeenMounts, mount: &KernelMount) -> bool {
    if seen.first.mounts.iter().any(|first| first.target == told.target) {
        return false;
    }
    match told.kind.as_str() {
        "tmpfs" => mount.kind == "tmpfs",
        "volume" => !told.source.is_empty() && mount.root.split('/').any(|part| part == told.source),
        _ => mount.root.len() > 1 && told.source.ends_with(&mount.root),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::detect::testing::workload;
    use crate::input::{Configuration, ProcessMounts};

    fn mount(target: &str, kind: &str, root: &str) -> KernelMount {
        KernelMount { id: 1, target: target.into(), kind: kind.into(), source: "x".into(), root: root.into() }
    }

    fn seen(first: &[KernelMount], now: &[KernelMount]) -> SeenMounts {
        let of = |mounts: &[KernelMount]| {
            let workload = WorkloadId::new("web");
            Arc::new(ProcessMounts { workload, pid: 1, start: 1, mounts: mounts.to_vec(), omitted: 0 })
        };
        SeenMounts { first: of(first), now: of(now) }
    }

    /// A container with these mounts by its runtime's word: target and propagation.
    fn with(told: &[(&str, &str)]) -> Workload {
        let mount = |(target, propagation): &(&str, &str)| Mount {
            target: (*target).to_owned(),
            kind: "bind".into(),
            propagation: (*propagation).to_owned(),
            ..Mount::default()
        };
        let configuration = Configuration { mounts: told.iter().map(mount).collect(), ..Configuration::default() };
        Workload { configuration: Some(Arc::new(configuration)), ..workload("web", 10) }
    }

    fn found(told: &[(&str, &str)], first: &[KernelMount], now: &[KernelMount]) -> Vec<(String, bool)> {
        let seen = seen(first, now);
        let all = untold(&with(told), &seen, |places| !places.is_empty());
        all.iter().map(|one| (one.mount.target.clone(), one.is_later)).collect()
    }

    #[test]
    fn what_the_runtime_mounts_of_its_own_is_left_out() {
        let own = [
            mount("/etc/resolv.conf", "ext4", "/c/resolv.conf"),
            mount("/etc/hosts", "ext4", "/c/hosts"),
            mount("/var/log/journal", "tmpfs", "/"),
            mount("/var/log/app", "ext4", "/srv/logs"),
        ];
        assert!(found(&[("/var/log/app", "rprivate")], &own, &own).is_empty());
        let folder = [mount("/etc/ssl/certs/own", "ext4", "/x")];
        assert!(found(&[("/etc/ssl", "rprivate")], &folder, &folder).is_empty(), "what is below a bind comes with it");
    }

    #[test]
    fn a_file_of_the_runtime_that_is_unmounted_counts_and_one_that_is_not_read_does_not() {
        let both = [mount("/etc/hosts", "ext4", "/c/hosts"), mount("/etc/resolv.conf", "ext4", "/c/resolv.conf")];
        let causes = |seen: &SeenMounts, told: &[(&str, &str)]| {
            unexplained(&with(told), seen, |_| true).into_iter().map(|one| one.cause).collect::<Vec<_>>()
        };
        assert_eq!(causes(&seen(&both, &both[1..]), &[]), ["unmounted /etc/hosts"]);
        let mut crowded = seen(&both, &both[1..]);
        crowded.now = Arc::new(ProcessMounts { omitted: 3, ..(*crowded.now).clone() });
        assert_eq!(causes(&crowded, &[]), ["mounted more than is read"]);
        assert!(causes(&crowded, &[("/host", "rslave")]).is_empty(), "the host mounts there");
    }

    #[test]
    fn what_was_there_at_the_first_look_and_is_in_no_document_counts() {
        let both = [mount("/etc/hosts", "ext4", "/c/hosts"), mount("/etc/hosts", "tmpfs", "/")];
        assert_eq!(found(&[], &both, &both), [("/etc/hosts".to_owned(), false)]);
        let logs = [mount("/var/log", "tmpfs", "/")];
        assert_eq!(found(&[], &logs, &logs), [("/var/log".to_owned(), false)]);
        let unknown = workload("web", 10);
        assert!(untold(&unknown, &seen(&logs, &logs), |_| true).is_empty(), "nothing is known of its document");
    }

    #[test]
    fn a_mount_that_a_link_of_the_image_leads_elsewhere_is_the_runtimes() {
        let there = [mount("/etc/pki/tls/certs", "ext4", "/srv/x")];
        let mut told = with(&[("/etc/ssl/certs", "rprivate")]);
        let of = |told: &Workload| untold(told, &seen(&there, &there), |_| true).len();
        assert_eq!(of(&told), 1, "it has another source");
        let mut configuration = told.configuration.as_deref().cloned().unwrap_or_default();
        configuration.mounts.iter_mut().for_each(|mount| mount.source = "/data/srv/x".into());
        told.configuration = Some(Arc::new(configuration));
        assert_eq!(of(&told), 0);
    }

    #[test]
    fn what_comes_later_counts_although_its_path_was_told() {
        let (told, first) = ([("/var/log", "rprivate")], [mount("/var/log", "ext4", "/srv/logs")]);
        let twice = [mount("/var/log", "ext4", "/srv/logs"), mount("/var/log", "ext4", "/srv/logs")];
        for later in
            [&[first[0].clone(), mount("/var/log", "tmpfs", "/")][..], &twice, &[mount("/var/log", "tmpfs", "/")]]
        {
            assert_eq!(found(&told, &first, later), [("/var/log".to_owned(), true)], "{later:?}");
        }
        let again = [KernelMount { id: 9, ..first[0].clone() }];
        assert!(found(&told, &first, &again).is_empty(), "the same under another number");
    }

    #[test]
    fn what_the_host_mounts_below_a_folder_that_it_shares_is_left_out() {
        let later = [mount("/var/log/pods", "ext4", "/pods")];
        assert!(found(&[("/var/log", "rslave")], &[], &later).is_empty());
        assert_eq!(found(&[("/var/log", "rprivate")], &[], &later).len(), 1);
    }
}
