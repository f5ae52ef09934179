//! The rights of this process.
//!
//! Contract: the effective capabilities of the calling thread; unknown ones are not missing. Source: capabilities(7), proc(5).

/// A capability that observing the kernel needs, with its bit.
const NEEDED: [(&str, u32); 3] = [("CAP_NET_ADMIN", 12), ("CAP_SYS_PTRACE", 19), ("CAP_SYS_ADMIN", 21)];

/// Capabilities without which address translation, sockets and namespaces of other processes are not seen, and that this process lacks.
pub fn missing_capabilities() -> Vec<&'static str> {
    let status = std::fs::read_to_string("/proc/thread-self/status").unwrap_or_default();
    missing(&status)
}

fn missing(status: &str) -> Vec<&'static str> {
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let Some(held) = effective.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok()) else { return Vec::new() };
    NEEDED.into_iter().filter(|(_, bit)| held & (1 << bit) == 0).map(|(name, _)| name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_held_is_missing() {
        assert_eq!(missing("Name:\thopwatch\nCapEff:\t000001ffffffffff\n"), [""; 0]);
        let raw_only = missing("CapEff:\t0000000000002000\n");
        assert_eq!(raw_only, ["CAP_NET_ADMIN", "CAP_SYS_PTRACE", "CAP_SYS_ADMIN"]);
        assert_eq!(missing("CapEff:\t0000000000281000\n"), [""; 0]);
        assert_eq!(missing("no such line"), [""; 0], "nothing is claimed of what is not known");
    }
}
