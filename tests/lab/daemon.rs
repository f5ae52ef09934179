//! The Docker daemon of the lab.
//!
//! Contract: it runs inside the [`World`] with its own data root, exec root, socket, pid file and control group, reads no
//! configuration of the machine, and has live restore on: containers survive a restart.
//! Limits: containers run without an `AppArmor` profile (its file system is not mounted inside).

use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::netns::{HOME, World};
use crate::process;

/// Its configuration, unless a scenario has another one.
pub const USUAL: &str = r#"{"live-restore": true}"#;

/// How long Docker may take for one thing.
const PATIENCE: Duration = Duration::from_secs(40);

/// A running daemon.
#[derive(Debug)]
pub struct Daemon<'w> {
    world: &'w World,
}

impl<'w> Daemon<'w> {
    /// Starts it and waits until it answers.
    pub fn start(world: &'w World) -> Result<Self> {
        std::fs::write(world.path("daemon.json"), USUAL)?;
        let daemon = Self { world };
        daemon.launch()?;
        Ok(daemon)
    }

    /// Stops it and starts it again; containers go on.
    pub fn restart(&self) -> Result<()> {
        self.world.script(&format!(
            "pid=$(cat {HOME}/docker.pid); kill -TERM $pid
             n=0; while [ -d /proc/$pid ] && [ $n -lt 300 ]; do n=$((n+1)); sleep 0.1; done; [ ! -d /proc/$pid ]"
        ))?;
        self.launch()
    }

    /// Restarts it with another configuration; containers go on.
    pub fn reconfigure(&self, config: &str) -> Result<()> {
        std::fs::write(self.world.path("daemon.json"), config)?;
        self.restart()
    }

    /// `docker ARGS`, which must succeed; returns what it wrote.
    pub fn docker(&self, args: &[&str]) -> Result<String> {
        process::output(self.docker_command().args(args), PATIENCE)
    }

    /// `docker ARGS`, whatever comes of it.
    pub fn try_docker(&self, args: &[&str]) -> Result<process::Finished> {
        process::run(self.docker_command().args(args), PATIENCE)
    }

    /// Removes every container and network that a scenario made, and what the kernel remembers of their connections: the next one's
    /// recording would begin with it.
    pub fn clear(&self) -> Result<()> {
        self.world.script(
            "c=$(docker ps -aq); [ -z \"$c\" ] || docker rm -f $c >/dev/null
             n=$(docker network ls -q --filter type=custom); [ -z \"$n\" ] || docker network rm $n >/dev/null
             conntrack -F >/dev/null 2>&1",
        )?;
        Ok(())
    }

    /// Where it runs.
    pub const fn world(&self) -> &'w World {
        self.world
    }

    /// Its version, as the provenance of a capture names it.
    pub fn version(&self) -> Result<String> {
        Ok(self.docker(&["version", "--format", "{{.Server.Version}}"])?.trim().to_owned())
    }

    fn docker_command(&self) -> Command {
        self.world.command("docker")
    }

    fn launch(&self) -> Result<()> {
        let mut command = self.world.command("sh");
        command.args(["-c", &format!("exec dockerd {} >>{HOME}/dockerd.log 2>&1", flags().join(" "))]);
        let mut child = process::spawn(&mut command)?;
        let answers = process::until("dockerd answers", PATIENCE, || {
            ensure!(child.try_wait()?.is_none(), "dockerd ended at once");
            Ok(self.try_docker(&["version"])?.status.success().then_some(()))
        });
        std::thread::spawn(move || child.wait());
        answers.with_context(|| {
            let log = std::fs::read_to_string(self.world.path("dockerd.log")).unwrap_or_default();
            format!("dockerd does not start; its log ends with: {}", process::tail(&log))
        })
    }
}

fn flags() -> Vec<String> {
    [
        format!("--config-file {HOME}/daemon.json"),
        format!("--data-root {HOME}/docker"),
        format!("--exec-root {HOME}/docker-exec"),
        format!("--host unix://{HOME}/docker.sock"),
        format!("--pidfile {HOME}/docker.pid"),
        format!("--cgroup-parent {}", World::cgroup()),
        "--exec-opt native.cgroupdriver=cgroupfs".into(),
        "--log-level warn".into(),
    ]
    .into()
}
