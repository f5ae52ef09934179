//! The layers of a configuration, merged into one tree.
//!
//! Contract: later layers win; `contracts` and `exceptions` of `conf.d` files are added. Limits: files of `node::MAX_BYTES`.

use std::ffi::OsString;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use super::environment::{PREFIX, Variables};
use super::file::APPENDED;
use super::node::{self, Kind, MAX_BYTES, Node};
use super::problem::{ConfigError, Problem};
use super::source::Sources;

/// The usual place.
const USUAL: &str = "/etc/hopwatch/hopwatch.yaml";

/// Sources and the merged tree.
pub(super) struct Layers {
    pub sources: Sources,
    pub tree: Node,
}

/// One text as the only layer.
pub(super) fn of_text(name: &str, text: &str) -> Result<Layers, ConfigError> {
    let mut layers = Layers { sources: Sources::default(), tree: Node::empty() };
    layers.add(name, text.to_owned()).map_err(|problem| ConfigError::new(vec![problem]))?;
    Ok(layers)
}

/// Files, then variables.
pub(super) fn read(
    explicit: Option<&Path>,
    variables: impl Iterator<Item = (OsString, OsString)>,
) -> Result<Layers, ConfigError> {
    merge(&files(explicit), variables)
}

/// The file that was given, or those in the usual place.
pub(super) fn files(explicit: Option<&Path>) -> Vec<PathBuf> {
    explicit.map_or_else(|| usual_files(Path::new(USUAL)), |path| vec![path.to_owned()])
}

fn merge(files: &[PathBuf], variables: impl Iterator<Item = (OsString, OsString)>) -> Result<Layers, ConfigError> {
    let mut layers = Layers { sources: Sources::default(), tree: Node::empty() };
    let mut problems = Vec::new();
    for path in files {
        let added = bytes_of(path).and_then(|bytes| layers.add_bytes(&path.display().to_string(), bytes));
        problems.extend(added.err());
    }
    let mut variables: Vec<_> = variables.filter_map(|(name, value)| Some((name.into_string().ok()?, value))).collect();
    variables.sort();
    let known = Variables::known();
    for (name, value) in variables.into_iter().filter(|(name, _)| name.starts_with(PREFIX)) {
        let set = known.set(&mut layers.sources, &mut layers.tree, &name, &value.to_string_lossy());
        problems.extend(set.err());
    }
    if problems.is_empty() { Ok(layers) } else { Err(ConfigError::new(problems)) }
}

/// The usual file, if there is one, and those of `conf.d` beside it, in order of name.
fn usual_files(usual: &Path) -> Vec<PathBuf> {
    let mut more: Vec<PathBuf> = usual
        .with_file_name("conf.d")
        .read_dir()
        .map(|entries| entries.filter_map(|entry| Some(entry.ok()?.path())).collect())
        .unwrap_or_default();
    more.retain(|path| path.extension().is_some_and(|extension| extension == "yaml"));
    more.sort();
    usual.is_file().then(|| usual.to_owned()).into_iter().chain(more).collect()
}

/// The bytes of a file of the configuration.
pub(super) fn bytes_of(path: &Path) -> Result<Vec<u8>, Problem> {
    let failed = |why: &dyn std::fmt::Display| {
        Problem::nowhere(format!("cannot read the configuration {}: {why}", path.display()))
            .with_help(Some("check the path and its permissions; config/examples holds working files".to_owned()))
    };
    let mut bytes = Vec::new();
    let file = std::fs::File::open(path).map_err(|error| failed(&error))?;
    let limit = u64::try_from(MAX_BYTES).unwrap_or(u64::MAX);
    file.take(limit + 1).read_to_end(&mut bytes).map_err(|error| failed(&error))?;
    if bytes.len() > MAX_BYTES {
        return Err(failed(&"it is larger than a mebibyte"));
    }
    Ok(bytes)
}

impl Layers {
    fn add_bytes(&mut self, name: &str, bytes: Vec<u8>) -> Result<(), Problem> {
        let error = match String::from_utf8(bytes) {
            Ok(text) => return self.add(name, text),
            Err(error) => error,
        };
        let at = error.utf8_error().valid_up_to();
        let text = String::from_utf8_lossy(error.as_bytes()).into_owned();
        let source = self.sources.add_file(name, text);
        let place = self.sources.span(source, at..at + 1);
        Err(Problem::at(&self.sources, place, "not valid UTF-8: this byte is no character")
            .with_help(Some("save the file as UTF-8".to_owned())))
    }

    fn add(&mut self, name: &str, text: String) -> Result<(), Problem> {
        let source = self.sources.add_file(name, text);
        let tree = node::parse(&self.sources, source)?;
        self.tree.overlay(tree, &APPENDED);
        Ok(())
    }
}

/// Where each key was set, in the order of the file; contracts and exceptions one by one.
pub(super) fn origins(sources: &Sources, tree: &Node) -> Vec<(String, String)> {
    let mut origins = Vec::new();
    for (section, value) in tree.entries() {
        collect(sources, &section.text, value, &mut origins);
    }
    origins
}

fn collect(sources: &Sources, name: &str, node: &Node, origins: &mut Vec<(String, String)>) {
    let one_hop = name.starts_with("hops.");
    match &node.kind {
        Kind::Map(entries) if !entries.is_empty() && !one_hop => {
            for (key, value) in entries {
                collect(sources, &format!("{name}.{}", key.text), value, origins);
            }
        }
        Kind::List(list) if APPENDED.contains(&name) => {
            for (index, element) in list.iter().enumerate() {
                let label = match element.get("name").map(|name| &name.kind) {
                    Some(Kind::Text(text)) => text.clone(),
                    _ => index.to_string(),
                };
                origins.extend(origin(sources, element).map(|origin| (format!("{name}.{label}"), origin)));
            }
        }
        _ => origins.extend(origin(sources, node).map(|origin| (name.to_owned(), origin))),
    }
}

/// `hopwatch.yaml:3`, or the name of the variable.
fn origin(sources: &Sources, node: &Node) -> Option<String> {
    let place = super::decode::place_of(node);
    let source = sources.get(place.source)?;
    let file = || format!("{}:{}", source.name, source.position(place.start).0);
    Some(source.variable.clone().unwrap_or_else(file))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::SnapLength;
    use crate::input::RuntimeKind;

    fn variables(all: &[(&str, &str)]) -> std::vec::IntoIter<(OsString, OsString)> {
        let owned: Vec<_> = all.iter().map(|(name, value)| (OsString::from(name), OsString::from(value))).collect();
        owned.into_iter()
    }

    fn loaded(files: &[PathBuf], all: &[(&str, &str)]) -> crate::config::Loaded {
        merge(files, variables(all))
            .and_then(crate::config::finish)
            .unwrap_or_else(|error| panic!("{}", error.report(false)))
    }

    fn mistakes(files: &[PathBuf], all: &[(&str, &str)]) -> Vec<String> {
        let error = merge(files, variables(all)).and_then(crate::config::finish).expect_err("a mistake");
        error.problems().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn files_of_conf_d_come_after_the_usual_one_in_order_of_name_and_variables_win() {
        let folder = tempfile::tempdir().expect("a folder");
        let usual = folder.path().join("hopwatch.yaml");
        std::fs::create_dir(folder.path().join("conf.d")).expect("a folder");
        let contract = |name: &str| format!("contracts: [{{name: {name}, from: [{{name: \"*\"}}], via: [proxy]}}]\n");
        let hop = "hops: {proxy: {addresses: [10.0.0.1]}}\ncapture: {snap_length: 100, ring_mib: 1}\n";
        std::fs::write(&usual, contract("one") + hop).expect("written");
        let more = folder.path().join("conf.d");
        std::fs::write(more.join("20.yaml"), contract("three") + "capture: {snap_length: 300}\n").expect("written");
        std::fs::write(more.join("10.yaml"), contract("two") + "capture: {snap_length: 200, ring_mib: 2}\n")
            .expect("written");
        std::fs::write(more.join("30.yaml.off"), "nonsense").expect("written");

        let loaded = loaded(&usual_files(&usual), &[("HOPWATCH__CAPTURE__RING_MIB", "9"), ("HOPWATCH_OTHER", "x")]);
        let names: Vec<_> = loaded.config.engine.contracts.iter().map(|contract| contract.name.as_str()).collect();
        assert_eq!(names, ["one", "two", "three"]);
        assert_eq!(
            (loaded.config.capture.snap_length, loaded.config.capture.ring_bytes),
            (SnapLength::Bytes(300), 9 << 20)
        );
        let origin = |key: &str| loaded.origins.iter().find(|(name, _)| name == key).map(|(_, origin)| origin.clone());
        assert_eq!(origin("capture.ring_mib").as_deref(), Some("HOPWATCH__CAPTURE__RING_MIB"));
        assert!(origin("capture.snap_length").expect("set").ends_with("20.yaml:2"));
        assert!(origin("contracts.two").expect("set").ends_with("10.yaml:1"));
        assert!(origin("hops.proxy").expect("set").ends_with("hopwatch.yaml:2"));
    }

    #[test]
    fn variables_set_every_kind_of_value() {
        let all = [
            ("HOPWATCH__CAPTURE__INTERFACES", "eth0, br-*,007"),
            ("HOPWATCH__RULES__PACKET_SOCKET__RAW_PROTOCOLS_ALLOWED", "1, 58,89"),
            ("HOPWATCH__FLOWS__IDLE_TIMEOUT", "5s"),
            ("HOPWATCH__RULES__UNKNOWN_SOURCE__ENABLED", "false"),
            ("HOPWATCH__RUNTIME__DOCKER__SOCKET", "unix:///run/other.sock"),
            ("HOPWATCH__SERVE__LISTEN", "[::1]:9921"),
        ];
        let config = loaded(&[], &all).config;
        assert_eq!(config.capture.interfaces, ["eth0", "br-*", "007"]);
        assert_eq!(config.engine.rules.packet_socket.raw_protocols_allowed, [1, 58, 89]);
        assert_eq!(config.meter.idle_timeout, std::time::Duration::from_secs(5));
        assert!(!config.engine.rules.unknown_source.enabled);
        assert_eq!(config.runtimes.sought.sockets[&RuntimeKind::Docker], ["unix:///run/other.sock"]);
        assert_eq!(config.listen.to_string(), "[::1]:9921");
    }

    #[test]
    fn a_wrong_variable_is_told_with_the_nearest_and_a_wrong_value_with_its_place() {
        let mistakes = |name, value| mistakes(&[], &[(name, value)]).join("\n");
        let unknown = mistakes("HOPWATCH__CAPTURE__SNAPLEN", "1");
        assert!(unknown.starts_with("environment:1:1: "), "{unknown}");
        assert!(unknown.ends_with("did you mean \"HOPWATCH__CAPTURE__SNAP_LENGTH\"?"), "{unknown}");
        let lower = mistakes("HOPWATCH__capture__snap_length", "512");
        assert!(lower.ends_with("did you mean \"HOPWATCH__CAPTURE__SNAP_LENGTH\"?"), "{lower}");
        assert!(mistakes("HOPWATCH__HOPS__PROXY", "x").ends_with("hops are written in a file"));
        let value = mistakes("HOPWATCH__CAPTURE__SNAP_LENGTH", "many");
        assert_eq!(value, "environment:1:32: \"many\" is no length; write adaptive, or a number from 64 to 65535");
        let element = mistakes("HOPWATCH__CAPTURE__INTERFACES", "eth0, [");
        assert!(element.starts_with("environment:1:37: \"[\" is not a glob"), "{element}");
    }

    #[test]
    fn every_file_that_cannot_be_read_is_told() {
        let folder = tempfile::tempdir().expect("a folder");
        let write = |name: &str, bytes: &[u8]| {
            let path = folder.path().join(name);
            std::fs::write(&path, bytes).expect("written");
            path
        };
        let latin = write("latin.yaml", b"capture: {}\n# \xfcber\n");
        let huge = write("huge.yaml", "#\n".repeat(MAX_BYTES).as_bytes());
        let mistakes = mistakes(&[latin, folder.path().join("absent.yaml"), folder.path().to_owned(), huge], &[]);
        assert_eq!(mistakes.len(), 4, "{mistakes:?}");
        assert!(mistakes.iter().any(|line| line.contains("latin.yaml:2:3: not valid UTF-8")), "{mistakes:?}");
    }
}
