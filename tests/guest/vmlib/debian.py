# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
"""Packages of any of Debian's suites, without touching the configuration of this machine.

Each suite has sources, lists and a (void) dpkg status of its own under the cache; the mirror is the
one that this machine uses, and so are its proxy settings.
"""

import re
import subprocess
import time

from . import store

KEYRING = "/usr/share/keyrings/debian-archive-keyring.gpg"
TRIES = 4


def mirrors():
    """The addresses of Debian's main and security archives as this machine's apt knows them."""
    def look():
        done = subprocess.run(["apt-get", "indextargets", "--format",
                               "$(ORIGIN) $(CODENAME) $(REPO_URI)", "Created-By: Packages"],
                              stdout=subprocess.PIPE, text=True, check=False)
        rows = [line.split() for line in done.stdout.splitlines()]
        found = {row[1].endswith("-security"): row[2] for row in reversed(rows)
                 if len(row) == 3 and row[0] == "Debian"}
        return found.get(False), found.get(True)

    main, security = look()
    if not main:
        subprocess.run(["apt-get", "-qq", "update"], stdout=subprocess.DEVNULL, check=False)
        main, security = look()
    if not main:
        raise store.Unavailable("apt on this machine knows no Debian archive: check its sources")
    return main, security


def retried(what, step):
    """Runs step() until it does not fail, a few times; then what could not be had is an error."""
    for left in reversed(range(TRIES)):
        try:
            return step()
        except store.Failure as failure:
            if not left:
                raise store.Unavailable(f"{what}: {failure}") from failure
            store.say(f"{what}: trying again")
            time.sleep(2 * (TRIES - left))
    return None


class Suite:
    """One of Debian's suites, by its code name."""

    def __init__(self, name):
        self.name = name
        self.home = store.root() / "apt" / name

    def _apt(self, tool, *words, **options):
        home = self.home
        settings = {
            "Dir::Etc::sourcelist": home / "sources.list",
            "Dir::Etc::sourceparts": "/dev/null",
            "Dir::State::lists": home / "lists",
            "Dir::State::status": home / "status",
            "Dir::Cache": home / "cache",
            "APT::Architecture": "amd64",
            "APT::Sandbox::User": "root",
            "Acquire::Languages": "none",
            "Acquire::Retries": "3",
        }
        flags = [f"-o{key}={value}" for key, value in settings.items()]
        return store.run(tool, "-q", *flags, *words, **options)

    def update(self):
        """Fetches the suite's lists."""
        with store.locked(self.home):
            for part in ("lists/partial", "cache/archives/partial"):
                (self.home / part).mkdir(parents=True, exist_ok=True)
            (self.home / "status").touch()
            main, security = mirrors()
            sources = [f"deb [signed-by={KEYRING}] {main} {self.name} main"]
            if security and self.name != "sid":
                sources.append(f"deb [signed-by={KEYRING}] {security} {self.name}-security main")
            store.say(f"fetching package lists of {self.name}")
            for count in (len(sources), 1):  # a suite in the making may have no security archive
                (self.home / "sources.list").write_text("\n".join(sources[:count]) + "\n")
                try:
                    retried(f"package lists of {self.name}", lambda: self._apt(
                        "apt-get", "-o", "APT::Update::Error-Mode=any", "update"))
                    return
                except store.Unavailable:
                    if count == 1:
                        raise

    def dependencies(self, package):
        """Names of what a package depends on."""
        words = self._apt("apt-cache", "depends", "--important", package)
        return re.findall(r"^\s*\|?(?:Pre)?Depends: (\S+)$", words, re.M)

    def version(self, package):
        """The newest version of a package."""
        found = re.search(r"Candidate: (\S+)", self._apt("apt-cache", "policy", package))
        if not found or found[1] == "(none)":
            raise store.Unavailable(f"{self.name} has no package {package}")
        return found[1]

    def download(self, packages, folder):
        """Downloads packages (NAME or NAME=VERSION) into a folder; returns the files."""
        store.say(f"downloading {' '.join(packages)}")
        retried(f"{' '.join(packages)} from {self.name}",
                lambda: self._apt("apt-get", "download", *packages, cwd=folder))
        return sorted(folder.glob("*.deb"))
