//! Which container runtimes there are on this host, and where they listen.
//!
//! Contract: configured sockets first, then what `DOCKER_HOST`, `CONTAINER_HOST` and `CONTAINER_RUNTIME_ENDPOINT` say, then the
//! usual paths where a socket exists, then those of users. A daemon is named once, however many paths lead to it; a name,
//! once given, stays with its socket. Limits: [`MAX_RUNTIMES`] at once, [`MAX_USERS`] users; what is beyond is left out.
//! Design: asked again and again, because daemons come and go; a path in a user's folder counts only as a socket of that very user,
//! since the folder's owner could lead it anywhere.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::Metadata;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use crate::input::{MAX_RUNTIMES, RuntimeId, RuntimeKind};

/// Folders below `/run/user` that are looked into.
const MAX_USERS: usize = 64;

impl RuntimeKind {
    /// The variable that names its socket.
    const fn variable(self) -> Option<&'static str> {
        match self {
            Self::Docker => Some("DOCKER_HOST"),
            Self::Podman => Some("CONTAINER_HOST"),
            Self::Containerd => None,
            Self::Cri => Some("CONTAINER_RUNTIME_ENDPOINT"),
        }
    }

    /// Where root's daemon listens, below the root folder.
    const fn usual(self) -> &'static [&'static str] {
        match self {
            Self::Docker => &["var/run/docker.sock"],
            Self::Podman => &["run/podman/podman.sock"],
            Self::Containerd => &["run/containerd/containerd.sock"],
            Self::Cri => &["run/crio/crio.sock", "run/containerd/containerd.sock"],
        }
    }

    /// Where a user's daemon listens, below the user's folder.
    const fn of_users(self) -> Option<&'static str> {
        match self {
            Self::Docker => Some("docker.sock"),
            Self::Podman => Some("podman/podman.sock"),
            Self::Containerd | Self::Cri => None,
        }
    }
}

/// A runtime to be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Runtime {
    /// The name under which it is reported: `docker`, `podman`, `podman-1000`.
    pub name: RuntimeId,
    /// `unix:///run/podman/podman.sock`, or a bare path.
    pub host: String,
    /// Named by the configuration or a variable: it is missed when it is not there.
    pub configured: bool,
    /// Whose it must be, when it was found in a user's folder.
    pub user: Option<u32>,
    /// Namespaces of a containerd that another runtime of the list reports.
    pub others: Vec<&'static str>,
}

impl Runtime {
    /// Which API it speaks.
    pub const fn kind(&self) -> RuntimeKind {
        self.name.kind()
    }
}

/// What the configuration says of runtimes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sought {
    /// Whether variables and usual paths are looked at, beside the sockets given here.
    pub discover: bool,
    /// Sockets, by kind.
    pub sockets: BTreeMap<RuntimeKind, Vec<String>>,
}

/// Where to look.
#[derive(Clone, Debug)]
pub struct Places {
    /// The root folder.
    pub root: PathBuf,
    /// Variables of the environment.
    pub environment: BTreeMap<String, String>,
}

impl Places {
    /// This host, and this process's environment.
    pub fn here() -> Self {
        Self { root: PathBuf::from("/"), environment: std::env::vars().collect() }
    }
}

/// A place at which a runtime may listen.
struct Candidate {
    kind: RuntimeKind,
    host: String,
    configured: bool,
    user: Option<u32>,
}

/// Looks for runtimes.
#[derive(Debug)]
pub struct Discovery {
    sought: Sought,
    places: Places,
    names: BTreeMap<(RuntimeKind, String), RuntimeId>,
}

impl Discovery {
    /// Nothing is looked at yet.
    pub const fn new(sought: Sought, places: Places) -> Self {
        Self { sought, places, names: BTreeMap::new() }
    }

    /// The runtimes that are there now, and the configured ones, in a fixed order.
    pub fn look(&mut self) -> Vec<Runtime> {
        let mut seen = BTreeSet::new();
        let mut found: Vec<Runtime> = Vec::new();
        for candidate in self.candidates() {
            let path = path_of(&candidate.host);
            let file = path.and_then(|path| path.metadata().ok());
            let kind = path.map_or(candidate.kind, |path| true_kind(candidate.kind, path));
            let identity = file.as_ref().map(|file| (family(kind), file.dev(), file.ino()));
            let same_host =
                found.iter().any(|other| other.host == candidate.host && family(other.kind()) == family(kind));
            if same_host || identity.is_some_and(|identity| !seen.insert(identity)) {
                continue;
            }
            let owner = candidate.user.or_else(|| user_of(&candidate.host, file.as_ref()));
            let Some(name) = self.name(kind, &candidate.host, owner) else { continue };
            let Candidate { host, configured, user, .. } = candidate;
            found.push(Runtime { name, host, configured, user, others: Vec::new() });
        }
        found.truncate(MAX_RUNTIMES);
        leave_to_others(&mut found);
        found
    }

    fn candidates(&self) -> Vec<Candidate> {
        let mut all: Vec<Candidate> = RuntimeKind::ALL.into_iter().flat_map(|kind| self.of_root(kind)).collect();
        if self.sought.discover {
            let users = self.users();
            for kind in RuntimeKind::ALL {
                all.extend(users.iter().filter_map(|user| self.of_user(kind, *user)));
            }
            all.extend(self.own());
        }
        all
    }

    /// Configured, or named by its variable, or at a usual path.
    fn of_root(&self, kind: RuntimeKind) -> Vec<Candidate> {
        let candidate = |host: &str, configured| Candidate { kind, host: host.to_owned(), configured, user: None };
        let configured = self.sought.sockets.get(&kind).map(Vec::as_slice).unwrap_or_default();
        if !configured.is_empty() {
            return configured.iter().map(|host| candidate(host, true)).collect();
        }
        if !self.sought.discover {
            return Vec::new();
        }
        let named = kind.variable().and_then(|name| self.places.environment.get(name)).filter(|host| !host.is_empty());
        if let Some(host) = named {
            return vec![candidate(host, true)];
        }
        let usual = kind.usual().iter().map(|path| self.places.root.join(path));
        usual.filter(|path| is_socket(path)).map(|path| candidate(&path.to_string_lossy(), false)).collect()
    }

    fn of_user(&self, kind: RuntimeKind, user: u32) -> Option<Candidate> {
        let path = self.places.root.join("run/user").join(user.to_string()).join(kind.of_users()?);
        let own = path.symlink_metadata().is_ok_and(|file| file.file_type().is_socket() && file.uid() == user);
        own.then(|| Candidate { kind, host: path.to_string_lossy().into_owned(), configured: false, user: Some(user) })
    }

    /// Of the user who runs this process, wherever the user's folder is.
    fn own(&self) -> Vec<Candidate> {
        let Some(folder) = self.places.environment.get("XDG_RUNTIME_DIR").map(Path::new) else { return Vec::new() };
        let paths = RuntimeKind::ALL.into_iter().filter_map(|kind| Some((kind, folder.join(kind.of_users()?))));
        let sockets = paths.filter(|(_, path)| is_socket(path));
        let candidate = |(kind, path): (RuntimeKind, PathBuf)| Candidate {
            kind,
            host: path.to_string_lossy().into_owned(),
            configured: false,
            user: None,
        };
        sockets.map(candidate).collect()
    }

    /// Users with a folder of their own, in order.
    fn users(&self) -> Vec<u32> {
        let entries = self.places.root.join("run/user").read_dir().into_iter().flatten();
        let mut users: Vec<u32> = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok()).collect();
        users.sort_unstable();
        users.truncate(MAX_USERS);
        users
    }

    /// The name of a socket; `None` when there are too many. A user's is `podman-1000`, a second one `podman.2`.
    fn name(&mut self, kind: RuntimeKind, host: &str, user: Option<u32>) -> Option<RuntimeId> {
        let key = (kind, host.to_owned());
        if let Some(name) = self.names.get(&key) {
            return Some(*name);
        }
        if self.names.len() >= MAX_RUNTIMES {
            return None;
        }
        let user = user.filter(|user| *user != 0);
        let most = u8::try_from(MAX_RUNTIMES + 1).unwrap_or(u8::MAX);
        let numbered = (1..=most).map(|number| RuntimeId::new(kind, user, number));
        let name = numbered.into_iter().find(|name| self.names.values().all(|known| known != name))?;
        self.names.insert(key, name);
        Some(name)
    }
}

/// Runtimes of one family at one socket are one and the same.
const fn family(kind: RuntimeKind) -> RuntimeKind {
    match kind {
        RuntimeKind::Docker | RuntimeKind::Podman => RuntimeKind::Docker,
        other => other,
    }
}

/// The path in `unix:///run/podman/podman.sock`, or a bare path.
fn path_of(host: &str) -> Option<&Path> {
    let path = Path::new(host.strip_prefix("unix://").unwrap_or(host));
    path.is_absolute().then_some(path)
}

fn is_socket(path: &Path) -> bool {
    path.metadata().is_ok_and(|file| file.file_type().is_socket())
}

/// Docker's usual path often leads to Podman.
fn true_kind(kind: RuntimeKind, path: &Path) -> RuntimeKind {
    let leads_to_podman =
        || path.canonicalize().is_ok_and(|path| path.file_name().is_some_and(|name| name == "podman.sock"));
    if kind == RuntimeKind::Docker && leads_to_podman() { RuntimeKind::Podman } else { kind }
}

/// The user whose daemon it is: the socket's owner, or, while there is no socket, whose folder it would be in.
fn user_of(host: &str, file: Option<&Metadata>) -> Option<u32> {
    if let Some(file) = file {
        return Some(file.uid());
    }
    let path = path_of(host)?.strip_prefix("/run/user").ok()?;
    path.iter().next()?.to_str()?.parse().ok()
}

/// A containerd of Docker's or Kubernetes' is read for the namespaces that these do not report.
fn leave_to_others(found: &mut [Runtime]) {
    let is_roots = |runtime: &Runtime, kind: RuntimeKind| runtime.name == RuntimeId::of_root(kind);
    let docker = found.iter().any(|runtime| is_roots(runtime, RuntimeKind::Docker));
    let cri: Vec<PathBuf> =
        found.iter().filter(|other| other.kind() == RuntimeKind::Cri).filter_map(real_path).collect();
    for containerd in found.iter_mut().filter(|runtime| runtime.kind() == RuntimeKind::Containerd) {
        let has_cri = real_path(containerd).is_some_and(|path| cri.contains(&path));
        containerd.others.extend(docker.then_some("moby"));
        containerd.others.extend(has_cri.then_some("k8s.io"));
    }
}

fn real_path(runtime: &Runtime) -> Option<PathBuf> {
    path_of(&runtime.host)?.canonicalize().ok()
}

#[cfg(test)]
mod tests;
