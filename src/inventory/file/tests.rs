//! Files of all three kinds, right and wrong.

use super::*;
use crate::input::{
    Endpoint, Fact, FiveTuple, InventoryEvent, LinkEvent, Loss, LossReason, NatBinding, NatFact, NetnsId,
    ObservationPoint, Protocol, RecordedFact, WorkloadId,
};
use crate::inventory::{AttributionQuery, Owner, Timeline, TimelineLimits};

const CONTAINERS: &str = include_str!("../../../tests/data/docker/containers.json");
const NETWORKS: &str = include_str!("../../../tests/data/docker/networks.json");

fn read(text: &str) -> Result<Vec<Input>, FactsError> {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("facts");
    std::fs::write(&path, text).expect("file");
    read_facts(&path, &ShownLabels::default()).map(|file| file.inputs)
}

/// `LINE:COLUMN expected … reason`.
fn refused(text: &str) -> String {
    match read(text) {
        Err(FactsError::Wrong { line, column, expected, reason, .. }) => format!("{line}:{column} {expected} {reason}"),
        other => panic!("{other:?}"),
    }
}

fn names(inputs: &[Input]) -> Vec<String> {
    let name = |input: &Input| match &input.fact {
        Fact::Recorded(RecordedFact::Inventory(InventoryEvent::Workload(workload))) => workload.name.clone(),
        Fact::Recorded(RecordedFact::Inventory(InventoryEvent::Network(network))) => format!("net {}", network.name),
        Fact::Recorded(RecordedFact::Inventory(InventoryEvent::Connected { .. })) => "connected".to_owned(),
        Fact::Recorded(RecordedFact::Inventory(InventoryEvent::Reconciled { running, .. })) => {
            format!("reconciled {}", running.len())
        }
        other => format!("{other:?}"),
    };
    inputs.iter().map(name).collect()
}

/// A published port over IPv6, masqueraded as well.
fn binding(netns: Option<NetnsId>) -> NatBinding {
    let end = |ip: &str, port| Endpoint { ip: ip.parse().expect("address"), port };
    let five = |orig, resp| FiveTuple { protocol: Protocol::TCP, orig, resp };
    let before = five(end("2001:db8::5", 40_000), end("2001:db8::1", 8080));
    NatBinding { netns, before, after: five(end("fd00::1", 40_001), end("fd00::2", 80)) }
}

fn facts() -> Vec<(Timestamp, RecordedFact)> {
    let at = Timestamp::from_nanos(1_795_000_000_000_000_001);
    let point = ObservationPoint::new("br-1");
    let runtime = crate::input::RuntimeId::DOCKER;
    let error = "cut \"in\" the middle\nof a line".to_owned();
    let link =
        LinkEvent { point, up: true, addresses: vec!["172.18.0.1".parse().expect("address")], ..LinkEvent::default() };
    let stopped = InventoryEvent::Stopped { id: WorkloadId::new("abc"), until: at };
    vec![
        (at, RecordedFact::Inventory(InventoryEvent::Disconnected { runtime, error })),
        (at, RecordedFact::Link(link)),
        (at, RecordedFact::Inventory(stopped)),
        (at, RecordedFact::Nat(NatFact::Watched { netns: None })),
        (at, RecordedFact::Nat(NatFact::Bound(binding(None)))),
        (at, RecordedFact::Nat(NatFact::Released(binding(Some(NetnsId(4_026_531_840)))))),
        (at, RecordedFact::Nat(NatFact::Missed { count: 0, since: at })),
        (at, RecordedFact::Nat(NatFact::Unwatched { netns: Some(NetnsId(7)), error: "not\nallowed".to_owned() })),
        (at, RecordedFact::Loss(Loss { point: None, reason: LossReason::Kernel, count: 3, since: at, source: None })),
    ]
}

#[test]
fn what_the_writer_appends_the_reader_gives_back() {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("facts.jsonl");
    let all = facts();
    let lines: Vec<_> = all.iter().map(|(at, fact)| fact_line(*at, fact).expect("JSON")).collect();
    std::fs::write(&path, lines.concat()).expect("file");
    let expected: Vec<Input> = all.into_iter().map(|(at, fact)| Input::new(at, Fact::Recorded(fact))).collect();
    assert_eq!(
        read_facts(&path, &ShownLabels::default()).expect("facts"),
        FactsFile { inputs: expected, ..FactsFile::default() }
    );
    let text = std::fs::read_to_string(&path).expect("text");
    assert_eq!(text.lines().count(), 9, "a line break in a text does not break the line");
    assert!(text.lines().all(|line| line.starts_with("{\"schema\":\"hopwatch.fact/1\",\"at\":\"2026-")), "{text}");
}

#[test]
fn a_last_line_that_is_cut_is_left_out_and_a_cut_line_elsewhere_is_an_error() {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("facts.jsonl");
    let lines: Vec<_> = facts().iter().map(|(at, fact)| fact_line(*at, fact).expect("JSON")).collect();
    let whole = lines.concat();
    let last = lines.last().expect("facts").len();
    for missing in 2..last {
        std::fs::write(&path, &whole[..whole.len() - missing]).expect("file");
        let file = read_facts(&path, &ShownLabels::default()).expect("the rest can be read");
        assert_eq!((file.inputs.len(), file.cut), (8, Some(9)), "{missing} bytes are missing");
    }
    let damaged = [&lines[0][..30], b"\n", &lines[1]].concat();
    std::fs::write(&path, damaged).expect("file");
    assert!(matches!(read_facts(&path, &ShownLabels::default()), Err(FactsError::Wrong { line: 1, .. })));
}

#[test]
fn the_output_of_docker_inspect_is_read_as_it_is() {
    let inputs = read(CONTAINERS).expect("containers");
    assert_eq!(names(&inputs), ["app", "joined", "exporter", "dark"]);
    assert!(inputs.iter().all(|input| input.at == UNDATED_AT));
    let mixed = read(&format!("{CONTAINERS}\n{NETWORKS}")).expect("two arrays");
    assert_eq!(mixed.len(), 6);
    let one =
        format!("{},{}", CONTAINERS.trim_end().trim_end_matches(']'), NETWORKS.trim_start().trim_start_matches('['));
    let mixed_in_one = read(&one).expect("one array");
    assert_eq!(mixed_in_one, mixed);
    assert!(names(&mixed)[..2].iter().all(|name| name.starts_with("net ")), "networks come first");
}

#[test]
fn a_timeline_fed_from_docker_inspect_knows_the_owners_and_says_how() {
    let mut timeline = Timeline::new(TimelineLimits { workloads: 100, remember: std::time::Duration::from_mins(10) });
    for input in read(&format!("{CONTAINERS}\n{NETWORKS}")).expect("facts") {
        let Fact::Recorded(RecordedFact::Inventory(event)) = &input.fact else { continue };
        timeline.apply(input.at, event);
    }
    let point = ObservationPoint::new("eth0");
    let owner = |ip: &str| {
        let at = Timestamp::from_secs(1_700_000_000);
        timeline.attribute(&AttributionQuery {
            point: &point,
            ip: ip.parse().expect("address"),
            socket: None,
            mac: None,
            at,
        })
    };
    assert_eq!(owner("172.30.0.2").workload().map(|workload| workload.name.as_str()), Some("app"));
    assert_eq!(owner("172.30.0.9"), Owner::Unknown);
    let Owner::Ambiguous { candidates, host: true } = owner("172.30.0.1") else {
        panic!("a container shares the host's network")
    };
    assert_eq!(candidates.iter().map(|one| one.name.as_str()).collect::<Vec<_>>(), ["exporter"]);
    assert!(timeline.is_complete());
}

#[test]
fn dockers_own_bridge_is_filled_in_from_a_container_on_it() {
    let text = r#"[{"Id":"1","State":{"Status":"running"},"Name":"/a","NetworkSettings":{"Networks":{"bridge":
        {"NetworkID":"n","IPAddress":"172.17.0.2","IPPrefixLen":16,"Gateway":"172.17.0.1"}}}}]"#;
    let inputs = read(text).expect("container");
    let Fact::Recorded(RecordedFact::Inventory(InventoryEvent::Network(network))) = &inputs[0].fact else { panic!() };
    assert_eq!((network.subnets[0].to_string().as_str(), network.gateways.len()), ("172.17.0.0/16", 1));
}

#[test]
fn the_output_of_hopwatch_inventory_is_read_back() {
    let events: Vec<InventoryEvent> = read(&format!("{CONTAINERS}\n{NETWORKS}"))
        .expect("facts")
        .into_iter()
        .filter_map(|input| match input.fact {
            Fact::Recorded(RecordedFact::Inventory(event)) => Some(event),
            _ => None,
        })
        .collect();
    let file = InventoryFile::from_events(Timestamp::from_secs(1_795_000_000), &events);
    let text = serde_json::to_string_pretty(&file).expect("json");
    let inputs = read(&text).expect("inventory");
    assert_eq!(inputs, file.to_inputs());
    let names = names(&inputs);
    assert_eq!((names[0].as_str(), names[7].as_str(), names.len()), ("connected", "reconciled 4", 8));
    let again: InventoryFile = serde_json::from_str(&text).expect("json");
    assert_eq!(again, file);
}

#[test]
fn an_error_names_line_column_and_what_was_expected() {
    let good = r#"{"schema":"hopwatch.fact/1","at":"2026-11-24T10:00:00Z","fact":{"inventory":{"network_removed":{"id":"n"}}}}"#;
    assert_eq!(read(&format!("{good}\n\n{good}\n")).expect("facts").len(), 2, "an empty line is nothing");
    let wrong_time = good.replace("2026-11-24T10", "yesterday");
    let said = refused(&format!("{good}\n{wrong_time}\n"));
    assert!(said.starts_with("2:") && said.contains("a fact like") && said.contains("is not a time"), "{said}");
    let said = refused(&format!("{good}\n\n{{\"schema\":\"hopwatch.fact/2\"{}", &good[27..]));
    assert!(said.starts_with("3:1 ") && said.contains("hopwatch.fact/2"), "{said}");
    let said = refused(&format!("{good}\n{}\n{good}\n", &good[..40]));
    assert!(said.starts_with("2:40 ") && said.contains("EOF"), "{said}");
    assert_eq!(
        read(&format!("{good}\n{}", &good[..40])).expect("a cut end").len(),
        1,
        "the last line of a disk that was full"
    );
    let said = refused("[\n  {\"Id\": \"1\"},\n  3]");
    assert!(said.starts_with("3:3 ") && said.contains("an inspected container or network"), "{said}");
    let said = refused("[\n  {\"Id\": \"1\"},\n  {\"Id\": \"2\"}]");
    assert!(said.contains("object 1 has neither State"), "{said}");
    let said = refused("[\n {\"State\": {\"Status\": \"running\"},\n  \"Name\": 7}]");
    assert!(said.starts_with("3:11 ") && said.contains("integer `7`"), "{said}");
    let said = refused("[\n {\"State\": {}},\n");
    assert!(said.starts_with("3:") || said.starts_with("2:"), "{said}");
    let said = refused("hello");
    assert!(said.starts_with("1:1 "), "{said}");
}

#[test]
fn nothing_in_a_file_is_no_fact_and_no_file_is_an_error() {
    assert_eq!(read("").expect("empty"), []);
    assert_eq!(read("[]").expect("empty"), []);
    let missing =
        read_facts(Path::new("/nonexistent/facts.jsonl"), &ShownLabels::default()).expect_err("no file").to_string();
    assert!(missing.contains("/nonexistent/facts.jsonl"), "{missing}");
}

#[test]
fn a_line_beyond_the_bound_is_refused() {
    let long = format!("{{\"schema\":\"{}\"}}", "x".repeat(MAX_LINE));
    assert!(refused(&long).contains("are more than"), "the bound holds before the line is parsed");
}

const ALONE: &str = r#"{"Id":"ab12","State":{"Status":"running"},"Name":"/web","HostConfig":{"NetworkMode":"shop"},
    "NetworkSettings":{"Networks":{"shop":{"NetworkID":"n","IPAddress":"10.0.0.10"}}}}"#;

fn workloads(text: &str) -> Vec<std::sync::Arc<crate::input::Workload>> {
    let only = |input: Input| match input.fact {
        Fact::Recorded(RecordedFact::Inventory(InventoryEvent::Workload(workload))) => Some(workload),
        _ => None,
    };
    read(text).expect("facts").into_iter().filter_map(only).collect()
}

#[test]
fn one_inspected_object_and_one_on_each_line_are_read_like_an_array() {
    let array = read(&format!("[{ALONE}]")).expect("an array");
    assert_eq!(read(ALONE).expect("one object"), array);
    let line = ALONE.replace('\n', " ");
    let lines = format!("{line}\n{}\n", line.replace("ab12", "cd34").replace("/web", "/app"));
    assert_eq!(names(&read(&lines).expect("lines")), ["web", "app"]);
    let said = refused(&format!("{ALONE}\n{{\"Id\": \"1\"}}"));
    assert!(said.starts_with("3:") && said.contains("neither State"), "{said}");
    let said = refused(&ALONE.replace("\"/web\"", "7"));
    assert!(
        said.starts_with("1:") && said.contains("the output of docker inspect") && said.contains("integer `7`"),
        "{said}"
    );
}

#[test]
fn utf_16_with_its_mark_is_read_and_what_only_has_the_mark_is_refused() {
    let folder = tempfile::tempdir().expect("folder");
    let path = folder.path().join("inspect.json");
    let text = format!("\u{feff}[{ALONE}]");
    let little: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    let big: Vec<u8> = text.encode_utf16().flat_map(u16::to_be_bytes).collect();
    for bytes in [&little, &big] {
        std::fs::write(&path, bytes).expect("file");
        assert_eq!(names(&read_facts(&path, &ShownLabels::default()).expect("facts").inputs), ["web"]);
    }
    std::fs::write(&path, &little[..little.len() - 1]).expect("file");
    let said = read_facts(&path, &ShownLabels::default()).expect_err("half a character").to_string();
    assert!(said.contains("save the file as UTF-8"), "{said}");
}

#[test]
fn an_address_beside_an_empty_list_of_networks_is_the_containers() {
    let text = r#"[{"Id":"1","State":{"Status":"running"},"Name":"a","HostConfig":{"NetworkMode":"bridge"},"NetworkSettings":
        {"IPAddress":"10.0.0.10","MacAddress":"02:42:0a:00:00:0a","Gateway":"10.0.0.1","Ports":[],"Networks":null}}]"#;
    let all = workloads(text);
    let [attachment] = &all[0].attachments[..] else { panic!("{all:?}") };
    assert_eq!((attachment.network.as_str(), attachment.addresses[0].to_string()), ("bridge", "10.0.0.10".to_owned()));
    assert!(attachment.mac.is_some() && attachment.gateways.len() == 1, "{attachment:?}");
    let listed = text.replace("null", r#"{"shop":{"NetworkID":"n","IPAddress":"10.0.0.11"}}"#);
    assert_eq!(workloads(&listed)[0].attachments.len(), 1, "what the list says is not said twice");
    let joined = text.replace(r#""NetworkMode":"bridge""#, r#""NetworkMode":"host""#);
    assert!(workloads(&joined)[0].attachments.is_empty());
}

#[test]
fn a_join_by_name_or_by_the_beginning_of_an_id_is_resolved() {
    let container = |id: &str, name: &str, mode: &str| {
        format!(
            r#"{{"Id":"{id}","State":{{"Status":"running"}},"Name":"/{name}","HostConfig":{{"NetworkMode":"{mode}"}}}}"#
        )
    };
    let (vpn, other) = (container("ab12", "vpn", "shop"), container("ab99", "ab1", "shop"));
    for (reference, means) in
        [("vpn", "ab12"), ("ab12", "ab12"), ("ab1", "ab99"), ("ab9", "ab99"), ("ab", "ab"), ("ff00", "ff00"), ("", "")]
    {
        // The joined one may come later in the file.
        let text = format!("[{},{vpn},{other}]", container("cd34", "app", &format!("container:{reference}")));
        let expected = crate::input::NetworkMode::Container(WorkloadId::new(means));
        assert_eq!(workloads(&text)[0].network_mode, expected, "{reference}");
    }
}

#[test]
fn an_address_that_only_the_network_shows_is_the_containers() {
    let network = r#"{"Id":"gw","Name":"docker_gwbridge","Driver":"bridge","IPAM":{"Config":[{"Subnet":"172.18.0.0/16"}]},
        "Containers":{"ab12":{"Name":"gateway_1","MacAddress":"02:42:ac:12:00:03","IPv4Address":"172.18.0.3/16"}}}"#;
    let all = workloads(&format!("[{ALONE},{network}]"));
    let addresses: Vec<String> = all[0].addresses().map(|ip| ip.to_string()).collect();
    assert_eq!(addresses, ["172.18.0.3", "10.0.0.10"]);
    let own = network.replace("\"Id\":\"gw\"", "\"Id\":\"n\"").replace("docker_gwbridge", "shop");
    assert_eq!(workloads(&format!("[{ALONE},{own}]"))[0].attachments.len(), 1, "a network that it names itself");
    let host = ALONE.replace(r#""NetworkMode":"shop""#, r#""NetworkMode":"host""#);
    assert!(workloads(&format!("[{host},{network}]"))[0].attachments.is_empty());
}

#[test]
fn published_ports_are_read_and_kept_in_facts() {
    let ports = r#""Ports":{"3128/tcp":[{"HostIp":"0.0.0.0","HostPort":"4128"},{"HostIp":"::","HostPort":"4128"}],
        "53/udp":[{"HostIp":"","HostPort":"5353"}],"80/tcp":null,"x/tcp":[{"HostPort":"1"}],"9/icmp":[{"HostPort":"2"}]},"#;
    let text = ALONE.replace(r#""NetworkSettings":{"#, &format!(r#""NetworkSettings":{{{ports}"#));
    let all = workloads(&text);
    let one = |port: &crate::input::PublishedPort| {
        format!("{} {} {} {}", port.protocol, port.host_ip, port.host_port, port.port)
    };
    let read: Vec<String> = all[0].published.iter().map(one).collect();
    assert_eq!(read, ["tcp 0.0.0.0 4128 3128", "tcp :: 4128 3128", "udp 0.0.0.0 5353 53"]);
    let json = serde_json::to_string(&*all[0]).expect("json");
    assert!(json.contains(r#""published":[{"protocol":6,"host_ip":"0.0.0.0","host_port":4128,"port":3128}"#), "{json}");
    assert_eq!(serde_json::from_str::<crate::input::Workload>(&json).expect("json"), *all[0]);
    let without = serde_json::to_string(&*workloads(ALONE)[0]).expect("json");
    assert!(!without.contains("published"), "a recording without published ports stays as it was: {without}");
}
