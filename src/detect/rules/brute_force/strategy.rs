//! The strategy of `brute-force`.

use crate::detect::{Ads, RuleMeta, Severity, Technique};

/// What the rule is.
pub static META: RuleMeta = RuleMeta {
    name: "brute-force",
    title: "Many sessions alike with a login service",
    severity: Severity::Low,
    techniques: &[
        Technique { name: "Brute Force: Password Guessing", v19: "T1110.001", v18: "T1110.001" },
        Technique { name: "Brute Force: Password Spraying", v19: "T1110.003", v18: "T1110.003" },
    ],
    ads: Ads {
        goal: "Detects a service or an address that opens many short sessions of the same size with SSH, FTP, Telnet, RDP or VNC: with one host, with many, or many from outside \
             with one.",
        categorization: "Credential Access: passwords are guessed where one try is one session.",
        strategy: "A session is an answered connection to a login service (by its payload at any port, else by port) that carried payload both ways and has ended. 20 within 10 \
             minutes, of which more than half are alike (both directions within a quarter and 16 bytes of the most frequent pair), are low; where the approved \
             baseline knows sessions there, more than its busiest hour has. When one of three times the usual \
             size comes after that, a guess may have been right: high. Keys: actor and target; actor and many targets; many sources and a target.",
        technical_context: "Zeek takes 30 SSH sessions in 30 minutes and 20 FTP sessions in 15 for guessing; people and tools stay far below. A guess and its refusal have nearly the same size each \
             time; a session that is used does not.",
        blind_spots: &[
            "Many tries inside one connection, and services where a login per request is normal (LDAP, SQL, SMTP, Redis, SMB).",
            "HTTP and SIP: the responder's status is not read.",
            "Fewer than 20 sessions in ten minutes: slow guessing.",
            "A guesser that pads its sessions.",
        ],
        assumptions: &[
            "The end of each session is seen, and both directions.",
            "The actor is a workload, or its address is local (actors.local, --local).",
        ],
        false_positives: &[
            "Configuration management, Git over SSH in CI, backups, monitors that speak the protocol.",
            "A reconnect loop with a wrong password: real, and low.",
        ],
        true_positives: &["brute-force"],
        benign_twins: &["brute-force-twin"],
        priority: "Low: tools do it too. High once a session differs from the many before it.",
        response: &[
            "The evidence gives the target, the number of sessions and their usual size.",
            "Look into the login service's own log: which users, and did one succeed?",
            "Find the program: `nsenter -t PID -n ss -tnp`, `docker top NAME`.",
            "If it is expected, name the service under rules.brute-force.allowed.",
        ],
        resources: &[
            "https://attack.mitre.org/techniques/T1110/",
            "https://docs.zeek.org/en/master/scripts/policy/protocols/ssh/detect-bruteforcing.zeek.html",
        ],
    },
};
