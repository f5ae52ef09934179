//! Documents, written and read back.

use std::collections::BTreeSet;

use super::*;
use crate::baseline::model::item_id;
use crate::baseline::traffic::{Facts, KnownTexts, Peer, Row, Seen, TrafficBaseline, TrafficLearned, Way};
use crate::baseline::volume::{Figure, HourRow, VolumeBaseline, Within};
use crate::inventory::configuration::Value;
use crate::path::checked_glob;
use crate::time::Timestamp;

fn text(text: &str) -> Value {
    Value::Text(text.to_owned())
}

fn key(name: ServiceName) -> ServiceKey {
    ServiceKey::new(name, "registry.example/shop/web")
}

/// One of everything.
fn whole() -> Baseline {
    let mut service = ServiceBaseline::new(key(ServiceName::Compose { project: "shop".into(), service: "web".into() }));
    let at = Timestamp::from_secs(1_000_000);
    service.learned = Some(Learned { from: at, to: at, starts: 3, replicas: 2 });
    service.approved =
        Some(Approval { by: "kai".into(), at, why: "first".into(), changes: vec!["user was 0, is app".into()] });
    service.groups = BTreeSet::from(["environment", "sysctls"]);
    let glob = checked_glob("volume shop_*").expect("a glob").compile_matcher();
    service.expect = [
        ("logging.driver", Expectation::Exact(text("fluentd"))),
        ("privileged", Expectation::Exact(text("no"))),
        ("user", Expectation::Exact(text("any"))),
        ("command", Expectation::OneOf([text("a b"), Value::UNSET].into())),
        ("capabilities", Expectation::Exact(Value::Set(["CAP_CHOWN".to_owned()].into()))),
        ("limits.pids", Expectation::Range(10, 100)),
        ("limits.memory", Expectation::Exact(Value::Number(1 << 30))),
        ("handler", Expectation::Any),
        ("restart", Expectation::Pattern("volume shop_*".into(), glob)),
        ("environment.TZ", Expectation::Exact(text("hk01020304:00"))),
        ("environment.NUMBER", Expectation::Exact(text("0123"))),
        ("environment.UNSET", Expectation::Exact(Value::UNSET)),
    ]
    .into_iter()
    .map(|(path, it)| (Field::parse(path).expect(path), it))
    .collect();
    let mut baseline = Baseline::new(42, Some("hk01020304".into()));
    let names = [
        ServiceName::Pod { namespace: "a".into(), controller: "b-*".into(), container: "c".into() },
        ServiceName::Swarm("shop_web".into()),
        ServiceName::Unit("web.service".into()),
        ServiceName::Name("web-*".into()),
    ];
    for name in names {
        let shadow = ServiceBaseline { state: ServiceState::Shadow, ..ServiceBaseline::new(key(name)) };
        baseline.insert(shadow);
    }
    let field = Field::member("mounts", "/var/run/docker.sock");
    let value = text("bind /run/docker.sock (writable)");
    let id = item_id(&service.key, &field, &value);
    let reason = "runtime socket".to_owned();
    baseline.quarantine.push(QuarantineItem {
        id,
        service: service.key.clone(),
        what: Held::Setting(field, value),
        first: at,
        seen: 3,
        reason,
    });
    let rows =
        ["domain updates.example", "network 203.0.113.0/24", "service shop/db (postgres)"].map(|peer| row(peer, at));
    let mut traffic = TrafficBaseline::default();
    traffic.learned = Some(TrafficLearned { from: at, to: at, starts: 1, contacts: 7, left_out: 0 });
    let hours: Vec<HourRow> = (0..300).filter_map(|hour| HourRow::new(hour, [hour.unsigned_abs() * 7; 6])).collect();
    let zone = "CET-1CEST,M3.5.0,M10.5.0/3".parse().expect("a rule");
    traffic.volume = VolumeBaseline::of(zone, 2, 1, &hours).expect("sketches");
    let accepted = Within { from: 5000, to: 9000 };
    traffic.volume.as_mut().expect("hours").accept(Figure::BytesIn, accepted);
    assert!(rows.iter().all(|row| traffic.insert(row.clone())));
    assert!(traffic.insert(Row { way: Way::Listens, peer: Peer::Outside, ..rows[0].clone() }));
    service.traffic = Some(traffic);
    let what = Held::Traffic(Box::new(row("domain odd.example", at)));
    let id = "q01020304".to_owned();
    baseline.quarantine.push(QuarantineItem {
        id,
        service: service.key.clone(),
        what,
        first: at,
        seen: 2,
        reason: "odd".into(),
    });
    baseline.insert(service);
    baseline
}

fn row(peer: &str, at: Timestamp) -> Row {
    let known = |text: &str| KnownTexts::These([text.to_owned()].into());
    let seen = Seen::new(Some((at, at)), 1, 3, 2);
    let facts = Facts { names: known("www.updates.example"), speaks: known("tls"), ja4: KnownTexts::Any, seen };
    let ports = "443/tcp".parse().expect("a port");
    Row { way: Way::Reaches, peer: peer.parse().expect("a peer"), ports, facts }
}

#[test]
fn traffic_that_overlaps_and_an_item_about_nothing_are_refused() {
    let mut document = serde_json::to_value(BaselineDocument::from(&whole())).expect("JSON");
    let text = document.to_string();
    let again = text.replace("network 203.0.113.0/24", "domain updates.example");
    let read = |text: &str| serde_json::from_str::<BaselineDocument>(text).expect("a document").checked();
    assert!(matches!(read(&again), Err(DocumentError::Traffic { .. })), "{again}");
    let item = document["quarantine"][0].as_object_mut().expect("an item");
    item.remove("value");
    assert!(matches!(read(&document.to_string()), Err(DocumentError::Quarantine { .. })));
    assert!(serde_json::from_str::<BaselineDocument>(&text.replace("443/tcp", "https")).is_err());
}

#[test]
fn amounts_that_were_edited_or_do_not_parse_are_refused_with_what_to_do() {
    let document = serde_json::to_value(BaselineDocument::from(&whole())).expect("JSON");
    let place = document["services"].as_array().expect("services").iter().position(|it| it["traffic"].is_object());
    let changed = |change: &dyn Fn(&mut serde_json::Value)| {
        let mut document = document.clone();
        change(&mut document["services"][place.expect("traffic")]["traffic"]["volume"]);
        let read = serde_json::from_value::<BaselineDocument>(document).map_err(|error| error.to_string());
        read.and_then(|document| document.checked().map_err(|error| error.to_string())).err().unwrap_or_default()
    };
    assert_eq!(changed(&|_| {}), "");
    assert!(changed(&|it| it["bytes_out"]["p99"] = 1.into()).contains("bytes_out: the figures beside a sketch"));
    assert!(changed(&|it| it["flows_in"]["sketch"] = "AAAA".into()).contains("the sketch is damaged"));
    assert!(changed(&|it| it["flows_in"]["sketch"] = "x".repeat(9000).into()).contains("no base64, or too long"));
    assert!(changed(&|it| it["hours"] = "AAAA".into()).contains("remove `volume` and learn it again"));
    assert!(changed(&|it| it["time_zone"] = "Moon".into()).contains("is no time zone"));
    assert_eq!(changed(&|it| it["bytes_in"]["accepted"] = serde_json::json!([1, 2])), "");
}

#[test]
fn what_is_written_is_read_back_equal() {
    let json = serde_json::to_string(&BaselineDocument::from(&whole())).expect("written");
    let document: BaselineDocument = serde_json::from_str(&json).expect("read");
    assert_eq!(document.checked(), Ok(whole()));
}

#[test]
fn a_newer_schema_is_refused_by_its_name() {
    assert_eq!(BaselineDocument::check_schema("hopwatch.baseline/1"), Ok(()));
    let newer = "hopwatch.baseline/2".to_owned();
    assert_eq!(BaselineDocument::check_schema(&newer), Err(DocumentError::Newer(newer)));
    assert!(matches!(BaselineDocument::check_schema("hopwatch.alert/1"), Err(DocumentError::Other(_))));
}

#[test]
fn two_entries_for_one_service_and_a_match_of_two_managers_are_refused() {
    let twice = r#"{"match":{"name":"a","image":"x"}}"#;
    let read = |services: &str| {
        let text = format!(r#"{{"schema":"hopwatch.baseline/1","serial":1,"services":[{services}]}}"#);
        serde_json::from_str::<BaselineDocument>(&text).expect("the right shape").checked()
    };
    assert!(matches!(read(&format!("{twice},{twice}")), Err(DocumentError::Twice(_))));
    let two = r#"{"match":{"name":"a","unit":"b","image":"x"}}"#;
    assert_eq!(read(two), Err(DocumentError::Match { number: 1 }));
    assert_eq!(read(r#"{"match":{"image":"x"}}"#), Err(DocumentError::Match { number: 1 }));
}

#[test]
fn a_wrong_field_form_or_range_is_refused() {
    let read = |expect: &str| {
        let text = format!(
            r#"{{"schema":"hopwatch.baseline/1","serial":1,"services":[{{"match":{{"name":"a","image":"x"}},"expect":{expect}}}]}}"#
        );
        serde_json::from_str::<BaselineDocument>(&text).err().map(|error| error.to_string()).unwrap_or_default()
    };
    assert_eq!(read(r#"{"privileged":"no","mounts":{}}"#), "");
    assert!(read(r#"{"priviledged":"no"}"#).contains("unknown field `priviledged`"));
    assert!(read(r#"{"privileged":{"oneof":["no"]}}"#).contains("unknown field `oneof`"));
    assert!(read(r#"{"limits.pids":{"range":[9,1]}}"#).contains("the lesser first"));
    assert!(read(r#"{"privileged":{"one_of":["no"],"set":[]}}"#).contains("stand together"));
}
