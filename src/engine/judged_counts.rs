//! How many flows were judged, and how: what the engine counts for each flow, in tables without order.
//!
//! Contract: [`JudgedCounts::add_to`] gives what counting each flow under its names would have. Limits: one entry a contract and verdict.

use std::sync::Arc;

use super::stats::{EngineStats, how, result};
use crate::path::{JudgedFlow, Verdict};

type Table<K, V> = hashbrown::HashMap<K, V, foldhash::fast::RandomState>;

/// The places in memory of result and of how it is known, and their lengths: a word may have several places.
type Words = [(usize, usize); 2];

/// How often a result was known in some way.
#[derive(Debug)]
struct Attribution {
    words: [&'static str; 2],
    count: u64,
}

/// What is not in [`EngineStats`] yet.
#[derive(Debug, Default)]
pub(super) struct JudgedCounts {
    attributions: Table<Words, Attribution>,
    /// First verdicts by the place in memory of the contract's name, which the entry keeps occupied.
    verdicts: Table<(usize, Verdict), (Arc<str>, u64)>,
}

impl JudgedCounts {
    /// Counts a flow, unless it was judged before.
    pub(super) fn judged(&mut self, flow: &JudgedFlow) {
        if !flow.again {
            let words = [result(&flow.source), how(&flow.source)];
            let places = words.map(|word| (word.as_ptr().addr(), word.len()));
            self.attributions.entry(places).or_insert(Attribution { words, count: 0 }).count += 1;
        }
        if let Some(judgement) = flow.judgement.as_ref().filter(|_| flow.revised_from.is_none()) {
            let name = &judgement.contract;
            let place = (Arc::as_ptr(name).addr(), judgement.verdict);
            self.verdicts.entry(place).or_insert_with(|| (Arc::clone(name), 0)).1 += 1;
        }
    }

    /// Adds what was counted so far.
    pub(super) fn add_to(&self, stats: &mut EngineStats) {
        for Attribution { words: [result, how], count } in self.attributions.values() {
            *stats.attributions.entry((*result, *how)).or_default() += count;
        }
        for ((_, verdict), (name, count)) in &self.verdicts {
            let key = (Arc::clone(name), verdict.as_str(), verdict.reason());
            *stats.path_flows.entry(key).or_default() += count;
        }
    }
}
