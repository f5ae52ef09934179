//! What is new about a contact, and what is learned.

use std::net::IpAddr;

use super::*;
use crate::inventory::configuration::{ServiceKey, ServiceName};

fn peer(text: &str) -> Peer {
    text.parse().expect("a peer")
}

fn reaches(peer_text: &str, port: u16) -> Dealing<'static> {
    let peer = peer(peer_text);
    Dealing {
        way: Way::Reaches,
        peer,
        name: None,
        protocol: Protocol::TCP,
        port,
        speaks: &["tls"],
        ja4: Some("t13d_a"),
    }
}

fn hour(hour: i64) -> Timestamp {
    Timestamp::from_secs(1_000_000 + hour * 3600)
}

fn web() -> ServiceKey {
    ServiceKey::new(ServiceName::Name("web".into()), "shop/web")
}

fn learned(contacts: &[(i64, Dealing<'_>)]) -> TrafficBaseline {
    let mut traffic = TrafficBaseline::default();
    for (at, dealing) in contacts {
        assert!(traffic.learn(hour(*at), dealing));
    }
    traffic
}

#[test]
fn what_was_learned_is_not_new_and_everything_else_is_by_its_kind() {
    let traffic = learned(&[(0, reaches("domain a.example", 443)), (1, reaches("domain a.example", 443))]);
    assert_eq!(traffic.novelty(&reaches("domain a.example", 443)), None);
    assert_eq!(traffic.novelty(&reaches("domain b.example", 443)), Some(Novelty::Peer));
    let ports = vec![Ports::one(Protocol::TCP, 443)];
    assert_eq!(traffic.novelty(&reaches("domain a.example", 22)), Some(Novelty::Port(ports)));
    let ssh = Dealing { speaks: &["ssh"], ..reaches("domain a.example", 443) };
    assert!(matches!(traffic.novelty(&ssh), Some(Novelty::Speaks("ssh", known)) if known.to_string() == "tls"));
    let other = Dealing { ja4: Some("t13d_b"), ..reaches("domain a.example", 443) };
    assert!(matches!(traffic.novelty(&other), Some(Novelty::Fingerprint(known)) if known.to_string() == "t13d_a"));
    let silent = Dealing { speaks: &[], ja4: None, ..reaches("domain a.example", 443) };
    assert_eq!(traffic.novelty(&silent), None, "what said nothing is not new");
}

#[test]
fn a_listener_is_new_by_its_port_and_a_known_one_by_who_asks() {
    let asked = |peer_text: &str, port| Dealing { way: Way::Listens, ..reaches(peer_text, port) };
    let traffic = learned(&[(0, asked("service proxy (traefik)", 80))]);
    assert_eq!(traffic.novelty(&asked("service proxy (traefik)", 80)), None);
    assert_eq!(traffic.novelty(&asked("service proxy (traefik)", 4444)), Some(Novelty::Listener));
    assert_eq!(traffic.novelty(&asked("outside", 80)), Some(Novelty::Peer));
    let ssh = Dealing { speaks: &["ssh"], ..asked("service proxy (traefik)", 80) };
    assert_eq!(traffic.novelty(&ssh), None, "what is said there, the peer says");
}

#[test]
fn eight_ephemeral_ports_of_one_peer_are_a_range_and_seven_are_not() {
    let of =
        |many: u16| (0..many).map(|port| (0, reaches("domain ftp.example", 40_000 + port * 7))).collect::<Vec<_>>();
    let seven = learned(&[of(7), vec![(0, reaches("domain ftp.example", 21))]].concat());
    assert_eq!(seven.len(), 8);
    assert!(matches!(seven.novelty(&reaches("domain ftp.example", 50_000)), Some(Novelty::Port(_))));
    let eight = learned(&[of(8), vec![(0, reaches("domain ftp.example", 21))]].concat());
    assert_eq!(eight.len(), 2);
    assert_eq!(eight.novelty(&reaches("domain ftp.example", 50_000)), None);
    assert!(matches!(eight.novelty(&reaches("domain ftp.example", 8080)), Some(Novelty::Port(_))));
    assert_eq!(eight.rows().map(|row| row.facts.seen.contacts).sum::<u64>(), 9);
}

#[test]
fn names_below_a_domain_are_kept_until_there_are_too_many() {
    let names: Vec<String> = (0..=MAX_NAMES).map(|number| format!("c{number}.cdn.example")).collect();
    let below = |name| (0, Dealing { name: Some(name), ..reaches("domain cdn.example", 443) });
    let all: Vec<_> = names.iter().map(|name| below(name.as_str())).collect();
    let few = learned(&all[..MAX_NAMES]);
    assert!(few.rows().all(|row| matches!(&row.facts.names, KnownTexts::These(these) if these.len() == MAX_NAMES)));
    let many = learned(&all);
    assert_eq!((many.len(), many.rows().next().map(|row| row.facts.names)), (1, Some(KnownTexts::Any)));
}

#[test]
fn a_wider_network_that_a_person_wrote_holds_the_addresses_in_it() {
    let mut traffic = TrafficBaseline::default();
    let ports = Ports::one(Protocol::TCP, 5432);
    let row = Row { way: Way::Reaches, peer: peer("network 10.0.0.0/8"), ports, facts: Facts::default() };
    assert!(traffic.insert(row));
    assert_eq!(traffic.novelty(&reaches("network 10.4.5.6/32", 5432)), None);
    assert_eq!(traffic.novelty(&reaches("network 11.4.5.6/32", 5432)), Some(Novelty::Peer));
}

#[test]
fn what_is_in_doubt_is_held_back_and_the_rest_is_in_force() {
    let mut learner = TrafficLearner::default();
    let (good, bad) = ("198.51.100.7".parse().expect("an address"), "203.0.113.9".parse().expect("an address"));
    for at in 0..3 {
        learner.apply(hour(at), &web(), &reaches("domain a.example", 443), good);
        learner.apply(hour(at), &web(), &reaches("network 203.0.113.0/24", 4444), bad);
    }
    let doubt = Doubt { address: Some(bad), unnamed_only: false, since: hour(0), reason: "miner".into() };
    learner.doubt(&web(), doubt);
    let finished = learner.finish();
    let [web] = &finished[..] else { panic!("{finished:?}") };
    assert_eq!(
        web.traffic.rows().map(|row| row.to_string()).collect::<Vec<_>>(),
        ["reaches domain a.example at 443/tcp"]
    );
    let held: Vec<_> = web.held_back.iter().map(|(row, why)| format!("{row}: {why}")).collect();
    assert_eq!(held, ["reaches network 203.0.113.0/24 at 4444/tcp: miner"]);
    assert_eq!(web.traffic.learned.map(|learned| (learned.starts, learned.contacts)), Some((0, 6)));
}

#[test]
fn many_doubts_about_others_do_not_hide_one_more() {
    let mut learner = TrafficLearner::default();
    let address = |number: u32| IpAddr::from(number.to_be_bytes());
    learner.apply(hour(0), &web(), &reaches("network 203.0.113.0/24", 4444), address(999));
    for number in (0..300).chain([999]) {
        let doubt =
            Doubt { address: Some(address(number)), unnamed_only: false, since: hour(0), reason: "scan".into() };
        learner.doubt(&web(), doubt);
    }
    let finished = learner.finish();
    let [web] = &finished[..] else { panic!("{finished:?}") };
    assert_eq!((web.traffic.len(), web.held_back.len()), (0, 1));
}

#[test]
fn a_peer_of_one_burst_in_more_than_a_day_is_held_back_and_of_a_shorter_learning_not() {
    let held = |hours: i64| {
        let mut learner = TrafficLearner::default();
        let ip = "198.51.100.7".parse().expect("an address");
        for at in 0..=hours {
            learner.apply(hour(at), &web(), &reaches("domain a.example", 443), ip);
        }
        learner.apply(hour(1), &web(), &reaches("domain once.example", 443), ip);
        learner
            .finish()
            .iter()
            .flat_map(|one| one.held_back.iter().map(|(row, _)| row.peer.to_string()))
            .collect::<Vec<_>>()
    };
    assert!(held(20).is_empty());
    assert_eq!(held(25), ["domain once.example"]);
}

#[test]
fn rows_are_bounded_and_what_found_no_room_is_counted() {
    let mut learner = TrafficLearner::default();
    let ip = "10.0.0.1".parse().expect("an address");
    for port in 0..=u16::try_from(MAX_ROWS).expect("a port") {
        learner.apply(hour(0), &web(), &reaches("network 10.0.0.1/32", port), ip);
    }
    let finished = learner.finish();
    let counts = finished.first().and_then(|one| one.traffic.learned);
    assert_eq!(counts.map(|counts| (counts.contacts, counts.left_out)), Some((1024, 1)));
}
