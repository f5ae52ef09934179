//! Follows the engine, and notes who shows a pattern.
//!
//! Contract: a flow counts once, whatever its verdict becomes; a container counts once for its image. Limits: of flows whose greeting comes after their judgement,
//! [`MAX_FOLLOWED`] are remembered, others counted as left out. Design: fingerprints are counted by sender, since which of them the alert's flow has may be known only afterwards.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

use super::pattern::who;
use super::{Findings, MAX_GREETINGS, MAX_ROWS, Pattern, Seen, Sign, Where, Who};
use crate::alert::Alert;
use crate::detect::known_name;
use crate::engine::Observer;
use crate::input::{FiveTuple, FlowEvent, FlowEventKind, FlowId, FlowRecord, Workload};
use crate::inventory::Timeline;
use crate::names::Names;
use crate::path::JudgedFlow;
use crate::time::Timestamp;

/// Flows that were judged and have not ended.
const MAX_FOLLOWED: usize = 65_536;

/// An observer that looks for a pattern.
#[derive(Debug)]
pub struct Tracker {
    pattern: Pattern,
    place: Where,
    found: Findings,
    /// Who greets how.
    greetings: BTreeMap<(String, Who), Seen>,
    /// Senders and flows for which there was no room.
    greetings_omitted: u64,
    /// Fingerprints of the alert's own flow.
    own: BTreeSet<String>,
    /// Who sent the flows whose greeting was not seen when they were judged.
    followed: HashMap<FlowId, Who>,
    /// Whose image was counted.
    counted: BTreeSet<String>,
    now: Timestamp,
}

impl Tracker {
    /// Looks for a pattern in what the engine is given.
    pub fn new(pattern: Pattern, place: Where) -> Self {
        Self {
            pattern,
            place,
            found: Findings::default(),
            greetings: BTreeMap::new(),
            greetings_omitted: 0,
            own: BTreeSet::new(),
            followed: HashMap::new(),
            counted: BTreeSet::new(),
            now: Timestamp::MIN,
        }
    }

    /// What was found, and the pattern with what is known of the alert's flow now.
    pub fn into_findings(self) -> (Findings, Pattern) {
        let Self { mut pattern, mut found, greetings, greetings_omitted, own, place, .. } = self;
        pattern.fingerprints.extend(own);
        for ((print, who), seen) in greetings {
            if pattern.fingerprints.contains(&print) {
                found.add((who, Sign::Fingerprint, print, place), seen);
            }
        }
        found.omitted += greetings_omitted;
        (found, pattern)
    }

    /// What a flow greets with.
    fn greet(&mut self, record: &FlowRecord, who: &Who, at: Timestamp) {
        let hello = record.app.as_deref().and_then(|app| app.tls.as_ref());
        let Some(print) = hello.and_then(|hello| hello.ja4.clone()) else { return };
        if self.pattern.flow.is_some_and(|own| same(own, record.tuple)) {
            self.own.insert(print.clone());
        }
        let key = (print, who.clone());
        if let Some(seen) = self.greetings.get_mut(&key) {
            seen.add(Seen::once(at));
        } else if self.greetings.len() < MAX_GREETINGS {
            self.greetings.insert(key, Seen::once(at));
        } else {
            self.greetings_omitted += 1;
        }
    }
}

/// Whether that is one flow, whichever way it is read.
fn same(one: FiveTuple, other: FiveTuple) -> bool {
    one == other || one == other.reversed()
}

fn has_greeted(record: &FlowRecord) -> bool {
    record.app.as_deref().is_some_and(|app| app.tls.is_some())
}

impl Observer for Tracker {
    fn judged(&mut self, _: &Timeline, names: &Names, flow: &JudgedFlow, goes_on: bool) {
        if flow.again {
            return;
        }
        let (record, at) = (&flow.view.record, flow.oriented.at);
        let tuple = flow.oriented.tuple;
        let who =
            flow.source.workload().map_or_else(|| Who::address(tuple.orig.ip), |workload| Who::workload(workload));
        let name = known_name(names, flow, record);
        let name = name.as_ref().map(|known| &*known.name);
        let signs = self.pattern.of_end(tuple.resp.ip, tuple.resp.port, name);
        self.found.see(&who, signs, self.place, at);
        self.now = self.now.max(at);
        if has_greeted(record) {
            self.greet(record, &who, at);
        } else if goes_on && self.followed.len() < MAX_FOLLOWED {
            self.followed.insert(record.id, who);
        } else if goes_on {
            self.greetings_omitted += 1;
        }
    }

    fn flow(&mut self, event: &FlowEvent) {
        self.now = self.now.max(event.record.end);
        let ended = matches!(event.kind, FlowEventKind::Ended(_));
        if !ended && !has_greeted(&event.record) {
            return;
        }
        if let Some(who) = self.followed.remove(&event.record.id) {
            self.greet(&event.record, &who, event.record.start);
        }
    }

    fn workload(&mut self, _: &Timeline, workload: &Arc<Workload>) {
        let id = workload.id.to_string();
        if let Some(sign) = self.pattern.of_image(workload)
            && !self.counted.contains(&id)
        {
            // Each is a row.
            if self.counted.len() < MAX_ROWS {
                self.counted.insert(id);
            }
            let at = workload.since.unwrap_or(self.now);
            self.found.see(&Who::workload(workload), [sign], self.place, at);
        }
    }

    fn alert(&mut self, alert: &Alert) {
        if !alert.is_first_of_run {
            return;
        }
        let (at, Ok(alert)) = (alert.last_seen, serde_json::to_value(alert)) else { return };
        if let Some(who) = who(&alert) {
            // Its destinations stand in flows.
            let signs = self.pattern.of_alert(&alert).into_iter().filter(|(sign, _)| *sign == Sign::Setting);
            self.found.see(&who, signs, Where::Alerts, at);
        }
    }
}
