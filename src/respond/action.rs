//! The actions: what each really does, and what can go wrong.
//!
//! Contract: these sentences stand in every plan and in `docs/response.md`; a test compares. Limits: they speak of Docker 20.10 and later, and of Podman 4.

use serde::{Deserialize, Serialize};

/// What can be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[cfg_attr(feature = "shell", derive(clap::ValueEnum))]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// Freeze its processes.
    Pause,
    /// Drop its traffic to the other end of the alert.
    Block,
    /// Take it off a network.
    Disconnect,
    /// Take it off all networks and put it on one that leads nowhere.
    Quarantine,
    /// Stop it, with a snapshot before.
    Stop,
}

impl Action {
    /// All, the least intrusive first.
    pub const ALL: [Self; 5] = [Self::Block, Self::Pause, Self::Disconnect, Self::Quarantine, Self::Stop];

    /// As it is written.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pause => "pause",
            Self::Block => "block",
            Self::Disconnect => "disconnect",
            Self::Quarantine => "quarantine",
            Self::Stop => "stop",
        }
    }

    /// What it really does.
    pub const fn does(self) -> &'static str {
        match self {
            Self::Pause => "freezes every process of the container; its memory and connections stay for a look at them",
            Self::Block => {
                "drops all packets between the container's addresses and the other ends of the alert, in nftables tables of its own (`inet hopwatch`, `bridge hopwatch`); connections that are open stall"
            }
            Self::Disconnect => {
                "takes the container off one network; its address there, its aliases and its settings are kept for the undo"
            }
            Self::Quarantine => {
                "takes the container off all its networks, then puts it on `hopwatch-quarantine`, an internal network; its addresses, aliases and settings are kept for the undo"
            }
            Self::Stop => {
                "keeps its logs, the list of its changed files and an image of it, then stops it (SIGTERM, SIGKILL after 10 s)"
            }
        }
    }

    /// How it is undone.
    pub const fn undo(self) -> &'static str {
        match self {
            Self::Pause => "`unpause`; nothing where the container was started anew since",
            Self::Block => {
                "the kernel drops each element when its time is over, also when hopwatch is dead; `delete element` before"
            }
            Self::Quarantine => "off the quarantine network, then as for `disconnect`; the quarantine network stays",
            Self::Stop => "`start`; nothing where it was started with `--rm`, which deletes it; the snapshot stays",
            Self::Disconnect => {
                "`connect` with the saved settings; without the MAC, then without the address, where the runtime refuses them"
            }
        }
    }

    /// What can go wrong.
    pub const fn dangers(self) -> &'static [&'static str] {
        match self {
            Self::Pause => &[
                "the kernel goes on: it sends what is buffered and acknowledges what arrives",
                "its health check fails, so an orchestrator may replace it with a new container",
                "`docker exec` is refused meanwhile, and `docker stop` resumes it first",
            ],
            Self::Block => &[
                "a sender that takes another address, or another destination, gets around it",
                "an address may be another container's after this one left it; `hopwatch respond run` ends the block when the container loses one of its addresses",
                "`nft flush ruleset` of another program removes it; `hopwatch respond run` puts it back",
                "traffic that never passes this host's bridges and routes (macvlan, ipvlan, flow offload, eBPF) is not hit",
            ],
            Self::Quarantine => &[
                "containers under quarantine reach each other, and the host at the network's gateway where the engine has no isolated gateways (before Docker 28)",
                "engines before 23.0.11, 25.0.5 and 26.0 pass its DNS questions on by way of the host (CVE-2024-29018)",
                "ports that the host publishes lead nowhere meanwhile; open connections break",
                "it lasts over a restart of the container, and ends when the container is recreated",
            ],
            Self::Stop => &[
                "its memory, its tmpfs and its connections are gone; pause keeps them",
                "a container that was started with `--rm` is deleted with its layer and its logs: only the snapshot stays",
                "Compose, Swarm, systemd or a kubelet may start it again, and the daemon's restart starts those with `restart: always`",
                "the image of the snapshot holds the container's settings with their secrets, but no volumes: nobody should run or push it",
            ],
            Self::Disconnect => &[
                "other networks of the container, and the host by way of them, stay within reach",
                "it lasts over a restart of the container, and ends when the container is recreated",
                "another container may take its address meanwhile; the undo then gives it a new one, and says so",
                "programs in it that bound to the address, or looked up names there, may need a restart after the undo",
            ],
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_page_says_the_same() {
        let page = include_str!("../../docs/response.md");
        for action in Action::ALL {
            let row = format!(
                "| `{}` | {} | {} | {} |",
                action.as_str(),
                action.does(),
                action.undo(),
                action.dangers().join("; ")
            );
            assert!(page.contains(&row), "docs/response.md must hold this row:\n{row}");
        }
    }
}
