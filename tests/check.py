#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""Builds the project in each way that is tested, runs all tests and adds them up. Called by ./check."""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import time
from pathlib import Path

TOP = Path(__file__).resolve().parent.parent
BUILDS = TOP / "build-check"

# name, compiler, meson options, tools without which the part is skipped
VARIANTS = [
    ("gcc", "gcc", ["--buildtype=debugoptimized"], []),
    ("clang with ASan and UBSan", "clang",
     ["--buildtype=debug", "-Db_sanitize=address,undefined", "-Db_lundef=false", "-Dfuzz=enabled"], ["clang"]),
]

TAP_LINE = re.compile(r"^(ok|not ok)\b[ \d]*(?:- )?(.*)$")
CLOSING_LINE = re.compile(r"(\d+) passed, (\d+) failed, (\d+) skipped")


class Tally:
    """What has been counted so far. A skip is remembered with its reason."""

    def __init__(self):
        self.passed, self.failed, self.skips = 0, 0, []

    def skip(self, what, reason):
        self.skips.append(f"{what}: {reason}")

    def fail(self, what):
        self.failed += 1
        print(f"FAILED: {what}", flush=True)


def run(title, command, log, **kwargs):
    """Runs a step with its output in a log file, and shows that log when it fails."""
    began = time.monotonic()
    print(f"-- {title} ...", end=" ", flush=True)
    with open(log, "w", encoding="utf-8") as out:
        code = subprocess.run(command, stdout=out, stderr=subprocess.STDOUT, check=False, **kwargs).returncode
    print(f"{'done' if code == 0 else 'exit ' + str(code)} ({time.monotonic() - began:.0f} s)", flush=True)
    return code


def count_tap(variant, name, record, tally):
    cases = [m for m in map(TAP_LINE.match, record.get("stdout", "").splitlines()) if m]
    for case in cases:
        title, _, directive = case[2].partition("#")
        directive = directive.strip()
        if directive.upper().startswith("SKIP"):
            tally.skip(f"{variant}: {name}: {title.strip()}", directive[4:].strip(" :") or "no reason given")
        elif case[1] == "ok":
            tally.passed += 1
        else:
            tally.fail(f"{variant}: {name}: {title.strip()}")
    return bool(cases), any(c[1] == "not ok" for c in cases)


def count(variant, build, tally):
    """Adds up meson's test log: each TAP case is one, a test of another kind is one."""
    with open(build / "meson-logs/testlog.json", encoding="utf-8") as log:
        for line in log:
            record = json.loads(line)
            name, result = record["name"], record["result"]
            counted, failed = count_tap(variant, name, record, tally)
            if result == "SKIP" and not counted:
                reason = (record.get("stdout") or record.get("stderr") or "").strip().splitlines()
                tally.skip(f"{variant}: {name}", reason[-1] if reason else "no reason given")
            elif result in ("OK", "EXPECTEDFAIL", "SKIP"):
                tally.passed += 0 if counted else 1
            elif not failed:
                tally.fail(f"{variant}: {name} ({result})")
            if result not in ("OK", "SKIP", "EXPECTEDFAIL"):
                print(record.get("stdout", "")[-4000:], record.get("stderr", "")[-4000:], sep="\n", flush=True)


def run_variant(name, compiler, options, tools, tally):
    missing = [t for t in tools if not shutil.which(t)]
    if missing:
        tally.skip(name, f"{', '.join(missing)} not installed")
        return

    build = BUILDS / name.split()[0]
    BUILDS.mkdir(exist_ok=True)
    log = BUILDS / f"{build.name}.log"
    environment = dict(os.environ, CC=compiler)

    # A directory that an interrupted or older run left is made anew.
    if build.exists():
        shutil.rmtree(build)
    steps = [(f"configuring with {name}", ["meson", "setup", build, TOP, "--prefix=/usr", "--werror", *options]),
             (f"building with {name}", ["meson", "compile", "-C", build])]
    for title, command in steps:
        if run(title, command, log, env=environment) != 0:
            print(log.read_text(encoding="utf-8", errors="replace")[-8000:])
            tally.fail(title)
            return

    run(f"testing with {name}", ["meson", "test", "-C", build, "--no-rebuild", "--timeout-multiplier=4",
                                  f"--num-processes={2 * os.cpu_count()}"], log,
        env=environment)
    count(name, build, tally)


def run_vm(arguments, tally):
    if os.geteuid() != 0:
        tally.skip("VM cases", "building the VM's root file system needs root")
        return
    if not shutil.which("qemu-system-x86_64"):
        tally.skip("VM cases", "qemu-system-x86_64 is not installed")
        return

    command = [sys.executable, TOP / "tests/vm/run", "--build", "--kernel", arguments.kernel]
    closing = None
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          errors="replace") as child:
        for line in child.stdout:
            print(line, end="", flush=True)
            closing = CLOSING_LINE.search(line) or closing
            skip = re.match(r"ok \d+ - (.*?)\s*# SKIP (.*)", line)
            if skip:
                tally.skip(skip[1], skip[2])
    if not closing:
        tally.fail("the VM runner ended without a count")
        return
    tally.passed += int(closing[1])
    tally.failed += int(closing[2])
    if child.returncode != 0 and int(closing[2]) == 0:
        tally.fail(f"the VM runner ended with {child.returncode}")


def main():
    parser = argparse.ArgumentParser(prog="check", description=__doc__)
    parser.add_argument("--no-vm", action="store_true", help="leave out the cases in the VM")
    parser.add_argument("--only-vm", action="store_true", help="run only the cases in the VM")
    parser.add_argument("--kernel", default="all", help="kernels of the VM cases: debian, cdev or all (default)")
    arguments = parser.parse_args()

    tally = Tally()
    if not arguments.only_vm:
        for variant in VARIANTS:
            run_variant(*variant, tally)
    if arguments.no_vm:
        tally.skip("VM cases", "--no-vm was given")
    else:
        run_vm(arguments, tally)

    for skip in tally.skips:
        print(f"skipped: {skip}")
    print(f"{tally.passed} passed, {tally.failed} failed, {len(tally.skips)} skipped")
    return 1 if tally.failed or not tally.passed else 0


if __name__ == "__main__":
    sys.exit(main())
