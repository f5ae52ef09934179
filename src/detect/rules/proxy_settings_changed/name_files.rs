//! The files by which a container finds names, as they were and as they are.
//!
//! Contract: another resolver, another address of a fixed name, and a fixed name of the runtime's document that is gone are reported after [`SETTLE`], in which the runtime may
//! explain them: what a runtime writes there are the container's own addresses, those of containers by their names, and the resolvers and gateways of its
//! networks. What was reported or explained is what is compared from then on. Limits: [`MAX_CONTAINERS`]; beyond, a container is not compared and counted.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::sync::Arc;

use super::META;
use crate::detect::debounce::{Next, PendingFindings};
use crate::detect::told_and_seen::Seen;
use crate::detect::{Context, Finding, Findings, HoldTime, Severity, placement};
use crate::input::{
    HostsFile, InventoryEvent, KernelFact, NameFiles, NetworkMode, RecordedFact, ResolverFile, Workload, WorkloadId,
};
use crate::inventory::Timeline;
use crate::path::{Evidence, Selector};

/// How long it must stand: a runtime writes first and reports then.
const SETTLE: HoldTime = HoldTime::secs(3);
const MAX_CONTAINERS: usize = 16_384;
/// Names of one finding.
const MAX_NAMED: usize = 8;
/// Docker's own resolver in a container.
const DOCKERS: &str = "127.0.0.11";

/// What it knows.
#[derive(Debug)]
pub(super) struct NameFileChanges {
    allowed: Vec<Selector>,
    /// What is compared with.
    accepted: BTreeMap<WorkloadId, Arc<NameFiles>>,
    pending: PendingFindings<WorkloadId, &'static str>,
    forgotten: u64,
}

/// What nobody explains of a file.
struct Unexplained {
    cause: &'static str,
    severity: Severity,
    evidence: Vec<Evidence>,
}

impl NameFileChanges {
    pub(super) fn new(allowed: &[Selector]) -> Self {
        let allowed = allowed.to_vec();
        Self { allowed, accepted: BTreeMap::new(), pending: PendingFindings::default(), forgotten: 0 }
    }

    fn accept(&mut self, files: &Arc<NameFiles>) {
        let known = self.accepted.get(&files.workload).filter(|known| is_same(known, files));
        let files = known.map_or_else(|| Arc::clone(files), |known| with_unreadable(files, known));
        if self.accepted.len() < MAX_CONTAINERS || self.accepted.contains_key(&files.workload) {
            self.accepted.insert(files.workload.clone(), files);
        } else {
            self.forgotten += 1;
        }
    }

    fn check(&mut self, context: Context<'_>, id: &WorkloadId, findings: &mut Findings) {
        let Some(workload) = placement::running(context.timeline, id) else { return };
        let Some((now, before)) = context.timeline.kernel().names(workload).zip(self.accepted.get(id)) else { return };
        let now = Arc::clone(now);
        let found = unexplained(context.timeline, workload, before, &now);
        self.pending.keep(id, |known| found.iter().any(|one| one.cause == *known));
        let mut is_open = false;
        for one in found {
            match self.pending.observe(id, one.cause, context.now, context.now.plus(SETTLE.get())) {
                Next::Report if !Selector::any(&self.allowed, workload) => {
                    let finding = Finding::of_workload(&META, context.now, workload, one.cause, one.evidence);
                    findings.push(Finding { severity: one.severity, is_hostile: true, is_change: true, ..finding });
                }
                Next::Report => {}
                Next::Schedule(at) => {
                    is_open = true;
                    findings.schedule(at);
                }
                Next::Nothing => is_open |= self.pending.waits(id, &one.cause),
            }
        }
        if !is_open {
            self.pending.forget(id);
            self.accept(&now);
        }
    }
}

impl Seen for NameFileChanges {
    fn on_fact(&mut self, context: Context<'_>, fact: &RecordedFact, findings: &mut Findings) {
        match fact {
            RecordedFact::Kernel(KernelFact::Names(files)) => {
                if self.accepted.get(&files.workload).is_some_and(|known| is_same(known, files)) {
                    self.check(context, &files.workload, findings);
                } else {
                    self.accept(files);
                }
            }
            RecordedFact::Inventory(InventoryEvent::Stopped { id, .. }) => {
                self.accepted.remove(id);
                self.pending.forget(id);
            }
            RecordedFact::Inventory(InventoryEvent::Reconciled { .. }) => {
                self.accepted.retain(|id, _| context.timeline.is_running(id));
                self.pending.keep_subjects(|id| context.timeline.is_running(id));
            }
            _ => {}
        }
    }

    fn on_time(&mut self, context: Context<'_>, findings: &mut Findings) {
        for id in self.pending.ripe(context.now) {
            self.check(context, &id, findings);
        }
    }

    fn forgotten(&self) -> u64 {
        self.forgotten
    }
}

/// Whether they are of the same process.
fn is_same(one: &NameFiles, other: &NameFiles) -> bool {
    (one.pid, one.start) == (other.pid, other.start)
}

/// A file that cannot be read for a while is compared with what it said before.
fn with_unreadable(files: &Arc<NameFiles>, known: &NameFiles) -> Arc<NameFiles> {
    if files.resolver.is_some() && files.hosts.is_some() {
        return Arc::clone(files);
    }
    let (resolver, hosts) = (&files.resolver, &files.hosts);
    let resolver = resolver.clone().or_else(|| known.resolver.clone());
    let hosts = hosts.clone().or_else(|| known.hosts.clone());
    Arc::new(NameFiles { resolver, hosts, ..(**files).clone() })
}

fn unexplained(timeline: &Timeline, workload: &Workload, before: &NameFiles, now: &NameFiles) -> Vec<Unexplained> {
    let resolver = before.resolver.as_ref().zip(now.resolver.as_ref());
    let hosts = before.hosts.as_ref().zip(now.hosts.as_ref());
    let resolver = resolver.and_then(|(before, now)| resolvers(workload, before, now));
    let hosts = hosts.and_then(|(before, now)| names(timeline, workload, before, now));
    resolver.into_iter().chain(hosts).collect()
}

fn resolvers(workload: &Workload, before: &ResolverFile, now: &ResolverFile) -> Option<Unexplained> {
    let told = workload.configuration.iter().flat_map(|of| &of.dns);
    let gateways = workload.attachments.iter().flat_map(|of| &of.gateways).map(ToString::to_string);
    let known: Vec<String> = told.chain(&before.servers).cloned().chain(gateways).chain([DOCKERS.to_owned()]).collect();
    let is_grown = now.is_cut && !before.is_cut;
    if !is_grown && now.servers.iter().all(|server| known.contains(server)) {
        return None;
    }
    let list = |servers: &[String]| if servers.is_empty() { "none".to_owned() } else { servers.join(", ") };
    let text = format!(
        "name servers in its /etc/resolv.conf were {}, are {}; its runtime's document and its networks name no others",
        list(&before.servers),
        list(&now.servers)
    );
    let mut evidence = vec![Evidence::new("file", text)];
    if is_grown {
        evidence
            .push(Evidence::new("file", "it is longer than what is read of it: what stands behind that is not known"));
    }
    Some(Unexplained { cause: "its resolver file was changed", severity: Severity::High, evidence })
}

fn names(timeline: &Timeline, workload: &Workload, before: &HostsFile, now: &HostsFile) -> Option<Unexplained> {
    let had = |name: &str| before.names.get(name).map_or(&[][..], Vec::as_slice);
    let mut changed: Vec<String> = Vec::new();
    for (name, addresses) in now.names.iter().filter(|(name, _)| !is_usual(name)) {
        let is_new = |address: &&IpAddr| !had(name).contains(*address);
        if addresses.iter().filter(is_new).any(|address| !is_runtimes(timeline, workload, now, *address)) {
            changed.push(format!("{name} {}, is {}", was(had(name)), list(addresses)));
        }
    }
    let told = workload.configuration.iter().flat_map(|of| &of.extra_hosts);
    let told = told.filter_map(|entry| entry.split([':', '=']).next()).map(str::to_ascii_lowercase);
    let gone = told.filter(|name| !had(name).is_empty() && !now.names.contains_key(name));
    changed.extend(gone.map(|name| format!("{name} {}, has none", was(had(&name)))));
    if now.omitted > before.omitted {
        changed.push("it holds more than what is read of it: what stands behind that is not known".to_owned());
    }
    if changed.is_empty() {
        return None;
    }
    let more = changed.len().saturating_sub(MAX_NAMED);
    let mut evidence: Vec<Evidence> =
        changed.into_iter().take(MAX_NAMED).map(|text| Evidence::new("file", text)).collect();
    if more > 0 {
        evidence.push(Evidence::new("file", format!("and {more} more names")));
    }
    let text = "its /etc/hosts was written to; a runtime writes there the addresses of the container itself, of others by their names, and of gateways";
    evidence.push(Evidence::new("runtime", text));
    Some(Unexplained { cause: "its fixed names were changed", severity: Severity::Medium, evidence })
}

/// Names of this machine and of the host, which every file has.
fn is_usual(name: &str) -> bool {
    matches!(name, "localhost" | "host.docker.internal" | "host.containers.internal")
        || name.starts_with("ip6-")
        || name.starts_with("localhost.")
}

fn was(addresses: &[IpAddr]) -> String {
    if addresses.is_empty() { "had no fixed address".to_owned() } else { format!("was {}", list(addresses)) }
}

fn list(addresses: &[IpAddr]) -> String {
    addresses.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
}

/// Whether a runtime writes this address into the file of a container.
fn is_runtimes(timeline: &Timeline, workload: &Workload, now: &HostsFile, address: IpAddr) -> bool {
    // Containers in one network namespace share the file.
    let joined = match &workload.network_mode {
        NetworkMode::Container(id) => timeline.workload(id),
        _ => None,
    };
    let is_own = |one: &Workload| {
        let gateways = one.attachments.iter().flat_map(|of| &of.gateways).copied();
        one.addresses().chain(gateways).any(|own| own == address)
    };
    if is_own(workload) || joined.is_some_and(|joined| is_own(joined)) {
        return true;
    }
    // A link: the other container's address, under its name or id among others.
    timeline.running().filter(|other| other.addresses().any(|own| own == address)).any(|other| {
        let is_under = |name: &str| now.names.get(name).is_some_and(|addresses| addresses.contains(&address));
        is_under(&other.name.to_ascii_lowercase()) || is_under(other.id.short())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::testing::{Bench, at};

    fn files(servers: &[&str], names: &[(&str, &str)]) -> Arc<NameFiles> {
        let servers = servers.iter().map(|server| (*server).to_owned()).collect();
        let resolver = Some(ResolverFile { servers, ..ResolverFile::default() });
        let entry = |(name, address): &(&str, &str)| ((*name).to_owned(), vec![address.parse().expect("an address")]);
        let hosts = Some(HostsFile { names: names.iter().map(entry).collect(), omitted: 0 });
        Arc::new(NameFiles { workload: WorkloadId::new("app"), pid: 1, start: 1, resolver, hosts })
    }

    /// What is said of a file that was `before` and is `now`, at once and after a while.
    fn said(before: &Arc<NameFiles>, now: &Arc<NameFiles>) -> Vec<(String, Severity)> {
        let mut bench = Bench::new(&[("app", 10), ("db", 20)]);
        let mut rule = super::super::rule(&super::super::Params::default());
        for (millis, files) in [(1, before), (10_000, now)] {
            let fact = KernelFact::Names(Arc::clone(files));
            bench.timeline.apply_kernel(at(millis), &fact);
            assert!(bench.on_fact(&mut rule, at(millis), &RecordedFact::Kernel(fact)).is_empty(), "it waits");
        }
        bench.on_time(&mut rule, at(13_000)).into_iter().map(|one| (one.cause, one.severity)).collect()
    }

    #[test]
    fn another_resolver_and_another_address_of_a_name_are_reported() {
        let before = files(&["127.0.0.11"], &[("app", "172.20.0.10"), ("proxy", "172.20.0.5")]);
        let resolver = files(&["10.9.9.9"], &[("app", "172.20.0.10"), ("proxy", "172.20.0.5")]);
        assert_eq!(said(&before, &resolver), [("its resolver file was changed".to_owned(), Severity::High)]);
        for names in [[("app", "172.20.0.10"), ("proxy", "10.9.9.9")], [("proxy", "172.20.0.5"), ("logs", "127.0.0.1")]]
        {
            let hosts = files(&["127.0.0.11"], &names);
            assert_eq!(said(&before, &hosts), [("its fixed names were changed".to_owned(), Severity::Medium)]);
        }
        assert_eq!(said(&before, &files(&["8.8.8.8"], &[("x", "8.8.8.8")])).len(), 2);
    }

    #[test]
    fn decoys_and_a_file_that_cannot_be_read_for_a_while_hide_nothing() {
        let before = files(&["127.0.0.11"], &[("app", "172.20.0.10")]);
        let mut long = (*before).clone();
        long.hosts = long.hosts.map(|hosts| HostsFile { omitted: 1, ..hosts });
        long.resolver = long.resolver.map(|resolver| ResolverFile { is_cut: true, ..resolver });
        assert_eq!(said(&before, &Arc::new(long)).len(), 2);
        let unreadable = NameFiles { resolver: None, hosts: None, ..(*before).clone() };
        let known = with_unreadable(&Arc::new(unreadable), &before);
        assert_eq!(known, before);
    }

    #[test]
    fn what_a_runtime_writes_is_not() {
        let before = files(&["10.0.0.53"], &[("localhost", "127.0.0.1")]);
        for now in [
            files(&["127.0.0.11"], &[("localhost", "::1"), ("abc", "172.20.0.10")]),
            files(&["10.0.0.53"], &[("db", "172.20.0.20"), ("alias", "172.20.0.20")]),
            files(&[], &[]),
        ] {
            assert!(said(&before, &now).is_empty(), "{now:?}");
        }
        let other = files(&["10.0.0.53"], &[("alias", "172.20.0.20")]);
        assert_eq!(said(&before, &other).len(), 1, "another container's address without its name");
    }
}
