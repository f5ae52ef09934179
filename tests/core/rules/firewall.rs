//! `host-firewall-changed`, driven by facts through the engine.

use std::sync::Arc;

use hopwatch::engine::EngineConfig;
use hopwatch::input::*;

use crate::support::world::{World, config};

fn redirect(id: &str) -> FirewallRule {
    FirewallRule {
        family: "ip".into(),
        table: "nat".into(),
        chain: "PREROUTING".into(),
        action: "redirect".into(),
        id: id.into(),
        overruled_by: 0,
    }
}

fn drops(id: &str) -> FirewallRule {
    FirewallRule { chain: "FORWARD".into(), action: "drop".into(), ..redirect(id) }
}

fn world() -> World {
    World::new(EngineConfig { contracts: vec![], ..config() })
}

fn rules(world: &mut World, millis: u64, process: &str, rules: &[FirewallRule]) {
    let set = FirewallRules { processes: vec![process.into()], rules: rules.to_vec(), omitted: 0 };
    world.push(millis, Fact::Recorded(RecordedFact::Firewall(FirewallFact::Rules(Arc::new(set)))));
}

#[test]
fn a_redirection_that_is_gone_is_reported_once_the_firewall_is_quiet() {
    let mut world = world();
    rules(&mut world, 0, "nft", &[redirect("a"), drops("b")]);
    rules(&mut world, 10_000, "iptables", &[drops("b")]);
    world.tick(14_900);
    assert_eq!(world.raised(), [""; 0], "it may come back");
    world.tick(15_000);
    assert_eq!(world.raised(), ["host-firewall-changed - high"]);
    let evidence = world.evidence();
    assert!(evidence.contains("table ip nat, chain PREROUTING (redirect) is gone"), "{evidence}");
    assert!(evidence.contains("calls itself: iptables"), "{evidence}");
    rules(&mut world, 80_000, "iptables", &[redirect("a"), drops("b")]);
    world.tick(90_000);
    let last = world.alerts.last().expect("its end");
    assert!(last.evidence.iter().any(|one| one.kind == "over"), "{last:?}");
}

#[test]
fn a_reload_that_ends_in_the_same_rules_is_nothing() {
    let mut world = world();
    rules(&mut world, 0, "nft", &[redirect("a"), drops("b")]);
    rules(&mut world, 10_000, "nft", &[]);
    rules(&mut world, 12_000, "nft", &[drops("b"), redirect("a")]);
    world.tick(60_000);
    world.finish();
    assert_eq!(world.raised(), [""; 0]);
}

#[test]
fn an_accept_before_a_redirection_overrules_it_and_more_rules_do_not() {
    let mut world = world();
    rules(&mut world, 0, "nft", &[redirect("a")]);
    rules(&mut world, 10_000, "nft", &[redirect("a"), drops("new")]);
    world.tick(20_000);
    assert_eq!(world.raised(), [""; 0]);
    rules(&mut world, 30_000, "nft", &[FirewallRule { overruled_by: 1, ..redirect("a") }, drops("new")]);
    world.tick(40_000);
    assert_eq!(world.raised(), ["host-firewall-changed - high"]);
}

#[test]
fn a_drop_that_is_gone_matters_less_and_a_firewall_that_is_never_quiet_is_compared_all_the_same() {
    let mut world = world();
    rules(&mut world, 0, "nft", &[drops("b")]);
    for number in 0_u64..70 {
        rules(&mut world, 10_000 + number * 1000, "nft", &[drops(&format!("n{}", number % 2))]);
    }
    world.tick(81_000);
    assert_eq!(world.raised(), ["host-firewall-changed - medium"]);
}
