//! A pretended internet: a router and, behind it, sites with documentation addresses.
//!
//! Contract: from the lab's host everything outside is one hop away over `uplink`; nothing leaves the machine, because no
//! interface of these namespaces leads out. Limits: TLS is self-signed; port 853 answers TLS but not DNS.
//! Design: one namespace a site; Debian's own nginx and dnsmasq serve there.
//!
//! ```text
//! lab host  uplink 10.99.0.2 ── 10.99.0.1 router ─┬─ 198.51.100.10, .11  2001:db8:51::10    web: 80, 443
//!           fd99::2             fd99::1           ├─ 203.0.113.53        2001:db8:113::53   foreign resolver: 53, 853
//!                                                 ├─ 169.254.169.254     fd00:ec2::254      metadata service: 80
//!                                                 └─ 192.0.2.10 … .80    2001:db8:2::10     far ends of tunnels: `far.rs`
//!  02:00:00:63:00:02   02:00:00:63:00:01          (by its MAC a filter tells the uplink from the bridges)
//! ```

use std::fmt::Write as _;
use std::time::Duration;

use anyhow::{Context, Result};

use crate::far;
use crate::netns::{HOME, World};
use crate::process;

/// A place on the pretended internet.
pub struct Site {
    /// Its namespace, and the router's interface to it.
    pub name: &'static str,
    /// Its addresses.
    pub addresses: &'static [&'static str],
    /// The router's addresses on that side, IPv4 and IPv6.
    pub gateways: [&'static str; 2],
    /// Lines of `listen` for nginx.
    pub listen: &'static [&'static str],
}

const SITES: [Site; 4] = [
    Site {
        name: "web",
        addresses: &["198.51.100.10/24", "198.51.100.11/24", "2001:db8:51::10/64"],
        gateways: ["198.51.100.1", "2001:db8:51::1"],
        listen: &["80", "[::]:80", "443 ssl", "[::]:443 ssl"],
    },
    Site {
        name: "resolver",
        addresses: &["203.0.113.53/24", "2001:db8:113::53/64"],
        gateways: ["203.0.113.1", "2001:db8:113::1"],
        listen: &["853 ssl", "[::]:853 ssl"],
    },
    Site {
        name: "cloud",
        addresses: &["169.254.169.254/24", "fd00:ec2::254/64"],
        gateways: ["169.254.169.1", "fd00:ec2::1"],
        listen: &["80", "[::]:80"],
    },
    far::SITE,
];

/// Where containers get their IPv6 addresses from; the router knows the way back (IPv4 is masqueraded by Docker).
const CONTAINERS_V6: &str = "fd77::/16";

/// Builds it and starts its servers.
pub fn build(world: &World) -> Result<()> {
    world.script(&topology()).context("cannot build the pretended internet")?;
    world.script(&format!(
        "openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -subj /CN=web.example \
         -keyout {HOME}/key.pem -out {HOME}/cert.pem 2>/dev/null; head -c 8000 /dev/urandom >{HOME}/download"
    ))?;
    for site in &SITES {
        std::fs::write(world.path(format!("{}.conf", site.name)), nginx_conf(site))?;
        std::fs::create_dir_all(world.path(format!("nginx-{}", site.name)))?;
        let (name, folder) = (site.name, format!("{HOME}/nginx-{}", site.name));
        world.script(&format!(
            "ip netns exec {name} nginx -e stderr -p {folder} -c {HOME}/{name}.conf >{folder}/log 2>&1"
        ))?;
    }
    world.script(&format!(
        "ip netns exec resolver dnsmasq --no-resolv --no-hosts --user=root --pid-file={HOME}/foreign-dnsmasq.pid \
         --conf-file=/dev/null --address=/web.example/198.51.100.10 --address=/web.example/2001:db8:51::10 {} \
         >{HOME}/foreign-dnsmasq.log 2>&1",
        far::DELEGATED
    ))?;
    far::serve(world)?;
    reachable(world)
}

/// Everything answers from the lab's host.
fn reachable(world: &World) -> Result<()> {
    for url in
        ["http://198.51.100.10/", "http://198.51.100.11/", "http://[2001:db8:51::10]/", "https://203.0.113.53:853/"]
    {
        process::until(&format!("{url} answers"), Duration::from_secs(10), || {
            let mut curl = world.command("curl");
            let done = process::run(curl.args(["-gskS", "-m", "2", "-o", "/dev/null", url]), Duration::from_secs(5))?;
            Ok(done.status.success().then_some(()))
        })?;
    }
    Ok(())
}

fn topology() -> String {
    let mut script = String::from(
        "ip netns add router
        ip link add uplink address 02:00:00:63:00:02 type veth peer name down address 02:00:00:63:00:01 netns router
        ip addr add 10.99.0.2/24 dev uplink; ip -6 addr add fd99::2/64 dev uplink nodad; ip link set dev uplink up
        r='ip -n router'
        $r link set dev lo up; $r addr add 10.99.0.1/24 dev down; $r -6 addr add fd99::1/64 dev down nodad; $r link set dev down up
        ip netns exec router sh -c 'echo 1 > /proc/sys/net/ipv4/ip_forward; echo 1 > /proc/sys/net/ipv6/conf/all/forwarding'
        ip route add default via 10.99.0.1; ip -6 route add default via fd99::1\n",
    );
    let _ = writeln!(script, "$r -6 route add {CONTAINERS_V6} via fd99::2");
    for Site { name, addresses, gateways: [gateway4, gateway6], .. } in &SITES {
        let _ = writeln!(
            script,
            "ip netns add {name}; s='ip -n {name}'; $s link set dev lo up
            $r link add {name} type veth peer name eth0 netns {name}
            $r addr add {gateway4}/24 dev {name}; $r -6 addr add {gateway6}/64 dev {name} nodad; $r link set dev {name} up"
        );
        for address in *addresses {
            let nodad = if address.contains("::") { "nodad" } else { "" };
            let _ = writeln!(script, "$s addr add {address} dev eth0 {nodad}");
        }
        let _ = writeln!(
            script,
            "$s link set dev eth0 up; $s route add default via {gateway4}; $s -6 route add default via {gateway6}"
        );
    }
    script
}

fn nginx_conf(site: &Site) -> String {
    let (mut listen, mut temp) = (String::new(), String::new());
    for what in site.listen {
        let _ = write!(listen, "listen {what}; ");
    }
    for kind in ["client_body", "proxy", "fastcgi", "uwsgi", "scgi"] {
        let _ = write!(temp, "{kind}_temp_path {HOME}/nginx-{}/{kind}; ", site.name);
    }
    format!(
        "user root; worker_processes 1; pid {HOME}/nginx-{name}.pid; error_log stderr;
        events {{ worker_connections 1024; }}
        http {{ access_log off; {temp}
          server {{ {listen} ssl_certificate {HOME}/cert.pem; ssl_certificate_key {HOME}/key.pem;
            location / {{ default_type text/plain; return 200 \"hello from {name}\\n\"; }}
            location /download {{ default_type application/octet-stream; alias {HOME}/download; }} }} }}\n",
        name = site.name
    )
}
