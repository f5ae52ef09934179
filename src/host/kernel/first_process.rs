//! A workload's first process: what it may do, what is mounted for it, and what the files say by which it finds names.
//!
//! Contract: looked at when its workload is, once more [`SETTLE`] later (a runtime's own process is there for a moment before the program is), and then
//! every [`PERIOD`]; told when it is new and when it has changed. A process that is another one by then is not told. Limits: those of [`mounts`] and [`name_files`].
//! Design: three files and two links of `/proc` a look, and the metadata of two files; they are parsed only when they are others than before.

use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::{self, Read as _};
use std::sync::Arc;
use std::time::Duration;

use super::mounts;
use super::name_files::{self, Watched};
use super::proc::{self, Unseen};
use super::rights::Status;
use crate::input::{HostsFile, KernelFact, NameFiles, ProcessMounts, ProcessRights, ResolverFile, WorkloadId};
use crate::time::Timestamp;

/// Between two looks at one process, or longer where there are very many.
const PERIOD: Duration = Duration::from_secs(5);
/// The second look comes so soon.
const SETTLE: Duration = Duration::from_secs(1);

/// Whether a place in a container matters to who watches it.
pub(super) type Matters = fn(&str) -> bool;

/// Which process, and of whom.
#[derive(Clone, Copy, Debug)]
pub(super) struct Whose<'a> {
    pub(super) workload: &'a WorkloadId,
    pub(super) pid: u32,
    pub(super) start: u64,
}

/// What was reported of one.
#[derive(Debug)]
pub(super) struct FirstProcess {
    due: Option<Timestamp>,
    rights: Option<ProcessRights>,
    /// Of the whole file.
    mounts_hash: Option<u64>,
    mounts: Option<ProcessMounts>,
    resolver: Watched<ResolverFile>,
    hosts: Watched<HostsFile>,
    names: Option<NameFiles>,
}

impl Default for FirstProcess {
    fn default() -> Self {
        let (resolver, hosts) = (Watched::new(name_files::resolver), Watched::new(name_files::hosts));
        Self { due: None, rights: None, mounts_hash: None, mounts: None, resolver, hosts, names: None }
    }
}

impl FirstProcess {
    /// Where the host's copies of its files are.
    pub(super) fn place_files(&mut self, resolver: Option<&str>, hosts: Option<&str>) {
        self.resolver.place(resolver);
        self.hosts.place(hosts);
    }

    /// Whether it was never looked at.
    pub(super) const fn is_new(&self) -> bool {
        self.due.is_none()
    }

    /// Whether it is time; clocks may be set back.
    pub(super) fn is_due(&self, at: Timestamp) -> bool {
        self.due.is_none_or(|due| due <= at || due.since(at) > PERIOD)
    }

    /// Looks at it.
    pub(super) fn look(
        &mut self,
        at: Timestamp,
        whose: Whose<'_>,
        matters: Matters,
        facts: &mut Vec<KernelFact>,
    ) -> Result<(), Unseen> {
        self.due = Some(at.plus(if self.is_new() { SETTLE } else { PERIOD }));
        let unseen = |error: io::Error| Unseen::of(&error, whose.pid);
        let rights = rights(whose).map_err(unseen)?;
        let (text, is_cut) = read_mounts(whose.pid).map_err(unseen)?;
        // Read after these: the number was not given to another process in between.
        if proc::stat(whose.pid).is_none_or(|stat| stat.start != whose.start || stat.zombie) {
            return Err(Unseen::Gone);
        }
        if let Some(rights) = rights.filter(|rights| self.rights.as_ref() != Some(rights)) {
            facts.push(KernelFact::Rights(Arc::new(rights.clone())));
            self.rights = Some(rights);
        }
        self.look_at_mounts(whose, (&text, is_cut), matters, facts);
        self.look_at_names(whose, facts);
        Ok(())
    }

    fn look_at_mounts(
        &mut self,
        whose: Whose<'_>,
        (text, is_cut): (&str, bool),
        matters: Matters,
        facts: &mut Vec<KernelFact>,
    ) {
        let mut hasher = DefaultHasher::new();
        text.hash(&mut hasher);
        let hash = Some(hasher.finish());
        if self.mounts_hash == hash {
            return;
        }
        self.mounts_hash = hash;
        let (mounts, omitted) = mounts::parse(text, is_cut, matters);
        let Whose { workload, pid, start } = whose;
        let now = ProcessMounts { workload: workload.clone(), pid, start, mounts, omitted };
        if self.mounts.as_ref() != Some(&now) {
            facts.push(KernelFact::Mounts(Arc::new(now.clone())));
            self.mounts = Some(now);
        }
    }
}

impl FirstProcess {
    fn look_at_names(&mut self, Whose { workload, pid, start }: Whose<'_>, facts: &mut Vec<KernelFact>) {
        let (resolver, hosts) = (self.resolver.read(), self.hosts.read());
        let before = self.names.as_ref();
        let is_same = before.map_or(resolver.is_none() && hosts.is_none(), |before| {
            (before.resolver.as_ref(), before.hosts.as_ref()) == (resolver, hosts)
        });
        if !is_same {
            let (resolver, hosts) = (resolver.cloned(), hosts.cloned());
            let now = NameFiles { workload: workload.clone(), pid, start, resolver, hosts };
            facts.push(KernelFact::Names(Arc::new(now.clone())));
            self.names = Some(now);
        }
    }
}

/// `None` where the kernel does not show them.
fn rights(whose: Whose<'_>) -> io::Result<Option<ProcessRights>> {
    let Whose { workload, pid, start } = whose;
    let users = fs::read_link(proc::path(pid, "ns/user"))?;
    let own_users = fs::read_link("/proc/thread-self/ns/user").is_ok_and(|own| own != users);
    let status = Status::parse(&proc::read(&proc::path(pid, "status"))?);
    Ok(status.map(|Status { effective, bounding, no_new_privileges, seccomp }| ProcessRights {
        workload: workload.clone(),
        pid,
        start,
        effective,
        bounding,
        no_new_privileges,
        seccomp,
        own_users,
    }))
}

/// The file, and whether it was cut.
fn read_mounts(pid: u32) -> io::Result<(String, bool)> {
    let mut bytes = Vec::new();
    let read = File::open(proc::path(pid, "mountinfo"))?.take(mounts::MAX_BYTES).read_to_end(&mut bytes)?;
    Ok((String::from_utf8_lossy(&bytes).into_owned(), u64::try_from(read).is_ok_and(|read| read >= mounts::MAX_BYTES)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_secs(1000 + seconds)
    }

    fn whose(workload: &WorkloadId) -> Whose<'_> {
        let pid = std::process::id();
        Whose { workload, pid, start: proc::stat(pid).expect("it runs").start }
    }

    #[test]
    fn the_own_process_is_told_once_and_looked_at_again_at_its_time() {
        let (id, mut first, mut facts) = (WorkloadId::new("self"), FirstProcess::default(), Vec::new());
        assert!(first.is_new() && first.is_due(at(0)));
        first.look(at(0), whose(&id), |target| target == "/", &mut facts).expect("it runs");
        assert!(!first.is_due(at(0)) && first.is_due(at(1)) && first.is_due(at(-900)), "a clock may be set back");
        first.look(at(1), whose(&id), |target| target == "/", &mut facts).expect("it runs");
        assert!(!first.is_due(at(5)) && first.is_due(at(6)));
        let [KernelFact::Rights(rights), KernelFact::Mounts(mounts)] = &facts[..] else { panic!("{facts:?}") };
        assert!(!rights.own_users && rights.seccomp.is_some(), "{rights:?}");
        assert!(mounts.mounts.iter().all(|mount| mount.target == "/") && !mounts.mounts.is_empty(), "{mounts:?}");
    }

    #[test]
    fn another_process_under_the_same_number_is_not_told() {
        let (id, mut first, mut facts) = (WorkloadId::new("self"), FirstProcess::default(), Vec::new());
        let other = Whose { start: 1, ..whose(&id) };
        assert_eq!(first.look(at(0), other, |_| true, &mut facts), Err(Unseen::Gone));
        let nobody = Whose { pid: u32::MAX, ..whose(&id) };
        assert_eq!(first.look(at(0), nobody, |_| true, &mut facts), Err(Unseen::Gone));
        assert!(facts.is_empty());
    }
}
