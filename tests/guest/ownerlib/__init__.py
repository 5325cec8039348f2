# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
"""A guest, what its helper says of flows, and what is answered about them from outside."""

import json
import os
import pathlib
import signal
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent.parent
VM = os.environ.get("VM", str(HERE / "vm"))
BUILD = pathlib.Path(os.environ.get("XVMI_BUILD", HERE.parent.parent / "build"))
XVMI = os.environ.get("XVMI", str(BUILD / "frontends/cli/xvmi"))
os.environ.setdefault("XVMI_DRIVER_PATH", str(BUILD / "frontends/kvm"))

UNSUPPORTED = -8  # enum xvmi_status
TICK_NS = 10_000_000
HOLDERS_MAX = 8  # XVMI_OWNERS_MAX
NOT_KNOWN = "-"


# A test that is ended ends its guest.
signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))


class Guest:
    """A guest that runs as long as the with statement."""

    def __init__(self, name, *options):
        self.name = name
        self.options = options

    def __enter__(self):
        try:
            if subprocess.run([VM, "start", self.name, *self.options], check=False).returncode:
                sys.exit(77)
        except BaseException:
            self.__exit__()
            raise
        print(" ".join(self.options))
        return self

    def __exit__(self, *_):
        subprocess.run([VM, "stop", self.name], check=True)

    def ask_vm(self, verb):
        """What `vm VERB` prints."""
        return subprocess.run([VM, verb, self.name], check=True, text=True,
                              stdout=subprocess.PIPE).stdout.strip()

    def run(self, *words):
        """Runs a command in it; returns its stdout."""
        return subprocess.run([VM, "exec", self.name, "--", *words], check=True, text=True,
                              stdout=subprocess.PIPE).stdout

    def talk(self, *words):
        """Starts a command in it, with pipes."""
        return subprocess.Popen([VM, "exec", "-i", self.name, "--", *words], text=True, bufsize=1,
                                stdin=subprocess.PIPE, stdout=subprocess.PIPE)


class Truth:
    """The helper's lines: flows by name, the holders of each, processes by pid."""

    def __init__(self, lines=()):
        self.flows, self.holders, self.processes, self.missing = {}, {}, {}, []
        for line in lines:
            self.add(json.loads(line))

    def add(self, said):
        """One of them."""
        if said["kind"] == "flow":
            self.flows[said["name"]] = said
        elif said["kind"] == "holder":
            self.holders.setdefault(said["name"], []).append(said)
        elif said["kind"] == "process":
            self.processes[said["pid"]] = said
        elif said["kind"] == "missing":
            self.missing.append(said["name"])

    @classmethod
    def stage(cls, talking):
        """What a helper that goes on says up to the end of a stage."""
        truth = cls()
        for line in talking.stdout:
            said = json.loads(line)
            if said["kind"] == "stage":
                return truth
            truth.add(said)
        raise SystemExit("the helper ended before its stage did")


class Asker:
    """owner-ask: the same finder answers all questions."""

    def __init__(self, guest):
        self._process = subprocess.Popen([BUILD / "tests/guest/owner-ask", guest.ask_vm("uri")],
                                         text=True, bufsize=1, stdin=subprocess.PIPE,
                                         stdout=subprocess.PIPE)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._process.stdin.close()
        self._process.wait()

    def _say(self, line):
        self._process.stdin.write(line + "\n")
        return json.loads(self._process.stdout.readline())

    def find(self, flow, how="", mac=NOT_KNOWN):
        """The answer about a flow of Truth's; how: "", "fresh" or "lean"."""
        return self._say(f"{how}{' ' if how else ''}{flow['proto']} {flow['local']} "
                         f"{flow['lport']} {flow['remote']} {flow['rport']} {flow['in']} {mac}")

    def is_same(self):
        """Whether the sender of the last answer is."""
        return self._say("same")["status"] == 0


class Checks:
    """Compares answers with the truth, and counts."""

    def __init__(self):
        self.done = self.wrong = 0

    def expect(self, name, what, seen, expected):
        """That two things are the same."""
        self.done += 1
        if seen != expected:
            self.wrong += 1
            print(f"wrong: {name}: {what}: {seen}, not {expected}")

    def answer(self, truth, name, answer):
        """All that is known of a flow."""
        flow, holders = truth.flows[name], truth.holders.get(name, [])
        if flow["expect"] == "unsupported":
            self.expect(name, "status", answer["status"], UNSUPPORTED)
            return
        self.expect(name, "status", answer["status"], 0)
        if answer["status"]:
            return
        self.expect(name, "kind", answer["kind"], flow["expect"])
        self.expect(name, "orphan", answer["orphan"], flow["orphan"])
        if flow["via"]:
            self.expect(name, "found by", answer["socket_via"], flow["via"])
        seen = self.pids(answer["owners"])
        wanted = self.pids(holders)
        if len(wanted) > HOLDERS_MAX:
            self.expect(name, "bystanders", [one for one in seen if one not in wanted], [])
            self.expect(name, "number of owners", (len(seen), answer["more"]), (HOLDERS_MAX, 1))
        else:
            self.expect(name, "owners (pid, fd)", (seen, answer["more"]), (wanted, 0))
        if flow["expect"] == "process" and answer["ino"]:
            self.expect(name, "inode", answer["ino"] in {one["ino"] for one in holders}, True)
        for one in answer["owners"]:
            self.process(name, one, truth.processes.get(one["pid"]))

    @staticmethod
    def pids(holders):
        """Who, by which descriptor."""
        return sorted((one["pid"], one["fd"]) for one in holders)

    def process(self, name, seen, process):
        """An owner is the process with that number."""
        if not process:
            return
        self.expect(name, "uid", seen["uid"], process["uid"])
        self.expect(name, "control group", seen["cgroup"], process["cgroup"])
        self.expect(name, "start", seen["start_ns"] // TICK_NS, process["start_ticks"])

    def result(self):
        """The exit status."""
        print(f"{self.done} checks, {self.wrong} wrong")
        return 1 if self.wrong or not self.done else 0
