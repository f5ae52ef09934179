//! `hopwatch baseline`: learned from recordings, compared, approved, guarded.

mod suggest;
mod traffic;

use std::path::{Path, PathBuf};

use assert_cmd::Command;
use hopwatch::baseline::BaselineDocument;

/// A folder with a baseline's path and a state directory in it.
struct Place {
    folder: tempfile::TempDir,
}

struct Ran {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

fn capture(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("captures").join(name).display().to_string()
}

impl Place {
    fn new() -> Self {
        Self { folder: tempfile::tempdir().expect("a folder") }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    fn baseline(&self) -> String {
        self.path("baseline.yaml").display().to_string()
    }

    fn text(&self) -> String {
        std::fs::read_to_string(self.baseline()).expect("a baseline")
    }

    /// `hopwatch baseline ARGS` on this baseline.
    fn run(&self, args: &[&str]) -> Ran {
        let state = self.path("state").display().to_string();
        let mut command = Command::new(env!("CARGO_BIN_EXE_hopwatch"));
        command.arg("baseline").args(args).args(["--state-dir", &state]).env("NO_COLOR", "1").env_remove("DOCKER_HOST");
        if !args.contains(&"--file") {
            command.args(["-b", &self.baseline()]);
        }
        let output = command.output().expect("run hopwatch");
        let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
        let ran = Ran { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) };
        assert!(!ran.stderr.contains("panicked"), "{args:?}: {}", ran.stderr);
        ran
    }

    fn done(&self, args: &[&str]) -> String {
        let ran = self.run(args);
        assert_eq!(ran.code, Some(0), "{args:?}: {}{}", ran.stdout, ran.stderr);
        ran.stdout
    }

    fn learned(name: &str) -> Self {
        let place = Self::new();
        place.done(&["learn", "--read", &capture(name)]);
        place
    }
}

/// The ids at the beginning of lines.
fn ids(text: &str) -> Vec<&str> {
    let words = text.lines().filter_map(|line| line.split_whitespace().next());
    words.filter(|word| word.len() == 9 && word.starts_with('q')).collect()
}

#[test]
fn what_was_learned_from_a_recording_differs_from_it_in_nothing_and_raises_nothing() {
    for name in ["replicas-alike", "proxy-kept", "egress-around-proxy", "socket-collector-allowed"] {
        let place = Place::learned(name);
        let waits = place.text().contains("quarantine:");
        let diff = place.run(&["diff", "--read", &capture(name)]);
        assert_eq!(
            diff.code,
            Some(i32::from(waits && diff.stdout.contains("the baseline has"))),
            "{name}: {}",
            diff.stdout
        );
        if !waits {
            assert!(place.done(&["shadow", "--read", &capture(name)]).starts_with("0 alerts"), "{name}");
        }
    }
}

#[test]
fn what_is_hostile_waits_in_quarantine_until_it_is_approved_and_then_nothing_differs() {
    let place = Place::learned("socket-mounted");
    let shown = place.done(&["show"]);
    assert!(shown.contains("mounts./host/run") && shown.contains("owns the host"), "{shown}");
    let all = ids(&shown);
    assert_eq!(all.len(), 2, "a socket and a tmpfs over the logs: {shown}");
    let shadow = place.done(&["shadow", "--read", &capture("socket-mounted")]);
    assert!(shadow.contains("sensitive-mount"), "{shadow}");
    let recorded = capture("socket-mounted");
    for id in all {
        place.done(&["approve", id, "--read", &recorded, "--why", "it collects logs", "--by", "kai"]);
    }
    let text = place.text();
    assert!(text.contains("serial: 3") && text.contains("by: kai") && text.contains("it collects logs"), "{text}");
    assert!(!text.contains("quarantine:"), "{text}");
    assert!(place.done(&["diff", "--read", &capture("socket-mounted")]).contains("nothing differs"));
    assert!(place.done(&["shadow", "--read", &capture("socket-mounted")]).starts_with("0 alerts"));
}

#[test]
fn a_difference_has_an_id_the_rule_that_reports_it_and_is_gone_after_its_approval() {
    let place = Place::learned("replicas-alike");
    let other = capture("replica-differs");
    let diff = place.run(&["diff", "--read", &other]);
    assert_eq!(diff.code, Some(1), "{}", diff.stderr);
    assert!(diff.stdout.contains("capabilities is") && diff.stdout.contains("capability-raised:"), "{}", diff.stdout);
    let all = ids(&diff.stdout);
    let several = place.run(&[&["approve", "--read", &other, "--why", "x"], &all[..]].concat());
    assert!(all.len() < 2 || several.stderr.contains("one field of one service"), "{}", several.stderr);
    for _ in 0..20 {
        let diff = place.run(&["diff", "--read", &other]);
        let Some(id) = ids(&diff.stdout).first().map(|id| (*id).to_owned()) else { break };
        place.done(&["approve", &id, "--read", &other, "--why", "a planned change"]);
    }
    assert!(place.done(&["diff", "--read", &other]).contains("nothing differs"));
    let json = place.done(&["diff", "--read", &other, "--json"]);
    assert!(json.contains("\"hopwatch.baseline-diff/1\""), "{json}");
    let unknown = place.run(&["approve", "q00000000", "--read", &other, "--why", "x"]);
    assert!(unknown.stderr.contains("no difference or quarantined value q00000000"), "{}", unknown.stderr);
}

#[test]
fn an_edit_is_not_in_force_before_it_is_approved_and_an_older_file_never() {
    let place = Place::learned("replicas-alike");
    let baseline = place.baseline();
    place.done(&["approve", "--file", &baseline, "--why", "first"]);
    let first = place.text();
    std::fs::write(&baseline, first.replace("json-file", "none")).expect("written");
    let diff = place.run(&["diff", "--read", &capture("replicas-alike")]);
    assert_eq!(diff.code, Some(0), "the approved one is in force: {}", diff.stdout);
    assert!(diff.stderr.contains("is not what was approved"), "{}", diff.stderr);
    let same_serial = place.run(&["approve", "--file", &baseline, "--why", "edited"]);
    assert!(same_serial.stderr.contains("write `serial: 2`"), "{}", same_serial.stderr);
    std::fs::write(&baseline, first.replace("json-file", "none").replace("serial: 1", "serial: 2")).expect("written");
    place.done(&["approve", "--file", &baseline, "--why", "edited"]);
    assert_eq!(place.run(&["diff", "--read", &capture("replicas-alike")]).code, Some(1), "the edit is in force");
    std::fs::write(&baseline, &first).expect("written");
    let back = place.run(&["approve", "--file", &baseline, "--why", "back"]);
    assert_eq!(back.code, Some(4));
    assert!(back.stderr.contains("roll-back"), "{}", back.stderr);
    let exported = place.done(&["export"]);
    assert!(exported.contains("serial: 2"), "what was approved is exported: {exported}");
}

#[test]
fn a_wrong_key_is_refused_with_the_nearest_right_one_and_a_newer_schema_by_its_name() {
    let place = Place::new();
    let show = |text: &str| {
        std::fs::write(place.baseline(), text).expect("written");
        place.run(&["show"]).stderr
    };
    let service = "schema: hopwatch.baseline/1\nserial: 1\nservices:\n  - match: {name: a, image: x}\n    expect:\n";
    let wrong = show(&format!("{service}      priviledged: no\n      logging.drivr: none\n"));
    assert!(wrong.contains("unknown key \"priviledged\"") && wrong.contains("did you mean \"privileged\"?"), "{wrong}");
    assert!(wrong.contains("did you mean \"logging.driver\"?"), "{wrong}");
    let newer = show("schema: hopwatch.baseline/2\nserial: 1\nnew_key: 7\n");
    assert!(newer.contains("hopwatch.baseline/2 was made by a newer hopwatch"), "{newer}");
    let form = show(&format!("{service}      privileged: {{onef: [no]}}\n"));
    assert!(form.contains("did you mean \"one_of\"?"), "{form}");
    let cut = show("schema: hopwatch.baseline/1\nserial: [\n");
    assert!(cut.contains("baseline.yaml:"), "{cut}");
    let missing = Place::new().run(&["show"]);
    assert!(missing.stderr.contains("cannot read the baseline"), "{}", missing.stderr);
}

#[test]
fn a_baseline_from_elsewhere_is_imported_and_its_hidden_values_are_only_known_to_be_set() {
    let here = Place::new();
    let elsewhere = Place::learned("replicas-alike");
    let other_key = elsewhere.text().replace("hk8f35b4d5", "hk00000000");
    assert_ne!(other_key, elsewhere.text(), "the recording has hashes");
    std::fs::write(elsewhere.baseline(), other_key).expect("written");
    let from = elsewhere.baseline();
    let imported = here.run(&["import", &from, "--why", "the same services run here"]);
    assert_eq!(imported.code, Some(0), "{}", imported.stderr);
    assert!(imported.stderr.contains("hashes were made with another key"), "{}", imported.stderr);
    assert!(here.done(&["diff", "--read", &capture("replicas-alike")]).contains("nothing differs"));
}

#[test]
fn a_signed_baseline_is_accepted_and_a_broken_or_missing_signature_is_not() {
    let place = Place::new();
    let signed = "schema: hopwatch.baseline/1\nserial: 7\nservices: []\n";
    std::fs::write(place.baseline(), signed).expect("written");
    let config = place.path("hopwatch.yaml");
    let key = "RWQf6LRCGA9i53mlYecO4IzT51TGPpvWucNSCh1CBM0QTaLn73Y7GFO3";
    std::fs::write(&config, format!("baseline_key: {key}\n")).expect("written");
    let config = config.display().to_string();
    let approve = |place: &Place| place.run(&["approve", "--file", &place.baseline(), "--why", "x", "-c", &config]);
    let none = approve(&place);
    assert!(none.stderr.contains("there is no signature") && none.stderr.contains("serial:7"), "{}", none.stderr);
    std::fs::write(format!("{}.minisig", place.baseline()), "untrusted comment: x\nRWQ\n").expect("written");
    let broken = approve(&place);
    assert!(broken.stderr.contains("no signature of minisign"), "{}", broken.stderr);
    // A right signature of other bytes (from minisign's own documentation).
    let other = "untrusted comment: signature from minisign secret key\n\
         RUQf6LRCGA9i559r3g7V1qNyJDApGip8MfqcadIgT9CuhV3EMhHoN1mGTkUidF/z7SrlQgXdy8ofjb7bNJJylDOocrCo8KLzZwo=\n\
         trusted comment: timestamp:1556193335\tfile:test\n\
         y/rUw2y8/hOUYjZU71eHp/Wo1KZ40fGy2VJEDl34XMJM+TX48Ss/17u3IvIfbVR1FkZZSNCisQbuQY+bHwhEBg==\n";
    std::fs::write(format!("{}.minisig", place.baseline()), other).expect("written");
    let foreign = approve(&place);
    assert!(foreign.stderr.contains("the signature does not fit"), "{}", foreign.stderr);
}

/// Of `tests/data/baseline`.
fn signed(name: &str) -> Vec<u8> {
    std::fs::read(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/baseline").join(name)).expect("a test's data")
}

#[test]
fn a_right_signature_is_accepted_and_one_of_another_file_serial_comment_or_kind_is_not() {
    let place = Place::new();
    let config = place.path("hopwatch.yaml");
    let key = String::from_utf8(signed("minisign.pub")).expect("text");
    std::fs::write(&config, format!("baseline_key: {}\n", key.lines().nth(1).expect("a key"))).expect("written");
    let (file, config) = (place.path("signed.yaml"), config.display().to_string());
    let approve = |text: &[u8], signature: &str| {
        std::fs::write(&file, text).expect("written");
        std::fs::write(place.path("signed.yaml.minisig"), signed(signature)).expect("written");
        place.run(&["approve", "--file", &file.display().to_string(), "--why", "x", "-c", &config])
    };
    let text = signed("signed.yaml");
    let accepted = approve(&text, "signed.yaml.minisig");
    assert_eq!(accepted.code, Some(0), "{}", accepted.stderr);
    let edited = String::from_utf8(text.clone()).expect("text").replace("json-file", "none");
    assert!(approve(edited.as_bytes(), "signed.yaml.minisig").stderr.contains("does not fit the file"));
    for (signature, why) in [
        ("other-serial.minisig", "does not name this file and serial number"),
        ("other-file.minisig", "does not name this file and serial number"),
        ("comment-edited.minisig", "does not fit the file"),
        ("legacy.minisig", "does not fit the file"),
    ] {
        let refused = approve(&text, signature);
        assert!(refused.code == Some(4) && refused.stderr.contains(why), "{signature}: {}", refused.stderr);
    }
}

#[test]
fn a_learned_file_is_read_back_as_it_was_learned() {
    let place = Place::learned("egress-around-proxy");
    let text = place.text();
    let document: BaselineDocument = hopwatch::config::read_document("baseline.yaml", &text).expect("read");
    let baseline = document.checked().expect("a baseline");
    let again = hopwatch::config::print_document(&BaselineDocument::from(&baseline)).expect("printed");
    assert!(text.ends_with(&again), "{text}\n----\n{again}");
}

#[test]
fn the_published_schema_is_current_and_fits_what_is_learned() {
    let schema = schemars::schema_for!(BaselineDocument).to_value();
    let text = serde_json::to_string_pretty(&schema).expect("JSON") + "\n";
    crate::support::assert_current("docs/baseline.schema.json", &text);
    let validator = jsonschema::validator_for(&schema).expect("a valid JSON Schema");
    for name in ["socket-mounted", "replicas-alike"] {
        let place = Place::learned(name);
        let document: BaselineDocument = hopwatch::config::read_document("b", &place.text()).expect("read");
        let json = serde_json::to_value(&document).expect("JSON");
        let errors: Vec<_> = validator.iter_errors(&json).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{name}: {errors:?}");
    }
}
