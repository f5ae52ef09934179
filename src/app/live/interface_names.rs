//! The names and globs of interfaces to capture, which a reload may replace.
//!
//! Contract: who captures reads them at each look at the host's interfaces, and so takes over a change within two seconds.

use std::sync::{Arc, Mutex};

use globset::{GlobSet, GlobSetBuilder};

use crate::path::checked_glob;
use crate::sync;

/// What is asked for at one time.
#[derive(Debug, Default)]
pub(super) struct Wanted {
    /// As configured.
    pub(super) patterns: Vec<String>,
    /// The same, in the same order.
    pub(super) globs: GlobSet,
}

impl Wanted {
    /// Checks names and globs.
    pub(super) fn new(patterns: &[String]) -> anyhow::Result<Self> {
        Ok(Self { patterns: patterns.to_vec(), globs: globs(patterns)? })
    }
}

/// What is asked for now.
#[derive(Debug, Default)]
pub(super) struct InterfaceNames(Mutex<Arc<Wanted>>);

impl InterfaceNames {
    /// These.
    pub(super) fn new(wanted: Wanted) -> Self {
        Self(Mutex::new(Arc::new(wanted)))
    }

    /// Others from now on.
    pub(super) fn replace(&self, wanted: Wanted) {
        *sync::lock(&self.0) = Arc::new(wanted);
    }

    /// What is asked for now.
    pub(super) fn read(&self) -> Arc<Wanted> {
        Arc::clone(&sync::lock(&self.0))
    }
}

/// Interface names as the configuration selects them.
pub(in crate::app) fn globs(patterns: &[String]) -> anyhow::Result<GlobSet> {
    let mut globs = GlobSetBuilder::new();
    for pattern in patterns {
        let glob =
            checked_glob(pattern).map_err(|why| anyhow::anyhow!("{pattern:?} is no glob of interface names: {why}"))?;
        globs.add(glob);
    }
    Ok(globs.build()?)
}
