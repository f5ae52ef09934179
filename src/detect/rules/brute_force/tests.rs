//! Which sessions are alike.

use super::*;
use crate::detect::testing::at;

fn window(sizes: impl Iterator<Item = (u64, u64)>) -> Window {
    let mut window = Window::new(at(0));
    for (number, (sent, received)) in (0..).zip(sizes) {
        let session = Session { at: at(number * 1000), sent, received, other: IpAddr::from([10, 0, 0, 9]) };
        window.add(session, std::time::Duration::from_mins(10));
    }
    window
}

#[test]
fn twenty_sessions_alike_are_guesses_and_those_that_differ_are_not() {
    assert_eq!(window((0..20).map(|n| (1200 + n, 2000))).alike(20), Some(20));
    assert_eq!(window((0..19).map(|n| (1200 + n, 2000))).alike(20), None, "too few");
    assert_eq!(window((0..20).map(|n| (1000 << n, 2000))).alike(20), None, "Git, backups: each another size");
}

#[test]
fn one_that_carries_three_times_as_much_differs() {
    let mut window = window((0..20).map(|_| (1200, 2000)));
    let large = Session { at: at(30_000), sent: 9000, received: 90_000, other: IpAddr::from([10, 0, 0, 9]) };
    assert!(!window.differs(&large), "nothing was reported");
    window.alike(20);
    assert!(window.is_due(Severity::Low) && !window.is_due(Severity::Low));
    assert!(window.differs(&large) && window.is_due(Severity::High));
}
