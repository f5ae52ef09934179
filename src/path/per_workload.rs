//! What was found out about a workload, remembered while the workload stays as it is.
//!
//! Contract: answers as asking again does; a workload that is described anew is asked about anew. Limits: [`MAX_WORKLOADS`]; one more, and it begins anew.
//! Design: a reported workload never changes, its next description is another one. So an entry is found by its place in memory, which the entry
//! keeps occupied.

use std::sync::Arc;

use crate::input::Workload;

const MAX_WORKLOADS: usize = 4096;

/// Answers to one question.
#[derive(Debug)]
pub struct PerWorkload<T> {
    known: hashbrown::HashMap<usize, (Arc<Workload>, T), foldhash::fast::RandomState>,
}

impl<T> Default for PerWorkload<T> {
    fn default() -> Self {
        Self { known: hashbrown::HashMap::default() }
    }
}

impl<T: Clone> PerWorkload<T> {
    /// The answer for a workload, asked for where it is not known.
    pub fn get(&mut self, workload: &Arc<Workload>, ask: impl FnOnce() -> T) -> T {
        let place = Arc::as_ptr(workload).addr();
        if let Some((_, answer)) = self.known.get(&place) {
            return answer.clone();
        }
        if self.known.len() >= MAX_WORKLOADS {
            self.known.clear();
        }
        let answer = ask();
        self.known.insert(place, (Arc::clone(workload), answer.clone()));
        answer
    }
}
