# SPDX-License-Identifier: LGPL-2.1-or-later
"""Each method has a row in a table that says who may call it, and the tables name nothing else: in the daemon
daemon/authorisation.c, in the helper the verbs of helper/verb.c."""

import re
import xml.etree.ElementTree as ElementTree

import lint

DAEMON_TABLE, VERBS = "daemon/authorisation.c", "helper/verb.c"
HELPER_XML = "dbus/org.verge.Passthrough.Helper.xml"
ROW = re.compile(r'\{\s*BUS_INTERFACE_(\w+),\s*"(\w+)",\s*AUTHORISATION_(\w+),\s*(\w+)\s*\}')
VERB = re.compile(r'\{\s*"(\w+)",\s*"([^"]*)",\s*"([^"]*)",')
METHOD = re.compile(r'\bSD_BUS_METHOD(?:_WITH_\w+)?\(\s*"(\w+)"')


def documented(tree, path):
    """method -> (in signature, out signature) of an interface's XML."""
    top = ElementTree.fromstring(tree[path].encode())
    return {method.get("name"): tuple("".join(arg.get("type") for arg in method.iter("arg")
                                              if arg.get("direction") == direction) for direction in ("in", "out"))
            for method in top.iter("method")}


def check_daemon(tree, problems):
    rows = {(interface, member): (kind, action) for interface, member, kind, action
            in ROW.findall(lint.without_comments(tree[DAEMON_TABLE]))}
    methods = {}
    for path, text in lint.below(tree, ("daemon",), ("-bus.c",)).items():
        interface = path.removeprefix("daemon/").removesuffix("-bus.c").upper().replace("-", "_")
        methods |= {(interface, name): path for name in METHOD.findall(lint.without_comments(text))}
    for path, text in lint.below(tree, ("daemon",), (".c",)).items():
        if METHOD.search(lint.without_comments(text)) and not path.endswith("-bus.c"):
            problems.append(f"{path}: has methods; their place is NOUN-bus.c, where this lint sees them")
    for key in methods.keys() - rows.keys():
        problems.append(f"{methods[key]}: {key[1]} has no row in {DAEMON_TABLE}: nobody may call it")
    for key in rows.keys() - methods.keys():
        problems.append(f"{DAEMON_TABLE}: {key[0]} {key[1]} is a method of nothing")
    for (interface, member), (kind, action) in rows.items():
        if (kind == "OPEN") != (action == "NULL"):
            problems.append(f"{DAEMON_TABLE}: {interface} {member}: {kind} goes not with {action}")
        path = f"dbus/org.verge.Passthrough.{interface.capitalize()}.xml"
        if path not in tree or member not in documented(tree, path):
            problems.append(f"{path}: does not describe {member}")


def check_helper(tree, problems):
    verbs = {name: (takes, gives) for name, takes, gives in VERB.findall(lint.without_comments(tree[VERBS]))}
    described = documented(tree, HELPER_XML)
    for name in verbs.keys() ^ described.keys():
        problems.append(f"{name}: only in one of {VERBS} and {HELPER_XML}")
    for name in verbs.keys() & described.keys():
        if verbs[name] != described[name]:
            problems.append(f"{VERBS}: {name}: {verbs[name]}, but {HELPER_XML} says {described[name]}")
    for path, text in lint.below(tree, ("helper",)).items():
        for name in METHOD.findall(lint.without_comments(text)):
            if name not in verbs:
                problems.append(f"{path}: {name} is not in the closed table of {VERBS}")


def check(tree):
    problems = []
    for path in (DAEMON_TABLE, VERBS, HELPER_XML):
        if path not in tree:
            return [f"{path} is missing"]
    check_daemon(tree, problems)
    check_helper(tree, problems)
    return problems


def sample(row='{ BUS_INTERFACE_DEVICE, "Bind", AUTHORISATION_POLKIT, POLKIT_ACTION_MANAGE },',
           method='SD_BUS_METHOD("Bind", "", "", f, 0),', verb='{"Bind", "s", "", MOVE_BIND},', more=""):
    xml = '<node><interface name="x"><method name="Bind">{}</method></interface></node>'
    return {DAEMON_TABLE: row, "daemon/device-bus.c": method, "daemon/device.c": more, VERBS: verb,
            "dbus/org.verge.Passthrough.Device.xml": xml.format(""),
            HELPER_XML: xml.format('<arg name="device" type="s" direction="in"/>')}


if __name__ == "__main__":
    assert not check(sample())
    lint.run(check, {
        "a method without a row": sample(row=""),
        "a row that is commented out": sample(row='/* { BUS_INTERFACE_DEVICE, "Bind", AUTHORISATION_OPEN, NULL }, */'),
        "a row without a method": sample(method=""),
        "a row of another interface": sample(
            row='{ BUS_INTERFACE_MANAGER, "Bind", AUTHORISATION_POLKIT, POLKIT_ACTION_MANAGE },'),
        "an open row with an action": sample(
            row='{ BUS_INTERFACE_DEVICE, "Bind", AUTHORISATION_OPEN, POLKIT_ACTION_MANAGE },'),
        "a method that nobody sees": sample(more='SD_BUS_METHOD("Steal", "", "", f, 0),'),
        "a verb that is not documented": sample(verb='{"Bind", "s", "", 1}, {"Remove", "s", "", 2},'),
        "a verb with another signature": sample(verb='{"Bind", "ss", "", MOVE_BIND},'),
        "a verb that is missing": sample(verb=""),
    }, "give the method a row in the table, a place in the XML, and both the same signature")
