//! How much of what applications wrote stays in a bundle.
//!
//! Contract: `none`: headers only. `head`: of the first packets of a flow what names the other end (TLS handshakes, HTTP request lines and headers, DNS,
//! SSH and PROXY lines) and [`OTHER`] bytes of anything else; values of headers that hold secrets are blanked, bodies are left out. `full`: as captured.
//! Limits: a header's name that two packets share is not found; paths and their queries stay, and so do names in DNS and TLS.

use std::collections::BTreeSet;
use std::net::IpAddr;

use crate::decode::{Decoded, Headers, LinkType, decode};
use crate::input::Protocol;

/// Bytes of a payload that is none of the known ones: enough for its magic number.
const OTHER: usize = 16;
/// Flows whose secret goes on in the next packet.
const MAX_OPEN: usize = 4096;
/// Headers whose values are blanked.
const SECRET: [&[u8]; 5] = [b"authorization:", b"proxy-authorization:", b"cookie:", b"set-cookie:", b"x-api-key:"];
/// How an HTTP message begins.
const HTTP: [&[u8]; 9] =
    [b"GET ", b"POST ", b"PUT ", b"HEAD ", b"DELETE ", b"OPTIONS ", b"PATCH ", b"CONNECT ", b"HTTP/1"];

/// How much stays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize, schemars::JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum PayloadPolicy {
    /// Headers only.
    None,
    /// What names the other end, secrets blanked.
    #[default]
    Head,
    /// As captured.
    Full,
}

impl PayloadPolicy {
    /// The word in the configuration.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Head => "head",
            Self::Full => "full",
        }
    }
}

/// One direction of a conversation.
type Way = (IpAddr, u16, IpAddr, u16);

/// Applies the policy `head` to packets in order.
#[derive(Debug, Default)]
pub struct Blanker {
    /// The latest packet ended inside of a value that is secret.
    secret: BTreeSet<Way>,
    /// It ended inside of an HTTP head.
    head: BTreeSet<Way>,
}

impl Blanker {
    /// Blanks and cuts a packet; `first`: it is one of the first of its flow. Of others only headers stay.
    pub fn apply(&mut self, link: LinkType, wire_len: u32, data: &mut Vec<u8>, first: bool) {
        let Ok(Decoded::Ip(headers)) = decode(link, wire_len, data) else { return };
        let start = (headers.payload_at as usize).min(data.len());
        let end = start.saturating_add(headers.payload_bytes as usize).min(data.len());
        let kept = match headers.protocol {
            Protocol::TCP if first => self.tcp(&headers, data.get_mut(start..end).unwrap_or_default()),
            Protocol::UDP if first && is_name_or_key(&headers, data.get(start..end).unwrap_or_default()) => end - start,
            Protocol::TCP => 0,
            Protocol::UDP => {
                if first {
                    OTHER
                } else {
                    0
                }
            }
            // ICMP errors quote headers; neighbour discovery and routing are no payload; tunnels begin with their own header.
            _ => end - start,
        };
        data.truncate(start + kept.min(end - start));
    }

    /// How many bytes of a TCP payload stay.
    fn tcp(&mut self, headers: &Headers, payload: &mut [u8]) -> usize {
        if payload.is_empty() {
            return 0;
        }
        let way = (headers.src, headers.src_port, headers.dst, headers.dst_port);
        let goes_on = self.head.remove(&way);
        if HTTP.iter().any(|start| payload.starts_with(start)) || goes_on {
            let length = payload.windows(4).position(|bytes| bytes == b"\r\n\r\n").map(|at| at + 4);
            let head = payload.len().min(length.unwrap_or(payload.len()));
            self.blank(way, payload.get_mut(..head).unwrap_or_default());
            if length.is_none() && self.head.len() < MAX_OPEN {
                self.head.insert(way);
            }
            return head;
        }
        match payload {
            // A TLS handshake; of records behind it in the same packet, data is encrypted.
            [0x16, 3, ..] => payload.len(),
            [b'S', b'S', b'H', b'-', ..] | [b'P', b'R', b'O', b'X', b'Y', b' ', ..] => {
                payload.iter().position(|byte| *byte == b'\n').map_or(payload.len(), |at| at + 1)
            }
            _ => OTHER,
        }
    }

    fn blank(&mut self, way: Way, head: &mut [u8]) {
        let mut secret = self.secret.remove(&way);
        let mut at = 0;
        while at < head.len() {
            let line = head.get(at..).unwrap_or_default();
            let length = line.iter().position(|byte| *byte == b'\n').map_or(line.len(), |end| end + 1);
            let is_folded = matches!(line.first(), Some(b' ' | b'\t'));
            let name =
                SECRET.iter().find(|name| line.get(..name.len()).is_some_and(|start| start.eq_ignore_ascii_case(name)));
            let from = match name {
                Some(name) => Some(name.len()),
                None if secret && (at == 0 || is_folded) => Some(0),
                None => None,
            };
            let end = length - line.iter().take(length).rev().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
            if let Some(value) = from.and_then(|from| head.get_mut(at + from.min(end)..at + end)) {
                value.fill(b'*');
            }
            secret = from.is_some();
            at += length;
        }
        // The value may go on behind the end of the packet.
        if secret && !head.ends_with(b"\n") && self.secret.len() < MAX_OPEN {
            self.secret.insert(way);
        }
    }
}

/// DNS, or QUIC's long header.
fn is_name_or_key(headers: &Headers, payload: &[u8]) -> bool {
    let is_dns = [headers.src_port, headers.dst_port].iter().any(|port| matches!(port, 53 | 5353 | 5355));
    is_dns || payload.first().is_some_and(|byte| byte & 0xc0 == 0xc0 && payload.len() >= 1200)
}

#[cfg(test)]
mod tests {
    use etherparse::PacketBuilder;

    use super::*;

    fn tcp(payload: &[u8]) -> Vec<u8> {
        let mut frame = Vec::new();
        let step =
            PacketBuilder::ethernet2([2; 6], [4; 6]).ipv4([192, 0, 2, 1], [192, 0, 2, 2], 64).tcp(40_000, 80, 1, 1024);
        step.write(&mut frame, payload).expect("a buffer takes all");
        frame
    }

    fn kept(blanker: &mut Blanker, payload: &[u8], first: bool) -> String {
        let mut frame = tcp(payload);
        let wire_len = u32::try_from(frame.len()).expect("small");
        blanker.apply(LinkType::ETHERNET, wire_len, &mut frame, first);
        String::from_utf8_lossy(&frame[54..]).into_owned()
    }

    #[test]
    fn a_request_keeps_its_line_and_host_and_loses_secrets_and_body() {
        let mut blanker = Blanker::default();
        let request = b"POST /login HTTP/1.1\r\nHost: shop.example\r\nCookie: session=hunter2\r\nauthorization: Bearer hunter2\r\nA: b\r\n\r\npassword=hunter2";
        let text = kept(&mut blanker, request, true);
        assert!(!text.contains("hunter2"), "{text}");
        assert!(
            text.contains("POST /login") && text.contains("Host: shop.example") && text.ends_with("A: b\r\n\r\n"),
            "{text}"
        );
    }

    #[test]
    fn a_secret_that_two_packets_share_is_blanked_in_both() {
        let mut blanker = Blanker::default();
        let first = kept(&mut blanker, b"GET / HTTP/1.1\r\nCookie: session=hun", true);
        let second = kept(&mut blanker, b"ter2; more=hunter2\r\nHost: a.example\r\n\r\n", true);
        assert!(!first.contains("hun") && !second.contains("ter2"), "{first:?} {second:?}");
        assert!(second.contains("Host: a.example"));
    }

    #[test]
    fn of_other_payload_little_stays_and_behind_the_beginning_nothing() {
        let mut blanker = Blanker::default();
        assert_eq!(kept(&mut blanker, b"*2\r\n$4\r\nAUTH\r\n$7\r\nhunter2\r\n", true), "*2\r\n$4\r\nAUTH\r\n$7");
        assert_eq!(kept(&mut blanker, b"GET / HTTP/1.1\r\n\r\n", false), "");
    }
}
