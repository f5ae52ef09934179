//! What contracts say of a flow.

use std::sync::Arc;

use super::{Evidence, Hop, MissingHop, Service, Verdict};

/// What a contract says of a flow.
#[derive(Clone, Debug, PartialEq)]
pub struct Judgement {
    /// Name of the contract.
    pub contract: Arc<str>,
    /// What traffic the contract is about.
    pub service: Service,
    /// The verdict.
    pub verdict: Verdict,
    /// The hop that was skipped, for `bypassed` and `partial`.
    pub missing_hop: Option<MissingHop>,
    /// How the hop was skipped, for `bypassed`, `partial`, and for `unobservable (hop_not_ready)`; it decides which rule speaks.
    pub skip: Option<Skip>,
    /// What the verdict rests on; nothing for `verified`, of which only the hops are said.
    pub evidence: Vec<Evidence>,
    /// Hops that were proven to be passed.
    pub passed: Vec<Arc<Hop>>,
}

/// How a hop was skipped: the most telling explanation, so that one flow makes one alert.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Skip {
    /// Before the hop was ready for the first time since the workload started.
    Startup,
    /// Over a network that the contract does not name.
    Network,
    /// Over IPv6, while the workload keeps the contract over IPv4.
    Ipv6,
    /// A resolver.
    Resolver,
    /// What came in did not come from the ingress.
    Ingress,
    /// A gateway.
    Gateway,
    /// An inline or mirror hop.
    Monitor,
    /// A sidecar.
    Sidecar,
    /// A proxy, or no path is allowed at all.
    Proxy,
}

/// What the contracts say now.
#[derive(Clone, Debug, PartialEq)]
pub enum Outcome {
    /// No contract covers the flow.
    Uncovered,
    /// A hop sends on what a contract brings to it: no contract covers that.
    SentOn,
    /// Evidence may still come.
    Wait,
    /// Final.
    Judged(Judgement),
}
