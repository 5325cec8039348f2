# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
"""beside.py [--summary] VM NAME: a guest's own ps and ss beside xvmi's.

What comes and goes while both are asked is left out: the guest is asked before and after.
"""

import json
import re
import subprocess
import sys

USERS = {0: "root", 33: "www-data", 1000: "alice", 1001: "bob", 1002: "carol"}
KTHREADD = 2


def run(*words):
    return subprocess.run(words, check=True, stdout=subprocess.PIPE, text=True).stdout


def guest_processes(vm, name):
    """pid: (user, command) as `ps` says inside."""
    rows = run(vm, "exec", name, "--", "ps", "-ww", "-eo", "pid=,ppid=,euid=,comm=").splitlines()
    fields = [row.split(None, 3) for row in rows]
    return {int(pid): (USERS.get(int(uid), uid), comm) for pid, ppid, uid, comm in fields
            if KTHREADD not in (int(pid), int(ppid))}


def guest_sockets(vm, name):
    """inode: (description, pids) as `ss` says in the guest's first network namespace."""
    found = {}
    for row in run(vm, "exec", name, "--", "ss", "-HOtuanpe").splitlines():
        netid, state, _, _, local, remote = row.split()[:6]
        inode = int(re.search(r"ino:(\d+)", row)[1])
        pids = frozenset(int(pid) for pid in re.findall(r"pid=(\d+)", row))
        if inode:
            found[inode] = (f"{netid} {state} {local} {remote}", pids)
    return found


def look(ask, vm, name, *command):
    """What the guest says both before and after xvmi looks, and what xvmi sees."""
    before = ask(vm, name)
    seen = json.loads(run("xvmi", *command, "--json", run(vm, "uri", name).strip()))
    after = ask(vm, name)
    return {key: value for key, value in before.items() if after.get(key) == value}, seen


def table(heads, rows):
    """Prints rows under heads."""
    widths = [max(len(str(row[i])) for row in [heads, *rows]) for i in range(len(heads))]
    for row in [heads, *rows]:
        print("  ".join(str(cell).ljust(width) for cell, width in zip(row, widths)).rstrip())


def compare_processes(said, seen):
    """Rows of both, each ending in a verdict."""
    outside = {row["pid"]: row for row in seen}
    for pid, (user, comm) in sorted(said.items()):
        row = outside.get(pid)
        who = (USERS.get(row["euid"], row["euid"]), row["comm"]) if row else ("-", "-")
        more = (row["exe"] or "-", row["cgroup"]) if row else ("-", "-")
        yield pid, user, comm, "|", *who, *more, "same" if who == (user, comm) else "DIFFERS"


def compare_sockets(said, seen):
    """The same for sockets."""
    outside = {row["ino"]: row["owners"] for row in seen}
    for inode, (words, pids) in sorted(said.items(), key=lambda item: item[1][0]):
        owners = outside.get(inode, [])
        names = ", ".join(f"{owner['comm']} ({owner['pid']})" for owner in owners) or "-"
        verdict = "same" if {owner["pid"] for owner in owners} == pids else "DIFFERS"
        yield words, "pid " + ",".join(map(str, sorted(pids))), "|", names, verdict


def main(words):
    """Prints the tables, or how many rows of them agree."""
    vm, name = words[-2:]
    said, all_processes = look(guest_processes, vm, name, "ps")
    processes = list(compare_processes(said, all_processes))
    said, all_sockets = look(guest_sockets, vm, name, "ss", "-a", "-t", "-u")
    sockets = list(compare_sockets(said, all_sockets))

    if words[0] == "--summary":
        info = json.loads(run("xvmi", "info", "--json", run(vm, "uri", name).strip()))
        same = [sum(row[-1] == "same" for row in rows) for rows in (processes, sockets)]
        print(f"Linux {info['release']}, {info['memory_bytes'] >> 20} MiB, "
              f"attached in {info['attach_ms']:.0f} ms, profile from {info['profile']}")
        print(f"processes: {same[0]} of {len(processes)} as the guest says, "
              f"{len(all_processes)} with kernel threads")
        print(f"sockets: {same[1]} of {len(sockets)} held by whom the guest says")
        return 0 if same == [len(processes), len(sockets)] else 1

    table(("PID", "guest: user", "command", "|", "xvmi: user", "command", "exe", "cgroup", ""),
          processes)
    print()
    table(("guest: socket", "held by", "|", "xvmi: held by", ""), sockets)
    host = next(row["netns"] for row in all_processes if row["pid"] == 1)
    for row in all_sockets:
        if row["netns"] != host and row["owners"]:
            owner = row["owners"][0]
            print(f"and in a network namespace of its own: {row['proto']} {row['local']}:"
                  f"{row['lport']}, held by {owner['comm']} ({owner['pid']}), cgroup {row['cgroup']}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
