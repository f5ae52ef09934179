//! Flow records as they are written: everything that a record can hold, from hostile senders too.

use std::sync::Arc;

use hopwatch::escape::printable;
use hopwatch::export::{FlowFormat, ZEEK_FIELDS, json_schema};
use hopwatch::input::{
    AppFacts, ConnState, Counters, DnsMessage, EchoFacts, EndReason, Endpoint, FiveTuple, FlowId, FlowRecord, History,
    HttpRequest, Mac, Magic, ObservationPoint, OpenVpn, OpenVpnProtection, OpenVpnReset, Protocol, ProxyHeader,
    QuicInitial, Side, SocksRequest, TcpFacts, TlsHello, Tunnel, TunnelKind,
};
use hopwatch::time::Timestamp;
use serde_json::{Value, json};

/// Text as a sender may choose it: terminal escapes, line breaks, separators, quotes, an override of direction.
const HOSTILE: &str = "a\u{1b}[2J\r\n\",;\t\u{202e}=é\u{9b}\0";

fn end(ip: &str, port: u16) -> Endpoint {
    Endpoint { ip: ip.parse().expect("an address"), port }
}

fn counters(packets: u64) -> Counters {
    Counters { packets, frame_bytes: packets * 100, ip_bytes: packets * 86, payload_bytes: packets * 46 }
}

fn history(letters: &str) -> History {
    let mut history = History::default();
    letters.bytes().for_each(|letter| history.push(letter));
    history
}

/// A record that holds everything at once.
fn whole() -> FlowRecord {
    let text = || HOSTILE.to_owned();
    let app = AppFacts {
        tls: Some(TlsHello {
            sni: Some(text()),
            alpn: vec!["h2".to_owned(), text()],
            ja4: Some("t13d1516h2_8daaf6152771_b186095e22b6".to_owned()),
        }),
        quic: Some(QuicInitial { version: 1 }),
        dns: vec![
            DnsMessage { query: text(), kind: "A".into(), rcode: None },
            DnsMessage { query: text(), kind: "A".into(), rcode: Some("NXDOMAIN".into()) },
        ],
        http: Some(HttpRequest {
            method: "CONNECT".to_owned(),
            host: Some(text()),
            connect: Some(text()),
            ..HttpRequest::default()
        }),
        socks: Some(SocksRequest { version: 5, command: "connect".to_owned(), target: text() }),
        ssh: Some(text()),
        proxy: Some(ProxyHeader {
            version: 2,
            source: Some(("2001:db8::1".parse().expect("an address"), 1)),
            destination: None,
        }),
        dns_more: 744,
        magic: Some(Magic::Bittorrent),
        mining: Some("mining.subscribe".into()),
        looks_encrypted: true,
        openvpn: Some(OpenVpn { reset: OpenVpnReset::ClientV2, protection: OpenVpnProtection::TlsAuth }),
        echo: Some(EchoFacts { odd_replies: 4, unasked_replies: 1 }),
    };
    FlowRecord {
        id: FlowId(7),
        point: ObservationPoint::new(HOSTILE),
        tuple: FiveTuple { protocol: Protocol::TCP, orig: end("192.0.2.1", 40_000), resp: end("198.51.100.2", 443) },
        start: Timestamp::from_nanos(1_764_000_000_000_000_001),
        end: Timestamp::from_nanos(1_764_000_001_500_000_001),
        orig: Side {
            mac: Some(Mac([2, 0x42, 0xac, 0x11, 0, 2])),
            next_hop: Some(Mac([2, 0x42, 0, 0, 0, 1])),
            counters: counters(3),
        },
        resp: Side { mac: None, next_hop: None, counters: counters(2) },
        vlans: vec![100, 200],
        fragments: 2,
        tunnels: vec![Tunnel {
            kind: TunnelKind::Vxlan,
            id: Some(42),
            src: "203.0.113.1".parse().expect("an address"),
            dst: "203.0.113.2".parse().expect("an address"),
        }],
        tcp: Some(TcpFacts { orig_flags: 0x1b, resp_flags: 0xff, state: ConnState::SF, history: history("ShADadfF") }),
        app: Some(Arc::new(app)),
        rare: None,
    }
}

/// A record with nothing but what each has.
fn bare(protocol: Protocol) -> FlowRecord {
    let tcp = (protocol == Protocol::TCP).then(TcpFacts::default);
    FlowRecord {
        tuple: FiveTuple { protocol, ..whole().tuple },
        tcp,
        app: None,
        rare: None,
        vlans: Vec::new(),
        tunnels: Vec::new(),
        ..whole()
    }
}

fn written(format: FlowFormat, records: &[FlowRecord]) -> String {
    let mut out = Vec::new();
    {
        let mut writer = format.writer(&mut out, None);
        for record in records {
            writer.record(record.end, record, EndReason::EndOfFlow, None).expect("a buffer takes all");
        }
        writer.finish().expect("a buffer takes all");
    }
    String::from_utf8(out).expect("UTF-8")
}

fn json_of(record: &FlowRecord) -> Value {
    serde_json::from_str(&written(FlowFormat::Jsonl, std::slice::from_ref(record))).expect("JSON")
}

#[test]
fn the_published_schema_is_current() {
    let schema = serde_json::to_string_pretty(&json_schema()).expect("JSON") + "\n";
    crate::support::assert_current("docs/flow.schema.json", &schema);
}

#[test]
fn everything_a_record_can_hold_fits_the_schema() {
    let validator = jsonschema::validator_for(&json_schema()).expect("a valid JSON Schema");
    let kinds = [
        TunnelKind::IpInIp,
        TunnelKind::SixInFour,
        TunnelKind::Gre,
        TunnelKind::Erspan,
        TunnelKind::Vxlan,
        TunnelKind::Geneve,
        TunnelKind::GtpU,
        TunnelKind::Teredo,
        TunnelKind::Wireguard,
        TunnelKind::Esp,
    ];
    let tunnelled = kinds.map(|kind| FlowRecord { tunnels: vec![Tunnel { kind, ..whole().tunnels[0] }], ..whole() });
    let plain = [whole(), bare(Protocol::TCP), bare(Protocol::UDP), bare(Protocol(200))];
    for record in plain.iter().chain(&tunnelled) {
        let json = json_of(record);
        let errors: Vec<_> = validator.iter_errors(&json).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{errors:?}\n{json}");
    }
}

#[test]
fn json_holds_everything_exactly() {
    let flow = json_of(&whole());
    assert_eq!(flow["schema"], "hopwatch.flow/1");
    assert_eq!(flow["observation_point"], HOSTILE);
    assert_eq!(
        (&flow["start"], &flow["end"]),
        (&json!("2025-11-24T16:00:00.000000001Z"), &json!("2025-11-24T16:00:01.500000001Z"))
    );
    let orig = json!({"ip": "192.0.2.1", "port": 40_000, "mac": "02:42:ac:11:00:02", "next_hop": "02:42:00:00:00:01",
                      "packets": 3, "frame_bytes": 300, "ip_bytes": 258, "payload_bytes": 138});
    assert_eq!(flow["orig"], orig);
    assert!(flow["resp"].get("mac").is_none() && flow["resp"].get("next_hop").is_none());
    assert_eq!(
        (&flow["vlans"], &flow["fragments"], &flow["end_reason"]),
        (&json!([100, 200]), &json!(2), &json!("end_of_flow"))
    );
    assert_eq!(flow["tunnels"], json!([{"type": "vxlan", "vni": 42, "src": "203.0.113.1", "dst": "203.0.113.2"}]));
    assert_eq!(
        flow["tcp"],
        json!({"state": "SF", "history": "ShADadfF", "flags": {"orig": "SAPF", "resp": "SAPFRUEC"}})
    );
    assert_eq!(flow["tls"]["sni"], HOSTILE);
    assert_eq!(flow["tls"]["alpn"], json!(["h2", HOSTILE]));
    assert_eq!(flow["dns"][1], json!({"query": HOSTILE, "type": "A", "rcode": "NXDOMAIN"}));
    assert_eq!(flow["http"], json!({"method": "CONNECT", "host": HOSTILE, "connect": HOSTILE}));
    assert_eq!(flow["socks"], json!({"version": 5, "command": "connect", "target": HOSTILE}));
    assert_eq!((&flow["ssh"], &flow["quic"]), (&json!(HOSTILE), &json!({"version": 1})));
    assert_eq!(flow["proxy"], json!({"version": 2, "source": ["2001:db8::1", 1]}));
    assert_eq!(flow["dns_more"], 744);
    assert_eq!(flow["openvpn"], json!({"reset": "client_v2", "protection": "tls_auth"}));
    assert_eq!(flow["echo"], json!({"odd_replies": 4, "unasked_replies": 1}));
}

#[test]
fn what_was_not_seen_is_left_out() {
    let flow = json_of(&bare(Protocol::UDP));
    let keys: Vec<_> = flow.as_object().expect("an object").keys().map(String::as_str).collect();
    let expected = [
        "community_id",
        "end",
        "end_reason",
        "fragments",
        "observation_point",
        "orig",
        "protocol",
        "resp",
        "schema",
        "start",
    ];
    let mut sorted = keys.clone();
    sorted.sort_unstable();
    assert_eq!(sorted, expected);
}

#[test]
fn a_tunnels_identifier_has_its_own_name() {
    for (kind, key) in [
        (TunnelKind::Gre, Some("key")),
        (TunnelKind::Erspan, Some("session")),
        (TunnelKind::Geneve, Some("vni")),
        (TunnelKind::GtpU, Some("teid")),
        (TunnelKind::Esp, Some("spi")),
        (TunnelKind::Wireguard, Some("receiver")),
        (TunnelKind::Teredo, None),
    ] {
        let record = FlowRecord { tunnels: vec![Tunnel { kind, ..whole().tunnels[0] }], ..whole() };
        let mut tunnel = json_of(&record)["tunnels"][0].as_object().expect("an object").clone();
        let id = key.and_then(|key| tunnel.remove(key));
        assert_eq!(id, key.map(|_| json!(42)), "{kind:?}");
        assert_eq!(tunnel.len(), 3, "{tunnel:?}");
    }
}

#[test]
fn lines_stay_lines_whatever_a_sender_says() {
    let records = [whole(), bare(Protocol::UDP), whole()];
    assert_eq!(written(FlowFormat::Jsonl, &records).lines().count(), 3);
    assert_eq!(written(FlowFormat::Text, &records).lines().count(), 4);
    for format in [FlowFormat::Jsonl, FlowFormat::Text, FlowFormat::Zeek] {
        let text = written(format, &records);
        let hostile = |c: char| c.is_control() && c != '\n' && (c != '\t' || format != FlowFormat::Zeek);
        let found: Vec<_> = text.chars().filter(|c| hostile(*c)).collect();
        assert!(found.is_empty(), "{format:?}: {found:?}");
        assert!(!text.contains('\u{202e}'), "{format:?}");
    }
}

#[test]
fn csv_gives_every_text_back_with_what_a_terminal_obeys_as_escapes() {
    let text = written(FlowFormat::Csv, &[whole(), bare(Protocol::UDP)]);
    let mut reader = csv::Reader::from_reader(text.as_bytes());
    let head = reader.headers().expect("a head line").clone();
    let rows: Vec<_> = reader.records().map(|row| row.expect("as many fields as the head")).collect();
    let field = |row: usize, name: &str| {
        rows[row].get(head.iter().position(|column| column == name).expect(name)).expect(name).to_owned()
    };
    for column in ["observation_point", "tls_sni", "dns_query", "http_host", "http_connect", "socks_target", "ssh"] {
        assert_eq!(field(0, column), printable(HOSTILE), "{column}");
    }
    for (column, value) in [
        ("vlans", "100 200"),
        ("tunnels", "vxlan:42"),
        ("dns_rcode", "NXDOMAIN"),
        ("dns_messages", "2"),
        ("tcp_resp_flags", "SAPFRUEC"),
        ("proxy_source", "[2001:db8::1]:1"),
        ("quic_version", "1"),
        ("dns_more", "744"),
        ("openvpn_protection", "tls_auth"),
        ("echo_unasked_replies", "1"),
        ("orig_next_hop", "02:42:00:00:00:01"),
        ("resp_next_hop", ""),
    ] {
        assert_eq!(field(0, column), value, "{column}");
    }
    assert_eq!((field(1, "tls_sni"), field(1, "tcp_state"), rows.len()), (String::new(), String::new(), 2));
}

#[test]
fn conn_log_names_services_and_numbers() {
    let text = written(FlowFormat::Zeek, &[whole()]);
    let row = text.lines().find(|line| !line.starts_with('#')).expect("a row");
    let expected = "1764000000.000000\tC00000000007\t192.0.2.1\t40000\t198.51.100.2\t443\ttcp\tdns,http,quic,socks,ssh,ssl\t1.500000\t138\t92\tSF\tT\tT\t-\tShADadfF\t3\t258\t2\t172\t-\t6";
    assert_eq!(row, expected);
    assert_eq!(expected.split('\t').count(), ZEEK_FIELDS.len());
    assert!(text.contains("\n#open\t2025-11-24-16-00-01\n") && text.ends_with("\n#close\t2025-11-24-16-00-01\n"));
}

#[test]
fn no_records_are_a_valid_file_in_every_form() {
    assert_eq!(written(FlowFormat::Jsonl, &[]), "");
    assert_eq!(written(FlowFormat::Csv, &[]).lines().count(), 1);
    assert!(written(FlowFormat::Zeek, &[]).contains("\n#fields\tts\tuid\t"));
}
