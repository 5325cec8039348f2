# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
"""What benchmarks look at: a debug vmlinux, a live guest, dumps of guests of several sizes.

Dumps are kept in the cache folder; they take 2 GiB each there.
"""

import contextlib
import os
import pathlib
import struct
import subprocess

TOP = pathlib.Path(__file__).resolve().parent.parent.parent
VM = TOP / "tests/guest/vm"
RELEASE = "6.1"
SIZES = {"small": (100, 400), "middle": (500, 2000), "large": (5000, 20000)}


def cache():
    """The folder that test guests keep their things in."""
    default = "/var/cache/xvmi" if os.geteuid() == 0 else os.path.expanduser("~/.cache/xvmi")
    folder = pathlib.Path(os.environ.get("XVMI_CACHE", default)) / "bench"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def vm(*words):
    return subprocess.run([VM, *words], check=True, stdout=subprocess.PIPE).stdout.decode().strip()


def vmlinux():
    """The kernel of the dumps, with DWARF."""
    return vm("vmlinux", RELEASE)


@contextlib.contextmanager
def guest():
    """The URI of a live guest of 512 MiB that does nothing."""
    name = f"bench-{os.getpid()}"
    vm("start", name, "--release", RELEASE, "--mem", "512")
    try:
        yield vm("uri", name)
    finally:
        vm("stop", name)


@contextlib.contextmanager
def xen(build):
    """The words before a command in dom0 of a Xen that has this build, a PV and a PVH guest."""
    bed = str(TOP / "tests/guest/xen")
    name = f"bench-{os.getpid()}"
    subprocess.run([bed, "start", name, "--build", build], check=True)
    try:
        yield bed, "exec", name, "dom0", "--"
    finally:
        subprocess.run([bed, "stop", name], check=False)


@contextlib.contextmanager
def busy_guest():
    """The URI of a live guest whose memory cannot be mapped, with 100 processes and 400 sockets;
    how long its own ss takes is printed."""
    name = f"bench-{os.getpid()}"
    vm("start", name, "--release", RELEASE, "--mem", "512", "--ram", "anon")
    try:
        vm("exec", name, "--", "sh", "-c", "guest-helper many 100 400 >/dev/null")
        seconds = vm("exec", name, "--", "python3", "-c",
                     "import subprocess, time; t = time.monotonic(); "
                     "subprocess.run(['ss', '-tanp'], stdout=subprocess.DEVNULL); "
                     "print(time.monotonic() - t)")
        print(f"ss -tanp inside the guest (an emulated CPU): {float(seconds) * 1e3:.0f} ms")
        yield vm("uri", name)
    finally:
        vm("stop", name)


def kernel_image(vmcoreinfo, loads):
    """A program header that says where the kernel's image lies virtually: drgn begins there."""
    facts = dict(line.split("=", 1) for line in vmcoreinfo.decode().splitlines() if "=" in line)
    vaddr = int(facts["SYMBOL(_stext)"], 16) & ~0x1fffff
    start = vaddr - 0xffffffff80000000 + int(facts["NUMBER(phys_base)"])
    for offset, base, length in loads:
        if base <= start < base + length:
            size = min(64 << 20, base + length - start)
            return struct.pack("<IIQQQQQQ", 1, 7, offset + start - base, vaddr, start, size, size,
                               0)
    raise ValueError("the kernel's image is not in the dump")


def add_vmcoreinfo(path, paddr, size):
    """Give a dump what drgn wants: the note, and where the kernel's page tables begin. Headers and
    note go to the end of the file."""
    with open(path, "r+b") as core:
        header = bytearray(core.read(64))
        phoff, = struct.unpack_from("<Q", header, 32)
        phnum, = struct.unpack_from("<H", header, 56)
        core.seek(phoff)
        table = [core.read(56) for _ in range(phnum)]
        text, loads = b"", []
        for entry in table:
            kind, _, offset, _, start, length = struct.unpack_from("<IIQQQQ", entry)
            if kind == 1:
                loads.append((offset, start, length))
            if kind == 1 and start <= paddr and paddr + size <= start + length:
                core.seek(offset + paddr - start)
                text = core.read(size)
        name, desc_size, _ = struct.unpack_from("<III", text)  # the page holds the note whole
        desc = text[12 + (name + 3 & ~3):][:desc_size]
        note = struct.pack("<III", 11, len(desc), 0) + b"VMCOREINFO\0\0" + desc
        note += bytes(-len(note) % 4)
        end = core.seek(0, os.SEEK_END)
        core.write(note)
        old = [entry for entry in table if struct.unpack_from("<I", entry)[0] == 4]
        rest = [entry for entry in table if struct.unpack_from("<I", entry)[0] != 4]
        new = struct.pack("<IIQQQQQQ", 4, 4, end, 0, 0, len(note), len(note), 4)
        core.write(b"".join([new, *old, kernel_image(desc, loads), *rest]))
        struct.pack_into("<Q", header, 32, end + len(note))
        struct.pack_into("<H", header, 56, len(table) + 2)
        core.seek(0)
        core.write(header)


def image(size):
    """A dump of a guest with so many processes and sockets; made when it is first wanted."""
    path = cache() / f"{size}.elf"
    if path.exists():
        return path
    processes, sockets = SIZES[size]
    name, fresh = f"bench-{os.getpid()}", path.with_suffix(f".{os.getpid()}")
    print(f"making a dump of a guest with {processes} processes and {sockets} sockets", flush=True)
    vm("start", name, "--release", RELEASE, "--mem", "2048", "--smp", "2")
    try:
        vm("exec", name, "--", "sh", "-c", "sysctl -qw kernel.pid_max=65536; "
           f"guest-helper many {processes} {sockets} >/dev/null")
        paddr, length = vm("exec", name, "--", "cat", "/sys/kernel/vmcoreinfo").split()
        vm("dump", name, str(fresh))
        add_vmcoreinfo(fresh, int(paddr, 16), int(length, 16))
        fresh.rename(path)
    finally:
        vm("stop", name)
        fresh.unlink(missing_ok=True)
    return path
