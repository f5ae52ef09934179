//! Names of real tunnels and of ordinary programs, as questions.

use std::time::Duration;

use proptest::prelude::*;

use super::*;

fn at(millis: u64) -> Timestamp {
    Timestamp::from_secs(1000).plus(Duration::from_millis(millis))
}

/// What is reported of these questions, 100 ms apart.
fn reported(questions: impl IntoIterator<Item = (String, &'static str)>) -> Vec<String> {
    let (mut names, limits, web) = (Names::default(), DnsThresholds::default(), WorkloadId::new("web"));
    let asked = questions.into_iter().enumerate();
    asked
        .filter_map(|(index, (query, kind))| {
            let question = DnsMessage { query, kind: kind.into(), rcode: None };
            names.ask(&limits, &web, &question, at(100 * u64::try_from(index).expect("few")))
        })
        .collect()
}

/// Letters and digits that look random.
fn noise(seed: u64, length: usize) -> String {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        usize::try_from(state >> 40).expect("24 bits")
    };
    (0..length).map(|_| char::from(b"abcdefghijklmnopqrstuvwxyz012345"[next() % 32])).collect()
}

/// The first questions of real clients, as captured.
#[test]
fn real_tunnels_are_reported_by_their_first_questions() {
    let iodine_raw = ["yrbvvr", "vaaaakaswwi", "lacsxdwndsgjzvghed503r1o4sq0fnmy", "iavvu"];
    let found = reported(iodine_raw.map(|name| (format!("{name}.t.evil.example"), "NULL")));
    assert_eq!(
        found,
        ["3 different names of type NULL or for private use were asked for below evil.example within 1 s"]
    );
    let dns2tcp = (0..40).map(|n: u32| (format!("5xAA{}AA{}BA.t.evil.example", n / 10, n), "TXT"));
    assert_eq!(reported(dns2tcp).len(), 1);
    let eight_bits = (0..20).map(|n: u32| (format!("0eaba82\\19{}2dI\\200B{n}.t.evil.example", n % 10), "A"));
    assert_eq!(reported(eight_bits).len(), 1);
    let base32 = (0..40).map(|n| (format!("{}.{}.t.evil.example", noise(n, 57), noise(n + 99, 57)), "CNAME"));
    assert_eq!(reported(base32).len(), 1);
}

#[test]
fn ordinary_names_are_not_told() {
    let cdn = |n: u64| (format!("d{}.cloudfront.net", noise(n, 13)), "A");
    assert!(reported((0..500).map(cdn)).is_empty(), "distributions");
    let reverse = |n: u64| (format!("{}.{}.51.198.in-addr.arpa", n % 256, n / 256), "PTR");
    assert!(reported((0..500).map(reverse)).is_empty(), "reverse lookups");
    let block = |n: u64| (format!("{}.2.0.192.zen.spamhaus.example", n % 256), "TXT");
    assert!(reported((0..500).map(block)).is_empty(), "block lists");
    let block_six = |n: u64| {
        (
            format!("{}8.b.d.0.1.0.0.2.zen.spamhaus.example", "0.1.2.3.".repeat(usize::try_from(n % 5).expect("few"))),
            "TXT",
        )
    };
    assert!(reported((0..200).map(block_six)).is_empty(), "block lists over IPv6");
    let numbered = |n: u64| (format!("worker-{n:030}.cluster.example"), "A");
    assert!(reported((0..500).map(numbered)).is_empty(), "numbered hosts");
    let pods = |n: u64| (format!("{}.web.svc.cluster.local", noise(n, 40)), "SRV");
    assert!(reported((0..500).map(pods)).is_empty(), "a cluster's own");
    let mail = |n: u64| (format!("{}.example", noise(n, 20)), "MX");
    assert!(reported((0..500).map(mail)).is_empty(), "mail to many domains");
    let acme = |n: u64| (format!("_acme-challenge.host{n}.corp.example"), "TXT");
    assert!(reported((0..500).map(acme)).is_empty(), "certificates");
    let search = ["corp.example", "svc.corp.example", "a.svc.corp.example"];
    let searched = (0..90).map(|n| (format!("{}.{}", noise(n as u64 / 9, 40), search[n % 3]), "A"));
    assert!(reported(searched).is_empty(), "one name through a search list counts once");
}

#[test]
fn very_many_names_below_one_domain_are_a_tunnel_whatever_their_form() {
    let (limits, web) = (DnsThresholds::default(), WorkloadId::new("web"));
    for (count, millis, length, kind, reported) in [
        (3000_u64, 5, 7, "TXT", 1),
        (400, 20, 7, "TXT", 1),
        (150, 20, 7, "TXT", 0),
        (400, 20, 7, "A", 0),
        (3000, 5, 16, "A", 1),
        (900, 5, 16, "A", 0),
        (3000, 200, 16, "A", 0),
        (100_000, 0, 16, "AAAA", 1),
    ] {
        let mut names = Names::default();
        let asked = (0..count).filter(|n| {
            let query = format!("{}.t.evil.example", noise(*n, length));
            let question = DnsMessage { query, kind: kind.into(), rcode: None };
            names.ask(&limits, &web, &question, at(n * millis)).is_some()
        });
        assert_eq!(asked.count(), reported, "{count} names of {length} characters, one in {millis} ms");
    }
}

#[test]
fn questions_beyond_those_kept_count_to_the_domain_of_most() {
    let (limits, web) = (DnsThresholds::default(), WorkloadId::new("web"));
    let question = |query: String| DnsMessage { query, kind: "A".into(), rcode: None };
    let one: Vec<_> = (0..256).map(|n| question(format!("{}.evil.example", noise(n, 16)))).collect();
    let many: Vec<_> = (0..256).map(|n| question(format!("www.{}.example", noise(n, 16)))).collect();
    for (kept, more, reported) in [(&one, 2000, true), (&one, 100, false), (&many, 2000, false), (&one, 0, false)] {
        let found = Names::default().ask_more(&limits, &web, kept, more, at(0));
        assert_eq!(found.is_some(), reported, "{more} more");
    }
}

#[test]
fn a_domain_is_reported_once_a_window_and_counts_anew_after_it() {
    let (mut names, limits) = (Names::default(), DnsThresholds::default());
    let (web, db) = (WorkloadId::new("web"), WorkloadId::new("db"));
    let mut ask = |workload: &WorkloadId, name: &str, millis| {
        let question = DnsMessage { query: format!("{name}.t.evil.example"), kind: "NULL".into(), rcode: None };
        names.ask(&limits, workload, &question, at(millis)).is_some()
    };
    assert!(!ask(&web, "a", 0) && !ask(&web, "a", 1) && !ask(&web, "A", 2), "one name");
    assert!(!ask(&web, "b", 3) && !ask(&db, "c", 4), "the other workload counts alone");
    assert!(ask(&web, "c", 5) && !ask(&web, "d", 6), "reported once");
    assert!(!ask(&web, "e", 60_006) && !ask(&web, "f", 60_007) && ask(&web, "g", 60_008), "a new window");
}

#[test]
fn memory_is_bounded_and_zero_switches_a_threshold_off() {
    let (mut names, limits, web) = (Names::default(), DnsThresholds::default(), WorkloadId::new("web"));
    let ask = |names: &mut Names, limits: &DnsThresholds, name: String| {
        names.ask(limits, &web, &DnsMessage { query: name, kind: "NULL".into(), rcode: None }, at(0))
    };
    for n in 0..MAX_DOMAINS * 2 {
        ask(&mut names, &limits, format!("a.d{n}.example"));
    }
    assert_eq!(names.len(), [MAX_DOMAINS; 2]);
    let off = DnsThresholds { odd_types: 0, ..limits };
    assert!((0..100).all(|n| ask(&mut names, &off, format!("a{n}.last.example")).is_none()));
}

#[test]
fn names_are_cut_where_they_were_registered() {
    let cut = |name: &str| split(&labels(name)).map(|(below, domain)| (below.len(), domain));
    assert_eq!(cut("a.b.Example.com"), Some((2, "example.com".to_owned())));
    assert_eq!(cut("a.example.co.uk"), Some((1, "example.co.uk".to_owned())));
    assert_eq!(cut("a\\.b.example.com."), Some((1, "example.com".to_owned())));
    for none in ["example.com", "example.co.uk", "com", ".", "", "1.0.0.127.in-addr.arpa", "printer.local"] {
        assert_eq!(cut(none), None, "{none}");
    }
    assert_eq!(labels("a\\200\\.\\\\b\\144"), [vec![b'a', 200, b'.', b'\\', b'b', 144]]);
}

proptest! {
    /// Whatever is asked, it is bounded and never reported before so many names as the lowest threshold.
    #[test]
    fn any_text_is_counted_without_panic(names in proptest::collection::vec("[ -~]{0,80}", 0..40), kind in "(A|TXT|NULL|TYPE[0-9]{1,6})") {
        let mut table = Names::default();
        let web = WorkloadId::new("web");
        for (index, query) in names.iter().enumerate() {
            let question = DnsMessage { query: query.clone(), kind: kind.clone().into(), rcode: None };
            let reported = table.ask(&DnsThresholds::default(), &web, &question, at(0));
            prop_assert!(reported.is_none() || index >= 2);
        }
    }

    /// Few or short names are never reported, whatever they are.
    #[test]
    fn short_host_names_are_never_told(names in proptest::collection::vec("[a-z0-9-]{1,24}", 1..400)) {
        let asked = names.into_iter().map(|name| (format!("{name}.cdn.example"), "A"));
        prop_assert!(reported(asked).is_empty());
    }

    /// Thirty long labels of noise are always reported, once.
    #[test]
    fn a_tunnel_is_always_told(seed in any::<u32>(), length in 40_usize..63) {
        let asked = (0..30).map(|n| (format!("{}.evil.example", noise(u64::from(seed) * 64 + n, length)), "A"));
        prop_assert_eq!(reported(asked).len(), 1);
    }
}
