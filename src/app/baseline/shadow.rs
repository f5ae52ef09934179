//! How many alerts a baseline would have raised.
//!
//! Contract: recordings are replayed with the baseline in force for all its services; alerts of the rules about settings and new traffic are counted by rule, and
//! differences by field. Nothing is written. Limits: what a recording does not hold raises nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use serde::Serialize;

use crate::alert::Alert;
use crate::app::output::Output;
use crate::app::replay::{self, ReplayError, ReplayOptions};
use crate::baseline::{Baseline, Compared, ServiceState};
use crate::detect::rules;
use crate::engine::Observer;
use crate::input::{RecordedFact, Workload};
use crate::inventory::Timeline;
use crate::time::Timestamp;

/// Name and version of the shape.
const SCHEMA: &str = "hopwatch.baseline-shadow/1";
/// Shorter recordings say nothing of a day.
const SHORTEST: Duration = Duration::from_hours(1);

/// What would have been reported.
#[derive(Debug, Default, Serialize)]
pub struct ShadowReport {
    /// Always `hopwatch.baseline-shadow/1`.
    pub schema: &'static str,
    /// Serial number of the baseline.
    pub serial: u64,
    /// Recordings that were replayed.
    pub recordings: usize,
    /// Seconds of all of them.
    pub seconds: u64,
    /// Alerts by rule.
    pub alerts: BTreeMap<&'static str, u64>,
    /// All alerts for each day of recording; absent where less than an hour was recorded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub alerts_per_day: Option<f64>,
    /// Distinct differences by field.
    pub fields: BTreeMap<String, u64>,
}

/// Follows a replay.
#[derive(Debug)]
struct Counter {
    baseline: Arc<Baseline>,
    span: Option<(Timestamp, Timestamp)>,
    alerts: BTreeMap<&'static str, u64>,
    seen: BTreeSet<(String, String)>,
}

impl Observer for Counter {
    fn fact(&mut self, _timeline: &Timeline, _fact: &RecordedFact, now: Timestamp) {
        let (first, last) = self.span.unwrap_or((now, now));
        self.span = Some((first.min(now), last.max(now)));
    }

    fn workload(&mut self, _timeline: &Timeline, workload: &Arc<Workload>) {
        let Some(compared) = Compared::of(&self.baseline, workload) else { return };
        for deviation in &compared.deviations {
            self.seen.insert((deviation.field.to_string(), format!("{} {}", compared.key, deviation.words())));
        }
    }

    fn alert(&mut self, alert: &Alert) {
        if alert.update == 0 && (rules::is_about_settings(alert.rule) || rules::is_about_new_traffic(alert.rule)) {
            *self.alerts.entry(alert.rule).or_default() += 1;
        }
    }
}

/// Replays each recording with the baseline.
pub fn shadow(baseline: Baseline, recordings: Vec<ReplayOptions>) -> Result<ShadowReport, ReplayError> {
    let baseline = Arc::new(enforced(baseline));
    let mut report = ShadowReport { schema: SCHEMA, serial: baseline.serial, ..ShadowReport::default() };
    let mut seen = BTreeSet::new();
    for mut options in recordings {
        let counter =
            Counter { baseline: Arc::clone(&baseline), span: None, alerts: BTreeMap::new(), seen: BTreeSet::new() };
        options.engine.baseline = Some(Arc::clone(&baseline));
        options.observer = Some(Box::new(counter));
        let ended = replay::run(options, &Output::none(), &mut |_| {})?;
        report.recordings += 1;
        let Some(counter) = ended.engine.observer::<Counter>() else { continue };
        report.seconds += counter.span.map_or(0, |(first, last)| last.since(first).as_secs());
        counter.alerts.iter().for_each(|(rule, count)| *report.alerts.entry(rule).or_default() += count);
        seen.extend(counter.seen.iter().cloned());
    }
    for (field, _) in seen {
        *report.fields.entry(field).or_default() += 1;
    }
    let all: u64 = report.alerts.values().sum();
    let is_long = Duration::from_secs(report.seconds) >= SHORTEST;
    #[expect(clippy::cast_precision_loss, reason = "a rate for people")]
    let rate = || all as f64 * 86_400.0 / report.seconds as f64;
    report.alerts_per_day = is_long.then(rate);
    Ok(report)
}

/// The same with all services in force.
fn enforced(mut baseline: Baseline) -> Baseline {
    let keys: Vec<_> = baseline.services().map(|service| service.key.clone()).collect();
    for key in keys {
        if let Some(service) = baseline.service_mut(&key) {
            service.state = ServiceState::Enforced;
        }
    }
    baseline
}

impl ShadowReport {
    /// For a person.
    pub fn text(&self) -> String {
        let all: u64 = self.alerts.values().sum();
        let of = crate::wording::many(self.recordings as u64, "recording");
        let mut text =
            format!("{} from {of} of {} s, serial {}\n", crate::wording::many(all, "alert"), self.seconds, self.serial);
        match self.alerts_per_day {
            Some(rate) => text.push_str(&format!("{rate:.1} alerts a day\n")),
            None => text.push_str("less than an hour was recorded: no rate for a day\n"),
        }
        let lines = |title: &str, all: &mut dyn Iterator<Item = (String, u64)>| {
            let lines: String = all.map(|(name, count)| format!("  {count:>6}  {name}\n")).collect();
            if lines.is_empty() { String::new() } else { format!("{title}\n{lines}") }
        };
        text.push_str(&lines("by rule", &mut self.alerts.iter().map(|(rule, count)| ((*rule).to_owned(), *count))));
        text.push_str(&lines(
            "distinct differences by field",
            &mut self.fields.iter().map(|(field, count)| (field.clone(), *count)),
        ));
        text
    }
}
