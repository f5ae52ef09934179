//! Property tests that always try the same cases, and a few new ones.
//!
//! Contract: seeds 0 to `fixed` give the same cases in every run, so a run that fails fails again; `fresh` seeds are new each time, and a failure
//! prints the command that repeats it. Put a fresh seed that failed into a test of its own. `HOPWATCH_SEED=N` tries this seed only,
//! `HOPWATCH_FRESH_SEEDS=N` as many new ones.

use std::hash::{BuildHasher as _, RandomState};

use proptest::strategy::Strategy;
use proptest::test_runner::{Config, RngAlgorithm, TestCaseResult, TestRng, TestRunner};

/// Which seeds, and how many cases of each.
#[derive(Clone, Copy, Debug)]
pub struct Seeds {
    pub fixed: u64,
    pub fresh: u64,
    pub cases: u32,
}

/// Holds a property to all seeds; panics with the smallest case of the first seed that fails, and names every seed that does. `test` is its path, as `cargo test` takes it.
pub fn check<S: Strategy>(test: &str, seeds: Seeds, strategy: &S, property: impl Fn(S::Value) -> TestCaseResult) {
    let mut failed = Vec::new();
    for seed in chosen(seeds) {
        let config = Config { cases: seeds.cases, failure_persistence: None, ..Config::default() };
        let mut bytes = [0; 32];
        bytes[..8].copy_from_slice(&seed.to_le_bytes());
        let mut runner = TestRunner::new_with_rng(config, TestRng::from_seed(RngAlgorithm::ChaCha, &bytes));
        if let Err(error) = runner.run(strategy, &property) {
            failed.push((seed, error.to_string()));
        }
    }
    let Some((seed, error)) = failed.first() else { return };
    let all: Vec<u64> = failed.iter().map(|(seed, _)| *seed).collect();
    panic!("{error}\nfailed seeds: {all:?}\nrepeat with: HOPWATCH_SEED={seed} cargo test {test}");
}

fn chosen(seeds: Seeds) -> Vec<u64> {
    let number = |name: &str| std::env::var(name).ok().map(|text| text.parse().expect("a number"));
    if let Some(seed) = number("HOPWATCH_SEED") {
        return vec![seed];
    }
    let fresh = number("HOPWATCH_FRESH_SEEDS").unwrap_or(seeds.fresh);
    let new = |_| RandomState::new().hash_one(());
    (0..seeds.fixed).chain((0..fresh).map(new)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::panic::catch_unwind;

    #[test]
    fn a_failure_prints_the_command_that_repeats_it() {
        let few = Seeds { fixed: 2, fresh: 1, cases: 20 };
        check("none", few, &(0_u8..200), |_| Ok(()));
        let failed = catch_unwind(|| {
            check("--test core this", few, &(0_u8..200), |number| {
                if number < 100 { Ok(()) } else { Err(proptest::test_runner::TestCaseError::fail("too large")) }
            });
        });
        let said = failed.expect_err("it fails");
        let said = said.downcast_ref::<String>().expect("a text");
        assert!(
            said.contains("repeat with: HOPWATCH_SEED=0 cargo test --test core this") && said.contains("100"),
            "{said}"
        );
    }
}
