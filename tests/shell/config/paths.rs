//! Hops and contracts: what the file says is what the engine gets.

use hopwatch::config::{self, Loaded};
use hopwatch::detect::rules;
use hopwatch::input::{ObservationPoint, Protocol};
use hopwatch::path::{Contract, DestinationSet, EvidenceKind, Family, HopKind, PortSpec, Service, Stage, Unobservable};

use super::{files, folder, text};

fn loaded(text: &str) -> Loaded {
    config::from_str("hopwatch.yaml", text).unwrap_or_else(|error| panic!("{}", error.report(false)))
}

fn advice(loaded: &Loaded) -> Vec<String> {
    loaded.lints.iter().map(ToString::to_string).collect()
}

/// `via ids[inline:transit] > a[gateway:next_hop] | b[gateway:next_hop]`, or `deny`.
fn path(via: &[Stage]) -> String {
    let stages = via.iter().map(|stage| {
        let hops = stage.any_of.iter().map(|hop| {
            let evidence: Vec<_> = hop.evidence.iter().map(|kind| kind.as_str()).collect();
            format!("{}[{:?}:{}]", hop.name, hop.kind, evidence.join("+"))
        });
        hops.collect::<Vec<_>>().join(" | ")
    });
    let stages: Vec<_> = stages.collect();
    if stages.is_empty() { "deny".to_owned() } else { format!("via {}", stages.join(" > ")) }
}

fn line(contract: &Contract) -> String {
    let family = contract.family.map(|family| format!(" {family:?}")).unwrap_or_default();
    format!("{} {:?}{family} {}", contract.name, contract.service, path(&contract.via))
}

#[test]
fn every_example_says_what_its_first_lines_promise() {
    let expected = [
        (
            "complete",
            "web-through-proxy Egress via proxy[Endpoint:peer+redirect]\n\
            dns-through-resolver Dns via resolver[Endpoint:peer+redirect]",
        ),
        ("delivery", "egress-through-proxy Egress via proxy[Endpoint:peer+redirect]"),
        ("dns-resolver", "dns-through-resolver Dns via resolver[Endpoint:peer+redirect]"),
        ("egress-proxy", "egress-through-proxy Egress via proxy[Endpoint:peer+redirect]"),
        ("host-network", ""),
        (
            "ingress",
            "shop-through-ingress Ingress via ingress[Endpoint:peer+redirect]\ndatabase-not-from-outside Ingress deny",
        ),
        (
            "inline-ids",
            "inspected Egress via ids[Inline:transit] > gateway-a[Gateway:next_hop] | gateway-b[Gateway:next_hop]",
        ),
        ("log-stores", "egress-through-proxy Egress via proxy[Endpoint:peer+redirect]"),
        ("metadata-service", "no-metadata Egress deny"),
        ("mirror", "database-is-watched Egress via sensor[Mirror:transit]"),
        ("sidecar", "through-the-sidecar Egress via envoy[Sidecar:owner]"),
        ("transparent-proxy", "web-through-squid Egress via squid[Endpoint:redirect]\nno-quic Egress deny"),
        (
            "vpn-gateway",
            "no-ipv6 Egress Ipv6 deny\n\
            internet-through-vpn Egress via vpn[Gateway:next_hop]\n\
            dns-through-vpn Dns via vpn[Gateway:next_hop]",
        ),
    ];
    let found = files("config/examples").into_iter().map(|file| {
        let name = file.file_stem().expect("a name").to_string_lossy().into_owned();
        let lines: Vec<_> = loaded(&text(&file)).config.engine.contracts.iter().map(line).collect();
        (name, lines.join("\n"))
    });
    let expected: Vec<_> = expected.iter().map(|(name, lines)| ((*name).to_owned(), (*lines).to_owned())).collect();
    assert_eq!(found.collect::<Vec<_>>(), expected);
}

#[test]
fn every_key_of_a_hop_reaches_the_engine() {
    let text = "hops:\n  all:\n    kind: inline\n    workloads: [{name: ids}]\n    addresses: [10.0.0.9]\n    \
        interfaces: [ids0, \"mon*\", \"ids:eth?\"]\n    ports: [3128/tcp]\n    evidence: [transit, relay]\n\
        contracts: [{name: x, from: [{name: \"*\"}], via: [all]}]\n";
    let loaded = loaded(text);
    let [contract] = &loaded.config.engine.contracts[..] else { panic!("one contract") };
    let hop = contract.hops().next().expect("a hop");
    assert_eq!((hop.name.as_str(), hop.kind), ("all", HopKind::Inline));
    assert_eq!(hop.evidence, [EvidenceKind::Transit, EvidenceKind::Relay]);
    assert_eq!(hop.ports, [PortSpec { port: 3128, protocol: Some(Protocol::TCP) }]);
    assert!(hop.is_address("10.0.0.9".parse().expect("address")) && hop.workloads.len() == 1);
    for (point, own) in [("ids0", true), ("mon17", true), ("ids:eth1", true), ("ids1", false), ("ids:lo", false)] {
        assert_eq!(hop.is_interface(&ObservationPoint::new(point)), own, "{point}");
    }
}

#[test]
fn what_leaves_has_sources_destinations_family_and_networks() {
    let text = "hops: {vpn: {kind: gateway, addresses: [10.0.0.9]}}\n\
        contracts: [{name: x, from: [{addresses: [10.0.0.0/24]}], to: [2001:db8::/32], ports: [443, 53/udp], family: ipv6,\n  \
        networks: [shop_default, back], via: [vpn]}]\n";
    let loaded = loaded(text);
    let [contract] = &loaded.config.engine.contracts[..] else { panic!("one contract") };
    assert_eq!(contract.workloads[0].matches_bare_address("10.0.0.7".parse().expect("address")), Some(true));
    assert_eq!(contract.remotes, [DestinationSet::Ranges(vec!["2001:db8::/32".parse().expect("range")])]);
    assert_eq!(contract.family, Some(Family::Ipv6));
    assert_eq!(contract.networks, ["shop_default", "back"]);
    let udp = PortSpec { port: 53, protocol: Some(Protocol::UDP) };
    assert_eq!(contract.ports, [PortSpec { port: 443, protocol: None }, udp]);
}

#[test]
fn what_comes_in_has_the_reached_and_where_from() {
    let text = "hops: {ingress: {workloads: [{name: traefik}]}}\n\
        contracts:\n  - {name: a, service: ingress, into: [{addresses: [10.0.0.0/24]}], ports: [8080/tcp], via: [ingress]}\n  \
        - {name: b, service: ingress, into: [{name: db}], sources: [internet, 192.0.2.0/24], deny: true}\n";
    let loaded = loaded(text);
    let [a, b] = &loaded.config.engine.contracts[..] else { panic!("two contracts") };
    assert_eq!((a.service, &a.remotes[..]), (Service::Ingress, &[DestinationSet::Any][..]));
    assert_eq!(a.workloads[0].matches_bare_address("10.0.0.7".parse().expect("address")), Some(true));
    assert_eq!(a.ports, [PortSpec { port: 8080, protocol: Some(Protocol::TCP) }]);
    let range = DestinationSet::Ranges(vec!["192.0.2.0/24".parse().expect("range")]);
    assert_eq!(b.remotes, [DestinationSet::Internet, range]);
    assert!(b.via.is_empty());
}

#[test]
fn printing_spells_out_what_proves_a_hop() {
    let text = "hops: {vpn: {kind: gateway, workloads: [{name: vpn}]}, proxy: {addresses: [10.0.0.1], evidence: [relay]}}\n\
        contracts: [{name: x, from: [{name: \"*\"}], via: [vpn, [proxy]]}, {name: y, from: [{name: a}], deny: true}]\n";
    let loaded = loaded(text);
    let printed: serde_json::Value = serde_saphyr::from_str(&loaded.printed).expect("YAML");
    assert_eq!(printed["hops"]["vpn"]["evidence"], serde_json::json!(["next_hop"]));
    assert_eq!(printed["hops"]["proxy"]["evidence"], serde_json::json!(["relay"]));
    assert_eq!(printed["contracts"][0]["via"], serde_json::json!(["vpn", ["proxy"]]));
    let denied = printed["contracts"][1].as_object().expect("a mapping");
    assert!(denied["deny"] == true && !denied.contains_key("via") && !denied.contains_key("to"), "{denied:?}");
    let again = config::from_str("printed.yaml", &loaded.printed).expect("right");
    assert_eq!(again.printed, loaded.printed);
    assert_eq!(
        again.config.engine.contracts.iter().map(line).collect::<Vec<_>>(),
        ["x Egress via vpn[Gateway:next_hop] > proxy[Endpoint:relay]", "y Egress deny"]
    );
}

#[test]
fn a_hop_that_nothing_captures_and_a_stage_behind_the_end_are_told() {
    let text = "hops:\n  ids: {kind: inline, interfaces: [ids0]}\n  bridge: {kind: inline, interfaces: [br-ids]}\n  \
        globbed: {kind: mirror, interfaces: [\"mon*\"]}\n  by-workload: {kind: mirror, workloads: [{name: ids}]}\n  \
        odd: {kind: gateway, addresses: [10.0.0.1], interfaces: [br-x]}\n  proxy: {addresses: [10.0.0.2]}\n\
        contracts:\n  - {name: a, from: [{name: \"*\"}], via: [ids, bridge, globbed, odd, proxy, by-workload]}\n";
    let behind = text.replace("odd, proxy, by-workload", "proxy, by-workload, odd");
    let of_hops = [
        "hopwatch.yaml:2:35: the hop \"ids\" is seen at ids0, which capture.interfaces does not name",
        "hopwatch.yaml:5:3: the hop \"by-workload\" is seen at the host's side of its workloads' interfaces (such as veth*), which \
        capture.interfaces does not name",
        "hopwatch.yaml:6:59: the hop \"odd\" has interfaces, but is not proven by what is seen there (evidence: transit)",
    ];
    assert_eq!(advice(&loaded(text)), of_hops);
    let end = "hopwatch.yaml:9:84: this stands behind the hop at which the flow ends; what that hop sends on is a flow of its own";
    assert_eq!(advice(&loaded(&behind)), [&of_hops[..], &[end]].concat());
    let captured = format!("{text}capture: {{interfaces: [\"br-*\", \"ids?\", \"veth*\"]}}\n");
    assert_eq!(advice(&loaded(&captured)), of_hops[2..]);
    let inside = format!("{text}capture: {{inside_namespaces: all}}\n");
    assert_eq!(advice(&loaded(&inside)), [of_hops[0], of_hops[2]]);
}

/// Which rule speaks follows from service and kind; those that this build does not have are not spoken of.
#[test]
fn a_contract_whose_rule_is_off_is_told() {
    let hops = "hops: {e: {addresses: [10.0.0.1]}, g: {kind: gateway, addresses: [10.0.0.1]}, i: {kind: inline, interfaces: [br-i]},\n  \
        m: {kind: mirror, interfaces: [br-m]}, s: {kind: sidecar, workloads: [{name: s}]}}\n";
    let cases = [
        ("egress-skips-proxy", "from: [{name: a}], via: [e]"),
        ("egress-skips-proxy", "from: [{name: a}], deny: true"),
        ("dns-skips-resolver", "service: dns, from: [{name: a}], via: [e]"),
        ("dns-skips-resolver", "service: dns, from: [{name: a}], deny: true"),
        ("gateway-skipped", "from: [{name: a}], via: [g]"),
        ("gateway-skipped", "service: dns, from: [{name: a}], via: [g]"),
        ("monitor-hop-skipped", "from: [{name: a}], via: [[i, m]]"),
        ("sidecar-skipped", "from: [{name: a}], via: [s]"),
        ("published-port-direct", "service: ingress, into: [{name: a}], via: [e]"),
        ("published-port-direct", "service: ingress, into: [{name: a}], deny: true"),
    ];
    for (rule, contract) in cases {
        let told = |rules: &str| {
            let text = format!("{hops}contracts: [{{name: x, {contract}}}]\n{rules}");
            advice(&loaded(&text)).into_iter().filter(|advice| advice.contains("is judged")).collect::<Vec<_>>()
        };
        assert_eq!(told(""), [] as [&str; 0], "{contract}");
        if rules::ALL.iter().any(|known| known.name == rule) {
            let off = told(&format!("rules: {{{rule}: {{enabled: false}}}}\n"));
            let text = format!("hopwatch.yaml:3:20: the contract \"x\" is judged, but the rule {rule} is off");
            assert_eq!(off, [text], "{contract}");
        }
    }
}

#[test]
fn the_page_about_contracts_shows_what_works_and_names_every_word() {
    let page = text(&folder("docs/contracts.md"));
    let blocks: Vec<_> =
        page.split("```yaml\n").skip(1).map(|rest| rest.split("```").next().expect("its end")).collect();
    assert!(blocks.len() >= 8, "the page was not understood");
    for block in blocks {
        assert_eq!(advice(&loaded(block)), [] as [&str; 0], "{block}");
    }
    let words = [
        words_of(&schemars::schema_for!(Unobservable).to_value()),
        words_of(&schemars::schema_for!(EvidenceKind).to_value()),
        words_of(&schemars::schema_for!(HopKind).to_value()),
        words_of(&schemars::schema_for!(Service).to_value()),
    ]
    .concat();
    assert!(words.len() >= 22, "{words:?}");
    let missing: Vec<_> = words
        .iter()
        .filter(|word| !page.contains(&format!("`{word}`")) && !page.contains(&format!(": {word}`")))
        .collect();
    assert!(missing.is_empty(), "docs/contracts.md lacks {missing:?}");
}

/// The words of an enum's schema.
fn words_of(schema: &serde_json::Value) -> Vec<String> {
    let parts = schema["oneOf"].as_array().or(schema["enum"].as_array()).expect("an enum");
    parts.iter().filter_map(|part| part["const"].as_str().or(part.as_str())).map(str::to_owned).collect()
}
