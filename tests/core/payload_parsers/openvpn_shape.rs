//! `OpenVPN` is known by its shape alone, at any port.

use super::*;

/// Which message and protection a flow showed.
fn told_openvpn(talk: Talk) -> Option<(&'static str, &'static str)> {
    let openvpn = talk.facts()?.openvpn?;
    Some((openvpn.reset.as_str(), openvpn.protection.as_str()))
}

#[test]
fn openvpn_at_any_port_over_both_transports() {
    for (reset, protection, message) in openvpn::messages() {
        for port in [53, 443, 1194, 9999] {
            let mut udp = Talk::new(port);
            udp.sends(&message);
            assert_eq!(told_openvpn(udp), Some((reset, protection)), "{port}");
            let mut tcp = Talk::tcp(port);
            tcp.says(0, &openvpn::framed(&message));
            assert_eq!(told_openvpn(tcp), Some((reset, protection)), "{port}");
        }
        let mut pieces = Talk::tcp(1194);
        let framed = openvpn::framed(&message);
        pieces.says(0, &framed[..7]);
        pieces.says(7, &framed[7..]);
        assert_eq!(told_openvpn(pieces), Some((reset, protection)));
    }
}

/// As programs did between two releases: another number for the offer of early negotiation, and flags behind the server's answer.
#[test]
fn openvpn_that_negotiates_early() {
    for (reset, protection, mut message) in
        openvpn::messages().filter(|(_, protection, _)| protection.contains("crypt"))
    {
        if reset == "server_v2" {
            message.extend([7; 6]);
        } else {
            message[9..13].copy_from_slice(&[0x0a, 1, 0, 1]);
        }
        let mut talk = Talk::new(1194);
        talk.sends(&message);
        assert_eq!(told_openvpn(talk), Some((reset, protection)));
    }
}

/// Adaptive capture keeps 160 bytes of a datagram: all of a reset but the client's key.
#[test]
fn a_cut_openvpn_message() {
    for (reset, protection, message) in openvpn::messages() {
        let mut talk = Talk::new(1194);
        let ip = PacketBuilder::ethernet2([2; 6], [4; 6]).ipv4(CLIENT, SERVER, 64);
        talk.packet(ip.udp(40_000, 1194), &message, Some(160));
        assert_eq!(told_openvpn(talk), Some((reset, protection)));
    }
}

/// Nothing but its shape makes it `OpenVPN`, so nothing about the shape may be wrong.
#[test]
fn what_only_resembles_openvpn_is_not() {
    for (reset, protection, message) in openvpn::messages() {
        let mut wrong = vec![message[..message.len() - 1].to_vec(), [&message[..], &[0]].concat()];
        let mut change = |at: usize, byte: u8| {
            wrong.push(message.clone());
            wrong.last_mut().unwrap()[at] = byte;
        };
        // A key number, another kind, and the end of a body that is not encrypted.
        change(0, message[0] | 1);
        change(0, 0x28);
        if protection != "tls_crypt" {
            change(message.len() - 1, 1);
        }
        match protection {
            "none" => change(9, 7),
            "tls_auth" => change(message.len() - if reset == "server_v2" { 21 } else { 9 }, 0),
            _ => change(13, 0),
        }
        for message in wrong {
            let mut talk = Talk::new(1194);
            talk.sends(&message);
            assert_eq!(told_openvpn(talk), None, "{reset} {protection}: {message:02x?}");
            let mut talk = Talk::tcp(1194);
            talk.says(0, &openvpn::framed(&message));
            assert_eq!(told_openvpn(talk), None, "{reset} {protection}: {message:02x?}");
        }
    }
}
