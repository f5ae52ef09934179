//! Which runtime a fact comes from: its kind, whose it is, and which of several.
//!
//! Contract: text and value are the same thing: `docker`, `podman-1000` (of the user 1000), `podman-1000.2` (that user's second). A text
//! that is none of these is refused. Limits: [`MAX_RUNTIMES`] at once. Design: whether a user's runtime may speak for a workload
//! is a question to this type and not to the spelling of a name.

use std::fmt;
use std::str::FromStr;

use serde::de::{Deserialize, Deserializer, Error as _};
use serde::ser::{Serialize, Serializer};

/// Runtimes that are read at once and remembered; also a bound of metric labels.
pub const MAX_RUNTIMES: usize = 32;

/// Which API a runtime speaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum RuntimeKind {
    /// containerd's own.
    Containerd,
    /// The Kubernetes Container Runtime Interface.
    Cri,
    /// Docker's, by Docker.
    Docker,
    /// Docker's and libpod's, by Podman.
    Podman,
}

impl RuntimeKind {
    /// All kinds, in the order in which they are looked for.
    pub const ALL: [Self; 4] = [Self::Docker, Self::Podman, Self::Containerd, Self::Cri];

    /// The word that begins the runtime's name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Docker => "docker",
            Self::Podman => "podman",
            Self::Containerd => "containerd",
            Self::Cri => "cri",
        }
    }

    /// Whether it reports which workload joined another's network namespace. containerd and CRI get a path to a namespace, and may
    /// not know whose it is.
    pub const fn reports_joins(self) -> bool {
        matches!(self, Self::Docker | Self::Podman)
    }

    /// Whether it reports every network of a workload. containerd and CRI report a pod's addresses, and so one network at most,
    /// however many interfaces its plugins (Multus, SR-IOV) made.
    pub const fn reports_all_networks(self) -> bool {
        matches!(self, Self::Docker | Self::Podman)
    }
}

/// One runtime of this host.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RuntimeId {
    kind: RuntimeKind,
    user: Option<u32>,
    number: u8,
}

impl RuntimeId {
    /// Root's Docker.
    pub const DOCKER: Self = Self::of_root(RuntimeKind::Docker);
    /// Root's Podman.
    pub const PODMAN: Self = Self::of_root(RuntimeKind::Podman);
    /// Root's containerd.
    pub const CONTAINERD: Self = Self::of_root(RuntimeKind::Containerd);
    /// Root's CRI runtime.
    pub const CRI: Self = Self::of_root(RuntimeKind::Cri);

    /// Root's first runtime of a kind.
    pub const fn of_root(kind: RuntimeKind) -> Self {
        Self { kind, user: None, number: 1 }
    }

    /// A runtime of a kind, of a user or (`None`) of root, with its number from 1.
    pub const fn new(kind: RuntimeKind, user: Option<u32>, number: u8) -> Self {
        Self { kind, user, number }
    }

    /// Which API it speaks.
    pub const fn kind(&self) -> RuntimeKind {
        self.kind
    }

    /// Whether an ordinary user runs it. Such a runtime never speaks for another's workloads.
    pub fn is_users(&self) -> bool {
        self.user.is_some_and(|user| user != 0)
    }
}

impl fmt::Display for RuntimeId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.kind.as_str())?;
        if let Some(user) = self.user {
            write!(f, "-{user}")?;
        }
        if self.number == 1 { Ok(()) } else { write!(f, ".{}", self.number) }
    }
}

/// A text that names no runtime.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{text:?} is no runtime; write docker, podman, containerd or cri, with -UID for a user's and .2 for the second of its kind"
)]
pub struct UnknownRuntime {
    text: String,
}

impl FromStr for RuntimeId {
    type Err = UnknownRuntime;

    fn from_str(text: &str) -> Result<Self, UnknownRuntime> {
        let read = || {
            let (rest, number) = match text.split_once('.') {
                Some((rest, number)) => (rest, number.parse().ok()?),
                None => (text, 1),
            };
            let (kind, user) = match rest.split_once('-') {
                Some((kind, user)) => (kind, Some(user.parse().ok()?)),
                None => (rest, None),
            };
            let kind = RuntimeKind::ALL.into_iter().find(|known| known.as_str() == kind)?;
            Some(Self { kind, user, number })
        };
        // Only one spelling of each, so that two names are never one runtime.
        let id = read().filter(|id| id.number > 0 && id.to_string() == text);
        id.ok_or_else(|| UnknownRuntime { text: text.chars().take(80).collect() })
    }
}

impl Serialize for RuntimeId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for RuntimeId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = std::borrow::Cow::<'de, str>::deserialize(deserializer)?;
        text.parse().map_err(D::Error::custom)
    }
}

impl schemars::JsonSchema for RuntimeId {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "RuntimeId".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let kinds = RuntimeKind::ALL.map(RuntimeKind::as_str).join("|");
        schemars::json_schema!({
            "type": "string",
            "pattern": format!("^({kinds})(-[0-9]+)?(\\.[0-9]+)?$"),
            "description": "The kind of runtime, `-UID` of its user where that is not root, and `.N` from the second one on",
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_read_as_it_is_written() {
        for text in
            ["docker", "podman-1000", "podman-1000.2", "cri.3", "containerd", "podman-0", "docker-4294967295.255"]
        {
            let id: RuntimeId = text.parse().expect(text);
            assert_eq!(id.to_string(), text);
            assert_eq!(serde_json::to_string(&id).expect("json"), format!("\"{text}\""));
            assert_eq!(serde_json::from_str::<RuntimeId>(&format!("\"{text}\"")).expect("json"), id);
        }
        assert_eq!("podman-1000".parse(), Ok(RuntimeId::new(RuntimeKind::Podman, Some(1000), 1)));
    }

    #[test]
    fn a_name_that_only_looks_like_one_is_refused() {
        for text in [
            "",
            "dock",
            "Docker",
            "docker-",
            "docker-x",
            "docker-1-2",
            "podman-01000",
            "podman-+5",
            "podman.1",
            "podman.0",
            "podman.02",
            "podman.256",
            "podman.2-1000",
            "docker ",
            "podman-4294967296",
        ] {
            let error = text.parse::<RuntimeId>().expect_err(text).to_string();
            assert!(error.contains("is no runtime; write docker, podman, containerd or cri"), "{error}");
        }
    }

    #[test]
    fn only_an_ordinary_users_runtime_is_a_users() {
        let is_users = |text: &str| text.parse::<RuntimeId>().expect("a runtime").is_users();
        assert!(is_users("podman-1000") && is_users("docker-1000.2"));
        assert!(!is_users("podman") && !is_users("podman.2") && !is_users("podman-0"));
    }
}
