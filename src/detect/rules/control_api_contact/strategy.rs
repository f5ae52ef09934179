//! The strategy of `control-api-contact`.

use crate::detect::{Ads, RuleMeta, Severity, Technique};

/// What the rule is.
pub static META: RuleMeta = RuleMeta {
    name: "control-api-contact",
    title: "A container or cluster control API was contacted",
    severity: Severity::Medium,
    techniques: &[
        Technique { name: "Container and Resource Discovery", v19: "T1613", v18: "T1613" },
        Technique { name: "Container Administration Command", v19: "T1609", v18: "T1609" },
        Technique { name: "Deploy Container", v19: "T1610", v18: "T1610" },
        Technique { name: "Container API", v19: "T1552.007", v18: "T1552.007" },
    ],
    ads: Ads {
        goal: "Detects a service that talks to an API that controls containers: Docker's, the kubelet's, etcd's or Kubernetes' own. Who may create a \
             container there owns the host.",
        categorization: "Discovery and execution: from a foothold in a container to all others and to the host.",
        strategy: "By HTTP requests in clear text, at any port: paths of Docker's API (with a version, or those that nobody else has), of the kubelet (its own \
             ports, or /runningpods), of etcd and of Kubernetes. Methods that change something are high, reads medium. By port: a workload's connection to a \
             port of its host where such APIs listen (2375, 2376, 2379, 4243, 10250, 10255, 10259) and that answered with data is medium, over TLS too. \
             6443 is left to a baseline: operators and controllers talk to it all day.",
        technical_context: "Docker listens at 2375 without any login; the kubelet's read-only port shows every pod. Scanners look for both, and worms create their next \
             container there. The first request of each connection is read, up to 64 bytes of its path and without its query.",
        blind_spots: &[
            "Requests over TLS to other places than the host, and over a mounted socket (sensitive-mount reports the mount).",
            "Requests after the first of a kept connection.",
            "containerd over TCP, and HTTP/2.",
        ],
        assumptions: &["The bridge or veth is captured, and with it the first bytes of connections."],
        false_positives: &[
            "Ingress controllers, Portainer, Watchtower, socket proxies, cAdvisor, metrics-server, operators and CI runners: name them under \
             rules.control-api-contact.allowed, by digest.",
            "A service whose own paths look like Docker's.",
        ],
        true_positives: &["anomaly-control-api"],
        benign_twins: &["anomaly-lookalikes"],
        priority: "High where a request changes something: the next step is the host. Medium for reads.",
        response: &[
            "The evidence gives method and path. Is managing containers the service's task?",
            "Look at what was created or executed since: `docker events --since`, `docker ps -a`, audit logs of the cluster.",
            "Close the API: no TCP without client certificates; kubelet with authorisation, read-only port off.",
            "If it is meant, name the service under rules.control-api-contact.allowed.",
        ],
        resources: &[
            "https://attack.mitre.org/techniques/T1613/",
            "https://attack.mitre.org/techniques/T1610/",
            "https://docs.docker.com/engine/api/",
        ],
    },
};
