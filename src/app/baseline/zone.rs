//! The time zone of the configuration.
//!
//! Contract: a rule is taken as it is, a name is looked up in the system's zone files, whose last line is its rule. What is learned keeps the rule,
//! so that a replay elsewhere needs no such file. Limits: [`MAX_BYTES`] of a zone file.

use std::io::Read as _;
use std::path::Path;

use super::BaselineError;
use crate::baseline::volume::Zone;

/// Where zone files are.
const FOLDER: &str = "/usr/share/zoneinfo";
/// Bytes of a zone file that are read.
const MAX_BYTES: u64 = 1 << 20;

/// The zone that the configuration names; UTC without.
pub fn zone(configured: Option<&str>) -> Result<Zone, BaselineError> {
    let Some(name) = configured else { return Ok(Zone::default()) };
    name.parse().or_else(|_| in_folder(Path::new(FOLDER), name))
}

fn in_folder(folder: &Path, name: &str) -> Result<Zone, BaselineError> {
    let wrong = |reason: String| BaselineError::Zone { name: name.to_owned(), reason };
    let path = folder.join(name);
    let mut bytes = Vec::new();
    std::fs::File::open(&path)
        .and_then(|file| file.take(MAX_BYTES).read_to_end(&mut bytes))
        .map_err(|error| wrong(format!("cannot read {}: {error}", path.display())))?;
    let rule = rule_of(&bytes).ok_or_else(|| wrong(format!("{} ends with no rule", path.display())))?;
    rule.parse().map_err(|error| wrong(format!("{}: {error}", path.display())))
}

/// The last line of a zone file (RFC 9636).
fn rule_of(bytes: &[u8]) -> Option<&str> {
    let body = bytes.strip_suffix(b"\n").filter(|_| bytes.starts_with(b"TZif"))?;
    let start = body.iter().rposition(|byte| *byte == b'\n')?;
    std::str::from_utf8(body.get(start + 1..)?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_looked_up_and_a_rule_taken_as_it_is() {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::write(folder.path().join("Berlin"), b"TZif2\0binary\nCET-1CEST,M3.5.0,M10.5.0/3\n").expect("a file");
        std::fs::write(folder.path().join("Cut"), b"TZif2").expect("a file");
        let of =
            |name: &str| in_folder(folder.path(), name).map(|zone| zone.to_string()).map_err(|error| error.to_string());
        assert_eq!(of("Berlin").as_deref(), Ok("CET-1CEST,M3.5.0,M10.5.0/3"));
        assert!(of("Cut").is_err_and(|error| error.contains("ends with no rule")));
        assert!(of("Nowhere").is_err_and(|error| error.contains("write its rule")));
        assert_eq!(zone(None).map(|zone| zone.to_string()).ok().as_deref(), Some("UTC"));
        assert_eq!(zone(Some("IST-5:30")).map(|zone| zone.to_string()).ok().as_deref(), Some("IST-5:30"));
    }
}
