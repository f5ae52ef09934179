//! The key that hides values of containers' settings.
//!
//! Contract: one key an installation, made once of the system's random source and kept in the state directory, so that hashes of two
//! runs compare and nobody guesses a short secret. A key that others may read, or that is damaged, is an error. Where no key can be kept,
//! the process makes one of its own and says what that costs. Limits: without a random source there is no key, and values are only known
//! to be there. Design: the key never leaves this file but inside a [`HashKey`], whose `Debug` shows its id alone.

use std::path::Path;
use std::sync::OnceLock;

use super::state_dir::{StateDir, StateError};
use crate::inventory::configuration::HashKey;

/// The file in the state directory.
const FILE: &str = "hash-key";

static KEY: OnceLock<Option<HashKey>> = OnceLock::new();

/// Reads or makes the key of this installation; every reader that is made afterwards uses it.
pub fn prepare(state_dir: Option<&Path>) -> Result<(), StateError> {
    if KEY.get().is_some() {
        return Ok(());
    }
    let key = match kept(state_dir) {
        Ok(key) => key,
        Err(StateError::Unusable { path, source }) => {
            tracing::warn!(
                "no key can be kept at {}: {source}; hidden values cannot be compared with other runs; the baseline can only check that they \
                 are set; name a directory with --state-dir, or state.dir in the configuration",
                path.display()
            );
            made()
        }
        Err(error) => return Err(error),
    };
    KEY.get_or_init(|| key);
    Ok(())
}

/// The key: of the installation, where it was prepared.
pub fn of_this_process() -> Option<HashKey> {
    KEY.get_or_init(made).clone()
}

/// The id of the key in use: `hk1a2b3c4d`; `None` where nothing was hashed in this process.
pub fn prepared_id() -> Option<String> {
    KEY.get().and_then(Option::as_ref).map(|key| key.id().to_owned())
}

fn kept(state_dir: Option<&Path>) -> Result<Option<HashKey>, StateError> {
    let state = StateDir::open(state_dir)?;
    if let Some(text) = state.read(FILE)? {
        return parsed(&state, &text).map(Some);
    }
    let Some(bytes) = random() else { return Ok(None) };
    let text: String = bytes.iter().map(|byte| format!("{byte:02x}")).chain(["\n".to_owned()]).collect();
    state.make_once(FILE, text.as_bytes())?;
    // Another process may have been first.
    state.read(FILE)?.map(|text| parsed(&state, &text)).transpose()
}

/// 64 hexadecimal digits.
fn parsed(state: &StateDir, text: &[u8]) -> Result<HashKey, StateError> {
    let digits = text.trim_ascii();
    let byte = |pair: &[u8; 2]| {
        let digit = |byte: u8| char::from(byte).to_digit(16);
        u8::try_from(digit(pair[0])? * 16 + digit(pair[1])?).ok()
    };
    let bytes: Option<Vec<u8>> = digits.as_chunks::<2>().0.iter().map(byte).collect();
    let key = bytes.filter(|_| digits.len() == 64).and_then(|bytes| <[u8; 32]>::try_from(bytes).ok());
    key.map(HashKey::new).ok_or_else(|| StateError::Malformed {
        path: state.path(FILE),
        reason: "this is no key of 64 hexadecimal digits; restore it from a backup, or delete it: then a new one is made, and hashes of \
                 the old one compare no more"
            .to_owned(),
    })
}

fn made() -> Option<HashKey> {
    random().map(HashKey::new)
}

fn random() -> Option<[u8; 32]> {
    let mut bytes = [0; 32];
    match getrandom::fill(&mut bytes) {
        Ok(()) => Some(bytes),
        Err(error) => {
            tracing::warn!(
                "the system gave no random bytes ({error}): values of containers' settings cannot be compared"
            );
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_made_once_and_a_damaged_one_is_refused() {
        let folder = tempfile::tempdir().expect("a folder");
        let state = folder.path().join("state");
        let first = kept(Some(&state)).expect("kept").expect("a key");
        let second = kept(Some(&state)).expect("kept").expect("a key");
        assert!(first == second, "two runs have one key");
        std::fs::write(state.join(FILE), "short").expect("written");
        assert!(matches!(kept(Some(&state)), Err(StateError::Malformed { .. })));
        let text = kept(Some(&state)).expect_err("damaged").to_string();
        assert!(!text.contains("short"), "no part of a key is shown: {text}");
    }
}
