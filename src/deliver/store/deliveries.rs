//! The deliveries of the outbox: what waits, what is tried next, what is dead.

use rusqlite::{Row, Transaction, params};

use super::{Added, Addressed, Entry, MAX_AGE, MAX_BODY, Store, StoreError};
use crate::deliver::outcome::LONGEST_WAIT;
use crate::sync;
use crate::time::Timestamp;

/// Whether a delivery is still tried.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// It is.
    Waiting,
    /// It was refused, or is too old: a person decides.
    Dead,
}

/// One body for one sink.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Delivery {
    /// Its number, which is never used again.
    pub seq: i64,
    /// The alert's or incident's id.
    pub id: String,
    /// Its update.
    pub update: u32,
    /// What is sent.
    pub body: Vec<u8>,
    /// Attempts so far.
    pub attempts: u32,
    /// Whether an earlier attempt may have arrived.
    pub maybe_taken: bool,
}

/// One that is shown to a person.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize)]
pub struct Listed {
    /// Its number.
    pub seq: i64,
    /// The sink.
    pub sink: String,
    /// The alert's or incident's id.
    pub id: String,
    /// Its update.
    pub update: u32,
    /// The rule.
    pub rule: String,
    /// Whether it is still tried.
    pub state: State,
    /// When it was added.
    pub added: Timestamp,
    /// Attempts so far.
    pub attempts: u32,
    /// What the last one ended with.
    pub error: Option<String>,
}

/// What waits for a sink.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// Deliveries that wait.
    pub waiting: u64,
    /// Those that are dead.
    pub dead: u64,
    /// When the oldest that waits was added.
    pub oldest: Option<Timestamp>,
}

/// Adds one in a transaction.
pub(super) fn add(
    transaction: &Transaction<'_>,
    entry: &Entry<'_>,
    to: &Addressed,
    now: Timestamp,
    max_waiting: u64,
) -> rusqlite::Result<Added> {
    if to.body.len() > MAX_BODY {
        return Ok(Added { too_large: 1, ..Added::default() });
    }
    let mut superseded = 0;
    if to.supersedes {
        let sql = "DELETE FROM delivery WHERE sink = ?1 AND id = ?2 AND state = 'waiting'";
        superseded = transaction.prepare_cached(sql)?.execute(params![to.sink, entry.id])? as u64;
    }
    let sql = "INSERT INTO delivery (sink, id, update_no, severity, rule, added, body)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
    let severity = entry.severity as u8;
    transaction.prepare_cached(sql)?.execute(params![
        to.sink,
        entry.id,
        entry.update,
        severity,
        entry.rule,
        now.as_nanos(),
        to.body
    ])?;
    let displaced = displace(transaction, &to.sink, max_waiting)?;
    Ok(Added { waiting: 1, superseded, displaced, too_large: 0 })
}

/// The oldest of the lowest severity leaves, where too many wait.
fn displace(transaction: &Transaction<'_>, sink: &str, max_waiting: u64) -> rusqlite::Result<u64> {
    let sql = "SELECT count(*) FROM (SELECT 1 FROM delivery WHERE sink = ?1 AND state = 'waiting' LIMIT ?2)";
    let waiting: u64 = transaction.prepare_cached(sql)?.query_row(params![sink, max_waiting + 1], |row| row.get(0))?;
    if waiting <= max_waiting {
        return Ok(0);
    }
    let sql = "DELETE FROM delivery WHERE seq = (SELECT seq FROM delivery WHERE sink = ?1 AND state = 'waiting'
               ORDER BY severity, seq LIMIT 1)";
    Ok(transaction.prepare_cached(sql)?.execute([sink])? as u64)
}

impl Store {
    /// The next one to try: the first of its alert, and due.
    pub fn next(&self, sink: &str, now: Timestamp) -> Result<Option<Delivery>, StoreError> {
        let sql = "SELECT seq, id, update_no, body, attempts, maybe_taken FROM delivery AS d
                   WHERE sink = ?1 AND state = 'waiting' AND (next_at <= ?2 OR next_at > ?3) AND NOT EXISTS
                   (SELECT 1 FROM delivery AS e
                    WHERE e.sink = d.sink AND e.id = d.id AND e.state = 'waiting' AND e.seq < d.seq)
                   ORDER BY seq LIMIT 1";
        // A clock that was set back must not stop delivery.
        let latest = now.plus(LONGEST_WAIT).as_nanos();
        let connection = sync::lock(&self.connection);
        let next = connection.prepare_cached(sql).and_then(|mut query| {
            let mut rows = query.query_map(params![sink, now.as_nanos(), latest], delivery)?;
            rows.next().transpose()
        });
        next.map_err(StoreError::of("looking for what to deliver"))
    }

    /// What waits is due now: a run begins, perhaps because somebody repaired what was wrong.
    pub fn begin(&self, sink: &str) -> Result<(), StoreError> {
        let sql = "UPDATE delivery SET next_at = 0 WHERE sink = ?1 AND state = 'waiting'";
        let connection = sync::lock(&self.connection);
        connection.execute(sql, [sink]).map(drop).map_err(StoreError::of("beginning to deliver"))
    }

    /// When the first of a sink may be tried.
    pub fn next_at(&self, sink: &str) -> Result<Option<Timestamp>, StoreError> {
        let sql = "SELECT min(next_at) FROM delivery WHERE sink = ?1 AND state = 'waiting'";
        let connection = sync::lock(&self.connection);
        let at = connection.prepare_cached(sql).and_then(|mut query| query.query_row([sink], |row| row.get(0)));
        at.map(|at: Option<i64>| at.map(Timestamp::from_nanos)).map_err(StoreError::of("looking for what to deliver"))
    }

    /// It was taken.
    pub fn delivered(&self, seq: i64) -> Result<(), StoreError> {
        let connection = sync::lock(&self.connection);
        let sql = "DELETE FROM delivery WHERE seq = ?1";
        let deleted = connection.prepare_cached(sql).and_then(|mut delete| delete.execute([seq]));
        deleted.map(drop).map_err(StoreError::of("noting a delivery"))
    }

    /// It is tried again from `at` on; one that is too old by `now` is dead. Returns whether it may still be tried.
    pub fn again(
        &self,
        seq: i64,
        at: Timestamp,
        maybe_taken: bool,
        why: &str,
        now: Timestamp,
    ) -> Result<bool, StoreError> {
        let sql = "UPDATE delivery SET attempts = attempts + 1, next_at = ?2, maybe_taken = max(maybe_taken, ?3),
                   error = ?4, state = iif(added < ?5, 'dead', 'waiting') WHERE seq = ?1 RETURNING state";
        let oldest = now.minus(MAX_AGE).as_nanos();
        let connection = sync::lock(&self.connection);
        let noted = connection.prepare_cached(sql).and_then(|mut update| {
            let values = params![seq, at.as_nanos(), maybe_taken, why, oldest];
            let mut rows = update.query_map(values, |row| row.get::<_, String>(0))?;
            rows.next().transpose()
        });
        // One that was superseded meanwhile is gone, and not dead.
        let waits = |state: Option<String>| state.is_none_or(|state| state == "waiting");
        noted.map(waits).map_err(StoreError::of("noting an attempt"))
    }

    /// The receiver will never take it.
    pub fn refused(&self, seq: i64, why: &str) -> Result<(), StoreError> {
        let sql = "UPDATE delivery SET attempts = attempts + 1, state = 'dead', error = ?2 WHERE seq = ?1";
        let connection = sync::lock(&self.connection);
        let noted = connection.prepare_cached(sql).and_then(|mut update| update.execute(params![seq, why]));
        noted.map(drop).map_err(StoreError::of("noting a refusal"))
    }

    /// How much waits for a sink.
    pub fn counts(&self, sink: &str) -> Result<Counts, StoreError> {
        let sql = "SELECT coalesce(sum(state = 'waiting'), 0), coalesce(sum(state = 'dead'), 0),
                   min(iif(state = 'waiting', added, NULL)) FROM delivery WHERE sink = ?1";
        let connection = sync::lock(&self.connection);
        let counts = connection.prepare_cached(sql).and_then(|mut query| {
            query.query_row([sink], |row| {
                let oldest = row.get::<_, Option<i64>>(2)?.map(Timestamp::from_nanos);
                Ok(Counts { waiting: row.get(0)?, dead: row.get(1)?, oldest })
            })
        });
        counts.map_err(StoreError::of("counting what waits"))
    }

    /// What waits and what is dead, of one sink or of all.
    pub fn list(&self, sink: Option<&str>, limit: u64) -> Result<Vec<Listed>, StoreError> {
        let sql = "SELECT seq, sink, id, update_no, rule, state, added, attempts, error FROM delivery
                   WHERE ?1 IS NULL OR sink = ?1 ORDER BY sink, seq LIMIT ?2";
        let connection = sync::lock(&self.connection);
        let rows = connection
            .prepare_cached(sql)
            .and_then(|mut query| query.query_map(params![sink, limit], listed)?.collect());
        rows.map_err(StoreError::of("listing what waits"))
    }

    /// Everything that waits or is dead is tried again, now. Returns how many.
    pub fn retry(&self, sink: Option<&str>, seq: Option<i64>, now: Timestamp) -> Result<u64, StoreError> {
        let sql = "UPDATE delivery SET state = 'waiting', next_at = 0, added = iif(state = 'dead', ?3, added)
                   WHERE (?1 IS NULL OR sink = ?1) AND (?2 IS NULL OR seq = ?2)";
        let connection = sync::lock(&self.connection);
        let changed = connection.execute(sql, params![sink, seq, now.as_nanos()]);
        changed.map(|changed| changed as u64).map_err(StoreError::of("trying again"))
    }

    /// Removes what waits and what is dead. Returns how many.
    pub fn remove(&self, sink: Option<&str>, seq: Option<i64>) -> Result<u64, StoreError> {
        let sql = "DELETE FROM delivery WHERE (?1 IS NULL OR sink = ?1) AND (?2 IS NULL OR seq = ?2)";
        let connection = sync::lock(&self.connection);
        let changed = connection.execute(sql, params![sink, seq]);
        changed.map(|changed| changed as u64).map_err(StoreError::of("removing deliveries"))
    }
}

fn delivery(row: &Row<'_>) -> rusqlite::Result<Delivery> {
    Ok(Delivery {
        seq: row.get(0)?,
        id: row.get(1)?,
        update: row.get(2)?,
        body: row.get(3)?,
        attempts: row.get(4)?,
        maybe_taken: row.get(5)?,
    })
}

fn listed(row: &Row<'_>) -> rusqlite::Result<Listed> {
    let state: String = row.get(5)?;
    Ok(Listed {
        seq: row.get(0)?,
        sink: row.get(1)?,
        id: row.get(2)?,
        update: row.get(3)?,
        rule: row.get(4)?,
        state: if state == "dead" { State::Dead } else { State::Waiting },
        added: Timestamp::from_nanos(row.get(6)?),
        attempts: row.get(7)?,
        error: row.get(8)?,
    })
}
