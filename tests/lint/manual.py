# SPDX-License-Identifier: LGPL-2.1-or-later
"""The manual page of the D-Bus interface is what tools/bus-manual makes of the XML: nothing of it is written by hand,
each member has a comment of its own, what methods say of polkit is what daemon/authorisation.c asks, and man takes the
page without a warning."""

import importlib.machinery
import importlib.util
import shutil

import lint
from methods import DAEMON_TABLE, ROW


def load_generator():
    path = str(lint.root() / "tools" / "bus-manual")
    loader = importlib.machinery.SourceFileLoader("bus_manual", path)
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader("bus_manual", loader))
    loader.exec_module(module)
    return module


GENERATOR = load_generator()


def warnings(page):
    """What groff and mandoc say; man.py asks groff for all pages, but this one is also read where mandoc is man."""
    problems = []
    if shutil.which("groff"):
        problems += lint.command("groff", "-man", "-Tutf8", "-ww", "-z", "-K", "utf8", input=page).stderr.splitlines()
    if shutil.which("mandoc"):
        said = lint.command("mandoc", "-T", "lint", "-W", "warning", input=page).stdout.splitlines()
        problems += [line for line in said if "missing date" not in line]  # a date would have to be kept
    return [f"{GENERATOR.PAGE}: {line}" for line in problems]


def check_polkit(tree):
    """An open method says that polkit is asked nothing, any other names the action."""
    problems = []
    rows = ROW.findall(lint.without_comments(tree.get(DAEMON_TABLE, "")))
    for interface, member, kind, action in rows:
        path = f"dbus/org.verge.Passthrough.{interface.capitalize()}.xml"
        texts = {element.get("name"): text for element, text in GENERATOR.Interface(path, tree[path]).members}
        said = GENERATOR.polkit_of(texts.get(member, "")) or ""
        name = action.removeprefix("POLKIT_ACTION_").lower().replace("_", "-")
        if said.startswith("as "):  # "as StartVm."
            said = GENERATOR.polkit_of(texts.get(said.split()[1].rstrip("."), "")) or ""
        if not (said.startswith("nothing") and "org.verge" not in said if kind == "OPEN"
                else f"org.verge.Passthrough.{name}" in said):
            problems.append(f"{path}: {member} says of polkit '{said}', but {DAEMON_TABLE} has {kind} {action}")
    return problems


def check(tree):
    if GENERATOR.FRAME not in tree:
        return [f"{GENERATOR.FRAME} is missing"]
    try:
        page = GENERATOR.write_page(tree)
    except GENERATOR.ManualError as error:
        return [str(error)]
    if tree.get(GENERATOR.PAGE) != page:
        return [f"{GENERATOR.PAGE} is not what the XML says now"]
    return check_polkit(tree) + warnings(page)


HEAD = "<!--\n  The top.\n\n  Errors are named x.\n    Busy: text.\n-->\n"
MEMBER = ('    <!-- F: does\n         this.\n         a: what.\n           "x" (s), "y" (s): more.\n         polkit: org.verge.Passthrough.manage. -->\n'
          '    <method name="F"><arg name="a" type="s" direction="in"/></method>\n    <!-- What it is. -->\n'
          '    <property name="P" type="s" access="read"/>\n')
FRAME = '.\\" SPDX\n.TH x 5 ""\n.SH NAME\nx \\- y\n@INTERFACE Manager@\n.SH ERRORS\n@ERRORS@\n'


TABLE = '{ BUS_INTERFACE_MANAGER, "F", AUTHORISATION_POLKIT, POLKIT_ACTION_MANAGE },'


def sample(member=MEMBER, frame=FRAME, page=None, head=HEAD, table=TABLE):
    xml = f'<?xml version="1.0"?>\n{head}<node>\n  <interface name="org.verge.Passthrough.Manager">\n{member}' \
          "  </interface>\n</node>\n"
    tree = {"dbus/org.verge.Passthrough.Manager.xml": xml, GENERATOR.FRAME: frame, DAEMON_TABLE: table}
    try:
        made = GENERATOR.write_page(tree)
    except GENERATOR.ManualError:
        made = ""
    return tree | {GENERATOR.PAGE: made if page is None else made + page}


if __name__ == "__main__":
    assert not check(sample()), check(sample())
    assert "\\fBx\\fR (s), \\fBy\\fR (s)\nMore.\n" in sample()[GENERATOR.PAGE], sample()[GENERATOR.PAGE]
    lint.run(check, {
        "a page that was edited": sample(page="more\n"),
        "no frame": {},
        "a method without a comment": sample(MEMBER + '    <method name="G"/>\n'),
        "a property that shares a comment": sample(MEMBER + '    <property name="Q" type="s" access="read"/>\n'),
        "a comment of another member": sample(MEMBER.replace("F: does", "G: does")),
        "an item of which nothing is said": sample(MEMBER.replace('"x" (s), "y" (s): more.', '"x" (s):')),
        "an indented line of nothing": sample(MEMBER.replace("         a: what.", "         For\n           a what.")),
        "an interface that the page leaves out": sample(frame=FRAME.replace("@INTERFACE Manager@\n", "")),
        "an interface that does not exist": sample(frame=FRAME.replace("Manager@", "Managers@")),
        "a method that says nothing of polkit": sample(MEMBER.replace("polkit: ", "Polkit ")),
        "a method that names another action": sample(table=TABLE.replace("ACTION_MANAGE", "ACTION_CLAIM")),
        "an open method that names an action": sample(table=TABLE.replace("_POLKIT,", "_OPEN,")),
        "no table of errors": sample(head="<!--\n  The top.\n-->\n"),
        **({"a macro that does not exist": sample(frame=FRAME + ".NOSUCH x\n")} if shutil.which("groff") else {}),
    }, "describe it in dbus/*.xml or in the frame, then run tools/bus-manual and commit the page")
