# SPDX-License-Identifier: LGPL-2.1-or-later
"""TAP for tests that are scripts."""

import traceback


class Tap:
    n = failed = 0

    def judge(self, name, good, more=""):
        self.n += 1
        self.failed += not good
        print(f"{'ok' if good else 'not ok'} {self.n} - {name}", flush=True)
        if not good:
            print("".join(f"# {line}\n" for line in str(more).splitlines()), end="", flush=True)

    def skip(self, name, reason):
        self.n += 1
        print(f"ok {self.n} - {name} # SKIP {reason}", flush=True)

    def run(self, case, *arguments):
        """A case is a function; its first line says what it shows."""
        try:
            case(*arguments)
        except Exception:
            self.judge(case.__doc__.splitlines()[0], False, traceback.format_exc())
        else:
            self.judge(case.__doc__.splitlines()[0], True)

    def end(self):
        print(f"1..{self.n}", flush=True)
        return 1 if self.failed or not self.n else 0
