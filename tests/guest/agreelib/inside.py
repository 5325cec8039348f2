# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
"""Runs in the guest, from stdin: prints what the guest itself says of its processes and sockets.

One JSON object. Strings hold bytes, one character each (Latin-1).
"""

import ctypes
import json
import os
import re
import socket
import subprocess
import sys
import time

LIBC = ctypes.CDLL(None, use_errno=True)
CLONE_NEWNET = 0x40000000


def read(path):
    """The bytes of a file as text; None when it cannot be read, as of a process that ended."""
    try:
        with open(path, "rb") as file:
            return file.read().decode("latin-1")
    except OSError:
        return None


def link(path):
    try:
        return os.fsencode(os.readlink(path)).decode("latin-1")
    except OSError:
        return None


def inode_of(text):
    """4026531840 of "net:[4026531840]"."""
    return int(text.partition("[")[2].rstrip("]")) if text else None


def listing(path):
    try:
        return os.listdir(path)
    except OSError:
        return []


def process(pid):
    """What /proc says of a process, or None."""
    home = f"/proc/{pid}/"
    stat, status = read(home + "stat"), read(home + "status")
    if stat is None or status is None:
        return None
    fields = stat[stat.rindex(")") + 2:].split()
    row = {
        "pid": pid,
        "comm": stat[stat.index("(") + 1:stat.rindex(")")],
        "ppid": int(fields[1]),
        "kernel": bool(int(fields[6]) & 0x00200000),  # PF_KTHREAD
        "threads": int(fields[17]),
        "start": int(fields[19]),  # in ticks since boot
        "exe": link(home + "exe"),
        "cmdline": read(home + "cmdline") or "",
        "netns": inode_of(link(home + "ns/net")),
    }
    uids = re.search(r"^Uid:\t(\d+)\t(\d+)", status, re.M)
    row["uid"], row["euid"] = int(uids[1]), int(uids[2])
    row["nspid"] = int(re.search(r"^NSpid:\t(.*)$", status, re.M)[1].split()[-1])
    cgroup = re.search(r"^0::(.*)$", read(home + "cgroup") or "", re.M)
    row["cgroup"] = cgroup[1] if cgroup else None
    return row


def held_sockets(pid, uids):
    """{inode: lowest fd} of the sockets a process holds in any thread's table; fills uids."""
    held = {}
    for tid in listing(f"/proc/{pid}/task"):
        folder = f"/proc/{pid}/task/{tid}/fd"
        for name in listing(folder):
            target = link(f"{folder}/{name}")
            if not target or not target.startswith("socket:["):
                continue
            inode = inode_of(target)
            held[inode] = min(int(name), held.get(inode, 1 << 31))
            if inode not in uids:
                try:
                    uids[inode] = os.stat(f"{folder}/{name}").st_uid
                except OSError:
                    pass
    return held


def namespaces(pids):
    """{inode: path} of all network namespaces that a process is in or that have a name."""
    paths = [f"/proc/{pid}/ns/net" for pid in pids]
    paths += [f"/run/netns/{name}" for name in listing("/run/netns")]
    found = {}
    for path in paths:
        try:
            found.setdefault(os.stat(path).st_ino, path)
        except OSError:
            pass
    return found


def sockets():
    """The sockets of the namespace we are in."""
    def ss(kinds):
        run = subprocess.run(["ss", "-HanOe", kinds], stdout=subprocess.PIPE, check=True)
        return run.stdout.decode("latin-1").splitlines()

    return {
        "ss": ss("-tux0"),
        "raw": ss("-w"),  # alone: beside others they are named by their protocol
        "devices": {name: index for index, name in socket.if_nameindex()},
        **{name: (read(f"/proc/thread-self/net/{name}") or "").splitlines()[1:]
           for name in ("icmp", "icmp6", "udplite", "udplite6")},
    }


def main():
    """Gathers everything and prints it."""
    truth = {"boottime": time.clock_gettime(time.CLOCK_BOOTTIME), "processes": [], "holders": {},
             "uids": {}, "sockets": {}}
    for module in ("tcp_diag", "udp_diag", "raw_diag", "unix_diag", "af_packet_diag"):
        subprocess.run(["modprobe", "-q", module], check=False)
    pids = sorted(int(name) for name in os.listdir("/proc") if name.isdigit())

    home = os.open("/proc/self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    for inode, path in namespaces(pids).items():
        try:
            there = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
        except OSError:
            continue
        if LIBC.setns(there, CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), "setns")
        truth["sockets"][inode] = sockets()
        os.close(there)
    LIBC.setns(home, CLONE_NEWNET)

    for pid in pids:
        row = process(pid)
        if row:
            truth["processes"].append(row)
            held = held_sockets(pid, truth["uids"])
            if held:
                truth["holders"][pid] = held

    text = re.search(r"^([0-9a-f]+) \w _text$", read("/proc/kallsyms") or "", re.M)
    code = re.search(r"^ *([0-9a-f]+)-[0-9a-f]+ : Kernel code$", read("/proc/iomem") or "", re.M)
    truth["kernel"] = {
        "release": os.uname().release,
        "vcpus": os.cpu_count(),
        "la57": " la57" in read("/proc/cpuinfo"),
        "text": int(text[1], 16) if text else None,
        "text_physical": int(code[1], 16) if code else None,
        "notes": read("/sys/kernel/notes"),
    }
    json.dump(truth, sys.stdout)


main()
