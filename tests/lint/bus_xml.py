# SPDX-License-Identifier: LGPL-2.1-or-later
"""The XML of the D-Bus interfaces, the bus policy and the polkit policy: well formed, by the rules of their formats,
and every part of an interface explained."""

import re
import shutil
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import lint

POLKIT_DTD = Path("/usr/share/polkit-1/policyconfig-1.dtd")

# What may stand in what: children and attributes ("!" marks a required one).
RULES = {
    "node": ({"interface", "node"}, {"name"}),
    "interface": ({"method", "signal", "property", "annotation"}, {"!name"}),
    "method": ({"arg", "annotation"}, {"!name"}),
    "signal": ({"arg", "annotation"}, {"!name"}),
    "property": ({"annotation"}, {"!name", "!type", "!access"}),
    "arg": ({"annotation"}, {"!name", "!type", "direction"}),
    "annotation": (set(), {"!name", "!value"}),
}
BUS_CONFIG = {
    "busconfig": ({"policy"}, set()),
    "policy": ({"allow", "deny"}, {"context", "user"}),
    "allow": (set(), {"own", "send_destination", "send_interface"}),
    "deny": (set(), {"own", "send_destination", "send_type"}),
}


def one_type(signature):
    """The rest after one complete type, or None when there is none (D-Bus specification, Type System)."""
    if not signature:
        return None
    head, rest = signature[0], signature[1:]
    if head in "ybnqiuxtdhsogv":
        return rest
    if head == "a" and rest.startswith("{"):
        if len(rest) < 2 or rest[1] not in "ybnqiuxtdhsog":
            return None
        rest = one_type(rest[2:])
        return rest[1:] if rest and rest[0] == "}" else None
    if head == "a":
        return one_type(rest)
    if head == "(":
        rest = one_type(rest)
        while rest and rest[0] != ")":
            rest = one_type(rest)
        return rest[1:] if rest else None
    return None


def check_tree(element, rules, where, problems):
    children, attributes = rules[element.tag]
    for child in element:
        if child.tag not in children:
            problems.append(f"{where}: <{child.tag}> in <{element.tag}>")
        else:
            check_tree(child, rules, where, problems)
    for attribute in element.attrib:
        if attribute not in {a.lstrip("!") for a in attributes}:
            problems.append(f"{where}: <{element.tag}> has no attribute {attribute}")
    for attribute in attributes:
        if attribute.startswith("!") and attribute[1:] not in element.attrib:
            problems.append(f"{where}: a <{element.tag}> without {attribute[1:]}")


def check_members(interface, where, problems):
    seen = set()
    for member in interface:
        name = member.get("name", "")
        if member.tag == "annotation":
            continue
        if not re.fullmatch(r"[A-Z][A-Za-z0-9]*", name) or name in seen:
            problems.append(f"{where}: {member.tag} {name}: a name in CamelCase, once")
        seen.add(name)
        if member.tag == "property" and (one_type(member.get("type", "")) != "" or member.get("access") != "read"):
            problems.append(f"{where}: property {name}: one complete type, access read")
        for arg in member.iter("arg"):
            direction = arg.get("direction")
            if one_type(arg.get("type", "")) != "":
                problems.append(f"{where}: {name}: '{arg.get('type')}' is not one complete type")
            if direction not in ({"in", "out"} if member.tag == "method" else {None, "out"}):
                problems.append(f"{where}: {name}: argument {arg.get('name')} goes '{direction}'")


def check_comments(path, text, interface, problems):
    """A method or signal begins its own comment with its name; properties may share one."""
    for member in interface:
        name = member.get("name")
        if member.tag in ("method", "signal") and not re.search(rf"<!--[^>]*\b{name}\b[^>]*:", text):
            problems.append(f"{path}: {member.tag} {name} has no comment that says what it does")


def check(tree):
    problems = []
    for path, text in tree.items():
        if not path.endswith((".xml", ".conf", ".policy")) or "<?xml" not in text:
            continue
        try:
            top = ElementTree.fromstring(text.encode())
        except ElementTree.ParseError as error:
            problems.append(f"{path}: {error}")
            continue
        if path.startswith("dbus/") and path.endswith(".conf"):
            check_tree(top, BUS_CONFIG, path, problems)
        elif path.startswith("dbus/"):
            check_tree(top, RULES, path, problems)
            for interface in top.iter("interface"):
                if f"{interface.get('name')}.xml" != path.split("/")[-1]:
                    problems.append(f"{path}: describes {interface.get('name')}, so it should have that name")
                check_members(interface, path, problems)
                check_comments(path, text, interface, problems)
    return problems


def xmllint(tree):
    """The same with libxml2, and polkit's own DTD where it is at hand."""
    problems = []
    for path in tree:
        if not path.endswith((".xml", ".conf", ".policy")) or "<?xml" not in tree[path]:
            continue
        arguments = ["--noout", "--nonet"]
        if path.endswith(".policy") and POLKIT_DTD.exists():
            arguments += ["--dtdvalid", str(POLKIT_DTD)]
        result = lint.command("xmllint", *arguments, str(lint.root() / path))
        if result.returncode != 0:
            problems.append(f"{path}: {result.stderr}")
    return problems


def interface_with(body):
    return {"dbus/org.x.Y.xml": f"<?xml version='1.0'?><node><interface name='org.x.Y'>{body}</interface></node>"}


if __name__ == "__main__":
    everything = lint.load()
    if shutil.which("xmllint"):
        for problem in xmllint(everything):
            print(problem)
            raise SystemExit(1)
    else:
        print("note: xmllint is not installed; only Python's parser looked")
    lint.run(check, {
        "XML that is not well formed": {"dbus/x.xml": "<?xml version='1.0'?><node>"},
        "an unknown element": interface_with("<function name='F'/>"),
        "an argument without direction": interface_with("<!-- F: --><method name='F'><arg name='a' type='s'/></method>"),
        "a broken signature": interface_with("<!-- F: --><signal name='F'><arg name='a' type='a{vs}'/></signal>"),
        "two types in one": interface_with("<property name='P' type='ss' access='read'/>"),
        "a writable property": interface_with("<property name='P' type='s' access='readwrite'/>"),
        "a method without comment": interface_with("<method name='F'/>"),
        "a file with another name": {"dbus/a.xml": interface_with("")["dbus/org.x.Y.xml"]},
        "a bus policy that allows all": {"dbus/x.conf": "<?xml version='1.0'?><busconfig><policy context='default'>"
                                                        "<allow eavesdrop='true'/></policy></busconfig>"},
    }, "see the D-Bus specification, Introspection Data Format", everything)
