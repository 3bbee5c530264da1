# SPDX-License-Identifier: LGPL-2.1-or-later
"""Every source is built and every test runs: a file that no meson.build names is dead."""

import re

import lint

# Programs that the VM builds for itself, and modules that are imported.
ELSEWHERE = re.compile(r"tests/vm/|tests/lint/lint\.py$")


def names_in(text):
    """All that stands in quotes, which is how meson.build names files."""
    return set(re.findall(r"'([^']+)'", re.sub(r"#[^\n]*", "", text)))


def is_named(name, named):
    stem = name.rsplit(".", 1)[0]
    return bool({name, stem, stem.removeprefix("test-")} & named)


def check(tree):
    problems = []
    for path in tree:
        directory, _, name = path.rpartition("/")
        if ELSEWHERE.match(path) or not (
                path.endswith(".c") or re.match(r"tests/(lint|bus)/[^/]+\.py$", path)):
            continue
        build = f"{directory}/meson.build"
        if build not in tree:
            problems.append(f"{path}: there is no {build}")
        elif not is_named(name, names_in(tree[build])):
            problems.append(f"{path}: {build} does not name it, so it is neither built nor run")
    for path in tree:
        if not path.endswith("/meson.build"):
            continue
        above, _, last = path.removesuffix("/meson.build").rpartition("/")
        parent = tree.get(f"{above}/meson.build" if above else "meson.build", "")
        if f"subdir('{last}')" not in parent:
            problems.append(f"{path}: nobody says subdir('{last}')")
    return problems


if __name__ == "__main__":
    lint.run(check, {
        "a test that is not run": {"meson.build": "subdir('tests')\n", "tests/meson.build": "tests = ['a']\n",
                                   "tests/test-b.c": ""},
        "a source that is not built": {"meson.build": "subdir('daemon')\n", "daemon/meson.build": "# 'x.c'\n",
                                       "daemon/x.c": ""},
        "a directory without a meson.build": {"daemon/x.c": ""},
        "a directory that is not entered": {"meson.build": "", "tests/meson.build": ""},
    }, "name the file in the meson.build beside it")
