//! Names and their addresses: what an answer says of the name that its flow asked for, and of no other.

use std::net::IpAddr;

use hopwatch::input::NameAnswer;

use super::*;
use crate::support::payloads::dns_name;

const A: u16 = 1;
const CNAME: u16 = 5;
const AAAA: u16 = 28;
const HTTPS: u16 = 65;

/// A record: owner (on the wire), type, time to live, data.
type Record = (Vec<u8>, u16, u32, Vec<u8>);

/// The name of the question, as a pointer.
fn asked() -> Vec<u8> {
    vec![0xc0, 12]
}

fn answer(query: &[u8], records: &[Record]) -> Vec<u8> {
    let mut answer = query.to_vec();
    (answer[2], answer[3]) = (answer[2] | 0x80, 0x80);
    answer[7] = u8::try_from(records.len()).unwrap();
    for (owner, kind, ttl, data) in records {
        let len = u16::try_from(data.len()).unwrap();
        answer.extend([owner, &kind.to_be_bytes()[..], &[0, 1], &ttl.to_be_bytes(), &len.to_be_bytes(), data].concat());
    }
    answer
}

impl Talk {
    fn answered(self) -> Vec<NameAnswer> {
        let answers = self.out.into_iter().filter_map(|input| match input.fact {
            Fact::Answer(answer) => Some(*answer),
            _ => None,
        });
        answers.collect()
    }
}

fn over_udp(kind: u16, records: &[Record]) -> Vec<NameAnswer> {
    let query = dns_query("WWW.example.com", kind);
    let mut talk = Talk::new(53);
    talk.sends(&query);
    talk.gets(&answer(&query, records));
    talk.answered()
}

fn ips(texts: &[&str]) -> Vec<IpAddr> {
    texts.iter().map(|text| text.parse().unwrap()).collect()
}

fn v6(text: &str) -> Vec<u8> {
    text.parse::<std::net::Ipv6Addr>().unwrap().octets().to_vec()
}

#[test]
fn addresses_have_the_name_that_was_asked_for_at_the_end_of_a_chain_too() {
    let target = || dns_name("Edge.cdn.example");
    let cases: Vec<(u16, Vec<Record>, Vec<IpAddr>, u32)> = vec![
        (
            A,
            vec![(asked(), A, 60, vec![192, 0, 2, 7]), (asked(), A, 30, vec![192, 0, 2, 8])],
            ips(&["192.0.2.7", "192.0.2.8"]),
            30,
        ),
        (AAAA, vec![(asked(), AAAA, 60, v6("2001:db8::7"))], ips(&["2001:db8::7"]), 60),
        (
            A,
            vec![(asked(), CNAME, 10, target()), (dns_name("edge.CDN.example"), A, 60, vec![192, 0, 2, 7])],
            ips(&["192.0.2.7"]),
            10,
        ),
        // The chain stands behind what it leads to.
        (A, vec![(target(), A, 60, vec![192, 0, 2, 7]), (asked(), CNAME, 10, target())], ips(&["192.0.2.7"]), 10),
        // Another name's addresses are nobody's.
        (A, vec![(dns_name("bank.example"), A, 60, vec![192, 0, 2, 7])], vec![], 0),
        (A, vec![(asked(), CNAME, 10, target()), (dns_name("bank.example"), A, 60, vec![192, 0, 2, 7])], vec![], 0),
        // A chain that bites its tail comes to an end.
        (A, vec![(asked(), CNAME, 10, asked())], vec![], 0),
        // Block lists.
        (A, vec![(asked(), A, 60, vec![0, 0, 0, 0])], vec![], 0),
        (A, vec![(asked(), A, 60, vec![192, 0, 2])], vec![], 0),
    ];
    for (kind, records, addresses, ttl) in cases {
        let found = over_udp(kind, &records);
        let expected = (!addresses.is_empty()).then_some((addresses, ttl));
        let seen = found.first().map(|one| (one.addresses.to_vec(), one.ttl));
        assert_eq!(seen, expected, "{records:?}");
        assert!(found.iter().all(|one| &*one.name == "www.example.com" && one.asker == IpAddr::from(CLIENT)));
    }
}

#[test]
fn hints_of_service_bindings_are_addresses() {
    let hints = [vec![0, 1, 0], vec![0, 1, 0, 3, 2, b'h', b'2'], vec![0, 4, 0, 8, 192, 0, 2, 7, 192, 0, 2, 8]].concat();
    let hints = [hints, vec![0, 6, 0, 16], v6("2001:db8::7")].concat();
    let found = over_udp(HTTPS, &[(asked(), HTTPS, 300, hints)]);
    assert_eq!(found[0].addresses.to_vec(), ips(&["192.0.2.7", "192.0.2.8", "2001:db8::7"]));
}

#[test]
fn an_answer_that_the_flow_did_not_ask_for_names_nothing() {
    let query = dns_query("www.example.com", A);
    let reply = answer(&query, &[(asked(), A, 60, vec![192, 0, 2, 7])]);
    let mut unasked = Talk::new(53);
    unasked.gets(&reply);
    assert!(unasked.answered().is_empty());
    let mut other = Talk::new(53);
    other.sends(&dns_query("other.example.com", A));
    other.gets(&reply);
    assert!(other.answered().is_empty());
    let mut by_the_client = Talk::new(53);
    by_the_client.sends(&query);
    by_the_client.sends(&reply);
    assert!(by_the_client.answered().is_empty());
}

#[test]
fn each_question_of_a_flow_is_answered_at_once_over_tcp_too() {
    let queries: Vec<_> = (0..40).map(|n| dns_query(&format!("n{n}.example.com"), A)).collect();
    let mut udp = Talk::new(53);
    let mut tcp = Talk::tcp(53);
    let (mut asked_at, mut answered_at) = (0, 0);
    let prefixed = |message: &[u8]| [&u16::try_from(message.len()).unwrap().to_be_bytes(), message].concat();
    for query in &queries {
        let reply = answer(query, &[(asked(), A, 60, vec![192, 0, 2, 7])]);
        udp.sends(query);
        udp.gets(&reply);
        let (question, reply) = (prefixed(query), prefixed(&reply));
        tcp.says(asked_at, &question);
        tcp.answers(answered_at, &reply);
        asked_at += question.len();
        answered_at += u32::try_from(reply.len()).unwrap();
    }
    for talk in [udp, tcp] {
        let names: Vec<_> = talk.answered().into_iter().map(|one| one.name.to_string()).collect();
        assert_eq!(names, (0..40).map(|n| format!("n{n}.example.com")).collect::<Vec<_>>());
    }
}

#[test]
fn what_was_cut_off_is_not_missed_and_hostile_lengths_end_the_reading() {
    let query = dns_query("www.example.com", A);
    let reply = answer(&query, &[(asked(), A, 60, vec![192, 0, 2, 7]), (asked(), A, 60, vec![192, 0, 2, 8])]);
    for len in 0..reply.len() {
        let mut talk = Talk::new(53);
        talk.sends(&query);
        talk.gets(&reply[..len]);
        assert!(talk.answered().iter().all(|one| one.addresses.len() < 2), "{len}");
    }
    let mut many: Vec<Record> = (0..200).map(|n| (asked(), A, 60, vec![192, 0, 2, n])).collect();
    many.truncate(100);
    assert_eq!(over_udp(A, &many)[0].addresses.len(), 16);
}
