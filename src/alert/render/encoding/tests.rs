//! The formats: what each consumer requires, and that a hostile name breaks none of them.

use std::collections::BTreeSet;

use super::*;
use crate::alert::render::testing::{HOSTILE, alert, sensor};
use crate::detect::rules::ALL;
use crate::escape::is_obeyed;

fn encoded(encoding: Encoding) -> String {
    let bytes = encode(&alert(), encoding, &sensor()).expect("encoded");
    String::from_utf8(bytes).expect("text")
}

fn value(encoding: Encoding) -> Value {
    serde_json::from_str(&encoded(encoding)).expect("JSON")
}

#[test]
fn every_format_is_one_line_that_a_terminal_does_not_obey() {
    for encoding in [Encoding::Hopwatch, Encoding::Ocsf, Encoding::Ecs, Encoding::Eve, Encoding::Falco, Encoding::Cef] {
        let line = encoded(encoding);
        assert!(!line.contains(is_obeyed), "{encoding:?}: {line:?}");
        assert_eq!(line, encoded(encoding), "the same alert, the same bytes");
    }
}

#[test]
fn ocsf_is_a_detection_finding() {
    let event = value(Encoding::Ocsf);
    let required =
        ["activity_id", "category_uid", "class_uid", "finding_info", "metadata", "severity_id", "time", "type_uid"];
    assert!(required.iter().all(|key| !event[key].is_null()), "{event}");
    assert_eq!((event["type_uid"].as_u64(), event["severity_id"].as_u64()), (Some(200_401), Some(4)));
    assert_eq!(event["time"].as_i64(), Some(1_770_000_003_123), "milliseconds");
    assert_eq!(event["metadata"]["uid"], "2491e3e63140177f-0");
    assert_eq!(event["finding_info"]["attacks"].as_array().map(Vec::len), Some(3), "one for each naming");
    assert_eq!(event["resources"][0]["name"], HOSTILE);
    assert_eq!(event["evidences"].as_array().map(Vec::len), Some(2), "the flow and one further destination");
    assert_eq!(event["confidence_id"], 2);
    assert!(event.get("verdict_id").is_none(), "that is the analyst's");
}

#[test]
fn an_alert_that_has_ended_is_closed_where_a_format_knows_that() {
    let over = Alert { update: 3, ended: true, ..alert() };
    let encoded = |encoding| String::from_utf8(encode(&over, encoding, &sensor()).expect("encoded")).expect("text");
    let value = |encoding| serde_json::from_str::<Value>(&encoded(encoding)).expect("JSON");
    let event = value(Encoding::Ocsf);
    assert_eq!(
        (&event["type_uid"], &event["status_id"], &event["is_alert"]),
        (&json!(200_403), &json!(4), &json!(false))
    );
    assert_eq!(value(Encoding::Ecs)["event"]["action"], "closed");
    assert!(encoded(Encoding::Cef).contains(" act=closed "), "{}", encoded(Encoding::Cef));
    assert_eq!(value(Encoding::Hopwatch)["ended"], true);
}

#[test]
fn ecs_keeps_labels_apart_and_techniques_in_their_place() {
    let event = value(Encoding::Ecs);
    assert_eq!(event["hopwatch"]["labels"][0]["key"], "a");
    assert!(event["container"].get("labels").is_none(), "a and a.b cannot both be objects");
    assert_eq!(event["threat"]["technique"]["id"], json!(["T1685"]));
    assert_eq!(event["threat"]["technique"]["subtechnique"]["id"], json!(["T1090.001"]));
    assert_eq!((&event["event"]["severity"], &event["source"]["bytes"]), (&json!(73), &json!(400)));
}

#[test]
fn eve_numbers_are_small_enough_and_no_two_rules_share_one() {
    let event = value(Encoding::Eve);
    assert_eq!(event["timestamp"], "2026-02-02T02:40:03.123456+0000");
    assert!(event["flow_id"].as_u64().is_some_and(|id| id < 1 << 53), "{event}");
    assert_eq!((&event["proto"], &event["alert"]["severity"]), (&json!("TCP"), &json!(2)));
    let is_list_of_texts = |value: &Value| value.as_array().is_some_and(|all| all.iter().all(Value::is_string));
    assert!(event["alert"]["metadata"].as_object().is_some_and(|all| all.values().all(is_list_of_texts)));
    let ids: BTreeSet<_> = ALL.iter().map(|rule| eve::signature_id(rule.name)).collect();
    assert_eq!(ids.len(), ALL.len());
    assert_eq!(
        eve::signature_id("egress-skips-proxy"),
        event["alert"]["signature_id"].as_u64().and_then(|id| u32::try_from(id).ok()).unwrap_or_default()
    );
}

#[test]
fn falco_fields_are_all_texts() {
    let event = value(Encoding::Falco);
    assert_eq!((&event["priority"], &event["rule"]), (&json!("Error"), &json!("egress-skips-proxy")));
    let fields = event["output_fields"].as_object().expect("fields");
    assert!(fields.values().all(Value::is_string), "{event}");
    assert_eq!(fields["container.id"], "c3c0a5bb29f4");
    assert_eq!(
        (&fields["container.image.repository"], &fields["container.image.tag"]),
        (&json!("registry.example:5000/shop/web"), &json!("1.2"))
    );
    assert!(event.get("uuid").is_none() && !event["output"].as_str().unwrap_or_default().is_empty());
}

#[test]
fn cef_separates_header_and_values_although_a_name_holds_the_separators() {
    let line = encoded(Encoding::Cef);
    let header: Vec<_> = line.splitn(8, '|').collect();
    assert_eq!(header[..3], ["CEF:0", "hopwatch", "hopwatch"]);
    assert_eq!((header[4], header[6]), ("egress-skips-proxy", "8"));
    let container = header[7].split(" cs1=").nth(1).expect("the container");
    let container = container.split(" cs2Label=").next().expect("up to the next");
    assert!(container.contains("\\=b|c]\\\\\\\\u{1b}") || container.contains("\\=b|c]"), "{container}");
    assert!(!container.replace("\\=", "").contains('='), "every = of a value is escaped: {container}");
}

#[test]
fn the_configuration_in_force_has_a_place_in_each_json() {
    let hash = json!("9f".repeat(32));
    assert_eq!(value(Encoding::Hopwatch)["config_sha256"], hash);
    assert_eq!(value(Encoding::Ocsf)["unmapped"]["config_sha256"], hash);
    assert_eq!(value(Encoding::Ecs)["labels"]["config_sha256"], hash);
    assert_eq!(value(Encoding::Eve)["alert"]["metadata"]["config_sha256"], json!([hash]));
    assert_eq!(value(Encoding::Falco)["output_fields"]["hopwatch.config_sha256"], hash);
}
