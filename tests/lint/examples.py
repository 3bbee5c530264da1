# SPDX-License-Identifier: LGPL-2.1-or-later
"""Pages show the programs of docs/examples and docs/api as they are: what is read there is what the tests run. The
guide of docs/api shows nothing else."""

import re

import lint

GUIDE = "docs/api/guide.md"
PAGES = {"docs/examples/": "docs/start-a-vm.md", "docs/api/": GUIDE}
CODE = re.compile(r"```\w*\n(.*?)```", re.S)


def body(text):
    """Without the lines that say what the file is."""
    lines = text.split("\n")
    while lines and lines[0].startswith("#"):
        lines.pop(0)
    return "\n".join(lines).strip()


def check(tree):
    problems = []
    for directory, page in PAGES.items():
        shown = [block.strip() for block in CODE.findall(tree.get(page, ""))]
        programs = {path: body(text) for path, text in tree.items() if path.startswith(directory) and path != page}
        problems += [f"{page} does not show {path} as it is" for path, text in programs.items() if text not in shown]
        if page == GUIDE:
            problems += [f"{page} shows what is no program of {directory}: {block.splitlines()[0]}..."
                         for block in shown if block not in programs.values()]
    return problems


if __name__ == "__main__":
    EXAMPLE = {"docs/examples/x": "#!/bin/sh\n# x: says x\necho x\n"}
    PAGE = PAGES["docs/examples/"]
    SHOWN = {PAGE: "# X\n```sh\necho x\n```\n"}
    assert not check({**EXAMPLE, **SHOWN}), check({**EXAMPLE, **SHOWN})
    lint.run(check, {
        "another text": {**EXAMPLE, PAGE: "```sh\necho y\n```\n"},
        "only a part": {"docs/examples/x": "#!/bin/sh\necho x\necho y\n", **SHOWN},
        "no page": EXAMPLE,
        "a guide that is behind": {"docs/api/x": "#!/bin/sh\necho y\n", GUIDE: "```sh\necho x\n```\n"},
        "a guide that shows what nobody runs": {"docs/api/x": "echo x\n", GUIDE: "```\necho x\n```\n```\nls\n```\n"},
    }, "copy the file, without its first lines, into the page")
