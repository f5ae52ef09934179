//! When a process began.
//!
//! Contract: [`started`] answers only for a process that this host's `/proc` shows. Limits: good to a hundredth of a second, the
//! unit of `/proc/uptime` and, on every Linux since 2.6, of field 22 in `/proc/PID/stat` (proc(5), `USER_HZ` = 100).
//! Design: containerd's list of tasks has no start time, and a container's first process begins before its first packet.

use std::time::Duration;

use crate::clock::now;
use crate::time::Timestamp;

const HUNDREDTH: u64 = 10_000_000;

/// When the process with this pid began.
pub fn started(pid: u32) -> Option<Timestamp> {
    let stat = std::fs::read(format!("/proc/{pid}/stat")).ok()?;
    let uptime = std::fs::read_to_string("/proc/uptime").ok()?;
    let age = hundredths(uptime.split(' ').next()?)?.checked_sub(began(&stat)?)?;
    Some(now().minus(Duration::from_nanos(age.checked_mul(HUNDREDTH)?)))
}

/// Field 22, counted behind the command's name, which may hold anything.
fn began(stat: &[u8]) -> Option<u64> {
    let behind = stat.iter().rposition(|byte| *byte == b')')?;
    std::str::from_utf8(stat.get(behind + 1..)?).ok()?.split_ascii_whitespace().nth(19)?.parse().ok()
}

fn hundredths(text: &str) -> Option<u64> {
    let (seconds, fraction) = text.split_once('.')?;
    let fraction: u64 = fraction.get(..2)?.parse().ok()?;
    seconds.parse::<u64>().ok()?.checked_mul(100)?.checked_add(fraction)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_command_cannot_move_the_fields() {
        let line = b"7 (a) b) S 1 7 7 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 4711 1 2";
        assert_eq!(began(line), Some(4711));
        assert_eq!(began(b"7 (a"), None);
        assert_eq!(hundredths("12.34"), Some(1234));
        assert_eq!(hundredths("12"), None);
    }

    #[test]
    fn a_process_of_now_began_a_moment_ago() {
        let mut child = std::process::Command::new("sleep").arg("5").spawn().unwrap();
        let began = started(child.id()).unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(now().since(began) < Duration::from_secs(2), "{began}");
        assert_eq!(started(u32::MAX), None);
    }
}
