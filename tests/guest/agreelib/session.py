# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
"""Asks a guest, asks xvmi, asks the guest again."""

import collections
import json
import os
import pathlib
import subprocess

from .compare import Comparison
from .truth import Truth

HERE = pathlib.Path(__file__).resolve().parent
SHOWN = 60  # lines of disagreement


class Failure(Exception):
    """No comparison was possible."""


class Skip(Exception):
    """Something that had to be downloaded could not be had."""


# One way to look: a name, xvmi's options, the profile's source it must report (None: any), an
# image file to look at instead of the live guest.
Look = collections.namedtuple("Look", "name options source image", defaults=((), None, None))


def vm(*words, **options):
    """Runs tests/guest/vm."""
    run = subprocess.run([HERE.parent / "vm", *map(str, words)], check=False,
                         stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)
    if run.returncode:
        reason = run.stderr.decode(errors="replace").strip()
        text = f"vm {' '.join(map(str, words))[:120]}: exit status {run.returncode}: {reason}"
        raise Skip(text) if run.returncode == 77 else Failure(text)
    return run.stdout


def ask_guest(name):
    """The guest's word: one program, run once, for a guest is slow to start many."""
    with open(HERE / "inside.py", "rb") as program:
        return Truth(json.loads(vm("exec", "-i", name, "--", "python3", "-", stdin=program)))


def ask_xvmi(xvmi, options, uri):
    """(info, ps, ss) of the guest, and no word on stderr."""
    answers = []
    for command in (["info"], ["ps"], ["ss", "-a"]):
        words = [xvmi, *command, "--json", *options, uri]
        run = subprocess.run(words, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                             check=False)
        if run.returncode or run.stderr:
            raise Failure(f"{' '.join(map(str, words))}: exit status {run.returncode}\n"
                          f"{run.stderr.strip()}")
        answers.append(json.loads(run.stdout))
    return answers


def agree(name, looks, busy=False, xvmi=None):
    """Compares each look with the guest's two words, prints the outcome; whether all agree.

    In a busy guest things come and go all the time: then only what lasted is compared.
    """
    xvmi = xvmi or os.environ.get("XVMI", "xvmi")
    before = ask_guest(name)
    live = vm("uri", name).decode().strip()
    answers = {}
    for look in looks:
        if look.image:
            vm("dump", name, look.image)
        try:
            uri = f"file:{look.image}" if look.image else live
            answers[look] = ask_xvmi(xvmi, look.options, uri)
        finally:
            if look.image:
                pathlib.Path(look.image).unlink()
    after = ask_guest(name)

    good = True
    for look, (info, processes, sockets) in answers.items():
        comparison = Comparison(before, after, busy)
        comparison.kernel(info)
        comparison.processes(processes)
        comparison.sockets(sockets)
        if look.source and info["profile"] != look.source:
            comparison.problem(f"the profile is from {info['profile']}, expected {look.source}")
        report(look, comparison)
        good = good and not comparison.problems
    return good


def report(look, comparison):
    """What differs and how much was compared."""
    print(f"{look.name}: compared",
          ", ".join(f"{n} {what}" for what, n in comparison.compared.items() if n))
    changed = [f"{n} {what}" for what, n in comparison.changed.items() if n]
    print(f"{look.name}: changed meanwhile:", ", ".join(changed) or "nothing")
    for problem in comparison.problems[:SHOWN]:
        print(f"{look.name}: {problem}")
    if len(comparison.problems) > SHOWN:
        print(f"... and {len(comparison.problems) - SHOWN} more")
