//! The outbox as a sink: what is delivered elsewhere.
//!
//! Contract: the outbox is a file of the state directory; where that cannot be used, delivery goes on from memory, and the log says so.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::AlertSink;
use crate::alert::Alert;
use crate::app::state_dir::{StateDir, StateError};
use crate::app::summary::Summary;
use crate::config::SinkConfig;
use crate::deliver::{DeliverError, Outbox, Routes};
use crate::incident::Incident;
use crate::sink_counters::CountedSinks;

/// The outbox's file in the state directory.
const OUTBOX: &str = "outbox.sqlite";

/// Where the outbox of a state directory is.
pub fn outbox_path(state_dir: Option<&Path>) -> Result<PathBuf, StateError> {
    Ok(StateDir::open(state_dir)?.path(OUTBOX))
}

/// The outbox of these sinks. Where no sink is configured it only keeps alerts, for `hopwatch alerts`; none if it cannot.
pub fn outbox(sinks: Vec<SinkConfig>, state_dir: Option<&Path>) -> Result<Option<Outbox>, DeliverError> {
    let path = outbox_path(state_dir);
    if sinks.is_empty() {
        let kept = path.map_err(|error| error.to_string());
        let kept = kept.and_then(|path| Outbox::start(sinks, Some(&path)).map_err(|error| error.to_string()));
        return Ok(kept
            .inspect_err(|why| tracing::warn!("alerts of this run are not kept for `hopwatch alerts`: {why}"))
            .ok());
    }
    let path = path.inspect_err(|error| {
        tracing::error!("alerts wait in memory only, and do not outlive this run: {error}");
    });
    Outbox::start(sinks, path.ok().as_deref()).map(Some)
}

impl AlertSink for Outbox {
    fn name(&self) -> &'static str {
        "outbox"
    }

    fn alert(&mut self, alert: &Alert) -> io::Result<()> {
        self.keep_alert(alert)
    }

    fn incident(&mut self, incident: &Incident) -> io::Result<()> {
        self.keep_incident(incident)
    }

    fn finish(&mut self, _: &Summary) -> io::Result<()> {
        self.stop();
        Ok(())
    }

    fn has_reader(&self) -> bool {
        !self.routes().in_force().is_empty()
    }

    fn receivers(&self) -> Option<Arc<dyn CountedSinks>> {
        let routes: Arc<Routes> = Arc::clone(self.routes());
        Some(routes)
    }
}
