# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
"""A guest, the far end of its wire, captures of both sides of the filter, and the filter."""

import json
import os
import pathlib
import select
import signal
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
VM = os.environ.get("VM", HERE.parent / "vm")
BUILD = pathlib.Path(os.environ.get("XVMI_BUILD", HERE.parents[2] / "build"))
XVMI = os.environ.get("XVMI", BUILD / "frontends/cli/xvmi")
os.environ.setdefault("XVMI_DRIVER_PATH", str(BUILD / "frontends/kvm"))
SECONDS = 90  # more than anything takes here


class Wrong(Exception):
    """Something is not as it must be."""


class Skip(Exception):
    """Cannot be done here."""


def run(*words, check=True, **options):
    done = subprocess.run(words, check=check, stdout=subprocess.PIPE, text=True, timeout=SECONDS,
                          **options)
    return done.stdout.strip()


def wait_for(what, test):
    """Until test() is true."""
    deadline = time.monotonic() + SECONDS
    while not (value := test()):
        if time.monotonic() > deadline:
            raise Wrong(f"{what}: not in {SECONDS} s")
        time.sleep(0.05)
    return value


class Talker:
    """A program that answers a line of JSON to each line."""

    def __init__(self, netns, *words):
        self.process = subprocess.Popen(
            ["ip", "netns", "exec", netns, sys.executable, "-B", *words], text=True, bufsize=1,
            stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        self._answer()

    def _answer(self):
        if not select.select([self.process.stdout], [], [], SECONDS)[0]:
            raise Wrong("no answer")
        return json.loads(self.process.stdout.readline() or '"it ended"')

    def ask(self, words):
        self.process.stdin.write(words + "\n")
        return self._answer()

    def close(self):
        self.process.stdin.close()
        self.process.wait(SECONDS)


class Agent:
    """xvmi filter on the guest's tap."""

    def __init__(self, bench, policy, *words):
        self.bench = bench
        self.policy = bench.work / f"policy-{time.monotonic_ns()}"
        self.policy.write_text(policy)
        self.path = self.policy.with_suffix(".events")
        self.messages = open(self.policy.with_suffix(".stderr"), "w+", encoding="utf-8")
        self.process = subprocess.Popen(
            ["ip", "netns", "exec", bench.netns, XVMI, "filter", bench.uri, "--dev", "tap0",
             "--name", "guest", "--policy", self.policy, "--events", self.path, "--json", *words],
            stdout=subprocess.DEVNULL, stderr=self.messages)
        wait_for("the filter starts", self.has_started)

    def has_started(self):
        if self.process.poll() is not None:
            self.messages.seek(0)
            raise Wrong(f"xvmi filter ended: {self.messages.read()}")
        return any(event.get("event") == "started" for event in self.events())

    def events(self):
        try:
            text = self.path.read_text(encoding="utf-8")
        except FileNotFoundError:
            return []
        return [json.loads(line) for line in text.splitlines() if line.endswith("}")]

    def notes(self):
        return [event["event"] for event in self.events() if "event" in event]

    def verdicts(self, port):
        """(verdict, executable) of each decision on flows to that port."""
        return [(event["verdict"], (event["owner"] or {}).get("exe")) for event in self.events()
                if event.get("flow") and event["flow"]["rport"] == port]

    def reload(self, policy):
        before = self.notes().count("reloaded")
        self.policy.write_text(policy)
        self.process.send_signal(signal.SIGHUP)
        wait_for("the policy is loaded", lambda: self.notes().count("reloaded") > before)

    def kill(self):
        self.process.kill()
        self.process.wait(SECONDS)

    def stop(self):
        """Its counters."""
        if self.process.poll() is None:
            self.process.terminate()
        status = self.process.wait(SECONDS)
        self.messages.seek(0)
        said = self.messages.read()
        self.messages.close()
        if status:
            raise Wrong(f"xvmi filter: exit status {status}: {said}")
        return json.loads(next(line for line in said.splitlines() if line.startswith("{")))


class Bench:
    """The guest on a bridge with one far host; `sent` and `arrived` capture what it sends."""

    def __init__(self, name, release, work, more=()):
        self.name, self.work = name, work
        self.far_netns = f"xvmi-{name}-far"
        self.talkers = []
        status = subprocess.run([VM, "fetch", release], check=False).returncode
        if status:
            raise Skip(release) if status == 77 else Wrong(f"no kernel of {release}")
        self.boot = subprocess.Popen([VM, "start", name, "--release", release, *more])
        wait_for("QEMU", self.is_reachable)
        self.netns, self.uri = run(VM, "netns", name), run(VM, "uri", name)
        self._wire()
        self.far = self._talk(self.far_netns, HERE / "far.py")
        self.sent = self._talk(self.netns, HERE / "capture.py", "tap0", "unmarked")
        self.arrived = self._talk(self.far_netns, HERE / "capture.py", "eth0")

    def is_reachable(self):
        """Its QEMU answers; it has yet to boot."""
        if self.boot.poll():
            raise Wrong(f"no guest {self.name}")
        uri = run(VM, "uri", self.name, check=False, stderr=subprocess.DEVNULL)
        return pathlib.Path(uri.partition(":")[2]).is_socket()

    def wait_until_booted(self):
        if self.boot.wait():
            raise Wrong(f"the guest {self.name} did not boot")

    def _talk(self, *words):
        self.talkers.append(Talker(*words))
        return self.talkers[-1]

    def _wire(self):
        def inside(*words):
            run("ip", "-n", self.netns, *words)

        def far(*words):
            run("ip", "-n", self.far_netns, *words)

        inside("link", "add", "br0", "type", "bridge")
        inside("address", "flush", "dev", "tap0")
        inside("link", "set", "tap0", "master", "br0")
        inside("link", "set", "br0", "up")
        run("ip", "netns", "add", self.far_netns)
        inside("link", "add", "veth0", "type", "veth", "peer", "name", "eth0", "netns",
               self.far_netns)
        inside("link", "set", "veth0", "master", "br0", "up")
        far("address", "add", "10.0.0.1/24", "dev", "eth0")
        far("address", "add", "fd00::1/64", "dev", "eth0", "nodad")
        far("link", "set", "eth0", "up")
        far("link", "set", "lo", "up")

    def far_mac(self):
        return run("ip", "-n", self.far_netns, "-br", "link", "show", "eth0").split()[2]

    def guest(self, *words, **options):
        return run(VM, "exec", self.name, "--", *words, **options)

    def python(self, exe, code, *words):
        """Code that runs on in the guest, under the name of that executable."""
        return subprocess.Popen([VM, "exec", self.name, "--", exe, "-c", code, *map(str, words)],
                                stdout=subprocess.PIPE, text=True)

    def close(self):
        for talker in self.talkers:
            talker.close()
        subprocess.run(["ip", "netns", "del", self.far_netns], stderr=subprocess.DEVNULL,
                       check=False)
        subprocess.run([VM, "stop", self.name], check=False)
        self.boot.wait()
