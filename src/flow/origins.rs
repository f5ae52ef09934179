//! Who began the conversations that fell silent.
//!
//! Contract: a conversation that both ends took part in keeps its originator when it goes on after its idle timeout, within
//! [`MEMORY`]. A SYN begins a new one, and asks nothing here.
//! Limits: [`MAX_REMEMBERED`]; the one that fell silent first is forgotten first, and then its next packet says who asks.

use std::collections::VecDeque;
use std::time::Duration;

use super::key::FlowKey;
use crate::time::Timestamp;

/// Conversations remembered.
pub(super) const MAX_REMEMBERED: usize = 1 << 15;
/// As long as Linux waits before it sends a keep-alive.
pub(super) const MEMORY: Duration = Duration::from_hours(2);

#[derive(Clone, Copy, Debug)]
struct Origin {
    is_low: bool,
    since: Timestamp,
}

/// Who began the conversations that fell silent.
#[derive(Debug, Default)]
pub(super) struct Origins {
    by_key: hashbrown::HashMap<FlowKey, Origin, foldhash::fast::RandomState>,
    /// In the order in which they fell silent; what was taken since is still here.
    order: VecDeque<(FlowKey, Timestamp)>,
}

impl Origins {
    /// Keeps whether the low end of a key began.
    pub(super) fn remember(&mut self, key: FlowKey, is_low: bool, now: Timestamp) {
        while self.order.len() >= MAX_REMEMBERED
            && let Some((oldest, since)) = self.order.pop_front()
        {
            if self.by_key.get(&oldest).is_some_and(|origin| origin.since == since) {
                self.by_key.remove(&oldest);
            }
        }
        self.by_key.insert(key, Origin { is_low, since: now });
        self.order.push_back((key, now));
    }

    /// Whether the low end began the conversation that goes on now; `None` where that is not known.
    #[inline]
    pub(super) fn take(&mut self, key: &FlowKey, now: Timestamp) -> Option<bool> {
        if self.by_key.is_empty() {
            return None;
        }
        self.by_key.remove(key).filter(|origin| now.since(origin.since) <= MEMORY).map(|origin| origin.is_low)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decode::Headers;

    fn key(port: u16) -> FlowKey {
        FlowKey::new(&Headers { src_port: port, ..Headers::EMPTY }).0
    }

    #[test]
    fn the_oldest_is_forgotten_first_and_nothing_is_remembered_for_ever() {
        let mut origins = Origins::default();
        let at = |seconds: u64| Timestamp::default().plus(Duration::from_secs(seconds));
        let ports = 1..=u16::try_from(MAX_REMEMBERED + 1).expect("below 65536");
        for port in ports {
            origins.remember(key(port), port % 2 == 0, at(u64::from(port)));
        }
        assert_eq!((origins.by_key.len(), origins.order.len()), (MAX_REMEMBERED, MAX_REMEMBERED));
        assert_eq!(origins.take(&key(1), at(40_000)), None, "the oldest");
        assert_eq!(origins.take(&key(32_768), at(33_000)), Some(true));
        assert_eq!(origins.take(&key(32_768), at(33_000)), None, "once");
        assert_eq!(origins.take(&key(32_767), at(33_000)), Some(false));
        assert_eq!(origins.take(&key(32_765), at(32_765).plus(MEMORY).plus(Duration::from_secs(1))), None, "too old");
    }
}
