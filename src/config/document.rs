//! Other documents of YAML than the configuration, read and refused in the same way.
//!
//! Contract: every mistake is reported at its place with the nearest right word. Limits: [`MAX_NODES`]. Design: what is right is read without
//! a tree, which is ten times as quick; only what is wrong is read again with places.

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::decode::{self, Decoded};
use super::node;
use super::problem::{ConfigError, Problem};
use super::source::Sources;

/// A baseline of some ten thousand services.
const MAX_NODES: usize = 8_000_000;

/// Reads a document.
pub fn read_document<T: DeserializeOwned>(name: &str, text: &str) -> Result<T, ConfigError> {
    if let Some(value) = node::parse_directly(text, MAX_NODES) {
        return Ok(value);
    }
    let mut sources = Sources::default();
    let source = sources.add_file(name, text.to_owned());
    let mut tree = node::parse_up_to(&sources, source, MAX_NODES).map_err(|problem| ConfigError::new(vec![problem]))?;
    tree.number(&mut 0);
    let Decoded { value, problems, .. } = decode::decode::<T>(&sources, tree, &[]);
    match value {
        Some(value) if problems.is_empty() => Ok(value),
        _ if problems.is_empty() => Err(ConfigError::new(vec![Problem::nowhere(format!(
            "{name} cannot be read; is it larger than it should be?"
        ))])),
        _ => Err(ConfigError::new(problems)),
    }
}

/// The schema that a document names, whatever else is in it.
pub fn document_schema(text: &str) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Head {
        schema: String,
    }
    node::parse_directly::<Head>(text, MAX_NODES).map(|head| head.schema)
}

/// A document as YAML.
pub fn print_document<T: Serialize>(value: &T) -> Result<String, String> {
    serde_saphyr::to_string(value).map_err(|error| error.to_string())
}
