# SPDX-License-Identifier: LGPL-2.1-or-later
"""docs/safety.md: each critical reason has a row with tests that refuse; each test that refuses, and each that finds
something harmless, has its row there, and what is named exists."""

import re

import lint
from documented import table

PAGE = "docs/safety.md"
UNIT = re.compile(r"tests/unit/test-(critical|host)[\w-]*\.c$")
NAME = re.compile(r"test_(?:refused|warned|harmless)_\w+")


def tests_of(tree):
    """Name -> file, of the functions that are registered, too."""
    found = {}
    for path, text in tree.items():
        if UNIT.search(path):
            for name in re.findall(r"\b(?:cmocka_unit_test\w*|[A-Z]+)\(\s*(" + NAME.pattern + r")\b", text):
                found[name] = path
    return found


def check(tree):
    page = tree.get(PAGE, "")
    problems = [f"{PAGE}: not there"] if not page else []
    tests, named = tests_of(tree), set(NAME.findall(page))
    problems += [f"{PAGE}: names {name}, which is no registered test" for name in sorted(named - set(tests))]
    problems += [f"{tests[name]}: {PAGE} has no row for {name}" for name in sorted(set(tests) - named)]

    rows = re.findall(r"^\| `([a-z-]+)` \|(.*)$", page, re.M)
    proven = {reason for reason, row in rows if re.search(r"test_(refused|warned)_", row)}
    reasons = table(tree.get("common/critical.c", ""), "critical_reason")
    problems += [f"{PAGE}: no row with a test for the reason {reason}" for reason in sorted(reasons - proven)]
    problems += [f"{PAGE}: a row for {reason}, which is no reason" for reason, _ in rows if reason not in reasons]
    problems += [f"{PAGE}: names {path}, which is not there" for path in re.findall(r"`(tests/[\w/.-]+)`", page)
                 if path not in tree]
    return problems


def sample(row="| `swap` | `test_refused_swap` | `tests/vm/cases/50.py` |", code="cmocka_unit_test(test_refused_swap)",
           more=""):
    return {
        "common/critical.c": 'critical_reason_table[A] = {\n [B] = "swap",\n};',
        "tests/unit/test-critical.c": code,
        "tests/vm/cases/50.py": "",
        PAGE: f"{row}\n{more}",
    }


if __name__ == "__main__":
    assert not check(sample()), check(sample())
    lint.run(check, {
        "a reason without a row": sample(row=""),
        "a row without a test": sample(row="| `swap` | yes |", code=""),
        "a row for no reason": sample(more="| `moon` | `test_refused_swap` |"),
        "a test that does not exist": sample(code=""),
        "a test without a row": sample(code="cmocka_unit_test(test_refused_swap), cmocka_unit_test(test_harmless_x)"),
        "a file that moved away": sample(row="| `swap` | `test_refused_swap` | `tests/vm/cases/51.py` |"),
    }, "add the row, or take it away")
