//! `hopwatch flows` at the command line: nothing is lost between the packets and the numbers, in every form.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use assert_cmd::Command;
use hopwatch::observe::{CaptureReader, PcapngWriter};
use serde_json::Value;

/// What a run printed and how it ended.
struct Run {
    code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Run {
    fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {}{}", self.stdout, self.stderr))
    }

    fn records(&self) -> Vec<Value> {
        self.stdout.lines().map(|line| serde_json::from_str(line).expect("a JSON line")).collect()
    }
}

fn flows(args: &[&str]) -> Run {
    flows_of(args, &[])
}

fn flows_of(args: &[&str], stdin: &[u8]) -> Run {
    let mut command = Command::new(env!("CARGO_BIN_EXE_hopwatch"));
    command.arg("flows").args(args).env("NO_COLOR", "1").write_stdin(stdin);
    let output = command.output().expect("run hopwatch");
    let text = |bytes| String::from_utf8(bytes).expect("UTF-8");
    let run = Run { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) };
    assert!(!run.stderr.contains("panicked"), "{args:?}: {}", run.stderr);
    run
}

/// Runs that must succeed without a word.
fn quiet(args: &[&str]) -> Run {
    let run = flows(args);
    assert_eq!((run.code, run.stderr.as_str()), (Some(0), ""), "{args:?}");
    run
}

fn captures() -> Vec<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("captures");
    let folders = folder.read_dir().expect("captures").map(|entry| entry.expect("an entry").path());
    let mut found: Vec<_> = folders.map(|folder| folder.join("traffic.pcapng").display().to_string()).collect();
    found.sort();
    assert!(found.len() > 10);
    found
}

fn capture(name: &str) -> String {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("captures").join(name);
    folder.join("traffic.pcapng").display().to_string()
}

fn temporary(name: &str, content: &[u8]) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join(name);
    std::fs::write(&file, content).expect("write");
    (folder, file.display().to_string())
}

fn number(value: &Value, key: &str) -> u64 {
    value[key].as_u64().unwrap_or_else(|| panic!("{key} in {value}"))
}

fn sum(values: &Value) -> u64 {
    values.as_object().expect("an object").values().map(|value| value.as_u64().expect("a number")).sum()
}

/// Packets are in flows, without IP or not decoded; records are ended by one reason each.
fn assert_parts(numbers: &Value) {
    let parts = number(numbers, "flow_packets") + number(numbers, "non_ip") + sum(&numbers["not_decoded"]);
    assert_eq!(number(numbers, "packets"), parts, "{numbers}");
    assert_eq!(number(numbers, "flows"), sum(&numbers["end_reasons"]), "{numbers}");
}

/// The whole, its points and its files add up.
fn assert_adds_up(summary: &Value) {
    assert_eq!(summary["schema"], "hopwatch.flow_summary/1");
    assert_parts(summary);
    let list = |key: &str| summary[key].as_array().expect("a list").clone();
    list("points").iter().for_each(assert_parts);
    let counted = ["packets", "frame_bytes", "flow_packets", "non_ip", "flows", "flow_frame_bytes", "ip_bytes"];
    for key in counted.into_iter().chain(["payload_bytes", "evicted_flows", "evicted_fragments", "refused_payloads"]) {
        let points: u64 = list("points").iter().map(|point| number(point, key)).sum();
        assert_eq!(number(summary, key), points, "{key}");
    }
    let files: u64 = list("files").iter().map(|file| number(file, "packets")).sum();
    assert_eq!(number(summary, "packets"), files);
}

/// The records say the same as the summary.
fn assert_same(summary: &Value, records: &[Value]) {
    assert_eq!(number(summary, "flows"), records.len() as u64);
    let both = |key: &str| records.iter().map(|r| number(&r["orig"], key) + number(&r["resp"], key)).sum::<u64>();
    for (whole, part) in [
        ("flow_packets", "packets"),
        ("flow_frame_bytes", "frame_bytes"),
        ("ip_bytes", "ip_bytes"),
        ("payload_bytes", "payload_bytes"),
    ] {
        assert_eq!(number(summary, whole), both(part), "{whole}");
    }
    let mut reasons: BTreeMap<&str, u64> = BTreeMap::new();
    for record in records {
        *reasons.entry(record["end_reason"].as_str().expect("a reason")).or_default() += 1;
    }
    assert_eq!(summary["end_reasons"], serde_json::json!(reasons));
}

fn packets_in(path: &str) -> u64 {
    let mut reader = CaptureReader::open(Path::new(path)).expect("a capture");
    while reader.next_packet().expect("a whole capture").is_some() {}
    reader.packets()
}

#[test]
fn every_packet_is_in_exactly_one_place() {
    let all = captures();
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    // Alone, eight at once, and all of them.
    for (at_once, options) in [
        (1, &[][..]),
        (8, &["--idle-timeout", "20ms", "--active-timeout", "50ms"]),
        (8, &["--max-flows", "2"]),
        (all.len(), &["--max-flows", "2"]),
        (all.len(), &[]),
    ] {
        for set in all.chunks(at_once) {
            let summary = flows(&[set, options, &["--summary"]].concat()).json();
            assert_adds_up(&summary);
            assert_eq!(number(&summary, "packets"), set.iter().map(|path| packets_in(path)).sum::<u64>());
            assert_same(&summary, &flows(&[set, options].concat()).records());
        }
    }
}

#[test]
fn every_record_of_every_capture_fits_the_published_schema() {
    let schema = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/flow.schema.json");
    let schema = serde_json::from_str(&std::fs::read_to_string(schema).expect("schema")).expect("JSON");
    let validator = jsonschema::validator_for(&schema).expect("a valid JSON Schema");
    let mut checked = 0;
    for path in captures() {
        for record in quiet(&[&path]).records() {
            let errors: Vec<_> = validator.iter_errors(&record).map(|error| error.to_string()).collect();
            assert!(errors.is_empty(), "{path}: {errors:?}\n{record}");
            checked += 1;
        }
    }
    assert!(checked > 50, "only {checked} records");
}

#[test]
fn two_runs_are_byte_equal_in_every_form() {
    let all = captures();
    for format in ["text", "jsonl", "csv", "zeek"] {
        let args: Vec<_> = all.iter().map(String::as_str).chain(["--format", format]).collect();
        assert_eq!(quiet(&args).stdout, quiet(&args).stdout, "{format}");
    }
}

#[test]
fn records_of_a_point_come_in_the_order_of_their_end() {
    for path in captures() {
        let run = quiet(&[&path, "--idle-timeout", "1ms", "--active-timeout", "0"]);
        let idle: Vec<_> = run.records().into_iter().filter(|r| r["end_reason"] == "idle_timeout").collect();
        let mut ends: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for record in &idle {
            ends.entry(record["observation_point"].to_string()).or_default().push(record["end"].to_string());
        }
        assert!(ends.values().all(|ends| ends.is_sorted()), "{path}: {ends:?}");
    }
}

#[test]
fn csv_has_what_json_has() {
    for path in captures() {
        let records = quiet(&[&path]).records();
        let text = quiet(&[&path, "--format", "csv"]).stdout;
        let mut reader = csv::Reader::from_reader(text.as_bytes());
        let rows: Vec<BTreeMap<String, String>> = reader.deserialize().map(|row| row.expect("a row")).collect();
        assert_eq!(rows.len(), records.len());
        for (row, record) in rows.iter().zip(&records) {
            let same = |column: &str, value: &Value| {
                let value = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
                assert_eq!(row[column], if value == "null" { "" } else { &value }, "{column} of {path}");
            };
            for key in ["observation_point", "start", "end", "protocol", "community_id", "fragments", "end_reason"] {
                same(key, &record[key]);
            }
            for side in ["orig", "resp"] {
                for key in ["ip", "port", "mac", "packets", "frame_bytes", "ip_bytes", "payload_bytes"] {
                    same(&format!("{side}_{key}"), &record[side][key]);
                }
                same(&format!("tcp_{side}_flags"), &record["tcp"]["flags"][side]);
            }
            same("tcp_state", &record["tcp"]["state"]);
            same("tcp_history", &record["tcp"]["history"]);
        }
    }
}

/// Rows of a conn.log by field name.
fn conn_log(text: &str) -> Vec<BTreeMap<String, String>> {
    assert!(text.starts_with(
        "#separator \\x09\n#set_separator\t,\n#empty_field\t(empty)\n#unset_field\t-\n#path\tconn\n#open\t"
    ));
    assert!(text.lines().last().expect("a line").starts_with("#close\t"));
    let head = |name: &str| {
        let line = text.lines().find(|line| line.starts_with(name)).expect(name);
        line.split('\t').skip(1).map(str::to_owned).collect::<Vec<_>>()
    };
    let (fields, types) = (head("#fields"), head("#types"));
    assert_eq!(fields.len(), types.len());
    let rows = text.lines().filter(|line| !line.starts_with('#')).map(|line| {
        let values: Vec<_> = line.split('\t').map(str::to_owned).collect();
        assert_eq!(values.len(), fields.len(), "{line}");
        assert!(values.iter().all(|value| !value.is_empty()), "{line}");
        fields.iter().cloned().zip(values).collect()
    });
    rows.collect()
}

#[test]
fn conn_log_follows_zeeks_rules() {
    for path in captures() {
        let records = quiet(&[&path]).records();
        let rows = conn_log(&quiet(&[&path, "--format", "zeek"]).stdout);
        assert_eq!(rows.len(), records.len());
        for (row, record) in rows.iter().zip(&records) {
            let (orig, resp) = (&record["orig"], &record["resp"]);
            assert_eq!(row["id.orig_h"], orig["ip"].as_str().expect("an address"));
            assert_eq!(row["id.resp_p"], resp["port"].to_string());
            assert_eq!(row["orig_ip_bytes"], orig["ip_bytes"].to_string());
            assert_eq!(row["resp_pkts"], resp["packets"].to_string());
            assert_eq!(row["ip_proto"], record["protocol"].to_string());
            // Sizes are known where there is a duration.
            assert_eq!(row["duration"] == "-", record["start"] == record["end"], "{row:?}");
            assert_eq!(row["orig_bytes"] == "-", row["duration"] == "-");
            let answered = number(resp, "packets") > 0;
            let (proto, state, history) = match (record["protocol"].as_u64(), answered) {
                (Some(17), true) => ("udp", "SF", "Dd"),
                (Some(17), false) => ("udp", "S0", "D"),
                (Some(1 | 58), _) => ("icmp", "OTH", "-"),
                (Some(6), _) => continue,
                _ => ("unknown_transport", "OTH", "-"),
            };
            assert_eq!((row["proto"].as_str(), row["conn_state"].as_str()), (proto, state), "{row:?}");
            assert_eq!(row["history"], history);
        }
        let uids: std::collections::BTreeSet<_> = rows.iter().map(|row| &row["uid"]).collect();
        assert_eq!(uids.len(), rows.len(), "each record has its own uid");
    }
}

#[test]
fn text_is_a_line_a_flow_with_both_ends() {
    let path = capture("egress-around-proxy");
    let run = quiet(&[&path, "--format", "text"]);
    let records = quiet(&[&path]).records();
    let lines: Vec<_> = run.stdout.lines().skip(1).collect();
    assert_eq!(lines.len(), records.len());
    assert!(lines.iter().any(|line| line.contains(" tcp ") && line.contains("10.77.1.10:57242 -> 198.51.100.10:80 ")));
}

#[test]
fn compressed_and_piped_captures_give_the_same_records() {
    let path = capture("source-normal");
    let expected = quiet(&[&path]).stdout;
    let plain = std::fs::read(&path).expect("the capture");
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gzip.write_all(&plain).expect("gzip");
    let gzip = gzip.finish().expect("gzip");
    let zstd = ruzstd::encoding::compress_to_vec(&plain[..], ruzstd::encoding::CompressionLevel::Fastest);
    for packed in [&plain, &gzip, &zstd] {
        let (_folder, file) = temporary("traffic", packed);
        assert_eq!(quiet(&[&file]).stdout, expected);
        let piped = flows_of(&["-"], packed);
        assert_eq!((piped.code, piped.stdout.as_str()), (Some(0), expected.as_str()), "{}", piped.stderr);
    }
}

/// Deals the packets of a capture out to so many files, in turn.
fn dealt(path: &str, count: usize, folder: &Path) -> Vec<PathBuf> {
    let mut reader = CaptureReader::open(Path::new(path)).expect("a capture");
    let paths: Vec<_> = (0..count).map(|number| folder.join(format!("part-{number}.pcapng"))).collect();
    let mut writers: Vec<_> = paths
        .iter()
        .map(|path| PcapngWriter::new(std::fs::File::create(path).expect("a file"), None).expect("a section"))
        .collect();
    let mut turn = 0;
    while let Some(packet) = reader.next_packet().expect("a whole capture") {
        let writer = &mut writers[turn % count];
        turn += 1;
        if turn <= count {
            let point = packet.origin;
            writer.add_interface(point.point.as_str(), point.link, point.snap_length, None).expect("an interface");
        }
        writer.packet(0, packet.at, packet.wire_len, packet.data).expect("a packet");
    }
    paths
}

#[test]
fn several_files_are_read_as_one_in_time_order() {
    for name in ["egress-through-proxy", "source-normal", "spoofed-source"] {
        let path = capture(name);
        let folder = tempfile::tempdir().expect("a folder");
        let parts = dealt(&path, 3, folder.path());
        let parts: Vec<_> = parts.iter().rev().map(|part| part.to_str().expect("UTF-8")).collect();
        let options = ["--idle-timeout", "100ms"];
        let whole = quiet(&[&[path.as_str()], &options[..]].concat()).stdout;
        assert_eq!(quiet(&[&parts, &options[..]].concat()).stdout, whole, "{name}");
        assert_eq!(quiet(&[&[folder.path().to_str().expect("UTF-8")], &options[..]].concat()).stdout, whole);
    }
}

#[test]
fn a_capture_that_breaks_off_counts_to_there_and_says_so() {
    let path = capture("egress-through-proxy");
    let whole = std::fs::read(&path).expect("the capture");
    let (_folder, cut) = temporary("cut.pcapng", &whole[..whole.len() - 10]);
    let run = flows(&["--summary", &cut, &path]);
    assert_eq!(run.code, Some(0), "{}", run.stderr);
    assert!(run.stderr.contains("cut.pcapng is truncated"), "{}", run.stderr);
    let summary = run.json();
    assert_adds_up(&summary);
    let files = summary["files"].as_array().expect("a list");
    assert_eq!(number(&files[0], "packets") + 1, number(&files[1], "packets"));
    assert!(files[0]["error"].as_str().is_some_and(|error| error.contains("truncated")), "{}", files[0]);
    assert!(files[1].get("error").is_none());
}

#[test]
fn what_cannot_be_read_ends_with_4_and_a_helpful_word() {
    let (_rubbish, rubbish) =
        temporary("notes.txt", b"not a capture at all, just words of some length and more of them");
    let empty = tempfile::tempdir().expect("a folder");
    let folder = empty.path().to_str().expect("UTF-8");
    let good = capture("source-normal");
    for (args, word) in [
        (vec![rubbish.as_str()], "is not a capture"),
        (vec!["/nonexistent.pcap"], "does not exist"),
        (vec![good.as_str(), "/nonexistent.pcap"], "does not exist"),
        (vec![folder], "holds no capture"),
    ] {
        let run = flows(&args);
        assert_eq!((run.code, run.stdout.as_str()), (Some(4), ""), "{args:?}");
        assert!(run.stderr.contains(word), "{args:?}: {}", run.stderr);
    }
}

#[test]
fn wrong_usage_ends_with_2() {
    let path = capture("source-normal");
    for args in [
        &["--idle-timeout", "10"][..],
        &["--active-timeout", "soon"],
        &["--max-flows", "0"],
        &["--format", "xml"],
        &["--layer", "middle"],
        &["--summary", "--format", "csv"],
    ] {
        let run = flows(&[&[path.as_str()], args].concat());
        assert_eq!((run.code, run.stdout.as_str()), (Some(2), ""), "{args:?}: {}", run.stderr);
    }
    assert_eq!(flows(&[]).code, Some(2));
}

#[test]
fn the_help_tells_the_defaults_of_the_configuration() {
    let help = quiet(&["--help"]).stdout.split_whitespace().collect::<Vec<_>>().join(" ");
    let limits = hopwatch::config::default_meter();
    let (idle, active) = (limits.idle_timeout.as_secs(), limits.active_timeout.as_secs() / 60);
    for default in [format!("{idle}s"), format!("{active}m")] {
        assert!(help.contains(&format!("[default: {default}]")), "{default}: {help}");
    }
}

#[test]
fn timeouts_cut_records_and_zero_switches_them_off() {
    let path = capture("source-normal");
    let count = |options: &[&str]| number(&flows(&[&[path.as_str(), "--summary"], options].concat()).json(), "flows");
    let off = count(&["--idle-timeout", "0", "--active-timeout", "0"]);
    assert!(count(&["--idle-timeout", "10ms"]) > off);
    assert!(count(&["--idle-timeout", "0s", "--active-timeout", "10ms"]) > off);
    let reasons =
        |options: &[&str]| flows(&[&[path.as_str(), "--summary"], options].concat()).json()["end_reasons"].clone();
    assert!(reasons(&["--idle-timeout", "0", "--active-timeout", "0"]).get("idle_timeout").is_none());
    assert!(reasons(&["--active-timeout", "10ms"])["active_timeout"].as_u64() > Some(0));
}

#[test]
fn a_full_table_is_told() {
    let path = capture("source-normal");
    let run = flows(&[&path, "--summary", "--max-flows", "1"]);
    let summary = run.json();
    assert!(number(&summary, "evicted_flows") > 0);
    assert_eq!(number(&summary, "evicted_flows"), number(&summary["end_reasons"], "lack_of_resources"));
    assert!(run.stderr.contains("--max-flows"), "{}", run.stderr);
}

#[test]
fn records_go_to_a_file_that_is_no_input() {
    let folder = tempfile::tempdir().expect("a folder");
    let copy = folder.path().join("traffic.pcapng");
    std::fs::copy(capture("source-normal"), &copy).expect("copy");
    let copy = copy.to_str().expect("UTF-8");
    let out = folder.path().join("flows.jsonl");
    let run = quiet(&[copy, "-o", out.to_str().expect("UTF-8")]);
    assert_eq!(run.stdout, "");
    assert_eq!(std::fs::read_to_string(&out).expect("the records"), quiet(&[copy]).stdout);
    let before = std::fs::read(copy).expect("the capture");
    let refused = flows(&[copy, "-o", copy]);
    assert_eq!(refused.code, Some(4));
    assert!(refused.stderr.contains("is one of the captures"), "{}", refused.stderr);
    assert_eq!(std::fs::read(copy).expect("the capture"), before, "the capture is as it was");
}

#[test]
fn a_reader_that_left_is_no_failure_and_a_full_disk_is() {
    let path = capture("source-normal");
    let ended = |stdout: Stdio| {
        let mut command = std::process::Command::new(env!("CARGO_BIN_EXE_hopwatch"));
        let command = command.arg("flows").arg(&path).stdout(stdout).stderr(Stdio::piped());
        let output = command.spawn().expect("hopwatch").wait_with_output().expect("hopwatch");
        (output.status.code(), String::from_utf8(output.stderr).expect("UTF-8"))
    };
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    assert_eq!(ended(writer.into()), (Some(0), String::new()));
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").expect("/dev/full");
    let (code, stderr) = ended(full.into());
    assert_eq!(code, Some(4));
    assert!(stderr.contains("writing flow records"), "{stderr}");
}

/// Line breaks between the parts of a record, for the page.
fn broken_into_lines(record: &str) -> String {
    let parts = ["start\":", "protocol\":", "resp\":{", "community_id\":", "tcp\":", "end_reason\":"];
    parts.iter().fold(record.to_owned(), |text, part| text.replace(&format!(",\"{part}"), &format!(",\n \"{part}")))
}

#[test]
fn the_page_shows_a_real_record() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/flows.md");
    let page = std::fs::read_to_string(&file).expect("docs/flows.md");
    let (before, rest) = page.split_once("<!-- example -->").expect("the start of the example");
    let (_, after) = rest.split_once("<!-- /example -->").expect("the end of the example");
    let run = quiet(&[&capture("egress-around-proxy")]);
    let record = run.stdout.lines().find(|line| line.contains("\"port\":80,")).expect("the flow to port 80");
    let example = broken_into_lines(record);
    let current = format!("{before}<!-- example -->\n```json\n{example}\n```\n<!-- /example -->{after}");
    if std::env::var_os("HOPWATCH_UPDATE").is_some() {
        std::fs::write(&file, &current).expect("write docs/flows.md");
    } else {
        assert_eq!(
            page, current,
            "docs/flows.md is not current; run `HOPWATCH_UPDATE=1 cargo test --test shell flows::`"
        );
    }
}

#[test]
fn the_recipes_of_the_page_run() {
    if std::process::Command::new("jq").arg("--version").output().is_err() {
        println!("skipped: jq is not installed");
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let all = captures();
    let records = quiet(&all.iter().map(String::as_str).collect::<Vec<_>>()).stdout;
    std::fs::write(folder.path().join("flows.jsonl"), records).expect("write the records");
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/flows.md");
    let page = std::fs::read_to_string(page).expect("docs/flows.md");
    let blocks = page.split("```console\n").skip(1).filter_map(|rest| rest.split("\n```").next());
    let mut ran = 0;
    for recipe in blocks.filter(|block| block.starts_with("jq ")) {
        let output = std::process::Command::new("sh").args(["-c", recipe]).current_dir(folder.path()).output();
        let output = output.expect("sh runs");
        assert!(output.status.success() && output.stderr.is_empty(), "{recipe}: {output:?}");
        ran += 1;
    }
    assert!(ran >= 4, "only {ran} recipes were found");
}
