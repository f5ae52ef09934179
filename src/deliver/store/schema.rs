//! Opening the outbox's file: its tables, its lock, what happens to one that is damaged, and to one of an earlier version.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Read as _, Seek as _, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};

use rusqlite::{Connection, OpenFlags};

use super::StoreError;
use crate::clock::now;
use crate::escape::printable;

/// `hopw`, so that `file` and a person know whose database it is.
const APPLICATION: i64 = 0x686f_7077;
/// Of the tables.
const VERSION: i64 = 3;

pub(super) const TABLES: &str = "
CREATE TABLE alert (
  seq INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL, update_no INTEGER NOT NULL, at INTEGER NOT NULL,
  severity INTEGER NOT NULL, rule TEXT NOT NULL, body BLOB NOT NULL, UNIQUE (id, update_no)
);
CREATE TABLE delivery (
  seq INTEGER PRIMARY KEY AUTOINCREMENT, sink TEXT NOT NULL, id TEXT NOT NULL, update_no INTEGER NOT NULL,
  severity INTEGER NOT NULL, rule TEXT NOT NULL, added INTEGER NOT NULL, body BLOB NOT NULL,
  state TEXT NOT NULL DEFAULT 'waiting', attempts INTEGER NOT NULL DEFAULT 0, next_at INTEGER NOT NULL DEFAULT 0,
  maybe_taken INTEGER NOT NULL DEFAULT 0, error TEXT
);
CREATE INDEX delivery_by_sink ON delivery (sink, state, seq);
CREATE INDEX delivery_by_severity ON delivery (sink, state, severity, seq);
CREATE INDEX delivery_by_alert ON delivery (sink, id, state, seq);
CREATE INDEX alert_by_time ON alert (at);
";
/// Also added to an outbox that was made without them.
const INDEXES: &str = "
CREATE INDEX IF NOT EXISTS delivery_by_age ON delivery (sink, state, added);
CREATE INDEX IF NOT EXISTS delivery_by_due ON delivery (sink, state, next_at);
CREATE INDEX IF NOT EXISTS alert_by_id ON alert (id, severity);
";

/// From version 1 to 2: what a person sees of an alert, and what a person decided about it.
const TO_VERSION_2: &str = "
ALTER TABLE alert ADD COLUMN text TEXT;
CREATE INDEX alert_by_severity ON alert (severity, seq);
CREATE TABLE decision (
  id TEXT PRIMARY KEY, state TEXT NOT NULL, by_whom TEXT NOT NULL, why TEXT NOT NULL, at INTEGER NOT NULL,
  update_no INTEGER NOT NULL, severity INTEGER NOT NULL
);
";

/// From version 2 to 3: when an alert was kept, and which are open.
const TO_VERSION_3: &str = "
ALTER TABLE alert ADD COLUMN added INTEGER NOT NULL DEFAULT 0;
CREATE TABLE open_alert (
  condition TEXT PRIMARY KEY, id TEXT NOT NULL, update_no INTEGER NOT NULL, count INTEGER NOT NULL, severity INTEGER NOT NULL,
  first_seen INTEGER NOT NULL, last_seen INTEGER NOT NULL, stands INTEGER NOT NULL, noted INTEGER NOT NULL
);
CREATE INDEX open_alert_by_time ON open_alert (noted);
";

pub(super) const ADD_ALERT: &str = "INSERT OR IGNORE INTO alert (id, update_no, at, severity, rule, body, text, added) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8)";

/// What was found where the outbox is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Opened {
    /// One that works, or a new one.
    Well,
    /// One that is damaged; it was moved there.
    SetAside {
        /// Where it is now.
        to: PathBuf,
        /// What was wrong with it.
        why: String,
    },
}

/// Locks the outbox for this process.
pub(super) fn lock(path: &Path) -> Result<File, StoreError> {
    let path = path.with_extension("lock");
    let shown = path.display().to_string();
    let failed = |source| StoreError::File { path: shown.clone(), source };
    let file = OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(&path);
    let mut file = file.map_err(failed)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => {
            let mut pid = String::new();
            let _ = file.take(20).read_to_string(&mut pid);
            return Err(StoreError::InUse { path: shown, pid: printable(pid.trim()) });
        }
        Err(TryLockError::Error(source)) => return Err(failed(source)),
    }
    let written: io::Result<()> =
        file.set_len(0).and_then(|()| file.rewind()).and_then(|()| write!(file, "{}", std::process::id()));
    written.map_err(failed)?;
    Ok(file)
}

pub(super) fn open(path: &Path) -> Result<(Connection, Opened), StoreError> {
    match begin(path) {
        Ok(connection) => Ok((connection, Opened::Well)),
        Err(StoreError::Sqlite { source, .. }) if is_damage(&source) => {
            let to = set_aside(path)?;
            Ok((begin(path)?, Opened::SetAside { to, why: source.to_string() }))
        }
        Err(error) => Err(error),
    }
}

pub(super) fn visit(path: &Path) -> Result<Connection, StoreError> {
    let missing = |source| StoreError::File { path: path.display().to_string(), source };
    path.metadata().map_err(missing)?;
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags).map_err(StoreError::of("opening it"))?;
    connection.execute_batch("PRAGMA busy_timeout = 5000;").map_err(StoreError::of("preparing it"))?;
    match numbers(&connection)? {
        (APPLICATION, found) if found > VERSION => Err(StoreError::Newer { path: path.display().to_string(), found }),
        (APPLICATION, found) => upgrade(&connection, found).map(|()| connection),
        _ => Err(missing(io::Error::other("it is no outbox of hopwatch"))),
    }
}

/// Whose database it is, and the version of its tables.
fn numbers(connection: &Connection) -> Result<(i64, i64), StoreError> {
    let ask = |pragma: &str| connection.pragma_query_value(None, pragma, |row| row.get::<_, i64>(0));
    let application = ask("application_id").map_err(StoreError::of("reading its kind"))?;
    Ok((application, ask("user_version").map_err(StoreError::of("reading its version"))?))
}

/// Brings the tables of an earlier version up to date, all of it or nothing.
fn upgrade(connection: &Connection, found: i64) -> Result<(), StoreError> {
    if found >= VERSION {
        return Ok(());
    }
    let second = if found < 2 { TO_VERSION_2 } else { "" };
    let steps = format!("BEGIN IMMEDIATE; {second} {TO_VERSION_3} PRAGMA user_version = {VERSION}; COMMIT;");
    connection.execute_batch(&steps).map_err(StoreError::of("bringing its tables up to date"))
}

pub(super) fn in_memory() -> Result<Connection, StoreError> {
    let connection = Connection::open_in_memory().map_err(StoreError::of("beginning in memory"))?;
    connection.execute_batch(TABLES).map_err(StoreError::of("making its tables"))?;
    upgrade(&connection, 1)?;
    connection.execute_batch(INDEXES).map_err(StoreError::of("making its indexes"))?;
    Ok(connection)
}

fn begin(path: &Path) -> Result<Connection, StoreError> {
    // Made here, so that nobody else can read it for a moment.
    let made = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(path);
    made.map_err(|source| StoreError::File { path: path.display().to_string(), source })?;
    let connection = Connection::open(path).map_err(StoreError::of("opening it"))?;
    let prepared = connection.execute_batch(
        "PRAGMA busy_timeout = 2000; PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
         PRAGMA journal_size_limit = 16777216;",
    );
    prepared.map_err(StoreError::of("preparing it"))?;
    let (application, version) = numbers(&connection)?;
    if application == APPLICATION && version > VERSION {
        return Err(StoreError::Newer { path: path.display().to_string(), found: version });
    }
    let tables = connection.query_row("SELECT count(*) FROM sqlite_schema", [], |row| row.get::<_, i64>(0));
    if tables.map_err(StoreError::of("reading its tables"))? == 0 {
        // All or nothing: a kill in between must leave no outbox without its mark.
        let made = connection.execute_batch(&format!(
            "BEGIN IMMEDIATE; {TABLES} PRAGMA application_id = {APPLICATION}; PRAGMA user_version = 1; COMMIT;"
        ));
        made.map_err(StoreError::of("making its tables"))?;
    } else {
        check(&connection, application)?;
    }
    upgrade(&connection, version)?;
    connection.execute_batch(INDEXES).map_err(StoreError::of("making its indexes"))?;
    Ok(connection)
}

fn check(connection: &Connection, application: i64) -> Result<(), StoreError> {
    let checked = connection.query_row("PRAGMA quick_check(1)", [], |row| row.get::<_, String>(0));
    let checked = checked.map_err(StoreError::of("checking it"))?;
    if application == APPLICATION && checked == "ok" {
        return Ok(());
    }
    let code = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_CORRUPT);
    let why = if application == APPLICATION { checked } else { "it is another program's database".to_owned() };
    Err(StoreError::of("checking it")(rusqlite::Error::SqliteFailure(code, Some(why))))
}

fn is_damage(error: &rusqlite::Error) -> bool {
    use rusqlite::ErrorCode::{DatabaseCorrupt, NotADatabase};
    matches!(error.sqlite_error_code(), Some(DatabaseCorrupt | NotADatabase))
}

/// The database and its two companions, always together.
fn set_aside(path: &Path) -> Result<PathBuf, StoreError> {
    let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    let to = path.with_file_name(format!("{name}.damaged-{}", now().as_nanos() / 1_000_000_000));
    for companion in ["", "-wal", "-shm"] {
        let from = path.with_file_name(format!("{name}{companion}"));
        match std::fs::rename(&from, format!("{}{companion}", to.display())) {
            Err(source) if source.kind() != io::ErrorKind::NotFound => {
                return Err(StoreError::File { path: from.display().to_string(), source });
            }
            _ => {}
        }
    }
    Ok(to)
}
