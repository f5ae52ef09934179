//! IPFIX as real collectors read it: nfdump's nfcapd, and pmacct's nfacctd, each skipped where it is not installed.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::net::{Ipv4Addr, TcpListener, UdpSocket};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::Duration;

use hopwatch::clock::instant;
use serde_json::Value;

const RECORDING: &str = "captures/egress-around-proxy";
const PATIENCE: Duration = Duration::from_secs(20);

/// A collector that ends with the test.
struct Collector(Child);

impl Drop for Collector {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Collector {
    /// Starts it; `None`, said, where it is not installed.
    fn start(program: &str, arguments: &[&str], port: u16) -> Option<Self> {
        let mut command = Command::new(program);
        command.args(arguments).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let Ok(child) = command.spawn() else {
            println!("skipped: no {program} (Debian packages nfdump, pmacct)");
            return None;
        };
        let collector = Self(child);
        until(|| UdpSocket::bind((Ipv4Addr::LOCALHOST, port)).err(), "the collector listens");
        Some(collector)
    }

    /// Asks it to end, as an administrator does, and waits.
    fn end(mut self, signal: &str) {
        let kill = Command::new("kill").args([signal, &self.0.id().to_string()]).status().expect("run kill");
        assert!(kill.success());
        until(|| self.0.try_wait().expect("waited"), "the collector ends");
    }
}

fn until<T>(mut get: impl FnMut() -> Option<T>, what: &str) -> T {
    let deadline = instant() + PATIENCE;
    loop {
        if let Some(got) = get() {
            return got;
        }
        assert!(instant() < deadline, "{what}: not within {PATIENCE:?}");
        thread::sleep(Duration::from_millis(50));
    }
}

fn free_port() -> u16 {
    UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).expect("a port").local_addr().expect("an address").port()
}

/// Whether what came to the port was read.
fn is_read(port: u16) -> Option<()> {
    let table = std::fs::read_to_string("/proc/net/udp").expect("the sockets");
    let mine = format!(":{port:04X} ");
    let queue = table
        .lines()
        .find(|line| line.split_whitespace().nth(1).is_some_and(|at| format!("{at} ").ends_with(&mine)))?;
    queue.split_whitespace().nth(4).is_some_and(|queues| queues.ends_with(":00000000")).then_some(())
}

fn hopwatch(arguments: &[&str]) -> Output {
    let output = Command::new(env!("CARGO_BIN_EXE_hopwatch")).args(arguments).env("NO_COLOR", "1").output();
    output.expect("run hopwatch")
}

/// What must succeed without a word.
fn quiet(arguments: &[&str]) -> Vec<u8> {
    let output = hopwatch(arguments);
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && told.is_empty(), "{arguments:?}: {told}");
    output.stdout
}

/// Protocol, both ends; packets and bytes both ways.
type Flow = (u64, String, u64, String, u64);
type Counters = [u64; 4];

/// The flows of captures, as JSON Lines have them.
fn told(captures: &[&str]) -> BTreeMap<Flow, Counters> {
    let lines = quiet(&[&["flows", "--format", "jsonl"], captures].concat());
    let lines = String::from_utf8(lines).expect("UTF-8");
    let mut flows = BTreeMap::new();
    for line in lines.lines().map(|line| serde_json::from_str::<Value>(line).expect("JSON")) {
        let number = |value: &Value| value.as_u64().expect("a number");
        let [orig, resp] = [&line["orig"], &line["resp"]];
        let ip = |end: &Value| end["ip"].as_str().expect("an address").to_owned();
        let flow = (number(&line["protocol"]), ip(orig), number(&orig["port"]), ip(resp), number(&resp["port"]));
        let more = [&orig["packets"], &orig["ip_bytes"], &resp["packets"], &resp["ip_bytes"]].map(number);
        add(&mut flows, flow, more);
    }
    flows
}

fn add(flows: &mut BTreeMap<Flow, Counters>, flow: Flow, more: Counters) {
    let counters = flows.entry(flow).or_default();
    counters.iter_mut().zip(more).for_each(|(sum, more)| *sum += more);
}

/// The same of TCP and UDP, as nfdump reads the file that nfcapd wrote; of ICMP it shows what it takes for a type and a code.
fn collected(folder: &Path) -> BTreeMap<Flow, Counters> {
    let output =
        Command::new("nfdump").arg("-R").arg(folder).args(["-o", "csv", "-6", "-N"]).output().expect("run nfdump");
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    let mut lines = text.lines();
    let head: Vec<&str> = lines.next().unwrap_or_default().split(',').collect();
    let mut flows = BTreeMap::new();
    for line in lines.take_while(|line| !line.starts_with("Summary")) {
        let cells: Vec<&str> = line.split(',').map(str::trim).collect();
        let cell = |name: &str| {
            cells[head.iter().position(|title| *title == name).unwrap_or_else(|| panic!("{name}: {text}"))]
        };
        let number = |name: &str| cell(name).parse::<u64>().unwrap_or_else(|_| panic!("{name}: {line}"));
        let protocol = match cell("pr") {
            "TCP" => 6,
            "UDP" => 17,
            _ => continue,
        };
        let flow = (protocol, cell("sa").to_owned(), number("sp"), cell("da").to_owned(), number("dp"));
        add(&mut flows, flow, ["ipkt", "ibyt", "opkt", "obyt"].map(number));
    }
    flows
}

#[test]
fn nfdump_reads_each_flow_with_both_its_directions() {
    let captures = ["dns-through-resolver", "egress-around-proxy-ipv6", "scan-ports-and-hosts"];
    let captures = captures.map(|name| format!("captures/{name}/traffic.pcapng"));
    let captures: Vec<&str> = captures.iter().map(String::as_str).collect();
    let (folder, port) = (tempfile::tempdir().expect("a folder"), free_port());
    let place = folder.path().display().to_string();
    let arguments = ["-w", &place, "-b", "127.0.0.1", "-p", &port.to_string(), "-t", "3600"];
    let Some(collector) = Collector::start("nfcapd", &arguments, port) else { return };
    let to = format!("udp://127.0.0.1:{port}");
    assert_eq!(quiet(&[&["flows", "--to", &to], &captures[..]].concat()), b"");
    until(|| is_read(port), "everything is read");
    collector.end("-TERM");
    let told: BTreeMap<_, _> = told(&captures).into_iter().filter(|(flow, _)| flow.0 == 6 || flow.0 == 17).collect();
    assert!(told.len() > 5, "{told:?}");
    assert_eq!(collected(folder.path()), told);
}

/// What nfacctd calls hopwatch's own elements.
const PRIMITIVES: &str = "name=verdict field_type=32473:10 len=vlen semantics=str
name=contract field_type=32473:12 len=vlen semantics=str
name=missing_hop field_type=32473:13 len=vlen semantics=str
name=workload field_type=32473:20 len=vlen semantics=str
";

#[test]
fn pmacct_reads_verdict_contract_and_workload_of_judged_flows() {
    let (folder, port) = (tempfile::tempdir().expect("a folder"), free_port());
    let path = |name: &str| folder.path().join(name).display().to_string();
    std::fs::write(path("primitives"), PRIMITIVES).expect("written");
    let config = format!(
        "daemonize: false\nnfacctd_ip: 127.0.0.1\nnfacctd_port: {port}\nplugins: print\naggregate_primitives: {}\n\
         aggregate: src_host, dst_host, dst_port, verdict, contract, missing_hop, workload\nprint_output: json\n\
         print_output_file: {}\nprint_refresh_time: 3600\nnfacctd_disable_checks: true\n",
        path("primitives"),
        path("flows.json")
    );
    std::fs::write(path("nfacctd.conf"), config).expect("written");
    let Some(collector) = Collector::start("nfacctd", &["-f", &path("nfacctd.conf")], port) else { return };
    let to = format!("udp://127.0.0.1:{port}");
    assert_eq!(quiet(&["observe", RECORDING, "--collector", &to]), b"");
    until(|| is_read(port), "everything is read");
    thread::sleep(Duration::from_millis(500));
    collector.end("-INT");
    let text =
        until(|| std::fs::read_to_string(path("flows.json")).ok().filter(|text| text.contains('\n')), "the file");
    let flows: Vec<Value> = text.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    let around = flows.iter().find(|flow| flow["ip_dst"] == "198.51.100.10" && flow["workload"] == "app");
    let around = around.unwrap_or_else(|| panic!("{text}"));
    assert_eq!(
        ["verdict", "contract", "missing_hop"].map(|name| around[name].as_str().unwrap_or_default()),
        ["bypassed", "egress-through-proxy", "proxy"],
        "{text}"
    );
}

/// The messages of a stream: version 10, and a length.
fn messages(mut bytes: &[u8]) -> Vec<&[u8]> {
    let mut found = Vec::new();
    while let [0, 10, high, low, ..] = bytes {
        let (message, rest) = bytes.split_at(usize::from(u16::from_be_bytes([*high, *low])));
        found.push(message);
        bytes = rest;
    }
    assert!(bytes.is_empty(), "what follows is no message: {bytes:?}");
    found
}

#[test]
fn a_file_and_a_stream_are_the_same_messages_in_every_run_with_the_time_of_the_packets() {
    let capture = format!("{RECORDING}/traffic.pcapng");
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("flows.ipfix").display().to_string();
    quiet(&["flows", "--format", "ipfix", "-o", &file, &capture]);
    let written = std::fs::read(&file).expect("written");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let to = format!("tcp://{}", listener.local_addr().expect("an address"));
    let receiver = thread::spawn(move || {
        let mut received = Vec::new();
        listener.accept().expect("a connection").0.read_to_end(&mut received).expect("received");
        received
    });
    quiet(&["flows", "--to", &to, &capture]);
    assert_eq!(receiver.join().expect("ended"), written);
    let messages = messages(&written);
    assert!(messages.len() > 1);
    let seconds = |message: &[u8]| u32::from_be_bytes(message[4..8].try_into().expect("four"));
    // 2026-11-24, when it was recorded.
    assert!(messages.iter().all(|message| (1_795_000_000..1_796_000_000).contains(&seconds(message))));
}

#[test]
fn what_cannot_be_sent_is_told_with_what_to_do() {
    let capture = format!("{RECORDING}/traffic.pcapng");
    let refused = |arguments: &[&str]| {
        let output = hopwatch(arguments);
        assert!(!output.status.success(), "{arguments:?}");
        String::from_utf8(output.stderr).expect("UTF-8")
    };
    let scheme = refused(&["flows", "--to", "http://127.0.0.1:1", &capture]);
    assert!(scheme.contains("udp://192.0.2.1:4739"), "{scheme}");
    let form = refused(&["flows", "--to", "udp://127.0.0.1:1", "--format", "csv", &capture]);
    assert!(form.contains("leave --format out"), "{form}");
    let nobody = refused(&["flows", "--to", "tcp://127.0.0.1:1", &capture]);
    assert!(nobody.contains("connecting to tcp://127.0.0.1:1"), "{nobody}");
    let nobody = refused(&["observe", RECORDING, "--collector", "tcp://127.0.0.1:1"]);
    assert!(nobody.contains("connecting to tcp://127.0.0.1:1"), "{nobody}");
    let lost = hopwatch(&["flows", "--to", "udp://127.0.0.1:1", &capture]);
    let told = String::from_utf8_lossy(&lost.stderr);
    assert!(lost.status.success() && told.contains("udp://127.0.0.1:1 does not take what is sent there"), "{told}");
}
