//! The key that hides values of containers' settings.
//!
//! Contract: one key a process, made of the system's random source when it is first asked for, so that values can be compared within a
//! run and a recording, and guessed by nobody. Limits: hashes of two runs do not compare. Without a random source there is no key, and
//! values are only known to be there.

use std::sync::OnceLock;

use crate::inventory::configuration::HashKey;

/// This process' key.
pub(super) fn of_this_process() -> Option<HashKey> {
    static KEY: OnceLock<Option<HashKey>> = OnceLock::new();
    KEY.get_or_init(made).clone()
}

fn made() -> Option<HashKey> {
    let mut bytes = [0; 32];
    match getrandom::fill(&mut bytes) {
        Ok(()) => Some(HashKey::new(bytes)),
        Err(error) => {
            tracing::warn!(
                "the system gave no random bytes ({error}): values of containers' settings cannot be compared"
            );
            None
        }
    }
}
