//! The configuration: shipped files are right, mistakes are told at their place, nothing makes it panic.

mod paths;

use std::path::{Path, PathBuf};

use hopwatch::config;
use proptest::prelude::*;

fn folder(relative: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(relative)
}

fn files(relative: &str) -> Vec<PathBuf> {
    let entries = folder(relative).read_dir().expect("a folder").map(|entry| entry.expect("entry").path());
    let mut files: Vec<_> = entries.filter(|path| path.extension().is_some_and(|e| e == "yaml")).collect();
    files.sort();
    files
}

fn text(path: &Path) -> String {
    std::fs::read_to_string(path).expect("readable")
}

#[test]
fn the_shipped_file_equals_the_built_in_defaults() {
    let shipped = config::from_str("hopwatch.yaml", &text(&folder("config/hopwatch.yaml"))).expect("right");
    assert_eq!(shipped.printed, config::defaults_text());
}

#[test]
fn every_example_is_right_and_requires_something() {
    let examples = files("config/examples");
    assert!(examples.len() >= 4);
    for path in examples {
        let loaded = config::load(Some(&path)).unwrap_or_else(|error| panic!("{}", error.report(false)));
        let engine = &loaded.config.engine;
        let says_something = !engine.contracts.is_empty() || !engine.rules.unexpected_host_network.allowed.is_empty();
        assert!(says_something, "{}", path.display());
    }
}

/// Beside each `NAME.yaml` stands `NAME.txt`: what a person sees. `HOPWATCH_UPDATE=1` writes it.
#[test]
fn every_mistake_is_told_with_line_column_word_and_nearest_right_one() {
    let bad = files("tests/config");
    assert!(bad.len() >= 8);
    for path in bad {
        let name = path.file_name().expect("a name").to_string_lossy().into_owned();
        let error = config::from_str(&name, &text(&path)).err().unwrap_or_else(|| panic!("{name} was accepted"));
        let expected = format!("tests/config/{}", name.replace(".yaml", ".txt"));
        crate::support::assert_current(&expected, &error.report(false));
        for problem in error.problems() {
            assert!(problem.position().is_some(), "{name}: {problem} has no place");
        }
    }
}

#[test]
fn what_is_printed_can_be_read_again() {
    for path in files("config/examples") {
        let loaded = config::load(Some(&path)).expect("right");
        let again =
            config::from_str("printed.yaml", &loaded.printed).unwrap_or_else(|error| panic!("{}", error.report(false)));
        assert_eq!(loaded.printed, again.printed);
    }
}

#[test]
fn a_contract_about_dns_covers_the_ports_of_dns() {
    let loaded = config::load(Some(&folder("config/examples/dns-resolver.yaml"))).expect("right");
    let [contract] = &loaded.config.engine.contracts[..] else { panic!("one contract") };
    let ports: Vec<_> = contract.ports.iter().map(|spec| (spec.port, spec.protocol.map(|p| p.0))).collect();
    assert_eq!(ports, [(53, Some(17)), (53, Some(6)), (853, Some(17)), (853, Some(6))]);
}

#[test]
fn what_is_hardly_meant_is_told_but_not_refused() {
    let text = "hops: {proxy: {workloads: [{name: \"squid*\"}]}, old: {addresses: [10.0.0.2]}}\n\
        contracts: [{name: egress, from: [{name: \"*\"}], via: [proxy]}]\n\
        exceptions: [{name: x, rule: unknown-source, owner: me, reason: because, expires: 2027-01-31}]\n\
        rules: {egress-skips-proxy: {enabled: false}, unknown-source: {enabled: false}}\n";
    let loaded = config::from_str("hopwatch.yaml", text).expect("right");
    let advice: Vec<_> = loaded.lints.iter().map(ToString::to_string).collect();
    assert_eq!(
        advice,
        [
            "hopwatch.yaml:1:28: any container whose name matches \"squid*\" is the hop \"proxy\"; select it by digest, or by a label \
             that the runtime sets, such as com.docker.compose.service",
            "hopwatch.yaml:1:48: no contract goes via the hop \"old\"",
            "hopwatch.yaml:2:20: the contract \"egress\" is judged, but the rule egress-skips-proxy is off",
            "hopwatch.yaml:3:30: the rule unknown-source is off, so nothing needs this exception",
        ]
    );
    for path in files("config/examples") {
        let loaded = config::load(Some(&path)).expect("right");
        assert!(loaded.lints.is_empty(), "{}: {:?}", path.display(), loaded.lints);
    }
}

#[test]
fn the_published_schema_is_current() {
    let schema = serde_json::to_string_pretty(&config::schema()).expect("JSON") + "\n";
    crate::support::assert_current("config/hopwatch.schema.json", &schema);
}

#[test]
fn the_reference_is_current() {
    crate::support::assert_current("docs/configuration.md", &config::reference());
}

#[test]
fn the_manual_page_has_every_section_and_key_of_the_reference() {
    let (page, reference) = (config::manual_page(), config::reference());
    let roff = |text: &str| text.replace('-', "\\-");
    let name = |line: &str| line.split('`').nth(1).map(str::to_owned);
    let keys: Vec<_> = reference.lines().filter(|line| line.starts_with("| `")).filter_map(name).collect();
    let sections: Vec<_> = reference.lines().filter(|line| line.starts_with("## `")).filter_map(name).collect();
    assert!(keys.len() > 300 && sections.len() > 50, "{} keys, {} sections", keys.len(), sections.len());
    for key in keys {
        assert!(page.contains(&format!(".TP\n\\fB{}\\fR", roff(&key))), "{key}");
    }
    for section in sections {
        assert!(page.contains(&format!("\n.SH {}\n", section.to_uppercase())), "{section}");
    }
    assert!(
        page.lines().all(|line| !line.starts_with('\'') && !line.contains('`')),
        "no request and no Markdown is left"
    );
}

#[test]
fn the_published_schema_accepts_the_shipped_files() {
    let validator = jsonschema::validator_for(&config::schema()).expect("a valid JSON Schema");
    for path in files("config/examples").into_iter().chain([folder("config/hopwatch.yaml")]) {
        let value: serde_json::Value = serde_saphyr::from_str(&text(&path)).expect("YAML");
        let errors: Vec<_> = validator.iter_errors(&value).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{}: {errors:?}", path.display());
    }
}

/// Every mistake stands at a place that exists.
fn told_within(text: &str) -> Result<(), TestCaseError> {
    let Err(error) = config::from_str("mutated.yaml", text) else { return Ok(()) };
    prop_assert!(!error.report(false).is_empty() && !error.report(true).is_empty());
    prop_assert!(!error.problems().is_empty());
    let lines = text.split('\n').count();
    for problem in error.problems() {
        let (_, line, column) = problem.position().expect("a place");
        prop_assert!((1..=lines).contains(&line) && column >= 1, "{problem} in {text:?}");
        prop_assert!(!problem.to_string().contains(char::is_control), "{problem:?}");
    }
    Ok(())
}

/// Pieces of configurations, in no order that makes sense.
fn word() -> impl Strategy<Value = String> {
    let words = [
        "contracts:\n",
        "hops:\n",
        "  proxy: ",
        "exceptions: ",
        "rules: ",
        "capture: ",
        "flows: ",
        "{",
        "}",
        "[",
        "]",
        "- ",
        "\n",
        "  ",
        "name: ",
        "from: ",
        "to: ",
        "via: ",
        "deny: ",
        "kind: ",
        "evidence: ",
        "service: ingress\n",
        "into: ",
        "family: ",
        "networks: ",
        "ports: ",
        "labels: ",
        "addresses: ",
        "expires: ",
        "enabled: ",
        ", ",
        "&a ",
        "*a",
        "<<: ",
        "\"*\"",
        "proxy",
        "internet",
        "10.0.0.0/8",
        "53/udp",
        "600ms",
        "2027-01-31",
        "true",
        "~",
        "-1",
        "1e999",
        "!!binary ",
        "| \n",
        "é",
        "#",
        "---\n",
        "\r\n",
        "\t",
        "'",
        "? ",
        ": ",
        "\u{feff}",
        "\u{1b}[31m",
    ];
    prop::sample::select(words.map(str::to_owned).to_vec())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn no_text_makes_it_panic(at in 0.0..1.0_f64, cut in 0..40_usize, inserted in "[\\PC\\n\\t:{}\\[\\]&*!|>'\"-]{0,12}") {
        let whole = text(&folder("config/examples/complete.yaml"));
        let clamp = |index: usize| whole.floor_char_boundary(index.min(whole.len()));
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
        let start = clamp((at * whole.len() as f64) as usize);
        let end = clamp(start + cut);
        let mutated = format!("{}{inserted}{}", &whole[..start], &whole[end..]);
        told_within(&mutated)?;
    }

    #[test]
    fn two_mutations_and_any_text_at_all_do_not_either(words in prop::collection::vec(word(), 0..60), whole in ".{0,200}") {
        told_within(&words.concat())?;
        told_within(&whole)?;
    }
}

#[test]
fn a_contract_that_an_earlier_one_shadows_wholly_is_named() {
    let head =
        "hops: {proxy: {workloads: [{name: squid}]}, vpn: {workloads: [{name: vpn}], kind: gateway}}\ncontracts:\n";
    let later = |first: &str, second: &str| {
        let text = format!("{head}- {{name: first, {first}}}\n- {{name: second, {second}}}\n");
        let loaded = config::from_str("hopwatch.yaml", &text).unwrap_or_else(|error| panic!("{}", error.report(false)));
        let lints: Vec<_> = loaded.lints.iter().map(ToString::to_string).collect();
        lints.iter().any(|lint| lint.contains("the contract \"second\" never judges: \"first\" comes first"))
    };
    let to_proxy = "from: [{name: \"app*\"}], via: [proxy]";
    for (second, shadowed) in [
        ("from: [{name: app}], via: [vpn]", true),
        ("from: [{name: \"app*\", image: \"x*\"}], ports: [443], via: [vpn]", true),
        ("from: [{name: app}, {name: web}], via: [vpn]", false),
        ("from: [{name: \"*\"}], via: [vpn]", false),
        ("from: [{name: app}], to: [any], via: [vpn]", false),
        ("from: [{name: app}], to: [10.0.0.0/8], via: [vpn]", false),
        ("service: dns, from: [{name: app}], via: [vpn]", false),
    ] {
        assert_eq!(later(to_proxy, second), shadowed, "{second}");
    }
    for (first, second, shadowed) in [
        (
            "from: [{name: app}], to: [10.0.0.0/8], via: [proxy]",
            "from: [{name: app}], to: [10.1.0.0/16], via: [vpn]",
            true,
        ),
        (
            "from: [{name: app}], to: [10.1.0.0/16], via: [proxy]",
            "from: [{name: app}], to: [10.0.0.0/8], via: [vpn]",
            false,
        ),
        ("from: [{name: app}], ports: [443], via: [proxy]", "from: [{name: app}], via: [vpn]", false),
        ("from: [{name: \"*\"}], to: [any], via: [proxy]", "from: [{name: squid}], deny: true", false),
        ("from: [{name: \"*\"}], to: [any], via: [proxy]", "from: [{name: app}], deny: true", true),
        ("from: [{name: app}], via: [vpn]", "service: dns, from: [{name: app}], via: [proxy]", false),
    ] {
        assert_eq!(later(first, second), shadowed, "{first} / {second}");
    }
}
