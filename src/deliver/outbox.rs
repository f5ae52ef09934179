//! The outbox as a sink of the output stage: keeps each alert, and wakes the threads that deliver it.
//!
//! Contract: [`AlertSink::alert`] returns when the alert is on the disk. Without a state directory it is in memory, which the log says;
//! what waits there when the run ends is lost and counted. Limits: at the end, what is due is tried for [`PATIENCE`].

use std::io;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use super::error::DeliverError;
use super::prepare;
use super::routes::{Routed, Routes};
use super::store::{Added, Addressed, Entry, OpenRow, Opened, Store, StoreError, waits};
use crate::alert::Alert;
use crate::alert::render::encoding::{Encoding, Sensor, encode};
use crate::alert::render::{self, text};
use crate::clock::{instant, now};
use crate::config::SinkConfig;
use crate::detect::Severity;
use crate::escape::json::to_writer;
use crate::incident::Incident;
use crate::input::OpenAlert;
use crate::sink_counters::{SinkCounters, Undelivered};
use crate::time::Timestamp;
use crate::wording::many;

/// How long the end waits for the receivers.
pub const PATIENCE: Duration = Duration::from_millis(600);
/// Between two looks at whether they are done.
const LOOK: Duration = Duration::from_millis(10);
/// The rule of an incident's entry.
const INCIDENT: &str = "incident";
/// Between two times of forgetting what is old.
const TIDY: Duration = Duration::from_hours(1);
/// As many lines are kept between two times of forgetting what is too much.
const TIDY_AFTER: u32 = 10_000;
/// Columns of the terminal that alerts are kept for.
const KEPT_COLUMNS: usize = 80;

/// The outbox and the threads that empty it.
#[derive(Debug)]
pub struct Outbox {
    store: Arc<Store>,
    routes: Arc<Routes>,
    sensor: Sensor,
    in_memory: bool,
    tidied: Timestamp,
    kept_since: u32,
}

impl Outbox {
    /// Opens the outbox and starts a thread for each sink. `path` is none without a state directory.
    pub fn start(sinks: Vec<SinkConfig>, path: Option<&std::path::Path>) -> Result<Self, DeliverError> {
        let store = Arc::new(match path {
            Some(path) => opened(path)?,
            None => Store::in_memory()?,
        });
        let routes = Arc::new(Routes::new(Arc::clone(&store)));
        routes.swap(Routes::prepare(sinks)?)?;
        let sensor = Sensor { host: host_name(), version: env!("CARGO_PKG_VERSION") };
        Ok(Self { store, routes, sensor, in_memory: path.is_none(), tidied: now(), kept_since: 0 })
    }

    /// The sinks, which may be replaced at any time.
    pub const fn routes(&self) -> &Arc<Routes> {
        &self.routes
    }

    /// The alerts that the run before left open and that may go on; none, which the log says, where they cannot be read.
    pub fn open_alerts(&self) -> Vec<OpenAlert> {
        let found = self.store.open_alerts(now());
        found
            .inspect_err(|error| tracing::error!("alerts that were open begin anew, with other ids: {error}"))
            .unwrap_or_default()
    }

    /// Keeps an alert and wakes the sinks that get it.
    pub fn keep_alert(&mut self, alert: &Alert) -> io::Result<()> {
        let json = encode(alert, Encoding::Hopwatch, &self.sensor)?;
        let before = match alert.update {
            0 => None,
            _ => self.store.severity_of(&alert.id).map_err(io::Error::other)?.and_then(Severity::of_number),
        };
        let sinks = self.routes.in_force();
        let each = sinks.iter().map(|(sink, _)| prepare::alert(sink, alert, before, &self.sensor));
        let to = each.collect::<io::Result<Vec<_>>>()?;
        let entry = Entry {
            id: &alert.id,
            update: alert.update,
            severity: alert.severity,
            rule: alert.rule,
            at: alert.last_seen,
            json: &json,
            text: &text::render(alert, Some(KEPT_COLUMNS)),
            open: alert.condition.as_ref().map(|condition| OpenRow {
                condition: &condition.hash,
                count: alert.count,
                first_seen: alert.first_seen,
                stands: condition.stands,
                ended: alert.ended,
            }),
        };
        self.keep(&entry, &sinks, to)
    }

    /// Keeps an incident and wakes the sinks that get it.
    pub fn keep_incident(&mut self, incident: &Incident) -> io::Result<()> {
        let mut json = Vec::new();
        to_writer(&mut json, incident)?;
        let sinks = self.routes.in_force();
        let to = sinks.iter().map(|(sink, _)| prepare::incident(sink, incident));
        let to = to.collect::<io::Result<Vec<_>>>()?;
        let entry = Entry {
            id: &incident.id,
            update: incident.update,
            severity: incident.severity,
            rule: INCIDENT,
            at: incident.last_seen,
            json: &json,
            text: &render::incident(incident, Some(KEPT_COLUMNS)),
            open: None,
        };
        self.keep(&entry, &sinks, to)
    }

    fn keep(&mut self, entry: &Entry<'_>, sinks: &[Routed], to: Vec<Option<Addressed>>) -> io::Result<()> {
        let sinks: Vec<_> = sinks.iter().zip(&to).filter(|(_, to)| to.is_some()).map(|(sink, _)| sink).collect();
        let to: Vec<_> = to.into_iter().flatten().collect();
        let time = now();
        let added = self.store.add(entry, &to, time).map_err(io::Error::other)?;
        // It is kept: what fails from here on must not make it come again.
        for ((sink, counters), added) in sinks.into_iter().zip(added) {
            count(counters, added);
            match self.store.waiting(&sink.name) {
                Ok(waiting) => counters.set_waiting(waiting.count, waiting.oldest),
                Err(error) => tracing::warn!(sink = sink.name, "{error}"),
            }
        }
        self.routes.wake();
        self.kept_since += 1;
        if time.since(self.tidied) >= TIDY || self.kept_since >= TIDY_AFTER {
            self.tidy(time);
        }
        Ok(())
    }

    fn tidy(&mut self, time: Timestamp) {
        (self.tidied, self.kept_since) = (time, 0);
        match self.store.forget(time) {
            Ok(0) => {}
            Ok(excess) => tracing::warn!(
                "forgot {} of alerts, the lowest severities first: more than {} are not kept",
                many(excess, "line"),
                self.store.max_kept()
            ),
            Err(error) => tracing::warn!("{error}"),
        }
    }

    /// Tries what is due for a while, then leaves the rest in the outbox.
    pub fn stop(&mut self) {
        self.routes.stop();
        let deadline = instant() + PATIENCE;
        while instant() < deadline && !self.routes.have_ended() {
            thread::sleep(LOOK);
        }
        for (sink, counters) in self.routes.in_force() {
            let waiting = counters.waiting();
            if self.in_memory {
                counters.left_behind();
            } else if waiting > 0 {
                tracing::info!(sink = sink.name, "{} for the next run; see `hopwatch outbox list`", waits(waiting));
            }
        }
    }
}

/// Opens the outbox on the disk, and says what was wrong with it.
fn opened(path: &std::path::Path) -> Result<Store, StoreError> {
    let (store, opened) = Store::open(path)?;
    if let Opened::SetAside { to, why } = opened {
        tracing::error!(
            "the outbox was damaged ({why}); it is now {}, and a new one begins: alerts that waited there were not delivered",
            to.display()
        );
    }
    Ok(store)
}

fn count(counters: &SinkCounters, added: Added) {
    for (reason, lost) in [(Undelivered::TooLarge, added.too_large), (Undelivered::OutboxFull, added.displaced)] {
        (0..lost).for_each(|_| counters.lost(reason));
    }
}

/// The host's name, as alerts carry it.
pub fn host_name() -> String {
    nix::unistd::gethostname().map_or_else(|_| "unknown".to_owned(), |name| name.to_string_lossy().into_owned())
}
