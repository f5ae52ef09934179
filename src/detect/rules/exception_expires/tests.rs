//! Exceptions before, at and after their dates, told by a configuration or a reload.

use super::*;
use crate::detect::testing::{Bench, at};

const HOUR: u64 = 3_600_000;

fn term(name: &str, expires: Timestamp) -> ExceptionTerm {
    let [name, rule, owner, reason] = [name, "egress-skips-proxy", "shop team", "backups"].map(str::to_owned);
    ExceptionTerm { name, rule, owner, reason, expires }
}

fn days(days: u64) -> Timestamp {
    at(days * 24 * HOUR)
}

fn texts(found: &[Finding]) -> Vec<String> {
    found
        .iter()
        .map(|finding| format!("{}{}", if finding.is_over { "over: " } else { "" }, finding.evidence[0].text))
        .collect()
}

#[test]
fn an_exception_is_reported_two_weeks_before_its_date_and_again_when_it_was_never_used() {
    let (bench, mut rule) = (Bench::new(&[]), rule(&Params::default()));
    let terms = [term("direct", days(20)), term("later", days(90))];
    assert_eq!(rule.exceptions(&terms), Some(Timestamp::MIN), "it has to know when it begins");
    let (found, next) = bench.wake(&mut rule, days(0));
    assert_eq!((found.len(), next), (0, vec![days(6)]));
    let (found, next) = bench.wake(&mut rule, days(6));
    assert_eq!((found.len(), found[0].at, found[0].cause.as_str(), next), (1, days(6), "direct", vec![days(20)]));
    assert!(found[0].evidence[0].text.contains("exception direct (owner: shop team) to egress-skips-proxy expires at"));
    let (found, _) = bench.wake(&mut rule, days(7));
    assert!(found.is_empty(), "it is not repeated");
    let (found, next) = bench.wake(&mut rule, days(20));
    assert!(found[0].evidence[0].text.contains("expired at") && !found[0].is_over, "{:?}", texts(&found));
    assert_eq!((found.len(), next), (1, vec![days(76)]));
}

#[test]
fn one_that_was_used_ends_its_report_with_its_date() {
    let (bench, mut rule) = (Bench::new(&[]), rule(&Params::default()));
    rule.exceptions(&[term("direct", days(20))]);
    bench.wake(&mut rule, days(6));
    rule.held_back("direct");
    let (found, next) = bench.wake(&mut rule, days(20));
    let since = days(6).readable();
    let said = format!("over: it has expired; it has held back 1 finding since {since}, when hopwatch began to count");
    assert_eq!(texts(&found), [said]);
    assert!(next.is_empty());
}

#[test]
fn what_it_held_back_counts_on_with_another_date_and_when_it_comes_back() {
    let (bench, mut rule) = (Bench::new(&[]), rule(&Params::default()));
    rule.exceptions(&[term("direct", days(20))]);
    bench.wake(&mut rule, days(0));
    rule.held_back("direct");
    assert_eq!(rule.exceptions(&[term("direct", days(40))]), Some(days(26)));
    let (found, _) = bench.wake(&mut rule, days(26));
    assert!(found[0].evidence[1].text.starts_with("it has held back 1 finding since"), "{found:?}");
    let (found, _) = bench.wake(&mut rule, days(40));
    assert!(texts(&found)[0].starts_with("over: it has expired; it has held back 1 finding"), "{:?}", texts(&found));
    assert_eq!(rule.exceptions(&[]), None);
    assert_eq!(rule.exceptions(&[term("direct", days(80)), term("new", days(81))]), Some(days(66)));
    bench.wake(&mut rule, days(67));
    let (found, _) = bench.wake(&mut rule, days(81));
    let said = texts(&found);
    assert!(said[0].starts_with("over: it has expired; it has held back 1 finding"), "{said:?}");
    assert!(said[1].starts_with("exception new") && said[1].contains("expired at"), "{said:?}");
}

#[test]
fn one_whose_last_days_this_run_did_not_see_wholly_does_not_expire_unused() {
    let (bench, mut rule) = (Bench::new(&[]), rule(&Params::default()));
    rule.exceptions(&[term("direct", days(20)), term("whole", days(22))]);
    let (found, _) = bench.wake(&mut rule, days(8));
    assert_eq!(found.len(), 2, "both expire soon");
    let (found, _) = bench.wake(&mut rule, days(20));
    let since = days(8).readable();
    let said = format!("over: it has expired; it has held back nothing since {since}, when hopwatch began to count");
    assert_eq!(texts(&found), [said]);
    let (found, _) = bench.wake(&mut rule, days(22));
    assert!(found[0].evidence[0].text.contains("expired at") && !found[0].is_over, "{:?}", texts(&found));
}

#[test]
fn what_is_remembered_of_used_ones_that_are_gone_is_bounded_and_counted() {
    let (bench, mut rule) = (Bench::new(&[]), rule(&Params::default()));
    let terms: Vec<_> = (0..=MAX_GONE).map(|number| term(&number.to_string(), days(90))).collect();
    rule.exceptions(&terms);
    bench.wake(&mut rule, days(0));
    for term in &terms {
        rule.held_back(&term.name);
    }
    rule.exceptions(&[]);
    assert_eq!(rule.forgotten(), 1);
}

#[test]
fn what_is_near_at_the_start_is_reported_with_its_own_time_what_a_reload_brings_with_that_of_the_reload_and_what_is_over_not()
 {
    let (bench, mut rule) = (Bench::new(&[]), rule(&Params::default()));
    let mut terms = vec![term("old", days(30)), term("older", days(20)), term("near", days(45))];
    rule.exceptions(&terms);
    let (found, next) = bench.wake(&mut rule, days(40));
    let said: Vec<_> = found.iter().map(|finding| (finding.cause.as_str(), finding.at)).collect();
    assert_eq!(said, [("near", days(31))], "whether the others were used is not known");
    assert_eq!(next, [days(45)]);
    terms.push(term("new", days(42)));
    rule.exceptions(&terms);
    let (found, _) = bench.wake(&mut rule, days(41));
    assert_eq!((found.len(), found[0].at), (1, days(41)));
}

#[test]
fn another_date_and_a_reload_without_it_end_the_report_and_the_same_again_changes_nothing() {
    let (bench, mut rule) = (Bench::new(&[]), rule(&Params::default()));
    let both = [term("direct", days(20)), term("gone", days(20))];
    rule.exceptions(&both);
    assert_eq!(bench.wake(&mut rule, days(6)).0.len(), 2);
    assert_eq!(rule.exceptions(&both), Some(days(20)), "nothing changed");
    assert_eq!(rule.exceptions(&[term("direct", days(100))]), Some(Timestamp::MIN));
    let (found, next) = bench.wake(&mut rule, days(7));
    let said = texts(&found);
    assert!(said[0].starts_with("over: it now expires at"), "{said:?}");
    assert_eq!((&*said[1], next), ("over: it was taken out of the configuration", vec![days(86)]));
}

#[test]
fn of_several_with_one_name_the_last_date_counts() {
    let (bench, mut rule) = (Bench::new(&[]), rule(&Params { days: 1, ..Params::default() }));
    rule.exceptions(&[term("a", days(5)), term("a", days(9)), term("a", days(7))]);
    assert_eq!(bench.wake(&mut rule, days(0)).1, [days(8)]);
}
