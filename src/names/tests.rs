//! Whose names count, how long they hold, and what makes room.

use super::*;
use crate::input::{HttpRequest, ObservationPoint, TlsHello};

fn at(secs: i64) -> Timestamp {
    Timestamp::from_secs(secs)
}

fn ip(text: &str) -> IpAddr {
    text.parse().expect("an address")
}

fn asker(text: &str) -> Asker {
    Asker::Address(ip(text))
}

fn answer(name: &str, addresses: &[&str], ttl: u32) -> NameAnswer {
    NameAnswer {
        point: ObservationPoint::new("br-net"),
        asker: ip("172.20.0.2"),
        resolver: ip("172.20.0.9"),
        name: name.into(),
        addresses: addresses.iter().map(|text| ip(text)).collect(),
        ttl,
    }
}

fn name(names: &mut Names, of: &str, to: &str, secs: i64) -> Option<(String, KnownBy)> {
    names.touch(&asker(of), ip(to), at(secs));
    names.of(&asker(of), ip(to), at(secs)).map(|known| (known.name.to_string(), known.by))
}

#[test]
fn an_address_has_the_name_that_its_own_actor_asked_for_last_before_the_flow() {
    let mut names = Names::default();
    names.learn(&asker("172.20.0.2"), &answer("A.Example.", &["198.51.100.7", "198.51.100.8"], 60), at(100));
    names.learn(&asker("172.20.0.3"), &answer("b.example", &["198.51.100.7"], 60), at(200));
    names.learn(&asker("172.20.0.2"), &answer("c.example", &["198.51.100.7"], 60), at(300));
    let own = |name: &str| Some((name.to_owned(), KnownBy::Dns));
    assert_eq!(name(&mut names, "172.20.0.2", "198.51.100.7", 100), own("a.example"));
    assert_eq!(name(&mut names, "172.20.0.2", "198.51.100.7", 299), own("a.example"), "before it asked again");
    assert_eq!(name(&mut names, "172.20.0.2", "198.51.100.7", 300), own("c.example"));
    assert_eq!(name(&mut names, "172.20.0.2", "::ffff:198.51.100.8", 300), own("a.example"));
    assert_eq!(name(&mut names, "172.20.0.2", "198.51.100.7", 99), None, "the flow was there before the answer");
    assert_eq!(name(&mut names, "172.20.0.3", "198.51.100.7", 300), own("b.example"), "each its own");
    let shared = Some(("c.example".to_owned(), KnownBy::Shared));
    assert_eq!(name(&mut names, "172.20.0.4", "198.51.100.7", 300), shared);
    assert_eq!(name(&mut names, "172.20.0.4", "198.51.100.9", 300), None);
}

#[test]
fn a_name_holds_for_twice_its_time_to_live_and_longer_while_it_is_used() {
    for (ttl, hold) in [(0, 600), (60, 600), (3600, 7200), (u32::MAX, 86_400)] {
        let mut names = Names::default();
        names.learn(&asker("172.20.0.2"), &answer("a.example", &["198.51.100.7"], ttl), at(0));
        assert!(name(&mut names, "172.20.0.2", "198.51.100.7", hold + 1).is_none(), "{ttl}");
        assert!(name(&mut names, "172.20.0.2", "198.51.100.7", hold).is_some(), "{ttl}");
        assert!(name(&mut names, "172.20.0.2", "198.51.100.7", 2 * hold).is_some(), "it is used: {ttl}");
        assert!(name(&mut names, "172.20.0.2", "198.51.100.7", 3 * hold + 1).is_none(), "{ttl}");
    }
}

#[test]
fn one_actor_takes_no_more_than_its_share_and_what_goes_is_counted() {
    let mut names = Names::default();
    names.learn(&asker("172.20.0.3"), &answer("kept.example", &["198.51.100.7"], 60), at(0));
    for n in 0..u32::try_from(MAX_OF_ONE).expect("a number") + 10 {
        let to = std::net::Ipv4Addr::from(0x0a00_0000 + n).to_string();
        names.learn(&asker("172.20.0.2"), &answer("flood.example", &[&to], 60), at(1));
    }
    assert_eq!(names.len(), [MAX_OF_ONE + 1, MAX_OF_ONE + 1, MAX_OF_ONE + 11]);
    assert_eq!(names.forgotten(), 10);
    assert!(name(&mut names, "172.20.0.3", "198.51.100.7", 2).is_some());
    assert_eq!(name(&mut names, "172.20.0.2", "10.0.0.0", 2).map(|known| known.1), Some(KnownBy::Shared));
    assert_eq!(name(&mut names, "172.20.0.2", "10.0.0.10", 2).map(|known| known.1), Some(KnownBy::Dns));
}

#[test]
fn what_a_flow_says_itself_is_a_name_unless_it_is_an_address_or_for_a_proxy() {
    let hello = |sni: &str| AppFacts {
        tls: Some(TlsHello { sni: Some(sni.into()), ..TlsHello::default() }),
        ..AppFacts::default()
    };
    let get = |host: Option<&str>, connect: Option<&str>| AppFacts {
        http: Some(HttpRequest {
            host: host.map(str::to_owned),
            connect: connect.map(str::to_owned),
            ..HttpRequest::default()
        }),
        ..AppFacts::default()
    };
    for (app, said) in [
        (hello("WWW.Example"), Some(("www.example", KnownBy::Sni))),
        (hello("198.51.100.7"), None),
        (hello(""), None),
        (get(Some("www.example:8080"), None), Some(("www.example", KnownBy::Host))),
        (get(Some("www.example."), None), Some(("www.example", KnownBy::Host))),
        (get(Some("198.51.100.7:80"), None), None),
        (get(Some("[2001:db8::7]:80"), None), None),
        (get(Some("www.example"), Some("www.example:443")), None),
        (get(None, None), None),
        (get(Some(&"a".repeat(254)), None), None),
    ] {
        let found = super::said(&app).map(|known| (known.name.to_string(), known.by));
        assert_eq!(found, said.map(|(name, by)| (name.to_owned(), by)), "{app:?}");
    }
}
