//! Lines of the journal as JSON: a cursor is never an option of a program, and is read back as the same one.

use hopwatch::host::log_entries::journal_line;

pub fn check(input: &[u8]) {
    let Some(line) = journal_line(input) else { return };
    assert!(line.cursor.len() <= 512 && line.cursor.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"=;".contains(&byte)));
    let again = format!(r#"{{"__CURSOR":"{}","__REALTIME_TIMESTAMP":"1"}}"#, line.cursor);
    let again = journal_line(again.as_bytes()).expect("a line with that cursor");
    assert_eq!((again.cursor, again.number, again.entry), (line.cursor, line.number, None));
}
