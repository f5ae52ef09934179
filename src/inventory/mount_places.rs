//! Places in a container that matter to who watches it: its logs, the certificates that it trusts, its resolver and fixed names, its agents.
//!
//! Contract: pure. A mount matters where it is at such a place, below it, or, for files that every container has, above it. Limits: paths are as the container
//! sees them, so what links lead to is not known; a place that an application chose for its logs is not either.

use super::command_words::AGENT_PATHS;

/// Where a container keeps its log files.
pub const LOGS: &str = "/var/log";
/// Where it keeps the certificates that it trusts.
pub const CERTIFICATES: [&str; 5] =
    ["/etc/ssl", "/etc/pki", "/etc/ca-certificates", "/usr/share/ca-certificates", "/usr/local/share/ca-certificates"];
/// Where programs that log send it, and where runtimes listen.
const SOCKETS: [&str; 3] = ["/dev/log", "/run/systemd/journal", "/run/log"];
/// The file that names its resolvers, and the one of fixed names.
const RESOLVER: &str = "/etc/resolv.conf";
const HOSTS: &str = "/etc/hosts";

/// What a place is to who watches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Place {
    /// The resolver's settings.
    Resolver,
    /// Fixed names.
    Hosts,
    /// Certificates that are trusted.
    Certificates,
    /// Log files.
    Logs,
    /// Settings of an agent, or a socket that takes log messages.
    Agents,
}

impl Place {
    /// In words.
    pub const fn what(self) -> &'static str {
        match self {
            Self::Resolver => "the file that names its resolvers",
            Self::Hosts => "the file of fixed names",
            Self::Certificates => "the certificates that it trusts",
            Self::Logs => "its log files",
            Self::Agents => "what its agents or log messages rest on",
        }
    }
}

/// Which places a mount at this path covers, in order.
pub fn covered(target: &str) -> Vec<Place> {
    let over = |place: &str| target != "/" && (is_at_or_below(place, target) || is_at_or_below(target, place));
    let below = |place: &str| is_at_or_below(target, place);
    let covers = |place: Place| match place {
        Place::Resolver => over(RESOLVER),
        Place::Hosts => over(HOSTS),
        Place::Certificates => CERTIFICATES.iter().any(|place| over(place)),
        Place::Logs => over(LOGS),
        Place::Agents => SOCKETS.iter().chain(&AGENT_PATHS).any(|place| below(place)),
    };
    let all = [Place::Resolver, Place::Hosts, Place::Certificates, Place::Logs, Place::Agents];
    all.into_iter().filter(|place| covers(*place)).collect()
}

/// Whether it covers any.
pub fn matters(target: &str) -> bool {
    !covered(target).is_empty()
}

/// Whether `path` is `folder`, or lies below it.
pub fn is_at_or_below(path: &str, folder: &str) -> bool {
    let folder = folder.trim_end_matches('/');
    path.strip_prefix(folder).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_counts_by_itself_by_what_is_in_it_and_by_what_holds_it() {
        for (target, places) in [
            ("/etc/resolv.conf", &[Place::Resolver][..]),
            ("/etc/hosts", &[Place::Hosts]),
            ("/etc/ssl/certs", &[Place::Certificates]),
            ("/usr/share", &[Place::Certificates]),
            ("/var", &[Place::Logs]),
            ("/var/log/nginx", &[Place::Logs]),
            ("/etc", &[Place::Resolver, Place::Hosts, Place::Certificates]),
            ("/dev/log", &[Place::Agents]),
            ("/etc/fluent-bit/parsers.conf", &[Place::Agents]),
        ] {
            assert_eq!(covered(target), places, "{target}");
        }
        for target in ["/", "/run", "/dev", "/data", "/etc/hostname", "/var/logistics", "/etc/sslx", "/tmp", "/proc"] {
            assert!(!matters(target), "{target}");
        }
    }
}
