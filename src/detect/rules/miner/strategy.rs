//! The strategy of `miner`.

use crate::detect::{Ads, RuleMeta, Severity, Technique};

/// What the rule is.
pub static META: RuleMeta = RuleMeta {
    name: "miner",
    title: "Mining, or a node of a crypto currency",
    severity: Severity::Medium,
    techniques: &[Technique { name: "Compute Hijacking", v19: "T1496.001", v18: "T1496.001" }],
    ads: Ads {
        goal: "Detects a service or an address that mines for a pool, runs a node of a crypto currency, or asks for a pool by name.",
        categorization: "Impact: somebody else uses the machine's computing time, and got in to do so.",
        strategy: "Stratum in clear text is certain (high): JSON-RPC with mining.subscribe, authorize, configure, submit, notify or set_difficulty, eth_getWork, \
             eth_submitLogin or eth_submitWork, or a login with algo or agent, within the first 1,024 bytes of either side. A node (medium): the marks of \
             Bitcoin's family with the name of a message behind them, or Monero's header. Likely (low): a name below one of a short list of pools was asked \
             for, or is in the TLS hello, or is the name that the flow's address was answered for. The asked name counts, never an address that was looked up \
             later: pools sit behind shared content networks.",
        technical_context: "XMRig and its kin connect to port 3333, 4444, 5555, 7777, 14444 or 443, in clear text or over TLS, and stay connected. A miner that was dropped \
             into a container is the most frequent outcome of an exposed API.",
        blind_spots: &[
            "Stratum over TLS and Stratum 2, which is encrypted, unless the pool's name shows.",
            "Mining through a private proxy under a name of its own; its shape alone is not judged.",
            "JSON-RPC inside HTTP requests (getwork, getblocktemplate).",
            "Pools that are not on the list.",
        ],
        assumptions: &[
            "The first payload of the connection is captured.",
            "Questions of name resolution pass an observation point, for what rests on names.",
        ],
        false_positives: &[
            "Wallets, payment services and explorers that run a node: name them under rules.miner.allowed.",
            "A resolver that passes questions on, a block list that looks pools up, a person who reads a pool's page (low).",
        ],
        true_positives: &["anomaly-miner"],
        benign_twins: &["anomaly-lookalikes"],
        priority: "High where the protocol is certain, medium for a node, low for a name alone.",
        response: &[
            "Look at the container's processor use: `docker stats NAME`, `docker top NAME`.",
            "How did the program get in? Look at exposed APIs, at recent execs and at the image's digest.",
            "Keep the container as evidence (`docker pause NAME`), and block the pool.",
            "If it is meant, name the service under rules.miner.allowed.",
        ],
        resources: &[
            "https://attack.mitre.org/techniques/T1496/001/",
            "https://en.bitcoin.it/wiki/Stratum_mining_protocol",
            "https://github.com/falcosecurity/rules/issues/62",
        ],
    },
};
