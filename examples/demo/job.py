#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
"""job.py VM NAME: an attacker in a guest, its neighbours, and a filter between them.

Four hosts on one bridge of this machine: the guest and three neighbours. The same happens twice,
without a filter and with it; then both are compared.
"""

import collections
import json
import os
import pathlib
import re
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
VM, NAME = sys.argv[1:3]
USERS = {0: "root", 33: "www-data", 1000: "alice", 1001: "bob", 1002: "carol"}
HOSTS = 3
PAGES = 20  # each neighbour fetches
DATAGRAMS = 2000
ALICE = 6  # pages she reads
PORTS = "22,25,80,443,3306,8080"
SECONDS = 300  # more than anything takes here

FLOOD = f"""\
import socket, time
s = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
for i in range({DATAGRAMS}):
    s.sendto(b"x" * 64, (f"10.0.0.{{11 + i % {HOSTS}}}", 7))
    if i % 100 == 99:
        time.sleep(0.05)
"""
FLOOD_NAME = "/tmp/update-helper"  # attackers call themselves something harmless
# What happens in the guest, all at once.
INSIDE = f"""\
nmap -sS -n -Pn -T4 --max-retries 1 --host-timeout 20 -p {PORTS} 10.0.0.11-{10 + HOSTS} &
runuser -u bob -- {FLOOD_NAME} /tmp/flood &
for i in {' '.join(str(11 + i % HOSTS) for i in range(ALICE))}; do
    runuser -u alice -- curl -s -m 20 http://10.0.0.$i/
done
wait
"""


class Wrong(Exception):
    """The filter did not do what it is for."""


def run(*words, **options):
    return subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True, timeout=SECONDS,
                          **options).stdout.strip()


def guest(*words):
    return run(VM, "exec", NAME, "--", *words)


def where(netns):
    """The words behind `ip` for a network namespace; "" is this one."""
    return ("-n", netns) if netns else ()


class Neighbour:
    """A host: a network namespace and the program in it."""

    def __init__(self, host, number):
        self.netns = f"{host or NAME}-{number}"
        inside = ("ip", "-n", self.netns)
        subprocess.run(["ip", "netns", "del", self.netns], stderr=subprocess.DEVNULL, check=False)
        run("ip", "netns", "add", self.netns)
        run("ip", *where(host), "link", "add", f"veth{number}", "type", "veth", "peer", "name",
            "eth0", "netns", self.netns)
        run("ip", *where(host), "link", "set", f"veth{number}", "master", "br0", "up")
        run(*inside, "address", "add", f"10.0.0.{10 + number}/24", "dev", "eth0")
        run(*inside, "link", "set", "eth0", "up")
        self.process = subprocess.Popen(
            ["ip", "netns", "exec", self.netns, sys.executable, "-B", HERE / "neighbour.py"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, bufsize=1)
        self.process.stdout.readline()

    def tell(self, words):
        self.process.stdin.write(words + "\n")

    def answer(self):
        return json.loads(self.process.stdout.readline())

    def close(self):
        self.process.stdin.close()
        self.process.wait(SECONDS)
        subprocess.run(["ip", "netns", "del", self.netns], check=False)


def bridge(host):
    """The wire becomes a switch: the namespace's address moves to it. Xen's dom0 has one already."""
    if not host:
        return
    for words in (("link", "add", "br0", "type", "bridge"), ("address", "flush", "dev", "tap0"),
                  ("link", "set", "tap0", "master", "br0"),
                  ("address", "add", "10.0.0.1/24", "dev", "br0"), ("link", "set", "br0", "up")):
        run("ip", "-n", host, *words)


def totals(neighbours):
    """What reached all of them so far."""
    for neighbour in neighbours:
        neighbour.tell("count")
    seen = [neighbour.answer() for neighbour in neighbours]
    return {"syn": sum((one["syn"] for one in seen), []), "udp": sum(one["udp"] for one in seen),
            "served": sum(one["served"] for one in seen)}


def one_round(neighbours):
    """The server serves, alice reads, and the attacker scans and floods: all at once."""
    before = totals(neighbours)
    for neighbour in neighbours:
        neighbour.tell(f"fetch {PAGES}")
    said = guest("sh", "-c", INSIDE)
    read = len(re.findall("^hello$", said, re.M))
    found = re.findall(r"^(\d+)/tcp +open ", said, re.M)
    pages = [neighbour.answer() for neighbour in neighbours]
    after = totals(neighbours)
    return {
        "open ports that nmap found": len(found),
        "its probes that arrived": len(after["syn"]) - len(before["syn"]) - read,
        "datagrams that arrived": after["udp"] - before["udp"],
        "pages that nginx served": sum(one["ok"] for one in pages),
        "pages that failed": sum(one["failed"] for one in pages),
        "ms for a page": round(statistics.median(one["ms"] or 0 for one in pages), 1),
        "pages that alice got": read,
    }


class Screen(threading.Thread):
    """Prints decisions as they are made: each sender's first, and how many follow."""

    def __init__(self, stream):
        super().__init__(daemon=True)
        self.stream = stream
        self.latency = []
        self.counts = collections.Counter()
        self.senders = set()
        self.started = threading.Event()

    @staticmethod
    def who(owner):
        if not owner or "pid" not in owner:
            return (owner or {}).get("kind", "not looked up")
        line = [owner["exe"] or owner["comm"], *(one["comm"] for one in owner["ancestry"][:1])]
        return f"{USERS.get(owner['socket_uid'], owner['socket_uid'])}: {' < '.join(line)}"

    def run(self):
        for line in self.stream:
            event = json.loads(line)
            if "event" in event:
                self.started.set()
                print(f"    -- {event['text']}", flush=True)
            elif event["flow"]:
                self.show(event)
        self.started.set()  # or it never will

    def show(self, event):
        flow, who = event["flow"], self.who(event["owner"])
        self.latency.append(event["latency_ns"])
        self.counts[event["verdict"], who] += 1
        seen = self.counts[event["verdict"], who]
        if seen > 3 and seen & (seen - 1):
            return
        ports = f":{flow['lport']}", f":{flow['rport']}"
        more = "" if seen <= 3 else f"   ({seen} by now)"
        print(f"    {'allowed' if event['verdict'] == 'pass' else 'DENIED ':8}"
              f"{flow['proto']:5}{flow['local'] + ports[0]:16} > "
              f"{flow['remote'] + ports[1]:18} {who}, line {(event['rule'] or {}).get('line')}"
              f"{more}", flush=True)


def filtered(host, neighbours, folder):
    """The same round, with the filter on the guest's wire; (what it came to, screen, counters)."""
    command = ["xvmi", "filter", run(VM, "uri", NAME), "--name", "demo",
               "--dev", run(VM, "dev", NAME), "--policy", HERE / "web.policy", "--events", "-",
               "--json"]
    print("    " + " ".join(map(str, command)), flush=True)
    if host:
        command = ["ip", "netns", "exec", host, *command]
    with open(folder / "stderr", "w+", encoding="utf-8") as messages:
        agent = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=messages, text=True)
        try:
            screen = Screen(agent.stdout)
            screen.start()
            screen.started.wait(SECONDS)
            if agent.poll() is not None or not screen.started.is_set():
                messages.seek(0)
                raise Wrong(f"the filter did not start: {messages.read()}")
            result = one_round(neighbours)
        finally:
            agent.send_signal(signal.SIGTERM)
            status = agent.wait(SECONDS)
        screen.join(SECONDS)
        messages.seek(0)
        said = messages.read()
    if status:
        raise Wrong(f"xvmi filter: exit status {status}\n{said}")
    counters = json.loads(next(line for line in said.splitlines() if line.startswith("{")))
    return result, screen, counters


def check(without, with_filter):
    """Whether the attacker was stopped and nobody else was."""
    want = {"open ports that nmap found": 0, "its probes that arrived": 0,
            "datagrams that arrived": 0, "pages that nginx served": HOSTS * PAGES,
            "pages that failed": 0, "pages that alice got": ALICE}
    wrong = [f"{key}: {with_filter[key]}, not {value}" for key, value in want.items()
             if with_filter[key] != value]
    if without["open ports that nmap found"] != HOSTS or not without["datagrams that arrived"]:
        wrong.append("there was no attack to stop")
    if wrong:
        raise Wrong("\n".join(wrong))


def summary(without, with_filter, screen, counters):
    print(f"\n    {'':34}{'without':>10}{'with the filter':>18}")
    for key, value in without.items():
        print(f"    {key:34}{value:>10}{with_filter[key]:>18}")
    took = sorted(screen.latency)
    print("\n    decisions by look-up: "
          f"{len(took)}, median {took[len(took) // 2] / 1000:.0f} µs, "
          f"slowest {took[-1] / 1000000:.1f} ms")
    print(f"    packets decided in the kernel: {counters['out_passed'] + counters['out_dropped']}, "
          f"held for a look-up: {counters['out_held']}, lost on the way: {counters['lost']}")


def main():
    host = run(VM, "netns", NAME)
    neighbours = []
    try:
        bridge(host)
        neighbours += (Neighbour(host, number + 1) for number in range(HOSTS))
        guest("sh", "-c", f"cp -L /usr/bin/python3 {FLOOD_NAME}; printf %s '{FLOOD}' >/tmp/flood; "
                          "ping -c 1 -w 20 10.0.0.11")
        print("\n== Without a filter ==\n"
              f"    In the guest, root runs nmap against {HOSTS} neighbours, and bob a program that "
              f"sends them {DATAGRAMS}\n    datagrams; nginx serves them pages, and alice reads "
              "theirs.", flush=True)
        without = one_round(neighbours)
        for key in ("open ports that nmap found", "datagrams that arrived",
                    "pages that nginx served"):
            print(f"    {key}: {without[key]}")
        print("\n== The same with the filter ==", flush=True)
        for line in (HERE / "web.policy").read_text().splitlines():
            print("    | " + line)
        with tempfile.TemporaryDirectory() as folder:
            with_filter, screen, counters = filtered(host, neighbours, pathlib.Path(folder))
        print("\n== Summary ==")
        summary(without, with_filter, screen, counters)
        check(without, with_filter)
        print("\n    The attacker reached nobody; everybody else was served.")
    finally:
        for neighbour in neighbours:
            neighbour.close()
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except (Wrong, subprocess.SubprocessError, OSError) as problem:
        print(f"\nthe demo failed: {problem}", file=sys.stderr)
        sys.exit(1)
