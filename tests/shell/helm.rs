//! The Helm chart: rendered by a real helm it is the `DaemonSet` of packaging/kubernetes, and Kubernetes' own schemas take both.
//!
//! Limits: helm and the schemas come from `scripts/test-tools.sh`; without them, what can be read in the files is all that is checked.

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::{Value, json};

fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn chart() -> PathBuf {
    repository().join("packaging/helm/hopwatch")
}

fn read(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn yaml(text: &str) -> Value {
    serde_saphyr::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// The folder of `scripts/test-tools.sh`, beside the binaries of this build.
fn tools() -> Option<PathBuf> {
    let target = Path::new(env!("CARGO_BIN_EXE_hopwatch")).parent()?.parent()?;
    Some(target.join("tools")).filter(|tools| tools.join("helm").is_file())
}

/// helm, or why it cannot be asked.
fn helm(test: &str) -> Option<Command> {
    let found = tools().map(|tools| tools.join("helm"));
    let there = || Command::new("helm").arg("version").output().is_ok_and(|output| output.status.success());
    let program = found.or_else(|| there().then(|| "helm".into()));
    if program.is_none() {
        println!("skipped: {test}: there is no helm (scripts/test-tools.sh fetches one)");
    }
    program.map(Command::new)
}

/// What `helm template` makes of the chart with these values, or what it says against them.
fn rendered(mut helm: Command, values: &[&str]) -> Result<Vec<Value>, String> {
    helm.args(["template", "hopwatch"]).arg(chart()).args(["--namespace", "hopwatch"]);
    for value in values {
        helm.args(["--set-json", value]);
    }
    let output = helm.output().expect("helm runs");
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into_owned());
    }
    Ok(documents(&String::from_utf8(output.stdout).expect("text")))
}

fn documents(text: &str) -> Vec<Value> {
    text.split("\n---\n")
        .map(|part| part.trim_start_matches("---\n"))
        .filter(|part| !part.trim().is_empty())
        .map(yaml)
        .collect()
}

fn of<'a>(documents: &'a [Value], kind: &str) -> &'a Value {
    documents.iter().find(|one| one["kind"] == kind).unwrap_or_else(|| panic!("no {kind}"))
}

fn plain() -> Vec<Value> {
    documents(&read(&repository().join("packaging/kubernetes/hopwatch.yaml")))
}

#[test]
fn the_chart_has_the_version_of_the_program_and_its_values_fit_their_schema() {
    let about = yaml(&read(&chart().join("Chart.yaml")));
    assert_eq!(
        (&about["version"], &about["appVersion"]),
        (&json!(env!("CARGO_PKG_VERSION")), &json!(env!("CARGO_PKG_VERSION")))
    );
    let schema: Value = serde_json::from_str(&read(&chart().join("values.schema.json"))).expect("JSON");
    let schema = jsonschema::validator_for(&schema).expect("a schema");
    let values = yaml(&read(&chart().join("values.yaml")));
    let errors: Vec<_> = schema.iter_errors(&values).map(|error| error.to_string()).collect();
    assert!(errors.is_empty(), "{errors:?}");
    for (wrong, at) in [
        (json!({"port": 70_000}), "metrics"),
        (json!("run/containerd"), "image"),
        (json!({"runtime": "run", "state": "/x"}), "host"),
    ] {
        let mut values = values.clone();
        values[at] = wrong;
        assert!(!schema.is_valid(&values), "{at}");
    }
    let mut values = values;
    values["imgae"] = json!({});
    assert!(!schema.is_valid(&values), "a key that is not there");
}

#[test]
fn the_chart_renders_to_the_daemon_set_that_is_there_without_helm() {
    const TEST: &str = "the_chart_renders_to_the_daemon_set_that_is_there_without_helm";
    let Some(mut lint) = helm(TEST) else { return };
    let linted = lint.args(["lint", "--strict"]).arg(chart()).output().expect("helm runs");
    assert!(linted.status.success(), "{}", String::from_utf8_lossy(&linted.stdout));
    let (chart, plain) = (rendered(helm(TEST).expect("as before"), &[]).expect("rendered"), plain());
    let pod = |documents: &[Value]| of(documents, "DaemonSet")["spec"]["template"].clone();
    assert_eq!(pod(&chart)["spec"], pod(&plain)["spec"]);
    let config =
        |documents: &[Value]| yaml(of(documents, "ConfigMap")["data"]["hopwatch.yaml"].as_str().expect("a text"));
    assert_eq!(config(&chart), config(&plain));
    for (key, value) in pod(&plain)["metadata"]["annotations"].as_object().expect("annotations") {
        assert_eq!(&pod(&chart)["metadata"]["annotations"][key], value, "{key}");
    }
    let selector = &of(&chart, "DaemonSet")["spec"]["selector"]["matchLabels"];
    for (label, value) in selector.as_object().expect("labels") {
        assert_eq!(&pod(&chart)["metadata"]["labels"][label], value, "the pods are found by it");
    }
    let file = tempfile::NamedTempFile::new().expect("a file");
    std::fs::write(&file, of(&chart, "ConfigMap")["data"]["hopwatch.yaml"].as_str().expect("a text")).expect("written");
    let checked = Command::new(env!("CARGO_BIN_EXE_hopwatch")).args(["config", "check"]).arg(file.path()).output();
    assert!(checked.expect("it runs").status.success(), "the configuration is right");
}

#[test]
fn values_change_what_they_are_for_and_no_right() {
    const TEST: &str = "values_change_what_they_are_for_and_no_right";
    if helm(TEST).is_none() {
        return;
    }
    let render = |values: &[&str]| rendered(helm(TEST).expect("as before"), values);
    let digest = format!("sha256:{}", "a".repeat(64));
    let changed = render(&[
        &format!("image={{\"repository\": \"registry.example/hopwatch\", \"digest\": \"{digest}\"}}"),
        r#"host={"runtime": "/run/k3s/containerd", "state": "/srv/hopwatch", "logs": "", "certificates": ""}"#,
        r#"extraArgs=["-i", "eth*"]"#,
        r#"existingConfigMap="mine""#,
        "metrics.port=9000",
    ])
    .expect("rendered");
    assert!(!changed.iter().any(|one| one["kind"] == "ConfigMap"));
    let pod = &of(&changed, "DaemonSet")["spec"]["template"]["spec"];
    let container = &pod["containers"][0];
    assert_eq!(container["image"], json!(format!("registry.example/hopwatch@{digest}")));
    assert_eq!(container["args"], json!(["sniff", "--log-format", "json", "-i", "eth*"]));
    assert_eq!(container["ports"], json!([{"name": "metrics", "containerPort": 9000, "hostPort": 9000}]));
    let names = |list: &Value| {
        list.as_array()
            .expect("a list")
            .iter()
            .map(|one| one["name"].as_str().expect("a name").to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(names(&pod["volumes"]), ["config", "state", "containerd", "cgroup"]);
    assert_eq!(names(&container["volumeMounts"]), names(&pod["volumes"]));
    assert_eq!(pod["volumes"][0]["configMap"]["name"], "mine");
    assert_eq!(
        (&pod["volumes"][2]["hostPath"]["path"], &container["volumeMounts"][2]["mountPath"]),
        (&json!("/run/k3s/containerd"), &json!("/run/containerd"))
    );
    assert_eq!(
        container["securityContext"],
        of(&plain(), "DaemonSet")["spec"]["template"]["spec"]["containers"][0]["securityContext"]
    );
    for (wrong, says) in [
        ("metrics.port=70000", "maximum"),
        ("metrics.port=9000", "serve.listen must name the port"),
        ("imgae={}", "imgae"),
        (r#"image.digest="sha256:short""#, "digest"),
    ] {
        let error = render(&[wrong]).expect_err(wrong);
        assert!(error.contains(says), "{wrong}: {error}");
    }
}

/// A schema with everything that it names in it.
fn schema(folder: &Path, kind: &str) -> jsonschema::Validator {
    let file =
        |name: &str| -> Value { serde_json::from_str(&read(&folder.join(format!("{name}.json")))).expect("JSON") };
    let text = |value: &Value| value.to_string().replace("/api/_definitions.json#/$defs/", "#/$defs/");
    let mut schema: Value = serde_json::from_str(&text(&file(kind))).expect("JSON");
    schema["$defs"] = serde_json::from_str::<Value>(&text(&file("_definitions"))).expect("JSON")["$defs"].take();
    jsonschema::validator_for(&schema).unwrap_or_else(|error| panic!("{kind}: {error}"))
}

#[test]
fn kubernetes_own_schemas_take_what_it_would_be_given() {
    const TEST: &str = "kubernetes_own_schemas_take_what_it_would_be_given";
    let Some(tools) = tools() else {
        return println!("skipped: {TEST}: there are no schemas (scripts/test-tools.sh fetches them)");
    };
    let folder = tools.join("kubernetes-schemas");
    let chart = rendered(Command::new(tools.join("helm")), &[]).expect("rendered");
    let daemon_set = schema(&folder, "daemonset-apps-v1");
    for documents in [&chart, &plain()] {
        for (kind, name) in
            [("DaemonSet", "daemonset-apps-v1"), ("ConfigMap", "configmap-v1"), ("Namespace", "namespace-v1")]
        {
            let Some(document) = documents.iter().find(|one| one["kind"] == kind) else { continue };
            let validator = schema(&folder, name);
            let errors: Vec<_> =
                validator.iter_errors(document).map(|error| format!("{}: {error}", error.instance_path())).collect();
            assert!(errors.is_empty(), "{kind}: {errors:?}");
        }
    }
    let mut wrong = of(&chart, "DaemonSet").clone();
    wrong["spec"]["template"]["spec"]["containers"][0]["livenessProbe"]["httpGet"]["port"] = json!([1]);
    assert!(!daemon_set.is_valid(&wrong), "a wrong kind of value");
    let mut wrong = of(&chart, "DaemonSet").clone();
    wrong["spec"]["template"]["spec"]["hostNetwrok"] = json!(true);
    assert!(!daemon_set.is_valid(&wrong), "a key that is not there");
}
