"""Network namespaces of a script's own, each with a veth pair into the first one, and packets made by hand. Needs root."""
import ctypes
import os
import struct
import subprocess

TAG = f"hws{os.getpid()}"
LIBC = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNET = 0x40000000


def inside(name, *words):
    """A command in the namespace."""
    return ["nsenter", f"--net=/var/run/netns/{TAG}{name}", *words]


def in_namespace(name, body):
    """Sockets that are opened there stay there."""
    own = os.open("/proc/thread-self/ns/net", os.O_RDONLY)
    other = os.open(f"/var/run/netns/{TAG}{name}", os.O_RDONLY)
    assert LIBC.setns(other, CLONE_NEWNET) == 0
    try:
        return body()
    finally:
        assert LIBC.setns(own, CLONE_NEWNET) == 0
        os.close(own)
        os.close(other)


def make(host, others):
    """A namespace for the host, and others whose interface `out` leads to the host's `ve-NAME`."""
    for name in host + others:
        subprocess.run(["ip", "netns", "add", f"{TAG}{name}"], check=True)
        subprocess.run(inside(name, "sh", "-c", "echo 1 > /proc/sys/net/ipv6/conf/default/disable_ipv6; ip link set lo up"), check=True)
    for name in others:
        subprocess.run(inside(name, "ip", "link", "add", "out", "type", "veth", "peer", "name", f"ve-{name}", "netns", f"{TAG}{host}"), check=True)
        subprocess.run(inside(name, "ip", "link", "set", "out", "up"), check=True)
        subprocess.run(inside(host, "ip", "link", "set", f"ve-{name}", "up"), check=True)


def remove(names):
    """Those that exist."""
    for name in names:
        subprocess.run(["ip", "netns", "del", f"{TAG}{name}"], stderr=subprocess.DEVNULL, check=False)


def frame(number, protocol, source, target, payload):
    """An Ethernet frame with an IPv4 packet; `number` is its identification."""
    header = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(payload), number & 0xFFFF, 0, 64, protocol, 0, source, target)
    total = sum(struct.unpack("!10H", header))
    total = (total & 0xFFFF) + (total >> 16)
    header = header[:10] + struct.pack("!H", ~((total & 0xFFFF) + (total >> 16)) & 0xFFFF) + header[12:]
    return bytes.fromhex("02000000000202000000000f0800") + header + payload
