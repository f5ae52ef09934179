//! Lines of auditd's log: whatever they are, what is found is bounded by the lines, and cut lines are counted.

use hopwatch::host::log_entries::AuditLines;

pub fn check(input: &[u8]) {
    let lines: Vec<&[u8]> = input.split(|byte| *byte == b'\n').collect();
    let mut audit = AuditLines::default();
    for line in &lines {
        audit.line(line);
    }
    audit.finish();
    let (found, cut) = (audit.take(), audit.take_cut());
    assert!(found.len() as u64 + cut <= lines.len() as u64);
    for entry in &found {
        let program = entry.by.as_ref().and_then(|by| by.program.as_ref());
        assert!(program.is_none_or(|program| program.chars().count() <= 256));
    }
    // How lines were handed over changes nothing but what is one entry.
    let mut alone = AuditLines::default();
    for line in &lines {
        alone.line(line);
        alone.finish();
    }
    assert_eq!(alone.take_cut(), cut);
}
