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
    assert_eq!(rule.exceptions(&[term("direct", days(20)), term("later", days(90))]), Some(days(6)));
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
    assert_eq!(texts(&found), ["over: it has expired; it has held back 1 finding since hopwatch started"]);
    assert!(next.is_empty());
}

#[test]
fn what_is_over_at_the_start_is_reported_once_with_its_own_time_and_what_a_reload_brings_with_that_of_the_reload() {
    let (bench, mut rule) = (Bench::new(&[]), rule(&Params::default()));
    let mut terms = vec![term("old", days(30)), term("older", days(20)), term("near", days(45))];
    rule.exceptions(&terms);
    let (found, next) = bench.wake(&mut rule, days(40));
    let said: Vec<_> = found.iter().map(|finding| (finding.cause.as_str(), finding.at)).collect();
    assert_eq!(said, [("older", days(20)), ("old", days(30)), ("near", days(31))]);
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
    let mut rule = rule(&Params { days: 1, ..Params::default() });
    assert_eq!(rule.exceptions(&[term("a", days(5)), term("a", days(9)), term("a", days(7))]), Some(days(8)));
}
