//! The serde deserializer over a [`Node`].
//!
//! Contract: an empty value stands for an empty list or mapping, and for nothing else; a number or `true` may stand where
//! a text is expected, as it is written. Design: what a reader expected is said in the words of the file, not of Rust.

use std::fmt::Display;

use serde::de::{self, DeserializeSeed, Deserializer, IntoDeserializer, MapAccess, SeqAccess, Unexpected, Visitor};

use super::{Refusal, Why, place_of};
use crate::config::located::MARKER;
use crate::config::node::{Key, Kind, Node};
use crate::config::problem::{quoted, split};
use crate::config::source::Span;

/// Reads from a node.
#[derive(Clone, Copy)]
pub(super) struct De<'a>(pub &'a Node);

impl De<'_> {
    /// What stands here, in words.
    fn found(self) -> String {
        match &self.0.kind {
            Kind::Null => "nothing".to_owned(),
            Kind::Bool(_, written) | Kind::Int(_, written) | Kind::Float(_, written) => written.clone(),
            Kind::Text(text) => format!("the text {}", quoted(text)),
            Kind::List(_) => "a list".to_owned(),
            Kind::Map(_) => "a mapping".to_owned(),
        }
    }

    fn refuse<T>(self, expected: &str, help: Option<&str>) -> Result<T, Refusal> {
        Err(Refusal::new(format!("expected {expected}, found {}", self.found()), help).or_at(self.0))
    }

    fn located<T>(self, result: Result<T, Refusal>) -> Result<T, Refusal> {
        result.map_err(|refusal| refusal.or_at(self.0))
    }

    fn entries<'de, V: Visitor<'de>>(self, keys: Option<&[&str]>, visitor: V) -> Result<V::Value, Refusal> {
        match &self.0.kind {
            Kind::Map(entries) => self.located(visitor.visit_map(Entries { rest: entries.iter(), value: None })),
            Kind::Null => self.located(visitor.visit_map(Entries { rest: [].iter(), value: None })),
            _ => {
                let help = keys.filter(|keys| !keys.is_empty()).map(|keys| format!("keys here: {}", keys.join(", ")));
                self.refuse("a mapping", help.as_deref())
            }
        }
    }

    fn elements<'de, V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        match &self.0.kind {
            Kind::List(list) => self.located(visitor.visit_seq(Elements(list.iter()))),
            Kind::Null => self.located(visitor.visit_seq(Elements([].iter()))),
            Kind::Map(_) => self.refuse("a list", Some("begin each element with \"- \", or write [ … ]")),
            _ => self.refuse("a list", Some("write it in brackets: [ … ]")),
        }
    }
}

macro_rules! whole_numbers {
    ($($method:ident)*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
            match &self.0.kind {
                Kind::Int(value, _) => self.located(match (u64::try_from(*value), i64::try_from(*value)) {
                    (Ok(value), _) => visitor.visit_u64(value),
                    (_, Ok(value)) => visitor.visit_i64(value),
                    _ => Err(Refusal::new("this number is too large", None)),
                }),
                Kind::Text(text) if text.parse::<i64>().is_ok() => {
                    self.refuse("a whole number", Some("write it without quotes"))
                }
                _ => self.refuse("a whole number", None),
            }
        })*
    };
}

macro_rules! texts {
    ($($method:ident)*) => {
        $(fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
            match &self.0.kind {
                Kind::Text(text) => self.located(visitor.visit_str(text)),
                Kind::Bool(_, written) | Kind::Int(_, written) | Kind::Float(_, written) => {
                    self.located(visitor.visit_str(written))
                }
                Kind::Null => self.refuse("a text", Some("write a value, or take the key out")),
                _ => self.refuse("a text", None),
            }
        })*
    };
}

impl<'de> Deserializer<'de> for De<'_> {
    type Error = Refusal;

    whole_numbers! {
        deserialize_i8 deserialize_i16 deserialize_i32 deserialize_i64 deserialize_i128
        deserialize_u8 deserialize_u16 deserialize_u32 deserialize_u64 deserialize_u128
    }

    texts! { deserialize_str deserialize_string deserialize_char deserialize_identifier }

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        match &self.0.kind {
            Kind::Null => self.located(visitor.visit_unit()),
            Kind::Bool(value, _) => self.located(visitor.visit_bool(*value)),
            Kind::Int(..) => self.deserialize_i64(visitor),
            Kind::Float(value, _) => self.located(visitor.visit_f64(*value)),
            Kind::Text(text) => self.located(visitor.visit_str(text)),
            Kind::List(_) => self.elements(visitor),
            Kind::Map(_) => self.entries(None, visitor),
        }
    }

    fn deserialize_bool<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        match &self.0.kind {
            Kind::Bool(value, _) => self.located(visitor.visit_bool(*value)),
            _ => self.refuse("true or false", None),
        }
    }

    fn deserialize_f32<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        self.deserialize_f64(visitor)
    }

    #[expect(clippy::cast_precision_loss, reason = "a number with a fraction is expected; nearest is right")]
    fn deserialize_f64<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        match &self.0.kind {
            Kind::Float(value, _) => self.located(visitor.visit_f64(*value)),
            Kind::Int(value, _) => self.located(visitor.visit_f64(*value as f64)),
            _ => self.refuse("a number", None),
        }
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        match &self.0.kind {
            Kind::Null => self.located(visitor.visit_none()),
            _ => self.located(visitor.visit_some(self)),
        }
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(self, name: &'static str, visitor: V) -> Result<V::Value, Refusal> {
        if name == MARKER {
            return self.located(visitor.visit_seq(Placed { node: self.0, next: 0 }));
        }
        self.located(visitor.visit_newtype_struct(self))
    }

    fn deserialize_seq<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        self.elements(visitor)
    }

    fn deserialize_tuple<V: Visitor<'de>>(self, _len: usize, visitor: V) -> Result<V::Value, Refusal> {
        self.elements(visitor)
    }

    fn deserialize_map<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Refusal> {
        self.entries(None, visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Refusal> {
        self.entries(Some(fields), visitor)
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Refusal> {
        match &self.0.kind {
            Kind::Text(text) => self.located(visitor.visit_enum(text.as_str().into_deserializer())),
            _ => self.refuse(&format!("one of {}", variants.join(", ")), None),
        }
    }

    serde::forward_to_deserialize_any! { bytes byte_buf unit unit_struct tuple_struct ignored_any }
}

/// The elements of a list.
struct Elements<'a>(std::slice::Iter<'a, Node>);

impl<'de> SeqAccess<'de> for Elements<'_> {
    type Error = Refusal;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Refusal> {
        let Some(node) = self.0.next() else { return Ok(None) };
        De(node).located(seed.deserialize(De(node))).map(Some)
    }

    fn size_hint(&self) -> Option<usize> {
        Some(self.0.len())
    }
}

/// The entries of a mapping.
struct Entries<'a> {
    rest: std::slice::Iter<'a, (Key, Node)>,
    value: Option<&'a Node>,
}

impl<'de> MapAccess<'de> for Entries<'_> {
    type Error = Refusal;

    fn next_key_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Refusal> {
        let Some((key, value)) = self.rest.next() else { return Ok(None) };
        self.value = Some(value);
        let key_node = Node { id: value.id, span: key.span, kind: Kind::Text(key.text.clone()) };
        De(&key_node).located(seed.deserialize(De(&key_node))).map(Some)
    }

    fn next_value_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<S::Value, Refusal> {
        let Some(node) = self.value.take() else { return Err(Refusal::new("a value without a key", None)) };
        De(node).located(seed.deserialize(De(node)))
    }
}

/// A value, and after it the four numbers of its place.
struct Placed<'a> {
    node: &'a Node,
    next: usize,
}

impl<'de> SeqAccess<'de> for Placed<'_> {
    type Error = Refusal;

    fn next_element_seed<S: DeserializeSeed<'de>>(&mut self, seed: S) -> Result<Option<S::Value>, Refusal> {
        let Span { source, start, end } = place_of(self.node);
        let number = match self.next {
            0 => {
                self.next = 1;
                return seed.deserialize(De(self.node)).map(Some);
            }
            1 => source,
            2 => start,
            3 => end,
            4 => self.node.id,
            _ => return Ok(None),
        };
        self.next += 1;
        let number: de::value::UsizeDeserializer<Refusal> = number.into_deserializer();
        seed.deserialize(number).map(Some)
    }
}

impl std::error::Error for Refusal {}

impl Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?}", self.why)
    }
}

impl de::Error for Refusal {
    fn custom<T: Display>(message: T) -> Self {
        let (message, help) = split(&message.to_string());
        Self::new(message, help.as_deref())
    }

    fn invalid_type(found: Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self::new(format!("expected {}, found {found}", in_words(&expected.to_string())), None)
    }

    fn invalid_value(found: Unexpected<'_>, expected: &dyn de::Expected) -> Self {
        Self::new(format!("{found} does not fit; expected {}", in_words(&expected.to_string())), None)
    }

    fn unknown_field(word: &str, known: &'static [&'static str]) -> Self {
        Self { why: Why::UnknownKey { word: word.to_owned(), known }, at: None }
    }

    fn unknown_variant(word: &str, known: &'static [&'static str]) -> Self {
        Self { why: Why::UnknownWord { word: word.to_owned(), known }, at: None }
    }

    fn missing_field(key: &'static str) -> Self {
        Self { why: Why::MissingKey(key), at: None }
    }
}

fn in_words(expected: &str) -> &str {
    match expected {
        "u8" => "a whole number from 0 to 255",
        "u16" => "a whole number from 0 to 65535",
        "u32" => "a whole number from 0 to 4294967295",
        "u64" | "usize" => "a whole number, not negative",
        "f32" | "f64" => "a number",
        other => other,
    }
}
