//! Connection tracking against the real kernel: a router between two networks, with iptables, and real connections.
//!
//! Contract: needs root, ip, nsenter, busybox and iptables; skips with a message where they are not there. The namespace that
//! stands for the host's routes between a client's and a server's, so that the machine's own connections play no part. Both ends of
//! a connection stay open, so that nothing is sent when its entry is deleted: a late packet would make a new one.

#[allow(dead_code, reason = "no containers are made here")]
use std::fs::File;
use std::io::Read as _;
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::os::fd::AsRawFd as _;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use crate::support::hosts::{on_a_host, sh};
use crate::support::patience::wait_until;
use hopwatch::host::conntrack::{BUFFER, EVENT_BYTES, Want, Watch};
use hopwatch::input::{FiveTuple, NatBinding, NatFact, Protocol};
use hopwatch::time::Timestamp;
use nix::sched::{CloneFlags, setns};
use nix::sys::socket::{AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, sendto, socket};

/// A router: this namespace, and one on each side.
struct Router {
    client: String,
    server: String,
}

/// Client 10.77.0.2 (10.77.0.1 is the router), server 203.0.113.9 (203.0.113.1 is); the same with `2001:db8:77::` and `2001:db8:113::`.
fn on_a_router(test: &str, body: impl FnOnce(&Router) + Send) {
    let has_iptables = Command::new("iptables").arg("--version").output().is_ok_and(|output| output.status.success());
    if !has_iptables {
        println!("skipped: {test}: needs iptables (Debian package iptables)");
        return;
    }
    on_a_host(|host| {
        let router = Router { client: host.namespace(), server: host.namespace() };
        for (name, link, v4, v6) in [
            (&router.client, "inner", "10.77.0", "2001:db8:77:"),
            (&router.server, "outer", "203.0.113", "2001:db8:113:"),
        ] {
            let last = if link == "inner" { 2 } else { 9 };
            sh(&format!("ip link add {link} type veth peer name eth0 netns {name}"));
            sh(&format!(
                "ip addr add {v4}.1/24 dev {link}; ip addr add {v6}:1/64 dev {link} nodad; ip link set {link} up"
            ));
            let inside = format!("ip -n {name}");
            sh(&format!("{inside} addr add {v4}.{last}/24 dev eth0; {inside} addr add {v6}:{last}/64 dev eth0 nodad"));
            sh(&format!("{inside} link set eth0 up; {inside} route add default via {v4}.1"));
            sh(&format!("{inside} -6 route add default via {v6}:1"));
        }
        sh("echo 1 > /proc/sys/net/ipv4/ip_forward; echo 1 > /proc/sys/net/ipv6/conf/all/forwarding");
        body(&router);
    });
}

/// Calls on a thread inside a namespace; its sockets stay there.
fn inside<T: Send>(name: &str, body: impl FnOnce() -> T + Send) -> T {
    let door = File::open(format!("/var/run/netns/{name}")).expect("the namespace");
    let there = || {
        setns(door, CloneFlags::CLONE_NEWNET).expect("enter the namespace");
        body()
    };
    std::thread::scope(|scope| scope.spawn(there).join()).unwrap_or_else(|panic| std::panic::resume_unwind(panic))
}

fn connect(name: &str, to: &str) -> std::io::Result<TcpStream> {
    inside(name, || TcpStream::connect(to))
}

fn listen(name: &str, at: &str) -> TcpListener {
    inside(name, || TcpListener::bind(at).expect("a listener"))
}

/// A watch and what it told.
struct Ear {
    watch: Watch,
    facts: Vec<NatFact>,
    buffer: Vec<u8>,
    second: i64,
}

impl Ear {
    fn open(bytes: usize) -> Self {
        let watch = Watch::open(None, bytes).expect("connection tracking");
        Self { watch, facts: Vec::new(), buffer: vec![0; BUFFER], second: 100 }
    }

    fn started() -> Self {
        let mut ear = Self::open(EVENT_BYTES);
        ear.snapshot();
        ear
    }

    fn snapshot(&mut self) {
        let Self { watch, facts, buffer, second } = self;
        *second += 1;
        let mut take = |fact| {
            facts.push(fact);
            true
        };
        watch.snapshot(Timestamp::from_secs(*second), buffer, &mut take).expect("a snapshot");
    }

    fn hear(&mut self) {
        let Self { watch, facts, buffer, second } = self;
        *second += 1;
        let mut take = |fact| {
            facts.push(fact);
            true
        };
        watch.receive(Timestamp::from_secs(*second), buffer, &mut take).expect("events");
    }

    fn bound(&self) -> impl Iterator<Item = &NatBinding> {
        self.facts.iter().filter_map(|fact| match fact {
            NatFact::Bound(binding) => Some(binding),
            _ => None,
        })
    }

    /// Hears until a connection with this "before" is told as bound.
    fn until_bound(&mut self, before: &FiveTuple) -> NatBinding {
        wait_until(&format!("{before:?} is told"), || {
            self.hear();
            self.bound().any(|binding| binding.before == *before)
        });
        *self.bound().find(|binding| binding.before == *before).expect("just seen")
    }

    fn count(&self, wanted: &NatFact) -> usize {
        self.facts.iter().filter(|fact| *fact == wanted).count()
    }
}

fn five(protocol: Protocol, orig: SocketAddr, resp: SocketAddr) -> FiveTuple {
    let end = |address: SocketAddr| hopwatch::input::Endpoint { ip: address.ip(), port: address.port() };
    FiveTuple { protocol, orig: end(orig), resp: end(resp) }
}

fn address(text: &str) -> SocketAddr {
    text.parse().expect("an address")
}

/// Both ends as the client's socket has them.
fn before(client: &TcpStream) -> FiveTuple {
    let (local, peer) = (client.local_addr().expect("an address"), client.peer_addr().expect("an address"));
    five(Protocol::TCP, local, peer)
}

/// Deletes every entry of this namespace: `IPCTNL_MSG_CT_DELETE` that names none.
fn flush() {
    let netfilter = SockProtocol::NetlinkNetFilter;
    let socket = socket(AddressFamily::Netlink, SockType::Raw, SockFlag::SOCK_CLOEXEC, netfilter).expect("netlink");
    let mut request = 20_u32.to_ne_bytes().to_vec();
    request.extend(0x0102_u16.to_ne_bytes());
    request.extend(0x0001_u16.to_ne_bytes());
    request.extend([0; 12]);
    sendto(socket.as_raw_fd(), &request, &NetlinkAddr::new(0, 0), MsgFlags::empty()).expect("ask");
}

#[test]
fn masquerade_published_port_redirect_and_hairpin_are_told_and_released() {
    on_a_router("masquerade_published_port_redirect_and_hairpin_are_told_and_released", |router| {
        sh("iptables -t nat -A POSTROUTING -s 10.77.0.0/24 -o outer -j MASQUERADE");
        sh("ip6tables -t nat -A POSTROUTING -s 2001:db8:77::/64 -o outer -j MASQUERADE");
        sh("iptables -t nat -A PREROUTING -d 203.0.113.1 -p tcp --dport 8080 -j DNAT --to-destination 10.77.0.2:80");
        sh("iptables -t nat -A POSTROUTING -s 10.77.0.2 -d 10.77.0.2 -p tcp --dport 80 -j MASQUERADE");
        sh("iptables -t nat -A PREROUTING -i inner -d 203.0.113.9 -p tcp --dport 80 -j REDIRECT --to-ports 3128");
        let mut ear = Ear::started();
        assert_eq!(ear.facts, [NatFact::Watched { netns: None }]);
        let server = listen(&router.server, "[::]:7000");
        let published = listen(&router.client, "10.77.0.2:80");
        let proxy = TcpListener::bind("10.77.0.1:3128").expect("a listener");

        let client = connect(&router.client, "203.0.113.9:7000").expect("connect");
        let (_open1, seen) = server.accept().expect("accept");
        let SocketAddr::V6(seen) = seen else { panic!("{seen}") };
        let seen = SocketAddr::new(seen.ip().to_ipv4_mapped().expect("IPv4").into(), seen.port());
        let masqueraded = ear.until_bound(&before(&client));
        assert_eq!(seen.ip(), address("203.0.113.1:0").ip());
        assert_eq!(masqueraded.after, five(Protocol::TCP, seen, address("203.0.113.9:7000")), "as the server sees it");

        let client6 = connect(&router.client, "[2001:db8:113::9]:7000").expect("connect");
        let (_open2, seen) = server.accept().expect("accept");
        let bound = ear.until_bound(&before(&client6));
        assert_eq!(bound.after, five(Protocol::TCP, seen, address("[2001:db8:113::9]:7000")));

        let outside = connect(&router.server, "203.0.113.1:8080").expect("connect");
        let (_open3, seen) = published.accept().expect("accept");
        let bound = ear.until_bound(&before(&outside));
        assert_eq!(bound.after, five(Protocol::TCP, seen, address("10.77.0.2:80")));

        let hairpin = connect(&router.client, "203.0.113.1:8080").expect("connect");
        let (_open4, seen) = published.accept().expect("accept");
        assert_eq!(seen.ip(), address("10.77.0.1:0").ip(), "both ends are translated");
        assert_eq!(ear.until_bound(&before(&hairpin)).after, five(Protocol::TCP, seen, address("10.77.0.2:80")));

        let redirected = connect(&router.client, "203.0.113.9:80").expect("connect");
        let (_open5, seen) = proxy.accept().expect("accept");
        let bound = ear.until_bound(&before(&redirected));
        assert_eq!(bound.after, five(Protocol::TCP, seen, address("10.77.0.1:3128")));

        let all: Vec<NatBinding> = ear.bound().copied().collect();
        assert_eq!((all.len(), ear.watch.bindings(), ear.watch.wants()), (5, 5, Want::Nothing));
        flush();
        wait_until("all are released", || {
            ear.hear();
            all.iter().all(|binding| ear.count(&NatFact::Released(*binding)) == 1)
        });
        assert_eq!((ear.facts.len(), ear.watch.bindings(), ear.watch.counts().tally.malformed), (11, 0, 0));
    });
}

#[test]
fn datagrams_pings_and_what_is_not_translated() {
    on_a_router("datagrams_pings_and_what_is_not_translated", |router| {
        sh("iptables -t nat -A POSTROUTING -s 10.77.0.0/24 -o outer -j MASQUERADE");
        let mut ear = Ear::started();
        // To the router itself, and from it: nothing is translated.
        let near = TcpListener::bind("10.77.0.1:7001").expect("a listener");
        let direct = connect(&router.client, "10.77.0.1:7001").expect("connect");
        let _near = near.accept().expect("accept");

        let socket = inside(&router.client, || UdpSocket::bind("10.77.0.2:5000").expect("a socket"));
        socket.send_to(b"hello", "203.0.113.9:6000").expect("send");
        let bound = ear.until_bound(&five(Protocol::UDP, address("10.77.0.2:5000"), address("203.0.113.9:6000")));
        assert_eq!(bound.after, five(Protocol::UDP, address("203.0.113.1:5000"), address("203.0.113.9:6000")));

        // Two programs ping: two entries, one binding, and its ports are the types that the flow meter gives.
        for _ in 0..2 {
            sh(&format!("nsenter --net=/var/run/netns/{} busybox ping -c 1 203.0.113.9", router.client));
        }
        let ping = five(Protocol::ICMP, address("10.77.0.2:8"), address("203.0.113.9:0"));
        let bound = ear.until_bound(&ping);
        assert_eq!(bound.after, five(Protocol::ICMP, address("203.0.113.1:8"), address("203.0.113.9:0")));
        wait_until("both are tracked", || {
            ear.hear();
            ear.watch.bindings() == 3
        });
        assert_eq!(ear.count(&NatFact::Bound(bound)), 1);
        flush();
        wait_until("the ping is released", || {
            ear.hear();
            ear.watch.bindings() == 0
        });
        assert_eq!(ear.count(&NatFact::Released(bound)), 1);
        let untold = before(&direct);
        assert!(ear.bound().all(|binding| binding.before != untold), "{:?}", ear.facts);
        assert!(ear.watch.counts().tally.messages >= 8, "it was heard of, though: {:?}", ear.watch.counts());
    });
}

#[test]
fn connections_that_were_there_before_are_told_first_and_their_end_is_found() {
    on_a_router("connections_that_were_there_before_are_told_first_and_their_end_is_found", |router| {
        sh("iptables -t nat -A POSTROUTING -s 10.77.0.0/24 -o outer -j MASQUERADE");
        let server = listen(&router.server, "203.0.113.9:7000");
        let client = connect(&router.client, "203.0.113.9:7000").expect("connect");
        let _server = server.accept().expect("accept");
        let mut ear = Ear::open(EVENT_BYTES);
        assert_eq!(ear.watch.wants(), Want::Now);
        ear.snapshot();
        let [NatFact::Bound(old), NatFact::Watched { netns: None }] = ear.facts[..] else { panic!("{:?}", ear.facts) };
        assert_eq!(old.before, before(&client));
        // Where the kernel makes events only while somebody listens, this entry has none.
        assert_eq!(ear.watch.wants(), Want::Refresh);

        let later = connect(&router.client, "203.0.113.9:7000").expect("connect");
        let new = ear.until_bound(&before(&later));
        flush();
        wait_until("the end of the later one is heard", || {
            ear.hear();
            ear.count(&NatFact::Released(new)) == 1
        });
        ear.snapshot();
        assert_eq!((ear.count(&NatFact::Bound(old)), ear.count(&NatFact::Released(old))), (1, 1));
        assert_eq!(ear.count(&NatFact::Bound(new)), 1);
        assert_eq!((ear.watch.wants(), ear.watch.bindings()), (Want::Nothing, 0));
    });
}

#[test]
fn lost_events_are_told_and_a_snapshot_makes_good_what_it_can() {
    const STANDING: usize = 40;
    on_a_router("lost_events_are_told_and_a_snapshot_makes_good_what_it_can", |router| {
        sh("iptables -t nat -A POSTROUTING -s 10.77.0.0/24 -o outer -j MASQUERADE");
        let server = listen(&router.server, "203.0.113.9:7000");
        // The least that the kernel gives: a few messages.
        let mut ear = Ear::open(1);
        ear.snapshot();
        ear.hear();
        let good = ear.watch.good().expect("a snapshot was taken");
        let clients: Vec<TcpStream> =
            (0..STANDING).map(|_| connect(&router.client, "203.0.113.9:7000").expect("connect")).collect();
        ear.hear();
        let missed = NatFact::Missed { count: 0, since: good };
        assert_eq!((ear.count(&missed), ear.watch.wants()), (1, Want::Now));
        assert!(ear.bound().count() < STANDING && ear.watch.counts().overruns > 0);
        assert_eq!(ear.watch.good(), Some(good), "what came since is not known");

        ear.snapshot();
        assert_eq!(ear.facts.last(), Some(&missed), "only now the window ends");
        assert_ne!(ear.watch.wants(), Want::Now);
        for client in &clients {
            let tuple = before(client);
            assert_eq!(ear.bound().filter(|binding| binding.before == tuple).count(), 1, "{tuple:?}");
        }

        // Ends that are lost are found as well.
        flush();
        ear.hear();
        assert_eq!(ear.watch.wants(), Want::Now);
        ear.snapshot();
        let released = ear.facts.iter().filter(|fact| matches!(fact, NatFact::Released(_))).count();
        assert_eq!((released, ear.watch.bindings()), (STANDING, 0));
        drop(server);
    });
}

#[test]
fn a_burst_is_heard_whole_and_a_large_table_is_told_whole() {
    const MANY: u16 = 5000;
    on_a_router("a_burst_is_heard_whole_and_a_large_table_is_told_whole", |router| {
        sh("iptables -t nat -A POSTROUTING -s 10.77.0.0/24 -o outer -j MASQUERADE");
        let mut ear = Ear::started();
        let socket = inside(&router.client, || UdpSocket::bind("10.77.0.2:5000").expect("a socket"));
        for port in 1..=MANY {
            // The answers, that nobody listens there, are errors of a later call.
            let _ = socket
                .send_to(b"hello", ("203.0.113.9", port))
                .or_else(|_| socket.send_to(b"hello", ("203.0.113.9", port)));
        }
        wait_until("all are told", || {
            ear.hear();
            ear.watch.bindings() == usize::from(MANY)
        });
        let mut late = Ear::started();
        for (what, ear) in [("by events", &mut ear), ("by a snapshot", &mut late)] {
            let mut ports: Vec<u16> = ear.bound().map(|binding| binding.after.resp.port).collect();
            ports.sort_unstable();
            assert!(ports.iter().copied().eq(1..=MANY), "{what}: {} of {MANY}", ports.len());
            let counts = ear.watch.counts();
            assert_eq!((counts.overruns, counts.tally.malformed), (0, 0), "{what}");
        }
    });
}

/// The program itself, recording what passes the inner interface.
struct Recording {
    child: Child,
    folder: tempfile::TempDir,
}

impl Recording {
    fn start(wrapper: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let config = folder.path().join("config.yaml");
        std::fs::write(&config, "runtime: {discover: false}\n").expect("the configuration");
        let program = env!("CARGO_BIN_EXE_hopwatch");
        let mut words = wrapper.iter().copied().chain([program]);
        let mut command = Command::new(words.next().expect("a program"));
        command.args(words).args(["record", "-i", "inner", "--listen", "none", "-c"]).arg(&config);
        command
            .arg("-o")
            .arg(folder.path().join("recording"))
            .env("STATE_DIRECTORY", folder.path())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        Self { child: command.spawn().expect("start hopwatch"), folder }
    }

    fn facts(&self) -> String {
        std::fs::read_to_string(self.path().join("facts.jsonl")).unwrap_or_default()
    }

    fn path(&self) -> std::path::PathBuf {
        self.folder.path().join("recording")
    }

    /// What it said on its log.
    fn end(&mut self) -> String {
        sh(&format!("kill -INT {}", self.child.id()));
        let mut said = String::new();
        self.child.stderr.take().expect("piped").read_to_string(&mut said).expect("its log");
        assert!(self.child.wait().expect("its end").success(), "{said}");
        said
    }
}

impl Drop for Recording {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn replay(folder: &Path) {
    let output = Command::new(env!("CARGO_BIN_EXE_hopwatch")).arg("replay").arg(folder).output().expect("replay");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_recording_holds_the_translations_and_replays() {
    on_a_router("a_recording_holds_the_translations_and_replays", |router| {
        sh("iptables -t nat -A POSTROUTING -s 10.77.0.0/24 -o outer -j MASQUERADE");
        let server = listen(&router.server, "203.0.113.9:7000");
        let older = connect(&router.client, "203.0.113.9:7000").expect("connect");
        let mut recording = Recording::start(&[]);
        wait_until("it captures", || Path::new(&recording.path()).join("traffic.pcapng").is_file());
        // The facts are written when it ends; what came while it started is in the snapshot or in the events.
        let newer = connect(&router.client, "203.0.113.9:7000").expect("connect");
        wait_until("packets of a connection are in the recording", || {
            drop(connect(&router.client, "203.0.113.9:7000").expect("connect"));
            let packets = std::fs::metadata(recording.path().join("traffic.pcapng"));
            packets.is_ok_and(|file| file.len() > 2000) || recording.child.try_wait().expect("its state").is_some()
        });
        let said = recording.end();
        let facts = recording.facts();
        assert!(facts.contains(r#""nat":{"watched":{}}"#), "{facts}\n{said}");
        for client in [&older, &newer] {
            let port = format!(r#""port":{}}}"#, client.local_addr().expect("an address").port());
            let bound = facts.lines().filter(|line| line.contains(r#""nat":{"bound":"#) && line.contains(&port));
            assert_eq!(bound.count(), 1, "{port}\n{facts}\n{said}");
        }
        replay(&recording.path());
        drop(server);
    });
}

#[test]
fn without_permission_that_is_said_once_and_recorded() {
    on_a_router("without_permission_that_is_said_once_and_recorded", |router| {
        let mut recording = Recording::start(&["setpriv", "--bounding-set", "-net_admin"]);
        wait_until("it captures", || Path::new(&recording.path()).join("traffic.pcapng").is_file());
        wait_until("packets are in the recording", || {
            drop(connect(&router.client, "10.77.0.1:9"));
            let packets = std::fs::metadata(recording.path().join("traffic.pcapng"));
            packets.is_ok_and(|file| file.len() > 2000) || recording.child.try_wait().expect("its state").is_some()
        });
        let said = recording.end();
        let told = said.lines().filter(|line| line.contains("address translation is not seen place=\"on the host\""));
        let told: Vec<_> = told.collect();
        assert!(matches!(told[..], [line] if line.contains("CAP_NET_ADMIN")), "{said}");
        assert!(recording.facts().contains(r#""nat":{"unwatched":{"error":"no permission"#), "{}", recording.facts());
    });
}
