//! `dns-skips-resolver`.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::detect::{Ads, Context, Findings, Rule, RuleMeta, Severity, Technique, skipped_hop};
use crate::path::{JudgedFlow, Skip};

/// Parameters.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Params {
    /// Whether the rule speaks.
    pub enabled: bool,
}

impl Default for Params {
    fn default() -> Self {
        Self { enabled: true }
    }
}

/// The rule; it keeps no state.
#[derive(Debug)]
pub struct DnsSkipsResolver;

/// The rule with its parameters.
pub fn rule(_params: &Params) -> impl Rule + use<> {
    DnsSkipsResolver
}

impl Rule for DnsSkipsResolver {
    fn meta(&self) -> &'static RuleMeta {
        &META
    }

    fn on_flow(&mut self, _context: Context<'_>, flow: &JudgedFlow, findings: &mut Findings) {
        if let Some(finding) = skipped_hop::finding(&META, Skip::Resolver, flow) {
            findings.push(finding);
        }
    }
}

/// What the rule is.
pub static META: RuleMeta = RuleMeta {
    name: "dns-skips-resolver",
    title: "Container asked a resolver that is not its own",
    severity: Severity::High,
    techniques: &[Technique { name: "Application Layer Protocol: DNS", v19: "T1071.004", v18: "T1071.004" }, Technique { name: "Protocol Tunneling", v19: "T1572", v18: "T1572" }],
    ads: Ads {
        goal: "Tell when a container resolves names at a resolver that its DNS contract does not name, so that \
             name-based monitoring and blocking never see the question.",
        categorization: "Command and Control: DNS to a resolver of the adversary's choice carries commands, data, or only the \
             names that the own resolver would have logged or refused.",
        strategy: "Flows to port 53 over UDP and TCP, and to port 853 (DNS over TLS, DNS over QUIC), of workloads that a \
             DNS contract names are judged by their responder, before any egress contract is. So are flows at any port \
             that give resolution away by what they say: a TLS or QUIC hello that names a public resolver (a list of \
             some 100 names is built in) or offers `dot` or `doq`, a CONNECT or SOCKS request to be relayed to one, HTTPS to \
             the address of one, or a plain question at another port. A responder other than the contract's resolver is \
             bypassed, and this rule fires; the evidence says what gave it away.",
        technical_context: "On a user-defined Docker network a container asks 127.0.0.11, and the daemon's resolver forwards from \
             inside the container's namespace to the servers given by --dns or by the host: these forwarded questions \
             are what the bridge shows. A process can send to any other server without changing /etc/resolv.conf. Browsers, curl (--doh-url), \
             systemd-resolved, dnscrypt-proxy, cloudflared and many programs written in Go or Rust can ask over HTTPS.",
        blind_spots: &[
            "DNS over HTTPS at an endpoint that is on no list looks like any HTTPS: a resolver of the adversary's own, or one \
             behind a content network's name.",
            "A hello that is encrypted (ECH) hides the name; then only a known resolver's address gives it away. So does a \
             hello that was not captured, or that another relay carries.",
            "Oblivious DNS, DNSCrypt and names asked for inside a tunnel are not recognised.",
            "A tunnel through the allowed resolver is told by tunnel-from-container.",
            "A source that is not attributed in time gives unobservable (unattributed_address).",
        ],
        assumptions: &[
            "The bridge or veth is captured.",
            "The resolver is named by workload or address; Docker's forwarding then shows the container's own \
             address.",
        ],
        false_positives: &[
            "A workload with a resolver of its own (a mail server, a recursive resolver): name it as a hop, or write \
             an exception.",
            "A host whose upstream servers changed: update the contract.",
            "A browser or a library that turns DNS over HTTPS on by itself: switch it off, or name its resolver as a hop.",
            "The web page of a public resolver's operator, where it is served under the resolver's name or address.",
        ],
        true_positives: &[
            "dns-foreign-resolver",
            "doh-skips-resolver",
        ],
        benign_twins: &[
            "dns-through-resolver",
            "doh-to-own-resolver",
        ],
        priority: "High: a question that was sent has left, answered or not. Medium for a TCP connection that nobody \
             answered.",
        response: &[
            "Look at the resolver's address: is it a public one, one of yours, or unknown?",
            "Read /etc/resolv.conf in the container and its --dns settings: `docker inspect -f '{{.HostConfig.Dns}}' \
             NAME`.",
            "Capture the questions: `hopwatch record -i BRIDGE -o DIR`, then read the names in traffic.pcapng.",
            "If nobody can explain it, disconnect the container from its network and keep it as evidence.",
            "If it is allowed, add the resolver to the hop, or write an exception with owner, reason and expiry.",
        ],
        resources: &[
            "https://attack.mitre.org/techniques/T1071/004/",
            "https://attack.mitre.org/techniques/T1572/",
            "https://www.rfc-editor.org/rfc/rfc7858",
            "https://www.rfc-editor.org/rfc/rfc8484",
            "https://www.rfc-editor.org/rfc/rfc9250",
        ],
    },
};
