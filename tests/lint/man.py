# SPDX-License-Identifier: LGPL-2.1-or-later
"""The manual pages: groff takes them without a warning, and each says in its first lines what it is about."""

import re
import shutil

import lint


def check(tree):
    problems = []
    for path, text in tree.items():
        match = re.fullmatch(r"docs/man/(.+)\.(\d)", path)
        if not match:
            continue
        name, section = match.groups()
        if not re.search(rf'^\.TH "?{re.escape(name)}"? {section} ', text, re.M | re.I):
            problems.append(f"{path}: no .TH {name} {section}")
        if f".SH NAME\n{name} \\- " not in text:
            problems.append(f"{path}: .SH NAME must be followed by '{name} \\- what it is'")
        result = lint.command("groff", "-man", "-Tutf8", "-ww", "-z", "-K", "utf8", input=text)
        problems += [f"{path}: {line}" for line in result.stderr.splitlines()]
    return problems


if __name__ == "__main__":
    if not shutil.which("groff"):
        lint.skip("groff is not installed")
    begin = ".TH x 8 today\n.SH NAME\nx \\- a thing\n"
    assert not check({"docs/man/x.8": begin}), check({"docs/man/x.8": begin})
    lint.run(check, {
        "a macro that does not exist": {"docs/man/x.8": begin + ".NOSUCH thing\n"},
        "another page's head": {"docs/man/y.8": begin},
        "no name": {"docs/man/x.8": ".TH x 8 today\n.SH DESCRIPTION\nA thing.\n"},
    }, "man ./PAGE shows it, man-pages(7) tells the conventions")
