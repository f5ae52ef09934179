//! What of an alert is looked for, and what is not.

use serde_json::{Value, json};

use super::*;
use crate::input::{RuntimeId, WorkloadId};

const PRINT: &str = "t13d1516h2_8daaf6152771_02713d6af862";
const OTHER_PRINT: &str = "t13d1516h2_8daaf6152771_b186095e22b6";

fn alert() -> Value {
    json!({
        "schema": "hopwatch.alert/1", "id": "2491e3e63140177f", "rule": "log-driver-changed", "last_seen": "2026-11-29T03:00:00Z",
        "workload": {"id": "ab".repeat(32), "name": "web", "image": "shop/web:1", "digest": "sha256:01"},
        "flow": {"protocol": 6, "orig": {"ip": "172.18.0.2", "port": 4000}, "resp": {"ip": "198.51.100.7", "port": 443}},
        "destinations": [{"ip": "198.51.100.7", "port": 443, "name": "Evil.example"}, {"ip": "2001:db8::7", "port": 53}, {"ip": "odd", "port": -1}, 7],
        "evidence": [{"kind": "setting", "text": "logging.driver is none"}, {"kind": "peer", "text": "not a setting"}],
        "anomaly": {"observed": format!("greeted as {PRINT} (other extensions)"), "expected": format!("it greets as {OTHER_PRINT}"), "objects": []},
    })
}

fn read() -> Pattern {
    Pattern::read(&alert()).expect("an alert")
}

fn end(ip: &str, port: u16, name: Option<&str>) -> Vec<Sign> {
    read().of_end(ip.parse().expect("an address"), port, name).into_iter().map(|(sign, _)| sign).collect()
}

fn container(id: &str, image: &str, digest: &str) -> Workload {
    let mut workload = Workload::new(WorkloadId::new(id), "other", RuntimeId::DOCKER);
    workload.image = image.to_owned();
    workload.image_digest = digest.to_owned();
    workload
}

#[test]
fn a_destination_is_the_same_by_address_and_port_or_by_name_and_port() {
    assert_eq!(end("198.51.100.7", 443, None), [Sign::Destination]);
    assert_eq!(end("::ffff:198.51.100.7", 443, None), [Sign::Destination]);
    assert_eq!(end("198.51.100.7", 443, Some("evil.example")), [Sign::Destination, Sign::Name]);
    assert_eq!(end("203.0.113.1", 443, Some("evil.example")), [Sign::Name], "behind another address");
    assert_eq!(end("198.51.100.7", 80, Some("evil.example")), [], "another port");
    assert_eq!(end("2001:db8::7", 53, Some("other.example")), [Sign::Destination]);
}

#[test]
fn an_image_is_the_same_by_its_digest_and_by_its_name_where_one_has_none() {
    let is_same = |image, digest| read().of_image(&container("c1", image, digest)).is_some();
    assert!(is_same("renamed:2", "sha256:01") && is_same("shop/web:1", ""));
    assert!(!is_same("shop/web:1", "sha256:02"), "the name moved on");
    assert!(!is_same("other", ""));
}

#[test]
fn another_alert_shares_a_setting_of_the_same_rule_and_an_observed_fingerprint() {
    let with = |change: &dyn Fn(&mut Value)| {
        let mut other = alert();
        other["id"] = "0123456789abcdef".into();
        change(&mut other);
        read().of_alert(&other).into_iter().map(|(sign, _)| sign).collect::<Vec<_>>()
    };
    let all = [Sign::Destination, Sign::Destination, Sign::Name, Sign::Fingerprint, Sign::Setting];
    assert_eq!(with(&|_| ()), all);
    assert_eq!(with(&|other| other["rule"] = "sysctl-changed".into()), all[..4], "another rule's setting");
    assert_eq!(
        with(&|other| other["anomaly"]["observed"] = format!("greeted as {OTHER_PRINT}").into()),
        [&all[..3], &all[4..]].concat()
    );
    assert_eq!(read().of_alert(&alert()), [], "the alert itself");
    assert_eq!(read().of_alert(&json!({"id": 7, "destinations": "odd", "evidence": {}})), []);
}

#[test]
fn what_is_no_alert_or_says_nothing_is_refused_with_the_reason() {
    let incident = Pattern::read(&json!({"schema": "hopwatch.incident/1"})).expect_err("no alert");
    assert!(incident.contains("name one of its alerts"), "{incident}");
    let bare = json!({"schema": "hopwatch.alert/1", "id": "2491e3e63140177f", "rule": "sensor-blinded"});
    assert!(Pattern::read(&bare).expect_err("nothing to share").contains("no destination"));
}

#[test]
fn others_come_first_and_what_does_not_fit_is_counted() {
    let mut found = Findings::default();
    let at = Timestamp::from_secs(7);
    let own = Who { name: "aaa".to_owned(), id: Some("ab".repeat(32)) };
    let sign = || [(Sign::Image, "shop/web:1".to_owned())];
    found.see(&own, sign(), Where::Running, at);
    found.see(&Who::workload(&container("c1", "", "")), sign(), Where::Running, at);
    found.see(&Who::workload(&container("c1", "", "")), sign(), Where::Running, Timestamp::from_secs(9));
    let rows = found.rows(&read());
    let shown: Vec<_> = rows.iter().map(|row| (row.who.name.as_str(), row.is_own, row.count)).collect();
    assert_eq!(shown, [("other", false, 2), ("aaa", true, 1)], "the own one by its id, whatever it is called");
    assert_eq!((rows[0].first_seen, rows[0].last_seen), (at, Timestamp::from_secs(9)));
    for number in 0..MAX_ROWS {
        let who = Who { name: format!("n{number}"), id: None };
        found.see(&who, sign(), Where::Running, at);
    }
    assert_eq!((found.rows(&read()).len(), found.omitted()), (MAX_ROWS, 2));
}
