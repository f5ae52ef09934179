//! A value that remembers where it stands.
//!
//! Contract: read through the configuration's own deserializer it has a place; through any other it has none.

use std::fmt;
use std::marker::PhantomData;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::{Deserialize, Deserializer, Error as _, SeqAccess, Visitor};
use serde::{Serialize, Serializer};

use crate::config::source::Span;

/// The name by which the deserializer recognises the wish for a place.
pub(super) const MARKER: &str = "$hopwatch::Located";

/// A value and its place.
#[derive(Debug, Clone, Default)]
pub(crate) struct Located<T> {
    /// The value.
    pub value: T,
    /// Its place.
    pub(in crate::config) span: Span,
    /// Its node.
    pub(in crate::config) id: usize,
}

impl<T> Located<T> {
    /// A value that stands nowhere.
    pub const fn nowhere(value: T) -> Self {
        Self { value, span: Span { source: 0, start: 0, end: 0 }, id: 0 }
    }
}

impl<T: Default + PartialEq> Located<T> {
    /// Whether the value is what it would be without a word; for printing.
    pub fn is_default(&self) -> bool {
        self.value == T::default()
    }
}

/// Two values are equal wherever they stand.
impl<T: PartialEq> PartialEq for Located<T> {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl<T: Eq> Eq for Located<T> {}

impl<T: PartialOrd> PartialOrd for Located<T> {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        self.value.partial_cmp(&other.value)
    }
}

impl<T: Ord> Ord for Located<T> {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.value.cmp(&other.value)
    }
}

impl<T: Serialize> Serialize for Located<T> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.value.serialize(serializer)
    }
}

impl<T: JsonSchema> JsonSchema for Located<T> {
    fn inline_schema() -> bool {
        T::inline_schema()
    }

    fn schema_name() -> std::borrow::Cow<'static, str> {
        T::schema_name()
    }

    fn schema_id() -> std::borrow::Cow<'static, str> {
        T::schema_id()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        T::json_schema(generator)
    }
}

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Located<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_newtype_struct(MARKER, LocatedVisitor(PhantomData))
    }
}

struct LocatedVisitor<T>(PhantomData<T>);

impl<'de, T: Deserialize<'de>> Visitor<'de> for LocatedVisitor<T> {
    type Value = Located<T>;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<Located<T>, D::Error> {
        T::deserialize(deserializer).map(|value| Located { value, span: Span::default(), id: 0 })
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Located<T>, A::Error> {
        let missing = || A::Error::custom("a value without a place");
        let value = seq.next_element()?.ok_or_else(missing)?;
        let mut number = || seq.next_element::<usize>()?.ok_or_else(missing);
        let span = Span { source: number()?, start: number()?, end: number()? };
        Ok(Located { value, span, id: number()? })
    }
}
