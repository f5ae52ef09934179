//! What a run needs, so that everything else can be given up; and the roles of its threads.
//!
//! Contract: paths are of this process's own view and exist; what does not is left out, and so not allowed later either.

use std::path::{Path, PathBuf};

use caps::Capability;

/// What a thread is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// The engine, sinks, evidence, the recorder, the log: no capability, no raw socket; writes what the configuration names.
    Plain,
    /// Opens taps on interfaces.
    Taps,
    /// Asks the runtimes, serves HTTP, reloads.
    Sockets,
    /// Reads the host's logs and firewall, with programs of the host.
    Helpers,
    /// Looks at other processes and into their namespaces, and reads files whose place is not known at the start; writes nothing and runs nothing.
    Watch,
}

impl Role {
    /// Those that a parent is needed for.
    pub(super) const BORN: [Self; 4] = [Self::Taps, Self::Sockets, Self::Helpers, Self::Watch];

    /// The capabilities that it needs.
    pub(super) fn capabilities(self, plan: &Plan) -> Vec<Capability> {
        use Capability as C;
        match self {
            Self::Plain => plan.rights.plain.clone(),
            Self::Taps => vec![C::CAP_NET_RAW, C::CAP_NET_ADMIN],
            Self::Sockets => plan.rights.sockets.clone(),
            Self::Helpers => vec![C::CAP_NET_RAW, C::CAP_NET_ADMIN, C::CAP_DAC_READ_SEARCH, C::CAP_AUDIT_READ],
            Self::Watch => {
                let inside = plan.inside.then_some(C::CAP_NET_RAW);
                let always = [C::CAP_NET_ADMIN, C::CAP_SYS_PTRACE, C::CAP_SYS_ADMIN, C::CAP_DAC_READ_SEARCH];
                always.into_iter().chain([C::CAP_AUDIT_CONTROL]).chain(inside).collect()
            }
        }
    }
}

/// What a run needs.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// Folders in which files are made, replaced and removed; real paths.
    pub writable: Vec<PathBuf>,
    /// What programs that are run read beside the usual.
    pub helpers_read: Vec<PathBuf>,
    /// Programs that may be run; real paths.
    pub programs: Vec<PathBuf>,
    /// The port that is listened on.
    pub listen: Option<u16>,
    /// Packets are captured inside of namespaces.
    pub inside: bool,
    /// A terminal is drawn on.
    pub terminal: bool,
    /// The supervisor listens at an abstract socket, outside of every domain.
    pub abstract_sockets: bool,
    /// Capabilities of each role.
    pub rights: Rights,
}

/// Capabilities of the roles that may differ from run to run.
#[derive(Clone, Debug, Default)]
pub struct Rights {
    /// Of all that have no other role.
    pub plain: Vec<Capability>,
    /// Of who asks the runtimes and serves HTTP.
    pub sockets: Vec<Capability>,
}

impl Plan {
    /// Allows to write in a folder, if it is there.
    pub fn write_in(&mut self, folder: &Path) -> bool {
        let real = folder.canonicalize().ok().filter(|real| real.is_dir());
        let is_there = real.is_some();
        self.writable.extend(real);
        is_there
    }

    /// Allows to run the first of these that is there.
    pub fn run_one_of(&mut self, candidates: impl IntoIterator<Item = PathBuf>) {
        let real = candidates.into_iter().find_map(|path| path.canonicalize().ok().filter(|real| real.is_file()));
        self.programs.extend(real);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_there_is_not_allowed_and_a_link_is_what_it_leads_to() {
        let folder = tempfile::tempdir().expect("a folder");
        let real = folder.path().canonicalize().expect("real");
        std::os::unix::fs::symlink(folder.path(), real.join("link")).expect("a link");
        let mut plan = Plan::default();
        assert!(!plan.write_in(&real.join("none")));
        assert!(plan.write_in(&real.join("link")));
        assert_eq!(plan.writable, [real.as_path()]);
        plan.run_one_of([real.clone(), real.join("none")]);
        assert!(plan.programs.is_empty(), "a folder is no program");
    }
}
