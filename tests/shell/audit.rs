//! `hopwatch audit`: every container, in three shapes, with what it cannot see.

use std::path::Path;

use assert_cmd::Command;

fn capture(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("captures").join(name).display().to_string()
}

fn audit(args: &[&str]) -> (Option<i32>, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hopwatch"));
    let output = command.arg("audit").args(args).env("COLUMNS", "80").output().expect("run hopwatch");
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!stderr.contains("panicked"), "{stderr}");
    (output.status.code(), String::from_utf8(output.stdout).expect("UTF-8"))
}

#[test]
fn each_container_says_how_it_logs_what_it_must_pass_and_what_is_dangerous() {
    let (code, text) = audit(&["--read", &capture("socket-mounted")]);
    assert_eq!(code, Some(0), "{text}");
    for word in ["json-file", "high sensitive-mount", "[5.32]", "what hopwatch cannot see", "CIS Docker 1.6.0"] {
        assert!(text.contains(word), "{word} is missing:\n{text}");
    }
    let (_, text) = audit(&["--read", &capture("egress-around-proxy")]);
    assert!(text.contains("via proxy") && text.contains("bypassed"), "{text}");
    let (_, text) = audit(&["--read", &capture("log-address-moved")]);
    assert!(text.contains("the baseline has tcp://10.77.3.24:24224"), "{text}");
}

#[test]
fn the_exit_code_follows_the_severity() {
    assert_eq!(audit(&["--read", &capture("socket-mounted"), "--fail-on", "high"]).0, Some(1));
    assert_eq!(audit(&["--read", &capture("socket-mounted"), "--fail-on", "critical"]).0, Some(0));
}

#[test]
fn the_json_fits_the_published_schema() {
    let schema = hopwatch::report::audit::Audit::json_schema();
    let text = serde_json::to_string_pretty(&schema).expect("JSON") + "\n";
    crate::support::assert_current("docs/audit.schema.json", &text);
    let validator = jsonschema::validator_for(&schema).expect("a valid JSON Schema");
    for name in ["socket-mounted", "egress-around-proxy", "log-address-moved", "rights-raised"] {
        let (_, json) = audit(&["--read", &capture(name), "--format", "json"]);
        let value: serde_json::Value = serde_json::from_str(&json).expect("JSON");
        let errors: Vec<_> = validator.iter_errors(&value).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{name}: {errors:?}");
    }
}

#[test]
fn the_page_asks_nothing_of_anybody_and_obeys_no_name() {
    let inspect = r#"[{"Id":"aa","Name":"/<script>alert(1)</script>","State":{"Running":true,"Pid":1},
        "Config":{"Image":"x\\u001b[31m","Labels":{}},"HostConfig":{"LogConfig":{"Type":"none"},"NetworkMode":"host"}}]"#;
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("inspect.json");
    std::fs::write(&file, inspect).expect("written");
    let (code, page) = audit(&["--facts", &file.display().to_string(), "--format", "html"]);
    assert_eq!(code, Some(0), "{page}");
    assert!(page.contains("&lt;script&gt;") && !page.contains("<script"), "{page}");
    assert!(!page.contains('\u{1b}'), "{page}");
    for request in ["http://", "https://", "src=", "@import", "url("] {
        assert!(!page.contains(request), "{request}: {page}");
    }
    for word in ["prefers-color-scheme:dark", "width=device-width", "@media print", "nothing that it writes is kept"] {
        assert!(page.contains(word), "{word} is missing");
    }
}
