//! What is mounted for a process, as `/proc/PID/mountinfo` says.
//!
//! Contract: the mounts at places that the caller asks for, in the kernel's order. Limits: [`MAX_BYTES`] of the file, [`MAX_MOUNTS`] that are kept, [`MAX_TEXT`]
//! bytes of each text; what is beyond is counted. Source: proc(5).

use crate::input::KernelMount;

/// Of the file; a longer one is cut, which counts as one mount that is left out.
pub(super) const MAX_BYTES: u64 = 256 * 1024;
const MAX_MOUNTS: usize = 64;
const MAX_TEXT: usize = 256;

/// The mounts at places that matter, and how many are left out. `is_cut`: the file was longer.
pub(super) fn parse(text: &str, is_cut: bool, matters: impl Fn(&str) -> bool) -> (Vec<KernelMount>, u32) {
    // The last line of a file that was cut is half of one.
    let end = if is_cut { text.rfind('\n').unwrap_or(0) } else { text.len() };
    let lines = text.get(..end).unwrap_or_default().lines();
    let mut all: Vec<KernelMount> = lines.filter_map(mount).filter(|mount| matters(&mount.target)).collect();
    let omitted = all.len().saturating_sub(MAX_MOUNTS) + usize::from(is_cut);
    // The newest cover the others.
    all.drain(..all.len().saturating_sub(MAX_MOUNTS));
    (all, u32::try_from(omitted).unwrap_or(u32::MAX))
}

/// `36 35 98:0 /mnt1 /mnt2 rw,noatime master:1 - ext3 /dev/root rw,errors=continue`.
fn mount(line: &str) -> Option<KernelMount> {
    let (before, after) = line.split_once(" - ")?;
    let mut before = before.split(' ');
    let id = before.next()?.parse().ok()?;
    let (root, target) = (before.nth(2)?, before.next()?);
    let mut after = after.split(' ');
    let (kind, source) = (after.next()?, after.next()?);
    Some(KernelMount { id, target: plain(target), kind: plain(kind), source: plain(source), root: plain(root) })
}

/// Without the kernel's `\040` for a space and the like, cut to a bound.
fn plain(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len().min(MAX_TEXT));
    let mut rest = text.as_bytes();
    while let Some((first, after)) = rest.split_first() {
        let octal = (*first == b'\\').then(|| after.get(..3)).flatten();
        let octal = octal.filter(|digits| digits.iter().all(|digit| matches!(digit, b'0'..=b'7')));
        let value = octal.map(|digits| digits.iter().fold(0_u32, |value, digit| value * 8 + u32::from(digit - b'0')));
        let byte = value.and_then(|value| u8::try_from(value).ok());
        bytes.push(byte.unwrap_or(*first));
        rest = if byte.is_some() { after.get(3..).unwrap_or_default() } else { after };
        if bytes.len() >= MAX_TEXT {
            break;
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "35 34 0:30 / / rw,relatime - overlay overlay rw,lowerdir=/a\n\
        36 35 98:0 /docker/containers/ab/hosts /etc/hosts rw,relatime master:1 - ext4 /dev/root rw\n\
        91 35 0:77 / /var/log\\040of\\134me rw shared:2 master:1 - tmpfs my\\040tmpfs rw,size=1k\n";

    #[test]
    fn the_mounts_that_matter_are_read_with_their_odd_characters() {
        let (all, omitted) = parse(TEXT, false, |target| target != "/");
        assert_eq!(omitted, 0);
        let texts: Vec<_> =
            all.iter().map(|one| (one.id, &*one.target, &*one.kind, &*one.source, &*one.root)).collect();
        let expected = [
            (36, "/etc/hosts", "ext4", "/dev/root", "/docker/containers/ab/hosts"),
            (91, "/var/log of\\me", "tmpfs", "my tmpfs", "/"),
        ];
        assert_eq!(texts, expected);
    }

    #[test]
    fn a_file_that_was_cut_says_so_and_its_half_line_is_left_out() {
        let (all, omitted) = parse(&TEXT[..TEXT.len() - 30], true, |_| true);
        assert_eq!((all.len(), omitted), (2, 1));
    }

    #[test]
    fn decoys_do_not_hide_the_newest() {
        let text: String = (1..=500).map(|id| format!("{id} 1 0:1 / /etc/ssl/{id} rw - tmpfs x rw\n")).collect();
        let (all, omitted) = parse(&text, false, |_| true);
        assert_eq!((all.len(), omitted, all.last().map(|one| one.id)), (64, 436, Some(500)));
        let long = format!("1 1 0:1 / /{} rw - tmpfs x rw\n", "\\101".repeat(4000));
        assert_eq!(parse(&long, false, |_| true).0.first().map(|one| one.target.len()), Some(MAX_TEXT));
        assert!(parse("\\ - \n1 2 3 - x\nx\n 1 1 0:1 / /\\9 rw - \n", false, |_| true).0.is_empty());
    }
}
