//! A baseline that is approved while the engine runs.

use std::sync::Arc;

use hopwatch::baseline::{Baseline, BaselineDocument};
use hopwatch::input::*;

use crate::support::world::{World, at, config};

fn web() -> Workload {
    let logging = Logging { driver: "json-file".to_owned(), ..Logging::default() };
    let configuration = Configuration { logging: Some(logging), ..Configuration::default() };
    let plain = Workload::new(WorkloadId::new(&"a1".repeat(32)), "web", RuntimeId::DOCKER);
    Workload {
        image: "shop/web:1".to_owned(),
        configuration: Some(Arc::new(configuration)),
        since: Some(at(0)),
        ..plain
    }
}

/// Expects this log driver of `web`.
fn approved(serial: u64, driver: &str) -> BaselineFact {
    let document = serde_json::json!({
        "schema": "hopwatch.baseline/1",
        "serial": serial,
        "services": [{
            "match": {"name": "web", "image": "shop/web"},
            "learned": {"from": "2026-11-20T08:00:00Z", "to": "2026-11-21T08:00:00Z", "starts": 3, "replicas": 1},
            "expect": {"logging.driver": driver, "limits.pids": {"range": [1, 100]}, "privileged": "no", "environment": {"TZ": "any"}},
        }],
    });
    let [file, sha256, by, why] = ["baseline.yaml", "ab", "kai", "test"].map(str::to_owned);
    BaselineFact::Approved { file, serial, sha256, by, why, document: Arc::new(document) }
}

fn rules(world: &World) -> Vec<&str> {
    world.alerts.iter().map(|alert| alert.rule).collect()
}

#[test]
fn an_approval_on_the_way_is_in_force_for_containers_that_run_already() {
    let mut world = World::new(config());
    world.runtime(1_000, InventoryEvent::Workload(Arc::new(web())));
    assert!(world.alerts.is_empty(), "{:?}", world.alerts);
    world.push(2_000, Fact::from(approved(2, "fluentd")));
    assert_eq!(rules(&world), ["baseline-changed", "log-driver-changed"]);
    world.push(3_000, Fact::from(approved(3, "json-file")));
    assert_eq!(
        rules(&world),
        ["baseline-changed", "log-driver-changed", "baseline-changed"],
        "it is as expected again"
    );
}

#[test]
fn a_baseline_is_read_from_json_as_from_its_file() {
    let BaselineFact::Approved { document, .. } = approved(2, "fluentd") else { panic!() };
    let baseline = Baseline::from_json(&document).expect("a baseline");
    let again = serde_json::to_value(BaselineDocument::from(&baseline)).expect("JSON");
    assert_eq!(Baseline::from_json(&again).expect("a baseline"), baseline);
    assert!(Baseline::from_json(&serde_json::json!({"schema": "hopwatch.baseline/9"})).is_err());
}
