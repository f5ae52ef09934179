//! `dns-skips-resolver`.

use crate::detect::skipped_hop::SkipRule;
use crate::detect::{Ads, Rule, RuleMeta, Severity, Technique};
use crate::path::Skip;

pub use crate::detect::skipped_hop::Params;

/// The rule; it keeps no state.
pub fn rule(_params: &Params) -> impl Rule + use<> {
    SkipRule::new(&META, Skip::Resolver)
}

/// What the rule is.
pub static META: RuleMeta = RuleMeta {
    name: "dns-skips-resolver",
    title: "Container asked a resolver that is not its own",
    severity: Severity::High,
    techniques: &[
        Technique { name: "Application Layer Protocol: DNS", v19: "T1071.004", v18: "T1071.004" },
        Technique { name: "Protocol Tunneling", v19: "T1572", v18: "T1572" },
    ],
    ads: Ads {
        goal: "Detects a container that resolves names at a resolver which its DNS contract does not name, so that \
             name-based monitoring and blocking never see the question.",
        categorization: "Command and Control: DNS to a resolver of the adversary's choice carries commands, data, or only the \
             names that the own resolver would have logged or refused.",
        strategy: "Flows to port 53 over UDP and TCP, and to port 853 (DNS over TLS, DNS over QUIC), of workloads \
             that a DNS contract names are judged by their responder, before any egress contract is. So are flows at \
             any port whose content shows name resolution: a TLS or QUIC hello that names a public resolver (a list \
             of some 100 names is built in) or offers `dot` or `doq`, a CONNECT or SOCKS request to be relayed to \
             one, HTTPS to the address of one, or a plain question at another port. At the ports of mDNS, LLMNR and NetBIOS (5353, 5355, \
             137) a private address is asked for its neighbours' names only: below `local`, of one label, or of an address; any other \
             name there is a question to a resolver. A responder other than the \
             contract's resolver is bypassed, and this rule fires; the evidence says what showed it.",
        technical_context: "On a user-defined Docker network a container asks 127.0.0.11, and the daemon's resolver forwards from \
             inside the container's namespace to the servers given by --dns or by the host: these forwarded questions \
             are what the bridge shows. A process can send to any other server without changing /etc/resolv.conf. Browsers, curl (--doh-url), \
             systemd-resolved, dnscrypt-proxy, cloudflared and many programs written in Go or Rust can ask over HTTPS.",
        blind_spots: &[
            "DNS over HTTPS at an endpoint that is on no list looks like any HTTPS: a resolver of the adversary's own, or one \
             behind a content network's name.",
            "A hello that is encrypted (ECH) hides the name; then only a known resolver's address shows it. So does \
             a hello that was not captured, or that another relay carries.",
            "Data in names below `local`, asked of a neighbour at the ports of mDNS, LLMNR and NetBIOS.",
            "Oblivious DNS, DNSCrypt and names asked for inside a tunnel are not recognised.",
            "tunnel-from-container detects a tunnel through the allowed resolver.",
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
        true_positives: &["dns-foreign-resolver", "doh-skips-resolver"],
        benign_twins: &["dns-through-resolver", "doh-to-own-resolver"],
        priority: "High: a question that was sent has left, answered or not. Medium for a TCP connection that nobody \
             answered.",
        response: &[
            "See whose the resolver's address is: a public one, one of yours, or unknown.",
            "Read /etc/resolv.conf in the container and its --dns settings: `docker inspect -f '{{.HostConfig.Dns}}' \
             NAME`.",
            "Capture the questions: `hopwatch record -i BRIDGE -o DIR`, then read the names in traffic.pcapng.",
            "If there is no explanation, disconnect the container from its network and keep it as evidence.",
            "If it is allowed, add the resolver to the hop, or write an exception: `hopwatch exceptions add ALERT --help`.",
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
