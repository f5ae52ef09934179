//! A configuration that is put into force while the engine runs.

use hopwatch::alert::Alert;
use hopwatch::engine::EngineConfig;
use hopwatch::input::*;

use crate::support::world::{World, at, config, exception};

const OUTSIDE: &str = "198.51.100.7";

/// `web` is at .10, the proxy at .3; `web` went around the proxy at 1 s.
fn after_a_bypass() -> World {
    let mut world = World::new(config());
    world.start(100, "proxy", 3);
    world.start(100, "web", 10);
    world.tcp(1_000, 10, OUTSIDE, 443);
    world.tick(3_000);
    assert_eq!(world.raised(), ["egress-skips-proxy web high"]);
    world
}

fn reconfigure(world: &mut World, config: EngineConfig) {
    world.engine.reconfigure(config, &mut world.alerts);
}

fn without_contracts() -> EngineConfig {
    EngineConfig { contracts: vec![], ..config() }
}

#[test]
fn a_new_contract_judges_what_begins_from_now_on() {
    let mut world = World::new(without_contracts());
    world.start(100, "proxy", 3);
    world.start(100, "web", 10);
    world.tcp(1_000, 10, OUTSIDE, 443);
    world.tick(3_000);
    reconfigure(&mut world, config());
    world.tick(4_000);
    assert_eq!(world.raised(), Vec::<String>::new(), "what was judged before stays");
    world.tcp(5_000, 10, OUTSIDE, 443);
    world.tcp(5_000, 10, "172.20.0.3", 3128);
    world.tick(8_000);
    assert_eq!(world.raised(), ["egress-skips-proxy web high"]);
    assert_eq!((world.count("egress", "bypassed"), world.count("egress", "verified")), (1, 1));
}

#[test]
fn an_open_alert_goes_on_under_its_id() {
    let mut world = after_a_bypass();
    reconfigure(&mut world, config());
    world.tcp(5_000, 10, OUTSIDE, 443);
    world.tick(120_000);
    let of_rule = |alert: &&Alert| alert.rule == "egress-skips-proxy";
    let lines: Vec<_> = world.alerts.iter().filter(of_rule).map(|alert| (&alert.id, alert.count)).collect();
    let [(first, 1), (second, 2)] = lines[..] else { panic!("{lines:?}") };
    assert_eq!(first, second);
}

#[test]
fn each_line_names_the_configuration_that_was_in_force_and_ids_do_not_depend_on_it() {
    let named = |hash: &str| EngineConfig { config_sha256: Some(hash.into()), ..config() };
    let run = |first: &str, second: &str| {
        let mut world = World::new(named(first));
        world.start(100, "proxy", 3);
        world.start(100, "web", 10);
        world.tcp(1_000, 10, OUTSIDE, 443);
        world.tick(3_000);
        reconfigure(&mut world, named(second));
        world.tcp(5_000, 10, OUTSIDE, 443);
        world.tick(120_000);
        let of_rule = world.alerts.iter().filter(|alert| alert.rule == "egress-skips-proxy");
        of_rule.map(|alert| (alert.id.clone(), alert.config_sha256.as_deref().map(str::to_owned))).collect::<Vec<_>>()
    };
    let lines = run("aa", "bb");
    let hashes: Vec<_> = lines.iter().map(|(_, hash)| hash.as_deref()).collect();
    assert_eq!(hashes, [Some("aa"), Some("bb")]);
    let ids = |lines: Vec<(String, Option<String>)>| lines.into_iter().map(|(id, _)| id).collect::<Vec<_>>();
    assert_eq!(ids(lines), ids(run("cc", "dd")));
}

#[test]
fn an_alert_leads_to_the_page_of_its_rule_where_the_configuration_says_it_is() {
    let at = |link: Option<&str>| EngineConfig { rule_page: link.map(Into::into), ..config() };
    let mut world = World::new(at(None));
    world.start(100, "proxy", 3);
    world.start(100, "web", 10);
    world.tcp(1_000, 10, OUTSIDE, 443);
    world.tick(3_000);
    reconfigure(&mut world, at(Some("https://wiki.example/{rule}?of={rule}")));
    world.tcp(5_000, 10, OUTSIDE, 443);
    world.tick(120_000);
    let links: Vec<&str> = world.alerts.iter().map(|alert| alert.link.as_str()).collect();
    let page = "https://wiki.example/egress-skips-proxy?of=egress-skips-proxy";
    assert_eq!(links, ["docs/rules/egress-skips-proxy.md", page]);
}

#[test]
fn what_is_no_longer_asked_for_raises_nothing_and_its_counters_stay() {
    let mut world = after_a_bypass();
    reconfigure(&mut world, without_contracts());
    world.tcp(5_000, 10, "198.51.100.8", 443);
    world.tick(9_000);
    assert_eq!(world.raised(), ["egress-skips-proxy web high"]);
    assert_eq!(world.count("egress", "bypassed"), 1, "a counter never falls");
}

#[test]
fn a_new_exception_holds_back_what_comes_next() {
    let mut world = World::new(config());
    world.start(100, "proxy", 3);
    world.start(100, "web", 10);
    let exceptions = vec![exception("known", "web", at(1_000_000))];
    reconfigure(&mut world, EngineConfig { exceptions, ..config() });
    world.tcp(1_000, 10, OUTSIDE, 443);
    world.tick(4_000);
    assert_eq!(world.raised(), Vec::<String>::new());
    let stats = world.engine.stats();
    assert_eq!(
        (stats.exception_hits.get("known"), stats.exceptions_expire.get("known")),
        (Some(&1), Some(&at(1_000_000)))
    );
    reconfigure(&mut world, config());
    world.tcp(5_000, 10, OUTSIDE, 443);
    world.tick(8_000);
    assert_eq!(world.raised(), ["egress-skips-proxy web high"]);
}

#[test]
fn a_rule_that_is_switched_on_looks_at_what_runs_and_one_that_is_off_is_silent() {
    let mut off = config();
    off.rules.unexpected_host_network.enabled = false;
    let mut world = World::new(off);
    world.start_with(100, "agent", 20, |workload| {
        workload.network_mode = NetworkMode::Host;
        workload.attachments.clear();
    });
    world.tick(3_000);
    assert_eq!(world.raised(), Vec::<String>::new());
    reconfigure(&mut world, config());
    assert_eq!(world.raised(), ["unexpected-host-network agent high"]);
    reconfigure(&mut world, config());
    assert_eq!(world.raised().len(), 1, "once");
}

#[test]
fn a_hop_keeps_what_was_seen_of_it_unless_it_is_another_one() {
    let mut world = World::new(config());
    world.start(100, "proxy", 3);
    world.start(100, "web", 10);
    world.tcp(1_000, 10, "172.20.0.3", 3128);
    world.tick(3_000);
    let seen = |world: &World| world.engine.path().hops.get("proxy").and_then(|hop| hop.last_seen);
    assert_eq!(seen(&world), Some(at(1_000)));
    let mut more = config();
    more.contracts.truncate(1);
    reconfigure(&mut world, more);
    assert_eq!(seen(&world), Some(at(1_000)));
    let mut other = config();
    let stage = &mut other.contracts[0].via[0].any_of[0];
    let mut hop = (**stage).clone();
    hop.ports[0].port = 8080;
    *stage = std::sync::Arc::new(hop);
    reconfigure(&mut world, other);
    assert_eq!(seen(&world), None);
}

#[test]
fn an_update_comes_at_the_new_interval() {
    let mut world = after_a_bypass();
    world.tcp(4_000, 10, OUTSIDE, 443);
    world.tick(7_000);
    let mut longer = config();
    longer.timings.update_interval = std::time::Duration::from_mins(5);
    reconfigure(&mut world, longer);
    world.tick(200_000);
    assert_eq!(world.alerts.len(), 1, "{:?}", world.alerts);
    world.tick(310_000);
    assert_eq!(world.alerts.last().map(|alert| (alert.update, alert.count)), Some((1, 2)));
}
