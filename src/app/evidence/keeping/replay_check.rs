//! Whether a bundle replays to its alert, tried before it is kept.
//!
//! Contract: the replay reads the files of the bundle as `hopwatch replay` does, its configuration included; nothing that the living engine knows helps it. What does not come
//! again has a reason in words. Limits: on the collector's thread; a bundle is some MiB at most.

use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};

use crate::alert::Alert;
use crate::app::baseline;
use crate::app::output::{AlertSink, Output, Overflow};
use crate::app::replay::{self, Reloads, ReplayOptions};
use crate::app::summary::Summary;
use crate::config;
use crate::detect::rules;
use crate::evidence::ReplayCheck;
use crate::incident::Incident;
use crate::sync;

/// What bundles hold of this run's configuration.
#[derive(Clone, Debug)]
pub struct ReplaySetup {
    config: String,
    baseline: Option<String>,
}

impl ReplaySetup {
    /// Of the whole configuration as YAML, and the baseline in force. Where alerts are sent to stays out of it: such addresses hold secrets.
    pub fn new(printed: &str, baseline: Option<&str>) -> Self {
        Self { config: config::kept_text(printed, baseline.is_some()), baseline: baseline.map(str::to_owned) }
    }

    /// The configuration.
    pub fn config_text(&self) -> &str {
        &self.config
    }

    pub(super) fn baseline(&self) -> Option<&str> {
        self.baseline.as_deref()
    }
}

/// Replays what is in the folder.
pub(super) fn check(folder: &Path, alert: &Alert, setup: &ReplaySetup) -> ReplayCheck {
    let no = |why: String| ReplayCheck { same_id: false, why: Some(why) };
    match ids(folder, setup) {
        Ok(found) if found.iter().any(|(id, _)| *id == alert.id) => ReplayCheck { same_id: true, why: None },
        Ok(found) => no(reason(alert, &found)),
        Err(error) => no(format!("the replay failed: {error:#}")),
    }
}

fn reason(alert: &Alert, found: &[(String, &'static str)]) -> String {
    if found.iter().any(|(_, rule)| *rule == alert.rule) {
        return format!("{} speaks, but of another beginning: what began it is older than what was kept", alert.rule);
    }
    match rules::ALL.iter().find(|rule| rule.name == alert.rule) {
        Some(rule) => format!(
            "{}: {} needs more than the packets and facts that were kept",
            alert.rule,
            rule.title.to_lowercase()
        ),
        None => format!("{} is not known", alert.rule),
    }
}

/// Ids of what a replay of the folder raises, each with its rule.
fn ids(folder: &Path, setup: &ReplaySetup) -> anyhow::Result<Vec<(String, &'static str)>> {
    let mut config = config::from_str("hopwatch.yaml", &setup.config)?.config;
    config.baseline = setup.baseline.as_ref().map(|_| folder.join(config::KEPT_BASELINE));
    baseline::load_unwatched(&mut config)?;
    let found = Arc::<Mutex<Vec<_>>>::default();
    let output = Output::to(Box::new(Ids(Arc::clone(&found))), Overflow::Block)?;
    let options = ReplayOptions {
        captures: vec![folder.join("traffic.pcapng")],
        facts: vec![folder.join("facts.jsonl")],
        warnings: Vec::new(),
        engine: config.engine,
        shown_labels: config.runtimes.shown_labels,
        meter: config.meter,
        reloads: Reloads::Follow,
        verdict_log: None,
        filter: None,
        observer: None,
        stop: None,
    };
    let report = replay::run(options, &output, &mut |_| {})?;
    output.finish(&report.summary)?;
    let mut found = sync::lock(&found);
    Ok(std::mem::take(&mut *found))
}

/// Keeps ids.
struct Ids(Arc<Mutex<Vec<(String, &'static str)>>>);

impl AlertSink for Ids {
    fn name(&self) -> &'static str {
        "evidence"
    }

    fn alert(&mut self, alert: &Alert) -> io::Result<()> {
        sync::lock(&self.0).push((alert.id.clone(), alert.rule));
        Ok(())
    }

    fn incident(&mut self, _: &Incident) -> io::Result<()> {
        Ok(())
    }

    fn finish(&mut self, _: &Summary) -> io::Result<()> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bundle_does_not_say_where_alerts_are_sent() {
        let text =
            "alerts:\n  burst: 1\nsinks:\n  pager:\n    webhook:\n      url: https://example/secret\nrules: {}\n";
        assert_eq!(ReplaySetup::new(text, None).config_text(), "alerts:\n  burst: 1\nrules: {}\n");
        let with = ReplaySetup::new("baseline: /etc/hopwatch/baseline.yaml\n", Some("text"));
        assert_eq!(with.config_text(), "baseline: baseline.yaml\n");
    }
}
