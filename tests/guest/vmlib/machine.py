# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
"""A guest: QEMU by emulation (TCG), in a network namespace of its own, behind a tap."""

import json
import os
import pathlib
import re
import select
import shlex
import shutil
import signal
import socket
import subprocess
import time

from . import channel, kernel, store, userland

STATE = pathlib.Path("/run/xvmi-guests")
BOOT_SECONDS = 180


class Machine:
    """A guest by name; its state lies in a folder under /run."""

    boot_seconds = BOOT_SECONDS

    def __init__(self, name):
        if not re.fullmatch(r"[a-z0-9][a-z0-9.-]{0,31}", name):
            raise store.Failure(f"a guest's name is made of a-z, 0-9, - and .: {name}")
        self.name = name
        self.home = STATE / name
        self.netns = f"xvmi-{name}"
        self.tap = "tap0"
        self.console = self.home / "console.log"

    @property
    def pid(self):
        """QEMU's process, checked to be this guest's."""
        try:
            pid = int((self.home / "pid").read_text())
            words = pathlib.Path(f"/proc/{pid}/cmdline").read_bytes()
        except (OSError, ValueError):
            words = b""
        if str(self.home).encode() not in words:
            raise store.Failure(f"guest {self.name} is not running")
        return pid

    @property
    def uri(self):
        return f"qemu:{self.home}/qmp.sock"

    def start(self, options):
        """Boots the guest; returns when it runs commands."""
        try:
            self.home.mkdir(parents=True)
        except FileExistsError:
            raise store.Failure(f"there is a guest {self.name} already: "
                                f"tests/guest/vm stop {self.name}") from None
        try:
            image, modules = self._kernel(options)
            self._initramfs(modules)
            self._network()
            store.run(*self._place(), *self._qemu(options, image))
            self._wait()
        except BaseException as reason:
            log = self._keep_console()
            self.stop()
            if isinstance(reason, store.Failure) and log:
                reason.args = (f"{reason}\nits console: {log}",)
            raise

    def _kernel(self, options):
        """(image, folder of modules), with the disk image of modules linked into the state."""
        disk = self.home / "modules.img"
        if options.kernel:
            modules = options.modules.resolve()
            top = self.home / "modules"
            shutil.copytree(modules, top / modules.name, symlinks=True,
                            ignore=shutil.ignore_patterns("build", "source"))
            store.ext4_image(top, disk, 8)
            return options.kernel, modules
        home = kernel.folder(options.release)
        disk.symlink_to(home / "modules.img")
        return home / "vmlinuz", home / "lib/modules" / (home / "release").read_text().strip()

    def _initramfs(self, modules):
        userland.initramfs(modules, self.home / "initrd")

    def _place(self):
        """The words before a command that runs where the guest's network is."""
        return "ip", "netns", "exec", self.netns

    def _network(self):
        inside = ("ip", "-n", self.netns)
        store.run("ip", "netns", "add", self.netns)
        store.run(*inside, "link", "set", "lo", "up")
        store.run(*inside, "tuntap", "add", self.tap, "mode", "tap")
        store.run(*inside, "address", "add", "10.0.0.1/24", "dev", self.tap)
        store.run(*inside, "address", "add", "fd00::1/64", "dev", self.tap, "nodad")
        store.run(*inside, "link", "set", self.tap, "up")

    def _qemu(self, options, image):
        memory = f"{options.mem}M"
        machine = "q35"
        command = ["qemu-system-x86_64", "-name", self.name, "-daemonize", "-nodefaults",
                   "-no-user-config", "-display", "none", "-accel", "tcg,thread=multi",
                   "-cpu", options.cpu, "-smp", options.smp, "-m", memory,
                   "-pidfile", self.home / "pid"]
        if options.ram == "memfd":
            command += ["-object", f"memory-backend-memfd,id=ram,size={memory},share=on"]
            machine += ",memory-backend=ram"
        command += ["-machine", machine, "-kernel", image, "-initrd", self.home / "initrd",
                    "-append", f"console=ttyS0 panic=0 {options.append}",
                    "-serial", f"file:{self.console}"]
        for name in ("qmp", "control"):  # a QMP socket serves one client: keep one for ourselves
            command += ["-qmp", f"unix:{self.home}/{name}.sock,server=on,wait=off"]
        for disk, more in ((userland.image(), "snapshot=on"),
                           (self.home / "modules.img", "readonly=on")):
            command += ["-drive", f"file={disk},format=raw,if=virtio,{more}"]
        command += ["-netdev", f"tap,id=net,ifname={self.tap},script=no,downscript=no",
                    "-device", "virtio-net-pci,netdev=net,mac=52:54:00:00:00:02",
                    "-device", "virtio-rng-pci"]
        return command + self._ports() + shlex.split(options.qemu)

    def _ports(self):
        """What the agent inside talks through."""
        words = ["-device", "virtio-serial-pci"]
        for number in range(channel.PORTS):
            path = f"{self.home}/port{number}.sock"
            words += ["-chardev", f"socket,id=port{number},path={path},server=on,wait=off",
                      "-device", f"virtserialport,chardev=port{number},nr={number + 1}"]
        return words

    def _wait(self):
        deadline = time.monotonic() + self.boot_seconds
        begin = 0  # of this boot in the console's log
        while time.monotonic() < deadline:
            try:
                pid = self.pid
                if channel.execute(self.home, ["true"], lambda _: None, lambda _: None,
                                   timeout=5) == 0:
                    return
            except TimeoutError:
                pass
            log = self.console.read_bytes()[begin:]
            if b"end Kernel panic" not in log:
                continue
            # QEMU's threads, of several vCPUs, at times run a breakpoint that the kernel has
            # taken out of its code again, in the text that it patches while it boots.
            if begin or b"Oops: int3" not in log:
                raise store.Failure(f"guest {self.name}: its kernel panicked while booting")
            store.say(f"guest {self.name}: QEMU ran a breakpoint that was gone; booting once more")
            begin = len(log)
            self.qmp("system_reset")
        raise store.Failure(f"guest {self.name} (QEMU {pid}) did not boot in {self.boot_seconds} s")

    def _keep_console(self):
        """Where the console's log of a guest that failed can be read once its state is gone."""
        if not self.console.exists():
            return None
        kept = pathlib.Path(f"/var/tmp/xvmi-guest-{self.name}.log")
        shutil.copyfile(self.console, kept)
        return kept

    def execute(self, words, **options):
        """Runs a command in the guest: see channel.execute()."""
        if not words:
            raise store.Failure("exec needs a command")
        self.pid  # pylint: disable=pointless-statement
        return channel.execute(self.home, words, **options)

    def qmp(self, command, arguments=None):
        """Runs a QMP command; returns its answer."""
        self.pid  # pylint: disable=pointless-statement
        with socket.socket(socket.AF_UNIX) as connection:
            connection.connect(str(self.home / "control.sock"))
            stream = connection.makefile("rw", encoding="utf-8")
            json.loads(stream.readline())  # the greeting
            answer = None
            for name, words in (("qmp_capabilities", {}), (command, arguments or {})):
                stream.write(json.dumps({"execute": name, "arguments": words}) + "\n")
                stream.flush()
                answer = {}
                while "return" not in answer and "error" not in answer:  # events come between
                    answer = json.loads(stream.readline() or '{"error": {"desc": "hung up"}}')
                if "error" in answer:
                    raise store.Failure(f"QMP {name}: {answer['error'].get('desc')}")
        return answer["return"]

    def dump(self, path):
        """Writes the guest's memory and registers to an ELF core; the guest stands still."""
        path = pathlib.Path(path).absolute()
        part = path.with_name(f".{path.name}.part")
        try:
            self.qmp("dump-guest-memory", {"paging": False, "protocol": f"file:{part}"})
            part.rename(path)
        finally:
            part.unlink(missing_ok=True)

    def stop(self):
        """Ends QEMU and takes away all that start made; a guest that is not there is no error."""
        try:
            pid = self.pid
            handle = os.pidfd_open(pid)
            signal.pidfd_send_signal(handle, signal.SIGKILL)
            select.select([handle], [], [], 10)
            os.close(handle)
        except (store.Failure, ProcessLookupError):
            pass
        subprocess.run(["ip", "netns", "del", self.netns], stderr=subprocess.DEVNULL, check=False)
        shutil.rmtree(self.home, ignore_errors=True)
