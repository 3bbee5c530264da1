# SPDX-License-Identifier: LGPL-2.1-or-later
"""Lets spin try every course that claims.pml can take: what must hold does, and each mistake of a list is found.

claims.py MODEL COMPILER...: some seconds. With --all behind that, larger cases, too: about a minute.
"""

import re
import shutil
import subprocess
import sys
import tempfile

SKIP = 77  # what meson takes for "skipped"

# (liveness: what must happen in the end; or safety: what must never happen; definitions)
HOLDS = [
    (False, []),
    (False, ["ONE_SET"]),
    (True, ["ONE_SET"]),
    (True, ["ONE_VM"]),
]
LARGER = [
    (False, ["DAEMON_CRASHES=3", "HELPER_CRASHES=2"]),
    (True, ["DAEMON_CRASHES=1", "HELPER_CRASHES=0"]),
]
FAILS = [
    (False, ["BUG_SPLIT_SETS", "ONE_SET"]),
    (False, ["BUG_START_NOT_STORED", "ONE_VM"]),
    (False, ["BUG_END_NOT_STORED", "ONE_VM"]),
    (False, ["BUG_LOOKS_FIRST", "ONE_SET"]),
    (False, ["BUG_IN_USE_IS_DONE", "ONE_SET"]),
    (False, ["BUG_QUARANTINE_LATE", "ONE_VM"]),
    (False, ["BUG_CRASH_FORGETS_STARTS", "ONE_SET"]),
    (False, ["BUG_OPEN_IS_OVERTAKEN", "ONE_VM"]),
    (True, ["BUG_CRASH_FORGETS_STARTS", "ONE_VM"]),
    (True, ["BUG_NO_SECOND_TRY", "ONE_VM"]),
]


def run(directory, *command):
    return subprocess.run(command, cwd=directory, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
                          check=True).stdout


def search(model, compiler, liveness, definitions):
    """What spin says about the model with these definitions: (errors, states, report)."""
    options = ["-DLIVENESS"] if liveness else []
    # Where there is little to be searched, compiling is what takes time.
    is_small = "ONE_SET" in definitions or any(d.startswith("BUG_") for d in definitions)
    with tempfile.TemporaryDirectory() as directory:
        run(directory, "spin", *options, *(f"-D{d}" for d in definitions), "-a", model)
        kind = ["-DNFAIR=3"] if liveness else ["-DSAFETY", "-DNOCLAIM"]
        run(directory, *compiler, "-w", "-O0" if is_small else "-O1", *kind, "-o", "pan", "pan.c")
        report = run(directory, "./pan", "-m500000", "-w22", *(["-a", "-f"] if liveness else []))
    errors = re.search(r"errors: (\d+)", report)
    states = re.search(r"(\d+) states, stored", report)
    if not errors or not states or "max search depth too small" in report:
        sys.exit(f"{definitions}: this is no complete search:\n{report}")
    return int(errors.group(1)), int(states.group(1)), report


def main(model, *arguments):
    larger = "--all" in arguments
    compiler = [a for a in arguments if a != "--all"]
    if not shutil.which("spin"):
        print("skipped: spin is not installed")
        sys.exit(SKIP)

    wrong = 0
    for must_hold, cases in ((True, HOLDS + (LARGER if larger else [])), (False, FAILS)):
        for liveness, definitions in cases:
            errors, states, report = search(model, compiler, liveness, definitions)
            is_right = (errors == 0) == must_hold
            wrong += not is_right
            print(f"{'ok' if is_right else 'WRONG'}: {'liveness' if liveness else 'safety'}, "
                  f"{' '.join(definitions) or 'two sets'}: {'holds' if errors == 0 else 'does not hold'}, "
                  f"{states} states", flush=True)
            if not is_right:
                print(report)
    if wrong:
        print("What to do: run spin -a, compile pan.c and run ./pan as this script does; ./pan -r shows the course "
              "that leads there.")
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main(*sys.argv[1:])
