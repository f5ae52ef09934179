//! Messages of netlink: their heads, and what they mean for a request.
//!
//! Contract: total; the first message that makes no sense ends the answer with an error. Source: netlink(7), `linux/netlink.h`.

use nix::errno::Errno;

use super::attribute::{align, number, short, signed};

/// `NLMSG_ERROR`: the kernel refuses, or confirms with 0.
pub(in crate::host) const ERROR: u16 = 2;
/// `NLMSG_DONE`: the end of a list.
pub(in crate::host) const DONE: u16 = 3;
/// Length of `struct nlmsghdr`.
const HEADER: usize = 16;

/// One message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::host) struct Message<'a> {
    pub(in crate::host) kind: u16,
    pub(in crate::host) flags: u16,
    pub(in crate::host) sequence: u32,
    pub(in crate::host) body: &'a [u8],
}

/// What a message is for the request with a sequence number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// One object of the answer.
    Object,
    /// The answer ends.
    End,
    /// It belongs to no or another request.
    Foreign,
}

impl Message<'_> {
    /// Reads it as a part of an answer; the error is the kernel's.
    pub(super) fn step(&self, sequence: u32) -> Result<Step, Errno> {
        match self.kind {
            _ if self.sequence != sequence => Ok(Step::Foreign),
            DONE => Ok(Step::End),
            ERROR => match signed(self.body, 0) {
                Some(0) => Ok(Step::End),
                code => Err(Errno::from_raw(code.unwrap_or(0).saturating_neg())),
            },
            _ => Ok(Step::Object),
        }
    }
}

/// The messages of one answer; the error is the place that makes no sense.
pub(in crate::host) fn messages(answer: &[u8]) -> impl Iterator<Item = Result<Message<'_>, usize>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let rest = answer.get(at..).filter(|rest| !rest.is_empty())?;
        let here = at;
        let message = message(rest);
        at = message.as_ref().map_or(answer.len(), |(_, length)| here.saturating_add(align(*length)));
        Some(message.map(|(message, _)| message).ok_or(here))
    })
}

fn message(bytes: &[u8]) -> Option<(Message<'_>, usize)> {
    let length = usize::try_from(number(bytes, 0)?).ok()?;
    let body = bytes.get(..length)?.get(HEADER..)?;
    Some((Message { kind: short(bytes, 4)?, flags: short(bytes, 6)?, sequence: number(bytes, 8)?, body }, length))
}

/// A request.
pub(super) fn request(kind: u16, flags: u16, sequence: u32, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(HEADER + body.len()).unwrap_or(u32::MAX);
    let mut bytes = Vec::with_capacity(HEADER + body.len());
    bytes.extend(length.to_ne_bytes());
    bytes.extend(kind.to_ne_bytes());
    bytes.extend(flags.to_ne_bytes());
    bytes.extend(sequence.to_ne_bytes());
    bytes.extend([0; 4]);
    bytes.extend(body);
    bytes
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::attribute::attributes;
    use super::super::build::message as framed;
    use super::*;

    #[test]
    fn messages_come_back_as_they_were_written() {
        let answer = [framed(16, &[1, 2, 3]), framed(17, &[])].concat();
        let read: Vec<_> = messages(&answer).map(|message| message.expect("sound")).collect();
        assert_eq!(
            read.iter().map(|message| (message.kind, message.body)).collect::<Vec<_>>(),
            [(16, &[1, 2, 3][..]), (17, &[][..])]
        );
    }

    #[test]
    fn a_length_that_claims_more_or_nothing_ends_the_reading() {
        assert_eq!(messages(&framed(16, &[0; 8])[..20]).collect::<Vec<_>>(), [Err(0)]);
        assert_eq!(messages(&[0; 64]).count(), 1, "no endless loop");
        let second = [framed(16, &[]), vec![9]].concat();
        assert_eq!(messages(&second).last(), Some(Err(16)));
    }

    #[test]
    fn an_answer_ends_with_done_or_with_the_kernels_error() {
        let step = |kind, body: &[u8]| Message { kind, flags: 0, sequence: 5, body }.step(5);
        assert_eq!(step(16, &[]), Ok(Step::Object));
        assert_eq!(step(DONE, &[0; 4]), Ok(Step::End));
        assert_eq!(step(ERROR, &0_i32.to_ne_bytes()), Ok(Step::End), "a confirmation");
        assert_eq!(step(ERROR, &(-(Errno::EPERM as i32)).to_ne_bytes()), Err(Errno::EPERM));
        assert!(step(ERROR, &[]).is_err());
        let late = Message { kind: DONE, flags: 0, sequence: 4, body: &[] };
        assert_eq!(late.step(5), Ok(Step::Foreign), "of the request before");
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn any_bytes_are_read_without_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            for message in messages(&bytes).flatten() {
                prop_assert!(attributes(message.body).count() <= bytes.len());
                let _ = message.step(0);
            }
            let _ = attributes(&bytes).count();
        }
    }
}
