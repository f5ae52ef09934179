//! Messages: within the receivers' limits, and a hostile name reaches nobody.

use super::*;
use crate::alert::render::testing::{alert, sensor};
use crate::path::Evidence;

/// With texts of the greatest length that a runtime gives.
fn long() -> Alert {
    let mut alert = alert();
    alert.evidence = vec![Evidence::new("peer", "x".repeat(9_000)); 9];
    alert.workload.iter_mut().for_each(|workload| workload.name = "<!here> ".repeat(4_000));
    alert
}

#[test]
fn a_name_mentions_nobody_in_slack() {
    let text = slack(&alert(), &sensor()).to_string();
    assert!(!text.contains("<!channel>") && text.contains("&lt;!channel&gt;"), "{text}");
}

#[test]
fn a_name_is_no_link_in_teams() {
    let card = teams(&alert(), &sensor());
    let title = card["attachments"][0]["content"]["body"][0]["text"].as_str().expect("a title");
    assert!(title.contains("\\[web\\]\\(http"), "{title}");
}

#[test]
fn a_message_that_is_cut_says_how_to_see_all_of_it() {
    let alert = long();
    let text = slack(&alert, &sensor())["blocks"][1]["text"]["text"].as_str().expect("a text").to_owned();
    assert!(text.contains(&format!("hopwatch alerts show {}", alert.id)), "{text}");
}

#[test]
fn messages_are_within_the_limits_of_their_receivers() {
    for alert in [alert(), long()] {
        let message = slack(&alert, &sensor());
        let length = |value: &Value| value.as_str().map_or(0, |text| text.chars().count());
        assert!(
            length(&message["blocks"][0]["text"]["text"]) <= 150
                && length(&message["blocks"][1]["text"]["text"]) <= 3_000
        );
        assert!(teams(&alert, &sensor()).to_string().len() <= 28 << 10);
        let event = pagerduty(&alert, &sensor());
        assert!(
            length(&event["payload"]["summary"]) <= 1_024
                && event["dedup_key"].as_str().is_some_and(|key| key.len() <= 255)
        );
        let message = ntfy(&alert, &sensor(), "alerts");
        assert!(message["message"].as_str().is_some_and(|text| text.len() <= 4_096), "{message}");
    }
}
