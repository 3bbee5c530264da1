# SPDX-License-Identifier: LGPL-2.1-or-later
"""All C is as clang-format writes it."""

import re
import shutil
import tempfile
from pathlib import Path

import lint

MAJOR = 14  # versions differ in what they write; this is Debian 12's


def check(tree):
    sources = lint.below(tree, lint.PRODUCT + ("bench", "tests"))
    problems = []
    with tempfile.TemporaryDirectory() as directory:
        top = Path(directory)
        shutil.copy(lint.root() / ".clang-format", top)
        for path, text in sources.items():
            (top / path).parent.mkdir(parents=True, exist_ok=True)
            (top / path).write_text(text, encoding="utf-8")
        if sources:
            result = lint.command("clang-format", "--dry-run", "-Werror", "--style=file", *sources, cwd=top)
            problems += [line for line in result.stderr.splitlines() if ": error:" in line]
            if result.returncode != 0 and not problems:
                problems.append(result.stderr)
    return problems


if __name__ == "__main__":
    if not shutil.which("clang-format"):
        lint.skip("clang-format is not installed")
    version = re.search(r"version (\d+)", lint.command("clang-format", "--version").stdout)
    if not version or int(version.group(1)) != MAJOR:
        lint.skip(f"clang-format is not version {MAJOR}, others write otherwise")
    lint.run(check, {
        "four spaces": {"daemon/x.c": "int f(void) {\n    return 0;\n}\n"},
        "a brace on a line of its own": {"tests/unit/x.c": "int f(void)\n{\n        return 0;\n}\n"},
    }, "clang-format -i FILE")
