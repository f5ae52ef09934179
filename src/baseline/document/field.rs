//! Fields, values and expectations of the document.
//!
//! Contract: a field that is not known is refused with the nearest right one by the reader, which is given all names. Design: hand-written
//! readers, because an expectation is a text, a number, a list, `any`, or a mapping with one key.

use std::borrow::Cow;
use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde::ser::{Serialize, SerializeMap as _, Serializer};

use super::Fields;
use crate::baseline::model::Expectation;
use crate::inventory::configuration::{Field, GROUPS, SINGLE, Value};
use crate::path::checked_glob;

/// The word for a field that may vary.
const ANY: &str = "any";
/// The keys of an expectation that is a mapping.
const FORMS: &[&str] = &["one_of", "pattern", "range", "set"];
/// Every name that `expect` knows: fields that stand alone, then groups.
const NAMES: &[&str] = &{
    let mut names = [""; SINGLE.len() + GROUPS.len()];
    let mut at = 0;
    while at < names.len() {
        names[at] = if at < SINGLE.len() { SINGLE[at] } else { GROUPS[at - SINGLE.len()] };
        at += 1;
    }
    names
};

/// What a service expects: fields that stand alone, and groups that were learned.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Expect {
    pub(super) fields: Fields,
    pub(super) groups: BTreeSet<&'static str>,
}

/// A field by its path.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct FieldText(pub(super) Field);

/// A value.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct ValueShape(pub(super) Value);

/// An expectation.
struct ExpectationShape<'a>(Cow<'a, Expectation>);

impl Serialize for Expect {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (field, expectation) in self.fields.iter().filter(|(field, _)| field.in_group().is_none()) {
            map.serialize_entry(field.name(), &ExpectationShape(Cow::Borrowed(expectation)))?;
        }
        for group in &self.groups {
            let members = self.fields.iter().filter(|(field, _)| field.name() == *group);
            let members: BTreeMap<&str, ExpectationShape<'_>> = members
                .filter_map(|(field, it)| Some((field.in_group()?, ExpectationShape(Cow::Borrowed(it)))))
                .collect();
            map.serialize_entry(group, &members)?;
        }
        map.end()
    }
}

impl Expect {
    /// With each value as the field's own.
    fn insert<E: de::Error>(&mut self, field: Field, it: ExpectationShape<'_>) -> Result<(), E> {
        let own = |value| field.written(value).map_err(E::custom);
        let it = match it.0.into_owned() {
            Expectation::Exact(value) => Expectation::Exact(own(value)?),
            Expectation::OneOf(all) => Expectation::OneOf(all.into_iter().map(own).collect::<Result<_, E>>()?),
            other => other,
        };
        self.fields.insert(field, it);
        Ok(())
    }
}

impl<'de> Deserialize<'de> for Expect {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;

        impl<'de> Visitor<'de> for Reader {
            type Value = Expect;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a mapping of fields to what they may hold")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Expect, A::Error> {
                let mut expect = Expect::default();
                while let Some(name) = map.next_key::<Known>()? {
                    if SINGLE.contains(&name.0) {
                        let it = map.next_value::<ExpectationShape<'_>>()?;
                        expect.insert(Field::single(name.0), it)?;
                        continue;
                    }
                    expect.groups.insert(name.0);
                    for (member, it) in map.next_value::<BTreeMap<String, ExpectationShape<'_>>>()? {
                        expect.insert(Field::member(name.0, &member), it)?;
                    }
                }
                Ok(expect)
            }
        }

        // As a struct, so that a reader that knows places can name the keys that are possible.
        deserializer.deserialize_struct("Expect", NAMES, Reader)
    }
}

/// A name that `expect` knows.
struct Known(&'static str);

impl<'de> Deserialize<'de> for Known {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reader;

        impl Visitor<'_> for Reader {
            type Value = Known;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a field")
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Known, E> {
                let known = NAMES.iter().find(|name| **name == text);
                known.map(|name| Known(name)).ok_or_else(|| E::unknown_field(text, NAMES))
            }
        }

        deserializer.deserialize_identifier(Reader)
    }
}

impl Serialize for FieldText {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for FieldText {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Field::parse(&text).map(Self).ok_or_else(|| de::Error::unknown_variant(&text, NAMES))
    }
}

impl Serialize for ValueShape {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.0 {
            Value::Text(text) => serializer.serialize_str(text),
            Value::Number(number) => serializer.serialize_i64(*number),
            Value::Set(set) => serializer.collect_seq(set),
        }
    }
}

impl<'de> Deserialize<'de> for ValueShape {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ValueReader).map(Self)
    }
}

struct ValueReader;

impl<'de> Visitor<'de> for ValueReader {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a text, a whole number or a list of texts")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Value, E> {
        Ok(Value::Text(text.to_owned()))
    }

    fn visit_bool<E: de::Error>(self, is: bool) -> Result<Value, E> {
        Ok(Value::Text(is.to_string()))
    }

    fn visit_unit<E: de::Error>(self) -> Result<Value, E> {
        Ok(Value::UNSET)
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Value, E> {
        Ok(Value::Number(number))
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Value, E> {
        i64::try_from(number).map(Value::Number).map_err(|_| E::custom("this number is too large"))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Value, A::Error> {
        let mut set = BTreeSet::new();
        while let Some(text) = list.next_element::<String>()? {
            set.insert(text);
        }
        Ok(Value::Set(set))
    }
}

impl Serialize for ExpectationShape<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let form = |serializer: S, key: &str, value: &dyn erased::Value| erased::entry(serializer, key, value);
        match &*self.0 {
            Expectation::Any => serializer.serialize_str(ANY),
            Expectation::Exact(Value::Text(text)) if text == ANY => form(serializer, "one_of", &vec![text.clone()]),
            Expectation::Exact(Value::Set(set)) => form(serializer, "set", set),
            Expectation::Exact(value) => ValueShape(value.clone()).serialize(serializer),
            Expectation::OneOf(all) => {
                form(serializer, "one_of", &all.iter().cloned().map(ValueShape).collect::<Vec<_>>())
            }
            Expectation::Pattern(text, _) => form(serializer, "pattern", text),
            Expectation::Range(from, to) => form(serializer, "range", &[*from, *to]),
        }
    }
}

/// One entry of a mapping, whatever its value.
mod erased {
    use serde::ser::{Serialize, SerializeMap as _, Serializer};

    /// A value that is written as a JSON value first: forms are small.
    pub(super) trait Value {
        fn json(&self) -> Result<serde_json::Value, serde_json::Error>;
    }

    impl<T: Serialize> Value for T {
        fn json(&self) -> Result<serde_json::Value, serde_json::Error> {
            serde_json::to_value(self)
        }
    }

    pub(super) fn entry<S: Serializer>(serializer: S, key: &str, value: &dyn Value) -> Result<S::Ok, S::Error> {
        let value = value.json().map_err(serde::ser::Error::custom)?;
        let mut map = serializer.serialize_map(Some(1))?;
        map.serialize_entry(key, &value)?;
        map.end()
    }
}

impl<'de> Deserialize<'de> for ExpectationShape<'static> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(ExpectationReader).map(|it| Self(Cow::Owned(it)))
    }
}

struct ExpectationReader;

impl<'de> Visitor<'de> for ExpectationReader {
    type Value = Expectation;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value, `any`, or a mapping with one of one_of, set, pattern, range")
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Expectation, E> {
        Ok(if text == ANY { Expectation::Any } else { Expectation::Exact(Value::Text(text.to_owned())) })
    }

    fn visit_bool<E: de::Error>(self, is: bool) -> Result<Expectation, E> {
        ValueReader.visit_bool(is).map(Expectation::Exact)
    }

    fn visit_unit<E: de::Error>(self) -> Result<Expectation, E> {
        Ok(Expectation::Exact(Value::UNSET))
    }

    fn visit_i64<E: de::Error>(self, number: i64) -> Result<Expectation, E> {
        ValueReader.visit_i64(number).map(Expectation::Exact)
    }

    fn visit_u64<E: de::Error>(self, number: u64) -> Result<Expectation, E> {
        ValueReader.visit_u64(number).map(Expectation::Exact)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Expectation, A::Error> {
        ValueReader.visit_seq(list).map(Expectation::Exact)
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Expectation, A::Error> {
        let Some(form) = map.next_key::<String>()? else {
            return Err(de::Error::custom("an empty mapping says nothing; write a value, or any"));
        };
        let expectation = match form.as_str() {
            "one_of" => {
                let all: BTreeSet<Value> = map.next_value::<Vec<ValueShape>>()?.into_iter().map(|it| it.0).collect();
                if all.is_empty() {
                    return Err(de::Error::custom("one_of lists no value; write at least one"));
                }
                match all.len() {
                    1 => all.into_iter().next().map_or(Expectation::Any, Expectation::Exact),
                    _ => Expectation::OneOf(all),
                }
            }
            "set" => Expectation::Exact(Value::Set(map.next_value()?)),
            "pattern" => {
                let text: String = map.next_value()?;
                let glob = checked_glob(&text).map_err(de::Error::custom)?;
                Expectation::Pattern(text, glob.compile_matcher())
            }
            "range" => match map.next_value::<Vec<i64>>()?.as_slice() {
                [from, to] if from <= to => Expectation::Range(*from, *to),
                _ => return Err(de::Error::custom("a range has two numbers, the lesser first; write [0, 100]")),
            },
            other => return Err(de::Error::unknown_field(other, FORMS)),
        };
        match map.next_key::<String>()? {
            None => Ok(expectation),
            Some(second) => Err(de::Error::custom(format!("{form} and {second} stand together; write one of them"))),
        }
    }
}

fn any_of_values() -> serde_json::Value {
    serde_json::json!([
        {"type": "string"}, {"type": "integer"}, {"type": "boolean"}, {"type": "array", "items": {"type": "string"}}
    ])
}

impl JsonSchema for ValueShape {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Value".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"anyOf": any_of_values()})
    }
}

impl JsonSchema for FieldText {
    fn inline_schema() -> bool {
        true
    }

    fn schema_name() -> Cow<'static, str> {
        "Field".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({"type": "string", "examples": ["logging.driver", "mounts./data"]})
    }
}

impl JsonSchema for Expect {
    fn schema_name() -> Cow<'static, str> {
        "Expect".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        let form = |key: &str, value: serde_json::Value| serde_json::json!({"type": "object", "properties": {key: value}, "required": [key], "additionalProperties": false});
        let values = serde_json::json!({"anyOf": any_of_values()});
        let mut all = vec![values.clone()];
        all.push(form("one_of", serde_json::json!({"type": "array", "minItems": 1, "items": values})));
        all.push(form("set", serde_json::json!({"type": "array", "items": {"type": "string"}})));
        all.push(form("pattern", serde_json::json!({"type": "string"})));
        let range = serde_json::json!({"type": "array", "minItems": 2, "maxItems": 2, "items": {"type": "integer"}});
        all.push(form("range", range));
        let expectation = serde_json::json!({"anyOf": all});
        let single = SINGLE.iter().map(|name| ((*name).to_owned(), expectation.clone()));
        let group = serde_json::json!({"type": "object", "additionalProperties": expectation.clone()});
        let groups = GROUPS.iter().map(|name| ((*name).to_owned(), group.clone()));
        let properties: serde_json::Map<String, serde_json::Value> = single.chain(groups).collect();
        json_schema!({"type": "object", "properties": properties, "additionalProperties": false})
    }
}
