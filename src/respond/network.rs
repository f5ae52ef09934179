//! Which of a container's networks is meant.

use super::container::{Container, EndpointState};
use super::subject::Subject;

/// Whether its networks are its own.
pub(super) fn has_networks(container: &Container) -> Result<(), String> {
    match container.network_mode.as_str() {
        "host" => Err("it uses the host's network, which it cannot be taken off".to_owned()),
        "none" => Err("it has no network".to_owned()),
        mode if mode.starts_with("container:") => {
            Err(format!("it uses the network of another container ({mode}): respond to that one"))
        }
        _ => Ok(()),
    }
}

/// The network that is meant: the one that was named, that the flow went over, or the only one.
pub(super) fn network_of<'a>(
    subject: &Subject,
    asked: Option<&str>,
    container: &'a Container,
) -> Result<&'a EndpointState, String> {
    has_networks(container)?;
    let names = || container.endpoints.iter().map(|endpoint| endpoint.network.as_str()).collect::<Vec<_>>().join(", ");
    let found = match (asked, subject.ends) {
        (Some(asked), _) => {
            let found = container.endpoint(asked);
            let found = found.ok_or_else(|| format!("it is not on the network {asked:?}; it is on: {}", names()))?;
            return check_id(found);
        }
        (None, Some(ends)) => container.endpoints.iter().find(|endpoint| {
            endpoint.addresses.iter().any(|own| ends.iter().any(|end| end.to_canonical() == own.to_canonical()))
        }),
        (None, None) => None,
    };
    match (found, container.endpoints.as_slice()) {
        (Some(endpoint), _) | (None, [endpoint]) => check_id(endpoint),
        (None, []) => Err("it is on no network".to_owned()),
        (None, _) => Err(format!("it is on several networks; say which with --network: {}", names())),
    }
}

/// The network's id becomes a part of a request.
pub(super) fn check_id(endpoint: &EndpointState) -> Result<&EndpointState, String> {
    let is_id = endpoint.network_id.len() == 64 && endpoint.network_id.bytes().all(|byte| byte.is_ascii_hexdigit());
    if is_id { Ok(endpoint) } else { Err(format!("the id of its network {:?} is not known", endpoint.network)) }
}
