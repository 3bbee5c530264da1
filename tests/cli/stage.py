# SPDX-License-Identifier: LGPL-2.1-or-later
"""The real daemon and helper on a private bus, for tests that are scripts: the client of tests/cli/stage.c."""

import os
import shutil
import subprocess
import tempfile

ADMIN, OTHER, NOBODY = 2, 3, 65534  # as in tests/bus/bench.h


class Stage:
    """One fake host with a daemon, which runs unless start=False. Use it with `with`."""

    def __init__(self, program, tool, start=True):
        self.program, self.start = os.path.abspath(program), start
        self.source = os.path.abspath(tool)

    def __enter__(self):
        # Where other users may go, which may not be so of the build directory.
        self.directory = tempfile.TemporaryDirectory(prefix="verge-tool-")
        os.chmod(self.directory.name, 0o755)
        self.tool = shutil.copy(self.source, self.directory.name)
        # Its messages must not fill a pipe that nobody reads.
        self.log = tempfile.TemporaryFile(mode="w+")
        self.process = subprocess.Popen([self.program], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                        stderr=self.log, text=True, bufsize=1)
        line = self.process.stdout.readline()
        while line and not line.startswith("stage "):
            line = self.process.stdout.readline()
        if not line:
            raise AssertionError("the stage did not come up:\n" + self.complaints())
        _, self.address, self.root = line.split()
        if self.start:
            self.order("start")
        return self

    def __exit__(self, kind, *_):
        self.process.stdin.close()
        rest = self.process.stdout.read()
        code = self.process.wait()
        self.directory.cleanup()
        if code != 0 and kind is None:
            raise AssertionError(f"the stage ended with {code}: {rest}\n{self.complaints()}")

    def complaints(self):
        self.log.seek(0)
        return self.log.read()

    def order(self, line):
        """Has the stage do something; returns how often polkit was asked, and the action of the last time."""
        self.process.stdin.write(line + "\n")
        answer = self.process.stdout.readline().split()
        if not answer or answer[0] != "ok":
            raise AssertionError(f"'{line}': {' '.join(answer)}\n{self.complaints()}")
        return int(answer[1]), answer[2]

    def environment(self, **more):
        """What programs get; nothing of the terminal that the test runs in."""
        base = {key: value for key, value in os.environ.items() if key in ("PATH", "HOME", "ASAN_OPTIONS", "UBSAN_OPTIONS")}
        return base | {"DBUS_SYSTEM_BUS_ADDRESS": self.address, "LC_ALL": "C.UTF-8", "TZ": "UTC", "TERM": "xterm"} | more

    def popen(self, *arguments, uid=ADMIN, **options):
        """Starts a program as this user, the tool where the first word is "passthroughctl"."""
        program = self.tool if arguments[0] == "passthroughctl" else arguments[0]
        environment = self.environment(**options.pop("env", {}))
        user = {} if uid == 0 else {"user": uid, "group": uid, "extra_groups": []}
        return subprocess.Popen([program, *arguments[1:]], env=environment, text=True, cwd="/", **user, **options)

    def run(self, *arguments, uid=ADMIN, input=None, **options):
        """Runs it to its end, at most 60 s; the result has returncode, stdout and stderr."""
        with self.popen(*arguments, uid=uid, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                        **options) as child:
            out, err = child.communicate(input, timeout=60)
        return subprocess.CompletedProcess(arguments, child.returncode, out, err)
