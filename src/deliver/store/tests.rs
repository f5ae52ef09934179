//! The outbox: what is kept outlives a restart, order within an alert, bounds, damage.

use super::*;

fn entry(id: &str, update: u32, severity: Severity) -> Entry<'_> {
    Entry { id, update, severity, rule: "rule", at: at(i64::from(update)), json: b"{}", text: "" }
}

fn to(sink: &str, body: &str, supersedes: bool) -> Addressed {
    Addressed { sink: sink.to_owned(), body: body.as_bytes().to_vec(), supersedes }
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_secs(1_000_000 + seconds)
}

fn body_of(delivery: Option<&Delivery>) -> Option<&str> {
    delivery.map(|delivery| std::str::from_utf8(&delivery.body).expect("text"))
}

#[test]
fn what_was_added_outlives_the_process_and_numbers_go_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("outbox.sqlite");
    let (store, opened) = Store::open(&path).expect("opens");
    assert_eq!(opened, Opened::Well);
    store.add(&entry("a", 0, Severity::High), &[to("one", "a0", false), to("two", "a0", false)], at(0)).expect("kept");
    let first = store.next("one", at(0)).expect("asked").expect("one waits");
    store.delivered(first.seq).expect("noted");
    let error = Store::open(&path).expect_err("another process holds it").to_string();
    assert!(error.contains(&format!("pid {}", std::process::id())), "{error}");
    drop(store);
    let (store, _) = Store::open(&path).expect("opens again");
    assert_eq!(store.next("one", at(1)).expect("asked"), None);
    assert_eq!(body_of(store.next("two", at(1)).expect("asked").as_ref()), Some("a0"));
    assert_eq!(store.severity_of("a").expect("asked"), Some(Severity::High as u8));
    store.add(&entry("b", 0, Severity::Low), &[to("one", "b0", false)], at(2)).expect("kept");
    assert!(store.next("one", at(2)).expect("asked").expect("one waits").seq > first.seq, "no number twice");
}

#[test]
fn updates_of_one_alert_keep_their_order_and_others_do_not_wait_for_them() {
    let store = Store::in_memory().expect("begins");
    for (id, update) in [("a", 0), ("a", 1), ("b", 0)] {
        store.add(&entry(id, update, Severity::Low), &[to("s", &format!("{id}{update}"), false)], at(0)).expect("kept");
    }
    let first = store.next("s", at(0)).expect("asked").expect("a0");
    assert!(store.again(first.seq, at(60), true, "down", at(0)).expect("noted"), "it still waits");
    let other = store.next("s", at(1)).expect("asked").expect("b0");
    assert_eq!(other.id, "b", "a1 must not come before a0");
    store.delivered(other.seq).expect("noted");
    assert_eq!(store.next("s", at(1)).expect("asked"), None);
    assert_eq!(store.next_at("s").expect("asked"), Some(Timestamp::from_nanos(0)), "a1, as soon as a0 is gone");
    let again = store.next("s", at(60)).expect("asked").expect("a0");
    assert_eq!((again.seq, again.attempts, again.maybe_taken), (first.seq, 1, true));
    store.refused(again.seq, "400").expect("noted");
    assert_eq!(body_of(store.next("s", at(60)).expect("asked").as_ref()), Some("a1"), "a dead one holds up nobody");
    let listed = store.list(Some("s"), 10).expect("listed");
    assert_eq!((listed[0].state, listed[0].error.as_deref()), (State::Dead, Some("400")));
    assert_eq!(store.retry(None, None, at(61)).expect("tried"), 2);
    assert_eq!(body_of(store.next("s", at(61)).expect("asked").as_ref()), Some("a0"));
}

#[test]
fn a_newer_state_stands_for_an_older_one_that_waits() {
    let store = Store::in_memory().expect("begins");
    store.add(&entry("a", 0, Severity::Low), &[to("s", "a0", true)], at(0)).expect("kept");
    let added = store.add(&entry("a", 1, Severity::High), &[to("s", "a1", true)], at(1)).expect("kept");
    assert_eq!(added, [Added { waiting: 1, superseded: 1, ..Added::default() }]);
    assert_eq!(body_of(store.next("s", at(1)).expect("asked").as_ref()), Some("a1"));
    assert_eq!(store.counts("s").expect("counted").waiting, 1);
}

#[test]
fn too_many_too_old_and_too_large_ones_end_and_are_counted() {
    let mut store = Store::in_memory().expect("begins");
    store.max_waiting = 2;
    for (id, severity) in [("a", Severity::High), ("b", Severity::Low), ("c", Severity::Low)] {
        let added = store.add(&entry(id, 0, severity), &[to("s", id, false)], at(0)).expect("kept");
        assert_eq!(added[0].displaced, u64::from(id == "c"));
    }
    let left: Vec<_> = store.list(None, 10).expect("listed").into_iter().map(|one| one.id).collect();
    assert_eq!(left, ["a", "c"], "the oldest of the lowest severity leaves");
    let first = store.next("s", at(0)).expect("asked").expect("a");
    let late = at(0).plus(MAX_AGE + Duration::from_secs(1));
    assert!(!store.again(first.seq, late, false, "down", late).expect("noted"), "three days are enough");
    let large = "x".repeat(MAX_BODY + 1);
    let added = store.add(&entry("d", 0, Severity::Low), &[to("s", &large, false)], at(0)).expect("kept");
    assert_eq!(added, [Added { too_large: 1, ..Added::default() }]);
}

#[test]
fn a_clock_that_is_set_back_stops_no_delivery() {
    let store = Store::in_memory().expect("begins");
    store.add(&entry("a", 0, Severity::Low), &[to("s", "a0", false)], at(0)).expect("kept");
    let first = store.next("s", at(0)).expect("asked").expect("a0");
    store.again(first.seq, at(300), false, "down", at(0)).expect("noted");
    assert!(store.next("s", at(1)).expect("asked").is_none(), "it waits for its time");
    let a_year_ago = at(0).minus(Duration::from_hours(24 * 365));
    assert!(store.next("s", a_year_ago).expect("asked").is_some(), "no wait is longer than an hour");
}

#[test]
fn a_damaged_outbox_is_set_aside_and_a_foreign_database_is_not_used() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("outbox.sqlite");
    let (store, _) = Store::open(&path).expect("opens");
    store.add(&entry("a", 0, Severity::Low), &[to("s", "a0", false)], at(0)).expect("kept");
    drop(store);
    let mut cut = std::fs::read(&path).expect("read");
    cut.iter_mut().skip(4096).for_each(|byte| *byte = 0x55);
    for damage in [cut.as_slice(), &[b'x'; 5000]] {
        std::fs::write(&path, damage).expect("written");
        let (store, opened) = Store::open(&path).expect("a new one begins");
        let Opened::SetAside { to, why } = opened else { panic!("{} bytes are damaged", damage.len()) };
        assert_eq!(std::fs::read(&to).expect("it is there"), damage, "{why}");
        store.add(&entry("a", 0, Severity::Low), &[], at(0)).expect("it works");
        drop(store);
        std::fs::remove_file(&to).expect("removed");
    }
    let error = Store::visit(&folder.path().join("none")).expect_err("nothing is there").to_string();
    assert!(error.contains("none"), "{error}");
}

#[test]
fn an_outbox_of_version_1_is_read_and_one_of_a_later_version_is_not_touched() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("outbox.sqlite");
    let old = Connection::open(&path).expect("opens");
    old.execute_batch(&format!(
        "{} PRAGMA application_id = 0x686f7077; PRAGMA user_version = 1;
         INSERT INTO alert (id, update_no, at, severity, rule, body) VALUES ('a', 0, 5, 2, 'rule', CAST('{{}}' AS BLOB));
         INSERT INTO delivery (sink, id, update_no, severity, rule, added, body) VALUES ('s', 'a', 0, 2, 'rule', 5, CAST('a0' AS BLOB));",
        schema::TABLES
    ))
    .expect("what version 1 wrote");
    drop(old);
    let (store, opened) = Store::open(&path).expect("opens");
    assert_eq!(opened, Opened::Well);
    assert_eq!(body_of(store.next("s", at(0)).expect("asked").as_ref()), Some("a0"));
    let alerts = store.alerts(&Which::default()).expect("listed");
    assert_eq!((alerts.len(), alerts[0].state, alerts[0].text.as_deref()), (1, AlertState::Open, None));
    drop(store);
    Connection::open(&path).and_then(|new| new.pragma_update(None, "user_version", 99)).expect("a later version");
    for refused in [Store::open(&path).map(|(store, _)| store), Store::visit(&path)] {
        let error = refused.expect_err("it is refused").to_string();
        assert!(error.contains("newer hopwatch (version 99)"), "{error}");
    }
}

#[test]
fn what_is_too_much_leaves_by_severity_with_what_was_decided_about_it() {
    let store = Store::in_memory().expect("begins");
    {
        let connection = sync::lock(&store.connection);
        let many = format!(
            "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {MAX_KEPT})
             INSERT INTO alert (id, update_no, at, severity, rule, body) SELECT 'n' || i, 0, {}, 1, 'rule', CAST('{{}}' AS BLOB) FROM n",
            at(0).as_nanos()
        );
        connection.execute_batch(&many).expect("many");
    }
    for (id, severity) in [("low", Severity::Low), ("high", Severity::High)] {
        store.add(&entry(id, 0, severity), &[], at(0)).expect("kept");
        let kept = store.alerts(&Which { id: Some(id), ..Which::default() }).expect("listed").remove(0);
        let (by, why) = ("somebody".to_owned(), "seen".to_owned());
        store.decide(&kept, &Decision { state: AlertState::Closed, by, why, at: at(1) }).expect("noted");
    }
    assert_eq!(store.forget(at(2)).expect("forgotten"), 2);
    let kept = |id| !store.ids_like(id).expect("asked").is_empty();
    assert_eq!((kept("low"), kept("high"), kept("n2")), (false, true, true), "the lowest severity, then the oldest");
    let decided =
        sync::lock(&store.connection).query_row("SELECT count(*) FROM decision", [], |row| row.get::<_, i64>(0));
    assert_eq!(decided.expect("counted"), 1, "a decision leaves with its alert");
}
