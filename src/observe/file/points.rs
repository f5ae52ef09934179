//! The interfaces of a capture file, and what they are called.
//!
//! Contract: one name never stands for two link types. The same name with the same link type, in another section or twice in
//! one, is the same observation point.

use std::collections::BTreeMap;
use std::path::Path;

use crate::decode::LinkType;
use crate::input::ObservationPoint;

/// One interface of a capture file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// Its name in the file, else the file's name; where that is taken, with `#` and the interface's number.
    pub point: ObservationPoint,
    /// Its link type, supported or not.
    pub link: LinkType,
    /// The most that was captured of a packet; 0 where the file does not say.
    pub snap_length: u32,
}

/// The interfaces of a file, in the order of the file.
pub(super) struct Points {
    stem: String,
    interfaces: Vec<Interface>,
    links: BTreeMap<String, LinkType>,
}

impl Points {
    /// None yet; `path` names those that have no name.
    pub(super) fn new(path: &Path) -> Self {
        Self { stem: stem(path), interfaces: Vec::new(), links: BTreeMap::new() }
    }

    pub(super) fn all(&self) -> &[Interface] {
        &self.interfaces
    }

    pub(super) fn add(&mut self, name: Option<String>, link: LinkType, snap_length: u32) {
        let has_name = name.is_some();
        let mut name = name.unwrap_or_else(|| self.stem.clone());
        while self.links.get(&name).is_some_and(|known| !has_name || *known != link) {
            name = format!("{name}#{}", self.interfaces.len() + 1);
        }
        self.interfaces.push(Interface { point: ObservationPoint::new(&name), link, snap_length });
        self.links.insert(name, link);
    }
}

/// `traffic` for `dir/traffic.pcapng.gz`, `stdin` for `-`.
fn stem(path: &Path) -> String {
    if path.as_os_str() == "-" {
        return "stdin".to_owned();
    }
    let is_packed = path.extension().is_some_and(|extension| extension == "gz" || extension == "zst");
    let path = if is_packed { path.with_extension("") } else { path.to_path_buf() };
    path.file_stem().map_or_else(|| "capture".to_owned(), |stem| stem.to_string_lossy().into_owned())
}
