//! What differs between two configurations.
//!
//! Contract: pure; one [`Difference`] a field, in order of field; equal configurations have none, whatever the order of what is a set.
//! Limits: hashed values differ or do not; what they are stays unknown. Design: over the fields of [`Facets`].

use std::collections::BTreeSet;

use super::facets::{Facets, Field, Value};
use crate::input::Configuration;

/// A field with its two values; `None` is absent.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Difference {
    /// The field.
    pub field: Field,
    /// Before.
    pub from: Option<String>,
    /// After.
    pub to: Option<String>,
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let field = &self.field;
        match (&self.from, &self.to) {
            (Some(from), Some(to)) => write!(f, "{field} was {from}, is {to}"),
            (Some(from), None) => write!(f, "{field} was {from}, is absent"),
            (None, Some(to)) => write!(f, "{field} was absent, is {to}"),
            (None, None) => write!(f, "{field} is absent"),
        }
    }
}

/// What changed from one to the other, in order of field.
pub fn differences(from: &Configuration, to: &Configuration) -> Vec<Difference> {
    let (from, to) = (Facets::of_configuration(from), Facets::of_configuration(to));
    let fields: BTreeSet<&Field> = from.fields.keys().chain(to.fields.keys()).collect();
    let words = |of: &Facets, field: &Field| of.get(field).and_then(Value::words);
    fields
        .into_iter()
        .map(|field| Difference { field: field.clone(), from: words(&from, field), to: words(&to, field) })
        .filter(|difference| difference.from != difference.to)
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::input::{Logging, Setting, Variable};

    fn variable(name: &str, value: &str) -> Variable {
        Variable { name: name.into(), value: Setting::Clear(value.into()) }
    }

    #[test]
    fn a_configuration_does_not_differ_from_itself_in_another_order() {
        let one = Configuration { extra_hosts: vec!["a:1".into(), "b:2".into()], ..Configuration::default() };
        let other = Configuration { extra_hosts: vec!["b:2".into(), "a:1".into()], ..Configuration::default() };
        assert_eq!(differences(&one, &other), []);
    }

    #[test]
    fn every_difference_names_its_field_and_both_values() {
        let logging = |driver: &str| Some(Logging { driver: driver.into(), ..Logging::default() });
        let one = Configuration {
            logging: logging("json-file"),
            environment: vec![variable("HTTP_PROXY", "http://proxy:3128")],
            ..Configuration::default()
        };
        let other = Configuration {
            logging: logging("none"),
            environment: vec![variable("HTTP_PROXY", ""), variable("HTTP_PROXY", "http://proxy:3128")],
            ..Configuration::default()
        };
        let texts: Vec<String> = differences(&one, &other).iter().map(ToString::to_string).collect();
        let expected =
            ["environment.HTTP_PROXY was http://proxy:3128, is (empty)", "logging.driver was json-file, is none"];
        assert_eq!(texts, expected);
    }
}
