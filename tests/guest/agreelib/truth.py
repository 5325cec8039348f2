# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
"""What a guest says of itself, in the words of `xvmi --json`."""

import codecs
import ipaddress
import re
import struct

codecs.register_error("xvmi", lambda e: ("\ufffd" * (e.end - e.start), e.end))


def words(text):
    """A string of the guest (a character a byte) as xvmi prints it in JSON."""
    return None if text is None else text.encode("latin-1").decode("utf-8", "xvmi")


def process(row):
    """A process as `xvmi ps` has it; "start" is in ticks, the unit of /proc."""
    known = dict(row)
    comm = row["comm"]
    if row["kernel"]:
        # /proc appends what a kworker works on, and has long names in full; task->comm neither.
        comm = re.sub(r"^(kworker/[^R+-][^+-]*)[+-].*$", r"\1", comm)[:15]
    known["comm"] = words(comm)
    known["exe"] = words(row["exe"])
    known["cmdline"] = words(row["cmdline"].rstrip("\0").replace("\0", " ")) or None
    known["cgroup"] = words(row["cgroup"])
    del known["kernel"]
    return known


def build_id(notes):
    """The GNU build-id in the bytes of ELF notes."""
    data = (notes or "").encode("latin-1")
    at = 0
    while at + 12 <= len(data):
        name_size, size, kind = struct.unpack_from("<III", data, at)
        name = data[at + 12:at + 12 + name_size]
        at += 12 + (name_size + 3) // 4 * 4
        if kind == 3 and name == b"GNU\0":
            return data[at:at + size].hex()
        at += (size + 3) // 4 * 4
    return None


def kernel(known):
    """What `xvmi info` should say, as far as the guest can tell."""
    said = {
        "release": known["release"],
        "vcpus": known["vcpus"],
        "paging": "5-level" if known["la57"] else "4-level",
    }
    if build_id(known["notes"]):
        said["build_id"] = build_id(known["notes"])
    if known["text"]:
        said["kaslr_offset"] = known["text"] - 0xffffffff81000000
        if known["text_physical"]:
            said["phys_base"] = known["text_physical"] - (known["text"] - 0xffffffff80000000)
    return said


def port(text):
    return None if text == "*" else int(text)


def host(text, devices):
    """An address of ss as xvmi has it: without brackets, devices by index."""
    address, _, device = text.replace("[", "").replace("]", "").partition("%")
    return f"{address}%if{devices[device]}" if device else address


def detail(rest, name):
    """VALUE of "NAME:VALUE" among the details of ss -e."""
    found = re.search(rf"(?:^|\s){name}:(\S+)", rest)
    return found[1] if found else None


def inet(fields, devices):
    """A line of ss about an IP socket."""
    netid, state, _, _, local, remote, *rest = fields
    rest = rest[0] if rest else ""
    (address, _, lport), (peer, _, rport) = local.rpartition(":"), remote.rpartition(":")
    inode = int(detail(rest, "ino") or 0) or None
    row = {"proto": netid, "state": state, "local": host(address, devices), "lport": port(lport),
           "remote": host(peer, devices), "rport": port(rport), "ino": inode}
    if inode:  # ss knows no user where there is no inode
        row["uid"] = int(detail(rest, "uid") or 0)
    if detail(rest, "cgroup"):
        row["cgroup"] = words(detail(rest, "cgroup"))
    return row


def packet(fields, devices):
    """A line of ss about a packet socket."""
    netid, state, _, _, local, _, *rest = fields
    frames, _, device = local.rpartition(":")
    rest = rest[0] if rest else ""
    return {"proto": netid, "state": state, "local": frames, "lport": devices.get(device),
            "remote": None, "rport": None, "ino": int(detail(rest, "ino") or 0) or None,
            "uid": int(detail(rest, "uid") or 0)}


def unix(line):
    """A line of ss about a unix socket; names can hold blanks."""
    found = re.match(r"(u_\w+)\s+(\S+)\s+\d+\s+\d+\s+(.+?) (\d+)\s+(.+?) (\d+)(?:\s|$)", line)
    netid, state, name, inode, peer_name, peer = found.groups()
    return {"proto": netid, "state": state,
            "local": None if name == "*" else words(name), "lport": int(inode) or None,
            "remote": None if peer_name == "*" else words(peer_name), "rport": int(peer) or None,
            "ino": int(inode) or None}


def proc_address(text):
    """An address of /proc/net: words of 32 bits, each as a little-endian number."""
    data = b"".join(struct.pack("<I", int(text[i:i + 8], 16)) for i in range(0, len(text), 8))
    return str(ipaddress.ip_address(data))


def proc_socket(line, proto):
    """A line of /proc/net/icmp and its likes, for the kinds that ss does not know."""
    fields = line.split()
    (local, lport), (remote, rport) = (end.split(":") for end in fields[1:3])
    return {"proto": proto, "state": {1: "ESTAB", 7: "UNCONN"}[int(fields[3], 16)],
            "local": proc_address(local), "lport": int(lport, 16) or None,
            "remote": proc_address(remote), "rport": int(rport, 16) or None,
            "uid": int(fields[7]), "ino": int(fields[9]) or None}


def namespace_sockets(shown):
    """All sockets of one namespace."""
    for line in shown["ss"] + [f"raw {line}" for line in shown["raw"]]:
        fields = line.split(None, 6)
        if fields[0].startswith("u_"):
            yield unix(line)
        elif fields[0].startswith("p_"):
            yield packet(fields, shown["devices"])
        else:
            yield inet(fields, shown["devices"])
    for name, proto in (("icmp", "icmp"), ("icmp6", "icmp"), ("udplite", "udplite"),
                        ("udplite6", "udplite")):
        for line in shown[name]:
            yield proc_socket(line, proto)


class Truth:
    """One look of the guest at itself."""

    def __init__(self, raw):
        self.boottime = raw["boottime"]
        self.kernel = kernel(raw["kernel"])
        self.processes = {(row["pid"], row["start"]): process(row) for row in raw["processes"]}
        self.by_pid = {row["pid"]: row for row in self.processes.values()}
        owners = {}
        for pid, held in raw["holders"].items():
            for inode, number in held.items():
                owners.setdefault(int(inode), set()).add((int(pid), number))
        self.sockets = []
        for netns, shown in raw["sockets"].items():
            for row in namespace_sockets(shown):
                row["netns"] = int(netns)
                row["owners"] = owners.get(row["ino"], set())
                if str(row["ino"]) in raw["uids"]:
                    row["uid"] = raw["uids"][str(row["ino"])]
                self.sockets.append(row)
