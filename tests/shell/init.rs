//! `hopwatch init`: what it writes is a configuration that works, and nothing is overwritten.

use std::path::Path;

use assert_cmd::Command;
use serde_json::Value;

struct Ran {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

fn hopwatch(folder: &Path, args: &[&str]) -> Ran {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hopwatch"));
    let output = command.args(args).current_dir(folder).env("NO_COLOR", "1").output().expect("run hopwatch");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    Ran { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
}

fn capture(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("captures").join(name).display().to_string()
}

/// A folder with the file that `init` makes of a recording.
fn init(recording: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a folder");
    let ran = hopwatch(folder.path(), &["init", "--read", &capture(recording)]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    assert!(ran.stdout.contains("hopwatch paths -c hopwatch.yaml"), "it says what comes next: {}", ran.stdout);
    let checked = hopwatch(folder.path(), &["config", "check", "hopwatch.yaml"]);
    assert_eq!(checked.code, Some(0), "{}{}", checked.stdout, checked.stderr);
    folder
}

/// The rules and severities of what a recording raises under that file.
fn raised(folder: &Path, recording: &str) -> Vec<(String, String)> {
    let ran = hopwatch(folder, &["replay", &capture(recording), "-c", "hopwatch.yaml", "--format", "json"]);
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);
    let lines = ran.stdout.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    let alerts = lines.filter(|line| line["schema"] == "hopwatch.alert/1" && line["update"] == 0);
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    alerts.map(|alert| (text(&alert["rule"]), text(&alert["severity"]))).collect()
}

#[test]
fn contracts_that_were_kept_find_who_goes_around_and_every_alert_is_low_at_first() {
    let folder = init("egress-through-proxy");
    let low = |rule: &str| (rule.to_owned(), "low".to_owned());
    assert_eq!(raised(folder.path(), "egress-through-proxy"), Vec::new());
    assert!(raised(folder.path(), "egress-around-proxy").contains(&low("egress-skips-proxy")));
    let file = folder.path().join("hopwatch.yaml");
    let text = std::fs::read_to_string(&file).expect("the file");
    assert!(text.contains("As a contract: 2 verified (100 %)"), "{text}");
    let trusted: String =
        text.lines().filter(|line| !line.contains("severity: observe")).map(|line| format!("{line}\n")).collect();
    std::fs::write(&file, trusted.replace("environments:\n", "")).expect("written");
    let high = ("egress-skips-proxy".to_owned(), "high".to_owned());
    assert!(raised(folder.path(), "egress-around-proxy").contains(&high), "without `first-days` it is what it is");
}

#[test]
fn containers_on_the_hosts_network_are_allowed_as_they_are_now() {
    let folder = init("host-network-unexpected");
    let rules: Vec<_> = raised(folder.path(), "host-network-unexpected").into_iter().map(|(rule, _)| rule).collect();
    assert!(!rules.contains(&"unexpected-host-network".to_owned()), "{rules:?}");
    let text = std::fs::read_to_string(folder.path().join("hopwatch.yaml")).expect("the file");
    assert!(text.contains("- {digest: \"sha256:"), "an image and not a name, which anybody may choose: {text}");
    assert!(text.contains("No contract is suggested"), "{text}");
}

#[test]
fn nothing_is_overwritten_and_a_failure_leaves_no_file() {
    let folder = init("egress-through-proxy");
    let file = folder.path().join("hopwatch.yaml");
    let before = std::fs::read(&file).expect("the file");
    let ran = hopwatch(folder.path(), &["init", "--read", &capture("egress-through-proxy")]);
    assert_ne!(ran.code, Some(0));
    assert!(ran.stderr.contains("hopwatch.yaml") && ran.stderr.contains("-o FILE"), "{}", ran.stderr);
    assert_eq!(std::fs::read(&file).expect("the file"), before);
    let ran = hopwatch(folder.path(), &["init", "--read", "no-such-recording", "-o", "other.yaml"]);
    assert_ne!(ran.code, Some(0));
    assert!(!folder.path().join("other.yaml").exists(), "{}", ran.stderr);
    let ran = hopwatch(folder.path(), &["init", "--read", &capture("egress-through-proxy"), "-o", "-"]);
    assert_eq!((ran.code, ran.stdout.as_bytes()), (Some(0), &before[..]), "{}", ran.stderr);
}
