//! Far ends of tunnels, and a resolver over HTTPS, on the pretended internet; images with the near ends.
//!
//! Contract: what listens where is in the table; all of it serves when [`serve`] returns. Limits: the SSH server needs a root account
//! that is not locked. Design: Debian's own programs, started by one script (`far.sh`) in a site of its own.
//!
//! ```text
//! 192.0.2.10  web: 80; ptunnel             192.0.2.53  DNS over HTTPS: 443
//! 192.0.2.20  WireGuard: 443/udp           192.0.2.54  iodine: 53, for t.example
//! 192.0.2.22  SSH: 22, 443                 192.0.2.55  dns2tcp: 53, for d.example
//! 192.0.2.30  OpenVPN: 1194/udp, 443/tcp   192.0.2.70  VXLAN: 4789
//!                                          192.0.2.80  GRE, IP in IP
//! ```

use std::time::Duration;

use anyhow::Result;

use crate::images::Image;
use crate::internet::Site;
use crate::netns::{HOME, World};
use crate::process;

/// Where they are.
pub const SITE: Site = Site {
    name: "far",
    addresses: &[
        "192.0.2.10/24",
        "192.0.2.20/24",
        "192.0.2.22/24",
        "192.0.2.30/24",
        "192.0.2.53/24",
        "192.0.2.54/24",
        "192.0.2.55/24",
        "192.0.2.70/24",
        "192.0.2.80/24",
        "2001:db8:2::10/64",
    ],
    gateways: ["192.0.2.1", "2001:db8:2::1"],
    listen: &["80", "[::]:80"],
};

/// Which names the foreign resolver asks whom about, as arguments of dnsmasq.
pub const DELEGATED: &str = "--server=/t.example/192.0.2.54 --server=/d.example/192.0.2.55";

const SERVERS: &str = include_str!("far.sh");

/// Brings WireGuard up in a container. Its keys are made from text: they keep nothing secret.
const WIREGUARD: &str = r#"set -e
key() { printf '%-32.32s' "$1" | base64; }
key "hopwatch lab: wireguard client" >/tmp/wg.key
wireguard-go wg0 >/dev/null 2>&1
wg set wg0 private-key /tmp/wg.key peer "$(key "hopwatch lab: wireguard server" | wg pubkey)" \
    endpoint 192.0.2.20:443 allowed-ips 10.9.1.0/24
ip addr add 10.9.1.2/24 dev wg0
ip link set dev wg0 up
"#;

const SSH: &str = "User root
IdentityFile /run/hopwatch-lab/far/ssh/id
StrictHostKeyChecking no
UserKnownHostsFile /dev/null
LogLevel ERROR
";

/// The resolver of the house over HTTPS.
const DNSDIST: &str = r#"setLocal("0.0.0.0:53")
setACL({"0.0.0.0/0"})
newServer("203.0.113.53")
addDOHLocal("0.0.0.0:443", "/run/hopwatch-lab/far/vpn/cert.pem", "/run/hopwatch-lab/far/vpn/key.pem", "/dns-query")
"#;

/// Images with the near ends.
pub const IMAGES: &[Image] = &[
    Image { name: "socat", programs: &["/usr/bin/socat"], copies: &[], files: &[], folders: &[], entrypoint: "" },
    Image {
        name: "tunnels",
        programs: &[
            "/usr/bin/curl",
            "/usr/sbin/ip",
            "/usr/bin/socat",
            "/usr/bin/wireguard-go",
            "/usr/bin/wg",
            "/usr/sbin/openvpn",
            "/usr/bin/ssh",
            "/usr/sbin/iodine",
            "/usr/bin/dns2tcpc",
            "/usr/sbin/ptunnel",
        ],
        copies: &["/run/hopwatch-lab/far/ssh", "/run/hopwatch-lab/far/vpn"],
        files: &[("lab/wireguard.sh", WIREGUARD), ("etc/ssh/ssh_config", SSH)],
        folders: &[],
        entrypoint: "",
    },
    Image {
        name: "dnsdist",
        programs: &["/usr/bin/dnsdist"],
        copies: &["/run/hopwatch-lab/far/vpn"],
        files: &[("etc/dnsdist/lab.conf", DNSDIST)],
        folders: &[],
        entrypoint: r#"["dnsdist","--supervised","--disable-syslog","-C","/etc/dnsdist/lab.conf"]"#,
    },
];

/// Starts the servers and waits until they serve.
pub fn serve(world: &World) -> Result<()> {
    world.script(&format!("ip netns exec far sh -e -s {HOME} <<'SERVERS'\n{SERVERS}\nSERVERS"))?;
    let doh = "https://192.0.2.53/dns-query?dns=AAABAAABAAAAAAAAA3dlYgdleGFtcGxlAAABAAE";
    for (what, look) in [
        ("DNS over HTTPS answers", format!("curl -fskS -m 2 -o /dev/null '{doh}'")),
        (
            "OpenVPN serves",
            format!("grep -q 'Initialization Sequence Completed' {HOME}/far/vpn-udp.log {HOME}/far/vpn-tcp.log"),
        ),
        ("ptunnel listens", format!("grep -q 'Ping proxy is listening' {HOME}/far/ptunnel.log")),
        ("socat holds its tun devices", "ip -n far link show dev gre && ip -n far link show dev ipip".to_owned()),
    ] {
        process::until(what, Duration::from_secs(10), || {
            let mut sh = world.command("sh");
            let done = process::run(sh.args(["-c", &look]), Duration::from_secs(5))?;
            Ok(done.status.success().then_some(()))
        })?;
    }
    Ok(())
}
