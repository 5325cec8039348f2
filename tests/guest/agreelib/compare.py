# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
"""Compares what xvmi says with what the guest said before and after.

What both of the guest's words agree on, xvmi must say too. What changed in between may be either.
xvmi may say nothing that neither of them has, but for a process that provably came after the first
and was gone by the second.
"""

import collections

TICK = 10_000_000  # ns; USER_HZ is 100
# These have no inode and share their attributes with others of their like: they are counted.
NO_INODE_KEY = ("netns", "proto", "state", "local", "lport", "remote", "rport")


def likeness(proto, key, value):
    """/proc/net does not tell the any-address of IPv6 alone from that of both families."""
    if proto in ("icmp", "udplite") and key in ("local", "remote") and value == "*":
        return "::"
    return value


class Comparison:
    """Collects what differs, and counts what was compared."""

    def __init__(self, before, after, busy=False):
        self.before, self.after, self.busy = before, after, busy
        self.problems = []
        self.compared = collections.Counter()
        self.changed = collections.Counter()

    def problem(self, text):
        self.problems.append(text)

    def unknown(self, text, what):
        """Something that the guest never mentioned: in a busy one it can have come and gone."""
        if self.busy:
            self.changed[f"{what} that came and went"] += 1
        else:
            self.problem(f"{text}: unknown to the guest")

    def attributes(self, what, said, before, after, keys):
        """Each attribute is what it was before or after."""
        for key in keys:
            allowed = [truth[key] for truth in (before, after) if key in truth]
            if not allowed:
                continue  # the guest has no way to tell
            value = likeness(said.get("proto"), key, said.get(key, "(no such key)"))
            if value not in [likeness(said.get("proto"), key, truth) for truth in allowed]:
                reason = f" ({'; '.join(said['errors'])})" if said.get("errors") else ""
                self.problem(f"{what}: {key}: xvmi {value!r}{reason}, guest "
                             f"{' then '.join(repr(a) for a in dict.fromkeys(map(freeze, allowed)))}")
            elif len(allowed) > 1 and allowed[0] != allowed[1]:
                self.changed[f"{key} of one"] += 1

    def kernel(self, info):
        """xvmi info."""
        self.compared["facts of the kernel"] += len(self.before.kernel)
        self.attributes("kernel", info, self.before.kernel, self.after.kernel, self.before.kernel)

    def processes(self, rows):
        """xvmi ps."""
        said = {}
        for row in rows:
            key = (row["pid"], row["start_ns"] // TICK)
            if key in said:
                self.problem(f"process {row['pid']} ({row['comm']}): listed twice")
            said[key] = row
        before, after = self.before.processes, self.after.processes
        for key in before.keys() & after.keys():
            what = f"process {key[0]} ({after[key]['comm']})"
            if key not in said:
                self.problem(f"{what}: not listed by xvmi")
                continue
            self.compared["processes"] += 1
            self.attributes(what, said[key], before[key], after[key],
                            set(before[key]) - {"start"})
        for key, row in said.items():
            if key in before or key in after:
                continue
            if row["start_ns"] > self.before.boottime * 1e9:
                self.changed["processes that came and went"] += 1
            else:
                self.unknown(f"process {row['pid']} ({row['comm']}), started at "
                             f"{row['start_ns']} ns", "processes")
        self.changed["processes that came or went"] += len(before.keys() ^ after.keys())

    def sockets(self, rows):
        """xvmi ss -a."""
        self.sockets_with_inode(rows)
        counts = [collections.Counter(tuple(row[key] for key in NO_INODE_KEY)
                                      for row in sockets if not row["ino"])
                  for sockets in (self.before.sockets, rows, self.after.sockets)]
        for key in set().union(*counts):
            first, said, last = (count[key] for count in counts)
            if self.busy:
                continue
            self.compared["sockets without inode"] += min(first, last)
            if not min(first, last) <= said <= max(first, last):
                self.problem(f"socket {dict(zip(NO_INODE_KEY, key))}: xvmi has {said}, "
                             f"the guest {first} then {last}")
            elif first != last:
                self.changed["sockets without inode that came or went"] += 1

    def sockets_with_inode(self, rows):
        """Those that have an identity."""
        before, said, after = ({row["ino"]: row for row in sockets if row["ino"]}
                               for sockets in (self.before.sockets, rows, self.after.sockets))
        for ino in before.keys() & after.keys():
            what = f"socket {ino} ({after[ino]['proto']} {after[ino]['local']}:{after[ino]['lport']})"
            if ino not in said:
                self.problem(f"{what} of {sorted(after[ino]['owners'])}: not listed by xvmi")
                continue
            self.compared["sockets"] += 1
            keys = set(before[ino]) | set(after[ino])
            self.attributes(what, said[ino], before[ino], after[ino], keys - {"owners"})
            self.owners(what, said[ino], before[ino]["owners"], after[ino]["owners"])
        for ino in said.keys() - before.keys() - after.keys():
            self.unknown(f"socket {said[ino]}", "sockets")
        twice = [ino for ino, n in collections.Counter(r["ino"] for r in rows if r["ino"]).items()
                 if n > 1]
        for ino in twice:
            self.problem(f"socket {ino}: listed twice")
        self.changed["sockets that came or went"] += len(before.keys() ^ after.keys())

    def owners(self, what, row, before, after):
        """Who holds a socket, with the name and the executable that the process has."""
        said = {(owner["pid"], owner["fd"]) for owner in row["owners"]}
        self.compared["owners"] += len(before & after)
        for owner in sorted((before & after) - said):
            self.problem(f"{what}: xvmi does not name its owner (pid, fd) {owner}")
        for owner in sorted(said - before - after):
            self.problem(f"{what}: xvmi names {owner}, which does not hold it")
        for owner in row["owners"]:
            first, last = (truth.by_pid.get(owner["pid"]) for truth in (self.before, self.after))
            if first and last and first["start"] == last["start"]:
                self.attributes(f"{what}: owner {owner['pid']}", owner, first, last,
                                ("comm", "exe"))


def freeze(value):
    """Something that can be a key of a dict."""
    return tuple(sorted(value)) if isinstance(value, set) else value
