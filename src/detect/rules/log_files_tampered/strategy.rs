//! What the rule is.

use crate::detect::{Ads, RuleMeta, Severity, Technique};

/// What the rule is.
pub static META: RuleMeta = RuleMeta {
    name: "log-files-tampered",
    title: "A log file of a running container was truncated, removed or redirected",
    severity: Severity::High,
    techniques: &[Technique { name: "Clear Linux or Mac System Logs", v19: "T1685.006", v18: "T1070.002" }],
    ads: Ads {
        goal: "Detects that the log of a running container is cleared on the host: its file truncated without a copy, removed, replaced by a link \
             (to /dev/null), a pipe or another file.",
        categorization: "Defense Evasion: indicators are removed after the fact, or their further collection is prevented.",
        strategy: "The runtime's own file of each container (`LogPath`), and folders of the host that are mounted over /var/log or a folder called \
             log or logs, are watched with inotify; metadata are compared, no file is opened. A file that is shorter than before is reported \
             unless a copy of about its old size is beside it (logrotate's copytruncate); a name that nothing has for two \
             seconds, and a file that is another one although the old one is not beside it, are reported while the container runs on `settle` later; \
             links and special files at once. What Docker does itself with `max-size` is rotation: it renames, then creates; with one file newer engines remove and create. \
             In mounted folders applications rotate as they like, so only links to /dev/null and its kind, cuts of more than half of 4 KiB and \
             more without a copy, and removals without a rename are reported, one severity lower but for the links.",
        technical_context: "The daemon keeps its file open: after a removal or a link it writes on into the deleted file, `docker logs` shows nothing new \
             or fails, and no event of the runtime says so. Docker 20.10 refuses to start a container whose log is a link to /dev/null. \
             Opened for appending, a cut file simply goes on from its start. Only processes with rights over the runtime's folder can do \
             this: root on the host, or a container that mounts the folder.",
        blind_spots: &[
            "Lines that are edited in place without making the file shorter: only hash chains show that.",
            "A file that is cut and grows beyond its old size within 100 ms (longer on a busy host).",
            "A copy beside the file explains a cut, no matter who made it; that the copy is removed later is not reported.",
            "NFS and FUSE changed by others, mmap, and the lower side of an overlay: the kernel reports nothing there.",
            "Files in volumes, in the container's own layer and of other drivers (`local`, containerd, CRI) are not watched, nor folders beyond \
             8,192; each place that cannot be watched is a fact, and `hopwatch paths` counts them.",
            "A recording without facts about log files: `hopwatch paths` says so.",
        ],
        assumptions: &[
            "hopwatch sees the host's file system under the paths that the runtime reports, and may list the folders (root).",
            "The runtime's inspect can be read: it names the file.",
        ],
        false_positives: &[
            "A person or a cron job that clears a log because a disk is full: the same, and worth to know.",
            "logrotate's copytruncate with `olddir`: the copy is not beside the file.",
            "An application that opens its own log for writing from the start: list it under `allowed`.",
        ],
        true_positives: &["log-file-cleared"],
        benign_twins: &["log-file-rotated", "log-file-copytruncated"],
        priority: "High: the record of the container is gone, or no longer grows. Medium in mounted folders, where applications rotate too.",
        response: &[
            "The evidence names the file and what became of it. `ls -la` of its folder shows links and copies.",
            "After a removal the daemon still has the file: `ls -l /proc/$(pidof dockerd)/fd | grep deleted`, then copy it from there.",
            "Who did it? The audit log (`ausearch -f PATH`), the shell history of the host, containers that mount the folder.",
            "Look at the container's alerts and flows before that time: what was to be hidden?",
            "Put the file back by starting the container again after its memory and layer are kept as evidence.",
        ],
        resources: &[
            "https://attack.mitre.org/techniques/T1070/002/",
            "https://docs.docker.com/engine/logging/drivers/json-file/",
            "https://man7.org/linux/man-pages/man7/inotify.7.html",
        ],
    },
};
