//! The strategy of `monitor-stopped`.

use crate::detect::{Ads, RuleMeta, Severity, Technique};

/// What the rule is.
pub static META: RuleMeta = RuleMeta {
    name: "monitor-stopped",
    title: "A monitor, proxy or log shipper stopped working",
    severity: Severity::High,
    techniques: &[
        Technique { name: "Disable or Modify Tools", v19: "T1685", v18: "T1562.001" },
        Technique { name: "Service Stop", v19: "T1489", v18: "T1489" },
    ],
    ads: Ads {
        goal: "Detects that a container which watches others, carries their traffic or ships their logs is stopped, killed, paused, frozen, \
             cut off from one of its networks, or limited so far that it cannot work.",
        categorization: "Defense Evasion and Impact: the monitor is switched off before, or instead of, going around it.",
        strategy: "Monitors are the workloads that `monitors.workloads` selects, the hops of the configuration, and containers whose program or \
             image has the name of a known agent. An end is reported when neither the container runs again nor another one of its service \
             started within `successor`; a pause, a freezing signal, a lost network and a limit below what any agent needs when they stand \
             for `settle`; and so is the end or the stop (state T) of every process of an agent in a container that goes on. What the runtime did to the container is shown as evidence. While other containers of the service run on, the \
             severity is medium. The alert ends when what stood against the monitor is over, or another container of its service starts.",
        technical_context: "The effect is judged, not the command: a signal that the agent survives (HUP, USR1, USR2, WINCH for rotation) changes \
             nothing. `docker commit` pauses a container while it copies it. Compose renames the old container, starts the new one and \
             removes the old one. `docker update --memory 6m` leaves a container running that cannot work.",
        blind_spots: &[
            "A monitor that runs and drops what it should report: its settings decide that.",
            "A monitor that stops while its runtime does not answer: nothing is known then, which sensor-blinded reports.",
            "A monitor outside of containers, and an agent's process that is known by no name of the list: a script's, or an interpreter's.",
            "An agent's process that ends and begins again within the time between two looks at the kernel (100 ms to 10 s).",
            "CRI reports neither pauses nor changed limits.",
            "An end that comes with the end of every other workload of the host counts as a shutdown.",
        ],
        assumptions: &[
            "The runtime's events can be read.",
            "A service has one key: Compose's labels, a pod's owner, or the name and the image's repository stay the same in its successor.",
        ],
        false_positives: &[
            "A monitor that is taken out of service for good.",
            "An upgrade whose new container needs longer than `successor` to start.",
        ],
        true_positives: &["monitor-ended", "sidecar-paused", "agent-starved", "shipper-killed"],
        benign_twins: &["monitor-replaced", "sidecar-committed", "agent-updated", "shipper-rotated"],
        priority: "High: what happens from now on may not be seen. Medium while other containers of the service run on.",
        response: &[
            "Who did it? Look at the orchestrator's history, and at the audit log of the host (`ausearch -k docker`).",
            "See its state: `docker inspect -f '{{json .State}}' NAME`, and `docker logs --tail 50 NAME`.",
            "Start it again: `docker start NAME`, `docker unpause NAME`, or what its orchestrator needs.",
            "Look at what its workloads did meanwhile: `hopwatch flows`, and alerts of skipped hops.",
            "If its end was meant, add it to rules.monitor-stopped.allowed, or take it out of the configuration.",
        ],
        resources: &["https://attack.mitre.org/techniques/T1562/001/", "https://attack.mitre.org/techniques/T1489/"],
    },
};
