//! Who acts, with and without a runtime, local networks and local addresses.

use super::*;
use crate::detect::testing::{Bench, owner};
use crate::detect::{ExpectedFrom, Explanation};
use crate::input::Protocol;

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

fn networks(ranges: &[&str]) -> LocalNetworks {
    LocalNetworks::new(ranges.iter().map(|range| range.parse().expect("a range")).collect())
}

/// A flow between two addresses, shown to the actors.
fn flow(bench: &mut Bench, from: &str, to: &str) -> JudgedFlow {
    let record = bench.record(0, Protocol::TCP, from, to);
    let flow = bench.judged(&record);
    bench.actors.see(&flow);
    flow
}

fn finding(actor: &Actor) -> Finding {
    let why = Explanation::new("seen", "normal", ExpectedFrom::Floor);
    let mut finding =
        Finding::of_actor(&crate::detect::rules::unknown_source::META, crate::detect::testing::at(0), actor, "", why);
    finding.severity = Severity::High;
    finding
}

#[test]
fn the_usual_networks_are_private_shared_and_of_the_link() {
    let usual = LocalNetworks::default();
    for local in [
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "100.64.0.1",
        "169.254.1.1",
        "127.0.0.1",
        "::1",
        "fd00::1",
        "fe80::1",
        "::ffff:10.0.0.1",
    ] {
        assert!(usual.contains(ip(local)), "{local}");
    }
    for outside in ["198.51.100.7", "100.128.0.1", "172.32.0.1", "224.0.0.251", "2001:db8::1", "::ffff:198.51.100.7"] {
        assert!(!usual.contains(ip(outside)), "{outside}");
    }
}

#[test]
fn configured_networks_replace_the_usual_ones_and_loopback_stays() {
    let own = networks(&["198.51.100.0/24"]);
    assert!(own.contains(ip("198.51.100.7")) && own.contains(ip("127.0.0.1")) && !own.contains(ip("10.0.0.1")));
    assert_eq!(networks(&[]), LocalNetworks::default());
}

#[test]
fn a_workload_acts_as_its_service_and_a_local_address_as_itself() {
    let mut bench = Bench::new(&[("app-1", 10), ("app-2", 11)]);
    let one = flow(&mut bench, "172.20.0.10:40000", "198.51.100.7:443");
    let other = flow(&mut bench, "172.20.0.11:40000", "192.168.7.7:443");
    let (one_acts, other_acts) = (bench.actors.source(&one), bench.actors.source(&other));
    assert!(one_acts.is_some() && one_acts.as_ref().and_then(Actor::workload).is_some());
    assert_eq!(
        one_acts == other_acts,
        ServiceKey::of(&crate::detect::testing::workload("app-1", 10))
            == ServiceKey::of(&crate::detect::testing::workload("app-2", 11))
    );
    assert_eq!(bench.actors.responder(&bench.timeline, &other), Some(Actor::Address(ip("192.168.7.7"))));
    assert_eq!(bench.actors.responder(&bench.timeline, &one), None, "an outside address does not act");
}

#[test]
fn without_a_local_address_both_ends_act_and_severity_is_capped() {
    let mut bench = Bench::new(&[]);
    let between = flow(&mut bench, "198.51.100.7:40000", "203.0.113.9:443");
    let source = bench.actors.source(&between).expect("the source acts");
    assert!(bench.actors.responder(&bench.timeline, &between).is_some() && bench.actors.are_assumed());
    let mut found = finding(&source);
    assert!(bench.actors.settle(&bench.timeline, &mut found));
    assert_eq!((found.severity, found.is_actor_assumed), (Severity::Medium, true));
    // A local address comes: the others were not ours.
    flow(&mut bench, "10.0.0.5:40000", "203.0.113.9:443");
    assert_eq!(bench.actors.source(&between), None);
    assert!(!bench.actors.settle(&bench.timeline, &mut finding(&source)), "what waited is not reported");
    let own = Actor::Address(ip("10.0.0.5"));
    let mut found = finding(&own);
    assert!(bench.actors.settle(&bench.timeline, &mut found));
    assert_eq!((found.severity, found.is_actor_assumed), (Severity::High, false));
}

#[test]
fn link_local_addresses_do_not_show_which_end_is_ours() {
    let mut bench = Bench::new(&[]);
    flow(&mut bench, "[fe80::1]:5353", "[ff02::fb]:5353");
    assert!(bench.actors.are_assumed());
    let public = flow(&mut bench, "198.51.100.7:40000", "203.0.113.9:443");
    assert!(bench.actors.source(&public).is_some());
    flow(&mut bench, "127.0.0.1:40000", "127.0.0.1:80");
    assert!(!bench.actors.are_assumed());
}

#[test]
fn groups_and_unset_addresses_never_act() {
    let mut bench = Bench::new(&[]);
    for nobody in ["224.0.0.251", "255.255.255.255", "0.0.0.0", "ff02::1", "::"] {
        assert_eq!(bench.actors.of(&Owner::External, ip(nobody)), None, "{nobody}");
    }
    bench.actors = Actors::new(networks(&["0.0.0.0/0", "::/0"]));
    assert_eq!(bench.actors.of(&Owner::External, ip("224.0.0.251")), None);
}

#[test]
fn services_are_bounded_and_what_was_forgotten_is_counted() {
    let mut actors = Actors::default();
    for number in 0..=MAX_SERVICES {
        let Owner::Workload { workload, .. } = owner("app", 10) else { continue };
        let one = Workload { id: WorkloadId::new(&format!("id-{number}")), ..(*workload).clone() };
        actors.know(&Arc::new(one));
    }
    assert_eq!((actors.by_workload.len(), actors.forgotten()), (1, MAX_SERVICES as u64));
}
