//! The bill of materials: every crate of the program, none that only builds or tests it, in the form that `CycloneDX`'s schema asks for.

use std::collections::BTreeSet;
use std::path::Path;
use std::process::Command;

use serde_json::Value;

/// On standard output of a program, in the repository.
fn said(program: &str, arguments: &[&str]) -> Result<String, String> {
    let mut command = Command::new(program);
    command.current_dir(env!("CARGO_MANIFEST_DIR")).args(arguments).env("SOURCE_DATE_EPOCH", "1800000000");
    let output = command.output().map_err(|error| format!("{program}: {error}"))?;
    if output.status.success() {
        return String::from_utf8(output.stdout).map_err(|error| error.to_string());
    }
    Err(String::from_utf8_lossy(&output.stderr).into_owned())
}

/// The bill, or why it cannot be made here.
fn bill(name: &str) -> Option<(String, Value)> {
    if let Err(why) = said("python3", &["-c", "import tomllib"]) {
        println!("skipped: {name}: needs Python 3.11: {}", why.lines().last().unwrap_or_default());
        return None;
    }
    let text = said("python3", &["scripts/sbom.py", "--libpcap", "1.10.3"]).expect("a bill");
    let bill = serde_json::from_str(&text).expect("JSON");
    Some((text, bill))
}

#[test]
fn the_bill_of_materials_names_what_cargo_compiles_in_and_nothing_else() {
    let Some((text, bill)) = bill("the_bill_of_materials_names_what_cargo_compiles_in_and_nothing_else") else {
        return;
    };
    let tree =
        ["tree", "--locked", "--offline", "--edges", "normal,no-proc-macro", "--prefix", "none", "--format", "{p}"];
    let tree = said(env!("CARGO"), &tree).expect("cargo tree");
    let name = |line: &str| line.split(' ').take(2).collect::<Vec<_>>().join(" ").replace(" v", " ");
    let own = format!("hopwatch {}", env!("CARGO_PKG_VERSION"));
    let compiled: BTreeSet<_> = tree.lines().map(name).filter(|one| *one != own).collect();
    let components = bill["components"].as_array().expect("a list");
    let text_of = |component: &Value, key: &str| component[key].as_str().expect(key).to_owned();
    let listed: BTreeSet<_> = components
        .iter()
        .map(|one| format!("{} {}", text_of(one, "name"), text_of(one, "version")))
        .filter(|one| *one != "libpcap 1.10.3")
        .collect();
    assert_eq!(listed, compiled);
    for (name, is_there) in [
        ("pcap", true),
        ("libpcap", true),
        ("rusqlite", true),
        ("proptest", false),
        ("serde_derive", false),
        ("approx", false),
    ] {
        assert_eq!(components.iter().any(|one| one["name"] == name), is_there, "{name}");
    }
    for component in components.iter().filter(|one| one["name"] != "libpcap") {
        assert_eq!(component["hashes"][0]["content"].as_str().map(str::len), Some(64), "{component}");
        assert!(component["licenses"][0]["expression"].is_string(), "{component}");
    }
    let known: BTreeSet<_> = components.iter().map(|one| text_of(one, "bom-ref")).collect();
    for dependency in bill["dependencies"].as_array().expect("a list") {
        for on in dependency["dependsOn"].as_array().expect("a list") {
            assert!(known.contains(on.as_str().expect("a reference")), "{on} is no component");
        }
    }
    assert_eq!(said("python3", &["scripts/sbom.py", "--libpcap", "1.10.3"]).expect("a bill"), text, "the same twice");
}

#[test]
fn cyclonedx_own_schema_takes_the_bill_of_materials() {
    const TEST: &str = "cyclonedx_own_schema_takes_the_bill_of_materials";
    let Some((_, bill)) = bill(TEST) else { return };
    let target = Path::new(env!("CARGO_BIN_EXE_hopwatch")).parent().and_then(Path::parent).expect("a folder");
    let folder = target.join("tools/cyclonedx-schemas");
    let read =
        |name: &str| -> Option<Value> { serde_json::from_str(&std::fs::read_to_string(folder.join(name)).ok()?).ok() };
    let (Some(mut schema), Some(spdx), Some(jsf)) = (read("bom-1.6.json"), read("spdx.json"), read("jsf-0.82.json"))
    else {
        return println!("skipped: {TEST}: there is no schema (scripts/test-tools.sh fetches it)");
    };
    // What it refers to by file is put into it.
    let text = schema.to_string().replace("spdx.SNAPSHOT.schema.json", "#/definitions/spdx");
    schema = serde_json::from_str(&text.replace("jsf-0.82.SNAPSHOT.schema.json#/definitions/", "#/definitions/jsf/"))
        .expect("JSON");
    let jsf = jsf["definitions"].to_string().replace("#/definitions/", "#/definitions/jsf/");
    schema["definitions"]["jsf"] = serde_json::from_str(&jsf).expect("JSON");
    schema["definitions"]["spdx"] = serde_json::json!({"enum": spdx["enum"]});
    schema.as_object_mut().expect("a schema").remove("$id");
    let validator = jsonschema::validator_for(&schema).expect("a schema");
    let errors: Vec<_> =
        validator.iter_errors(&bill).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert!(errors.is_empty(), "{errors:?}");
    let mut wrong = bill;
    wrong["components"][0]["type"] = "crate".into();
    assert!(!validator.is_valid(&wrong));
}
