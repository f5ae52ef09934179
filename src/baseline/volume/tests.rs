//! What is normal of an hour: seasons, days off, weekly jobs, changes of the clock, several hosts.

use super::*;
use crate::inventory::configuration::{ServiceKey, ServiceName};

/// Monday 5 January 2026, 0 o'clock UTC.
const MONDAY: i64 = 490_992;

/// Of an hour: an office's service, with a little noise that is the same in every run.
fn office(hour: i64) -> u64 {
    let slot = Zone::default().slot(hour);
    let is_busy = slot < 120 && (8..18).contains(&(slot % 24));
    let noise = (hour.rem_euclid(7) * 37 + hour.rem_euclid(5) * 11).unsigned_abs() % 100;
    let base = if is_busy { 50_000_000 } else { 2_000_000 };
    base + base * noise / 400
}

fn learned(weeks: i64, of_hour: impl Fn(i64) -> u64) -> VolumeBaseline {
    let rows: Vec<HourRow> = (MONDAY..MONDAY + weeks * 168)
        .filter_map(|hour| HourRow::new(hour, [of_hour(hour), 10, 10, 10, 60, 0]))
        .collect();
    VolumeBaseline::of(Zone::default(), 1, 0, &rows).expect("sketches").expect("hours")
}

fn far(volume: &VolumeBaseline, hour: i64, amount: u64) -> Option<(Beyond, Season)> {
    let stand = volume.stand(hour, Figure::BytesOut, amount)?;
    Some((stand.is_far(Figure::BytesOut, amount, 1, &Limits::default())?, stand.season))
}

#[test]
fn the_first_day_of_the_epoch_is_where_it_should_be() {
    assert_eq!(start_of(MONDAY).to_string(), "2026-01-05T00:00:00.000000000Z");
    assert_eq!(hour_of(start_of(MONDAY)), MONDAY);
}

#[test]
fn another_week_of_the_same_life_is_no_news_whatever_was_learned() {
    for weeks in [1, 2, 5, 12] {
        let volume = learned(weeks, office);
        let next = MONDAY + weeks * 168;
        let news: Vec<i64> = (next..next + 168).filter(|hour| far(&volume, *hour, office(*hour)).is_some()).collect();
        assert_eq!(news, Vec::<i64>::new(), "after {weeks} weeks");
    }
}

#[test]
fn the_finest_season_of_which_enough_is_known_speaks() {
    let night = |weeks: i64| far(&learned(weeks, office), MONDAY + weeks * 168 + 3, 2_000_000_000);
    assert_eq!(night(1).map(|(_, season)| season), Some(Season::AllHours), "five nights of work");
    assert_eq!(night(2), Some((Beyond::Above, Season::HourOfDay)));
    assert_eq!(night(4), Some((Beyond::Above, Season::HourOfWeek)));
}

#[test]
fn more_at_night_than_ever_at_night_is_news_although_it_is_less_than_at_noon() {
    let volume = learned(5, office);
    let next = MONDAY + 5 * 168;
    assert_eq!(far(&volume, next + 3, 40_000_000).map(|(side, _)| side), Some(Beyond::Above));
    assert_eq!(far(&volume, next + 12, 40_000_000), None);
    assert_eq!(far(&volume, next + 12, 4_000).map(|(side, _)| side), Some(Beyond::Below));
    assert_eq!(far(&volume, next + 3, 1_000_000), None, "half of the usual");
}

#[test]
fn a_day_off_looks_like_a_sunday_and_a_weekend_at_work_like_a_monday() {
    let volume = learned(5, office);
    let (monday, saturday) = (MONDAY + 5 * 168, MONDAY + 5 * 168 + 120);
    for hour in 0..24 {
        assert_eq!(far(&volume, monday + hour, office(saturday + hour)), None, "a holiday at {hour}");
        assert_eq!(far(&volume, saturday + hour, office(monday + hour)), None, "a working Saturday at {hour}");
    }
}

#[test]
fn a_weekly_job_is_news_in_the_first_week_and_known_from_the_second_on() {
    let job = |hour: i64| if Zone::default().slot(hour) == 6 * 24 + 3 { 9_000_000_000 } else { office(hour) };
    let sunday = |weeks: i64| MONDAY + weeks * 168 + 6 * 24 + 3;
    let mut days = learned(1, job);
    assert_eq!(far(&days, sunday(1), 9_000_000_000), None, "seen once");
    days = learned(1, office);
    assert!(far(&days, sunday(1), 9_000_000_000).is_some(), "never seen");
    for weeks in 2..9 {
        let volume = learned(weeks, job);
        assert_eq!(far(&volume, sunday(weeks), 9_000_000_000), None, "after {weeks} weeks");
        assert_eq!(far(&volume, sunday(weeks) - 1, 9_000_000_000), None, "a moment early, after {weeks} weeks");
    }
}

#[test]
fn work_that_follows_the_clock_on_the_wall_is_no_news_after_the_clock_was_changed() {
    let berlin: Zone = "CET-1CEST,M3.5.0,M10.5.0/3".parse().expect("a rule");
    let job = |hour: i64| if berlin.slot(hour) % 24 == 3 { 900_000_000 } else { 1_000_000 };
    // Six weeks to 22 March 2026, and the two weeks around the change on the 29th.
    let first = hour_of("2026-02-09T00:00:00Z".parse().expect("a time"));
    let rows: Vec<HourRow> =
        (first..first + 6 * 168).filter_map(|hour| HourRow::new(hour, [job(hour), 0, 0, 0, 0, 0])).collect();
    let of = |zone: &Zone| VolumeBaseline::of(zone.clone(), 1, 0, &rows).expect("sketches").expect("hours");
    let after = first + 6 * 168..first + 8 * 168;
    let news = |volume: &VolumeBaseline| after.clone().filter(|hour| far(volume, *hour, job(*hour)).is_some()).count();
    assert_eq!(news(&of(&berlin)), 0);
    // An hour early is beside what is known: not even the wrong clock makes noise.
    assert_eq!(news(&of(&Zone::default())), 0);
    let late = |hour: i64| if berlin.slot(hour) % 24 == 9 { 900_000_000 } else { 1_000_000 };
    let found = after.clone().filter(|hour| far(&of(&berlin), *hour, late(*hour)).is_some()).count();
    assert_eq!(found, 14, "the same job six hours later, each day");
}

#[test]
fn what_a_person_accepts_is_no_news() {
    let mut volume = learned(5, office);
    let night = MONDAY + 5 * 168 + 3;
    volume.accept(Figure::BytesOut, Within { from: 800_000_000, to: 900_000_000 });
    volume.accept(Figure::BytesOut, Within { from: 850_000_000, to: 1_000_000_000 });
    assert_eq!(far(&volume, night, 1_000_000_000), None);
    assert_eq!(far(&volume, night, 800_000_000), None);
    assert!(far(&volume, night, 1_000_000_001).is_some());
}

#[test]
fn baselines_of_several_hosts_make_the_same_bytes_in_any_order() {
    let hosts: Vec<VolumeBaseline> = (0..4).map(|host: i64| learned(3, move |hour| office(hour + host * 5))).collect();
    let bytes = |order: [usize; 4]| {
        let all: Vec<&VolumeBaseline> = order.iter().filter_map(|place| hosts.get(*place)).collect();
        let whole = VolumeBaseline::merged(&all).expect("one zone");
        let sketches: Vec<Vec<u8>> = whole.quantiles.iter().map(|one| one.sketch().to_vec()).collect();
        assert_eq!((whole.quantiles(Figure::FlowsOut).hours, whole.week.len()), (4 * 3 * 168, 8 * 168));
        (sketches, whole.week.bytes())
    };
    let first = bytes([0, 1, 2, 3]);
    for order in [[3, 2, 1, 0], [1, 3, 0, 2], [2, 0, 3, 1]] {
        assert!(bytes(order) == first, "{order:?}");
    }
    let other = VolumeBaseline { zone: "IST-5:30".parse().expect("a rule"), ..hosts[0].clone() };
    assert!(matches!(VolumeBaseline::merged(&[&hosts[0], &other]), Err(MergeError::Zones(..))));
    assert!(matches!(VolumeBaseline::merged(&[]), Err(MergeError::Nothing)));
}

#[test]
fn hours_in_which_something_hostile_happened_are_not_learned_whenever_that_is_known() {
    let key = ServiceKey::new(ServiceName::Name("web".into()), "shop/web");
    let mut learner = VolumeLearner::default();
    for hour in 0..100 {
        let amount = if (40..=42).contains(&hour) { 1_000_000_000 } else { 1000 };
        learner.apply(&key, MONDAY + hour, [amount * 3, 0, 0, 0, 0, 0], 3);
    }
    learner.doubt(&key, MONDAY + 40, MONDAY + 40);
    learner.doubt(&key, MONDAY + 40, MONDAY + 42);
    learner.leave_out(&key);
    let services = learner.finish(&Zone::default()).expect("sketches");
    let volume = &services.get(&key).expect("the service").volume;
    assert_eq!((volume.containers, volume.left_out), (3, 4));
    let quantiles = volume.quantiles(Figure::BytesOut);
    assert_eq!((quantiles.hours, quantiles.most, quantiles.median), (97, 1000, 1000));
}

#[test]
fn after_too_many_doubts_nothing_is_learned() {
    let key = ServiceKey::new(ServiceName::Name("web".into()), "shop/web");
    let mut learner = VolumeLearner::default();
    learner.apply(&key, MONDAY, [1; 6], 1);
    (1..400).for_each(|hour| learner.doubt(&key, MONDAY + 1000 + hour, MONDAY + 1000 + hour));
    assert!(learner.finish(&Zone::default()).expect("sketches").is_empty());
}
