//! The outbox: what is kept outlives a restart, order within an alert, bounds, damage.

use super::*;

fn entry(id: &str, update: u32, severity: Severity) -> Entry<'_> {
    Entry { id, update, severity, rule: "rule", at: at(i64::from(update)), json: b"{}", text: "", open: None }
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
    let first = store.take("one", at(0)).expect("asked").expect("one waits");
    store.delivered(first.seq).expect("noted");
    let error = Store::open(&path).expect_err("another process holds it").to_string();
    assert!(error.contains(&format!("pid {}", std::process::id())), "{error}");
    drop(store);
    let (store, _) = Store::open(&path).expect("opens again");
    assert_eq!(store.take("one", at(1)).expect("asked"), None);
    assert_eq!(body_of(store.take("two", at(1)).expect("asked").as_ref()), Some("a0"));
    assert_eq!(store.severity_of("a").expect("asked"), Some(Severity::High as u8));
    store.add(&entry("b", 0, Severity::Low), &[to("one", "b0", false)], at(2)).expect("kept");
    assert!(store.take("one", at(2)).expect("asked").expect("one waits").seq > first.seq, "no number twice");
}

#[test]
fn an_alert_that_is_raised_again_with_the_same_id_is_delivered_once() {
    let store = Store::in_memory().expect("begins");
    for (update, comes) in [(0, true), (0, false), (1, true)] {
        let body = format!("a{update}");
        let added = store.add(&entry("a", update, Severity::Low), &[to("s", &body, false)], at(0)).expect("kept");
        assert_eq!(added[0].waiting, u64::from(comes), "update {update}");
    }
    assert_eq!(store.waiting("s").expect("counted").count, 2);
}

#[test]
fn updates_of_one_alert_keep_their_order_and_others_do_not_wait_for_them() {
    let store = Store::in_memory().expect("begins");
    for (id, update) in [("a", 0), ("a", 1), ("b", 0)] {
        store.add(&entry(id, update, Severity::Low), &[to("s", &format!("{id}{update}"), false)], at(0)).expect("kept");
    }
    let first = store.take("s", at(0)).expect("asked").expect("a0");
    assert_eq!(store.again(first.seq, at(60), true, "down", at(0)).expect("noted"), 0, "it still waits");
    let other = store.take("s", at(1)).expect("asked").expect("b0");
    assert_eq!(other.id, "b", "a1 must not come before a0");
    store.delivered(other.seq).expect("noted");
    assert_eq!(store.take("s", at(1)).expect("asked"), None);
    assert_eq!(store.due_after("s", at(1)).expect("asked"), Some(at(60)), "a1 is due, but not before a0");
    let again = store.take("s", at(60)).expect("asked").expect("a0");
    assert_eq!((again.seq, again.attempts, again.maybe_taken), (first.seq, 1, true));
    store.refused(again.seq, "400").expect("noted");
    assert_eq!(body_of(store.take("s", at(60)).expect("asked").as_ref()), Some("a1"), "a dead one holds up nobody");
    let listed = store.list(Some("s"), 10).expect("listed");
    assert_eq!((listed[0].state, listed[0].error.as_deref()), (State::Dead, Some("400")));
    assert_eq!(store.retry(None, None, at(61)).expect("tried"), 2);
    assert_eq!(body_of(store.take("s", at(61)).expect("asked").as_ref()), Some("a0"));
}

#[test]
fn several_are_taken_at_once_each_of_another_alert_and_all_may_have_arrived() {
    let store = Store::in_memory().expect("begins");
    for (id, update) in [("a", 0), ("a", 1), ("b", 0), ("c", 0)] {
        store.add(&entry(id, update, Severity::Low), &[to("s", &format!("{id}{update}"), false)], at(0)).expect("kept");
    }
    let bodies = |most| -> Vec<_> {
        let taken = store.take_some("s", at(0), most).expect("asked");
        taken.iter().map(|one| (String::from_utf8_lossy(&one.body).into_owned(), one.maybe_taken)).collect()
    };
    let is_first = |marked| ["a0", "b0", "c0"].map(|body| (body.to_owned(), marked));
    assert_eq!(bodies(2), is_first(false)[..2]);
    assert_eq!(bodies(9)[..2], is_first(true)[..2], "a process that is killed meanwhile must not forget that");
    assert_eq!(bodies(9), is_first(true));
}

#[test]
fn a_newer_state_stands_for_an_older_one_that_waits() {
    let store = Store::in_memory().expect("begins");
    store.add(&entry("a", 0, Severity::Low), &[to("s", "a0", true)], at(0)).expect("kept");
    let added = store.add(&entry("a", 1, Severity::High), &[to("s", "a1", true)], at(1)).expect("kept");
    assert_eq!(added, [Added { waiting: 1, superseded: 1, ..Added::default() }]);
    assert_eq!(body_of(store.take("s", at(1)).expect("asked").as_ref()), Some("a1"));
    assert_eq!(store.waiting("s").expect("counted").count, 1);
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
    let first = store.take("s", at(0)).expect("asked").expect("a");
    let late = at(0).plus(MAX_AGE + Duration::from_secs(1));
    let dead = store.again(first.seq, late, false, "down", late).expect("noted");
    assert_eq!(dead, 2, "three days are enough, also for c, which was never tried");
    assert_eq!(store.waiting("s").expect("counted"), Waiting::default());
    let large = "x".repeat(MAX_BODY + 1);
    let added = store.add(&entry("d", 0, Severity::Low), &[to("s", &large, false)], at(0)).expect("kept");
    assert_eq!(added, [Added { too_large: 1, ..Added::default() }]);
}

#[test]
fn a_clock_that_is_set_back_stops_no_delivery() {
    let store = Store::in_memory().expect("begins");
    store.add(&entry("a", 0, Severity::Low), &[to("s", "a0", false)], at(0)).expect("kept");
    let first = store.take("s", at(0)).expect("asked").expect("a0");
    store.again(first.seq, at(300), false, "down", at(0)).expect("noted");
    assert!(store.take("s", at(1)).expect("asked").is_none(), "it waits for its time");
    let a_year_ago = at(0).minus(Duration::from_hours(24 * 365));
    assert!(store.take("s", a_year_ago).expect("asked").is_some(), "no wait is longer than an hour");
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
    let old = rusqlite::Connection::open(&path).expect("opens");
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
    assert_eq!(body_of(store.take("s", at(0)).expect("asked").as_ref()), Some("a0"));
    let alerts = store.alerts(&Which::default()).expect("listed");
    assert_eq!((alerts.len(), alerts[0].state, alerts[0].text.as_deref()), (1, AlertState::Open, None));
    drop(store);
    rusqlite::Connection::open(&path)
        .and_then(|new| new.pragma_update(None, "user_version", 99))
        .expect("a later version");
    for refused in [Store::open(&path).map(|(store, _)| store), Store::visit(&path)] {
        let error = refused.expect_err("it is refused").to_string();
        assert!(error.contains("newer hopwatch (version 99)"), "{error}");
    }
}

#[test]
fn what_is_too_much_leaves_by_severity_with_what_was_decided_about_it() {
    let mut store = Store::in_memory().expect("begins");
    store.max_kept = MAX_KEPT;
    {
        let connection = &sync::lock(&store.inner).connection;
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
    let connection = &sync::lock(&store.inner).connection;
    let decided = connection.query_row("SELECT count(*) FROM decision", [], |row| row.get::<_, i64>(0));
    assert_eq!(decided.expect("counted"), 1, "a decision leaves with its alert");
}

/// What the table holds, past all that is kept beside it.
fn counted(store: &Store) -> (u64, u64) {
    let listed = store.list(Some("s"), 1_000).expect("listed");
    let of = |state| listed.iter().filter(|one| one.state == state).count() as u64;
    (of(State::Waiting), of(State::Dead))
}

#[test]
fn what_ends_while_it_is_on_its_way_is_counted_once() {
    let store = Store::in_memory().expect("begins");
    store.add(&entry("a", 0, Severity::Low), &[to("s", "a0", true)], at(0)).expect("kept");
    let sent = store.take("s", at(0)).expect("asked").expect("a0");
    store.add(&entry("a", 1, Severity::Low), &[to("s", "a1", true)], at(1)).expect("kept");
    assert!(!store.delivered(sent.seq).expect("noted"), "a1 stands for it");
    assert!(!store.refused(sent.seq, "400").expect("noted"));
    assert_eq!(store.again(sent.seq, at(9), false, "down", at(1)).expect("noted"), 0);
    assert_eq!((store.waiting("s").expect("counted").count, counted(&store)), (1, (1, 0)));
}

#[test]
fn dead_ones_are_bounded_as_what_waits_is_and_alerts_in_memory_are_too() {
    let mut store = Store::in_memory().expect("begins");
    (store.max_waiting, store.max_kept) = (3, 3);
    for number in 0..10 {
        let id = format!("a{number}");
        store.add(&entry(&id, 0, Severity::Low), &[to("s", &id, false)], at(number)).expect("kept");
        let one = store.take("s", at(number)).expect("asked").expect("it waits");
        assert!(store.refused(one.seq, "400").expect("noted"));
    }
    assert_eq!(counted(&store), (0, 3));
    assert_eq!(store.list(None, 10).expect("listed")[0].id, "a7", "the oldest left");
    assert_eq!(store.forget(at(10)).expect("forgotten"), 7);
    assert_eq!(Store::in_memory().expect("begins").max_kept(), MAX_WAITING_IN_MEMORY);
}

#[test]
fn what_was_on_its_way_when_the_process_was_killed_may_have_arrived() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("outbox.sqlite");
    let (store, _) = Store::open(&path).expect("opens");
    store.add(&entry("a", 0, Severity::Low), &[to("s", "a0", false)], at(0)).expect("kept");
    let first = store.take("s", at(0)).expect("asked").expect("a0");
    assert!(!first.maybe_taken);
    drop(store);
    let (store, _) = Store::open(&path).expect("opens again");
    let again = store.take("s", at(1)).expect("asked").expect("a0");
    assert!(again.maybe_taken, "nobody knows what became of it");
    store.again(again.seq, at(2), false, "refused the connection", at(1)).expect("noted");
    assert!(!store.take("s", at(2)).expect("asked").expect("a0").maybe_taken, "the worker decides");
}

#[test]
fn changes_of_another_process_are_noticed_and_counted() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("outbox.sqlite");
    let (store, _) = Store::open(&path).expect("opens");
    for id in ["a", "b"] {
        store.add(&entry(id, 0, Severity::Low), &[to("s", id, false)], at(0)).expect("kept");
    }
    let (before, waiting) = (store.version().expect("asked"), store.waiting("s").expect("counted"));
    assert_eq!(waiting, Waiting { count: 2, oldest: Some(at(0)) });
    Store::visit(&path).expect("opens beside").remove(Some("s"), None).expect("removed");
    assert_ne!(store.version().expect("asked"), before);
    assert_eq!(store.waiting("s").expect("counted"), Waiting::default());
    assert!(store.sinks().expect("asked").is_empty());
}

#[test]
fn a_database_of_another_program_is_set_aside_even_without_a_mark() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("outbox.sqlite");
    rusqlite::Connection::open(&path).expect("opens").execute_batch("CREATE TABLE theirs (a)").expect("made");
    let (_, opened) = Store::open(&path).expect("a new one begins");
    assert!(matches!(opened, Opened::SetAside { .. }), "{opened:?}");
}

/// A statement that walks all that waits would cost more with each alert that a dead receiver leaves.
#[test]
fn each_step_finds_its_rows_by_an_index() {
    let store = Store::in_memory().expect("begins");
    let connection = &sync::lock(&store.inner).connection;
    for sql in [
        "SELECT min(added) FROM delivery WHERE sink = 's' AND state = 'waiting'",
        "SELECT min(next_at) FROM delivery WHERE sink = 's' AND state = 'waiting' AND next_at > 1",
        "UPDATE delivery SET state = 'dead' WHERE sink = 's' AND state = 'waiting' AND added < 1",
        "SELECT max(severity) FROM alert WHERE id = 'a'",
        "SELECT count(*) FROM delivery WHERE sink = 's' AND state = 'waiting'",
    ] {
        let plan: String =
            connection.query_row(&format!("EXPLAIN QUERY PLAN {sql}"), [], |row| row.get("detail")).expect("a plan");
        assert!(plan.starts_with("SEARCH") && plan.contains("INDEX"), "{sql}: {plan}");
    }
}

#[test]
fn what_is_open_stands_beside_its_last_line_and_goes_with_the_line_that_ends_it() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("outbox.sqlite");
    let (store, _) = Store::open(&path).expect("opens");
    let row = |ended| OpenRow { condition: "c1", count: 7, first_seen: at(-9), stands: true, ended };
    for update in [0, 1] {
        let open = Some(row(false));
        store.add(&Entry { open, ..entry("a", update, Severity::High) }, &[], at(0)).expect("kept");
    }
    drop(store);
    let (store, _) = Store::open(&path).expect("opens again");
    let [open] = &store.open_alerts(at(100 * 86_400)).expect("read")[..] else { panic!("one is open") };
    assert_eq!((&*open.id, open.update, open.count, open.stands, &*open.severity), ("a", 1, 7, true, "high"));
    assert_eq!((open.first_seen, open.last_seen), (at(-9), at(1)));
    let again = Entry { open: Some(row(true)), ..entry("a", 2, Severity::High) };
    store.add(&again, &[], at(2)).expect("kept");
    assert!(store.open_alerts(at(3)).expect("read").is_empty(), "it has ended");
}

#[test]
fn an_open_alert_is_forgotten_after_a_month_and_the_oldest_of_too_many_leave() {
    let store = Store::in_memory().expect("begins");
    for number in 0..MAX_OPEN_KEPT + 5 {
        let (id, time) = (format!("a{number}"), at(i64::try_from(number).expect("small")));
        let open = OpenRow { condition: &id, count: 1, first_seen: time, stands: true, ended: false };
        store.add(&Entry { open: Some(open), ..entry(&id, 0, Severity::Low) }, &[], time).expect("kept");
    }
    store.forget(at(20_000)).expect("tidied");
    let open = store.open_alerts(at(20_000)).expect("read");
    assert_eq!((open.len() as u64, &*open[0].id), (MAX_OPEN_KEPT, "a5"));
    store.forget(at(20_000 + 31 * 86_400)).expect("tidied");
    assert!(store.open_alerts(at(20_000)).expect("read").is_empty());
}
