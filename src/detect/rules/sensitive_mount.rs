//! `sensitive-mount`: what the runtime says of a container's mounts, and what the kernel shows beyond that.

use crate::baseline::Deviation;
use crate::detect::kernel_mounts::KernelMounts;
use crate::detect::params::rule_params;
use crate::detect::posture::{Posture, PostureRule, Signal};
use crate::detect::told_and_seen::ToldAndSeen;
use crate::detect::{Ads, Rule, RuleMeta, Severity, Technique};
use crate::input::{Configuration, Mount, Workload};
use crate::inventory::configuration::Field;
use crate::inventory::mount_places::{CERTIFICATES, LOGS, Place, is_at_or_below};
use crate::path::Selector;

rule_params! {
    /// Workloads that need such mounts: log collectors, monitors.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    allowed: Vec<Selector> = Vec::new(),
}

/// Sockets of runtimes: a process that can write to one owns the host. A read-only mount does not protect a socket.
const SOCKETS: [&str; 8] = [
    "/run/docker.sock",
    "/run/podman/podman.sock",
    "/run/containerd/containerd.sock",
    "/run/k3s/containerd/containerd.sock",
    "/run/crio/crio.sock",
    "/run/cri-dockerd.sock",
    "/run/docker/containerd/containerd.sock",
    "/run/buildkit/buildkitd.sock",
];

/// Folders of the host that hold what monitors rest on, with what a container can do there.
const FOLDERS: [(&str, Severity, &str); 13] = [
    ("/proc", Severity::High, "every process of the host, and the kernel's settings"),
    ("/sys", Severity::High, "the kernel's objects and control groups"),
    ("/dev", Severity::High, "the host's devices"),
    ("/boot", Severity::High, "the host's kernel"),
    ("/root", Severity::High, "the host's root user's files"),
    ("/etc", Severity::High, "the host's configuration"),
    ("/var/lib/docker", Severity::High, "files and logs of all containers"),
    ("/var/lib/containers", Severity::High, "files and logs of all containers"),
    ("/var/lib/containerd", Severity::High, "files of all containers"),
    ("/var/lib/kubelet", Severity::High, "volumes and secrets of all pods"),
    ("/var/log", Severity::Medium, "the host's logs"),
    ("/run/log", Severity::Medium, "the host's journal"),
    ("/run/systemd/journal", Severity::Medium, "the socket that the host's journal listens at"),
];

/// The rule with its parameters.
pub fn rule(params: &Params) -> impl Rule + use<> {
    let allowed = &params.allowed;
    ToldAndSeen { told: PostureRule::new(POSTURE, allowed), seen: KernelMounts::new(&META, is_own, allowed) }
}

/// One over the resolver's file and fixed names alone is proxy-settings-changed's.
fn is_own(places: &[Place]) -> bool {
    places.iter().any(|place| !matches!(place, Place::Resolver | Place::Hosts))
}

/// What it says of settings.
pub(super) const POSTURE: Posture = Posture { rule: &META, signals, owns, drift, needed_by_sensor: true };

fn owns(field: &Field) -> bool {
    field.name() == "mounts"
}

/// Something else where the container keeps its logs or the certificates that it trusts; any other folder matters little.
fn drift(deviation: &Deviation) -> Severity {
    let target = deviation.field.in_group().unwrap_or_default();
    let is_watched = is_at_or_below(target, LOGS) || CERTIFICATES.iter().any(|folder| is_at_or_below(target, folder));
    if is_watched { Severity::Medium } else { Severity::Low }
}

fn signals(_workload: &Workload, configuration: &Configuration) -> Vec<Signal> {
    configuration.mounts.iter().filter_map(signal).collect()
}

fn signal(mount: &Mount) -> Option<Signal> {
    let source = real(&mount.source);
    let at = format!("{} of the host at {}", mount.source, mount.target);
    let field = Field::member("mounts", &mount.target);
    if mount.kind == "bind" {
        if let Some(socket) = SOCKETS.iter().find(|socket| is_at_or_below(socket, &source)) {
            let text = format!(
                "it has {at}, by which it reaches the runtime's socket {socket}: a process that writes there owns the host"
            );
            return Some(Signal::new(format!("socket {}", mount.target), field, Severity::High, text));
        }
        if is_rootless_socket(&source) {
            let text = format!(
                "it has {at}, by which it reaches a rootless runtime's socket: a process that writes there owns what that user owns"
            );
            return Some(Signal::new(format!("socket {}", mount.target), field, Severity::High, text));
        }
        if let Some((_, severity, what)) = folder(&source) {
            let severity = if mount.writable { *severity } else { severity.lower() };
            let how = if mount.writable { "may write" } else { "may read" };
            let text = format!("it has {at}, and {how} there: {what}");
            return Some(Signal::new(format!("host {source}"), field, severity, text));
        }
    }
    if mount.propagation.ends_with("shared") && mount.kind == "bind" {
        let text =
            format!("it has {at} with propagation {}: what it mounts there appears on the host", mount.propagation);
        return Some(Signal::new(format!("shared {}", mount.target), field, Severity::Medium, text));
    }
    covering(mount)
}

/// A tmpfs or another folder over the container's own logs or certificates.
fn covering(mount: &Mount) -> Option<Signal> {
    let what = if CERTIFICATES.iter().any(|folder| is_at_or_below(&mount.target, folder)) {
        "the certificates that it trusts"
    } else if mount.kind == "tmpfs" && is_at_or_below(&mount.target, LOGS) {
        "its log files"
    } else {
        return None;
    };
    let source = if mount.source.is_empty() { String::new() } else { format!(" {}", mount.source) };
    let text = format!("a {}{source} covers {} in it: {what}", mount.kind, mount.target);
    let field = Field::member("mounts", &mount.target);
    Some(Signal::new(format!("covers {}", mount.target), field, Severity::Medium, text))
}

/// The folder that a source is, or lies in; else the first that lies in it.
fn folder(source: &str) -> Option<&'static (&'static str, Severity, &'static str)> {
    let within = || FOLDERS.iter().find(|(folder, ..)| is_at_or_below(folder, source));
    FOLDERS.iter().find(|(folder, ..)| is_at_or_below(source, folder)).or_else(within)
}

/// A socket below a user's `/run/user/UID`, where rootless runtimes have theirs, a folder between, or the folder of all users.
fn is_rootless_socket(source: &str) -> bool {
    let below = source.strip_prefix("/run/user/").and_then(|rest| rest.split_once('/'));
    let reaches = |rest: &str| SOCKETS.iter().any(|socket| is_at_or_below(socket, &format!("/run/{rest}")));
    source == "/run/user" || below.is_some_and(|(_, rest)| reaches(rest))
}

/// Without `//`, `.` and `..`; `/var/run` is a link to `/run` on every distribution with systemd.
fn real(path: &str) -> String {
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/').filter(|part| !matches!(*part, "" | ".")) {
        match part {
            ".." => {
                parts.pop();
            }
            _ => parts.push(part),
        }
        if parts == ["var", "run"] {
            parts = vec!["run"];
        }
    }
    format!("/{}", parts.join("/"))
}

/// What the rule is.
pub static META: RuleMeta = RuleMeta {
    name: "sensitive-mount",
    title: "Container mounts sensitive host files or hides its logs",
    severity: Severity::High,
    techniques: &[
        Technique { name: "Escape to Host", v19: "T1611", v18: "T1611" },
        Technique { name: "Unsecured Credentials: Container API", v19: "T1552.007", v18: "T1552.007" },
    ],
    ads: Ads {
        goal: "Detects mounts by which a container reaches the runtime, the host's files, logs or devices, or by which its own logs or \
             trusted certificates are covered.",
        categorization: "Privilege Escalation and Credential Access: the runtime's socket and the host's folders are the shortest way out \
             of a container. Covered logs are Defense Evasion.",
        strategy: "Bind mounts of each inspect are compared with the runtimes' sockets (and every folder above them), and with the \
             host's folders that hold processes, devices, configuration, logs and other containers, and with every folder above those. \
             A tmpfs over /var/log and anything \
             over the folders of trusted certificates is reported, too. What the kernel shows mounted for the first process (`/proc/PID/mountinfo`, read \
             at its start and every 5 s) over logs, certificates, agents' settings and sockets of log messages, and the runtime's document does not name, \
             is reported with source and file system: high where it came while the container ran, medium where it was there at the first look. Read-only lowers the severity by one, but not for a socket. \
             For a service of the baseline all mounts are compared with it: over logs and certificates a difference is medium, elsewhere \
             low, and mounts that were approved are not reported.",
        technical_context: "A process that can write to the runtime's socket can start a privileged container. A read-only mount of a socket \
             still lets its owner connect. /var/run is a link to /run. `--tmpfs /var/log` loses a program's log files when it ends.",
        blind_spots: &[
            "Mounts made after the start in the namespace of another process than the first, at other places than those named here, or for less than 5 s; \
             one over a folder into which the host's own mounts propagate (`rslave`, `rshared`).",
            "More than 64 mounts over such places: the newest are read; that there are more is reported, unless the host's own mounts propagate there.",
            "A volume whose driver binds a folder of the host shows under its name only.",
            "Symbolic links of the host other than /var/run are not followed.",
            "The whole of a user's /run/user/UID, which desktop programs mount, is not reported; a rootless runtime's socket there is.",
            "hopwatch's own container, which is known by its process: what it needs is not reported, a change of it in place is.",
        ],
        assumptions: &[
            "The runtime's inspect can be read.",
            "Collectors and monitors are on the list of allowed workloads.",
        ],
        false_positives: &[
            "Log collectors that read /var/log and /var/lib/docker; monitors that read /proc and /sys.",
            "Plugins and hooks that mount something over certificates at the start (NRI, CDI): the runtime's document does not show their work.",
            "Reverse proxies and updaters that watch the runtime's socket; give them a filtering proxy instead.",
        ],
        true_positives: &["socket-mounted", "trust-replaced", "mount-over-logs"],
        benign_twins: &["socket-collector-allowed", "trust-expected", "mount-elsewhere"],
        priority: "High for sockets and writable folders of the host, medium for logs and covered folders.",
        response: &[
            "Who started it, and does it need this? `docker inspect -f '{{json .Mounts}}' NAME`.",
            "With the runtime's socket: list what was started since (`docker ps --since NAME`), and by which image.",
            "Where the kernel shows it: `grep -E ' /(var/log|etc)' /proc/PID/mountinfo`, and what lies below it: `nsenter -m -t PID umount FOLDER` after a copy.",
            "If nobody can explain it, `docker pause NAME`, and compare the host's files with a backup.",
            "If it is allowed, add it to rules.sensitive-mount.allowed, by digest.",
        ],
        resources: &[
            "https://attack.mitre.org/techniques/T1611/",
            "https://attack.mitre.org/techniques/T1552/007/",
            "https://docs.docker.com/engine/security/protect-access/",
        ],
    },
};

#[cfg(test)]
mod tests {
    use super::*;

    fn bind(source: &str, target: &str, writable: bool) -> Option<(String, Severity)> {
        let mount = Mount {
            kind: "bind".into(),
            source: source.into(),
            target: target.into(),
            writable,
            propagation: "rprivate".into(),
        };
        signal(&mount).map(|signal| (signal.name, signal.severity))
    }

    #[test]
    fn a_socket_counts_by_itself_and_by_every_folder_above_it_read_only_or_not() {
        for (source, target) in [
            ("/var/run/docker.sock", "/s"),
            ("/run/docker.sock", "/s"),
            ("/var/run", "/x"),
            ("/run", "/x"),
            ("/", "/host"),
        ] {
            for writable in [true, false] {
                assert_eq!(
                    bind(source, target, writable),
                    Some((format!("socket {target}"), Severity::High)),
                    "{source}"
                );
            }
        }
    }

    #[test]
    fn folders_of_the_host_count_and_their_lookalikes_do_not() {
        assert_eq!(bind("/var/log/pods", "/logs", false), Some(("host /var/log/pods".into(), Severity::Low)));
        assert_eq!(bind("/etc", "/host/etc", true), Some(("host /etc".into(), Severity::High)));
        for source in ["/etcetera", "/srv/data", "/var/logs", "/home/etc", "/procession"] {
            assert_eq!(bind(source, "/data", true), None, "{source}");
        }
    }

    #[test]
    fn folders_above_those_of_the_host_count_too_however_they_are_written() {
        for source in ["/var", "/var/lib", "/var/", "//var//lib", "/srv/../var/lib/."] {
            assert_eq!(bind(source, "/x", true).map(|found| found.1), Some(Severity::High), "{source}");
        }
        assert_eq!(bind("/run/systemd", "/x", true).map(|found| found.1), Some(Severity::Medium));
        for source in [
            "/run/./docker.sock",
            "/var/run/../run/docker.sock",
            "//run//docker.sock",
            "/../run/docker.sock",
            "/run/x/..",
        ] {
            assert_eq!(bind(source, "/s", false), Some(("socket /s".into(), Severity::High)), "{source}");
        }
        assert_eq!(bind("/var/www", "/x", true), None);
        assert_eq!(bind("/var/run/../www", "/x", true), None, "/var/run is /run, and what lies above it is /");
    }

    #[test]
    fn a_rootless_runtimes_socket_counts() {
        for source in [
            "/run/user/1000/podman/podman.sock",
            "/run/user/1000/podman",
            "/run/user/1000/docker.sock",
            "/var/run/user/1000/docker.sock",
            "/run/user",
        ] {
            assert_eq!(bind(source, "/s", true), Some(("socket /s".into(), Severity::High)), "{source}");
        }
        assert_eq!(bind("/run/user/1000/wayland-0", "/s", true), None);
        assert_eq!(bind("/run/user/1000", "/s", true), None);
    }

    #[test]
    fn a_tmpfs_over_the_logs_counts_and_a_volume_there_does_not() {
        let over = |kind: &str, target: &str| {
            let mount = Mount { kind: kind.into(), target: target.into(), writable: true, ..Mount::default() };
            signal(&mount).map(|signal| signal.name)
        };
        assert_eq!(over("tmpfs", "/var/log").as_deref(), Some("covers /var/log"));
        assert_eq!(over("tmpfs", "/var/log/nginx").as_deref(), Some("covers /var/log/nginx"));
        assert_eq!(over("volume", "/var/log"), None);
        assert_eq!(over("volume", "/etc/ssl/certs").as_deref(), Some("covers /etc/ssl/certs"));
        assert_eq!(over("tmpfs", "/tmp"), None);
    }
}
