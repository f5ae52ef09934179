//! The orders of the steps, given one after the other.
//!
//! Contract: before each step the container is looked at: the same one, in the same run; after each, whether it is in effect, which alone counts: an error may come after the deed. Limits: a
//! logging driver that gives no logs leaves its words in the snapshot's file instead.

use std::fs::{self, DirBuilder, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::Path;

use super::look::look;
use super::nft_program::run_nft;
use super::runtime_client::{CallError, RuntimeClient};
use super::situation::networks;
use crate::respond::{Call, Container, Effect, EndpointState, Intent, Order, SNAPSHOT_LOGS, Seen, Step, Target, block};

/// Each step in turn.
pub(super) fn carry_out(client: &RuntimeClient, intent: &Intent, snapshots: &Path) -> Result<String, String> {
    let mut done = Vec::new();
    for step in &intent.steps {
        let seen = look(client, &intent.target.id, &intent.steps, snapshots)?;
        check_run(&seen, &intent.target)?;
        if step.effect(&seen) == Effect::Absent {
            do_step(client, step, intent, snapshots)?;
        }
        done.push(step.describe());
    }
    Ok(done.join(", "))
}

fn check_run(seen: &Seen, target: &Target) -> Result<(), String> {
    let container = seen.container.as_ref().ok_or("the container is gone")?;
    if container.started == target.started { Ok(()) } else { Err("the container was started anew".to_owned()) }
}

fn do_step(client: &RuntimeClient, step: &Step, intent: &Intent, snapshots: &Path) -> Result<(), String> {
    let orders = step.orders(&intent.target.id);
    let given = orders.iter().try_for_each(|order| give(client, order, step, snapshots));
    let seen = look(client, &intent.target.id, &intent.steps, snapshots)?;
    match (step.effect(&seen), given) {
        (Effect::There, _) => Ok(()),
        (Effect::Absent, Err(error)) => Err(error),
        (Effect::Absent, Ok(())) => Err(format!("the order was taken, but the container is not {}", step.describe())),
    }
}

fn give(client: &RuntimeClient, order: &Order, step: &Step, snapshots: &Path) -> Result<(), String> {
    let call = match order {
        Order::Nft { nft } => return run_nft(nft),
        Order::Request(call) => call,
    };
    match (client.send(call), call.keep, step) {
        (Ok(answer), Some(file), Step::Snapshot { name }) => keep(snapshots, name, file, &answer),
        (Err(error), Some(SNAPSHOT_LOGS), Step::Snapshot { name }) if error.is_answer() => {
            keep(snapshots, name, SNAPSHOT_LOGS, format!("no logs: {error}\n").as_bytes())
        }
        (Ok(_), ..) => Ok(()),
        (Err(error), ..) if is_made_already(call, &error) => Ok(()),
        (Err(error), ..) => Err(error.to_string()),
    }
}

/// A network that another process made meanwhile.
fn is_made_already(call: &Call, error: &CallError) -> bool {
    call.path == "/networks/create" && matches!(error, CallError::Status { code: 409, .. })
}

/// A file of a snapshot; it is on the disk when this returns.
fn keep(snapshots: &Path, name: &str, file: &str, answer: &[u8]) -> Result<(), String> {
    let folder = snapshots.join(name);
    let bytes = if file == SNAPSHOT_LOGS { without_frames(answer) } else { answer.to_vec() };
    let write = || -> io::Result<()> {
        DirBuilder::new().recursive(true).mode(0o700).create(&folder)?;
        let mut options = OpenOptions::new();
        let mut file = options.write(true).create(true).truncate(true).mode(0o600).open(folder.join(file))?;
        file.write_all(&bytes)?;
        file.sync_all()?;
        fs::File::open(&folder)?.sync_all()
    };
    write().map_err(|error| format!("keeping {file} of the snapshot in {}: {error}", folder.display()))
}

/// Logs come in frames of eight bytes and a text, but for a container with a terminal.
fn without_frames(bytes: &[u8]) -> Vec<u8> {
    let mut text = Vec::with_capacity(bytes.len());
    let mut rest = bytes;
    while let [stream @ 0..=2, 0, 0, 0, a, b, c, d, after @ ..] = rest {
        let _ = stream;
        let length = usize::try_from(u32::from_be_bytes([*a, *b, *c, *d])).unwrap_or(usize::MAX).min(after.len());
        text.extend_from_slice(&after[..length]);
        rest = &after[length..];
    }
    text.extend_from_slice(rest);
    text
}

/// Each step's undo, the last first.
pub(super) fn reverse(client: &RuntimeClient, intent: &Intent, snapshots: &Path) -> Result<String, String> {
    let (mut said, mut failures) = (Vec::new(), Vec::new());
    for step in intent.steps.iter().rev() {
        let seen = look(client, &intent.target.id, &intent.steps, snapshots)?;
        if step.can_be_undone(&seen, intent.target.started) {
            // One network that does not take it back keeps it off no other.
            match undo_step(client, step, intent, snapshots) {
                Ok(detail) => said.push(detail),
                Err(why) => failures.push(why),
            }
        } else {
            said.push(why_nothing(step, &seen, &intent.target));
        }
    }
    said.dedup();
    if failures.is_empty() { Ok(said.join("; ")) } else { Err(failures.join("; ")) }
}

fn why_nothing(step: &Step, seen: &Seen, target: &Target) -> String {
    match (step, &seen.container) {
        (Step::Snapshot { .. }, _) => format!("it stays {}", step.describe()),
        (Step::Block { .. }, _) => format!("it is not {} any more", step.describe()),
        (Step::Stop { removes: true }, None) => "it was deleted when it stopped, which cannot be undone".to_owned(),
        (_, None) => "the container is gone, and the response with it".to_owned(),
        (_, Some(container)) if container.started != target.started && step.ends_with_the_run() => {
            "the container was started anew since, which ended it".to_owned()
        }
        _ => format!("it is not {} any more", step.describe()),
    }
}

fn undo_step(client: &RuntimeClient, step: &Step, intent: &Intent, snapshots: &Path) -> Result<String, String> {
    let started = intent.target.started;
    if let Step::Disconnect { network, network_id, .. } = step
        && !networks(client).map_err(|error| error.to_string())?.contains_key(network_id)
    {
        return Ok(format!(
            "the network {network} is gone, so it cannot be on it again; a new one of that name is another"
        ));
    }
    let mut last = "there is no way to undo it".to_owned();
    for order in step.undo(&intent.target.id) {
        let given = give(client, &order, step, snapshots);
        let seen = look(client, &intent.target.id, &intent.steps, snapshots)?;
        if !step.can_be_undone(&seen, started) {
            return Ok(seen
                .container
                .map_or_else(|| format!("it is no longer {}", step.describe()), |now| differences(step, &now)));
        }
        last = given.err().unwrap_or_else(|| "the order was taken, but nothing changed".to_owned());
    }
    Err(last)
}

/// What is not as it was before.
fn differences(step: &Step, container: &Container) -> String {
    let Step::Disconnect { network, network_id, endpoint } = step else {
        return format!("it is no longer {}", step.describe());
    };
    let Some(EndpointState { settings, .. }) = container.endpoint(network_id) else { return String::new() };
    let parts = ["IPAMConfig", "Aliases", "Links", "DriverOpts", "GwPriority", "MacAddress"];
    let differs = parts.iter().filter(|part| settings.get(**part) != endpoint.get(**part));
    let differs: Vec<_> =
        differs.map(|part| format!("{part} was {}, is {}", endpoint[*part], settings[*part])).collect();
    if differs.is_empty() {
        format!("it is on the network {network} again, as before")
    } else {
        format!("it is on the network {network} again, but: {}", differs.join("; "))
    }
}

/// The blocks of a response once more, for the seconds that are left.
pub(super) fn restore_blocks(intent: &Intent, seconds: u64) -> Result<(), String> {
    let pairs = intent.steps.iter().filter_map(|step| match step {
        Step::Block { pairs, .. } => Some(pairs),
        _ => None,
    });
    pairs.into_iter().try_for_each(|pairs| run_nft(&block(pairs, seconds)))
}

#[cfg(test)]
mod tests {
    use super::without_frames;

    #[test]
    fn logs_lose_their_frames_and_those_of_a_terminal_have_none() {
        let framed = b"\x01\0\0\0\0\0\0\x03one\x02\0\0\0\0\0\0\x04two\n";
        assert_eq!(without_frames(framed), b"onetwo\n");
        assert_eq!(without_frames(b"plain text"), b"plain text");
        assert_eq!(without_frames(b"\x01\0\0\0\0\0\xff\xffshort"), b"short");
    }
}
