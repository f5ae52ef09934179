//! Selects workloads by what the runtime says of them.
//!
//! Contract: every part that is given must hold; a selector with no part is refused, so that nothing matches by accident.
//! Design: written as [`SelectorFile`], checked once into compiled globs. Each part is checked where it is read, so that a
//! reader that knows places can point at the wrong word.

mod pattern;

use std::collections::BTreeMap;

use self::pattern::Pattern;
use globset::{Glob, GlobBuilder};
use ipnetwork::IpNetwork;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::input::Workload;

/// Bytes of a glob.
const MAX_GLOB: usize = 4096;
/// Braces inside each other.
const MAX_GLOB_DEPTH: usize = 8;
/// Characters of a refused glob that the error shows.
const MOST_SHOWN: usize = 80;

/// A selector as it is written in the configuration.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SelectorFile {
    /// Container name, a glob: `web-*`.
    #[serde(default, deserialize_with = "checked::glob", skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Image reference, a glob: `registry.example/team/*`.
    #[serde(default, deserialize_with = "checked::glob", skip_serializing_if = "Option::is_none")]
    pub image: Option<String>,
    /// Image digest, exactly: `sha256:…`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// Labels; each value is a glob. The values of labels that are named in a selector are shown in alerts and recordings; those of most others
    /// are hidden.
    #[serde(default, deserialize_with = "checked::globs", skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// Name of a network that it is attached to, a glob.
    #[serde(default, deserialize_with = "checked::glob", skip_serializing_if = "Option::is_none")]
    pub network: Option<String>,
    /// Address ranges, one of which must hold one of its addresses. The only part that works without a runtime.
    #[serde(default, deserialize_with = "checked::ranges", skip_serializing_if = "Vec::is_empty")]
    #[schemars(with = "Vec<String>")]
    pub addresses: Vec<IpNetwork>,
}

/// What the runtime says of a workload itself, without its networks.
#[derive(Clone, Copy, Debug)]
pub struct Description<'a> {
    /// Container name.
    pub name: &'a str,
    /// Image reference.
    pub image: &'a str,
    /// Image digest.
    pub digest: &'a str,
    /// Labels.
    pub labels: &'a BTreeMap<String, String>,
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
    name: Option<Pattern>,
    image: Option<Pattern>,
    network: Option<Pattern>,
    labels: Vec<(String, Pattern)>,
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

fn glob(text: &str) -> Result<Pattern, SelectorError> {
    let refused = |reason| SelectorError::Glob { text: text.chars().take(MOST_SHOWN).collect(), reason };
    checked_glob(text).map(|glob| Pattern::new(&glob)).map_err(refused)
}

/// A glob that can be compiled: what is longer or deeper than anybody writes is refused, because the compiler of globs panics there.
pub fn checked_glob(text: &str) -> Result<Glob, String> {
    if text.len() > MAX_GLOB {
        return Err(format!("it has {} bytes; {MAX_GLOB} is the most", text.len()));
    }
    let mut depth = 0_usize;
    for byte in text.bytes() {
        match byte {
            b'{' => depth += 1,
            b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > MAX_GLOB_DEPTH {
            return Err(format!(
                "braces are nested more than {MAX_GLOB_DEPTH} deep; write the alternatives side by side"
            ));
        }
    }
    GlobBuilder::new(text).literal_separator(false).build().map_err(|error| error.kind().to_string())
}

/// The parts of a selector, checked while they are read.
mod checked {
    use std::collections::BTreeMap;

    use ipnetwork::IpNetwork;
    use serde::{Deserialize, Deserializer};

    use super::SelectorError;
    use crate::path::destination::{RangeError, parse_range};

    #[derive(Deserialize)]
    #[serde(try_from = "String")]
    struct GlobText(String);

    impl TryFrom<String> for GlobText {
        type Error = SelectorError;

        fn try_from(text: String) -> Result<Self, SelectorError> {
            super::glob(&text).map(|_| Self(text))
        }
    }

    #[derive(Deserialize)]
    #[serde(try_from = "String")]
    struct Range(IpNetwork);

    impl TryFrom<String> for Range {
        type Error = RangeError;

        fn try_from(text: String) -> Result<Self, RangeError> {
            parse_range(&text).map(Self)
        }
    }

    pub(super) fn glob<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
        Ok(Option::<GlobText>::deserialize(deserializer)?.map(|text| text.0))
    }

    pub(super) fn globs<'de, D: Deserializer<'de>>(deserializer: D) -> Result<BTreeMap<String, String>, D::Error> {
        let globs = BTreeMap::<String, GlobText>::deserialize(deserializer)?;
        Ok(globs.into_iter().map(|(key, text)| (key, text.0)).collect())
    }

    pub(super) fn ranges<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<IpNetwork>, D::Error> {
        Ok(Vec::<Range>::deserialize(deserializer)?.into_iter().map(|range| range.0).collect())
    }
}

impl Selector {
    /// Whether any of them matches.
    pub fn any(selectors: &[Self], workload: &Workload) -> bool {
        selectors.iter().any(|selector| selector.matches(workload))
    }

    /// The glob, where nothing but a glob over names selects: then anyone who can name a container decides.
    pub fn name_glob_alone(&self) -> Option<&str> {
        let name = self.file.name.as_deref().filter(|name| name.contains(['*', '?', '[', '{']))?;
        let alone = SelectorFile { name: self.file.name.clone(), ..SelectorFile::default() };
        (alone == self.file).then_some(name)
    }

    /// Whether certainly every workload that `other` selects is selected by this one.
    pub fn covers(&self, other: &Self) -> bool {
        let (own, others) = (&self.file, &other.file);
        let label =
            |(key, value): (&String, &String)| others.labels.get(key).is_some_and(|text| glob_covers(value, text));
        let range = |range: &IpNetwork| {
            own.addresses.iter().any(|wide| wide.prefix() <= range.prefix() && wide.contains(range.network()))
        };
        let optional = |own: &Option<String>, other: &Option<String>| {
            own.as_deref().is_none_or(|own| own == "*" || other.as_deref().is_some_and(|other| glob_covers(own, other)))
        };
        let given = |own: &Option<String>, other: &Option<String>| {
            own.as_deref().is_none_or(|own| other.as_deref().is_some_and(|other| glob_covers(own, other)))
        };
        optional(&own.name, &others.name)
            && optional(&own.image, &others.image)
            && given(&own.digest, &others.digest)
            && given(&own.network, &others.network)
            && own.labels.iter().all(label)
            && (own.addresses.is_empty() || (!others.addresses.is_empty() && others.addresses.iter().all(range)))
    }

    /// Whether one workload may be selected by both; false only where that is certain.
    pub fn may_overlap(&self, other: &Self) -> bool {
        let apart = |own: &Option<String>, other: &Option<String>| {
            own.as_deref().zip(other.as_deref()).is_some_and(|(own, other)| are_apart(own, other))
        };
        let (own, others) = (&self.file, &other.file);
        !apart(&own.name, &others.name) && !apart(&own.image, &others.image) && !apart(&own.digest, &others.digest)
    }

    /// The labels that it looks at.
    pub fn label_names(&self) -> impl Iterator<Item = &str> {
        self.file.labels.keys().map(String::as_str)
    }

    /// Whether nothing but labels selects, and none of these is among them.
    pub fn is_by_labels_alone(&self, trusted: &[&str]) -> bool {
        let alone = SelectorFile { labels: self.file.labels.clone(), ..SelectorFile::default() };
        alone == self.file && !self.file.labels.keys().any(|label| trusted.contains(&label.as_str()))
    }

    /// Whether nothing but addresses selects: no workload needs to be known.
    pub fn is_by_address_alone(&self) -> bool {
        SelectorFile { addresses: self.file.addresses.clone(), ..SelectorFile::default() } == self.file
    }

    /// Whether name, image, digest and labels decide alone, which alerts have of a workload.
    pub fn is_by_description_alone(&self) -> bool {
        self.network.is_none() && self.file.addresses.is_empty()
    }

    /// Whether name, image, digest and labels hold, where they are given; an alert has no more of a workload.
    pub fn matches_description(&self, of: Description<'_>) -> bool {
        let holds = |glob: &Option<Pattern>, text: &str| glob.as_ref().is_none_or(|glob| glob.matches(text));
        holds(&self.name, of.name)
            && holds(&self.image, of.image)
            && self.file.digest.as_ref().is_none_or(|digest| digest == of.digest)
            && self.labels.iter().all(|(key, glob)| of.labels.get(key).is_some_and(|value| glob.matches(value)))
    }

    /// Whether every given part holds for this workload.
    pub fn matches(&self, workload: &Workload) -> bool {
        let Workload { name, image, image_digest: digest, labels, .. } = workload;
        self.matches_description(Description { name, image, digest, labels })
            && self.network.as_ref().is_none_or(|glob| workload.attachments.iter().any(|a| glob.matches(&a.network)))
            && (self.file.addresses.is_empty() || workload.addresses().any(|ip| self.contains(ip)))
    }

    /// Whether the address parts alone decide for an address without a known workload: `None` when other parts are given.
    pub fn matches_bare_address(&self, ip: std::net::IpAddr) -> Option<bool> {
        if !self.file.addresses.is_empty() && !self.contains(ip) {
            return Some(false);
        }
        self.is_by_address_alone().then_some(true)
    }

    fn contains(&self, ip: std::net::IpAddr) -> bool {
        self.file.addresses.iter().any(|range| range.contains(ip))
    }
}

/// Characters that are not literal in a glob.
const SPECIAL: [char; 5] = ['*', '?', '[', '{', '\\'];

/// Whether certainly every text that `other` matches is matched by `glob`.
fn glob_covers(glob: &str, other: &str) -> bool {
    let matches = || checked_glob(glob).is_ok_and(|glob| glob.compile_matcher().is_match(other));
    glob == "*" || glob == other || (!other.contains(SPECIAL) && matches())
}

/// Whether certainly no text is matched by both.
fn are_apart(one: &str, other: &str) -> bool {
    let literal = |glob: &str| !glob.contains(SPECIAL);
    if literal(one) || literal(other) {
        return !glob_covers(one, other) && !glob_covers(other, one);
    }
    let start = |glob: &str| glob.split(SPECIAL).next().unwrap_or_default().to_owned();
    let (one, other) = (start(one), start(other));
    !one.starts_with(&other) && !other.starts_with(&one)
}

#[cfg(test)]
mod tests {

    use super::*;
    use crate::input::{Attachment, WorkloadId};

    fn workload() -> Workload {
        let label = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        let attachment = |network: &str, address: &str| Attachment {
            network: network.to_owned(),
            addresses: vec![address.parse().expect("address")],
            ..Attachment::default()
        };
        Workload {
            image: "registry.example/team/web:1.2".to_owned(),
            image_digest: "sha256:aa".to_owned(),
            labels: BTreeMap::from([label("role", "web"), label("tier", "front")]),
            attachments: vec![attachment("shop_front", "172.18.0.5"), attachment("shop_back", "fd00::5")],
            ..Workload::new(WorkloadId::new("4f2a"), "shop-web-1", crate::input::RuntimeId::DOCKER)
        }
    }

    fn selector(json: &str) -> Selector {
        serde_json::from_str(json).unwrap_or_else(|error| panic!("{json}: {error}"))
    }

    #[test]
    fn each_part_alone_decides() {
        for (matching, other) in [
            (r#"{"name": "shop-*"}"#, r#"{"name": "web"}"#),
            (r#"{"name": "shop-{web,app}-[0-9]"}"#, r#"{"name": "shop-?"}"#),
            (r#"{"image": "registry.example/*"}"#, r#"{"image": "registry.example"}"#),
            (r#"{"digest": "sha256:aa"}"#, r#"{"digest": "sha256:a"}"#),
            (r#"{"labels": {"role": "w*"}}"#, r#"{"labels": {"role": "db"}}"#),
            (r#"{"labels": {"role": "*", "tier": "front"}}"#, r#"{"labels": {"role": "web", "absent": "*"}}"#),
            (r#"{"network": "*_back"}"#, r#"{"network": "back"}"#),
            (r#"{"addresses": ["10.0.0.0/8", "172.18.0.0/16"]}"#, r#"{"addresses": ["172.19.0.0/16"]}"#),
            (r#"{"addresses": ["fd00::/64"]}"#, r#"{"addresses": ["fd01::/64"]}"#),
        ] {
            assert!(selector(matching).matches(&workload()), "{matching}");
            assert!(!selector(other).matches(&workload()), "{other}");
        }
    }

    #[test]
    fn every_given_part_must_hold() {
        assert!(
            selector(r#"{"name": "shop-*", "network": "shop_*", "addresses": ["172.18.0.5"]}"#).matches(&workload())
        );
        assert!(!selector(r#"{"name": "shop-*", "image": "other"}"#).matches(&workload()));
        assert!(!selector(r#"{"name": "other", "addresses": ["172.18.0.5"]}"#).matches(&workload()));
    }

    #[test]
    fn a_star_crosses_slashes_in_an_image_but_a_name_is_matched_whole() {
        assert!(selector(r#"{"image": "*web*"}"#).matches(&workload()));
        assert!(!selector(r#"{"name": "shop"}"#).matches(&workload()));
    }

    #[test]
    fn a_bare_address_is_decided_by_addresses_alone() {
        let ip = |text: &str| text.parse().expect("address");
        let only = selector(r#"{"addresses": ["172.18.0.0/16"]}"#);
        assert_eq!(only.matches_bare_address(ip("172.18.0.9")), Some(true));
        assert_eq!(only.matches_bare_address(ip("172.19.0.9")), Some(false));
        let both = selector(r#"{"name": "*", "addresses": ["172.18.0.0/16"]}"#);
        assert_eq!(both.matches_bare_address(ip("172.18.0.9")), None);
        assert_eq!(both.matches_bare_address(ip("172.19.0.9")), Some(false));
        assert_eq!(selector(r#"{"name": "*"}"#).matches_bare_address(ip("172.18.0.9")), None);
    }

    #[test]
    fn an_empty_selector_an_unknown_part_and_a_bad_glob_are_refused() {
        for (json, why) in [
            ("{}", "empty selector"),
            (r#"{"labels": {}, "addresses": []}"#, "empty selector"),
            (r#"{"nmae": "x"}"#, "unknown field"),
            (r#"{"name": "a["}"#, "is not a glob"),
            (r#"{"labels": {"role": "{a"}}"#, "is not a glob"),
            (&format!(r#"{{"name": "{}"}}"#, "{a,".repeat(200)), "nested more than 8 deep"),
            (&format!(r#"{{"name": "{}"}}"#, "a".repeat(5000)), "it has 5000 bytes; 4096 is the most"),
            (r#"{"addresses": ["172.18.0.1/16"]}"#, "did you mean \"172.18.0.0/16\"?"),
        ] {
            let error = serde_json::from_str::<Selector>(json).expect_err(json).to_string();
            assert!(error.contains(why), "{json}: {error}");
        }
    }

    #[test]
    fn a_selector_is_written_as_it_was_read() {
        for json in [r#"{"name":"shop-*","labels":{"role":"w*"}}"#, r#"{"addresses":["172.18.0.0/16"]}"#] {
            assert_eq!(serde_json::to_string(&selector(json)).expect("JSON"), json);
        }
    }
}
