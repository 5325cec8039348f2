# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
"""What a guest boots: a Debian root image, the programs of inside/, a small initramfs."""

import hashlib
import pathlib
import shutil

from . import debian, kernel, store

SUITE = "bookworm"
PACKAGES = """conntrack curl ethtool iperf3 iproute2 iptables iputils-ping kmod netcat-openbsd nftables
    nginx-light nmap procps python3 tcpdump""".split()
USERS = ("alice", "bob", "carol")
INSIDE = pathlib.Path(__file__).resolve().parent.parent / "inside"
SPARE_MIB = 256


def image():
    """The root file system of all guests; they write to snapshots of it."""
    recipe = " ".join((SUITE, *PACKAGES, *USERS, str(SPARE_MIB)))
    name = hashlib.sha256(recipe.encode()).hexdigest()[:12]
    place = store.root() / "userland" / f"{SUITE}-{name}.img"
    return store.built(place, lambda work: bootstrap(
        work, place.name, "the guests' Debian", PACKAGES, USERS, SPARE_MIB))


def bootstrap(work, name, what, packages, users, spare_mib):
    """Makes work/name, an image of a Debian with these packages and users."""
    root = work / "root"
    mirror, _ = debian.mirrors()
    store.say(f"building {what} (once, about two minutes)")

    def unpack():
        shutil.rmtree(root, ignore_errors=True)
        store.run("debootstrap", "--variant=minbase", f"--include={','.join(packages)}",
                  SUITE, root, mirror)

    debian.retried(what, unpack)
    for user in users:
        store.run("chroot", root, "useradd", "--create-home", "--shell", "/bin/bash", user)
    for junk in ("var/cache/apt", "var/lib/apt/lists", "usr/share/doc", "usr/share/man",
                 "usr/share/locale"):
        shutil.rmtree(root / junk, ignore_errors=True)
    store.ext4_image(root, work / name, spare_mib)


def program(name):
    """A program of inside/, linked statically, so that it runs wherever a kernel does."""
    sources = sorted(INSIDE.glob(f"{name}.c")) + sorted(INSIDE.glob(f"{name}/*.[ch]"))
    key = hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()[:12]
    place = store.root() / "programs" / f"{name}-{key}"
    return store.built(place, lambda work: store.run(
        "gcc", "-std=gnu17", "-D_GNU_SOURCE", "-O2", "-Wall", "-Wextra", "-static", "-s",
        "-o", work / place.name, *[source for source in sources if source.suffix == ".c"]))


def initramfs(modules, target, drivers=kernel.BOOT_MODULES, init="guest-init"):
    """Writes the initramfs for a kernel whose modules lie in the folder modules.

    init: the program of inside/ that takes over once the root file system is there.
    """
    order = kernel.boot_modules(modules, drivers)
    archive = Cpio()
    for name in ("bin", "dev", "proc", "sys", "modules", "payload", "root"):
        archive.folder(name)
    archive.file("bin/busybox", pathlib.Path("/usr/bin/busybox").read_bytes(), 0o755)
    archive.file("init", (INSIDE / "early-init").read_bytes(), 0o755)
    for number, (name, data) in enumerate(order):
        archive.file(f"modules/{number:02}-{name}", data)
    archive.file("payload/guest-init", (INSIDE / init).read_bytes(), 0o755)
    for name in ("guest-agent", "guest-helper"):
        archive.file(f"payload/{name}", program(name).read_bytes(), 0o755)
    target.write_bytes(archive.finish())


class Cpio:
    """An archive in the kernel's initramfs format ("newc")."""

    def __init__(self):
        self._parts = []
        self._count = 0

    def _add(self, name, mode, data):
        self._count += 1
        path = name.encode() + b"\0"
        fields = (self._count, mode, 0, 0, 1, 0, len(data), 0, 0, 0, 0, len(path), 0)
        head = b"070701" + b"".join(b"%08x" % field for field in fields) + path
        self._parts += [head, bytes(-len(head) % 4), data, bytes(-len(data) % 4)]

    def folder(self, name):
        self._add(name, 0o040755, b"")

    def file(self, name, data, mode=0o644):
        self._add(name, 0o100000 | mode, data)

    def finish(self):
        self._add("TRAILER!!!", 0, b"")
        return b"".join(self._parts)
