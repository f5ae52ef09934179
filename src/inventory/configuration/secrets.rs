//! Keyed hashes for values that may be secrets.
//!
//! Contract: a value leaves memory only as HMAC-SHA-256 (RFC 2104) under a key of this installation, cut to 128 bits, with the key's
//! id before it. What is hashed is the service, the field, the name and the value, each with its length, so that one secret in two places
//! does not show as equal. Limits: without a key nothing is hashed and a value is only known to be there: a plain hash of a short secret
//! is that secret.

use std::collections::BTreeSet;
use std::fmt;
use std::sync::Arc;

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

use crate::input::{SET, Setting};

/// Bytes of a hash that are shown.
const SHOWN: usize = 16;
/// Bytes of a key's own hash that name it.
const ID: usize = 4;

/// The key that hides values. Its `Debug` shows its id alone.
#[derive(Clone, PartialEq, Eq)]
pub struct HashKey {
    key: [u8; 32],
    id: String,
}

impl fmt::Debug for HashKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("HashKey").field(&self.id).finish()
    }
}

impl HashKey {
    /// A key of 32 random bytes.
    pub fn new(key: [u8; 32]) -> Self {
        let digest = Sha256::new().chain_update(b"hopwatch key id").chain_update(key).finalize();
        Self { id: format!("hk{}", hex(digest.get(..ID).unwrap_or_default())), key }
    }

    /// What names it in hashes: `hk1a2b3c4d`.
    pub fn id(&self) -> &str {
        &self.id
    }
}

/// What of containers' settings is shown, and the key under which the rest is hidden. The default shows what is known to be no secret.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Redaction {
    /// The key; without it, values are only known to be there.
    pub key: Option<HashKey>,
    /// Labels that are shown beside those that are known to hold no secret.
    pub shown: ShownLabels,
}

impl Redaction {
    /// For the values of a service.
    pub(in crate::inventory) const fn scope<'a>(&'a self, service: &'a str) -> Scope<'a> {
        Scope { key: self.key.as_ref(), service }
    }
}

/// Names of labels whose values are shown because the configuration selects workloads by them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ShownLabels(Arc<BTreeSet<String>>);

impl ShownLabels {
    /// Whether a label of this name is shown.
    pub fn contains(&self, name: &str) -> bool {
        self.0.contains(name)
    }

    /// Their names, in order.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }

    /// These, and more.
    #[must_use]
    pub fn with(&self, more: impl IntoIterator<Item = String>) -> Self {
        self.names().map(str::to_owned).chain(more).collect()
    }
}

impl FromIterator<String> for ShownLabels {
    fn from_iter<I: IntoIterator<Item = String>>(names: I) -> Self {
        Self(Arc::new(names.into_iter().collect()))
    }
}

/// Whether a text is what is left of a hidden value: a keyed hash, or the word that it is set.
pub fn is_hidden(text: &str) -> bool {
    let is_hex = |text: &str, length: usize| text.len() == length && text.bytes().all(|byte| byte.is_ascii_hexdigit());
    let hashed = text.strip_prefix("hk").and_then(|rest| rest.split_once(':'));
    text == SET || hashed.is_some_and(|(id, hash)| is_hex(id, 2 * ID) && is_hex(hash, 2 * SHOWN))
}

/// Whose values are hashed: a service, under a key where there is one.
#[derive(Clone, Copy, Debug)]
pub struct Scope<'a> {
    /// The key.
    pub key: Option<&'a HashKey>,
    /// The service, as its key is written.
    pub service: &'a str,
}

impl Scope<'_> {
    /// A value of a field, hashed; `name` tells values of one field apart.
    pub fn hide(self, field: &str, name: &str, value: &str) -> Setting {
        let Some(key) = self.key else { return Setting::Present };
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&key.key) else { return Setting::Present };
        for part in [self.service, field, name, value] {
            mac.update(&u64::try_from(part.len()).unwrap_or(u64::MAX).to_be_bytes());
            mac.update(part.as_bytes());
        }
        let hash = mac.finalize().into_bytes();
        Setting::Hashed(format!("{}:{}", key.id, hex(hash.get(..SHOWN).unwrap_or_default())))
    }
}

/// Lower-case hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    use fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_values_have_equal_hashes_only_in_one_place_under_one_key() {
        let (one, other) = (HashKey::new([1; 32]), HashKey::new([2; 32]));
        let scope = |key, service| Scope { key: Some(key), service };
        let here = scope(&one, "shop/web").hide("environment", "PIN", "1234");
        assert_eq!(here, scope(&one, "shop/web").hide("environment", "PIN", "1234"));
        assert_ne!(here, scope(&other, "shop/web").hide("environment", "PIN", "1234"));
        assert_ne!(here, scope(&one, "shop/db").hide("environment", "PIN", "1234"));
        assert_ne!(here, scope(&one, "shop/web").hide("environment", "PIN2", "1234"));
        assert_ne!(here, scope(&one, "shop/web").hide("environment", "PI", "N1234"), "lengths are part of it");
    }

    #[test]
    fn without_a_key_a_value_is_only_known_to_be_there() {
        assert_eq!(Scope { key: None, service: "" }.hide("environment", "PIN", "1234"), Setting::Present);
    }

    #[test]
    fn debug_output_holds_no_key() {
        let text = format!("{:?}", HashKey::new([0x41; 32]));
        assert!(!text.contains("65") && !text.contains("41, "), "{text}");
    }
}
