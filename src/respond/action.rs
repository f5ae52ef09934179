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
    /// Take it off a network.
    Disconnect,
}

impl Action {
    /// All, the least intrusive first.
    pub const ALL: [Self; 2] = [Self::Pause, Self::Disconnect];

    /// As it is written.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Pause => "pause",
            Self::Disconnect => "disconnect",
        }
    }

    /// What it really does.
    pub const fn does(self) -> &'static str {
        match self {
            Self::Pause => "freezes every process of the container; its memory and connections stay for a look at them",
            Self::Disconnect => {
                "takes the container off one network; its address there, its aliases and its settings are kept for the undo"
            }
        }
    }

    /// How it is undone.
    pub const fn undo(self) -> &'static str {
        match self {
            Self::Pause => "`unpause`; nothing where the container was started anew since",
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
