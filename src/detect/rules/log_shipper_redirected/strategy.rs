//! What the rule is.

use crate::detect::{Ads, RuleMeta, Severity, Technique};

/// What the rule is.
pub static META: RuleMeta = RuleMeta {
    name: "log-shipper-redirected",
    title: "Logs are sent to another collector than before",
    severity: Severity::High,
    techniques: &[Technique { name: "Disable or Modify Tools", v19: "T1685", v18: "T1562.006" }],
    ads: Ads {
        goal: "Detects logs of a service that go to another collector than before: to an attacker's listener, which reads and drops \
             them, or to one of an address that nobody declared.",
        categorization: "Defense Evasion: impairing the collection of indicators. What is sent elsewhere is missing where it is looked for, and \
             it may hold secrets.",
        strategy: "Flows to collectors are found by port (`ports`), by the address in a container's log settings, and by `collectors`; \
             each must carry payload. What a service uses within `learn` after its first logs is its pool; a further collector is reported \
             once. The daemon sends for a log driver: its flow counts for the containers whose settings have that address, \
             and a container that started after the service's first logs and sends elsewhere is reported with two witnesses, the setting and the flow. \
             A collector is the service that owns the address now, or else the address behind translation, so a collector that is created again is the same one. With `collectors`, \
             every other collector is reported at once.",
        technical_context: "Docker fixes driver and address when a container is created, so the redirection of a log driver is a new container \
             (`--log-opt fluentd-address=…`), or a rule on the host that rewrites the destination, which connection tracking shows. An agent in \
             a container reads a file that an exec can change. `log-driver-changed` compares settings alone; this rule waits until \
             logs are really sent.",
        blind_spots: &[
            "Another tenant or token at the same address: only settings show that.",
            "A redirection within `learn`, or before observation began, is taken for the pool.",
            "A container that claims the collector's service by name and image is taken for it.",
            "Collectors at other ports that neither settings nor `collectors` name.",
            "Answers of DNS are not recorded: an address that changes under one name looks like another collector.",
        ],
        assumptions: &[
            "The flows from the daemon to the collector are captured: the bridge of a collector in a container, or the host's uplink.",
            "Connection tracking is read where the host translates addresses.",
        ],
        false_positives: &[
            "A collector's name that leads to a new address outside its pool, a failover, a migration: declare the range under `collectors`.",
            "An agent that gets a further output: list it under `allowed`, or declare the output.",
        ],
        true_positives: &["log-shipper-redirected"],
        benign_twins: &["log-shipper-moved"],
        priority: "High: somebody else gets the record of what the service does. Medium for the host's own senders.",
        response: &[
            "The evidence names the collector before and now, and the setting where there is one.",
            "Whose is the new address? `docker ps`, `hopwatch inventory`; outside, ask who runs it.",
            "Read the setting: `docker inspect -f '{{json .HostConfig.LogConfig}}' NAME`; for an agent its configuration file.",
            "Who started the container, or changed the file? Look at the orchestrator's history and the shell history of the host.",
            "If it is meant, declare it under rules.log-shipper-redirected.collectors.",
        ],
        resources: &[
            "https://attack.mitre.org/techniques/T1562/006/",
            "https://docs.docker.com/engine/logging/configure/",
        ],
    },
};
