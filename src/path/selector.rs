//! Selects workloads by what the runtime says of them.
//!
//! Contract: every part that is given must hold; a selector with no part is refused, so that nothing matches by accident.
//! Design: written as [`SelectorFile`], checked once into compiled globs.

use std::collections::BTreeMap;

use globset::{GlobBuilder, GlobMatcher};
use ipnetwork::IpNetwork;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::input::Workload;

/// A selector as it stands in the configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SelectorFile {
    /// Container name, a glob: `web-*`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Image reference, a glob: `registry.example/team/*`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// Image digest, exactly: `sha256:…`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// Labels; each value is a glob.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Name of a network that it is attached to, a glob.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub network: Option<String>,
    /// Address ranges, one of which must hold one of its addresses. The only part that works without a runtime.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Vec<String>")]
    pub addresses: Vec<IpNetwork>,
}

/// Why a selector was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SelectorError {
    /// No part given.
    #[error(
        "empty selector; give at least one of name, image, digest, labels, network, addresses (name: \"*\" selects all)"
    )]
    Empty,
    /// Not a glob.
    #[error("{text:?} is not a glob: {reason}")]
    Glob {
        /// The text.
        text: String,
        /// What is wrong with it.
        reason: String,
    },
}

/// A checked selector.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "SelectorFile")]
pub struct Selector {
    file: SelectorFile,
    name: Option<GlobMatcher>,
    image: Option<GlobMatcher>,
    network: Option<GlobMatcher>,
    labels: Vec<(String, GlobMatcher)>,
}

impl JsonSchema for Selector {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        SelectorFile::schema_name()
    }

    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        SelectorFile::json_schema(generator)
    }
}

impl Serialize for Selector {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.file.serialize(serializer)
    }
}

impl PartialEq for Selector {
    fn eq(&self, other: &Self) -> bool {
        self.file == other.file
    }
}

impl TryFrom<SelectorFile> for Selector {
    type Error = SelectorError;

    fn try_from(file: SelectorFile) -> Result<Self, Self::Error> {
        if file == SelectorFile::default() {
            return Err(SelectorError::Empty);
        }
        Ok(Self {
            name: file.name.as_deref().map(glob).transpose()?,
            image: file.image.as_deref().map(glob).transpose()?,
            network: file.network.as_deref().map(glob).transpose()?,
            labels: file.labels.iter().map(|(key, value)| Ok((key.clone(), glob(value)?))).collect::<Result<_, _>>()?,
            file,
        })
    }
}

fn glob(text: &str) -> Result<GlobMatcher, SelectorError> {
    GlobBuilder::new(text)
        .literal_separator(false)
        .build()
        .map(|glob| glob.compile_matcher())
        .map_err(|error| SelectorError::Glob { text: text.to_owned(), reason: error.kind().to_string() })
}

impl Selector {
    /// Whether every given part holds for this workload.
    pub fn matches(&self, workload: &Workload) -> bool {
        let holds = |glob: &Option<GlobMatcher>, text: &str| glob.as_ref().is_none_or(|glob| glob.is_match(text));
        holds(&self.name, &workload.name)
            && holds(&self.image, &workload.image)
            && self.file.digest.as_ref().is_none_or(|digest| *digest == workload.image_digest)
            && self.labels.iter().all(|(key, glob)| workload.labels.get(key).is_some_and(|value| glob.is_match(value)))
            && self.network.as_ref().is_none_or(|glob| workload.attachments.iter().any(|a| glob.is_match(&a.network)))
            && (self.file.addresses.is_empty() || workload.addresses().any(|ip| self.contains(ip)))
    }

    /// Whether the address parts alone decide for an address without a known workload: `None` when other parts are given.
    pub fn matches_bare_address(&self, ip: std::net::IpAddr) -> Option<bool> {
        if !self.file.addresses.is_empty() && !self.contains(ip) {
            return Some(false);
        }
        let only_addresses =
            SelectorFile { addresses: self.file.addresses.clone(), ..SelectorFile::default() } == self.file;
        only_addresses.then_some(true)
    }

    fn contains(&self, ip: std::net::IpAddr) -> bool {
        self.file.addresses.iter().any(|range| range.contains(ip))
    }
}
