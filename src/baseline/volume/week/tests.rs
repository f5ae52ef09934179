//! Rows and bytes of a week.

use super::*;

fn week(rows: &[HourRow]) -> Week {
    let mut week = Week::default();
    for row in rows {
        week.insert(&Zone::default(), *row);
    }
    week
}

fn rows(hours: std::ops::Range<i64>) -> Vec<HourRow> {
    let row = |hour: i64| HourRow::new(hour, [hour.unsigned_abs() % 977, 1, 2, 3, 4, 5]);
    hours.filter_map(row).collect()
}

#[test]
fn the_latest_rows_of_each_hour_stay_in_whatever_order_they_come() {
    let all = rows(0..12 * 168);
    let kept = week(&all);
    assert_eq!(kept.len(), 168 * MAX_PER_SLOT);
    assert_eq!(kept.rows().next().map(|row| row.hour), Some(4 * 168));
    let mut other = all;
    other.reverse();
    assert_eq!(week(&other), kept);
    other.rotate_left(777);
    assert_eq!(week(&other), kept);
}

#[test]
fn a_week_is_read_back_equal_and_damage_is_refused() {
    let kept = week(&rows(500_000..500_300));
    let bytes = kept.bytes();
    assert_eq!(bytes.len(), 300 * 28);
    assert_eq!(Week::read(&Zone::default(), &bytes), Ok(kept));
    assert_eq!(Week::read(&Zone::default(), &bytes[1..]), Err(WeekError));
    let negative = [&bytes[..7], &[0x80], &bytes[8..]].concat();
    assert_eq!(Week::read(&Zone::default(), &negative), Err(WeekError));
    let infinite = [&bytes[..4], &f32::INFINITY.to_le_bytes(), &bytes[8..]].concat();
    assert_eq!(Week::read(&Zone::default(), &infinite), Err(WeekError));
    let of_one_hour: Vec<u8> = bytes[..28].repeat(MAX_PER_SLOT + 1);
    assert_eq!(Week::read(&Zone::default(), &of_one_hour), Err(WeekError));
    assert!(HourRow::new(-1, [0; 6]).is_none());
}

#[test]
fn the_median_and_the_spread_are_those_of_the_logarithms() {
    let all: Vec<HourRow> = (0..4).filter_map(|week| HourRow::new(week * 168, [1000, 0, 0, 0, 0, 0])).collect();
    let stand = week(&all).stand(&Zone::default(), 4 * 168, Figure::BytesOut, 2000).expect("four values");
    assert_eq!((stand.season, stand.values, stand.expected), (Season::HourOfWeek, 4, 1000));
    let z = (2001.0_f64.ln() - 1001.0_f64.ln()) / LEAST_SPREAD;
    assert!((stand.z - z).abs() < 1e-9, "{}", stand.z);
    assert_eq!(stand.beyond(2000), Some(Beyond::Above));
    assert_eq!(stand.beyond(1280), None);
    assert_eq!(stand.beyond(700), Some(Beyond::Below));
}
