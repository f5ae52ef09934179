//! Lines of judged flows, and which are wanted.

use super::*;
use crate::detect::testing::{Bench, judged, judgement};
use crate::path::Skip;

fn line(verdict: Option<Verdict>) -> (JudgedFlow, FlowLine) {
    let flow = judged(verdict.map(|verdict| judgement(verdict, Some(Skip::Proxy))));
    let bench = Bench::new(&[("app", 10)]);
    let line = FlowLine::new(&bench.timeline, &bench.names, &flow);
    (flow, line)
}

#[test]
fn a_line_says_who_where_to_by_which_contract_and_why() {
    let (_, bypassed) = line(Some(Verdict::Bypassed));
    let text = render(&bypassed, Detail::Long, None);
    assert!(text.starts_with("00:16:40.000  "), "{text}");
    assert!(text.contains("app → 198.51.100.7:443 tcp, contract contract, around hop"), "{text}");
    assert!(text.contains("next_hop: what the judge saw"), "{text}");
    assert_eq!(render(&bypassed, Detail::Compact, None).lines().count(), 1);
    let (_, blind) = line(Some(Verdict::Unobservable(Unobservable::CaptureLoss)));
    let text = render(&blind, Detail::Long, Some(80));
    assert!(text.contains("capture_loss") && text.contains("to see more: raise"), "{text}");
    assert!(text.lines().all(|line| crate::layout::width(line) <= 80), "{text}");
    let (_, uncovered) = line(None);
    assert_eq!((uncovered.verdict, uncovered.contract), ("uncovered", None));
}

#[test]
fn names_that_an_attacker_chose_are_not_obeyed_by_the_terminal() {
    let (_, mut evil) = line(Some(Verdict::Verified));
    evil.name = Some("a\u{1b}[2J\u{202e}.example".into());
    if let Some(workload) = &mut evil.workload {
        workload.name = "web\r\n00:00:00.000  verified".to_owned();
    }
    let text = render(&evil, Detail::Compact, None);
    assert!(!text.contains("\u{1b}[2J") && !text.contains('\u{202e}') && !text.contains('\r'), "{text:?}");
    assert_eq!(text.lines().count(), 1, "{text:?}");
}

#[test]
fn a_filter_wants_what_fits_each_of_its_parts() {
    let (flow, line) = line(Some(Verdict::Bypassed));
    let any = FlowFilter::default();
    assert!(any.may_want(&flow) && any.wants(&line));
    let verdicts = |kinds: &[Kind]| FlowFilter { kinds: kinds.to_vec(), ..FlowFilter::default() };
    assert!(verdicts(&[Kind::Partial, Kind::Bypassed]).may_want(&flow));
    assert!(!verdicts(&[Kind::Verified]).may_want(&flow));
    assert!(!FlowFilter { ports: vec![80], ..FlowFilter::default() }.may_want(&flow));
    let later = flow.oriented.at.plus(std::time::Duration::from_nanos(1));
    assert!(!FlowFilter { since: Some(later), ..FlowFilter::default() }.may_want(&flow));
    let named = |workload: &str, contract: &str| {
        FlowFilter::new(&[workload.to_owned()], &[contract.to_owned()]).expect("globs").wants(&line)
    };
    assert!(named("a*", "contract") && !named("b*", "*") && !named("*", "other"));
    let to = |text: &str| {
        FlowFilter { to: vec![Target::parse(text).expect("a target")], ..FlowFilter::default() }.wants(&line)
    };
    assert!(to("198.51.100.7") && to("198.51.100.0/24") && !to("192.0.2.0/24") && !to("api.example"));
    let with_name = FlowLine { name: Some("api.shop.example".into()), ..line.clone() };
    let by_name = FlowFilter { to: vec![Target::parse("*.Shop.example").expect("a target")], ..any };
    assert!(by_name.wants(&with_name) && !by_name.wants(&line));
    for (wrong, said) in [
        ("a[", "pattern"),
        ("", "empty"),
        ("198.51.100.7:443", "--port"),
        ("10.0.0.1/24", "10.0.0.0/24"),
        ("a/b", "a/b"),
    ] {
        let error = Target::parse(wrong).expect_err("no target").to_string();
        assert!(error.contains(said), "{error}");
    }
    assert!(FlowFilter::new(&["a[".to_owned()], &[]).is_err(), "no pattern");
}
