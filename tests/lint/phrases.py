# SPDX-License-Identifier: LGPL-2.1-or-later
"""What passthroughctl puts in the place of the service's words (cli/sentence.c) is still said by somebody."""

import re

import lint

TABLE = "cli/sentence.c"
SPEAKERS = ("daemon", "helper", "common")
FILLED_IN = ("sriov", "mac-addresses")  # by whoever says the option "%s"


def said(tree):
    """All that the sources say, with the literals of one text joined."""
    text = "\n".join(re.sub(r'"\s*"', "", text) for text in lint.below(tree, SPEAKERS).values())
    return "\n".join([text] + [text.replace(r'\"%s\"', rf'\"{name}\"') for name in FILLED_IN])


def check(tree):
    table, sources = lint.below(tree, ("cli",)).get(TABLE, ""), said(tree)
    rows = re.search(r"\bphrases\[\] = \{(.*?)\n\};", re.sub(r'"\s*\n\s*"', "", table), re.S)
    phrases = re.findall(r'\{\s*"((?:[^"\\]|\\.)*)",', rows[1]) if rows else []
    if not phrases:
        return [f"{TABLE}: has no table of phrases"]
    return [f'{TABLE}: nobody says "{phrase}"' for phrase in phrases if phrase not in sources]


if __name__ == "__main__":
    lint.run(check, {
        "phrase that nobody says": {TABLE: 'phrases[] = {\n        {"call Bind", "use x"},\n};\n', "daemon/x.c": '"call Gra" "nt"'},
        "no table": {TABLE: "x"},
    }, "take the phrase from the sentence as it is now, or leave it out")
