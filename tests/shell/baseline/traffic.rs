//! The traffic part: learned from recordings, held back, compared, approved, in force after its approval alone.

use super::{Place, capture, ids};

#[test]
fn traffic_is_learned_from_a_recording_by_service_name_and_network_and_is_no_news_then() {
    let place = Place::learned("traffic-known");
    let text = place.text();
    for expected in [
        "peer: service intranet (nginx)",
        "peer: service vault (nginx)",
        "peer: network 198.51.100.0/24",
        "port: 80/tcp",
        "port: 4444/tcp",
    ] {
        assert!(text.contains(expected), "{expected}: {text}");
    }
    let shown = place.done(&["show", "app"]);
    assert!(shown.contains("reaches service intranet (nginx) at 80/tcp: http, 1 contact on 1 day"), "{shown}");
    assert!(shown.contains("no start was seen") && shown.contains("    seen once: "), "{shown}");
    assert!(place.done(&["diff", "--read", &capture("traffic-known")]).contains("nothing differs"));
    assert!(place.done(&["shadow", "--read", &capture("traffic-known")]).starts_with("0 alerts"));
}

#[test]
fn new_traffic_has_an_id_and_the_rule_that_reports_it_and_is_gone_after_its_approval() {
    let place = Place::learned("traffic-new");
    let text = place.text().replace("network 198.51.100.0/24", "network 192.0.2.0/24").replace("4444/tcp", "5555/tcp");
    std::fs::write(place.baseline(), text).expect("written");
    let recorded = capture("traffic-new");
    let shadow = place.done(&["shadow", "--read", &recorded]);
    assert!(shadow.contains("new-destination") && shadow.contains("new-listener"), "{shadow}");
    for _ in 0..4 {
        let diff = place.run(&["diff", "--read", &recorded]);
        let Some(id) = ids(&diff.stdout).first().map(|id| (*id).to_owned()) else { break };
        assert!(diff.stdout.contains("the baseline has nothing of that"), "{}", diff.stdout);
        place.done(&["approve", &id, "--read", &recorded, "--why", "a planned change"]);
    }
    assert!(place.done(&["diff", "--read", &recorded]).contains("nothing differs"));
    assert!(place.done(&["shadow", "--read", &recorded]).starts_with("0 alerts"));
}

#[test]
fn what_an_alert_is_about_waits_in_quarantine_and_an_approval_takes_it_in() {
    let place = Place::learned("egress-around-proxy");
    let shown = place.done(&["show"]);
    let waiting = "reaches network 198.51.100.0/24 at 80/tcp";
    assert!(shown.contains(waiting) && shown.contains("egress-skips-proxy:"), "{shown}");
    let quarantine = shown.split("quarantine:").nth(1).expect("a quarantine");
    let all = ids(quarantine);
    let recorded = capture("egress-around-proxy");
    let arguments: Vec<&str> = ["approve", "--read", &recorded, "--why", "a mirror"].into_iter().chain(all).collect();
    let done = place.done(&arguments);
    assert!(done.contains(waiting), "ports of one peer are approved at once: {done}");
    let shown = place.done(&["show"]);
    assert!(shown.contains(waiting) && !shown.contains("quarantine:"), "{shown}");
}

#[test]
fn a_service_that_is_known_without_traffic_gets_its_traffic_part_and_keeps_the_rest() {
    let place = Place::learned("traffic-known");
    let whole = place.text();
    let document: hopwatch::baseline::BaselineDocument =
        hopwatch::config::read_document("baseline.yaml", &whole).expect("read");
    let without = document.checked().expect("a baseline").without_traffic();
    let text = hopwatch::config::print_document(&hopwatch::baseline::BaselineDocument::from(&without)).expect("text");
    assert!(whole.contains("traffic:") && !text.contains("traffic:"), "{text}");
    std::fs::write(place.baseline(), text).expect("written");
    place.done(&["learn", "--read", &capture("traffic-known")]);
    assert!(
        place.text().contains("serial: 2") && place.text().contains("peer: service intranet (nginx)"),
        "{}",
        place.text()
    );
}

#[test]
fn amounts_of_whole_hours_are_learned_shown_and_no_news_then() {
    let place = Place::learned("volume-anomaly-twin");
    let shown = place.done(&["show", "app"]);
    assert!(shown.contains("volume of a container: learned from 1 hour in UTC; 1 container at most"), "{shown}");
    assert!(shown.contains("flows out an hour: median 6, p99 6, at most 6"), "{shown}");
    let text = place.text();
    assert!(text.contains("time_zone: UTC") && text.contains("sketch: "), "{text}");
    assert!(place.done(&["diff", "--read", &capture("volume-anomaly-twin")]).contains("nothing differs"));
}
