# SPDX-License-Identifier: LGPL-2.1-or-later
"""docs/start-a-vm.md shows the programs of docs/examples as they are: what is read there is what the VM cases run."""

import re

import lint

PAGE = "docs/start-a-vm.md"
CODE = re.compile(r"```\w*\n(.*?)```", re.S)


def body(text):
    """Without the lines that say what the file is."""
    lines = text.split("\n")
    while lines and lines[0].startswith("#"):
        lines.pop(0)
    return "\n".join(lines).strip()


def check(tree):
    shown = [block.strip() for block in CODE.findall(tree.get(PAGE, ""))]
    return [f"{PAGE} does not show {path} as it is" for path, text in tree.items()
            if path.startswith("docs/examples/") and body(text) not in shown]


if __name__ == "__main__":
    EXAMPLE = {"docs/examples/x": "#!/bin/sh\n# x: says x\necho x\n"}
    SHOWN = {PAGE: "# X\n```sh\necho x\n```\n"}
    assert not check({**EXAMPLE, **SHOWN}), check({**EXAMPLE, **SHOWN})
    lint.run(check, {
        "another text": {**EXAMPLE, PAGE: "```sh\necho y\n```\n"},
        "only a part": {"docs/examples/x": "#!/bin/sh\necho x\necho y\n", **SHOWN},
        "no page": EXAMPLE,
    }, "copy the file, without its first lines, into the page")
