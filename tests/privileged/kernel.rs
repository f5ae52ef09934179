//! The kernel's collector against the real kernel: namespaces, interfaces, sockets and processes that the test makes.
//!
//! Contract: needs root, ip, nsenter and busybox; skips with a message where they are not there. The collector runs on a thread
//! inside a namespace that stands for the host's, so that the machine's own sockets and links play no part.

use std::net::{TcpListener, TcpStream, UdpSocket};

use crate::support::hosts::{Container, Host, netns, on_a_host, sh};
use crate::support::patience::wait_until;
use crate::support::watch::{Watch, processes, sniffer, socket};
use hopwatch::host::kernel::{Collector, observe_once};
use hopwatch::input::{KernelFact, MissedKind, SnifferKind, SocketEvidence};
use hopwatch::time::Timestamp;

/// A container in a namespace of its own, joined to the host by a veth.
fn joined(host: &mut Host, line: &str) -> (Container, String) {
    let name = host.namespace();
    sh(&format!("ip link add veth-out type veth peer name eth0 netns {name}"));
    sh(&format!("ip link set veth-out up; ip -n {name} addr add 10.77.0.2/24 dev eth0; ip -n {name} link set eth0 up"));
    (host.container(Some(&name), line), name)
}

#[test]
fn interfaces_inside_are_listed_with_what_of_the_host_is_behind_them() {
    on_a_host(|host| {
        let (container, name) = joined(host, "busybox sleep 300");
        let other = host.namespace();
        sh(&format!("ip -n {name} link add far0 type veth peer name far1 netns {other}"));
        sh(&format!("ip link add mv0 link veth-out type macvlan mode bridge; ip link set mv0 netns {name}"));
        let mut watch = Watch::new(&[&container]);
        let inside = netns(&name);
        let view = watch.view(inside).expect("told at the first look");
        assert_eq!((&view.workloads[..], view.host), (&[container.id.clone()][..], false));
        let eth0 = watch.interface(inside, "eth0").expect("eth0");
        assert_eq!((&*eth0.kind, eth0.host_interface.as_deref(), eth0.up), ("veth", Some("veth-out"), true));
        assert!(eth0.mac.is_some() && eth0.addresses.contains(&"10.77.0.2".parse().expect("address")), "{eth0:?}");
        let behind = |name: &str| watch.interface(inside, name).expect("there").host_interface;
        assert_eq!((behind("far0"), behind("mv0").as_deref(), behind("lo")), (None, Some("veth-out"), None));
        let ours = watch.view(watch.collector.host()).expect("the host's");
        assert!(ours.host && ours.workloads.is_empty() && ours.interfaces.is_empty());

        assert_eq!(watch.scan(), [], "nothing changed");
        sh(&format!("ip -n {name} tuntap add dev tun7 mode tun; ip -n {name} link set eth0 promisc on"));
        watch.scan_sockets();
        assert_eq!(watch.interface(inside, "tun7").map(|tun| tun.kind).as_deref(), Some("tun"), "the kernel told it");
        assert_eq!(watch.interface(inside, "eth0").map(|eth0| eth0.promiscuity), Some(1));
        sh("ip link set veth-out name veth-new");
        sh(&format!("ip -n {name} link set eth0 promisc off; ip -n {name} link del tun7"));
        watch.scan();
        assert_eq!(watch.interface(inside, "tun7"), None);
        let eth0 = watch.interface(inside, "eth0").expect("eth0");
        assert_eq!((eth0.promiscuity, eth0.host_interface.as_deref()), (0, Some("veth-new")));
    });
}

#[test]
fn sockets_in_the_hosts_namespace_have_their_owners_and_the_hosts_own_have_none() {
    on_a_host(|host| {
        let first = host.container(None, "busybox nc -l -p 7001");
        let second = host.container(None, "busybox nc -l -p 7002");
        let older = TcpListener::bind("[::]:0").expect("a socket");
        let mut watch = Watch::new(&[&first, &second]);
        let here = watch.collector.host();
        for (container, port) in [(&first, 7001), (&second, 7002)] {
            let view = watch.until("the listener is told", |facts| socket(facts, here, port));
            assert_eq!((&view.owners[..], view.remote), (&[container.id.clone()][..], None));
            assert_eq!((view.how, view.command.as_deref()), (SocketEvidence::Process, Some("busybox")));
        }
        // Opened only now: how many looks the containers needed is not known.
        let own = TcpListener::bind("[::]:0").expect("a socket");
        let port = own.local_addr().expect("an address").port();
        watch.scan_sockets();
        assert_eq!(socket(&watch.facts, here, port), None, "one search is not enough to say that nobody holds it");
        watch.scan_sockets();
        let ours = socket(&watch.facts, here, port).expect("told now");
        assert!(ours.owners.is_empty() && ours.since.is_some(), "{ours:?}");
        let older = socket(&watch.facts, here, older.local_addr().expect("an address").port()).expect("told");
        assert!(older.owners.is_empty() && older.since.is_none(), "it may be as old as it likes: {older:?}");

        // An IPv4 connection to a socket of both families: written as IPv4.
        let client = TcpStream::connect(("127.0.0.1", port)).expect("connect");
        let (server, _) = own.accept().expect("accept");
        let before = watch.second;
        watch.scan_sockets();
        watch.scan_sockets();
        let from = client.local_addr().expect("an address");
        let view = socket(&watch.facts, here, from.port()).expect("the client's socket");
        assert_eq!(view.since, Some(Timestamp::from_secs(before)));
        let accepted = watch.facts.iter().any(|fact| {
            matches!(fact, KernelFact::SocketOpened(view) if view.remote.is_some_and(|remote| remote.to_string() == from.to_string()))
        });
        assert!(accepted, "{:?}", watch.facts);
        drop((client, server, own));
        host.kill(first.pid);
        for inode in [ours.inode, view.inode] {
            let closed = KernelFact::SocketClosed { netns: here, inode };
            watch.until("its end is told", |facts| facts.contains(&closed).then_some(()));
        }
        watch.scan();
        assert!(!watch.collector.stop(&first.id), "its end was seen");
    });
}

#[test]
fn a_namespace_that_two_share_shows_sockets_and_one_of_a_single_container_does_not() {
    on_a_host(|host| {
        let (single, name) = joined(host, "busybox nc -l -p 7101");
        let mut watch = Watch::new(&[&single]);
        assert!(!watch.collector.has_sockets(), "its address says whose it is");
        let second = host.container(Some(&name), "busybox nc -l -p 7102");
        watch.start(&second);
        let inside = netns(&name);
        let facts = watch.collector.scan_new(Timestamp::from_secs(500));
        assert_eq!(processes(&facts, &second).len(), 1, "told as soon as it is known: {facts:?}");
        watch.facts.extend(facts);
        assert_eq!(watch.view(inside).expect("told").workloads.len(), 2);
        for (container, port) in [(&single, 7101), (&second, 7102)] {
            let view = watch.until("the listener is told", |facts| socket(facts, inside, port));
            assert_eq!(view.owners, std::slice::from_ref(&container.id));
        }
        host.kill(second.pid);
        watch.scan();
        assert!(!watch.collector.has_sockets());
        let opened = watch.facts.iter().filter(|fact| matches!(fact, KernelFact::SocketOpened(_))).count();
        let closed = watch.facts.iter().filter(|fact| matches!(fact, KernelFact::SocketClosed { .. })).count();
        assert_eq!(opened, closed);
    });
}

#[test]
fn connections_too_short_for_a_look_are_counted() {
    const ROUNDS: u64 = 5;
    on_a_host(|host| {
        let container = host.container(None, "busybox sleep 300");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a socket");
        let address = listener.local_addr().expect("an address");
        let mut watch = Watch::new(&[&container]);
        watch.scan();
        for _ in 0..ROUNDS {
            let client = TcpStream::connect(address).expect("connect");
            drop((listener.accept().expect("accept"), client));
            drop(UdpSocket::bind("127.0.0.1:0").expect("a socket"));
        }
        // Both ends of each connection, and the datagram socket.
        watch.until("all are counted", |facts| {
            let counts = facts.iter().filter_map(|fact| match fact {
                KernelFact::Missed { what: MissedKind::ShortSocket, count } => Some(*count),
                _ => None,
            });
            (counts.sum::<u64>() >= 2 * ROUNDS + ROUNDS / 2).then_some(())
        });
        assert!(watch.missed(MissedKind::ShortSocket) <= 3 * ROUNDS, "none twice: {:?}", watch.facts);
        // One that was seen is not short: its end is reported instead.
        let seen = UdpSocket::bind("127.0.0.1:0").expect("a socket");
        let port = seen.local_addr().expect("an address").port();
        watch.scan();
        watch.scan();
        drop(seen);
        watch.until("its end is reported", |facts| {
            let opened = facts.iter().find_map(|fact| match fact {
                KernelFact::SocketOpened(view) if view.local.port == port => Some(view.inode),
                _ => None,
            })?;
            facts
                .iter()
                .any(|fact| matches!(fact, KernelFact::SocketClosed { inode, .. } if *inode == opened))
                .then_some(())
        });
        // What is counted of the first ones may come late.
        assert!(watch.missed(MissedKind::ShortSocket) <= 3 * ROUNDS, "{:?}", watch.facts);
    });
}

#[test]
fn packet_and_raw_sockets_are_seen_with_their_owner_until_they_close() {
    on_a_host(|host| {
        let (container, name) = joined(host, "busybox sleep 300");
        let mut watch = Watch::new(&[&container]);
        let arping = host.exec(&container, Some(&name), "busybox arping -I eth0 10.77.0.9");
        let ping = host.exec(&container, Some(&name), "busybox ping 10.77.0.9");
        let view = watch.until("the packet socket is told", |facts| sniffer(facts, SnifferKind::Packet));
        assert_eq!((view.netns, &view.owners[..], view.protocol), (netns(&name), &[container.id.clone()][..], 0x0806));
        assert_eq!((view.interface.as_deref(), view.command.as_deref()), (Some("eth0"), Some("busybox")));
        let raw = watch.until("the raw socket is told", |facts| sniffer(facts, SnifferKind::Raw));
        assert_eq!((&raw.owners[..], raw.protocol), (&[container.id.clone()][..], 1));
        host.kill(arping);
        host.kill(ping);
        let facts = watch.scan();
        for inode in [view.inode, raw.inode] {
            assert!(facts.contains(&KernelFact::SnifferClosed { netns: netns(&name), inode }), "{facts:?}");
        }
    });
}

#[test]
fn the_sensors_own_sockets_and_the_hosts_in_its_own_namespace_are_left_out() {
    use nix::sys::socket::{AddressFamily, SockFlag, SockProtocol, SockType, socket};
    on_a_host(|host| {
        let (container, name) = joined(host, "busybox sleep 300");
        let on_host = host.container(None, "busybox sleep 300");
        host.run(None, None, "busybox arping -I veth-out 10.77.0.9");
        // A tool of the host's inside the container's namespace is told, as nobody's.
        host.run(Some(&name), None, "busybox arping -I eth0 10.77.0.9");
        let kind = (AddressFamily::Packet, SockType::Raw, SockFlag::empty(), SockProtocol::EthAll);
        let own = socket(kind.0, kind.1, kind.2, kind.3).expect("a packet socket");
        let mut watch = Watch::new(&[&container, &on_host]);
        let view = watch.until("the tool is told", |facts| sniffer(facts, SnifferKind::Packet));
        assert_eq!((view.netns, &view.owners[..]), (netns(&name), &[][..]));
        watch.scan();
        watch.scan();
        let told = watch.facts.iter().filter(|fact| matches!(fact, KernelFact::SnifferOpened(_))).count();
        assert_eq!(told, 1, "{:?}", watch.facts);
        drop(own);
    });
}

#[test]
fn a_process_that_enters_another_namespace_is_seen() {
    on_a_host(|host| {
        let (container, name) = joined(host, "busybox sleep 300");
        let mut watch = Watch::new(&[&container]);
        let first = processes(&watch.facts, &container);
        assert!(matches!(&first[..], [told] if told.netns == netns(&name) && told.strays.is_empty()), "{first:?}");
        let here = watch.collector.host();
        let pid = host.exec(&container, None, "busybox nc -l -p 7201");
        let told = watch.until("the stray is told", |facts| {
            processes(facts, &container).into_iter().find(|told| !told.strays.is_empty())
        });
        let [stray] = &told.strays[..] else { panic!("{told:?}") };
        assert_eq!((stray.pid, &*stray.command, stray.netns, told.netns), (pid, "busybox", here, netns(&name)));
        let listener = watch.until("its socket is told", |facts| socket(facts, here, 7201));
        assert_eq!(listener.owners, std::slice::from_ref(&container.id));
        host.kill(pid);
        let facts = watch.scan();
        assert!(processes(&facts, &container).iter().any(|told| told.strays.is_empty()), "{facts:?}");
    });
}

#[test]
fn a_first_process_that_moves_itself_is_seen() {
    on_a_host(|host| {
        let (_, other) = joined(host, "busybox sleep 300");
        let name = host.namespace();
        let folder = tempfile::tempdir().expect("a folder");
        let go = folder.path().join("go");
        let line = format!(
            "busybox sh -c 'until [ -e {} ]; do sleep 0.02; done; exec nsenter --net=/var/run/netns/{other} busybox sleep 300'",
            go.display()
        );
        let container = host.container(Some(&name), &line);
        let mut watch = Watch::new(&[&container]);
        assert_eq!(processes(&watch.facts, &container).last().map(|told| told.netns), Some(netns(&name)));
        std::fs::write(&go, "").expect("write");
        let moved = watch.until("the move is told", |facts| {
            processes(facts, &container).into_iter().find(|told| told.netns == netns(&other))
        });
        assert!(moved.strays.is_empty(), "{moved:?}");
        assert!(watch.facts.contains(&KernelFact::NamespaceGone { netns: netns(&name) }));
    });
}

#[test]
fn what_vanishes_is_counted_and_its_namespace_goes() {
    on_a_host(|host| {
        let (container, name) = joined(host, "busybox sleep 300");
        let gone = host.container(None, "busybox sleep 300");
        host.kill(gone.pid);
        let mut watch = Watch::new(&[&container, &gone]);
        assert_eq!((watch.missed(MissedKind::Process), processes(&watch.facts, &gone).len()), (1, 0));
        host.kill(container.pid);
        let facts = watch.scan();
        assert_eq!(facts, [KernelFact::NamespaceGone { netns: netns(&name) }]);
        assert_eq!(watch.missed(MissedKind::Process), 1, "one that was seen has simply ended");
    });
}

#[test]
fn a_process_without_a_group_of_its_own_is_followed_by_its_descendants() {
    on_a_host(|host| {
        let name = host.namespace();
        let line = "busybox sh -c 'busybox nc -l -p 7301; true'";
        let pid = host.run(Some(&name), None, line);
        let other = host.container(Some(&name), "busybox sleep 300");
        let id = hopwatch::input::WorkloadId::new("without-a-group");
        wait_until("the child listens", || {
            let facts = observe_once(&[(id.clone(), pid), (other.id.clone(), other.pid)], |_| false);
            socket(&facts, netns(&name), 7301).is_some_and(|view| view.owners == [id.clone()])
        });
    });
}

#[test]
fn a_container_that_is_told_late_gets_the_sockets_that_it_had_opened() {
    on_a_host(|host| {
        let first = host.container(None, "busybox sleep 300");
        let late = host.container(None, "busybox nc -l -p 7401");
        let mut watch = Watch::new(&[&first]);
        let here = watch.collector.host();
        let before = watch.until("the socket is told", |facts| socket(facts, here, 7401));
        assert!(before.owners.is_empty(), "nobody knows of it: {before:?}");
        watch.start(&late);
        let facts = watch.collector.scan_new(Timestamp::from_secs(500));
        let after = socket(&facts, here, 7401).expect("told again");
        assert_eq!((&after.owners[..], after.inode, after.since), (&[late.id.clone()][..], before.inode, before.since));
        assert!(!facts.iter().any(|fact| matches!(fact, KernelFact::SocketClosed { .. })), "it was open all the time");
    });
}

/// The other half of the next test: runs as nobody, where `/proc` hides others.
#[test]
#[ignore = "is started by another test"]
fn looks_without_permission() {
    let Some(pid) = std::env::var("HOPWATCH_TEST_PID").ok().and_then(|pid| pid.parse().ok()) else { return };
    let id = hopwatch::input::WorkloadId::new("hidden");
    println!("facts: {}", serde_json::to_string(&observe_once(&[(id, pid)], |_| true)).expect("JSON"));
}

#[test]
fn a_process_that_is_hidden_is_counted_and_the_rest_goes_on() {
    use std::os::unix::fs::PermissionsExt as _;
    on_a_host(|host| {
        let container = host.container(None, "busybox sleep 300");
        let folder =
            tempfile::Builder::new().permissions(std::fs::Permissions::from_mode(0o755)).tempdir().expect("folder");
        let binary = folder.path().join("kernel");
        // By another process: what this one writes, a child of another test's thread may hold open, and then it cannot be run.
        let copied =
            std::process::Command::new("cp").arg(std::env::current_exe().expect("this test")).arg(&binary).status();
        assert!(copied.expect("cp").success());
        for hide in ["true", "mount -t proc -o hidepid=2 proc /proc"] {
            let line = format!(
                "unshare --mount sh -c '{hide} && cd / && HOPWATCH_TEST_PID={} exec setpriv --reuid=65534 --regid=65534 --clear-groups {} \
                 --exact kernel::looks_without_permission --ignored --nocapture'",
                container.pid,
                binary.display()
            );
            let output = std::process::Command::new("sh").args(["-c", &line]).output().expect("run");
            let text = String::from_utf8_lossy(&output.stdout);
            let facts = text.split("facts: ").nth(1).and_then(|rest| rest.lines().next());
            let facts = facts.unwrap_or_else(|| panic!("{text}{}", String::from_utf8_lossy(&output.stderr)));
            let facts: Vec<KernelFact> = serde_json::from_str(facts).expect("facts");
            assert!(
                facts.contains(&KernelFact::Missed { what: MissedKind::HiddenProc, count: 1 }),
                "{hide}: {facts:?}"
            );
            assert!(facts.iter().any(|fact| matches!(fact, KernelFact::Namespace(view) if view.host)), "{facts:?}");
        }
    });
}

/// Run with `cargo test --release --test privileged kernel::cost -- --ignored --nocapture`.
#[test]
#[ignore = "a measurement"]
fn cost_of_fifty_namespaces_and_two_hundred_processes() {
    use nix::time::{ClockId, clock_gettime};
    const LOOKS: u32 = 50;
    let spent = || std::time::Duration::from(clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).expect("a clock"));
    on_a_host(|host| {
        let mut containers = Vec::new();
        for number in 0..50 {
            let name = host.namespace();
            sh(&format!("ip link add veth{number} type veth peer name eth0 netns {name}"));
            let container = host.container(Some(&name), "busybox sleep 300");
            for _ in 0..3 {
                host.exec(&container, Some(&name), "busybox sleep 300");
            }
            containers.push(container);
        }
        let on_host = host.container(None, "busybox nc -l -p 7501");
        let mut collector = Collector::new().expect("the kernel");
        containers
            .iter()
            .chain([&on_host])
            .for_each(|container| assert!(collector.start(&container.id, container.pid)));
        let mut second = 0;
        let mut measure = |what: &str, looks: u32, look: &mut dyn FnMut(&mut Collector, Timestamp)| {
            let before = spent();
            for _ in 0..looks {
                second += 1;
                look(&mut collector, Timestamp::from_nanos(second * 1_000_000));
            }
            println!("{what}: {:?} of a core a look", spent().saturating_sub(before) / looks);
        };
        measure("first look", 1, &mut |collector, at| drop(collector.scan(at)));
        measure("look at everything", LOOKS, &mut |collector, at| drop(collector.scan(at)));
        measure("look at sockets and news", LOOKS, &mut |collector, at| drop(collector.scan_sockets(at)));
        measure("look at sockets, one of them new", LOOKS, &mut |collector, at| {
            let _new = UdpSocket::bind("127.0.0.1:0").expect("a socket");
            drop(collector.scan_sockets(at));
        });
    });
}
