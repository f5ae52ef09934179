#!/usr/bin/env python3
"""How soon alerts come, and what the sniffer takes meanwhile: probes of one container, a flood of another. Needs root; makes namespaces of its own.

Each probe is a packet from an address of its own that goes around its proxy, so it makes one alert. A row: alerts delivered, time from packet to alert,
memory, CPU of the sniffer. HOPWATCH and BLAST name the programs; PROBES how many, GAP the seconds between two. Rows: none known 20k 200k flat syn spoof
dns arp bridge (as `flat`, both containers on one bridge that is captured), busyN (CPU of one busy interface beside N idle ones), idleN; default all.
"""
import json
import os
import re
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time

import namespaces
from namespaces import in_namespace, inside

HOPWATCH = os.environ.get("HOPWATCH", "target/release/hopwatch")
BLAST = os.environ.get("BLAST", "target/release/examples/blast")
PROBES = int(os.environ.get("PROBES", "200"))
GAP = float(os.environ.get("GAP", "0.02"))
# Kind of flood, flows, rate.
FLOODS = {
    "none": None,
    "known": ("udp", 1000, 300_000),
    "20k": ("udp", 4_000_000, 20_000),
    "200k": ("udp", 4_000_000, 200_000),
    "flat": ("udp", 1_000_000, 0),
    "syn": ("syn", 1_000_000, 0),
    "spoof": ("spoof", 1_000_000, 0),
    "dns": ("dns", 1_000_000, 0),
    "arp": ("arp", 1_000_000, 0),
    "bridge": ("udp", 1_000_000, 0),
}
CONFIG = """
hops:
  proxy: {addresses: [10.9.9.9], ports: [3128]}
contracts:
  - {name: egress, from: [{addresses: ["45.10.200.0/21"]}], to: [internet], via: [proxy]}
"""


def run(*words):
    subprocess.run(words, check=True)


def make_namespaces(bridge, idle):
    namespaces.make("h", "fp")
    if bridge:
        run(*inside("h", "ip", "link", "add", "br-t", "type", "bridge"))
        run(*inside("h", "ip", "link", "set", "br-t", "up"))
        for name in "fp":
            run(*inside("h", "ip", "link", "set", f"ve-{name}", "master", "br-t"))
    for number in range(idle):
        run(*inside("h", "ip", "link", "add", f"ve-{number}", "type", "veth", "peer", "name", f"peer{number}"))
        run(*inside("h", "sh", "-c", f"ip link set ve-{number} up; ip link set peer{number} up"))


def probe_frame(number, kind):
    source = bytes([45, 10, 200 + number // 250, number % 250 + 1])
    target = bytes([9, 9, 9, 9])
    if kind == "udp":
        payload = struct.pack("!HHHH", 40_000, 4_000, 8, 0)
        protocol = 17
    else:
        payload = struct.pack("!HHIIBBHHH", 40_000, 443, 1, 0, 0x50, 2, 64_240, 0, 0)
        protocol = 6
    return namespaces.frame(number, protocol, source, target, payload)


def source_of(number):
    return f"45.10.{200 + number // 250}.{number % 250 + 1}"


class Sniffer:
    def __init__(self, bridge):
        self.seen = {}
        config = tempfile.NamedTemporaryFile("w", suffix=".yaml", delete=False)
        config.write(CONFIG)
        config.close()
        self.config = config.name
        self.log = tempfile.NamedTemporaryFile("w+", delete=False)
        points = ["-i", "br-t"] if bridge else ["-i", "ve-*"]
        environment = {**os.environ, "DOCKER_HOST": "unix:///nowhere"}
        words = inside("h", HOPWATCH, "sniff", "-c", self.config, *points, "--format", "json")
        self.process = subprocess.Popen(words, stdout=subprocess.PIPE, stderr=self.log, env=environment, text=True)
        self.reader = threading.Thread(target=self.read, daemon=True)
        self.reader.start()

    def read(self):
        for line in self.process.stdout:
            now = time.monotonic()
            if '"45.10.2' in line:
                for address in set(re.findall(r"45\.10\.2\d\d\.\d+", line)):
                    self.seen.setdefault(address, now)
            self.last = line

    def metrics(self):
        words = inside("h", "curl", "-s", "http://127.0.0.1:9921/metrics")
        return subprocess.run(words, capture_output=True, text=True, check=False).stdout

    def wait_for(self, count):
        for _ in range(600):
            points = set(re.findall(r'hopwatch_packets_total\{[^}]*observation_point="([^"]+)"', self.metrics()))
            if len(points - {"other"}) >= count:
                return
            time.sleep(0.1)
        sys.exit(f"the sniffer captures too little: {open(self.log.name).read()[-2000:]}")

    def cpu(self):
        total, capture = 0, 0
        for task in os.listdir(f"/proc/{self.process.pid}/task"):
            try:
                ran = int(open(f"/proc/{self.process.pid}/task/{task}/schedstat").read().split()[0])
                name = open(f"/proc/{self.process.pid}/task/{task}/comm").read().strip()
            except OSError:
                continue
            total += ran
            capture += ran if name == "capture" else 0
        return total / 1e9, capture / 1e9

    def memory(self, what="VmHWM"):
        status = open(f"/proc/{self.process.pid}/status").read()
        return int(re.search(rf"{what}:\s+(\d+)", status)[1]) // 1024

    def end(self):
        self.process.send_signal(signal.SIGTERM)
        began = time.monotonic()
        self.process.wait()
        self.reader.join()
        os.unlink(self.config)
        self.log.close()
        os.unlink(self.log.name)
        try:
            dropped = {}
            for point in json.loads(self.last)["points"]:
                if point["observation_point"] == "ve-p":
                    dropped["probes captured"] = point["packets"]
                for reason, count in point.get("dropped", {}).items():
                    if count:
                        dropped[reason] = dropped.get(reason, 0) + count
        except (ValueError, KeyError, TypeError):
            dropped = re.findall(r'"dropped":\{[^}]*\}', self.last)
        return time.monotonic() - began, dropped


def latency_row(name, kind="udp"):
    flood, bridge = FLOODS[name], name == "bridge"
    make_namespaces(bridge, 0)
    sniffer = Sniffer(bridge)
    sniffer.wait_for(1 if bridge else 2)
    probe = in_namespace("p", lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW))
    in_namespace("p", lambda: probe.bind(("out", 0)))
    time.sleep(7)
    blast = None
    if flood:
        seconds = PROBES * GAP + 6
        words = inside("f", BLAST, "out", str(seconds), str(flood[1]), "64", str(flood[2]), flood[0])
        blast = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
        before = time.monotonic()
        while "hopwatch" and not int(open(f"/proc/{blast.pid}/stat").read().split()[14]) and time.monotonic() < before + 20:
            time.sleep(0.05)
        time.sleep(2)
    (cpu, capture), began, sent = sniffer.cpu(), time.monotonic(), {}
    for number in range(PROBES):
        sent[source_of(number)] = time.monotonic()
        probe.send(probe_frame(number, kind))
        time.sleep(max(0.0, began + (number + 1) * GAP - time.monotonic()))
    took = time.monotonic() - began
    used, captured = sniffer.cpu()
    rate = blast.communicate()[0].split()[1] if blast else "0"
    time.sleep(2)
    memory = sniffer.memory()
    ended, dropped = sniffer.end()
    namespaces.remove("hfp")
    late = sorted(1000 * (sniffer.seen[address] - at) for address, at in sent.items() if address in sniffer.seen)
    at = lambda part: f"{late[min(len(late) - 1, int(part * len(late)))]:.0f}" if late else "-"
    print(f"| {name} {kind} | {rate} | {len(late)} of {PROBES} | {at(0)} | {at(.5)} | {at(.9)} | {at(.99)} | {at(1)} | {memory} | "
          f"{100 * (used - cpu) / took:.0f} | {100 * (captured - capture) / took:.0f} | {ended:.1f} | {dropped} |", flush=True)


def idle_row(count):
    make_namespaces(False, count - 2)
    sniffer = Sniffer(False)
    # The names of further points are not among the metrics.
    sniffer.wait_for(min(count, 100))
    time.sleep(5 + count / 25)
    (cpu, capture), began = sniffer.cpu(), time.monotonic()
    time.sleep(12)
    used, captured = sniffer.cpu()
    took, memory = time.monotonic() - began, sniffer.memory("VmRSS")
    sniffer.end()
    namespaces.remove("hfp")
    print(f"| idle, {count} interfaces | {100 * (used - cpu) / took:.2f} % | capture {100 * (captured - capture) / took:.2f} % | {memory} MB |", flush=True)


def busy_row(idle):
    """Capture's CPU a packet of one busy interface, beside so many idle ones."""
    make_namespaces(False, idle)
    sniffer = Sniffer(False)
    sniffer.wait_for(min(idle + 2, 100))
    time.sleep(5 + idle / 25)
    words = inside("f", BLAST, "out", "9", "1000", "64", "200000", "udp")
    blast = subprocess.Popen(words, stdout=subprocess.PIPE, text=True)
    time.sleep(3)
    (cpu, capture), began = sniffer.cpu(), time.monotonic()
    time.sleep(4)
    used, captured = sniffer.cpu()
    packets = 200_000 * (time.monotonic() - began)
    blast.communicate()
    time.sleep(1)
    _, dropped = sniffer.end()
    namespaces.remove("hfp")
    print(f"| 200 k/s, {idle} idle beside it | capture {1e9 * (captured - capture) / packets:.0f} ns per packet | "
          f"all {1e9 * (used - cpu) / packets:.0f} | {dropped} |", flush=True)


def main():
    rows = sys.argv[1:] or [*FLOODS, "busy0", "busy250", "idle7", "idle250"]
    if any(row.split("-")[0] in FLOODS for row in rows):
        print("| load, probe | sent/s | alerts | min ms | p50 | p90 | p99 | max | MB | CPU % | capture % | end s | dropped |")
        print("|---|---|---|---|---|---|---|---|---|---|---|---|---|")
    try:
        for row in rows:
            if row.startswith("idle"):
                idle_row(int(row[4:]))
            elif row.startswith("busy"):
                busy_row(int(row[4:]))
            elif row.endswith("-syn"):
                latency_row(row[:-4], "syn")
            else:
                latency_row(row)
    finally:
        namespaces.remove("hfp")


main()
