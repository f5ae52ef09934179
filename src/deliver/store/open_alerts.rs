//! Alerts that have not ended, so that the next run can go on with them.
//!
//! Contract: a row changes in the transaction that keeps the alert's line, so that its update is always the last that was kept. A line that ends the alert takes
//! the row away. Limits: [`MAX_OPEN_KEPT`] rows and some that came since the last tidying; those that were noted longest ago leave first.

use std::time::Duration;

use rusqlite::{Connection, Row, Transaction, params};

use super::{Entry, Store, StoreError};
use crate::detect::Severity;
use crate::input::OpenAlert;
use crate::sync;
use crate::time::Timestamp;

/// Open alerts that are kept for the next run.
pub const MAX_OPEN_KEPT: u64 = 10_000;
/// What happened longer ago is closed whatever `alerts.close_after` is.
const SEEN_WITHIN: Duration = Duration::from_hours(24);

/// What a later run has to know of an alert, beside its line.
#[derive(Clone, Debug)]
pub struct OpenRow<'a> {
    /// What it is about, as a hash.
    pub condition: &'a str,
    /// How often it was found.
    pub count: u64,
    /// When it was first seen.
    pub first_seen: Timestamp,
    /// It is about a setting that each run looks at anew.
    pub stands: bool,
    /// It is over.
    pub ended: bool,
}

/// Notes what a line says about its alert.
pub(super) fn note(transaction: &Transaction<'_>, entry: &Entry<'_>, now: Timestamp) -> rusqlite::Result<()> {
    let Some(open) = &entry.open else { return Ok(()) };
    if open.ended {
        transaction.prepare_cached("DELETE FROM open_alert WHERE condition = ?1")?.execute([open.condition])?;
        return Ok(());
    }
    let sql = "INSERT OR REPLACE INTO open_alert
               (condition, id, update_no, count, severity, first_seen, last_seen, stands, noted)
               VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9)";
    transaction.prepare_cached(sql)?.execute(params![
        open.condition,
        entry.id,
        entry.update,
        i64::try_from(open.count).unwrap_or(i64::MAX),
        entry.severity as u8,
        open.first_seen.as_nanos(),
        entry.at.as_nanos(),
        open.stands,
        now.as_nanos()
    ])?;
    Ok(())
}

/// Those that were noted before, and the oldest of too many, leave.
pub(super) fn forget(connection: &Connection, before: i64) -> rusqlite::Result<usize> {
    let sql = "DELETE FROM open_alert WHERE noted < ?1 OR condition IN
               (SELECT condition FROM open_alert ORDER BY noted DESC LIMIT -1 OFFSET ?2)";
    connection.execute(sql, params![before, MAX_OPEN_KEPT])
}

impl Store {
    /// What may go on in a run that begins now, the first seen first: settings, and what was seen lately.
    pub fn open_alerts(&self, now: Timestamp) -> Result<Vec<OpenAlert>, StoreError> {
        let sql = "SELECT condition, id, update_no, count, severity, first_seen, last_seen, stands FROM
                   (SELECT * FROM open_alert WHERE stands OR last_seen > ?2 ORDER BY noted DESC LIMIT ?1) ORDER BY first_seen, condition";
        let connection = &sync::lock(&self.inner).connection;
        let rows = connection.prepare_cached(sql).and_then(|mut query| {
            query
                .query_map(params![MAX_OPEN_KEPT, now.minus(SEEN_WITHIN).as_nanos()], open_alert)?
                .collect::<rusqlite::Result<Vec<_>>>()
        });
        rows.map_err(StoreError::of("looking for open alerts"))
    }
}

fn open_alert(row: &Row<'_>) -> rusqlite::Result<OpenAlert> {
    let severity = Severity::of_number(row.get(4)?).unwrap_or(Severity::Low);
    Ok(OpenAlert {
        condition: row.get(0)?,
        id: row.get(1)?,
        update: row.get(2)?,
        count: u64::try_from(row.get::<_, i64>(3)?).unwrap_or_default(),
        severity: severity.as_str().to_owned(),
        first_seen: Timestamp::from_nanos(row.get(5)?),
        last_seen: Timestamp::from_nanos(row.get(6)?),
        stands: row.get(7)?,
    })
}
