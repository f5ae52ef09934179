//! Sets the stage of a scenario and acts on it, through the Docker command line.
//!
//! Contract: networks and containers stand and serve when [`set`] returns; an action is over when [`act`] returns.

use std::time::Duration;

use anyhow::{Context, Result, ensure};

use crate::daemon::{Daemon, USUAL};
use crate::images;
use crate::netns::HOME;
use crate::process;
use crate::scenario::{Action, Attachment, Connect, Container, Exec, Network, Outside, Scenario};

/// How long a container may take to serve.
const READY: Duration = Duration::from_secs(20);

/// Makes networks and containers, and waits until they serve.
pub fn set(daemon: &Daemon<'_>, scenario: &Scenario) -> Result<()> {
    if let Some(config) = &scenario.daemon {
        daemon.reconfigure(config)?;
    }
    for network in &scenario.networks {
        create_network(daemon, network)?;
    }
    for container in &scenario.containers {
        start(daemon, container)?;
    }
    for container in &scenario.containers {
        wait_ready(daemon, container)?;
    }
    for (number, action) in scenario.prepare.iter().enumerate() {
        act(daemon, action).with_context(|| format!("prepare {}", number + 1))?;
    }
    Ok(())
}

/// Takes away everything that [`set`] and the actions made.
pub fn clear(daemon: &Daemon<'_>, scenario: &Scenario) -> Result<()> {
    let tidied = match &scenario.tidy {
        Some(tidy) => daemon.world().script(&format!("set +e\n{tidy}\ntrue")).map(drop),
        None => Ok(()),
    };
    // What the next scenario's hopwatch hears of translations is its own.
    let cleared = daemon.clear().and_then(|()| daemon.world().script("conntrack -F 2>/dev/null").map(drop));
    let restored = scenario.daemon.as_ref().map_or(Ok(()), |_| daemon.reconfigure(USUAL));
    tidied.and(cleared).and(restored)
}

/// Lets one action happen.
pub fn act(daemon: &Daemon<'_>, action: &Action) -> Result<()> {
    match action {
        Action::Exec(exec) => {
            let done = shell(daemon, exec)?;
            let (stdout, stderr) = (process::tail(&done.stdout), process::tail(&done.stderr));
            ensure!(done.status.success(), "in {}: `{}` failed: {stdout}{stderr}", exec.container, exec.run);
        }
        Action::Try(exec) => drop(shell(daemon, exec)?),
        Action::WaitUntil(exec) => until_succeeds(daemon, &exec.container, &exec.run)?,
        Action::Run(container) => {
            start(daemon, container)?;
            wait_ready(daemon, container)?;
        }
        Action::RunToEnd(container) => run_to_end(daemon, container)?,
        Action::Outside(Outside { site, run }) => {
            let mut command = daemon.world().command("ip");
            process::output(command.args(["netns", "exec", site, "sh", "-c", run]), READY)?;
        }
        Action::Host(run) => drop(daemon.world().script(run)?),
        Action::Connect(Connect { container, network }) => connect(daemon, network, container)?,
        Action::Stop(name) => drop(daemon.docker(&["stop", "-t", "1", name])?),
        Action::Remove(name) => drop(daemon.docker(&["rm", "-f", name])?),
        Action::RestartDaemon {} => daemon.restart()?,
        Action::PauseMs(millis) => {
            let (start, pause) = (process::clock(), Duration::from_millis(*millis));
            let over = || Ok((start.elapsed() >= pause).then_some(()));
            process::until("the pause is over", pause + READY, over)?;
        }
    }
    Ok(())
}

fn create_network(daemon: &Daemon<'_>, network: &Network) -> Result<()> {
    let mut args = vec!["network", "create", "--subnet", &network.subnet];
    args.extend(network.driver.iter().flat_map(|driver| ["--driver", driver]));
    args.extend(network.gateway.iter().flat_map(|gateway| ["--gateway", gateway]));
    let options: Vec<_> = network.options.iter().map(|(key, value)| format!("{key}={value}")).collect();
    args.extend(options.iter().flat_map(|option| ["--opt", option]));
    if let Some(subnet6) = &network.subnet6 {
        args.extend(["--ipv6", "--subnet", subnet6]);
    }
    args.push(&network.name);
    daemon.docker(&args).map(drop)
}

fn start(daemon: &Daemon<'_>, container: &Container) -> Result<()> {
    create(daemon, container)?;
    daemon.docker(&["start", &container.name]).map(drop)
}

fn run_to_end(daemon: &Daemon<'_>, container: &Container) -> Result<()> {
    create(daemon, container)?;
    daemon.docker(&["start", "--attach", &container.name]).with_context(|| format!("in {}", container.name))?;
    daemon.docker(&["rm", "-f", &container.name]).map(drop)
}

fn create(daemon: &Daemon<'_>, container: &Container) -> Result<()> {
    let args = create_args(container);
    daemon.docker(&args.iter().map(String::as_str).collect::<Vec<_>>())?;
    for attachment in container.networks.iter().skip(1) {
        connect(daemon, attachment, &container.name)?;
    }
    for (path, content) in &container.files {
        std::fs::write(daemon.world().path("file"), content)?;
        daemon.docker(&["cp", &format!("{HOME}/file"), &format!("{}:{path}", container.name)])?;
    }
    Ok(())
}

fn connect(daemon: &Daemon<'_>, attachment: &Attachment, container: &str) -> Result<()> {
    let mut args = vec!["network", "connect"];
    args.extend(attachment.ip.iter().flat_map(|ip| ["--ip", ip]));
    args.extend(attachment.ip6.iter().flat_map(|ip| ["--ip6", ip]));
    daemon.docker(&[&args[..], &[&attachment.name, container]].concat()).map(drop)
}

fn create_args(container: &Container) -> Vec<String> {
    let mut args =
        vec!["create".to_owned(), "--name".into(), container.name.clone(), "--stop-timeout".into(), "1".into()];
    let mut add = |flag: &str, value: &str| args.extend([flag.to_owned(), value.to_owned()]);
    if container.host_network {
        add("--network", "host");
    }
    if let Some(owner) = &container.network_of {
        add("--network", &format!("container:{owner}"));
    }
    if container.pid_host {
        add("--pid", "host");
    }
    container.devices.iter().for_each(|device| add("--device", device));
    if let Some(first) = container.networks.first() {
        add("--network", &first.name);
        first.ip.iter().for_each(|ip| add("--ip", ip));
        first.ip6.iter().for_each(|ip| add("--ip6", ip));
    }
    container.env.iter().for_each(|(key, value)| add("--env", &format!("{key}={value}")));
    container.sysctls.iter().for_each(|(key, value)| add("--sysctl", &format!("{key}={value}")));
    container.labels.iter().for_each(|(key, value)| add("--label", &format!("{key}={value}")));
    container.dns.iter().for_each(|ip| add("--dns", ip));
    container.publish.iter().for_each(|ports| add("--publish", ports));
    container.cap_add.iter().for_each(|capability| add("--cap-add", capability));
    if container.privileged {
        args.push("--privileged".into());
    }
    args.extend(container.docker.iter().cloned());
    args.push(format!("{}:lab", container.image));
    if container.args.is_empty() && images::is_idle(&container.image) {
        args.extend(["sleep".to_owned(), "3600".to_owned()]);
    }
    args.extend(container.args.iter().cloned());
    args
}

fn wait_ready(daemon: &Daemon<'_>, container: &Container) -> Result<()> {
    let Some(ready) = &container.ready else { return Ok(()) };
    until_succeeds(daemon, &container.name, ready).with_context(|| {
        let logs = daemon.try_docker(&["logs", "--tail", "20", &container.name]);
        let logs = logs.map(|done| done.stdout + &done.stderr).unwrap_or_default();
        format!("{} does not serve; it says: {}", container.name, process::tail(&logs))
    })
}

fn until_succeeds(daemon: &Daemon<'_>, container: &str, run: &str) -> Result<()> {
    let what = format!("`{run}` succeeds in {container}");
    process::until(&what, READY, || {
        let done = daemon.try_docker(&["exec", container, "sh", "-c", run])?;
        ensure!(!done.stderr.contains("is not running"), "{container} has ended");
        Ok(done.status.success().then_some(()))
    })
}

fn shell(daemon: &Daemon<'_>, exec: &Exec) -> Result<process::Finished> {
    daemon.try_docker(&["exec", &exec.container, "sh", "-c", &exec.run])
}
