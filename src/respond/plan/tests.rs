//! Plans, from documents.

use serde_json::{Value, json};

use super::*;
use crate::input::{RuntimeId, Workload};
use crate::path::{Hop, HopKind, Monitors, Selector};
use crate::respond::container::tests::document;
use crate::respond::history::{Intent, ResponseState};
use crate::respond::situation::NetworkState;
use crate::respond::step::Order;
use crate::respond::subject::Accused;
use crate::time::Timestamp;

fn subject() -> Subject {
    Subject {
        alert: "2491e3e63140177f".to_owned(),
        rule: "egress-skips-proxy".to_owned(),
        last_seen: "2026-11-29T03:00:00Z".parse().expect("a time"),
        accused: Accused { id: "ab".repeat(32), name: "web".to_owned(), runtime: RuntimeId::DOCKER },
        confidence: Some("exact".to_owned()),
        destinations: Vec::new(),
        ends: Some(["172.30.1.9", "198.51.100.7"].map(|ip| ip.parse().expect("an address"))),
        state: Some("open".to_owned()),
    }
}

fn request(action: Action) -> Request {
    Request { action, network: None, force: false, undo_after: Duration::from_mins(30) }
}

fn situation(document: &Value) -> Situation {
    Situation {
        host: "/run/docker.sock".to_owned(),
        api: "v1.41".to_owned(),
        container: Some(Container::read(document).expect("a container")),
        digest: "sha256:aa".to_owned(),
        networks: [("f".repeat(64), network("front")), ("b".repeat(64), network("back"))].into(),
        host_addresses: vec!["172.30.1.1".parse().expect("an address")],
        has_nft: true,
        ..Situation::default()
    }
}

fn network(name: &str) -> NetworkState {
    NetworkState { name: name.to_owned(), driver: "bridge".to_owned(), is_quarantine: false }
}

fn policy() -> Policy {
    Policy {
        enabled: true,
        protected: Vec::new(),
        monitors: Monitors::default(),
        hops: Vec::new(),
        sinks: Vec::new(),
        limit: 5,
        period: Duration::from_mins(10),
        undo_after: Duration::from_mins(30),
    }
}

fn selector(json: &str) -> Selector {
    serde_json::from_str(json).expect("a selector")
}

/// Why the plan is refused.
fn refused(plan: &Plan) -> Vec<&str> {
    plan.refused.iter().map(|refusal| refusal.why.as_str()).collect()
}

#[test]
fn a_plan_holds_the_very_requests_and_no_secret() {
    let made = plan(&subject(), &request(Action::Disconnect), &situation(&document()), &policy());
    assert_eq!(refused(&made), Vec::<&str>::new());
    let [only] = made.steps.as_slice() else { panic!("{made:?}") };
    let [Order::Request(call)] = only.orders.as_slice() else { panic!("{only:?}") };
    assert_eq!(call.path, format!("/networks/{}/disconnect", "f".repeat(64)), "the network of the flow");
    assert_eq!(call.body, Some(json!({"Container": "ab".repeat(32), "Force": false})));
    let Order::Request(undo) = &only.undo[0] else { panic!("{only:?}") };
    assert_eq!(undo.body.as_ref().expect("a body")["EndpointConfig"]["Aliases"], json!(["shop"]));
    let text = serde_json::to_string(&made).expect("JSON");
    assert!(!text.contains("hunter2") && !text.contains("front\":\"tier"), "{text}");
    assert_eq!(made, plan(&subject(), &request(Action::Disconnect), &situation(&document()), &policy()), "stable");
}

#[test]
fn what_is_protected_is_refused_and_force_changes_nothing() {
    let hop = |addresses: &str, workloads: Vec<Selector>| {
        std::sync::Arc::new(Hop {
            name: "proxy".to_owned(),
            kind: HopKind::Endpoint,
            workloads,
            addresses: vec![addresses.parse().expect("a range")],
            interfaces: Vec::new(),
            ports: Vec::new(),
            evidence: Vec::new(),
        })
    };
    let own = Situation { own: vec!["ab".repeat(32)], ..situation(&document()) };
    let cases = [
        (
            situation(&document()),
            Policy { protected: vec![selector(r#"{"labels":{"tier":"front"}}"#)], ..policy() },
            "response.protected",
        ),
        (
            situation(&document()),
            Policy { protected: vec![selector(r#"{"digest":"sha256:aa"}"#)], ..policy() },
            "response.protected",
        ),
        (
            situation(&document()),
            Policy { hops: vec![hop("10.0.0.0/8", vec![selector(r#"{"name":"web"}"#)])], ..policy() },
            "the hop proxy",
        ),
        (situation(&document()), Policy { hops: vec![hop("172.30.2.2/32", vec![])], ..policy() }, "the hop proxy"),
        (
            situation(&document()),
            Policy {
                monitors: Monitors { workloads: vec![selector(r#"{"name":"web"}"#)], ..Monitors::default() },
                ..policy()
            },
            "declared under monitors",
        ),
        (situation(&document()), Policy { sinks: vec![("127.0.0.1".to_owned(), 8080)], ..policy() }, "delivered to it"),
        (situation(&document()), Policy { sinks: vec![("shop".to_owned(), 9093)], ..policy() }, "delivered to it"),
        (
            situation(&document()),
            Policy { sinks: vec![("172.30.2.2".to_owned(), 9093)], ..policy() },
            "delivered to it",
        ),
        (own, policy(), "hopwatch itself"),
        (situation(&document()), Policy { enabled: false, ..policy() }, "response.enabled is false"),
        (Situation { recent: 5, ..situation(&document()) }, policy(), "5 responses were made within 10m"),
    ];
    for (situation, policy, why) in cases {
        for action in Action::ALL {
            let made = plan(&subject(), &Request { force: true, ..request(action) }, &situation, &policy);
            assert!(refused(&made).iter().any(|text| text.contains(why)), "{why}: {:?}", refused(&made));
        }
    }
}

#[test]
fn what_another_made_of_its_labels_and_names_protects_nobody() {
    let mut named = document();
    named["Config"]["Labels"]["hopwatch.protected"] = json!("true");
    named["Config"]["Labels"]["io.kubernetes.docker.type"] = json!("podsandbox");
    named["Config"]["Image"] = json!("example/protected");
    assert_eq!(refused(&plan(&subject(), &request(Action::Pause), &situation(&named), &policy())), Vec::<&str>::new());
    named["Config"]["Image"] = json!("example/fluent-bit:3");
    let made = plan(&subject(), &request(Action::Pause), &situation(&named), &policy());
    assert!(made.refused.iter().all(|refusal| refusal.force_lifts) && made.refused.len() == 1, "{:?}", made.refused);
    let forced = plan(&subject(), &Request { force: true, ..request(Action::Pause) }, &situation(&named), &policy());
    assert_eq!(refused(&forced), Vec::<&str>::new());
    named["IsInfra"] = json!(true);
    assert!(!plan(&subject(), &request(Action::Pause), &situation(&named), &policy()).refused.is_empty());
}

#[test]
fn an_alert_that_is_closed_unsure_or_about_an_earlier_run_is_refused() {
    let why = |subject: &Subject, force| {
        let made = plan(subject, &Request { force, ..request(Action::Pause) }, &situation(&document()), &policy());
        refused(&made).join("; ")
    };
    let closed = Subject { state: Some("closed".to_owned()), ..subject() };
    assert!(why(&closed, true).contains("the alert is closed"));
    let unsure = Subject { confidence: Some("likely".to_owned()), ..subject() };
    assert!(why(&unsure, false).contains("its attribution is likely") && why(&unsure, true).is_empty());
    let earlier = Subject { last_seen: "2026-11-29T01:00:00Z".parse().expect("a time"), ..subject() };
    assert!(why(&earlier, true).contains("started anew"), "{}", why(&earlier, true));
    let settings = Subject { confidence: None, ends: None, ..subject() };
    assert_eq!(why(&settings, false), "", "the runtime itself reports it");
}

#[test]
fn a_container_that_is_gone_is_said_to_be_and_so_is_the_one_that_has_its_name() {
    let gone = Situation { container: None, replaced_by: Some("cd".repeat(32)), ..situation(&document()) };
    let made = plan(&subject(), &request(Action::Pause), &gone, &policy());
    assert!(refused(&made)[0].contains("\"web\" is another one now (cdcdcdcdcdcd)"), "{:?}", refused(&made));
    assert!(made.steps.is_empty());
}

#[test]
fn the_network_is_the_flows_the_one_that_was_named_or_the_only_one() {
    let of = |subject: &Subject, network: Option<&str>, mode: &str| {
        let mut document = document();
        document["HostConfig"]["NetworkMode"] = json!(mode);
        let request = Request { network: network.map(str::to_owned), ..request(Action::Disconnect) };
        let made = plan(subject, &request, &situation(&document), &policy());
        made.steps.first().map_or_else(|| refused(&made).join("; "), |step| step.step.describe())
    };
    let without = Subject { ends: None, ..subject() };
    assert_eq!(of(&subject(), None, "front"), "off the network front");
    assert_eq!(of(&subject(), Some("back"), "front"), "off the network back");
    assert!(of(&without, None, "front").contains("say which with --network: back, front"));
    assert!(of(&subject(), Some("other"), "front").contains("it is not on the network \"other\""));
    assert!(of(&subject(), None, "host").contains("host's network"));
    assert!(of(&subject(), None, "container:cd").contains("another container"));
}

#[test]
fn what_is_so_already_is_not_done_again() {
    let mut paused = document();
    paused["State"]["Paused"] = json!(true);
    let somebody = plan(&subject(), &request(Action::Pause), &situation(&paused), &policy());
    assert!(somebody.steps.is_empty() && somebody.already[0].contains("somebody else"), "{somebody:?}");
    let container = Container::read(&paused).expect("a container");
    let intent = Intent {
        alert: "2491e3e63140177f".to_owned(),
        action: Action::Pause,
        target: Target::of(&container, RuntimeId::DOCKER, "/run/docker.sock"),
        steps: vec![Step::Pause],
        until: None,
        by: "root".to_owned(),
        forced: false,
    };
    let at = Timestamp::from_secs(1);
    let ours = Response {
        number: 7,
        at,
        intent,
        state: ResponseState::Active,
        since: at,
        detail: String::new(),
        undo_failures: 0,
    };
    let mut situation = situation(&paused);
    situation.standing.push(ours);
    let again = plan(&subject(), &request(Action::Pause), &situation, &policy());
    assert!(again.steps.is_empty() && again.standing == Some(7) && again.already.is_empty(), "{again:?}");
}

#[test]
fn the_first_action_that_fits_is_the_one_to_begin_with() {
    let fits = fits(&subject(), &request(Action::Pause), &situation(&document()), &policy());
    let recommended: Vec<_> = fits.iter().filter(|fit| fit.recommended).map(|fit| fit.action).collect();
    assert_eq!(recommended, [Action::Block], "the least that stops it");
}

/// The address of the other end is refused with these words, whatever is asked.
fn not_blocked(other: &str, change: impl Fn(&mut Situation, &mut Policy), why: &str) {
    let (mut situation, mut policy) = (situation(&document()), policy());
    change(&mut situation, &mut policy);
    let ends = Some(["172.30.1.9", other].map(|ip| ip.parse().expect("an address")));
    let made =
        plan(&Subject { ends, ..subject() }, &Request { force: true, ..request(Action::Block) }, &situation, &policy);
    assert!(refused(&made).iter().any(|text| text.contains(why)), "{other}: {:?}", refused(&made));
}

#[test]
fn a_block_names_the_pair_of_the_flow_and_ends_by_itself() {
    let made = plan(&subject(), &request(Action::Block), &situation(&document()), &policy());
    assert_eq!(refused(&made), Vec::<&str>::new());
    let [Order::Nft { nft }] = made.steps[0].orders.as_slice() else { panic!("{made:?}") };
    for own in ["172.30.1.9", "172.30.2.2"] {
        let line = format!("add element inet hopwatch blocked4 {{ {own} . 198.51.100.7 timeout 1800s }}");
        assert!(nft.contains(&line), "whichever network it uses: {nft}");
    }
    let forever = Request { undo_after: Duration::ZERO, ..request(Action::Block) };
    let made = plan(&subject(), &forever, &situation(&document()), &policy());
    assert!(refused(&made)[0].contains("always ends by itself"), "{:?}", refused(&made));
}

#[test]
fn what_others_need_is_never_blocked() {
    let hop = || {
        std::sync::Arc::new(Hop {
            name: "resolver".to_owned(),
            kind: HopKind::Endpoint,
            workloads: vec![selector(r#"{"name":"dns"}"#)],
            addresses: vec!["198.51.100.53/32".parse().expect("a range")],
            interfaces: Vec::new(),
            ports: Vec::new(),
            evidence: Vec::new(),
        })
    };
    for (other, why) in [
        ("127.0.0.11", "loopback"),
        ("169.254.169.254", "link-local"),
        ("224.0.0.1", "multicast"),
        ("255.255.255.255", "multicast"),
        ("0.0.0.0", "no address"),
        ("172.30.1.1", "gateway"),
    ] {
        not_blocked(other, |_, _| {}, why);
    }
    not_blocked(
        "192.0.2.1",
        |situation, _| situation.host_addresses.push("192.0.2.1".parse().expect("an address")),
        "this host",
    );
    not_blocked(
        "192.0.2.53",
        |situation, _| situation.resolvers.push("192.0.2.53".parse().expect("an address")),
        "a resolver",
    );
    not_blocked("198.51.100.53", |_, policy| policy.hops.push(hop()), "the hop resolver");
    not_blocked("192.0.2.9", |_, policy| policy.sinks.push(("192.0.2.9".to_owned(), 9093)), "delivered to it");
    let dns = |situation: &mut Situation, policy: &mut Policy| {
        let mut dns = Workload::new(crate::input::WorkloadId::new("1"), "dns", RuntimeId::DOCKER);
        let addresses = vec!["172.30.1.53".parse().expect("an address")];
        dns.attachments = vec![crate::input::Attachment { addresses, ..crate::input::Attachment::default() }];
        situation.neighbours.push(dns);
        policy.hops.push(hop());
    };
    not_blocked("172.30.1.53", dns, "the container dns, which is protected");
    not_blocked("198.51.100.7", |situation, _| situation.has_nft = false, "nft is not installed");
    not_blocked("198.51.100.7", |situation, _| situation.host_addresses.clear(), "not in the network namespace");
    let macvlan = |situation: &mut Situation, _: &mut Policy| {
        situation.networks.values_mut().for_each(|network| network.driver = "macvlan".to_owned());
    };
    not_blocked("198.51.100.7", macvlan, "the driver macvlan");
}

#[test]
fn quarantine_takes_it_off_every_network_first_and_wants_a_network_of_its_own() {
    let made = plan(&subject(), &request(Action::Quarantine), &situation(&document()), &policy());
    let steps: Vec<_> = made.steps.iter().map(|planned| planned.step.describe()).collect();
    assert_eq!(steps, ["off the network back", "off the network front", "on the network hopwatch-quarantine"]);
    let mut foreign = situation(&document());
    foreign.networks.insert("c".repeat(64), network("hopwatch-quarantine"));
    let made = plan(&subject(), &request(Action::Quarantine), &foreign, &policy());
    assert!(refused(&made)[0].contains("hopwatch did not make"), "{:?}", refused(&made));
}

#[test]
fn a_snapshot_comes_before_every_stop() {
    let mut document = document();
    for removes in [false, true] {
        document["HostConfig"]["AutoRemove"] = json!(removes);
        let made = plan(&subject(), &request(Action::Stop), &situation(&document), &policy());
        let [snapshot, stop] = made.steps.as_slice() else { panic!("{made:?}") };
        assert!(matches!(&snapshot.step, Step::Snapshot { .. }) && snapshot.undo.is_empty());
        assert_eq!((&stop.step, stop.undo.is_empty()), (&Step::Stop { removes }, removes));
    }
}

#[test]
fn a_mount_of_the_state_directory_raises_a_doubt_and_one_of_a_folder_above_it_none() {
    let seen_from = |folder: &str| Situation { state_dir: Some(folder.to_owned()), ..situation(&document()) };
    let plan_of = |folder: &str, force| {
        let made = plan(&subject(), &Request { force, ..request(Action::Pause) }, &seen_from(folder), &policy());
        made.refused.iter().map(|refusal| refusal.why.clone()).collect::<Vec<_>>()
    };
    assert!(plan_of("/srv/web", false).iter().any(|why| why.contains("state directory")), "it mounts /srv/web");
    assert_eq!(plan_of("/srv/web", true), Vec::<String>::new(), "a person insists");
    assert_eq!(plan_of("/srv/web/state", false), Vec::<String>::new(), "it would be too easy to be protected");
}
