//! Bounds of a process, named and written alike whatever the runtime.
//!
//! Contract: Docker's `nofile` and the `RLIMIT_NOFILE` of Podman and of OCI are one name; no bound is `-1`, which OCI writes as 2^64-1 and Podman as either.

/// A bound as a configuration has it: its name, and `soft:hard`.
pub fn ulimit(name: &str, soft: i128, hard: i128) -> (String, String) {
    let plain = name.get(..7).filter(|start| start.eq_ignore_ascii_case("RLIMIT_")).map_or(name, |_| &name[7..]);
    let bound = |value: i128| if value >= i128::from(u64::MAX) { -1 } else { value };
    (plain.to_ascii_lowercase(), format!("{}:{}", bound(soft), bound(hard)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runtimes_name_and_write_one_bound_differently() {
        let all = [("nofile", 1024, -1), ("RLIMIT_NOFILE", 1024, i128::from(u64::MAX)), ("rlimit_NOFILE", 1024, -1)];
        for (name, soft, hard) in all {
            assert_eq!(ulimit(name, soft, hard), ("nofile".to_owned(), "1024:-1".to_owned()), "{name}");
        }
        assert_eq!(ulimit("RLIMITÄ", 0, 0).0, "rlimitÄ", "a name of anybody's choice");
    }
}
