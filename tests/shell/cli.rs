//! The command line with good and bad input: a clear message, the right exit code, never a panic.

use std::path::{Path, PathBuf};

use assert_cmd::Command;

/// What a run printed and how it ended.
struct Run {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

fn hopwatch(args: &[&str]) -> Run {
    hopwatch_with(args, |_| {})
}

fn hopwatch_with(args: &[&str], change: impl FnOnce(&mut Command)) -> Run {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hopwatch"));
    command.args(args).env("NO_COLOR", "1").env_remove("DOCKER_HOST");
    change(&mut command);
    let output = command.output().expect("run hopwatch");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    let run = Run { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) };
    assert!(!run.stderr.contains("panicked"), "{args:?}: {}", run.stderr);
    run
}

fn path(relative: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(relative).display().to_string()
}

fn temporary(name: &str, content: &[u8]) -> (tempfile::TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join(name);
    std::fs::write(&file, content).expect("write");
    (folder, file)
}

fn shipped_capture() -> Vec<u8> {
    std::fs::read(path("captures/egress-around-proxy/traffic.pcapng")).expect("the shipped capture")
}

#[test]
fn the_demo_names_who_where_and_what_was_skipped() {
    let run = hopwatch(&["replay", &path("captures/egress-around-proxy"), "--format", "text"]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    for word in [
        "egress-skips-proxy",
        "who",
        "to where",
        "skipped",
        "evidence",
        "do next",
        "packets",
        "flows",
        "bypassed",
        "alert",
    ] {
        assert!(run.stdout.contains(word), "{word} is missing:\n{}", run.stdout);
    }
}

#[test]
fn fail_on_ends_with_1_only_at_or_above() {
    let folder = path("captures/egress-around-proxy");
    assert_eq!(hopwatch(&["replay", &folder, "--fail-on", "high"]).code, Some(1));
    assert_eq!(hopwatch(&["replay", &folder, "--fail-on", "critical"]).code, Some(0));
    assert_eq!(hopwatch(&["replay", &path("captures/egress-through-proxy"), "--fail-on", "low"]).code, Some(0));
}

#[test]
fn a_missing_file_is_named() {
    let run = hopwatch(&["replay", "/nowhere/traffic.pcap"]);
    assert_eq!(run.code, Some(4));
    assert!(run.stderr.contains("/nowhere/traffic.pcap does not exist"), "{}", run.stderr);
}

#[test]
fn a_file_that_is_no_capture_says_what_it_looks_like() {
    let (_folder, file) = temporary("notes.pcap", b"these are only notes, not packets at all\n");
    let run = hopwatch(&["replay", &file.display().to_string()]);
    assert_eq!(run.code, Some(4));
    assert!(run.stderr.contains("is not a capture"), "{}", run.stderr);
}

#[test]
fn a_truncated_capture_counts_what_was_read_and_warns_with_the_offset() {
    let whole = shipped_capture();
    let (_folder, file) = temporary("cut.pcapng", &whole[..whole.len() - 10]);
    let run = hopwatch(&["replay", &file.display().to_string(), "--format", "json"]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    assert!(run.stderr.contains("is truncated") && run.stderr.contains("byte"), "{}", run.stderr);
    let summary: serde_json::Value = serde_json::from_str(run.stdout.lines().last().expect("a line")).expect("JSON");
    assert!(summary["packets"].as_u64().expect("a number") > 0);
    assert_eq!(summary["warnings"].as_array().map(Vec::len), Some(1));
}

#[test]
fn an_unknown_link_type_is_counted_and_said() {
    let mut header = Vec::new();
    for word in [0xa1b2_c3d4_u32, 0x0004_0002, 0, 0, 65_535, 147] {
        header.extend_from_slice(&word.to_le_bytes());
    }
    header.extend_from_slice(&[1, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 4, 0, 0, 0, 9, 9, 9, 9]);
    let (_folder, file) = temporary("odd.pcap", &header);
    let run = hopwatch(&["replay", &file.display().to_string(), "--format", "json"]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    assert!(run.stderr.contains("link type 147"), "{}", run.stderr);
    assert!(run.stdout.contains("\"packets\":1"), "{}", run.stdout);
}

/// A run that logs one warning, with colours allowed.
fn with_a_warning(arguments: &[&str]) -> Run {
    let whole = shipped_capture();
    let (_folder, file) = temporary("cut.pcapng", &whole[..whole.len() - 10]);
    let file = file.display().to_string();
    hopwatch_with(&[&["replay", &file, "--format", "text"], arguments].concat(), |command| {
        command.env_remove("NO_COLOR").env("TERM", "xterm-256color");
    })
}

#[test]
fn nothing_that_is_no_terminal_gets_colours() {
    let run = with_a_warning(&[]);
    assert!(run.stderr.contains("WARN") && run.stderr.contains("is truncated"), "{}", run.stderr);
    assert!(!run.stderr.contains('\u{1b}') && !run.stdout.contains('\u{1b}'), "{}", run.stderr);
}

#[test]
fn the_log_can_be_json() {
    let run = with_a_warning(&["--log-format", "json"]);
    let line: serde_json::Value = serde_json::from_str(run.stderr.lines().next().expect("a line")).expect("JSON");
    assert_eq!(line["level"], "WARN");
    assert!(line["message"].as_str().is_some_and(|text| text.contains("is truncated")), "{line}");
}

#[test]
fn a_recording_whose_facts_are_cut_replays_with_a_warning() {
    let parent = tempfile::tempdir().expect("a folder");
    let shipped = PathBuf::from(path("captures/egress-around-proxy"));
    for name in ["traffic.pcapng", "hopwatch.yaml"] {
        std::fs::copy(shipped.join(name), parent.path().join(name)).expect("copy");
    }
    let facts = std::fs::read(shipped.join("facts.jsonl")).expect("facts");
    std::fs::write(parent.path().join("facts.jsonl"), &facts[..facts.len() - 5]).expect("write");
    let run = hopwatch(&["replay", &parent.path().display().to_string(), "--format", "json"]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    assert!(run.stderr.contains("the last line is cut off and left out"), "{}", run.stderr);
    assert!(run.stdout.contains("egress-skips-proxy"), "{}", run.stdout);
}

#[test]
fn a_replay_onto_a_full_disk_ends_with_4_and_onto_a_closed_pipe_with_0() {
    let folder = path("captures/egress-around-proxy");
    let end = |stdout: std::process::Stdio| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_hopwatch"));
        let output =
            command.args(["replay", &folder, "--format", "json"]).stdout(stdout).output().expect("run hopwatch");
        (output.status.code(), String::from_utf8(output.stderr).expect("UTF-8"))
    };
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").expect("/dev/full");
    let (code, log) = end(full.into());
    assert_eq!((code, log.matches("No space left on device").count()), (Some(4), 1), "{log}");
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    assert_eq!(end(writer.into()), (Some(0), String::new()));
}

#[test]
fn a_wrong_line_in_a_facts_file_is_named() {
    let (_folder, file) =
        temporary("facts.jsonl", b"{\"schema\":\"hopwatch.fact/1\",\"at\":\"yesterday\",\"fact\":{}}\n");
    let capture = path("captures/egress-around-proxy/traffic.pcapng");
    let run = hopwatch(&["replay", &capture, "--facts", &file.display().to_string()]);
    assert_eq!(run.code, Some(4));
    assert!(run.stderr.contains("facts.jsonl:1:44") && run.stderr.contains("write it like"), "{}", run.stderr);
}

#[test]
fn a_capture_from_a_pipe_gives_the_same_as_the_file() {
    let folder = path("captures/egress-around-proxy");
    let facts = format!("{folder}/facts.jsonl");
    let config = format!("{folder}/hopwatch.yaml");
    let from_file = hopwatch(&["replay", &folder, "--format", "json"]);
    let from_pipe = hopwatch_with(&["replay", "-", "--facts", &facts, "-c", &config, "--format", "json"], |command| {
        command.write_stdin(shipped_capture());
    });
    assert_eq!(from_file.stdout, from_pipe.stdout);
}

#[test]
fn a_wrong_configuration_ends_with_3_and_names_the_nearest_word() {
    let (_folder, file) = temporary("hopwatch.yaml", b"contrats: []\n");
    let run = hopwatch(&["replay", &path("captures/egress-around-proxy"), "-c", &file.display().to_string()]);
    assert_eq!(run.code, Some(3));
    assert!(run.stderr.contains("contrats") && run.stderr.contains("contracts"), "{}", run.stderr);
}

#[test]
fn config_check_says_what_it_understood_and_which_exceptions_are_over() {
    let text = "hops: {proxy: {addresses: [10.0.0.1]}}\n\
        contracts: [{name: egress, from: [{name: \"*\"}], via: [proxy]}]\n\
        exceptions: [{name: old, rule: unknown-source, owner: net team, reason: because, expires: 2020-01-31}]\n";
    let (_folder, file) = temporary("hopwatch.yaml", text.as_bytes());
    let run = hopwatch(&["config", "check", &file.display().to_string()]);
    assert_eq!(run.code, Some(0));
    for part in ["1 contract, 1 exception, ", "contract egress: via proxy", "exception old expired", "owner: net team"]
    {
        assert!(run.stdout.contains(part), "{part} is not in {}", run.stdout);
    }
}

#[test]
fn config_check_shows_the_way_of_each_contract() {
    let text = "hops: {vpn: {kind: gateway, addresses: [10.0.0.1]}, a: {addresses: [10.0.0.2]}, b: {addresses: [10.0.0.3]}}\n\
        contracts: [{name: x, from: [{name: \"*\"}], via: [vpn, [a, b]]}, {name: y, from: [{name: \"*\"}], deny: true}]\n";
    let (_folder, file) = temporary("hopwatch.yaml", text.as_bytes());
    let run = hopwatch(&["config", "check", &file.display().to_string()]);
    assert!(run.stdout.contains("\n  contract x: via vpn, then a or b\n  contract y: denied\n"), "{}", run.stdout);
}

#[test]
fn config_print_says_where_each_value_was_set() {
    let (_folder, file) = temporary("hopwatch.yaml", b"capture: {snap_length: 100}\n");
    let file = file.display().to_string();
    let run = hopwatch_with(&["config", "print", "--origin", &file], |command| {
        command.env("HOPWATCH__CAPTURE__RING_MIB", "3");
    });
    assert!(run.stdout.contains(&format!("capture.snap_length  {file}:1\n")), "{}", run.stdout);
    assert!(run.stdout.contains("capture.ring_mib  HOPWATCH__CAPTURE__RING_MIB\n"), "{}", run.stdout);
    let wrong = hopwatch_with(&["config", "check", &file], |command| {
        command.env("HOPWATCH__CAPTURE__RINGMIB", "3");
    });
    assert_eq!(wrong.code, Some(3));
    assert!(wrong.stderr.contains("HOPWATCH__CAPTURE__RING_MIB"), "{}", wrong.stderr);
}

#[test]
fn a_list_of_numbers_in_a_variable_is_as_in_a_file() {
    let (_folder, file) = temporary("hopwatch.yaml", b"capture: {snap_length: 100}\n");
    let file = file.display().to_string();
    let with = |list: &str| {
        hopwatch_with(&["config", "print", &file], |command| {
            command.env("HOPWATCH__RULES__PACKET_SOCKET__RAW_PROTOCOLS_ALLOWED", list);
        })
    };
    let (numbers, text) = (with("1,58,89"), with("1,many"));
    assert_eq!(numbers.code, Some(0), "{}", numbers.stderr);
    let packed: String = numbers.stdout.split_whitespace().collect();
    assert!(
        packed.contains("raw_protocols_allowed:-1-58-89") || packed.contains("raw_protocols_allowed:[1,58,89]"),
        "{}",
        numbers.stdout
    );
    assert_eq!(text.code, Some(3));
    assert!(text.stderr.contains("HOPWATCH__RULES__PACKET_SOCKET__RAW_PROTOCOLS_ALLOWED"), "{}", text.stderr);
}

#[test]
fn without_a_docker_socket_inventory_says_what_to_do() {
    let run = hopwatch_with(&["inventory"], |command| {
        command.env("DOCKER_HOST", "unix:///nowhere/docker.sock");
    });
    assert_eq!(run.code, Some(4));
    assert!(run.stderr.contains("/nowhere/docker.sock"), "{}", run.stderr);
}

#[test]
fn top_needs_a_terminal_or_once() {
    let run = hopwatch(&["top"]);
    assert_eq!(run.code, Some(2));
    assert!(run.stderr.contains("draws on a terminal") && run.stderr.contains("--once"), "{}", run.stderr);
    assert_eq!(run.stdout, "");
}

#[test]
fn top_once_without_rights_or_runtimes_says_why_nothing_is_seen() {
    let run = hopwatch_with(&["top", "--once", "--duration", "1s", "-i", "nosuch-*"], |command| {
        command.env("DOCKER_HOST", "unix:///nowhere/docker.sock");
    });
    let told = format!("{}{}", run.stdout, run.stderr);
    assert!(told.contains("no interface matches the configured names"), "{told}");
    assert!(told.contains("/nowhere/docker.sock"), "{told}");
    // Where some other runtime of this machine answers there is a frame, and it says what is not seen.
    assert_eq!(run.code, Some(if run.stdout.is_empty() { 4 } else { 0 }), "{told}");
}

#[test]
fn usage_errors_end_with_2() {
    assert_eq!(hopwatch(&["replay"]).code, Some(2));
    assert_eq!(hopwatch(&["sniff", "--duration", "soon"]).code, Some(2));
    assert_eq!(hopwatch(&["inventory", "--tree", "--format", "json"]).code, Some(2));
}

#[test]
fn rules_are_listed_and_explained() {
    let list = hopwatch(&["rules", "list"]);
    for rule in hopwatch::detect::rules::ALL {
        assert!(list.stdout.contains(rule.name), "{}", list.stdout);
        assert!(hopwatch(&["rules", "explain", rule.name]).stdout.contains("## Blind spots"));
    }
    let wrong = hopwatch(&["rules", "explain", "egress-skip-proxy"]);
    assert_eq!(wrong.code, Some(4));
    assert!(wrong.stderr.contains("did you mean egress-skips-proxy"), "{}", wrong.stderr);
}

#[test]
fn completions_and_man_pages_are_made() {
    assert!(hopwatch(&["completions", "bash"]).stdout.contains("_hopwatch"));
    assert!(hopwatch(&["man"]).stdout.contains(".TH hopwatch"));
    let folder = tempfile::tempdir().expect("a folder");
    assert_eq!(hopwatch(&["man", "-o", &folder.path().display().to_string()]).code, Some(0));
    assert!(folder.path().join("hopwatch-replay.1").is_file());
}

/// A capture of a user-defined network with nothing but what `docker inspect` printed for its containers.
#[test]
fn docker_inspect_output_is_enough_to_name_the_container() {
    let container = |id: &str, name: &str, ip: &str, mac: &str| {
        serde_json::json!({
            "Id": id.repeat(64), "Name": format!("/{name}"), "Image": "sha256:1", "Created": "2026-11-24T10:00:00Z",
            "State": {"Status": "running", "Running": true, "Paused": false, "Pid": 42, "StartedAt": "2026-11-24T10:00:01Z",
                      "FinishedAt": "0001-01-01T00:00:00Z"},
            "Config": {"Image": "curl:lab", "Labels": {}}, "HostConfig": {"NetworkMode": "apps"},
            "NetworkSettings": {"Networks": {"apps": {"NetworkID": "f".repeat(64), "Gateway": "10.77.1.1", "IPAddress": ip,
                                                        "IPPrefixLen": 24, "MacAddress": mac}}}
        })
    };
    let inspected = serde_json::json!([
        container("a", "app", "10.77.1.10", "02:42:0a:4d:01:0a"),
        container("b", "squid", "10.77.1.3", "02:42:0a:4d:01:03"),
    ]);
    let (_folder, file) = temporary("inspect.json", inspected.to_string().as_bytes());
    let folder = path("captures/egress-around-proxy");
    let (capture, config) = (format!("{folder}/traffic.pcapng"), format!("{folder}/hopwatch.yaml"));
    let run =
        hopwatch(&["replay", &capture, "--facts", &file.display().to_string(), "-c", &config, "--format", "json"]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    let alert: serde_json::Value = serde_json::from_str(run.stdout.lines().next().expect("a line")).expect("JSON");
    assert_eq!(
        (&alert["rule"], &alert["workload"]["name"]),
        (&"egress-skips-proxy".into(), &"app".into()),
        "{}",
        run.stdout
    );
    assert_eq!(alert["attribution"]["how"], "snapshot");
    assert_eq!(alert["missing_hop"]["expected"][0], "10.77.1.3:3128 (squid)");
}

/// What `hopwatch top` writes to a terminal, until its time is over or the shell ends it; the shell finds it in `$SEEN`, too. `script`
/// (util-linux) makes the terminal.
fn on_a_terminal(shell: &str) -> Option<String> {
    let folder = tempfile::tempdir().expect("a folder");
    let seen = folder.path().join("seen").display().to_string();
    let line = format!("HOPWATCH={} SEEN={seen} sh -c '{shell}'", env!("CARGO_BIN_EXE_hopwatch"));
    let mut command = std::process::Command::new("script");
    command.args(["-qfec", &line, &seen]).env("TERM", "xterm").env("DOCKER_HOST", "unix:///nowhere/docker.sock");
    match command.stdin(std::process::Stdio::null()).output() {
        Ok(output) => Some(String::from_utf8_lossy(&output.stdout).into_owned()),
        Err(error) => {
            println!("skipped: script(1) is not here: {error}");
            None
        }
    }
}

#[test]
fn top_gives_the_terminal_back_when_its_time_is_over_and_at_a_signal() {
    const TAKEN: &str = "\u{1b}[?1049h";
    const GIVEN_BACK: &str = "\u{1b}[?1049l";
    let over = "stty rows 24 cols 100; $HOPWATCH top -i nosuch-* --duration 1s; echo code $?";
    // As soon as the terminal is taken; the pattern does not match itself, which stands in the head of $SEEN.
    let taken = "for n in $(seq 6000); do grep -aq \"[?]1049h\" $SEEN && break; sleep 0.01; done";
    let ended = format!(
        "stty rows 24 cols 100; exec 3<&0; $HOPWATCH top -i nosuch-* <&3 & {taken}; kill -TERM $!; wait $!; echo code $?"
    );
    for shell in [over, &ended] {
        let Some(text) = on_a_terminal(shell) else { return };
        let taken = text.find(TAKEN).unwrap_or_else(|| panic!("it was never drawn: {text:?}"));
        let back = text.rfind(GIVEN_BACK).unwrap_or_else(|| panic!("the terminal is lost: {text:?}"));
        assert!(taken < back && text[taken..back].contains("hopwatch top"), "{text:?}");
        assert!(text[back..].contains("code 0"), "{text:?}");
        assert!(!text.contains("WARN"), "the log must not spoil the picture: {text:?}");
    }
}

#[test]
fn a_glob_that_is_too_deep_is_refused_at_its_place() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("nested\u{1b}[2J\u{200b}.yaml");
    let nested = format!("{}{}", "{a,".repeat(200), "}".repeat(200));
    for text in [
        format!("hops:\n  p: {{workloads: [{{name: \"{nested}\"}}]}}\n"),
        format!("capture: {{interfaces: [\"{nested}\"]}}\n"),
        format!("contracts: [{{name: x, from: [{{name: \"{}\"}}], deny: true}}]\n", "a".repeat(5000)),
    ] {
        std::fs::write(&path, text).expect("a file");
        let run = hopwatch(&["config", "check", &path.display().to_string()]);
        assert_eq!(run.code, Some(3), "{}", run.stderr);
        assert!(
            run.stderr.replace("\n  │ ", " ").contains("is not a glob") && run.stderr.contains(".yaml:"),
            "{}",
            run.stderr
        );
        assert!(!run.stderr.contains(['\u{1b}', '\u{200b}']), "the file's name is shown, not obeyed: {:?}", run.stderr);
    }
}

/// C1 controls, overrides, what cannot be seen: in the name of a capture, in facts, in summaries.
#[test]
fn what_a_hostile_file_says_is_never_obeyed() {
    let folder = tempfile::tempdir().expect("a folder");
    let hostile = "x\u{9b}2J\u{202e}\u{200b}\u{e0041}";
    let capture = folder.path().join(format!("{hostile}.pcapng"));
    std::fs::write(&capture, shipped_capture()).expect("a copy");
    let facts = folder.path().join("facts.jsonl");
    std::fs::write(&facts, format!("{{\"at\":\"2026-11-24T13:17:43Z\",\"kind\":\"{hostile}\"}}\n")).expect("a file");
    let (capture, facts) = (capture.display().to_string(), facts.display().to_string());
    let runs = [
        hopwatch(&["flows", "--summary", &capture]),
        hopwatch(&["flows", "--format", "text", &capture]),
        hopwatch(&["replay", "--format", "json", &capture]),
        hopwatch(&["replay", "--format", "text", &capture]),
        hopwatch(&["replay", &capture, "--facts", &facts]),
    ];
    assert_eq!(runs[4].code, Some(4), "{}", runs[4].stderr);
    for run in runs {
        let all = format!("{}{}", run.stdout, run.stderr);
        assert!(!all.contains(['\u{9b}', '\u{202e}', '\u{200b}', '\u{e0041}']), "{all:?}");
    }
}

#[test]
fn doctor_says_what_to_do_about_everything_that_is_not_well() {
    let folder = tempfile::tempdir().expect("a folder");
    let config = folder.path().join("hopwatch.yaml");
    let text = "state: {dir: STATE}\nruntime: {discover: false, docker: {socket: unix:///nowhere/docker.sock}}\n\
                sinks: {archive: {file: {path: /nowhere/alerts.jsonl}}}\n";
    std::fs::write(&config, text.replace("STATE", &folder.path().join("state").display().to_string()))
        .expect("written");
    let output = Command::new(env!("CARGO_BIN_EXE_hopwatch")).args(["doctor", "--json", "-c"]).arg(&config).output();
    let output = output.expect("it runs");
    let checks: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let checks = checks.as_array().expect("a list");
    let of = |name: &str| checks.iter().filter(|check| check["name"] == name).collect::<Vec<_>>();
    for name in ["capture", "rights", "interfaces", "runtimes", "contracts", "state", "sinks"] {
        assert!(!of(name).is_empty(), "{name}: {checks:?}");
    }
    assert!(
        of("runtimes")[0]["found"].as_str().is_some_and(|found| found.contains("/nowhere/docker.sock")),
        "{checks:?}"
    );
    assert_eq!((&of("state")[0]["health"], &of("sinks")[0]["health"]), (&"well".into(), &"well".into()));
    assert!(checks.iter().all(|check| check["health"] == "well" || check["fix"].is_string()), "{checks:?}");
    let is_broken = checks.iter().any(|check| check["health"] == "broken");
    assert_eq!(output.status.code(), Some(i32::from(is_broken)));
}
