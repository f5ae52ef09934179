//! `hopwatch baseline suggest`: contracts that a recording kept, tried on others.

use assert_cmd::Command;
use serde_json::Value;

use super::{Place, capture};

/// The rules of what a recording raises under a configuration.
fn raised(recording: &str, config: &str) -> Vec<String> {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hopwatch"));
    let output = command.args(["replay", &capture(recording), "-c", config, "--format", "json"]).output().expect("run");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let lines = String::from_utf8(output.stdout).expect("UTF-8");
    let alerts = lines.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON"));
    let alerts = alerts.filter(|line| line["schema"] == "hopwatch.alert/1" && line["update"] == 0);
    alerts.map(|alert| alert["rule"].as_str().unwrap_or_default().to_owned()).collect()
}

#[test]
fn what_one_recording_kept_finds_who_goes_around_it_in_another() {
    let place = Place::new();
    for (kept, broken, contract, rule) in [
        ("egress-through-proxy", "egress-around-proxy", "egress-through-squid", "egress-skips-proxy"),
        ("dns-through-resolver", "dns-foreign-resolver", "dns-through-resolver", "dns-skips-resolver"),
    ] {
        let text = place.done(&["suggest", "--read", &capture(kept)]);
        assert!(text.contains(&format!("- name: {contract}\n")) && text.contains("(100 %), 0 bypassed"), "{text}");
        let config = place.path("suggested.yaml").display().to_string();
        std::fs::write(&config, &text).expect("written");
        assert_eq!(raised(kept, &config), Vec::<String>::new());
        assert!(raised(broken, &config).contains(&rule.to_owned()), "{text}");
    }
}

#[test]
fn where_nothing_was_kept_nothing_is_suggested_and_it_says_so() {
    let place = Place::new();
    let ran = place.run(&["suggest", "--read", &capture("egress-around-proxy")]);
    assert_eq!((ran.code, ran.stdout.as_str()), (Some(0), ""));
    assert!(ran.stderr.contains("nothing is suggested"), "{}", ran.stderr);
    let ran = place.run(&["suggest"]);
    assert!(
        ran.code != Some(0) && ran.stderr.contains("--for TIME") && ran.stderr.contains("--read RECORDING"),
        "{}",
        ran.stderr
    );
}
