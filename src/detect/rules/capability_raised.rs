//! `capability-raised`: what the runtime says of a container's rights ([`POSTURE`]), and what the kernel says beyond that ([`kernel`]).

mod kernel;

use self::kernel::KernelWord;
use crate::baseline::Deviation;
use crate::detect::params::rule_params;
use crate::detect::posture::{Posture, PostureRule, Signal};
use crate::detect::told_and_seen::ToldAndSeen;
use crate::detect::{Ads, Rule, RuleMeta, Severity, Technique};
use crate::input::{Configuration, Confinement, NamespaceMode, Workload};
use crate::inventory::configuration::Field;
use crate::path::Selector;

rule_params! {
    /// Workloads that need such rights: VPN gateways, network plugins, monitors.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    allowed: Vec<Selector> = Vec::new(),
}

/// Capabilities beyond the runtimes' defaults that lead to the host, to its kernel, or past its monitors.
const DANGEROUS: [(&str, Severity, &str); 11] = [
    ("CAP_SYS_ADMIN", Severity::High, "mounts, namespaces and most of the kernel's administration"),
    ("CAP_SYS_MODULE", Severity::High, "loading code into the kernel"),
    ("CAP_SYS_PTRACE", Severity::High, "reading and changing other processes"),
    ("CAP_SYS_RAWIO", Severity::High, "memory and ports of the machine"),
    ("CAP_BPF", Severity::High, "programs in the kernel, before any sniffer"),
    ("CAP_DAC_READ_SEARCH", Severity::High, "every file of the host by its handle"),
    ("CAP_NET_ADMIN", Severity::Medium, "routes, firewall and interfaces of its network"),
    ("CAP_PERFMON", Severity::Medium, "tracing of the whole system"),
    ("CAP_SYSLOG", Severity::Medium, "the kernel's log and addresses"),
    ("CAP_AUDIT_CONTROL", Severity::High, "the kernel's audit rules"),
    ("CAP_MAC_ADMIN", Severity::High, "profiles of AppArmor and SELinux"),
];

/// The rule with its parameters.
pub fn rule(params: &Params) -> impl Rule + use<> {
    ToldAndSeen { told: PostureRule::new(POSTURE, &params.allowed), seen: KernelWord::new(&params.allowed) }
}

/// What it says of settings.
pub(super) const POSTURE: Posture = Posture { rule: &META, signals, owns, drift, needed_by_sensor: true };

fn owns(field: &Field) -> bool {
    matches!(
        field.name(),
        "apparmor"
            | "capabilities"
            | "devices"
            | "extra_groups"
            | "masked_paths"
            | "namespaces.cgroup"
            | "namespaces.ipc"
            | "namespaces.pid"
            | "namespaces.user"
            | "namespaces.uts"
            | "no_new_privileges"
            | "privileged"
            | "readonly_root"
            | "seccomp"
            | "selinux"
            | "user"
    )
}

/// A right more matters, a right less does not.
fn drift(deviation: &Deviation) -> Severity {
    let words = deviation.words();
    match deviation.field.name() {
        "capabilities" | "devices" | "extra_groups" => {
            let expected = deviation.expected.as_deref().unwrap_or_default();
            let is_new = |name: &str| !expected.split(' ').any(|known| known == name);
            if words.split(' ').any(is_new) && words != "absent" { Severity::Medium } else { Severity::Low }
        }
        "user" if !matches!(words.split(':').next(), Some("absent" | "0" | "root")) => Severity::Low,
        "readonly_root" => Severity::Low,
        "no_new_privileges" | "masked_paths" if words == "yes" => Severity::Low,
        _ => Severity::Medium,
    }
}

fn signals(_workload: &Workload, configuration: &Configuration) -> Vec<Signal> {
    let mut all = Vec::new();
    if configuration.privileged {
        all.push(Signal::new(
            "privileged",
            Field::single("privileged"),
            Severity::High,
            "it is privileged: it has every right on the host and all of its devices",
        ));
    } else {
        capabilities(configuration, &mut all);
        confinement(configuration, &mut all);
    }
    namespaces(configuration, &mut all);
    all
}

fn capabilities(configuration: &Configuration, all: &mut Vec<Signal>) {
    let Some(set) = &configuration.capabilities else { return };
    let held = DANGEROUS.iter().filter(|(name, ..)| set.contains(*name));
    all.extend(held.map(|(name, severity, what)| {
        let name = name.trim_start_matches("CAP_");
        Signal::new(
            name,
            Field::single("capabilities"),
            *severity,
            format!("it may have the capability {name}: {what}"),
        )
    }));
}

fn confinement(configuration: &Configuration, all: &mut Vec<Signal>) {
    let profiles = [
        ("seccomp", "seccomp", &configuration.seccomp, "no system call is refused"),
        ("AppArmor", "apparmor", &configuration.apparmor, "no profile confines its files and mounts"),
        ("SELinux", "selinux", &configuration.selinux, "no label separates it from the host and other containers"),
    ];
    // Docker disables labels by itself for containers in the host's pid or ipc namespace, which are reported.
    let shares = [&configuration.namespaces.pid, &configuration.namespaces.ipc].contains(&&NamespaceMode::Host);
    for (name, field, profile, what) in profiles {
        if *profile == Confinement::Unconfined && !(name == "SELinux" && shares) {
            let text = format!("{name} is off for it: {what}");
            all.push(Signal::new(format!("{name} unconfined"), Field::single(field), Severity::Medium, text));
        }
    }
}

fn namespaces(configuration: &Configuration, all: &mut Vec<Signal>) {
    for (kind, mode) in configuration.namespaces.all() {
        // The host's control groups are the default where the host has version 1 of them.
        if *mode != NamespaceMode::Host || kind == "cgroup" {
            continue;
        }
        let (field, severity, what) = match kind {
            "pid" => ("namespaces.pid", Severity::High, "it sees every process of the host, and their files by /proc"),
            "ipc" => ("namespaces.ipc", Severity::Medium, "it shares the host's shared memory"),
            "user" => {
                ("namespaces.user", Severity::Medium, "its root is the host's root although the runtime maps users")
            }
            _ => ("namespaces.uts", Severity::Low, "it may change the host's name"),
        };
        all.push(Signal::new(
            format!("host {kind}"),
            Field::single(field),
            severity,
            format!("it is in the host's {kind} namespace: {what}"),
        ));
    }
}

/// What the rule is.
pub static META: RuleMeta = RuleMeta {
    name: "capability-raised",
    title: "Container has privileges that allow host access",
    severity: Severity::High,
    techniques: &[
        Technique { name: "Deploy Container", v19: "T1610", v18: "T1610" },
        Technique { name: "Escape to Host", v19: "T1611", v18: "T1611" },
    ],
    ads: Ads {
        goal: "Detects containers whose rights reach past their isolation: privileged, capabilities that control the kernel or its \
             network, switched-off confinement, the host's namespaces.",
        categorization: "Execution and Privilege Escalation: a container that is started with such rights needs no exploit to reach the \
             host or to remove what monitors it.",
        strategy: "The effective capability set (default, added and dropped ones taken together, so that two spellings are equal), \
             profiles and namespaces are read from each inspect. Each dangerous setting is a witness; all of a service are one alert, \
             once, as severe as the worst of them. A set that grows under one id and start time is critical. The kernel's word on the first \
             process of each container (`/proc/PID/status`, read at its start and every 5 s) is compared with that: a capability in its \
             bounding or effective set that the runtime denies, no filter of system calls where the runtime says there is one, and \
             no-new-privileges that is not there are reported when they stand for 3 s, as severe as the capability, else medium. Fewer \
             rights than told are normal. For a service of the \
             baseline rights, profiles, devices, groups and the user are compared with it: what is new and not dangerous by itself is medium, \
             what is lost low, and rights that were approved are not reported.",
        technical_context: "`--privileged` gives every capability, all devices and no profile. NET_ADMIN lets a container change its own \
             routes and firewall, and so leave the path that it must take; SYS_ADMIN, SYS_PTRACE, SYS_MODULE, BPF and the host's \
             processes lead to the host itself. NET_RAW is in Docker's default set and is not reported.",
        blind_spots: &[
            "Capabilities that a process gains by an exploit, unless it is the container's first one; `docker exec --privileged` makes another.",
            "The kernel's word is not compared for capabilities in a user namespace of the container's own, where they do not reach the host, and \
             for runtimes that run a machine or a kernel of their own (gVisor, Kata).",
            "Of containers that live for less than 3 s the kernel's word is recorded and not reported; of those that the kernel hides it is not known.",
            "A rootless runtime's privileged container has the rights of its user only; it is reported the same.",
            "Podman shows what an annotation claims of seccomp and AppArmor where the setting itself is absent; where it claims a filter, the kernel \
             decides. AppArmor's and SELinux's word is not compared.",
            "hopwatch's own container, which is known by its process: what it needs is not reported, a change of it in place is.",
        ],
        assumptions: &[
            "The runtime's inspect can be read.",
            "Workloads that need such rights are on the list of allowed ones.",
        ],
        false_positives: &[
            "VPN gateways, network plugins, node exporters, profilers and debuggers that are not on the list yet.",
            "Sandboxes of build servers that run Docker inside Docker.",
            "Plugins that rewrite what a container gets when it is made (NRI, OCI hooks): the runtime's document does not show their work. A daemon \
             that was started with `--seccomp-profile=unconfined` still says that containers have its default.",
        ],
        true_positives: &["rights-raised", "rights-hidden"],
        benign_twins: &["rights-default", "rights-dropped"],
        priority: "High where the host is within reach, medium where only monitoring is, low for the host's name.",
        response: &[
            "Who started it, and does it need this? `docker inspect -f '{{.HostConfig.Privileged}} {{.HostConfig.CapAdd}}' NAME`.",
            "Look at its processes and their users: `docker top NAME`.",
            "If nobody can explain it, `docker pause NAME`, and look at the host's processes that began after its start.",
            "Where the kernel contradicts the runtime: `grep -E 'Cap|NoNewPrivs|Seccomp' /proc/PID/status`, the runtime's own files \
             (`hostconfig.json`, `config.json`), its hooks and plugins, and who changed them.",
            "Start it again with the one capability that it needs instead of all.",
            "If it is allowed, add it to rules.capability-raised.allowed, by digest.",
        ],
        resources: &[
            "https://attack.mitre.org/techniques/T1610/",
            "https://attack.mitre.org/techniques/T1611/",
            "https://man7.org/linux/man-pages/man7/capabilities.7.html",
            "https://man7.org/linux/man-pages/man5/proc_pid_status.5.html",
        ],
    },
};

#[cfg(test)]
mod tests {
    use super::*;
    use crate::detect::testing::workload;
    use crate::inventory::configuration::{DOCKER_DEFAULT, effective};

    fn with(added: &[&str]) -> Configuration {
        let added: Vec<String> = added.iter().map(|name| (*name).to_owned()).collect();
        Configuration { capabilities: Some(effective(DOCKER_DEFAULT, &added, &[], false)), ..Configuration::default() }
    }

    fn names(configuration: &Configuration) -> Vec<String> {
        signals(&workload("web", 10), configuration).into_iter().map(|signal| signal.name).collect()
    }

    #[test]
    fn the_default_is_not_reported_and_each_dangerous_right_is() {
        assert!(names(&with(&[])).is_empty());
        assert!(names(&with(&["SYS_NICE", "IPC_LOCK"])).is_empty(), "tuning is not dangerous");
        assert_eq!(names(&with(&["NET_ADMIN"])), ["NET_ADMIN"]);
        assert_eq!(names(&with(&["ALL"])).len(), DANGEROUS.len());
    }

    #[test]
    fn privileged_is_said_once_and_not_as_a_list_of_capabilities() {
        let configuration = Configuration { privileged: true, seccomp: Confinement::Unconfined, ..with(&["ALL"]) };
        assert_eq!(names(&configuration), ["privileged"]);
    }

    #[test]
    fn the_hosts_processes_are_high_and_its_name_is_low() {
        let mut configuration = with(&[]);
        configuration.namespaces.pid = NamespaceMode::Host;
        configuration.namespaces.uts = NamespaceMode::Host;
        let found = signals(&workload("web", 10), &configuration);
        let found: Vec<(&str, Severity)> = found.iter().map(|signal| (signal.name.as_str(), signal.severity)).collect();
        assert_eq!(found, [("host pid", Severity::High), ("host uts", Severity::Low)]);
    }
}
