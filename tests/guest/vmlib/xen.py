# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
"""Xen inside QEMU: the hypervisor, Debian as its first domain, guests on top."""

import gzip
import hashlib
import pathlib
import shutil

from . import debian, kernel, machine, store, userland

HYPERVISOR = "xen-hypervisor-4.17-amd64"
PACKAGES = """curl ethtool iproute2 iputils-ping kmod libbpf1 libdwarf1 libelf1 libjansson4 liblzo2-2
    libsnappy1v5 libxenmisc4.17 libzstd1 netcat-openbsd procps python3 qemu-system-xen seabios
    tcpdump xen-utils-4.17 xenstore-utils zlib1g""".split()
GRUB_FILES = pathlib.Path("/usr/lib/grub/i386-pc")
DOM0_KERNEL = "6.1-generic"  # the cloud kernel cannot be dom0
GUEST_KERNEL = "6.1"
SPARE_MIB = 256
QEMU_MIB = 1500
# Without +npt only PV guests start; -cpu max takes dom0 down early.
CPU = "qemu64,+svm,+npt,+ssse3,+sse4.1,+sse4.2,+popcnt,+rdrand"
GUESTS = {"pv": (2, "vdc"), "pvh": (3, "vdd"), "hvm": (4, "vdg")}  # last byte of addresses, disk
COMMAND_LINE = "console=hvc0 quiet loglevel=3 panic=0 guest-number={number}"
GUEST = """\
name = "{name}"
type = "{name}"
memory = 192
vcpus = 1
disk = ["vdev=xvda,access=rw,script=/xvmi/tests/guest/xen-block,target=/dev/{root}",
        "vdev=xvdb,access=ro,script=/xvmi/tests/guest/xen-block,target=/dev/vde"]
vif = ["mac=00:16:3e:00:00:{number:02},type=vif,bridge=br0,script=/xvmi/tests/guest/xen-vif"]
on_crash = "preserve"
"""
DIRECT = """\
kernel = "/xvmi/guests/vmlinuz"
ramdisk = "/xvmi/guests/initrd"
extra = "{command_line}"
"""
# The device model hands a kernel over byte by byte, which takes minutes. So that is GRUB, which
# fetches Linux from the disk that dom0 has at /xvmi.
GRUB = """\
kernel = "/xvmi/guests/grub"
device_model_args = ["-drive", "file=/dev/vdf,format=raw,if=virtio,readonly=on"]
vga = "none"
vnc = 0
hpet = 0
"""
GRUB_CONFIG = """\
set root=(hd0)
linux /guests/vmlinuz {command_line}
initrd /guests/initrd
boot
"""


def hypervisor():
    """The hypervisor's image."""
    place = store.root() / "xen" / HYPERVISOR

    def fetch(work):
        suite = debian.Suite(userland.SUITE)
        suite.update()
        deb, = suite.download([HYPERVISOR], work)
        store.run("dpkg-deb", "-x", deb, work / "root")
        packed, = (work / "root/boot").glob("xen-*-amd64.gz")
        place_in = work / place.name
        place_in.write_bytes(gzip.decompress(packed.read_bytes()))

    return store.built(place, fetch)


def image():
    """The root file system of dom0."""
    recipe = " ".join((userland.SUITE, *PACKAGES, str(SPARE_MIB)))
    name = hashlib.sha256(recipe.encode()).hexdigest()[:12]
    place = store.root() / "xen" / f"dom0-{name}.img"
    return store.built(place, lambda work: userland.bootstrap(
        work, place.name, "dom0's Debian", PACKAGES, (), SPARE_MIB))


class Host(machine.Machine):
    """A machine that runs Xen."""

    boot_seconds = 400
    _guests = ()

    def _kernel(self, options):
        """Lays out the state folder; returns dom0's kernel and modules."""
        guest = kernel.folder(GUEST_KERNEL)
        dom0 = kernel.folder(DOM0_KERNEL)
        (self.home / "xen").symlink_to(hypervisor())
        (self.home / "vmlinuz").symlink_to(dom0 / "vmlinuz")
        (self.home / "modules.img").symlink_to(dom0 / "modules.img")
        self._tree(options.build, guest)
        return dom0 / "vmlinuz", dom0 / "lib/modules" / (dom0 / "release").read_text().strip()

    def _tree(self, build, guest):
        """The disk that dom0 has at /xvmi: the build to test, the tests, the guests."""
        top = self.home / "tree"
        here = pathlib.Path(__file__).resolve().parent.parent
        tests = top / "tests/guest"
        no_junk = shutil.ignore_patterns("__pycache__")
        shutil.copytree(here / "vmlib", tests / "vmlib", ignore=no_junk)
        shutil.copytree(here / "agreelib", tests / "agreelib", ignore=no_junk)
        shutil.copytree(here / "xen-inside", tests / "xen-inside", ignore=no_junk)
        shutil.copy(here / "agree", tests)
        shutil.copy(here / "inside/domain", tests / "vm")
        for script in ("xen-block", "xen-vif"):
            shutil.copy(here / "inside" / script, tests)
        if build:
            build = build.resolve()
            for pattern in ("frontends/cli/xvmi", "libxvmi/libxvmi.so*", "frontends/xen/*.so",
                            "frontends/tc/*.o", "tests/guest/owner-check",
                            "tests/guest/life", "tests/guest/xen-*"):
                for file in build.glob(pattern):
                    if file.is_file():
                        target = top / "build" / file.relative_to(build)
                        target.parent.mkdir(parents=True, exist_ok=True)
                        shutil.copy(file, target)
        guests = top / "guests"
        guests.mkdir()
        shutil.copy(guest / "vmlinuz", guests)
        initrd = guests / "initrd"
        userland.initramfs(guest / "lib/modules" / (guest / "release").read_text().strip(),
                           initrd, kernel.XEN_MODULES)
        initrd.write_bytes(gzip.compress(initrd.read_bytes()))
        for name, (number, root) in GUESTS.items():
            command_line = COMMAND_LINE.format(number=number)
            boot = GRUB if name == "hvm" else DIRECT.format(command_line=command_line)
            (guests / f"{name}.cfg").write_text(
                GUEST.format(name=name, number=number, root=root) + boot)
            if name == "hvm":
                self._grub(guests / "grub", GRUB_CONFIG.format(command_line=command_line))
        store.ext4_image(top, self.home / "tree.img", 16)
        shutil.rmtree(top)

    @staticmethod
    def _grub(target, config):
        """Writes GRUB in the form of a kernel, for a BIOS to start."""
        script = target.with_suffix(".cfg")
        script.write_text(config)
        core = target.with_suffix(".img")
        store.run("grub-mkimage", "-O", "i386-pc", "-p", "/", "-c", script, "-o", core,
                  "biosdisk", "ext2", "linux")
        target.write_bytes((GRUB_FILES / "lnxboot.img").read_bytes() + core.read_bytes())

    def _initramfs(self, modules):
        userland.initramfs(modules, self.home / "initrd", init="dom0-init")

    def _place(self):
        return ()

    def _network(self):
        """No way in or out: dom0 has all the networks there are."""

    def _qemu(self, options, _image):
        command = ["qemu-system-x86_64", "-name", self.name, "-daemonize", "-nodefaults",
                   "-no-user-config", "-display", "none", "-accel", "tcg,thread=multi",
                   "-machine", "q35", "-cpu", CPU, "-smp", options.smp, "-m", f"{QEMU_MIB}M",
                   "-pidfile", self.home / "pid",
                   "-kernel", self.home / "xen",
                   "-append", "console=com1 com1=115200,8n1 dom0_mem=800M,max:800M "
                              "dom0_max_vcpus=1 loglvl=warning noreboot",
                   "-initrd", f"{self.home}/vmlinuz console=hvc0 quiet loglevel=3 panic=0 "
                              f"guests={'+'.join(options.guests)},{self.home}/initrd",
                   "-serial", f"file:{self.console}", "-device", "virtio-rng-pci"]
        for name in ("qmp", "control"):
            command += ["-qmp", f"unix:{self.home}/{name}.sock,server=on,wait=off"]
        guest = kernel.folder(GUEST_KERNEL)
        for disk, more in ((image(), "snapshot=on"),
                           (self.home / "modules.img", "readonly=on"),
                           (userland.image(), "snapshot=on"),
                           (userland.image(), "snapshot=on"),
                           (guest / "modules.img", "readonly=on"),
                           (self.home / "tree.img", "readonly=on"),
                           (userland.image(), "snapshot=on")):
            command += ["-drive", f"file={disk},format=raw,if=virtio,{more}"]
        return command + self._ports()

    def start(self, options):
        self._guests = options.guests
        super().start(options)

    def _wait(self):
        super()._wait()
        for name in self._guests:
            said = []
            if self.execute(["true"], domain=name, out=said.append, err=said.append):
                raise store.Failure(f"Xen's guest {name} did not boot: "
                                    f"{b''.join(said).decode(errors='replace')}")

    def execute(self, words, domain="dom0", stdin=None, **options):
        """Runs a command in dom0 or in a guest."""
        if domain != "dom0":
            words = ["/run/xvmi/tests/guest/vm", "exec", *(["-i"] if stdin is not None else []),
                     domain, "--", *words]
        return super().execute(words, stdin=stdin, **options)
