# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
"""A guest that goes on with another kernel, by kexec, of which its hypervisor knows nothing."""

import subprocess

from vmlib import kernel, userland

from .bench import VM, Wrong, run, wait_for

CODE = """
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
image, initrd = (os.open(path, os.O_RDONLY) for path in ("/tmp/vmlinuz", "/tmp/initrd"))
line = b"console=ttyS0 panic=0\\0"
kexec_file_load, length, no_flags = 320, ctypes.c_ulong(len(line)), ctypes.c_ulong(0)
if libc.syscall(kexec_file_load, image, initrd, length, line, no_flags):
    raise OSError(ctypes.get_errno(), "kexec_file_load")
os.sync()
libc.reboot(0x45584543)  # LINUX_REBOOT_CMD_KEXEC
"""


class Kernel:
    """One that a guest will go on with; `disk` is for when it is started."""

    def __init__(self, release):
        self.home = kernel.folder(release)
        self.release = (self.home / "release").read_text().strip()
        self.disk = ("--qemu", f"-drive file={self.home / 'modules.img'},format=raw,if=virtio,"
                               "readonly=on")

    def load(self, bench):
        """Brings it into the guest."""
        initrd = bench.work / "initrd"
        userland.initramfs(self.home / "lib/modules" / self.release, initrd)
        for path, name in ((self.home / "vmlinuz", "vmlinuz"), (initrd, "initrd")):
            with open(path, "rb") as data:
                run(VM, "exec", "-i", bench.name, "--", "sh", "-c", f"cat >/tmp/{name}", stdin=data)

    def start(self, bench):
        """Jumps into it; returns when it runs commands."""
        jump = bench.python("python3", CODE)
        try:
            wait_for("the other kernel", lambda: jump.poll() is not None or self.runs(bench))
            if jump.poll():
                raise Wrong("no kexec")
        finally:
            jump.kill()

    def runs(self, bench):
        """Is the guest in it? What it was asked on the way there is lost."""
        try:
            seen = subprocess.run([VM, "exec", bench.name, "--", "uname", "-r"], check=False,
                                  stdout=subprocess.PIPE, text=True, timeout=5)
        except subprocess.TimeoutExpired:
            return False
        return seen.stdout.strip() == self.release
