//! The outbox: what is to be delivered, in SQLite.
//!
//! Contract: what [`Store::add`] returned for is on the disk, and stays until its sink took it, refused it, or it is too old. Order within
//! an alert is kept. Limits: [`MAX_WAITING`] deliveries of a sink ([`MAX_WAITING_IN_MEMORY`] without a state directory); beyond, the
//! oldest of the lowest severity leaves and is counted. As many dead ones of a sink are kept; the oldest leave.
//! Design: one connection behind a lock, held for one short statement at a time; write-ahead log with `synchronous=FULL`, so that a commit
//! survives a loss of power. Each statement finds its rows by an index, and what waits is counted once.

mod alerts;
mod counts;
mod deliveries;
mod open_alerts;
mod schema;
#[cfg(test)]
mod tests;

use std::path::Path;
use std::sync::Mutex;
use std::time::Duration;

use rusqlite::params;

pub use alerts::{AlertState, Decision, Kept, MAX_KEPT, Which};
use counts::Inner;
pub(super) use deliveries::waits;
pub use deliveries::{Delivery, Listed, State, Waiting};
pub use open_alerts::{MAX_OPEN_KEPT, OpenRow};
pub use schema::Opened;

use crate::detect::Severity;
use crate::sync;
use crate::time::Timestamp;

/// Deliveries that wait for one sink.
pub const MAX_WAITING: u64 = 100_000;
/// The same without a state directory.
pub const MAX_WAITING_IN_MEMORY: u64 = 4_096;
/// Bytes of one body; a longer one is refused and counted.
pub const MAX_BODY: usize = 256 << 10;
/// How long a delivery is tried.
pub const MAX_AGE: Duration = Duration::from_hours(72);
/// How long alerts are kept for `hopwatch alerts`, and dead letters for a person.
const KEPT: Duration = Duration::from_hours(30 * 24);

/// Why the outbox does not work.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// SQLite says no.
    #[error("the outbox: {doing}: {source}")]
    Sqlite {
        /// What was being done.
        doing: &'static str,
        /// What SQLite says.
        source: rusqlite::Error,
    },
    /// Another process holds it.
    #[error("the outbox {path} is used by another hopwatch (pid {pid}); stop it first, or name another --state-dir")]
    InUse {
        /// Where it is.
        path: String,
        /// Whose it is.
        pid: String,
    },
    /// A newer version wrote it.
    #[error(
        "the outbox {path} was written by a newer hopwatch (version {found}); use that version, or move the file away"
    )]
    Newer {
        /// Where it is.
        path: String,
        /// Its version.
        found: i64,
    },
    /// The file system says no.
    #[error("the outbox {path}: {source}")]
    File {
        /// Where it is.
        path: String,
        /// What the system says.
        source: std::io::Error,
    },
}

impl StoreError {
    pub(super) const fn of(doing: &'static str) -> impl FnOnce(rusqlite::Error) -> Self {
        move |source| Self::Sqlite { doing, source }
    }
}

/// One thing to deliver, for all sinks.
#[derive(Clone, Debug)]
pub struct Entry<'a> {
    /// The alert's or incident's id.
    pub id: &'a str,
    /// Its update.
    pub update: u32,
    /// Its severity.
    pub severity: Severity,
    /// Its rule; `incident` for an incident.
    pub rule: &'a str,
    /// When it was last seen.
    pub at: Timestamp,
    /// It, as `hopwatch.alert/1` or `hopwatch.incident/1`.
    pub json: &'a [u8],
    /// It, as a person sees it on a terminal of 80 columns.
    pub text: &'a str,
    /// What a later run has to know to go on with it; none of an incident.
    pub open: Option<OpenRow<'a>>,
}

/// What one sink is to send.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Addressed {
    /// The sink.
    pub sink: String,
    /// What is sent.
    pub body: Vec<u8>,
    /// Whether a later update makes an earlier one that still waits needless.
    pub supersedes: bool,
}

/// What became of the deliveries that were added.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Added {
    /// They wait.
    pub waiting: u64,
    /// Earlier ones that are needless now.
    pub superseded: u64,
    /// Others that had to leave, because too many wait.
    pub displaced: u64,
    /// Too large to keep.
    pub too_large: u64,
}

/// The outbox.
#[derive(Debug)]
pub struct Store {
    inner: Mutex<Inner>,
    /// Keeps the lock file locked.
    _lock: Option<std::fs::File>,
    max_waiting: u64,
    /// Lines of alerts.
    max_kept: u64,
}

impl Store {
    /// Opens the outbox of a state directory. One that is damaged is set aside, and a new one begins.
    pub fn open(path: &Path) -> Result<(Self, Opened), StoreError> {
        let lock = schema::lock(path)?;
        let (connection, opened) = schema::open(path)?;
        let store = Self {
            inner: Mutex::new(Inner::new(connection)),
            _lock: Some(lock),
            max_waiting: MAX_WAITING,
            max_kept: MAX_KEPT,
        };
        Ok((store, opened))
    }

    /// Opens an outbox that is there, beside a hopwatch that may be running.
    pub fn visit(path: &Path) -> Result<Self, StoreError> {
        let connection = schema::visit(path)?;
        Ok(Self {
            inner: Mutex::new(Inner::new(connection)),
            _lock: None,
            max_waiting: MAX_WAITING,
            max_kept: MAX_KEPT,
        })
    }

    /// One that lasts as long as the process.
    pub fn in_memory() -> Result<Self, StoreError> {
        let connection = schema::in_memory()?;
        Ok(Self {
            inner: Mutex::new(Inner::new(connection)),
            _lock: None,
            max_waiting: MAX_WAITING_IN_MEMORY,
            max_kept: MAX_WAITING_IN_MEMORY,
        })
    }

    /// Keeps one alert or incident and what each sink is to send of it; nothing where it was kept before as it was raised.
    pub fn add(&self, entry: &Entry<'_>, to: &[Addressed], now: Timestamp) -> Result<Vec<Added>, StoreError> {
        let mut inner = sync::lock(&self.inner);
        let before = to.iter().map(|to| inner.waiting(&to.sink)).collect::<rusqlite::Result<Vec<_>>>();
        let before = before.map_err(StoreError::of("counting what waits"))?;
        let transaction = inner.connection.transaction().map_err(StoreError::of("beginning to keep an alert"))?;
        let doing = StoreError::of("keeping an alert");
        let added = (|| {
            let mut kept = transaction.prepare_cached(schema::ADD_ALERT)?;
            let is_new = kept.execute(params![
                entry.id,
                entry.update,
                entry.at.as_nanos(),
                entry.severity as u8,
                entry.rule,
                entry.json,
                entry.text,
                now.as_nanos()
            ])?;
            open_alerts::note(&transaction, entry, now)?;
            // Raised again with the same id after a restart: those that it was for then have it.
            if is_new == 0 && entry.update == 0 {
                return Ok(vec![Added::default(); to.len()]);
            }
            let room = before.iter().map(|waiting| self.max_waiting.saturating_sub(*waiting));
            let each = to.iter().zip(room).map(|(to, room)| deliveries::add(&transaction, entry, to, now, room));
            each.collect::<rusqlite::Result<Vec<_>>>()
        })()
        .map_err(doing)?;
        transaction.commit().map_err(StoreError::of("writing an alert to the disk"))?;
        for (to, added) in to.iter().zip(&added) {
            inner.came(&to.sink, added.waiting);
            inner.left(&to.sink, added.superseded + added.displaced);
        }
        Ok(added)
    }

    /// Lines of alerts that are kept: [`MAX_KEPT`], fewer where they are in memory.
    pub const fn max_kept(&self) -> u64 {
        self.max_kept
    }

    /// As a full disk does.
    #[cfg(test)]
    pub(super) fn refuse_writes(&self, refuse: bool) {
        let connection = &sync::lock(&self.inner).connection;
        connection.pragma_update(None, "query_only", refuse).expect("a pragma");
    }

    /// The highest severity that was kept of an alert.
    pub fn severity_of(&self, id: &str) -> Result<Option<u8>, StoreError> {
        let connection = &sync::lock(&self.inner).connection;
        let query = connection.prepare_cached("SELECT max(severity) FROM alert WHERE id = ?1");
        query
            .and_then(|mut query| query.query_row([id], |row| row.get(0)))
            .map_err(StoreError::of("looking for an alert"))
    }

    /// Forgets what is older than it is kept, and the least important of what is too much. Returns how many lines were too much.
    pub fn forget(&self, now: Timestamp) -> Result<u64, StoreError> {
        let before = now.minus(KEPT).as_nanos();
        let inner = &mut *sync::lock(&self.inner);
        inner.forget_counts();
        let connection = &inner.connection;
        let forgotten = connection
            .execute("DELETE FROM alert WHERE at < ?1 AND added < ?1", [before])
            .and_then(|_| open_alerts::forget(connection, before))
            .and_then(|_| connection.execute("DELETE FROM delivery WHERE state = 'dead' AND added < ?1", [before]))
            .and_then(|_| alerts::forget_excess(connection, self.max_kept));
        forgotten.map_err(StoreError::of("forgetting old alerts"))
    }
}
