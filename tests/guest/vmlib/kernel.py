# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
"""Debian's kernels by a short name: image, modules, symbols and debug information, cached."""

import gzip
import lzma
import pathlib
import re
import shutil
import subprocess

from . import debian, store

# Short name: suite and the meta package of its newest kernel. NAME-generic drops "cloud".
RELEASES = {
    "5.10": ("bullseye", "linux-image-cloud-amd64"),
    "6.1": ("bookworm", "linux-image-cloud-amd64"),
    "6.12": ("bookworm", "linux-image-6.12-cloud-amd64"),
    "bullseye": ("bullseye", "linux-image-cloud-amd64"),
    "bookworm": ("bookworm", "linux-image-cloud-amd64"),
    "trixie": ("trixie", "linux-image-cloud-amd64"),
    "forky": ("forky", "linux-image-cloud-amd64"),
    "sid": ("sid", "linux-image-cloud-amd64"),
}
BOOT_MODULES = ("virtio_pci", "virtio_blk", "crc32c_generic", "ext4")
XEN_MODULES = ("xen_blkfront", "crc32c_generic", "ext4")


def _resolve(release):
    base, _, flavour = release.partition("-")
    if base not in RELEASES or flavour not in ("", "cloud", "generic"):
        raise store.Failure(f"unknown release {release}: one of {' '.join(RELEASES)}, "
                            "each also with -generic")
    suite, meta = RELEASES[base]
    return debian.Suite(suite), meta.replace("-cloud", "") if flavour == "generic" else meta


def folder(release):
    """The folder of a kernel: vmlinuz, release, package, lib/modules, modules.img."""
    suite, meta = _resolve(release)
    home = store.root() / "kernels" / release.removesuffix("-cloud")
    return store.built(home, lambda work: _fetch(suite, meta, work / home.name))


def _fetch(suite, meta, home):
    suite.update()
    image = next((name for name in suite.dependencies(meta) if name.startswith("linux-image-")),
                 None)
    if not image:
        raise store.Unavailable(f"{suite.name} has no kernel for {meta}")
    # Since Linux 6.17 the image package is a shell around two others.
    parts = [name for name in suite.dependencies(image)
             if re.match(r"linux-(binary|modules)-\d", name)]
    version = suite.version(image)
    home.mkdir()
    for deb in suite.download([image, *parts], home):
        store.run("dpkg-deb", "-x", deb, home / "root")
        deb.unlink()
    _arrange(home, home / "root")
    (home / "package").write_text(f"{image} {version} {suite.name}\n")
    store.ext4_image(home / "lib/modules", home / "modules.img", 8)


def _arrange(home, unpacked):
    """Moves what the packages hold to names that do not depend on the release."""
    modules = [*unpacked.glob("lib/modules/*"), *unpacked.glob("usr/lib/modules/*")]
    if len(modules) != 1:
        raise store.Failure("the kernel's packages hold no modules, or of several releases")
    release = modules[0].name
    image = unpacked / "boot" / f"vmlinuz-{release}"
    if not image.exists():  # since Linux 6.17
        image = modules[0] / "vmlinuz"
    image.rename(home / "vmlinuz")
    (home / "release").write_text(release + "\n")
    (home / "lib").mkdir()
    modules[0].parent.rename(home / "lib/modules")
    shutil.rmtree(unpacked)
    store.run("depmod", "-b", home, release)


def debug_folder(release):
    """The folder of a kernel's vmlinux (with DWARF) and System.map, from its debug package."""
    home = folder(release)
    place = store.root() / "debug" / home.name
    suite, _ = _resolve(release)

    def fetch(work):
        image, version, _ = (home / "package").read_text().split()
        name = (home / "release").read_text().strip()
        suite.update()
        deb, = suite.download([f"{image}-dbg={version}"], work)
        store.run("sh", "-c", 'dpkg-deb --fsys-tarfile "$1" | '
                  'tar -x -C "$2" ./usr/lib/debug/boot/', "sh", deb, work)
        (work / place.name).mkdir()
        for file in ("vmlinux", "System.map"):
            (work / f"usr/lib/debug/boot/{file}-{name}").rename(work / place.name / file)

    return store.built(place, fetch)


def boot_modules(modules, wanted=BOOT_MODULES):
    """(name, bytes) of the modules that reach the root file system, each after what it needs.

    modules is lib/modules/RELEASE; what is built into the kernel is not listed there.
    """
    needs, by_name = {}, {}
    for line in (modules / "modules.dep").read_text().splitlines():
        path, _, rest = line.partition(":")
        needs[path] = rest.split()
        by_name[pathlib.Path(path).name.split(".")[0].replace("-", "_")] = path
    order = []

    def add(path):
        for other in needs[path]:
            if other not in order:
                add(other)
        if path not in order:
            order.append(path)

    for name in wanted:
        if name in by_name:
            add(by_name[name])
    return [(pathlib.Path(path).name.split(".")[0] + ".ko", _unpacked(modules / path))
            for path in order]


def _unpacked(path):
    if path.suffix == ".xz":
        return lzma.decompress(path.read_bytes())
    if path.suffix == ".gz":
        return gzip.decompress(path.read_bytes())
    if path.suffix == ".zst":
        return subprocess.run(["zstd", "-dcq", path], stdout=subprocess.PIPE, check=True).stdout
    return path.read_bytes()
