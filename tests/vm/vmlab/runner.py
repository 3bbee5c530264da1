# SPDX-License-Identifier: LGPL-2.1-or-later
"""Runs cases and reports each as soon as it ends.

Guests are shared as far as cases allow. One that dies by itself, which emulation under load sometimes does,
is booted again and its case run once more; that is counted and printed, never hidden.
"""

import contextlib
import dataclasses
import shutil
import signal
import time
import traceback

from . import cache, cases
from .guest import SLOW, CommandTimeout, Guest, GuestDied

UNITS = "-u verge-passthroughd -u verge-passthrough-helper -u verge-passthrough-boot -u polkit -u dbus"


class Deadline(BaseException):
    """A case used up its time. Not an Exception: no handler in a case shall catch it."""


@contextlib.contextmanager
def deadline(seconds):
    def expired(*_):
        raise Deadline()

    before = signal.signal(signal.SIGALRM, expired)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


@dataclasses.dataclass
class Tally:
    passed: int = 0
    failed: int = 0
    skipped: int = 0
    deaths: int = 0
    number: int = 0

    def line(self, verdict, name, more=""):
        self.number += 1
        print(f"{verdict} {self.number} - {name}{more}", flush=True)


class Runner:
    def __init__(self, kernel, destdir=None, keep=False, tally=None):
        self.kernel = kernel
        self.destdir = destdir
        self.keep = keep
        self.tally = tally or Tally()
        self.guest = None
        self.guest_boot = None

    # Guests

    def guest_for(self, case):
        if self.guest and (case.fresh or self.guest_boot != case.boot):
            self.drop_guest()
        if not self.guest:
            destdir = case.content() if case.content else self.destdir
            guest = Guest(self.kernel, variant=case.variant, destdir=destdir, device_names=case.devices,
                          state=case.state, command_line=case.command_line, machine=case.machine,
                          keep=self.keep)
            self.guest, self.guest_boot = guest, case.boot
            guest.start()
            cache.say(f"{self.kernel}: guest booted in {guest.boot_seconds:.1f} s")
        return self.guest

    def drop_guest(self):
        if self.guest:
            self.guest.stop()
        self.guest = None

    # Cases

    def run(self, selected):
        try:
            for case in selected:
                self.run_case(case)
        finally:
            self.drop_guest()

    def run_case(self, case):
        name = f"vm/{self.kernel}: {case.title}"
        reason = self.reason_to_skip(case)
        if reason:
            self.skipped(name, reason)
            return
        for last_try in (False, True):
            try:
                self.attempt(case, name)
                return
            except GuestDied as error:
                self.tally.deaths += 1
                print(f"# the guest died by itself (number {self.tally.deaths}): {error}", flush=True)
                if last_try:
                    self.failed(name, [f"the guest died twice: {error}"], 0)
                else:
                    self.keep_evidence()
                    self.drop_guest()

    def reason_to_skip(self, case):
        if case.kernels and self.kernel not in case.kernels:
            return f"only for {', '.join(case.kernels)}"
        if case.product and not self.destdir:
            return "the product is not installed (use --destdir or --build)"
        try:
            case.content and case.content()
        except cases.Skip as reason:
            return str(reason)
        return None

    def attempt(self, case, name):
        guest = self.guest_for(case)
        guest.history = []
        begin = time.monotonic()
        try:
            with deadline(case.deadline * SLOW):
                case.function(guest)
        except cases.Skip as reason:
            self.skipped(name, str(reason))
        except GuestDied:
            raise
        except KeyboardInterrupt:
            raise
        except Deadline:
            self.judge_failure(guest, name, f"did not end within its {case.deadline} s", begin)
        except CommandTimeout as error:
            self.judge_failure(guest, name, str(error), begin)
        except Exception as error:
            self.failed(name, self.where(error), time.monotonic() - begin)
        else:
            self.tally.passed += 1
            self.tally.line("ok", name, f" ({time.monotonic() - begin:.1f} s)")
        if case.fresh:
            self.drop_guest()

    def judge_failure(self, guest, name, text, begin):
        """Something took too long. A guest that answers nothing at all is dead; else it is the case."""
        if not guest.alive:
            raise GuestDied(f"does not answer; {text}")
        self.failed(name, text.splitlines(), time.monotonic() - begin)

    @staticmethod
    def where(error):
        """The message, and the lines of the case that led there."""
        frames = [f"{frame.filename.rsplit('/', 1)[-1]}:{frame.lineno}: {frame.line}"
                  for frame in traceback.extract_tb(error.__traceback__) if "/vmlab/" not in frame.filename]
        message = str(error) or "assertion failed"
        if not isinstance(error, AssertionError):
            message = f"{type(error).__name__}: {message}"
        return message.splitlines() + frames

    # Reports

    def skipped(self, name, reason):
        self.tally.skipped += 1
        self.tally.line("ok", name, f" # SKIP {reason}")

    def failed(self, name, lines, seconds):
        self.tally.failed += 1
        self.tally.line("not ok", name, f" ({seconds:.1f} s)")
        for line in [*lines, *self.diagnostics()]:
            print(f"    {line}", flush=True)
        self.keep_evidence()
        self.drop_guest()

    def diagnostics(self):
        """What somebody who was not there will want to know."""
        lines = ["", "last commands:"]
        for job in (self.guest.history if self.guest else []):
            lines += job.result().describe().splitlines()
        if self.guest and self.guest.alive:
            for title, command in (("journal", f"journalctl --no-pager -q -o short-monotonic -n 40 {UNITS}"),
                                   ("kernel", "dmesg | tail -15")):
                with contextlib.suppress(GuestDied, CommandTimeout):
                    lines += ["", f"{title}:", *self.guest.run(command).out.splitlines()]
        elif self.guest:
            lines += ["", "console:", *self.guest.console().splitlines()]
        return lines

    def keep_evidence(self):
        """The console of the last failure of each kernel stays in the cache."""
        if not self.guest or not self.guest.directory:
            return
        for name in ("console.log", "qemu.log"):
            source = self.guest.directory / name
            if source.exists():
                target = cache.cache_dir() / f"last-failure-{self.kernel}-{name}"
                shutil.copy(source, target)
                print(f"    {name} kept as {target}", flush=True)
