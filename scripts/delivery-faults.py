#!/usr/bin/env python3
"""What delivery promises, tried on the real program. Needs root; makes network namespaces of its own and removes them.

`kills`: while alerts are raised and receivers answer late, wrongly or not at all, the sniffer is killed (SIGKILL) KILLS times at random points and started
again. Afterwards every line that was ever found committed in the outbox must have arrived: in the file, at the webhook (a second time only if it is marked as a
repetition), once in an index that knows keys, and once in Alertmanager (`prometheus-alertmanager`; without it that check is left out, which is said).
`latency`: PROBES packets, one alert each; from the packet's time to Alertmanager's answer 200. Without it a receiver that stands for it answers (contract).

HOPWATCH names the program; SEED repeats the random choices. A line of figures, and exit code 1 with what was wrong.
"""
import glob
import http.client
import http.server
import json
import os
import random
import shutil
import signal
import socket
import sqlite3
import struct
import subprocess
import sys
import tempfile
import threading
import time
from datetime import datetime

import namespaces
from namespaces import in_namespace, inside

HOPWATCH = os.environ.get("HOPWATCH", "target/release/hopwatch")
KILLS = int(os.environ.get("KILLS", "200"))
PROBES = int(os.environ.get("PROBES", "500"))
GAP = float(os.environ.get("GAP", "0.05"))
SEED = int(os.environ.get("SEED", str(random.randrange(1 << 32))))
# The longest time between a start and its kill.
LIFE = float(os.environ.get("LIFE", "2.0"))
# What must not outlive this script, whatever ends it.
CHILDREN = []
CONFIG = """
hops: {proxy: {addresses: [10.9.9.9], ports: [3128]}}
contracts: [{name: egress, from: [{addresses: ["45.10.0.0/16"]}], to: [internet], via: [proxy]}]
alerts: {burst: 100000, refill: 1ms, update_interval: 100ms}
evidence: {enabled: false}
"""


class Probe:
    """Sends packets from addresses that go around their proxy."""

    def __init__(self):
        self.socket = in_namespace("p", lambda: socket.socket(socket.AF_PACKET, socket.SOCK_RAW))
        in_namespace("p", lambda: self.socket.bind(("out", 0)))

    def send(self, number):
        source, target = bytes([45, 10, number // 250 % 250, number % 250 + 1]), bytes([9, 9, 9, 9])
        payload = struct.pack("!HHHH", 40_000, 4_000, 8, 0)
        self.socket.send(namespaces.frame(number, 17, source, target, payload))


class Server(http.server.ThreadingHTTPServer):
    """An HTTP server in the sniffer's namespace."""

    daemon_threads = True

    def __init__(self, handler, port=0):
        super().__init__(("127.0.0.1", 0), handler, bind_and_activate=False)
        self.socket.close()
        self.socket = in_namespace("h", lambda: socket.create_server(("127.0.0.1", port)))
        self.server_address = self.socket.getsockname()
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.lock = threading.Lock()
        threading.Thread(target=self.serve_forever, daemon=True).start()

    def handle_error(self, request, client_address):
        """Connections that a kill ends are expected."""


class Quiet(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        """Says nothing."""

    def body(self):
        length = int(self.headers.get("Content-Length", 0))
        body = self.rfile.read(length)
        if len(body) < length:
            raise ConnectionError("the request ended early")
        return body

    def answer(self, status, body=b"", kind="application/json"):
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


class Misbehaviour:
    """Answers late, wrongly or not at all, until it is told to behave."""

    def __init__(self, seed):
        self.random, self.on, self.lock = random.Random(seed), True, threading.Lock()

    def choose(self):
        with self.lock:
            return self.random.random() if self.on else 1.0


def webhook(misbehaviour):
    class Webhook(Quiet):
        received = []

        def do_POST(self):
            body, chance = self.body(), misbehaviour.choose()
            if chance < 0.02:
                return self.answer(503)
            # It has it from here on, whatever it says.
            with self.server.lock:
                self.received.append((self.headers["Idempotency-Key"], self.headers.get("X-Hopwatch-Redelivered") == "true", body))
            if chance < 0.04:
                self.close_connection = True
                return None
            if chance < 0.08:
                time.sleep(0.1)
            return self.answer(200)

    return Webhook


def index(misbehaviour):
    class Index(Quiet):
        stored, again = {}, [0]

        def do_GET(self):
            self.answer(200, b'{"version":{"number":"9.0.0"}}')

        def do_POST(self):
            lines, items = self.body().split(b"\n"), []
            for action, document in zip(lines[::2], lines[1::2]):
                key = json.loads(action)["create"]["_id"]
                with self.server.lock:
                    is_new = key not in self.stored
                    self.stored.setdefault(key, document)
                    self.again[0] += not is_new
                items.append({"create": {"_id": key, "status": 201 if is_new else 409}})
            if misbehaviour.choose() < 0.05:
                self.close_connection = True
                return None
            return self.answer(200, json.dumps({"errors": any(i["create"]["status"] == 409 for i in items), "items": items}).encode())

    return Index


class Sniffer:
    def __init__(self, folder, config):
        self.log = open(f"{folder}/log", "ab")
        environment = {**os.environ, "DOCKER_HOST": "unix:///nowhere", "NO_COLOR": "1"}
        words = inside("h", HOPWATCH, "sniff", "-c", config, "-i", "ve-*", "--format", "json")
        self.process = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=self.log, env=environment)
        CHILDREN.append(self.process)

    def wait_until_it_captures(self):
        for _ in range(600):
            page = subprocess.run(inside("h", "curl", "-s", "http://127.0.0.1:9921/metrics"), capture_output=True, text=True, check=False)
            if 'observation_point="ve-p"' in page.stdout:
                return
            time.sleep(0.1)
        sys.exit(f"the sniffer captures nothing: {open(self.log.name).read()[-2000:]}")

    def end(self, how):
        self.process.send_signal(how)
        self.process.wait()
        CHILDREN.remove(self.process)
        self.log.close()


def alertmanager(folder):
    """Its process, where it is installed."""
    if not shutil.which("prometheus-alertmanager"):
        print("prometheus-alertmanager is not installed: a receiver stands for it, or its check is left out")
        return None
    with open(f"{folder}/alertmanager.yml", "w", encoding="utf-8") as file:
        file.write("route: {receiver: none}\nreceivers: [{name: none}]\n")
    words = ["prometheus-alertmanager", f"--config.file={folder}/alertmanager.yml", f"--storage.path={folder}/am",
             "--web.listen-address=127.0.0.1:9093", "--cluster.listen-address="]
    process = subprocess.Popen(inside("h", *words), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    CHILDREN.append(process)
    for _ in range(100):
        if subprocess.run(inside("h", "curl", "-sf", "http://127.0.0.1:9093/-/ready"), capture_output=True, check=False).returncode == 0:
            return process
        time.sleep(0.1)
    sys.exit("Alertmanager does not come up")


def committed(folder, query="SELECT id || '-' || update_no FROM alert WHERE rule <> 'incident'"):
    """What stands in the outbox, read from a copy: the file is the sniffer's own."""
    with tempfile.TemporaryDirectory() as copy:
        for name in os.listdir(f"{folder}/state"):
            if name.startswith("outbox.sqlite"):
                shutil.copy(f"{folder}/state/{name}", copy)
        if not os.path.exists(f"{copy}/outbox.sqlite"):
            return []
        connection = sqlite3.connect(f"{copy}/outbox.sqlite")
        try:
            return [row[0] for row in connection.execute(query)]
        except sqlite3.OperationalError as error:
            # Killed before its first transaction.
            if "no such table" in str(error):
                return []
            raise
        finally:
            connection.close()


def kills():
    choice, misbehaviour = random.Random(SEED), Misbehaviour(SEED + 1)
    folder = tempfile.mkdtemp(prefix="hopwatch-kills-")
    hook, keyed = Server(webhook(misbehaviour)), Server(index(misbehaviour))
    pager = alertmanager(folder)
    state = f"{folder}/state"
    os.mkdir(state, 0o700)
    sinks = [f"  hook: {{encoding: hopwatch, webhook: {{url: \"{hook.url}/\"}}}}",
             f"  index: {{elasticsearch: {{url: \"{keyed.url}\"}}}}",
             f"  archive: {{file: {{path: {folder}/alerts.jsonl}}}}"]
    if pager:
        sinks.append('  pager: {alertmanager: {urls: ["http://127.0.0.1:9093"], resend: 1h, keep_open: 24h}}')
    config = f"{folder}/hopwatch.yaml"
    with open(config, "w", encoding="utf-8") as file:
        file.write(CONFIG + f"state: {{dir: {state}}}\nsinks:\n" + "\n".join(sinks) + "\n")
    probe, going, number = Probe(), True, [0]

    sent = random.Random(SEED + 2)

    def send():
        while going:
            number[0] += 1
            # New sources, and some that were seen before.
            probe.send(number[0] // 4 if number[0] % 2 else sent.randrange(1 + number[0] // 4))
            time.sleep(0.01)

    sender = threading.Thread(target=send, daemon=True)
    sender.start()
    seen, began = set(), time.monotonic()
    for count in range(KILLS):
        sniffer = Sniffer(folder, config)
        time.sleep(choice.uniform(0.02, LIFE))
        if sniffer.process.poll() is not None:
            sys.exit(f"the sniffer ended by itself: {open(sniffer.log.name).read()[-2000:]}")
        sniffer.end(signal.SIGKILL)
        seen.update(committed(folder))
        if count % 20 == 19:
            print(f"{count + 1} kills, {len(seen)} lines committed", flush=True)
    going = misbehaviour.on = False
    sender.join()
    sniffer = Sniffer(folder, config)
    deadline = time.monotonic() + 120
    time.sleep(3)
    while (left := committed(folder, "SELECT count(*) FROM delivery WHERE state = 'waiting'")[0]) and time.monotonic() < deadline:
        time.sleep(1)
    sniffer.end(signal.SIGTERM)
    took = time.monotonic() - began
    final = set(committed(folder))
    damaged = [name for name in os.listdir(state) if "damaged" in name]
    wrong = [f"{left} deliveries still wait"] if left else []
    if damaged:
        wrong.append(f"the outbox was found damaged: {damaged}")
    wrong += missing("the outbox itself", seen, final)
    received = [(key, marked) for key, marked, _ in hook.RequestHandlerClass.received if not key.startswith("incident")]
    wrong += missing("the webhook", final, {key for key, _ in received})
    known, repeated, unmarked = set(), 0, []
    for key, marked in received:
        repeated += key in known
        unmarked += [key] if key in known and not marked else []
        known.add(key)
    if unmarked:
        wrong.append(f"the webhook got {len(unmarked)} a second time without a mark, such as {unmarked[:3]}")
    wrong += missing("the index", final, set(keyed.RequestHandlerClass.stored))
    written, halves = [], 0
    # It is rotated at 100 MB.
    for path in glob.glob(f"{folder}/alerts.jsonl*"):
        with open(path, encoding="utf-8", errors="replace") as file:
            for line in file:
                try:
                    written.append(json.loads(line))
                except ValueError:
                    # A kill cut it off; the next run ends the line and writes the alert again.
                    halves += 1
    written = [f"{line['id']}-{line['update']}" for line in written if line["schema"] == "hopwatch.alert/1"]
    wrong += missing("the file", final, set(written))
    ids = {key.rsplit("-", 1)[0] for key in final}
    shown = "left out"
    if pager:
        answer = subprocess.run(inside("h", "curl", "-s", "http://127.0.0.1:9093/api/v2/alerts"), capture_output=True, text=True, check=True)
        all_shown = [alert["labels"]["alert_id"] for alert in json.loads(answer.stdout)]
        shown = len(all_shown)
        wrong += missing("Alertmanager", ids, set(all_shown))
        if shown != len(set(all_shown)):
            wrong.append(f"Alertmanager shows {shown - len(set(all_shown))} twice")
        pager.terminate()
        pager.wait()
    again = committed(folder, "SELECT count(*) FROM alert WHERE rule <> 'incident' AND instr(body, '\"kind\":\"restart\"')")[0]
    print(f"seed {SEED}: {KILLS} kills in {took:.0f} s, {len(ids)} alerts, {len(final)} lines committed, {len(final - seen)} of them after the last kill; webhook {len(received)} requests, "
          f"{repeated} repetitions, {len(unmarked)} unmarked; file {len(written) - len(set(written))} repetitions, {halves} half lines; index {keyed.RequestHandlerClass.again[0]} repetitions, each stored once; "
          f"Alertmanager shows {shown}; {again} lines are of alerts that went on after a kill")
    finish(wrong, folder)


def missing(where, wanted, found):
    lost = wanted - found
    return [f"{where} lacks {len(lost)}, such as {sorted(lost)[:3]}"] if lost else []


def finish(wrong, folder):
    if wrong:
        print(f"WRONG (see {folder}): " + "; ".join(wrong))
        sys.exit(1)
    shutil.rmtree(folder)


def latency():
    folder = tempfile.mkdtemp(prefix="hopwatch-latency-")
    pager, took, lock = alertmanager(folder), {}, threading.Lock()

    class Proxy(Quiet):
        """Between the sniffer and Alertmanager: notes when that one has answered."""

        def do_POST(self):
            body, status = self.body(), 200
            if pager:
                connection = http.client.HTTPConnection("127.0.0.1", 9093)
                connection.sock = in_namespace("h", lambda: socket.create_connection(("127.0.0.1", 9093)))
                connection.request("POST", self.path, body, {"Content-Type": "application/json"})
                status = connection.getresponse().status
                connection.close()
            now = time.time()
            if status == 200:
                with lock:
                    for alert in json.loads(body):
                        began = datetime.fromisoformat(alert["startsAt"][:26].rstrip("Z") + "+00:00").timestamp()
                        took.setdefault(alert["labels"]["alert_id"], now - began)
            self.answer(status)

    proxy = Server(Proxy)
    os.mkdir(f"{folder}/state", 0o700)
    config = f"{folder}/hopwatch.yaml"
    with open(config, "w", encoding="utf-8") as file:
        file.write(CONFIG + f"state: {{dir: {folder}/state}}\nsinks: {{pager: {{rules: [egress-skips-proxy], alertmanager: {{urls: [\"{proxy.url}\"]}}}}}}\n")
    sniffer = Sniffer(folder, config)
    sniffer.wait_until_it_captures()
    time.sleep(7)
    probe = Probe()
    for number in range(PROBES):
        probe.send(number)
        time.sleep(GAP)
    deadline = time.monotonic() + 20
    while len(took) < PROBES and time.monotonic() < deadline:
        time.sleep(0.1)
    sniffer.end(signal.SIGTERM)
    if pager:
        pager.terminate()
        pager.wait()
    late = sorted(1000 * value for value in took.values())
    at = lambda part: f"{late[min(len(late) - 1, int(part * len(late)))]:.0f}" if late else "-"
    print(f"{'Alertmanager' if pager else 'a receiver that stands for Alertmanager'}: {len(late)} of {PROBES} alerts, one each {1000 * GAP:.0f} ms; packet to 200 in ms: "
          f"min {at(0)}, median {at(.5)}, p90 {at(.9)}, p99 {at(.99)}, max {at(1)}")
    finish([] if len(late) == PROBES else ["alerts are missing"], folder)


def main():
    what = {"kills": kills, "latency": latency}.get(sys.argv[1] if len(sys.argv) == 2 else "")
    if not what:
        sys.exit("kills or latency?")
    namespaces.remove("hp")
    namespaces.make("h", "p")
    try:
        what()
    finally:
        for child in CHILDREN:
            if child.poll() is None:
                child.kill()
                child.wait()
        namespaces.remove("hp")


main()
