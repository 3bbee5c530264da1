# SPDX-License-Identifier: LGPL-2.1-or-later
"""How large files and functions are: a report, and a failure only for what is far out."""

import re

import lint

FILE_GOAL, FILE_MAX, TEST_FILE_MAX = 400, 600, 900  # a test may have many cases of one thing
FUNCTION_GOAL, FUNCTION_MAX = 60, 120


def functions(text):
    """(name, first line, lines) of each function; relies on the format that clang-format gives."""
    begin = name = None
    for number, line in lint.numbered(lint.without_comments(text)):
        if begin is None and re.match(r"[A-Za-z_]", line):
            match = re.search(r"([A-Za-z_][A-Za-z0-9_]*)\(", line)
            name = match.group(1) if match else name
            if line.endswith("{") and not re.match(r"(typedef|struct|enum|union)\b[^(]*\{$|.*=\s*\{$", line):
                begin = number
        elif begin is None and re.match(r"\s+\S.*\)\s*\{$", line):
            begin = number  # the arguments went over the line
        elif begin is not None and line == "}":
            yield name, begin, number - begin + 1
            begin = None


def check(tree):
    problems = []
    for path, text in lint.below(tree, lint.PRODUCT + ("bench", "tests")).items():
        lines = text.count("\n")
        lines_max = TEST_FILE_MAX if path.startswith("tests/") else FILE_MAX
        if lines > lines_max:
            problems.append(f"{path}: {lines} lines, more than {lines_max}")
        for name, begin, length in functions(text):
            if length > FUNCTION_MAX:
                problems.append(f"{path}:{begin}: {name}() has {length} lines, more than {FUNCTION_MAX}")
    return problems


def report(tree):
    files = {path: text.count("\n") for path, text in lint.below(tree, lint.PRODUCT).items()}
    sizes = [(length, path, name) for path, text in lint.below(tree, lint.PRODUCT, (".c",)).items()
             for name, _, length in functions(text)]
    if not files or not sizes:
        return
    lengths = sorted(length for length, _, _ in sizes)
    print(f"{len(files)} files, {sum(files.values())} lines; {len(sizes)} functions, "
          f"median {lengths[len(lengths) // 2]} lines")
    for path, lines in files.items():
        if lines > FILE_GOAL:
            print(f"note: {path} has {lines} lines (goal: {FILE_GOAL}); is there a second thing in it?")
    for length, path, name in sorted(sizes, reverse=True):
        if length > FUNCTION_GOAL:
            print(f"note: {path}: {name}() has {length} lines (goal: {FUNCTION_GOAL})")


if __name__ == "__main__":
    everything = lint.load()
    report(everything)
    body = "        x();\n" * (FUNCTION_MAX + 1)
    lint.run(check, {
        "a long file": {"daemon/x.c": "\n" * (FILE_MAX + 1)},
        "a long test": {"tests/unit/x.c": "\n" * (TEST_FILE_MAX + 1)},
        "a long function": {"daemon/x.c": f"static int f(int a) {{\n{body}}}\n"},
        "a long function with wrapped arguments": {"helper/x.c": f"int f(int a,\n      int b) {{\n{body}}}\n"},
    }, "find the second thing in it and give it a file or function of its own", everything)
