#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""test_schema.py STAGE TOOL SOURCE: what each command prints with --json is what docs/passthroughctl.schema.json says, and
that says of the service's objects what dbus/*.xml does. TAP."""

import json
import re
import sys
import xml.etree.ElementTree as ET
from pathlib import Path

from stage import Stage

try:
    from jsonschema import Draft202012Validator
except ImportError:
    print("1..0 # SKIP python3-jsonschema is missing (or older than 4.0); tools/install-deps test installs it")
    sys.exit(0)

NIC, MANAGER = "/org/verge/Passthrough/device/_30000_3a01_3a00_2e0", "org.verge.Passthrough.Manager"
CALL = ("busctl", "--quiet", "call", "org.verge.Passthrough", "/org/verge/Passthrough", MANAGER)

# Before the first command: a group with a device that a VM has, rules that overlap, a device that no group has, and
# virtual functions, of which a VM has one.
PORT = NIC.replace("_3a01_", "_3a06_")
SCENE = [
    (*CALL, "MakePassthrough", "aosa{sv}", "1", NIC, "NICs", "0"),
    (*CALL, "MakePassthrough", "aosa{sv}", "1", PORT, "Ports", "2", "type", "s", "sriov-nic", "sriov", "a{sv}", "3", "vfs", "u", "2",
     "vlan", "u", "100", "overridable", "as", "2", "mac", "trust"),
    ("passthroughctl", "group", "add", "Others", "--description", "Two\nlines"),
    ("passthroughctl", "rule", "add", "Others", "late", "vendor bw 'Intel'"),
    ("passthroughctl", "claim", "add", "vm", "NICs", "--name", "one"),
    ("passthroughctl", "claim", "add", "idle", "NICs"),
    ("passthroughctl", "claim", "add", "ported", "Ports", "--count", "2", "--trust", "on"),
    (*CALL, "StartVm", "sa{sv}", "vm", "3", "track", "s", "manual", "access", "s", "acl", "memory", "t", "4294967296"),
    (*CALL, "StartVm", "sa{sv}", "ported", "2", "track", "s", "manual", "access", "s", "acl"),
]

# command: (words behind it, what comes: a name of $defs, in a list or alone, exit status; None: its transcript tells)
LIST, ALONE = "list of", "one"
COMMANDS = {
    "list": [("", LIST, "Device", 0), ("--iommu", LIST, "Device", 0), ("name eq 'nothing'", LIST, "Device", 0)],
    "show": [("", ALONE, "Host", 0), ("01:00.0", LIST, "Device", 0), ("0a:10.0|05:02.0", LIST, "Device", 0)],
    "check": [("01:00.0", LIST, "Check", None), ("05:02.0", LIST, "Check", None)],
    "plan": [("01:00.0", LIST, "Plan", None), ("05:02.0", LIST, "Plan", None)],
    "vfs": [("", LIST, "Device", 0), ("06:10.1", LIST, "Device", 0), ("08:00.0|2", LIST, "Device", 0)],
    "group list": [("", LIST, "Group", 0)],
    "group show": [("NICs|Others|Ports", LIST, "Group", 0)],
    "group add": [("New", ALONE, "Group", 0), ("Newer|--type|sriov-nic|--vfs|2|--max-rate|50", ALONE, "Group", 0)],
    "group edit": [("Others|--description|changed", ALONE, "Group", 0), ("Ports|--spoof-checking|on", ALONE, "Group", 0)],
    "rule list": [("", LIST, "Rule", 0), ("--group|Others", LIST, "Rule", 0)],
    "rule show": [("late", LIST, "Rule", 0)],
    "rule add": [("Others|more|name eq 'x'", ALONE, "Rule", 0)],
    "rule edit": [("late|--disable", ALONE, "Rule", 0), ("late|--enable", ALONE, "Rule", 0)],
    "rule preview": [("vendor bw 'Intel'", ALONE, "Preview", 0), ("name eq 'x'", ALONE, "Preview", 0)],
    "rule explain": [("late|01:00.0", ALONE, "Explain", 0), ("late|05:02.0", ALONE, "Explain", 5)],
    "claim list": [("", LIST, "Claim", 0), ("--group|Others", LIST, "Claim", 0)],
    "claim show": [("one", LIST, "Claim", 0), ("ported", LIST, "Claim", 0)],
    "claim add": [("vm2|Others", ALONE, "Claim", 0)],
    "claim edit": [("one|--order|3", ALONE, "Claim", 0), ("ported|--trust|group", ALONE, "Claim", 0)],
    "vm list": [("", LIST, "Vm", 0)],
    "vm arguments": [("vm", ALONE, "Arguments", 0)],
    "doctor": [("", LIST, "Finding", None)],
}
ELSEWHERE = {"monitor"}  # runs until it is ended: its own test asks check_value()

OBJECTS = {"Host": "Manager", "Device": "Device", "Group": "Group", "Rule": "Rule", "Claim": "Claim"}
# JSON has a word for "none".
TYPES = {"s": "string", "b": "boolean", "d": "number", "o": ("string", "null"), "a": "array"} | dict.fromkeys("ynqiuxt", "integer")
NULLABLE = {"ConfirmUser", "IommuSet"}
NEVER_NONE = {("Rule", "Group"), ("Claim", "Group")}


def load_schema(source):
    schema = json.loads((Path(source) / "docs/passthroughctl.schema.json").read_text(encoding="utf-8"))
    Draft202012Validator.check_schema(schema)
    return schema


def check_value(schema, how, name, value):
    """What is wrong with an answer, a line for each."""
    reference = {"$ref": f"#/$defs/{name}"}
    wanted = {"$defs": schema["$defs"], **({"type": "array", "items": reference} if how == LIST else reference)}
    return [f"{'/'.join(map(str, e.absolute_path))}: {e.message}" for e in Draft202012Validator(wanted).iter_errors(value)]


def xml_properties(source, interface):
    root = ET.parse(Path(source) / f"dbus/org.verge.Passthrough.{interface}.xml").getroot()
    return {p.get("name"): p.get("type") for p in root.iter("property")}


def expected_type(name, key, signature):
    kind = "object" if signature == "a{sv}" else TYPES[signature[0]]
    if (name, key) in NEVER_NONE:
        return "string"
    return [kind, "null"] if key in NULLABLE else list(kind) if isinstance(kind, tuple) else kind


def compare_with_xml(schema, source, name):
    """What the schema of an object says otherwise than the XML."""
    described = dict(schema["$defs"][name]["properties"])
    on_bus = xml_properties(source, OBJECTS[name])
    problems = [] if name == "Host" or described.pop("Path", None) else ["Path is missing"]
    problems += [f"{key} stands only on one side" for key in described.keys() ^ on_bus.keys()]
    for key in described.keys() & on_bus.keys():
        type_ = described[key].get("type", "object" if "$ref" in described[key] else "string" if "enum" in described[key] else None)
        if type_ != expected_type(name, key, on_bus[key]):
            problems.append(f"{key} is {on_bus[key]} on the bus and {type_} in the schema")
    if set(schema["$defs"][name]["required"]) != set(schema["$defs"][name]["properties"]):
        problems.append("not all are required")
    return problems


def commands_with_json(stage):
    """All of the tool, by its help."""
    text = stage.run("passthroughctl", "help").stdout
    names = [" ".join(w for w in m[1].split() if re.fullmatch("[a-z]+", w)) for m in re.finditer(r"^  ([a-z]+( [a-z]+)?)\b", text, re.M)]
    return [name for name in names if "--json" in stage.run("passthroughctl", "help", *name.split()).stdout]


class Tap:
    def __init__(self):
        self.n = self.failed = 0

    def judge(self, name, problems):
        self.n += 1
        self.failed += bool(problems)
        print(f"{'not ok' if problems else 'ok'} {self.n} - {name}", flush=True)
        for problem in problems:
            print(f"#   {problem}", flush=True)

    def end(self):
        print(f"1..{self.n}")
        return 1 if self.failed else 0


def run_command(stage, schema, command, words, how, name, code):
    done = stage.run("passthroughctl", *command.split(), *filter(None, words.split("|")), "--json")
    if code is not None and done.returncode != code:
        return [f"ended with {done.returncode}, not {code}: {done.stderr}"]
    try:
        value = json.loads(done.stdout)
    except ValueError as error:
        return [f"{error}: {done.stdout!r} {done.stderr!r}"]
    return check_value(schema, how, name, value)


def run_all(stage, schema, tap):
    for words in SCENE:
        if words[-1] == "acl":
            stage.order("until 0000:06:10.0 Eligible true")
            stage.order("until 0000:06:10.1 Eligible true")
        done = stage.run(*words)
        tap.judge("scene: " + " ".join(words[:4]).replace("#", ""), [done.stderr] if done.returncode else [])
    offered = commands_with_json(stage)
    tap.judge("each command that takes --json has a case here",
              [f"'{c}' has none" for c in offered if c not in COMMANDS and c not in ELSEWHERE] +
              ([] if "list" in offered else ["the help cannot be read"]))
    for command, cases in COMMANDS.items():
        for words, *rest in cases:
            if command in offered:
                tap.judge(f"{command} {words}", run_command(stage, schema, command, words, *rest))


def run_blind(schema, tap):
    """The schema finds what is wrong."""
    group = {"Name": "x"}
    tap.judge("an object that lacks properties is wrong", [] if check_value(schema, ALONE, "Group", group) else ["it passed"])
    explain = {"Device": "", "Matches": True, "Rule": "", "Why": ""}
    tap.judge("an answer as it should be is right", check_value(schema, ALONE, "Explain", explain))
    for value in ({**explain, "More": 1}, {**explain, "Matches": "yes"}, [explain]):
        tap.judge("an answer with something else is wrong", [] if check_value(schema, ALONE, "Explain", value) else ["it passed"])


def main():
    program, tool, source = sys.argv[1:]
    schema, tap = load_schema(source), Tap()
    run_blind(schema, tap)
    for name in OBJECTS:
        tap.judge(f"{name} is as on the bus", compare_with_xml(schema, source, name))
    with Stage(program, tool, start=False) as stage:
        stage.order("sriov")
        stage.order("ports")
        stage.order("start")
        run_all(stage, schema, tap)
    return tap.end()


if __name__ == "__main__":
    sys.exit(main())
