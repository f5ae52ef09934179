//! What was encoded is decoded again by a reader that knows RFC 7011 and nothing of the writer's table.

use std::collections::HashMap;
use std::net::{Ipv4Addr, Ipv6Addr};

use proptest::prelude::*;

use super::*;
use crate::input::{Endpoint, Protocol};

/// Enterprise number (0: IANA's), number, length.
type Template = Vec<(u32, u16, u16)>;
type Values = HashMap<(u32, u16), Vec<u8>>;

/// A collector: templates by their number, and what came.
#[derive(Default)]
struct Collector {
    templates: HashMap<u16, Template>,
    records: Vec<Values>,
    /// Sequence number, data records and export time of each message.
    messages: Vec<(u32, u32, u32)>,
}

/// A number of so many bytes.
fn number<const N: usize, T: TryFrom<u64>>(bytes: &mut &[u8]) -> T {
    let (first, rest) = bytes.split_at(N);
    *bytes = rest;
    T::try_from(number_of(first)).ok().expect("it fits")
}

fn take<'a>(bytes: &mut &'a [u8], length: usize) -> &'a [u8] {
    let (first, rest) = bytes.split_at(length);
    *bytes = rest;
    first
}

impl Collector {
    fn take(&mut self, message: &[u8]) {
        let mut bytes = message;
        assert_eq!((number::<2, _>(&mut bytes), number::<2, _>(&mut bytes)), (10, message.len()));
        let (at, sequence) = (number::<4, _>(&mut bytes), number::<4, _>(&mut bytes));
        let domain: u32 = number::<4, _>(&mut bytes);
        assert_eq!(domain, 1);
        let before = self.records.len();
        while !bytes.is_empty() {
            let (id, length): (u16, usize) = (number::<2, _>(&mut bytes), number::<2, _>(&mut bytes));
            let set = take(&mut bytes, length - 4);
            if id == 2 { self.learn(set) } else { self.read(id, set) }
        }
        let count = u32::try_from(self.records.len() - before).expect("few");
        self.messages.push((sequence, count, at));
    }

    fn learn(&mut self, mut set: &[u8]) {
        while !set.is_empty() {
            let (id, count): (u16, u16) = (number::<2, _>(&mut set), number::<2, _>(&mut set));
            let field = |_| {
                let (element, length): (u16, u16) = (number::<2, _>(&mut set), number::<2, _>(&mut set));
                let enterprise = if element & 0x8000 == 0 { 0 } else { number::<4, _>(&mut set) };
                (enterprise, element & 0x7fff, length)
            };
            let fields = (0..count).map(field).collect();
            self.templates.insert(id, fields);
        }
    }

    fn read(&mut self, id: u16, mut set: &[u8]) {
        while !set.is_empty() {
            let template = &self.templates[&id];
            let mut values = Values::new();
            for (enterprise, element, length) in template {
                let length = if *length == u16::MAX { number::<1, _>(&mut set) } else { usize::from(*length) };
                assert_ne!(length, 255, "a longer form, which no text needs");
                let known = values.insert((*enterprise, *element), take(&mut set, length).to_vec());
                assert!(known.is_none(), "an element twice in one template");
            }
            self.records.push(values);
        }
    }
}

fn uint(values: &Values, key: (u32, u16)) -> u64 {
    number_of(&values[&key])
}

fn number_of(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |all, byte| (all << 8) | u64::from(*byte))
}

fn text_of(values: &Values, element: u16) -> String {
    String::from_utf8(values[&(7, element)].clone()).expect("UTF-8")
}

/// What a flow is, owned.
#[derive(Clone, Debug)]
struct Flow {
    at: u32,
    took: u16,
    tuple: FiveTuple,
    orig: (u64, u64),
    resp: (u64, u64),
    texts: [String; 4],
}

fn flows() -> impl Strategy<Value = Vec<Flow>> {
    let end = |v6: bool, host: u32, port: u16| Endpoint {
        ip: if v6 { Ipv6Addr::from_bits(u128::from(host) << 64).into() } else { Ipv4Addr::from_bits(host).into() },
        port,
    };
    let tuple = (any::<bool>(), any::<[u32; 2]>(), any::<[u16; 2]>(), any::<u8>()).prop_map(
        move |(v6, hosts, ports, protocol)| FiveTuple {
            protocol: Protocol(protocol),
            orig: end(v6, hosts[0], ports[0]),
            resp: end(v6, hosts[1], ports[1]),
        },
    );
    let texts = prop::array::uniform4(prop_oneof!["[a-z.]{0,20}", "\\PC{0,300}", any::<String>()]);
    let flow = (any::<u32>(), any::<u16>(), tuple, any::<(u64, u64)>(), any::<(u64, u64)>(), texts);
    let flow = flow.prop_map(|(at, took, tuple, orig, resp, texts)| Flow { at, took, tuple, orig, resp, texts });
    prop::collection::vec(flow, 0..60)
}

fn push(exporter: &mut Exporter, flow: &Flow) {
    let [name, workload, contract, destination] = &flow.texts;
    let start = Timestamp::from_secs(flow.at.into());
    let end = start.plus(Duration::from_millis(flow.took.into()));
    exporter.push(
        end,
        &Record {
            start,
            end,
            tuple: flow.tuple,
            orig: flow.orig,
            resp: flow.resp,
            tcp: None,
            end_reason: Some(EndReason::EndOfFlow),
            point: "br-net",
            community_id: "1:x",
            name,
            judged: Judged {
                verdict: "verified",
                contract,
                workload,
                destination_workload: destination,
                ..Judged::default()
            },
        },
    );
}

/// All messages, taken as they are ready.
fn exported(exporter: &mut Exporter, flows: &[Flow]) -> Vec<Vec<u8>> {
    let mut messages = Vec::new();
    for flow in flows {
        push(exporter, flow);
        messages.extend(std::iter::from_fn(|| exporter.take()));
    }
    exporter.finish();
    messages.extend(std::iter::from_fn(|| exporter.take()));
    messages
}

fn is_as_told(values: &Values, flow: &Flow, content: Content) {
    let (packets, bytes) = if content == Content::Flows { (2, 1) } else { (86, 85) };
    assert_eq!((uint(values, (0, packets)), uint(values, (0, bytes))), flow.orig);
    assert_eq!((uint(values, (29_305, packets)), uint(values, (29_305, bytes))), flow.resp);
    assert_eq!(uint(values, (0, 152)), u64::from(flow.at) * 1000);
    assert_eq!(uint(values, (0, 153)), u64::from(flow.at) * 1000 + u64::from(flow.took));
    assert_eq!(uint(values, (0, 4)), u64::from(flow.tuple.protocol.0));
    let address = |v4, v6| match values.get(&(0, v4)) {
        Some(bytes) => IpAddr::from(<[u8; 4]>::try_from(&bytes[..]).expect("four")),
        None => IpAddr::from(<[u8; 16]>::try_from(&values[&(0, v6)][..]).expect("sixteen")),
    };
    let port = |element| u16::try_from(uint(values, (0, element))).expect("two bytes");
    let (orig, resp) =
        (Endpoint { ip: address(8, 27), port: port(7) }, Endpoint { ip: address(12, 28), port: port(11) });
    assert_eq!((orig, resp), (flow.tuple.orig, flow.tuple.resp));
    let is_beginning = |element: u16, whole: &str| {
        let text = text_of(values, element);
        assert!(
            crate::escape::printable(whole).starts_with(&text)
                && (text.len() >= 97 || text == crate::escape::printable(whole))
        );
        assert!(!text.contains(crate::escape::is_obeyed), "{text:?}");
    };
    is_beginning(2, &flow.texts[0]);
    if content == Content::JudgedFlows {
        is_beginning(20, &flow.texts[1]);
        is_beginning(12, &flow.texts[2]);
        is_beginning(23, &flow.texts[3]);
        assert_eq!((text_of(values, 10), text_of(values, 11)), ("verified".to_owned(), String::new()));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn what_was_encoded_is_decoded_again_and_the_sequence_counts_records(
        flows in flows(),
        is_judged: bool,
        is_udp: bool,
    ) {
        let content = if is_judged { Content::JudgedFlows } else { Content::Flows };
        let carrier = if is_udp { Carrier::Datagrams } else { Carrier::Stream };
        let mut exporter = Exporter::new(content, carrier, 7);
        let mut collector = Collector::default();
        for message in exported(&mut exporter, &flows) {
            let longest = if is_udp { 1_232 } else { 8_192 };
            prop_assert!(message.len() <= longest);
            collector.take(&message);
        }
        prop_assert_eq!(collector.records.len(), flows.len());
        collector.records.iter().zip(&flows).for_each(|(values, flow)| is_as_told(values, flow, content));
        let mut sum = 0;
        for (sequence, count, _) in &collector.messages {
            prop_assert_eq!(*sequence, sum);
            sum += count;
        }
        prop_assert!(collector.messages.is_sorted_by_key(|(.., at)| *at), "the export time never goes back");
        prop_assert_eq!(collector.templates.len(), 2, "also where there is no record");
    }
}

fn one(at: u32) -> Flow {
    let end = |host| Endpoint { ip: Ipv4Addr::new(10, 0, 0, host).into(), port: 80 };
    let tuple = FiveTuple { protocol: Protocol::TCP, orig: end(1), resp: end(2) };
    Flow { at, took: 0, tuple, orig: (1, 2), resp: (3, 4), texts: Default::default() }
}

fn has_templates(message: &[u8]) -> bool {
    message[16..18] == [0, 2]
}

/// Which of the messages hold templates, when each flow is a message.
fn templates(carrier: Carrier, flows: &[Flow]) -> Vec<bool> {
    let mut exporter = Exporter::new(Content::Flows, carrier, 7);
    let mut messages = Vec::new();
    for flow in flows {
        push(&mut exporter, flow);
        exporter.flush();
        messages.extend(std::iter::from_fn(|| exporter.take()));
    }
    messages.iter().map(|message| has_templates(message)).collect()
}

#[test]
fn templates_come_again_in_datagrams_after_twenty_messages_or_ten_minutes_and_once_in_a_stream() {
    let at_once = vec![one(1000); 45];
    let places = |of: Vec<bool>| of.iter().enumerate().filter(|(_, has)| **has).map(|(at, _)| at).collect::<Vec<_>>();
    assert_eq!(places(templates(Carrier::Datagrams, &at_once)), [0, 21, 42]);
    assert_eq!(places(templates(Carrier::Stream, &at_once)), [0]);
    let slowly: Vec<Flow> = [0, 599, 600, 1199, 1300].map(one).into();
    assert_eq!(places(templates(Carrier::Datagrams, &slowly)), [0, 3, 6]);
}

#[test]
fn a_new_session_begins_with_templates_and_a_sequence_of_0_and_says_what_was_lost() {
    let mut exporter = Exporter::new(Content::Flows, Carrier::Stream, 7);
    push(&mut exporter, &one(1));
    exporter.flush();
    push(&mut exporter, &one(2));
    assert_eq!(exporter.restart(), 2, "one in a message that is whole, one in a message that is not");
    let messages = exported(&mut exporter, &[one(3)]);
    let mut collector = Collector::default();
    for message in &messages {
        collector.take(message);
    }
    assert_eq!(collector.messages, [(0, 0, 3), (0, 1, 3)]);
    assert_eq!(collector.records.len(), 1);
}
