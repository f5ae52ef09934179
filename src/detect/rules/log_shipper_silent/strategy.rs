//! What the rule is.

use crate::detect::{Ads, RuleMeta, Severity, Technique};

/// What the rule is.
pub static META: RuleMeta = RuleMeta {
    name: "log-shipper-silent",
    title: "Logs are no longer sent to their collector while the workload talks",
    severity: Severity::High,
    techniques: &[Technique { name: "Disable or Modify Tools", v19: "T1685", v18: "T1562.006" }],
    ads: Ads {
        goal: "Detects a workload, a log driver or a host agent that sent logs to a collector regularly and stopped, although \
             those whose logs it sends go on opening and answering connections.",
        categorization: "Defense Evasion: impairing the collection of indicators. The container runs on, its record does not.",
        strategy: "Flows to collectors are found by port (`ports`), by the address in a container's log settings, and by `collectors`. \
             For each sender the rule remembers how long its longest gap was and how many flows its workloads opened in it. It fires \
             when the sender was seen three times over at least as long a time as it is silent now, when the silence is longer than \
             `silence` and than three times the longest gap, and when `min_flows` and three times the most flows of any gap \
             before were opened meanwhile, the last of them late in the silence. The daemon sends for a log driver: such a flow counts for the containers \
             whose settings have that address, and their flows are the talk. A container's successor of the same service has to send as it \
             did. Time counts only where one of the points at which its flows were seen lost nothing, and while the runtime's \
             list is complete.",
        technical_context: "A shipper is silenced by killing it, by a firewall rule on the host, by a changed configuration, or by a full disk. \
             Docker's fluentd driver with `fluentd-async` and drivers with `mode=non-blocking` drop lines without a word \
             when the collector does not answer; others block the application. After a collector's restart Docker may never connect \
             again (moby#34804). Keep-alives are no logs: an update must carry 16 bytes of payload. `log-driver-changed` reports the driver `none`, with the quiet wire \
             as its second witness.",
        blind_spots: &[
            "Several containers with one log driver address share the daemon's flows: one's silence hides behind the others.",
            "A sender that was never seen to send, or seen for less time than its silence, has no habit to compare with.",
            "A sender that sends one line in each period keeps this rule quiet.",
            "Logs in a connection that also carries other data (OTLP metrics and traces) look as if they were sent.",
            "While losses go on at every point where its flows were seen, or while the runtime does not answer, nothing is said; \
             sensor-blinded reports both.",
            "A driver that finds its collector by a region (awslogs, gcplogs) or a Unix socket has no address to look for.",
        ],
        assumptions: &[
            "The flows from the daemon to the collector are captured: the bridge of a collector in a container, or the host's uplink.",
            "`silence` is longer than `flows.update_interval`.",
        ],
        false_positives: &[
            "An application that logs for a while and then serves without a line: list it under `allowed`.",
            "A shipper that buffers on disk while its collector is away: the evidence says whether other senders reach it.",
            "A collector that is replaced: raise `silence` above the time that takes. All of its senders are one alert.",
        ],
        true_positives: &["log-shipper-cut"],
        benign_twins: &["log-shipper-kept"],
        priority: "High: what the workload does is not recorded. Medium where all senders of a collector are silent, where the collector \
             is gone, and for the host's own senders.",
        response: &[
            "The evidence says when logs were last seen, where to, and whether others still reach the collector.",
            "Is the shipper alive? `docker ps`, `docker top NAME`; for a log driver, `journalctl -u docker` shows errors of the connection.",
            "Is it cut off? `iptables -S`, `nft list ruleset`, routes; then try the collector's port from the host.",
            "`docker logs NAME` may still hold the lines: copy them before they rotate away.",
            "What did the workload do since then? `hopwatch flows`, and the other alerts about it.",
        ],
        resources: &[
            "https://attack.mitre.org/techniques/T1562/006/",
            "https://docs.docker.com/engine/logging/configure/",
        ],
    },
};
