//! The laboratory's page of figures: nothing is rounded to its advantage, nothing that was not measured counts as met.

#[path = "../lab/scorecard/mod.rs"]
mod figures_page;

use figures_page::{Benign, Delays, Goal, Run, Scorecard, Share};
use serde_json::json;

const MS: i128 = 1_000_000;

fn share(part: u64, whole: u64) -> Share {
    Share { part, whole }
}

#[test]
fn shares_are_rounded_to_their_disadvantage() {
    assert_eq!(share(99_999, 100_000).at_least(), "99.99 %");
    assert_eq!(share(10_001, 1_000_000).at_most(), "1.01 %");
    assert_eq!(share(1, u64::MAX).at_most(), "0.01 %");
    assert_eq!((share(7, 7).at_least(), share(0, 7).at_most()), ("100.00 %".to_owned(), "0.00 %".to_owned()));
    assert_eq!((share(0, 0).at_least(), share(0, 0).at_most()), ("–".to_owned(), "–".to_owned()));
}

#[test]
fn goals_are_compared_before_rounding_and_nothing_is_not_met() {
    assert_eq!(share(1, 100).within(1), Goal::Met);
    assert_eq!(share(10_001, 1_000_000).within(1), Goal::Missed);
    assert_eq!((share(2, 2).full(), share(1, 2).full()), (Goal::Met, Goal::Missed));
    assert_eq!((share(0, 2).none(), share(1, 2).none()), (Goal::Met, Goal::Missed));
    let nothing = share(0, 0);
    assert_eq!([nothing.within(1), nothing.full(), nothing.none()], [Goal::NotMeasured; 3]);
    assert_eq!(Delays::default().within(99, 1000), Goal::NotMeasured);
}

#[test]
fn percentiles_are_of_the_nearest_rank() {
    let up_to = |most: i128| (1..=most).rev().map(|ms| ms * MS).collect::<Delays>();
    let percentiles = |most| [50, 99, 100].map(|percent| up_to(most).percentile(percent).expect("some") / MS);
    assert_eq!(percentiles(1), [1, 1, 1]);
    assert_eq!(percentiles(31), [16, 31, 31]);
    assert_eq!(percentiles(100), [50, 99, 100]);
    assert_eq!(percentiles(200), [100, 198, 200]);
    let late: Delays = [MS, 1000 * MS + 1].into_iter().collect();
    assert_eq!(late.within(99, 1000), Goal::Missed);
    assert_eq!(late.to_string(), "median 1 ms, 99th percentile 1001 ms");
}

#[test]
fn only_a_report_with_captures_is_a_measurement() {
    let benign = Benign { captures: 431, flows: 9000, alerts: 5, told_by_right: 3 };
    let lines = [
        r#"{"captures":1,"flows":1,"alerts":0}"#,
        r#"{"captures":431,"flows":9000,"alerts":5,"told_by_right":3,"verdicts":{}}"#,
    ];
    assert_eq!(Benign::read(&lines.join("\n")), Ok(benign));
    for nothing in ["", "{", r#"{"captures":2,"flows":1}"#, r#"{"captures":0,"flows":0,"alerts":0}"#] {
        assert!(Benign::read(nothing).is_err(), "{nothing}");
    }
}

/// A run in which `verified` and `unseen` flows were judged.
fn run(name: &str, verified: u64, unseen: u64) -> Run {
    let summary = json!({
        "verdicts": {"one": {"verified": verified, "unobservable": unseen}},
        "unobservable": {"capture_loss": unseen},
        "attributions": {"exact": 3, "external": 2},
    });
    Run { name: name.to_owned(), passed: true, whole: true, latest_ms: 1000, summary: Some(summary), ..Run::default() }
}

/// The row of a figure, by the beginning of its name: value, goal and what became of it.
fn figure(page: &str, name: &str) -> String {
    let row = page.lines().find(|line| line.starts_with(&format!("| {name}"))).expect(name);
    row.split('|').map(str::trim).skip(2).filter(|cell| !cell.is_empty()).collect::<Vec<_>>().join("; ")
}

#[test]
fn every_figure_stands_beside_its_goal() {
    let benign = Ok(Benign { captures: 10, flows: 20, alerts: 1, told_by_right: 1 });
    let mut card = Scorecard::new(3, benign);
    card.add(Run { expected: 2, delays: vec![200 * MS, 300 * MS], ..run("around", 99, 1) });
    card.add(Run { expected: 1, delays: vec![1500 * MS], latest_ms: 2000, ..run("waits", 0, 0) });
    card.add(Run { whole: false, ..run("blind", 0, 100) });
    let page = card.to_string();
    let expected = [
        ("scenarios passed", "3 of 3; all; met"),
        ("true positives", "3 of 3; all; met"),
        ("expected alerts missed", "0; none; met"),
        ("false positives on the benign twins", "0 in 1 scenarios; none; met"),
        ("false positives beside expected alerts", "0 in 2 scenarios; none; met"),
        (
            "false positives on benign captures",
            "0 in 10 captures with 20 flows; 1 more are right, the captures show what they tell; none; met",
        ),
        ("verdicts", "unobservable 101, verified 99"),
        ("unobservable, by reason", "capture_loss 101 (50.50 %)"),
        ("share unobservable, all", "101 of 200: 50.50 %"),
        ("share unobservable where every point is captured (2 scenarios)", "1 of 100: 1.00 %; ≤ 1 %; met"),
        (
            "from first packet or fact to alert (2 alerts)",
            "median 200 ms, 99th percentile 300 ms; 99th percentile ≤ 1000 ms; met",
        ),
        (
            "… where the rule itself waits (1 alerts)",
            "median 1500 ms, 99th percentile 1500 ms; 0 later than the scenario allows; each in the scenario's time; met",
        ),
        ("flows of workloads attributed", "9 of 9: 100.00 %"),
        ("waits", "yes; 1 of 1; 0; 0 of 0; 3 of 3; 1500 ms; 2000 ms"),
        ("blind", "yes; 0 of 0; 0; 100 of 100, not every point is captured; 3 of 3; –; 1000 ms"),
    ];
    for (name, row) in expected {
        assert_eq!(figure(&page, name), row, "{name}\n{page}");
    }
    assert!(!page.contains("missed**") && !page.contains("not measured"), "{page}");
}

#[test]
fn what_is_wrong_is_missed_and_what_did_not_run_is_not_met() {
    let mut card = Scorecard::new(5, Err("no captures".to_owned()));
    card.add(Run { unexpected: 1, ..run("twin", 98, 2) });
    card.add(Run { expected: 2, missed: 1, delays: vec![1001 * MS], ..run("late", 0, 0) });
    card.add(Run { expected: 1, summary: None, passed: false, ..run("broken", 0, 0) });
    card.add(Run { expected: 1, delays: vec![3000 * MS], latest_ms: 2000, ..run("too-late", 0, 0) });
    let page = card.to_string();
    let expected = [
        ("scenarios passed", "3 of 5, 1 not run; all; **missed**"),
        ("true positives", "2 of 4; all; **missed**"),
        ("expected alerts missed", "2; none; **missed**"),
        ("false positives on the benign twins", "1 in 1 scenarios; none; **missed**"),
        ("false positives beside expected alerts", "0 in 2 scenarios; none; met"),
        ("false positives on benign captures", "not measured: no captures; none; not measured"),
        ("share unobservable where every point is captured", "2 of 100: 2.00 %; ≤ 1 %; **missed**"),
        (
            "from first packet or fact to alert (1 alerts)",
            "median 1001 ms, 99th percentile 1001 ms; 99th percentile ≤ 1000 ms; **missed**",
        ),
        (
            "… where the rule itself waits (1 alerts)",
            "median 3000 ms, 99th percentile 3000 ms; 1 later than the scenario allows; each in the scenario's time; **missed**",
        ),
        ("broken", "no; 0 of 1; –; 0 of 0; 0 of 0; –; 1000 ms"),
    ];
    for (name, row) in expected {
        assert_eq!(figure(&page, name), row, "{name}\n{page}");
    }
}
