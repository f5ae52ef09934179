//! The files that run hopwatch in a container, and the unit that runs it without one: the same rights, the same program, configurations that are right.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

fn file(path: &str) -> String {
    let path: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("packaging").join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn yaml(text: &str) -> Value {
    serde_saphyr::from_str(text).expect("YAML")
}

/// The value of a key of a systemd file, by its last word.
fn setting<'a>(unit: &'a str, key: &str) -> &'a str {
    let line = unit.lines().find_map(|line| line.strip_prefix(key)?.strip_prefix('='));
    line.unwrap_or_else(|| panic!("no {key}"))
}

/// Names without `CAP_`.
fn capabilities<'a>(names: impl Iterator<Item = &'a str>) -> BTreeSet<String> {
    names.map(|name| name.trim_start_matches("CAP_").to_owned()).collect()
}

fn texts(list: &Value) -> Vec<&str> {
    list.as_array().expect("a list").iter().map(|one| one.as_str().expect("a text")).collect()
}

fn compose() -> Value {
    yaml(&file("compose/compose.yaml"))["services"]["hopwatch"].clone()
}

/// The container of the `DaemonSet`, and the configuration of the `ConfigMap`.
fn kubernetes() -> (Value, String) {
    let text = file("kubernetes/hopwatch.yaml");
    let documents: Vec<Value> = text.split("\n---\n").map(yaml).collect();
    let of = |kind: &str| documents.iter().find(|one| one["kind"] == kind).unwrap_or_else(|| panic!("no {kind}"));
    let config = of("ConfigMap")["data"]["hopwatch.yaml"].as_str().expect("a configuration").to_owned();
    (of("DaemonSet")["spec"]["template"]["spec"].clone(), config)
}

#[test]
fn each_way_to_run_it_gives_the_same_capabilities() {
    let unit = file("systemd/hopwatch.service");
    let wanted = capabilities(setting(&unit, "CapabilityBoundingSet").split(' '));
    assert!(wanted.contains("NET_RAW") && wanted.len() == 5, "{wanted:?}");
    let compose = compose();
    assert_eq!(texts(&compose["cap_drop"]), ["ALL"]);
    assert_eq!(capabilities(texts(&compose["cap_add"]).into_iter()), wanted);
    let quadlet = file("quadlet/hopwatch.container");
    assert_eq!(setting(&quadlet, "DropCapability"), "ALL");
    assert_eq!(capabilities(setting(&quadlet, "AddCapability").split(' ')), wanted);
    let (pod, _) = kubernetes();
    let rights = &pod["containers"][0]["securityContext"]["capabilities"];
    assert_eq!(texts(&rights["drop"]), ["ALL"]);
    assert_eq!(capabilities(texts(&rights["add"]).into_iter()), wanted);
    // A template is no YAML; this line of it is plain.
    let chart = file("helm/hopwatch/templates/daemonset.yaml");
    let added = chart.lines().find_map(|line| line.trim().strip_prefix("add: [")?.strip_suffix(']')).expect("rights");
    assert_eq!(capabilities(added.split(", ")), wanted);
    assert!(chart.contains("drop: [ALL]"));
}

#[test]
fn none_may_write_to_the_image_gain_rights_or_write_to_the_host() {
    let (compose, quadlet, (pod, _)) = (compose(), file("quadlet/hopwatch.container"), kubernetes());
    assert_eq!(compose["read_only"], true);
    assert!(texts(&compose["security_opt"]).contains(&"no-new-privileges:true"));
    assert_eq!((setting(&quadlet, "ReadOnly"), setting(&quadlet, "NoNewPrivileges")), ("true", "true"));
    let context = &pod["containers"][0]["securityContext"];
    assert_eq!(
        (&context["readOnlyRootFilesystem"], &context["allowPrivilegeEscalation"]),
        (&true.into(), &false.into())
    );
    let is_state = |mount: &str| mount.contains("/var/lib/hopwatch");
    let volumes = quadlet.lines().filter_map(|line| line.strip_prefix("Volume="));
    for mount in texts(&compose["volumes"]).into_iter().chain(volumes).filter(|mount| !is_state(mount)) {
        assert!(mount.ends_with(":ro"), "{mount}");
    }
    for mount in pod["containers"][0]["volumeMounts"].as_array().expect("mounts") {
        assert!(mount["readOnly"] == true || is_state(mount["mountPath"].as_str().expect("a path")), "{mount}");
    }
}

#[test]
fn all_name_the_image_of_this_version_and_arguments_that_there_are() {
    let image = format!("localhost/hopwatch:{}", env!("CARGO_PKG_VERSION"));
    let (compose, quadlet, (pod, _)) = (compose(), file("quadlet/hopwatch.container"), kubernetes());
    let container = &pod["containers"][0];
    assert_eq!(
        (&compose["image"], setting(&quadlet, "Image"), &container["image"]),
        (&image.as_str().into(), &*image, &image.as_str().into())
    );
    let page =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/containers.md")).expect("the page");
    assert!(page.contains(&image), "docs/containers.md names another image than {image}");
    let unit = file("systemd/hopwatch.service");
    let from_unit = setting(&unit, "ExecStart").split(' ').skip(1).collect();
    for arguments in [
        texts(&compose["command"]),
        setting(&quadlet, "Exec").split(' ').collect(),
        texts(&container["args"]),
        from_unit,
    ] {
        let asked =
            Command::new(env!("CARGO_BIN_EXE_hopwatch")).args(&arguments).arg("--help").output().expect("it runs");
        assert!(asked.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&asked.stderr));
    }
}

#[test]
fn the_configurations_that_come_with_them_are_right() {
    let folder = tempfile::tempdir().expect("a folder");
    for (number, text) in [file("compose/hopwatch.yaml"), kubernetes().1].iter().enumerate() {
        let path = folder.path().join(format!("{number}.yaml"));
        std::fs::write(&path, text).expect("written");
        let checked = Command::new(env!("CARGO_BIN_EXE_hopwatch"))
            .args(["config", "check"])
            .arg(&path)
            .output()
            .expect("it runs");
        assert!(checked.status.success(), "{text}{}", String::from_utf8_lossy(&checked.stderr));
    }
}
