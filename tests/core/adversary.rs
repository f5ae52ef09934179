//! An attacker against the pure core: packets through the real meters into the engine, honest flows with forged packets among them.
//!
//! The laws (docs/trust.md): no forged packet makes a verdict better or an alert vanish; nobody is accused with `exact` attribution of what it did not
//! send; more observation points and a shorter snap length never turn a detection into silence. (That the order in which points report changes nothing
//! is a law of `src/app/reorder.rs`.) What no observer of frames can know is said at the law that leaves it out, and in docs/trust.md, "What remains".
//! Sizes: each law tries 512 histories; `HOPWATCH_FRESH_SEEDS=N` adds N new seeds of 64 histories (`scripts/adversary.sh`).

mod cases;
mod found;
mod history;
mod moves;
mod nobody;

use hopwatch::inventory::Confidence;
use proptest::prelude::*;
use proptest::test_runner::TestCaseError;

use self::history::{History, Outcome};
use self::moves::Attacker;
use crate::support::seeds::{Seeds, check};

const SEEDS: Seeds = Seeds { fixed: 7, fresh: 1, cases: 64 };

fn law(name: &str, hold: impl Fn(History) -> Result<(), TestCaseError>) {
    check(&format!("--test core adversary::{name}"), SEEDS, &history::histories(), hold);
}

#[test]
fn no_forged_packet_makes_a_bypass_vanish() {
    law("no_forged_packet_makes_a_bypass_vanish", |history| {
        let honest = history.without_attack().run();
        let attacked = history.run();
        for (number, flow) in history.around() {
            let before = honest.of_flow(&history, number);
            if !before.iter().any(|verdict| Outcome::is_detected(verdict)) || honest.accusing("app").is_empty() {
                continue;
            }
            // Unknowable (docs/trust.md, What remains, 3): who asked, over UDP, where the first frame is the far end's and carries the MAC of a
            // router. Between a service's port and a client's such a flow is `unobservable`; what it may carry before that is an alert is a budget,
            // not a law.
            let is_unknowable = history.hides_who_asks(number);
            if is_unknowable && flow.has_high_port() {
                continue;
            }
            let after = attacked.of_flow(&history, number);
            prop_assert!(
                after.iter().any(|verdict| *verdict != "verified" && *verdict != "uncovered"),
                "flow {number} was {before:?} and became {after:?}\n{history:#?}"
            );
            if is_unknowable {
                continue;
            }
            let is_detected = after.iter().any(|verdict| Outcome::is_detected(verdict));
            let alerts = if is_detected { attacked.accusing("app") } else { attacked.raised_about_traffic() };
            prop_assert!(
                !alerts.is_empty(),
                "flow {number} was {before:?} and is {after:?} without an alert\n{history:#?}"
            );
        }
        Ok(())
    });
}

#[test]
fn a_flow_around_the_hop_is_never_only_verified() {
    law("a_flow_around_the_hop_is_never_only_verified", |history| {
        let outcome = history.run();
        for (number, flow) in history.around() {
            if flow.has_high_port() && history.hides_who_asks(number) {
                continue;
            }
            let verdicts = outcome.of_flow(&history, number);
            prop_assert!(
                verdicts.iter().any(|verdict| *verdict != "verified" && *verdict != "uncovered"),
                "flow {number}: {verdicts:?}\n{history:#?}"
            );
        }
        Ok(())
    });
}

#[test]
fn no_stranger_frames_a_workload() {
    law("no_stranger_frames_a_workload", |mut history| {
        // Everything that app sends itself keeps to its path.
        history.keep_to_path();
        history.attacks.retain(|attack| attack.by != Attacker::App);
        // docs/trust.md: address and MAC forged together are the victim's, unless its veth is captured.
        if !history.shown.veths {
            history.attacks.retain(|attack| !attack.is_perfect_forgery());
        }
        let outcome = history.run();
        let exact = outcome.alerts.iter().filter(|alert| {
            let confidence = alert.attribution.as_ref().and_then(|attribution| attribution.confidence);
            alert.workload.as_ref().is_some_and(|workload| workload.name == "app")
                && confidence == Some(Confidence::Exact)
                && alert.flow.is_some()
        });
        let exact: Vec<_> = exact.map(|alert| (alert.rule, &alert.flow)).collect();
        prop_assert!(exact.is_empty(), "{exact:#?}\n{history:#?}");
        Ok(())
    });
}

#[test]
fn more_points_never_turn_a_detection_into_silence() {
    law("more_points_never_turn_a_detection_into_silence", |history| {
        let few = history.run();
        let mut more = history.clone();
        more.shown.veths = true;
        more.shown.second = true;
        more.shown.ids = true;
        more.shown.uplink = true;
        let all = more.run();
        for (number, flow) in history.around() {
            // Unknowable (docs/trust.md, What remains, 3), and a point may be the first to see the question.
            if flow.has_high_port() && more.hides_who_asks(number) {
                continue;
            }
            let before = few.of_flow(&history, number);
            if !before.iter().any(|verdict| Outcome::is_detected(verdict)) || few.accusing("app").is_empty() {
                continue;
            }
            let after = all.of_flow(&history, number);
            // Where a veth shows that somebody else sent the first frame, who asked may be unknown; then that one is accused.
            let is_detected = after.iter().any(|verdict| Outcome::is_detected(verdict));
            let alerts = if is_detected { all.accusing("app") } else { all.raised_about_traffic() };
            prop_assert!(
                !alerts.is_empty() && after.iter().any(|verdict| *verdict != "verified" && *verdict != "uncovered"),
                "flow {number} was {before:?}, and with more points {after:?} and {alerts:?}\n{history:#?}"
            );
        }
        Ok(())
    });
}

#[test]
fn a_shorter_capture_never_makes_a_verdict_better() {
    law("a_shorter_capture_never_makes_a_verdict_better", |history| {
        let whole = history.run();
        for snap in [60, 96] {
            let mut cut = history.clone();
            cut.shown.snap = snap;
            let cut = cut.run();
            for (number, _) in history.around() {
                let before = whole.of_flow(&history, number);
                if before.iter().any(|verdict| Outcome::is_detected(verdict)) {
                    let after = cut.of_flow(&history, number);
                    prop_assert!(
                        after.iter().any(|verdict| *verdict != "verified" && *verdict != "uncovered"),
                        "flow {number} was {before:?} and became {after:?} with {snap} bytes a frame\n{history:#?}"
                    );
                }
            }
        }
        Ok(())
    });
}

#[test]
fn the_histories_try_something() {
    let count = std::cell::Cell::new([0_usize; 3]);
    check("none", Seeds { fixed: 1, fresh: 0, cases: 128 }, &history::histories(), |history| {
        let outcome = history.without_attack().run();
        let mut sums = count.get();
        for (number, _) in history.around() {
            let verdicts = outcome.of_flow(&history, number);
            sums[0] += 1;
            sums[1] += usize::from(verdicts.iter().any(|verdict| Outcome::is_detected(verdict)));
        }
        sums[2] += usize::from(history.attacks.len() > 1);
        count.set(sums);
        Ok(())
    });
    let [around, detected, attacked] = count.get();
    assert!(
        around > 100 && detected * 10 > around * 8,
        "{detected} of {around} flows are detected where nobody attacks"
    );
    assert!(attacked > 50, "{attacked}");
}
