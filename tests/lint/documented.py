# SPDX-License-Identifier: LGPL-2.1-or-later
"""Words that callers see (error names, critical reasons, states) are documented where callers look, all of them and
no others."""

import re

import lint

MANAGER, DEVICE = "dbus/org.verge.Passthrough.Manager.xml", "dbus/org.verge.Passthrough.Device.xml"
MAN = "docs/man/org.verge.Passthrough.7"


def table(text, name):
    """The words of a DEFINE_STRING_TABLE() table."""
    match = re.search(rf"{name}_table\[[^]]*\]\s*=\s*\{{(.*?)\}};", text, re.S)
    return set(re.findall(r'=\s*"([^"]+)"', match.group(1))) if match else set()


def between(text, begin, end):
    match = re.search(begin + r"(.*?)" + end, text, re.S)
    return match.group(1) if match else ""


def compare(what, code, where, documented, problems):
    if not code:
        problems.append(f"{what}: the table in the code was not found")
    for word in sorted(code - documented):
        problems.append(f"{where}: does not document the {what} {word}")
    for word in sorted(documented - code):
        problems.append(f"{where}: documents the {what} {word}, which the code does not know")


def check(tree):
    problems = []
    # This one goes out under a name of freedesktop.org.
    errors = table(tree["common/bus-error.c"], "failure_kind") - {"InteractionRequired"}
    listed = between(tree[MANAGER], r"Errors are named", r"Where polkit")
    compare("error", errors, MANAGER, set(re.findall(r"^    ([A-Z]\w+)  +\S", listed, re.M)), problems)
    compare("error", errors, MAN, set(re.findall(r"^\.B ([A-Z]\w+)$", between(tree[MAN], r"\.SH ERRORS", r"\.SH "),
                                                 re.M)), problems)

    reasons = table(tree["common/critical.c"], "critical_reason")
    listed = between(tree[DEVICE], r"What the host would lose:", r"-->")
    compare("critical reason", reasons, DEVICE, set(re.findall(r'"([a-z-]+)"', listed)), problems)
    compare("critical reason", reasons, MAN,
            set(re.findall(r"^\.B ([a-z-]+)$", between(tree[MAN], r"\.SH CRITICAL REASONS", r"\.SH "), re.M)), problems)

    states = table(tree.get("daemon/device.c", ""), "device_state")
    listed = between(tree[DEVICE], r'-->\s*<property name="Granted"', r'<property name="State"')
    compare("state", states, DEVICE, set(re.findall(r'"([a-z]+)" ?\(', '"host" (' + listed)), problems)
    return problems


def sample(**changes):
    parts = {"error": '"Busy"', "error_xml": "Busy", "error_man": "Busy", "reason": '"swap"', "reason_xml": '"swap"',
             "reason_man": "swap", "state": '"host"', "state_xml": ""} | changes
    return {
        "common/bus-error.c": f"failure_kind_table[A] = {{\n [B] = {parts['error']},\n}};",
        "common/critical.c": f"critical_reason_table[A] = {{\n [B] = {parts['reason']},\n}};",
        "daemon/device.c": f"device_state_table[A] = {{\n [B] = {parts['state']},\n}};",
        MANAGER: f"Errors are named\n    {parts['error_xml']}    text\n Where polkit",
        DEVICE: f"What the host would lose: {parts['reason_xml']} -->\n --> <property name=\"Granted\""
                f" {parts['state_xml']} <property name=\"State\"",
        MAN: f".SH ERRORS\n.B {parts['error_man']}\n.SH CRITICAL REASONS\n.B {parts['reason_man']}\n.SH END\n",
    }


if __name__ == "__main__":
    assert not check(sample()), check(sample())
    lint.run(check, {
        "an error that is not documented": sample(error='"Busy",\n [C] = "Late"'),
        "an error that does not exist": sample(error_xml="Busy    text\n    Never"),
        "a man page that is behind": sample(error_man="Never"),
        "a reason that is not documented": sample(reason='"swap",\n [C] = "console"'),
        "a reason that does not exist": sample(reason_xml='"swap", "moon"'),
        "a state that is not documented": sample(state='"host",\n [C] = "limbo"'),
        "tables that moved away": sample(error=""),
    }, "document the word in the XML and in docs/man, or remove it there")
