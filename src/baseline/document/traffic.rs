//! The traffic part of a service in the document.
//!
//! Contract: one entry for each peer and its ports, in order; what is not known is left out. An entry that overlaps another one of the same peer, and
//! one more than fit, are refused.

use std::borrow::Cow;
use std::collections::BTreeSet;
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserializer, SeqAccess, Visitor};
use serde::{Deserialize, Serialize, Serializer};

use super::DocumentError;
use super::text::{Text, is_zero};
use super::volume::VolumeShape;
use crate::baseline::traffic::{Facts, KnownTexts, Peer, Ports, Row, Seen, TrafficBaseline, TrafficLearned, Way};
use crate::time::Timestamp;

/// Whom a service deals with. What is not here is new, and raises an alert.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Traffic")]
pub(super) struct TrafficShape {
    /// From what it was learned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) learned: Option<TrafficLearnedShape>,
    /// How much one of its containers has in an hour.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) volume: Option<VolumeShape>,
    /// Whom it reaches.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) reaches: Vec<RowShape>,
    /// Who reaches it, at which of its ports.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) listens: Vec<RowShape>,
}

/// From what traffic was learned.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "TrafficLearned")]
pub(super) struct TrafficLearnedShape {
    /// The first traffic of the learning.
    pub(super) from: Timestamp,
    /// The last.
    pub(super) to: Timestamp,
    /// Starts of its containers that were seen meanwhile; 0: what it does only at its start is not known.
    pub(super) starts: u64,
    /// Contacts.
    pub(super) contacts: u64,
    /// Contacts that found no room.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(super) left_out: u64,
}

/// One peer at its ports.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "Peer")]
pub(super) struct RowShape {
    /// The other end: `service NAME (IMAGE)`, `domain NAME`, `network RANGE`, `host`, `inside`, `outside`.
    pub(super) peer: Text<Peer>,
    /// `443/tcp`, `32768-65535/udp`, `icmp`.
    pub(super) port: Text<Ports>,
    /// Full names below the domain that were seen.
    #[serde(default, skip_serializing_if = "KnownShape::is_empty")]
    pub(super) names: KnownShape,
    /// Protocols that were identified; others are new. Absent: none was, and none is new.
    #[serde(default, skip_serializing_if = "KnownShape::is_empty")]
    pub(super) speaks: KnownShape,
    /// TLS fingerprints (JA4) of the service; others are new. Absent: none was seen, and none is new.
    #[serde(default, skip_serializing_if = "KnownShape::is_empty")]
    pub(super) ja4: KnownShape,
    /// The first contact.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) first: Option<Timestamp>,
    /// The last one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) last: Option<Timestamp>,
    /// Days (UTC) on which it was seen.
    #[serde(default, skip_serializing_if = "is_none")]
    pub(super) days: u32,
    /// Contacts.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(super) contacts: u64,
    /// The most contacts of one hour.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub(super) most_an_hour: u64,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde calls it so")]
const fn is_none(count: &u32) -> bool {
    *count == 0
}

/// A list, or `any`.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct KnownShape(pub(super) KnownTexts);

const ANY: &str = "any";

impl KnownShape {
    fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Serialize for KnownShape {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0 {
            KnownTexts::Any => serializer.serialize_str(ANY),
            KnownTexts::These(these) => serializer.collect_seq(these),
        }
    }
}

impl<'de> Deserialize<'de> for KnownShape {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;

        impl<'de> Visitor<'de> for Reader {
            type Value = KnownShape;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of texts, or `any`")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<KnownShape, E> {
                if text == ANY {
                    Ok(KnownShape(KnownTexts::Any))
                } else {
                    Err(E::invalid_value(de::Unexpected::Str(text), &self))
                }
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<KnownShape, A::Error> {
                let mut these = BTreeSet::new();
                while let Some(text) = list.next_element::<String>()? {
                    these.insert(text);
                }
                Ok(KnownShape(KnownTexts::These(these)))
            }
        }

        deserializer.deserialize_any(Reader)
    }
}

impl JsonSchema for KnownShape {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Known".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"anyOf": [{"type": "array", "items": {"type": "string"}}, {"const": "any"}]})
    }
}

impl From<&Row> for RowShape {
    fn from(row: &Row) -> Self {
        let Row { peer, ports, facts, .. } = row.clone();
        let Facts { names, speaks, ja4, seen } = facts;
        let (first, last) = seen.span.unzip();
        Self {
            peer: Text(peer),
            port: Text(ports),
            names: KnownShape(names),
            speaks: KnownShape(speaks),
            ja4: KnownShape(ja4),
            first,
            last,
            days: seen.days,
            contacts: seen.contacts,
            most_an_hour: seen.most_an_hour,
        }
    }
}

impl RowShape {
    /// The row that it describes.
    pub(super) fn row(self, way: Way) -> Row {
        let span = self.first.zip(self.last.or(self.first));
        let seen = Seen::new(span, self.days, self.contacts, self.most_an_hour);
        let facts = Facts { names: self.names.0, speaks: self.speaks.0, ja4: self.ja4.0, seen };
        Row { way, peer: self.peer.0, ports: self.port.0, facts }
    }
}

impl From<&TrafficBaseline> for TrafficShape {
    fn from(traffic: &TrafficBaseline) -> Self {
        let of = |way: Way| traffic.rows().filter(|row| row.way == way).map(|row| RowShape::from(&row)).collect();
        let learned = traffic.learned.map(|it| TrafficLearnedShape {
            from: it.from,
            to: it.to,
            starts: it.starts,
            contacts: it.contacts,
            left_out: it.left_out,
        });
        let volume = traffic.volume.as_ref().map(VolumeShape::from);
        Self { learned, volume, reaches: of(Way::Reaches), listens: of(Way::Listens) }
    }
}

impl TrafficShape {
    /// The traffic that it describes; `service` names it in errors.
    pub(super) fn checked(self, service: &str) -> Result<TrafficBaseline, DocumentError> {
        let learned = self.learned.map(|it| TrafficLearned {
            from: it.from,
            to: it.to,
            starts: it.starts,
            contacts: it.contacts,
            left_out: it.left_out,
        });
        let mut traffic = TrafficBaseline::default();
        traffic.learned = learned;
        let volume = self.volume.map(VolumeShape::checked).transpose();
        traffic.volume = volume.map_err(|why| DocumentError::Volume { service: service.to_owned(), why })?;
        let all = [(Way::Reaches, self.reaches), (Way::Listens, self.listens)];
        for row in all.into_iter().flat_map(|(way, rows)| rows.into_iter().map(move |row| row.row(way))) {
            let (before, text) = (traffic.len(), row.to_string());
            if !traffic.insert(row) || traffic.len() == before {
                return Err(DocumentError::Traffic { service: service.to_owned(), row: text });
            }
        }
        Ok(traffic)
    }
}
