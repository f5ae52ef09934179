//! A baseline as a file.
//!
//! Contract: a file is read whole or refused with its mistakes at their places; a newer schema is refused by its name before anything else
//! is looked at. Writing replaces the file in one step. Limits: [`super::MAX_BYTES`].

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::path::Path;

use super::error::BaselineError;
use super::{MAX_BYTES, signature};
use crate::baseline::{Baseline, BaselineDocument};
use crate::config;
use crate::config::sha256;

/// What stands at the head of a file.
const HEAD: &str = "\
# What the services of this host are expected to be set up like. Review it, keep it in git.
# A field holds a value, one_of, set, pattern, range or any; a field that is not here was not learned and says nothing.
# After an edit: hopwatch baseline approve --file FILE --why TEXT
";

/// Bytes of a baseline in a fact; a line of facts has a bound.
const MAX_IN_A_FACT: usize = 3 << 20;

/// A baseline and its text.
#[derive(Clone, Debug)]
pub struct Document {
    /// What it says.
    pub baseline: Baseline,
    /// As it is written.
    pub text: String,
    /// SHA-256 of that.
    pub sha256: String,
}

impl Document {
    /// Reads a file; with a key, its signature beside it must fit.
    pub fn read(path: &Path, key: Option<&str>) -> Result<Self, BaselineError> {
        let failed = |source| BaselineError::Read { path: path.to_owned(), source };
        let mut text = String::new();
        let file = File::open(path).map_err(failed)?;
        let length = file.metadata().map_err(failed)?.len();
        if length > MAX_BYTES {
            let reason = format!("it has {length} bytes, and {MAX_BYTES} are the most");
            return Err(failed(io::Error::new(io::ErrorKind::InvalidData, reason)));
        }
        file.take(MAX_BYTES).read_to_string(&mut text).map_err(failed)?;
        let document = Self::parse(path, text)?;
        if let Some(key) = key {
            signature::verify(path, key, document.baseline.serial, &document.text)?;
        }
        Ok(document)
    }

    /// From a text; `path` names it in errors.
    pub fn parse(path: &Path, text: String) -> Result<Self, BaselineError> {
        let wrong = |error| BaselineError::Document { path: path.to_owned(), error };
        if let Some(schema) = config::document_schema(&text) {
            BaselineDocument::check_schema(&schema).map_err(wrong)?;
        }
        let shape: BaselineDocument = config::read_document(&path.display().to_string(), &text)?;
        let baseline = shape.checked().map_err(wrong)?;
        Ok(Self { baseline, sha256: sha256(text.as_bytes()), text })
    }

    /// Of a baseline.
    pub fn of(baseline: Baseline) -> Result<Self, BaselineError> {
        let shape = BaselineDocument::from(&baseline);
        let printed = config::print_document(&shape).map_err(BaselineError::Refused)?;
        let text = format!("{HEAD}{printed}");
        Ok(Self { baseline, sha256: sha256(text.as_bytes()), text })
    }

    /// As a fact holds it.
    pub(super) fn as_json(&self) -> Result<serde_json::Value, BaselineError> {
        let refused = |error: String| BaselineError::Refused(error);
        let value =
            serde_json::to_value(BaselineDocument::from(&self.baseline)).map_err(|error| refused(error.to_string()))?;
        let bytes = value.to_string().len();
        if bytes > MAX_IN_A_FACT {
            return Err(refused(format!(
                "serial {} was approved and has {bytes} bytes, more than {MAX_IN_A_FACT} that are taken in while hopwatch runs; start it again",
                self.baseline.serial
            )));
        }
        Ok(value)
    }

    /// Replaces a file; its mode stays.
    pub fn write(&self, path: &Path) -> Result<(), BaselineError> {
        let failed = |source| BaselineError::Write { path: path.to_owned(), source };
        let mut name = path.file_name().unwrap_or_default().to_owned();
        name.push(format!(".{}.new", std::process::id()));
        let draft = path.with_file_name(name);
        let write = || {
            drop(fs::remove_file(&draft));
            let mut file = OpenOptions::new().write(true).create_new(true).open(&draft)?;
            file.write_all(self.text.as_bytes())?;
            if let Ok(before) = path.metadata() {
                file.set_permissions(before.permissions())?;
            }
            file.sync_all()?;
            fs::rename(&draft, path)
        };
        write().inspect_err(|_| drop(fs::remove_file(&draft))).map_err(failed)
    }
}
