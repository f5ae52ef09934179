//! The table is what chance gives, and jitter is found as it says.

#![allow(clippy::cast_precision_loss, reason = "53 bits of a random number are exact")]

use super::*;

/// A small generator (`SplitMix64`), so that the table is made of the same numbers everywhere.
struct Numbers(u64);

impl Numbers {
    fn uniform(&mut self) -> f64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((mixed ^ (mixed >> 31)) >> 11) as f64 / (1_u64 << 53) as f64
    }

    fn exponential(&mut self) -> f64 {
        -(1.0 - self.uniform()).ln()
    }
}

/// D1 and D2 of intervals, nothing left out.
fn figures(mut intervals: Vec<f64>) -> (f64, f64) {
    intervals.sort_by(f64::total_cmp);
    let at = |share| quantile(&intervals, share).expect("some intervals");
    let median = at(0.5);
    let deviations = sorted(intervals.iter().map(|interval| (interval - median).abs()));
    (quantile(&deviations, 0.5).expect("some") / median, (at(0.9) - at(0.1)) / median)
}

#[test]
fn the_table_is_what_arrivals_without_memory_give() {
    const RUNS: usize = 60_000;
    let mut numbers = Numbers(7);
    for (count, row) in LIMITS.iter().filter(|(count, _)| [6, 12, 32].contains(count)) {
        let runs: Vec<_> = (0..RUNS).map(|_| figures((0..*count).map(|_| numbers.exponential()).collect())).collect();
        let (d1, d2) = (sorted(runs.iter().map(|run| run.0)), sorted(runs.iter().map(|run| run.1)));
        let (limit1, limit2) = row[0];
        for (figures, limit) in [(&d1, limit1), (&d2, limit2)] {
            let made = quantile(figures, 0.005).expect("many");
            assert!((made - limit).abs() / limit < 0.1, "{count}: {made} against {limit}");
        }
        // The rarer limit has 30 cases of 60,000 below it.
        let below = d1.iter().filter(|d1| **d1 <= row[1].0).count();
        assert!((10..=60).contains(&below), "{count}: {below}");
    }
}

#[test]
fn jitter_of_forty_percent_is_found_and_chance_is_not() {
    let mut numbers = Numbers(11);
    let mut found = |of: &mut dyn FnMut(&mut Numbers) -> f64, count: usize| {
        let runs = (0..400).filter(|_| {
            let intervals: Vec<f64> = (0..count).map(|_| of(&mut numbers)).collect();
            regularity(&intervals).is_some_and(|it| it.coverage >= 0.6 && it.is_regular(Chance::Thousandth))
        });
        runs.count()
    };
    let mut jitter = |numbers: &mut Numbers| 60.0 * (0.6 + 0.8 * numbers.uniform());
    assert!(found(&mut jitter, 12) > 340 && found(&mut jitter, 16) > 390);
    assert!(found(&mut |numbers| 60.0 * numbers.exponential(), 16) <= 4);
}

#[test]
fn a_night_and_a_restart_are_gaps_and_do_not_hide_a_beacon() {
    let mut intervals = vec![60.0; 12];
    intervals[5] = 30_000.0;
    let found = regularity(&intervals).expect("one gap of twelve");
    assert!(found.is_regular(Chance::FiveThousandth) && found.intervals == 11);
    intervals[2..5].fill(30_000.0);
    assert_eq!(regularity(&intervals), None, "four gaps of twelve");
    assert!(regularity(&[]).is_none() && regularity(&[0.0; 8]).is_none());
}

#[test]
fn missed_contacts_leave_the_core() {
    let intervals: Vec<f64> =
        (0..20).map(|number| if number % 5 == 0 { 120.0 } else { 60.0 + f64::from(number % 3) }).collect();
    let found = regularity(&intervals).expect("figures");
    assert!(found.is_regular(Chance::Thousandth) && found.coverage > 0.8, "{found:?}");
}
