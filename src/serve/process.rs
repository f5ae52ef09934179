//! What the process itself takes, under the names that Prometheus' client libraries use.
//!
//! Contract: read from `/proc/self` at each scrape; what cannot be read is left out.

use std::fs;

/// The process now.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ProcessStats {
    /// Processor time used, user and system.
    pub cpu_seconds: Option<f64>,
    /// Memory in use.
    pub resident_bytes: Option<u64>,
    /// Address space.
    pub virtual_bytes: Option<u64>,
    /// Open file descriptors.
    pub open_fds: Option<u64>,
    /// The limit of them.
    pub max_fds: Option<u64>,
    /// Threads.
    pub threads: Option<u64>,
    /// When it started, in seconds since 1970.
    pub start_seconds: Option<u64>,
}

impl ProcessStats {
    /// Reads them.
    pub fn read() -> Self {
        let stat = fs::read_to_string("/proc/self/stat").unwrap_or_default();
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        let boot = fs::read_to_string("/proc/stat").unwrap_or_default();
        let limit = nix::sys::resource::getrlimit(nix::sys::resource::Resource::RLIMIT_NOFILE).ok();
        Self {
            open_fds: fs::read_dir("/proc/self/fd").ok().and_then(|fds| u64::try_from(fds.count()).ok()),
            max_fds: limit.map(|(soft, _)| soft),
            resident_bytes: kilobytes(&status, "VmRSS:"),
            virtual_bytes: kilobytes(&status, "VmSize:"),
            threads: field(&status, "Threads:"),
            ..Self::times(&stat, field(&boot, "btime "), ticks())
        }
    }

    /// Field 14 and 15 of `/proc/self/stat` are processor time, field 22 is the start after boot, all in ticks.
    fn times(stat: &str, boot: Option<u64>, ticks: u64) -> Self {
        // The name in parentheses may hold blanks; field 3 comes after it.
        let after_name = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
        let numbers: Vec<Option<u64>> = after_name.split_whitespace().map(|word| word.parse().ok()).collect();
        let number = |field: usize| numbers.get(field - 3).copied().flatten();
        let used = number(14).zip(number(15)).map(|(user, system)| user + system);
        Self {
            #[expect(clippy::cast_precision_loss, reason = "exact for a million years of processor time")]
            cpu_seconds: used.map(|used| used as f64 / ticks as f64),
            start_seconds: boot.zip(number(22)).map(|(boot, after)| boot + after / ticks),
            ..Self::default()
        }
    }
}

fn ticks() -> u64 {
    let ticks = nix::unistd::sysconf(nix::unistd::SysconfVar::CLK_TCK).ok().flatten();
    ticks.and_then(|ticks| u64::try_from(ticks).ok()).filter(|ticks| *ticks > 0).unwrap_or(100)
}

fn field(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}

fn kilobytes(text: &str, name: &str) -> Option<u64> {
    field(text, name).map(|kilobytes| kilobytes * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_name_with_blanks_and_parentheses_does_not_shift_the_fields() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194304 1 0 0 0 250 50 0 0 20 0 9 0 3000 1 1";
        let stats = ProcessStats::times(stat, Some(1000), 100);
        assert_eq!((stats.cpu_seconds, stats.start_seconds), (Some(3.0), Some(1030)));
    }

    #[test]
    fn this_process_has_all_of_them() {
        let stats = ProcessStats::read();
        assert!(stats.cpu_seconds.is_some() && stats.start_seconds.is_some_and(|start| start > 1_600_000_000));
        assert!(stats.resident_bytes < stats.virtual_bytes && stats.open_fds < stats.max_fds);
        assert!(stats.threads >= Some(1));
    }
}
