# SPDX-License-Identifier: LGPL-2.1-or-later
"""The command channel to the agent in the guest (guest/agent.c describes the frames).

A Job is one command that runs or ran. A thread reads all frames; waiting is on one condition variable, so
nothing here sleeps or polls.
"""

import dataclasses
import itertools
import signal
import struct
import threading
import time

CHUNK = 32 * 1024


class GuestDied(Exception):
    """QEMU ended, or the guest does not answer any more, though nobody asked it to."""


class CommandTimeout(Exception):
    """A command did not end, or did not say what was waited for, in time."""


class CommandFailed(AssertionError):
    """A command that had to succeed did not."""


@dataclasses.dataclass
class Result:
    command: str
    user: str
    code: int           # exit code; minus the signal when one ended it
    out: str
    err: str
    seconds: float

    @property
    def ok(self):
        return self.code == 0

    def describe(self):
        lines = [f"{self.user}$ {self.command}", f"  exit code {self.code} after {self.seconds:.2f} s"]
        for name, text in (("out", self.out), ("err", self.err)):
            lines += [f"  {name}: {line[:400]}" for line in text.splitlines()[-20:]]
        return "\n".join(lines)

    def check(self):
        if not self.ok:
            raise CommandFailed(self.describe())
        return self


class Job:
    def __init__(self, channel, number, command, user):
        self.channel = channel
        self.number = number
        self.command = command
        self.user = user
        self.begin = time.monotonic()
        self.end = None
        self.pid = None                 # in the guest
        self.code = None
        self.stdout = b""
        self.stderr = b""

    def _until(self, condition, timeout, what):
        with self.channel.changed:
            ready = self.channel.changed.wait_for(lambda: condition() or self.channel.dead, timeout)
            if condition():
                return
            if self.channel.dead:
                raise GuestDied(f"during: {self.command}")
            if not ready:
                raise CommandTimeout(f"{what} within {timeout:.0f} s\n{self.result().describe()}")

    def result(self):
        seconds = (self.end or time.monotonic()) - self.begin
        return Result(self.command, self.user, self.code if self.code is not None else 999,
                      self.stdout.decode(errors="replace"), self.stderr.decode(errors="replace"), seconds)

    @property
    def running(self):
        return self.code is None

    def wait(self, timeout=30):
        """The result once the command has ended. One that does not end is killed, and that is an error."""
        try:
            self._until(lambda: self.code is not None, timeout, "did not end")
        except CommandTimeout:
            self.kill(signal.SIGKILL)
            raise
        return self.result()

    def wait_started(self, timeout=30):
        self._until(lambda: self.pid is not None, timeout, "did not start")
        return self.pid

    def wait_for(self, text, timeout=30, stream="out"):
        """Until `text` is in what it wrote (or it ended without: then that is a failure)."""
        wanted = text.encode()

        def seen():
            return wanted in (self.stdout if stream == "out" else self.stderr)

        self._until(lambda: seen() or self.code is not None, timeout, f"did not say {text!r}")
        if not seen():
            raise CommandFailed(f"ended without saying {text!r}\n{self.result().describe()}")
        return self

    def write(self, data):
        data = data.encode() if isinstance(data, str) else data
        for start in range(0, len(data), CHUNK):
            self.channel.send(self.number, b"I", data[start:start + CHUNK])

    def close_stdin(self):
        self.channel.send(self.number, b"E")

    def kill(self, number=signal.SIGTERM):
        """Signals its process group."""
        self.channel.send(self.number, b"K", struct.pack("<I", int(number)))


class Channel:
    def __init__(self, sock):
        self.socket = sock
        self.changed = threading.Condition()
        self.writing = threading.Lock()
        self.jobs = {}
        self.numbers = itertools.count(1)
        self.hello = None               # the kernel's release, once the agent is there
        self.dead = False
        self.thread = threading.Thread(target=self._read, daemon=True)
        self.thread.start()

    def send(self, number, kind, payload=b""):
        frame = struct.pack("<II", 5 + len(payload), number) + kind + payload
        try:
            with self.writing:
                self.socket.sendall(frame)
        except OSError as error:
            raise GuestDied(str(error)) from error

    def start(self, argv, user, command):
        with self.changed:
            job = Job(self, next(self.numbers), command, user)
            self.jobs[job.number] = job
        self.send(job.number, b"R", b"".join(word.encode() + b"\0" for word in [user, *argv]))
        return job

    def wait_hello(self, timeout):
        with self.changed:
            self.changed.wait_for(lambda: self.hello is not None or self.dead, timeout)
            if self.hello is None:
                raise GuestDied("QEMU ended" if self.dead else f"no sign of the agent within {timeout:.0f} s")
            return self.hello

    def _read(self):
        try:
            stream = self.socket.makefile("rb")
            while True:
                head = stream.read(9)
                if len(head) < 9:
                    break
                length, number, kind = struct.unpack("<IIc", head)
                payload = stream.read(length - 5)
                with self.changed:
                    self._take(number, kind, payload)
                    self.changed.notify_all()
        except OSError:
            pass
        with self.changed:
            self.dead = True
            self.changed.notify_all()

    def _take(self, number, kind, payload):
        if kind == b"H":
            self.hello = payload.decode()
            return
        job = self.jobs[number]
        if kind == b"S":
            job.pid, = struct.unpack("<I", payload)
        elif kind == b"O":
            job.stdout += payload
        elif kind == b"X":
            job.stderr += payload
        elif kind == b"D":
            job.code, = struct.unpack("<i", payload)
            job.end = time.monotonic()
            del self.jobs[number]
