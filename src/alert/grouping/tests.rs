//! Floods: few alerts, every finding counted, and the longest quiet alert goes first.

use super::*;
use crate::detect::rules::ALL;
use crate::detect::testing::{at, workload};
use crate::detect::{ExpectedFrom, Explanation};

fn limits(max_open: usize) -> GroupingLimits {
    GroupingLimits {
        update_interval: Duration::from_mins(1),
        close_after: Duration::from_mins(10),
        max_open,
        max_destinations: 3,
        budget: AlertBudget { burst: 50, refill: Duration::from_secs(10) },
    }
}

fn finding(millis: u64, sender: &str, cause: &str) -> Finding {
    let workload = Arc::new(workload(sender, 10));
    let rule = ALL.first().copied().expect("a rule");
    Finding { workload: Some(workload), ..Finding::of_nobody(rule, at(millis), cause, vec![]) }
}

/// What was raised, and how much all alerts counted at last.
fn totals(sent: &[Alert]) -> (usize, u64) {
    let mut counts = BTreeMap::new();
    for alert in sent {
        counts.insert(alert.id.clone(), alert.count);
    }
    (counts.len(), counts.values().sum())
}

fn ingest(grouper: &mut AlertGrouper, finding: Finding, sent: &mut Vec<Alert>) {
    let disposition = grouper.ingest(finding, |_| {});
    sent.extend(grouper.final_updates());
    if let Disposition::Deliver(alert) = disposition {
        sent.push(*alert);
    }
}

#[test]
fn a_flood_of_causes_of_one_sender_is_a_few_alerts_that_count_everything() {
    let (mut grouper, mut sent) = (AlertGrouper::new(vec![], SeverityPolicy::default(), limits(10_000)), Vec::new());
    for number in 0..5000_u64 {
        ingest(&mut grouper, finding(number / 10, "evil", &format!("cause {number}")), &mut sent);
    }
    ingest(&mut grouper, finding(500, "app", "the real one"), &mut sent);
    sent.extend(grouper.finish(at(500)));
    assert_eq!(totals(&sent), (52, 5001), "the burst, one for the rest, and the other sender's");
    assert_eq!(grouper.over_budget().values().sum::<u64>(), 4950);
    let further: Vec<_> = sent.iter().filter(|alert| alert.count > 1).collect();
    assert!(further.iter().all(|alert| alert.evidence.iter().any(|one| one.kind == "grouping")), "it says why");
}

#[test]
fn the_longest_quiet_alert_is_closed_first_and_its_count_is_delivered() {
    let (mut grouper, mut sent) = (AlertGrouper::new(vec![], SeverityPolicy::default(), limits(3)), Vec::new());
    for (millis, cause) in [(0, "a"), (1, "b"), (2, "c"), (3, "a"), (4, "b"), (5, "d"), (6, "c")] {
        ingest(&mut grouper, finding(millis, "app", cause), &mut sent);
    }
    assert_eq!(grouper.closed_early(), 2, "c for d, then a for c");
    sent.extend(grouper.finish(at(7)));
    assert_eq!(totals(&sent), (5, 7), "c was raised twice, nothing is lost");
    assert_eq!((grouper.open.len(), grouper.order.sizes()), (3, (3, 0)));
}

#[test]
fn updates_come_when_they_are_due_in_order_of_key() {
    let (mut grouper, mut sent) = (AlertGrouper::new(vec![], SeverityPolicy::default(), limits(10)), Vec::new());
    for (millis, cause) in [(0, "b"), (10, "a"), (20, "b"), (30, "a")] {
        ingest(&mut grouper, finding(millis, "app", cause), &mut sent);
    }
    assert!(grouper.due(at(59_999)).is_empty());
    let due: Vec<_> = grouper.due(at(60_010)).into_iter().map(|alert| (alert.first_seen, alert.count)).collect();
    assert_eq!(due, [(at(10), 2), (at(0), 2)]);
    assert!(grouper.due(at(200_000)).is_empty(), "nothing was counted since");
}

#[test]
fn containers_of_a_roll_out_are_one_alert_however_long_ago_they_started() {
    let (mut grouper, mut sent) = (AlertGrouper::new(vec![], SeverityPolicy::default(), limits(10)), Vec::new());
    let roll_out = |since| Some(crate::detect::RollOut { service: "shop/web".to_owned(), since });
    for number in 0..12_u64 {
        let of = finding(number * 86_400_000, &format!("web-{number}"), "another image");
        ingest(&mut grouper, Finding { roll_out: roll_out(at(5)), ..of }, &mut sent);
    }
    assert_eq!(sent.len(), 1, "the first at once, the others with the next update");
    let later = Finding { roll_out: roll_out(at(9)), ..finding(5, "web-0", "another image") };
    ingest(&mut grouper, later, &mut sent);
    sent.extend(grouper.finish(at(10)));
    assert_eq!(totals(&sent), (2, 13), "what comes after it was over is another one");
    let texts: Vec<&str> = sent.iter().flat_map(|alert| &alert.evidence).map(|one| one.text.as_str()).collect();
    let named = (0..8).map(|number| format!("web-{number}")).collect::<Vec<_>>().join(", ");
    assert_eq!(texts, [format!("found alike in 12 containers of the service: {named}, and 4 more")]);
}

/// What the outbox keeps of an alert.
fn left(alert: &Alert) -> crate::input::OpenAlert {
    let condition = alert.condition.as_ref().expect("every alert has one");
    crate::input::OpenAlert {
        condition: condition.hash.to_string(),
        id: alert.id.clone(),
        update: alert.update,
        count: alert.count,
        severity: alert.severity.as_str().to_owned(),
        first_seen: alert.first_seen,
        last_seen: alert.last_seen,
        stands: condition.stands,
    }
}

fn next_run(of: &[Alert], at: Timestamp) -> AlertGrouper {
    let mut grouper = AlertGrouper::new(Vec::new(), SeverityPolicy::default(), limits(1_000));
    for alert in of {
        grouper.resume(&left(alert), at);
    }
    grouper
}

#[test]
fn an_anomaly_of_the_run_before_goes_on_for_an_hour() {
    const MINUTE: u64 = 60_000;
    let why = || Some(Box::new(Explanation::new("seen", "normal", ExpectedFrom::Baseline)));
    let mut sent = Vec::new();
    let mut first = next_run(&[], at(0));
    ingest(&mut first, Finding { explanation: why(), ..finding(0, "a", "regular") }, &mut sent);
    for (minutes, goes_on) in [(25, true), (65, false)] {
        let mut grouper = next_run(&sent[..1], at(5 * MINUTE));
        grouper.forget_resumed(at((minutes - 1) * MINUTE));
        let again = Finding { explanation: why(), ..finding(minutes * MINUTE, "a", "regular") };
        ingest(&mut grouper, again, &mut sent);
        let alert = sent.last().expect("raised");
        assert_eq!((alert.id == sent[0].id, alert.update == 1), (goes_on, goes_on), "after {minutes} minutes");
    }
}

#[test]
fn what_is_too_old_to_go_on_takes_from_the_budget() {
    let mut sent = Vec::new();
    let mut first = next_run(&[], at(0));
    // Each in a run of its own, so that none is above the budget.
    for number in 0..80 {
        ingest(&mut first, finding(0, "a", &format!("cause {number}")), &mut sent);
        first = next_run(&[], at(0));
    }
    assert_eq!(totals(&sent).0, 80);
    let later = 11 * 60_000;
    let (mut grouper, mut now) = (next_run(&sent, at(later - 1)), Vec::new());
    for number in 0..80 {
        ingest(&mut grouper, finding(later, "a", &format!("cause {number}")), &mut now);
    }
    assert_eq!(totals(&now).0, 51, "fifty and one that counts the rest");
}
