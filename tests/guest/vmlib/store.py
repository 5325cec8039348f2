# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
"""The cache outside the work tree: things are built beside their place and renamed into it."""

import contextlib
import fcntl
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile


class Failure(Exception):
    """Something went wrong; the text says what, and what to do."""

    status = 1


class Unavailable(Failure):
    """Something had to be downloaded and could not be had: a test that needs it is skipped."""

    status = 77


def root():
    """The folder of the cache: $XVMI_CACHE, else the system's for root, else the user's."""
    if os.environ.get("XVMI_CACHE"):
        return pathlib.Path(os.environ["XVMI_CACHE"])
    if os.geteuid() == 0:
        return pathlib.Path("/var/cache/xvmi")
    base = os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache")
    return pathlib.Path(base) / "xvmi"


def say(text):
    print(f"vm: {text}", file=sys.stderr, flush=True)


@contextlib.contextmanager
def locked(path):
    """Holds an exclusive lock on path.lock, which is created as needed and left behind."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(f"{path}.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def built(path, build):
    """Returns path; where it is missing, build(folder) makes folder/NAME, which then becomes path.

    Whoever finds the path finds it complete, however many processes ask at once.
    """
    if not path.exists():
        with locked(path):
            if not path.exists():
                work = pathlib.Path(tempfile.mkdtemp(prefix=".build-", dir=path.parent))
                try:
                    build(work)
                    (work / path.name).rename(path)
                finally:
                    shutil.rmtree(work, ignore_errors=True)
    return path


def run(*command, **options):
    """Runs a command quietly and returns what it printed; Failure carries the end of its words."""
    done = subprocess.run([str(word) for word in command], stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          errors="replace", **options)
    if done.returncode:
        tail = "\n".join(done.stdout.splitlines()[-8:])
        raise Failure(f"{' '.join(map(str, command))[:200]}: exit status {done.returncode}\n{tail}")
    return done.stdout


def tree_bytes(folder):
    """Disk space that the files under folder take, and their number."""
    size = count = 0
    for place, folders, files in os.walk(folder):
        count += len(folders) + len(files)
        for name in folders + files:
            size += os.lstat(os.path.join(place, name)).st_blocks * 512
    return size, count


def ext4_image(folder, image, spare_mib):
    """Makes an ext4 image of a folder; the features are those that Linux 5.4 and later mount."""
    size, count = tree_bytes(folder)
    mib = size * 11 // 10 // 2**20 + spare_mib
    run("mke2fs", "-q", "-t", "ext4", "-O", "^has_journal,^metadata_csum,^orphan_file",
        "-m", "0", "-N", count + 20000, "-d", folder, image, f"{mib}M")
