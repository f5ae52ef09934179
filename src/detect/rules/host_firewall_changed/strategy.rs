//! What the rule is.

use crate::detect::{Ads, RuleMeta, Severity, Technique};

/// What the rule is.
pub static META: RuleMeta = RuleMeta {
    name: "host-firewall-changed",
    title: "Firewall rules that steer or drop traffic were removed or overruled",
    severity: Severity::High,
    techniques: &[Technique { name: "Disable or Modify System Firewall", v19: "T1686", v18: "T1562.004" }],
    ads: Ads {
        goal: "Detects that rules of the host's firewall which lead containers through their hops, or keep them from elsewhere, are removed \
             or made useless by a rule before them.",
        categorization: "Defense Evasion: the firewall is the hop of every transparent path, and who removes a redirection needs nothing else.",
        strategy: "The kernel reports each change of nftables with the process that made it (`NEWGEN`); the rules are then listed and reduced to those \
             that redirect, mark, queue, copy, drop or jump, and to chains whose policy is to drop. Each has a hash of its meaning without handles, counters \
             and comments. When the firewall was quiet for `settle`, the set is compared with the one before: a rule that is gone is \
             reported, and so is one that redirects, marks or queues and has more accepts or returns before it in its chain. A reload that \
             ends in the same rules is nothing; new rules are learned.",
        technical_context: "Today's iptables writes nftables, so both are seen; tables of iptables-legacy are read beside them. A transparent proxy hangs on one REDIRECT, TPROXY or DNAT rule; \
             `iptables -t nat -F`, `nft flush ruleset` or an accept before it ends the path for everybody at once, while proxies run on. \
             Docker, Kubernetes and Podman change their own chains with every container; those are left out, but DOCKER-USER is not.",
        blind_spots: &[
            "iptables-legacy reports no changes: its tables are read every ten seconds through `iptables-legacy-save`, and what is put back before \
             the next look is not seen. Which process changed them is not known. Where they cannot be read, that is a fact (`unwatched`).",
            "Firewalls inside containers' namespaces, and programs of tc, XDP and cgroups: sensor-blinded reports the latter.",
            "The content of sets and maps: an address that leaves a set changes no rule.",
            "An accept that is added before a rule that only drops: runtimes add such rules themselves.",
            "What changed before observation began is taken for how it should be.",
            "Rules in chains called like a runtime's (DOCKER, KUBE-, CNI-, …).",
        ],
        assumptions: &["hopwatch runs in the host's network namespace with CAP_NET_ADMIN."],
        false_positives: &[
            "A planned change of the firewall: it is reported once, then it is how it should be.",
            "`nft -f` with `flush ruleset` removes Docker's jumps and an administrator's iptables rules by accident \
             (docker/for-linux#1472): an outage rather than an attack, and worth to know.",
            "Rules that iptables wrote and nft loads again are spelt otherwise and count as others.",
            "fail2ban and firewalld that take back their own drops: medium.",
            "Docker's drop between containers of one network (`icc=false`), when that network is removed.",
        ],
        true_positives: &["firewall-redirect-flushed"],
        benign_twins: &["firewall-reloaded"],
        priority: "High where a rule that redirects, marks or queues is concerned; medium where only drops are.",
        response: &[
            "The evidence names table, chain, what the rule did, and the process that the kernel names.",
            "Look at the rules now: `nft list ruleset`, `iptables-save`. Compare with the configuration that should be loaded.",
            "Put the rule back before looking further: load the configuration again.",
            "Who did it? The audit log (NETFILTER_CFG), the shell history of the host, `journalctl` around the time.",
            "What left meanwhile without its hop? The alerts about skipped hops since that time.",
        ],
        resources: &[
            "https://attack.mitre.org/techniques/T1562/004/",
            "https://wiki.nftables.org/wiki-nftables/index.php/Monitoring_ruleset_updates",
        ],
    },
};
