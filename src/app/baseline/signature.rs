//! The signature of a baseline, as minisign makes it.
//!
//! Contract: the file `FILE.minisig` must hold a signature of the pre-hashed kind (`ED`) by the configured key, and its trusted comment the
//! file's name and serial number, `file:NAME serial:NUMBER`: an old signature of an old file is otherwise a roll-back that fits.
//! Limits: signing is the user's own `minisign`. Source: minisign's format (Frank Denis), crate `minisign-verify`.

use std::path::{Path, PathBuf};

use minisign_verify::{PublicKey, Signature};

use super::BaselineError;

/// Bytes of a signature file.
const MAX_BYTES: u64 = 4096;

/// Refuses a file with this serial number and text whose signature does not fit.
pub(super) fn verify(path: &Path, key: &str, serial: u64, text: &str) -> Result<(), BaselineError> {
    let beside = signature_of(path);
    let refused = |reason: String| BaselineError::Signature { path: beside.clone(), reason };
    let how = how_to_sign(path, serial);
    let is_small = beside.metadata().is_ok_and(|metadata| metadata.len() <= MAX_BYTES);
    let beside_it = is_small.then(|| std::fs::read_to_string(&beside).ok()).flatten();
    let beside_it = beside_it
        .ok_or_else(|| refused(format!("there is no signature, and the configuration has a baseline_key; {how}")))?;
    let key =
        PublicKey::from_base64(key).map_err(|error| refused(format!("baseline_key is no key of minisign: {error}")))?;
    let signature =
        Signature::decode(&beside_it).map_err(|error| refused(format!("this is no signature of minisign: {error}")))?;
    // `false`: only signatures of the pre-hashed kind.
    key.verify(text.as_bytes(), &signature, false)
        .map_err(|error| refused(format!("the signature does not fit the file and baseline_key ({error}); {how}")))?;
    let comment = signature.trusted_comment();
    let has = |wanted: &str| comment.split_whitespace().any(|word| word == wanted);
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    if !has(&format!("file:{name}")) || !has(&format!("serial:{serial}")) {
        return Err(refused(format!("its trusted comment does not name this file and serial number; {how}")));
    }
    Ok(())
}

fn signature_of(path: &Path) -> PathBuf {
    let mut name = path.as_os_str().to_owned();
    name.push(".minisig");
    PathBuf::from(name)
}

fn how_to_sign(path: &Path, serial: u64) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    format!("sign it with `minisign -S -m {} -t 'file:{name} serial:{serial}'`", path.display())
}
