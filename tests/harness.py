# SPDX-License-Identifier: LGPL-2.1-or-later OR BSD-2-Clause
"""Builds the project in every way that matters and runs all tests, one line each.

Builds lie in build-tests/, logs in build-tests/logs/. A guest test is an executable
tests/guest/test-*, or a name that tests/guest/matrix lists. It finds `vm` as $VM, the command as
$XVMI, the build as $XVMI_BUILD and a folder of its own as $XVMI_WORK, prints what it saw, and
exits 0, or 77 when it had to be skipped.
A fuzz target's first inputs come from the programs tests/fuzz/*-seeds: each is given the folder
to put them in, one sub-folder a target.
"""

import argparse
import fnmatch
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor

TOP = pathlib.Path(__file__).resolve().parent.parent
BUILD = TOP / "build-tests"
LOGS = BUILD / "logs"
SKIP = 77
WORKERS = 2
FUZZ_SECONDS = int(os.environ.get("XVMI_FUZZ_SECONDS", "20"))

# Compiler, options, and the folder whose programs are wanted ("": everything).
BUILDS = {
    "gcc": ("gcc", ["-Dbench=true"], ""),
    "clang": ("clang", ["-Dbench=true"], ""),
    "asan": ("gcc", ["-Db_sanitize=address,undefined"], ""),
    "tsan": ("gcc", ["-Db_sanitize=thread"], "tests/stress/"),
    "fuzz": ("clang", ["-Dfuzz=true", "-Db_sanitize=address,undefined", "-Db_lundef=false"],
             "tests/fuzz/"),
}


class Test:
    """A command with a name; it passes with exit status 0 and without a sanitizer's report."""

    def __init__(self, name, command, seconds, env=None, cwd=TOP):
        self.name = name
        self.command = [str(word) for word in command]
        self.seconds = seconds
        self.cwd = cwd
        self.log = LOGS / (name.replace("/", "-") + ".log")
        self.reports = f"{self.log}.report"
        common = f"log_path={self.reports}:"
        self.env = {
            **os.environ,
            # Criterion swallows the exit status of LeakSanitizer: its report is what counts.
            "ASAN_OPTIONS": common + "detect_leaks=1",
            "UBSAN_OPTIONS": common + "halt_on_error=1:print_stacktrace=1",
            "TSAN_OPTIONS": common + "halt_on_error=1",
            **{key: str(value) for key, value in (env or {}).items()},
        }

    def run(self):
        """Runs it; returns "ok", "FAIL" or "skip", and what to show."""
        for old in LOGS.glob(f"{self.log.name}*"):
            old.unlink()
        with open(self.log, "wb") as log:
            with subprocess.Popen(self.command, cwd=self.cwd, env=self.env,
                                  stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                                  start_new_session=True) as process:
                try:
                    status = process.wait(self.seconds)
                except subprocess.TimeoutExpired:
                    os.killpg(process.pid, signal.SIGTERM)  # a guest test stops its guests
                    try:
                        process.wait(20)
                    except subprocess.TimeoutExpired:
                        os.killpg(process.pid, signal.SIGKILL)
                    status = f"no end in {self.seconds} s"
        report = "".join(path.read_text(errors="replace")
                         for path in sorted(LOGS.glob(f"{self.log.name}.report*")))
        text = self.log.read_text(errors="replace")
        if status == SKIP:
            return "skip", text.strip().rpartition("\n")[2]
        if status == 0 and not report:
            return "ok", ""
        tail = (text.splitlines() + report.splitlines()[:40])[-40:]
        words = "a sanitizer's report" if status == 0 else f"exit status {status}"
        return "FAIL", "\n".join([*(f"    {line}" for line in tail),
                                  f"    {words}; whole log: {self.log}*"])


class Runner:
    """Runs tests and counts them."""

    def __init__(self, patterns):
        self.patterns = patterns
        self.counts = {"ok": 0, "FAIL": 0, "skip": 0}

    def wants(self, name):
        return not self.patterns or any(fnmatch.fnmatch(name, p) for p in self.patterns)

    def _one(self, test):
        start = time.monotonic()
        verdict, words = test.run()
        self.counts[verdict] += 1
        line = f"{verdict} {test.name} ({time.monotonic() - start:.1f} s)"
        if words:
            line += ": " + words if verdict == "skip" else "\n" + words
        print(line, flush=True)
        return verdict != "FAIL"

    def run(self, tests):
        """Runs those of the tests that are wanted; returns whether none failed."""
        with ThreadPoolExecutor(WORKERS) as pool:
            return all(list(pool.map(self._one, [t for t in tests if self.wants(t.name)])))

    def skip(self, name, why):
        if self.wants(name):
            self.counts["skip"] += 1
            print(f"skip {name}: {why}", flush=True)


def build_test(name):
    """A build, warnings being errors, as a test."""
    compiler, options, part = BUILDS[name]
    folder = BUILD / name
    setup = ["meson", "setup", "-Dwerror=true", *options]
    if (folder / "build.ninja").exists():
        setup.append("--reconfigure")
    script = """
        dir=$1 top=$2 part=$3
        shift 3
        "$@" "$dir" "$top" || exit
        [ -n "$part" ] || exec ninja -C "$dir"
        programs=$(ninja -C "$dir" -t targets all | sed -n "s|^\\($part.*\\): c_LINKER.*|\\1|p")
        [ -z "$programs" ] || ninja -C "$dir" $programs"""
    return Test(f"build/{name}", ["sh", "-c", script, "sh", folder, TOP, part, *setup], 1800,
                {"CC": compiler})


def introspect(build, what):
    """What meson knows about a build."""
    done = subprocess.run(["meson", "introspect", f"--{what}", BUILD / build],
                          stdout=subprocess.PIPE, check=True)
    return json.loads(done.stdout)


def meson_tests(build, suite):
    """The tests of a suite, as meson describes them."""
    for test in introspect(build, "tests"):
        if any(name.endswith(suite) for name in test["suite"]):
            yield Test(f"{suite}/{test['name']}", test["cmd"], test["timeout"] * 2,
                       test["env"], test["workdir"] or BUILD / build)


def fuzz_tests():
    """Each fuzz target for a while, over the inputs that it found in earlier runs too."""
    corpus = BUILD / "corpus"
    corpus.mkdir(exist_ok=True)
    targets = [t for t in introspect("fuzz", "targets") if t["type"] == "executable"]
    for target in targets:
        if target["name"].endswith("-seeds"):
            subprocess.run([target["filename"][0], corpus], check=True)
    for target in targets:
        name = target["name"]
        if not name.startswith("fuzz-"):
            continue
        short = name.removeprefix("fuzz-")
        found = corpus / short
        found.mkdir(exist_ok=True)
        yield Test(f"fuzz/{short}", [
            target["filename"][0], f"-max_total_time={FUZZ_SECONDS}", "-timeout=10",
            "-rss_limit_mb=2048", "-print_final_stats=1", f"-artifact_prefix={LOGS}/fuzz-{short}-",
            found], FUZZ_SECONDS + 300)


def guest_tests():
    """The programs that boot guests."""
    guest = TOP / "tests/guest"
    listed = subprocess.run([guest / "matrix", "--list"], stdout=subprocess.PIPE, text=True,
                            check=True).stdout.split()
    commands = {f"agree-{name}": [guest / "matrix", name] for name in listed}
    for path in sorted(guest.glob("test-*")):
        if os.access(path, os.X_OK):
            commands[path.name.removeprefix("test-")] = [path]
    build = BUILD / "gcc"
    for name, command in commands.items():
        work = BUILD / "guest" / name
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir(parents=True)
        yield Test(f"guest/{name}", command, 1200, {
            "VM": guest / "vm", "XVMI": build / "frontends/cli/xvmi",
            "XVMI_BUILD": build, "XVMI_WORK": work,
            "XVMI_DRIVER_PATH": build / "frontends/kvm"}, work)


def main():
    """Everything, what is quick first."""
    arguments = argparse.ArgumentParser(prog="tests/run", description=__doc__,
                                        formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("--quick", action="store_true", help="no tests that boot guests")
    arguments.add_argument("pattern", nargs="*", help="run only these (and builds), as guest/*")
    options = arguments.parse_args()
    LOGS.mkdir(parents=True, exist_ok=True)
    runner = Runner(options.pattern and options.pattern + ["build/*"])
    build = {name: runner.run([build_test(name)]) for name in BUILDS}

    tests = [Test("arrows", [TOP / "tests/arrows"], 60)]
    if build["gcc"]:
        tests.append(Test("symbols", [TOP / "tests/symbols", BUILD / "gcc"], 60))
        tests.append(Test("install", [TOP / "tests/install/run", BUILD / "install"], 900))
    if build["asan"]:
        tests += [*meson_tests("asan", "unit"), *meson_tests("asan", "cli")]
    if build["tsan"]:
        tests += meson_tests("tsan", "stress")
    if build["fuzz"]:
        tests += fuzz_tests()
    guests = list(guest_tests()) if build["gcc"] else []
    if options.quick:
        for test in guests:
            runner.skip(test.name, "--quick")
    else:
        tests += guests
    runner.run(tests)

    counts = runner.counts
    print(f"{counts['ok']} passed, {counts['FAIL']} failed, {counts['skip']} skipped")
    return 1 if counts["FAIL"] or not counts["ok"] else 0


if __name__ == "__main__":
    sys.exit(main())
