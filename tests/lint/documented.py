# SPDX-License-Identifier: LGPL-2.1-or-later
"""Words that callers see (error names, critical reasons, states), what the journal has of us (message ids, fields,
answers of polkit), and settings are documented where people look, all of them and no others."""

import re

import lint

MANAGER, DEVICE = "dbus/org.verge.Passthrough.Manager.xml", "dbus/org.verge.Passthrough.Device.xml"
SETTINGS, CONF_MAN = "helper/helper.c", "docs/man/verge-passthrough.conf.5"
JOURNAL_MAN, CATALOG = "docs/man/verge-passthroughd.8", "data/verge-passthrough.catalog"


def table(text, name):
    """The words of a DEFINE_STRING_TABLE() table."""
    match = re.search(rf"{name}_table\[[^]]*\]\s*=\s*\{{(.*?)\}};", text, re.S)
    return set(re.findall(r'=\s*"([^"]+)"', match.group(1))) if match else set()


def between(text, begin, end):
    match = re.search(begin + r"(.*?)" + end, text, re.S)
    return match.group(1) if match else ""


def items_before(xml, name):
    """The words that are items of the comment before this property."""
    comments = re.findall(rf'<!--((?:(?!-->).)*)-->\s*<property name="{name}"', xml, re.S)
    return set(re.findall(r'^ +"([a-z-]+)": ', comments[0], re.M)) if comments else set()


def compare(what, code, where, documented, problems):
    if not code:
        problems.append(f"{what}: the table in the code was not found")
    for word in sorted(code - documented):
        problems.append(f"{where}: does not document the {what} {word}")
    for word in sorted(documented - code):
        problems.append(f"{where}: documents the {what} {word}, which the code does not know")


def check_journal(tree, problems):
    """Message ids, fields, and what has become of questions to polkit."""
    section = between(tree[JOURNAL_MAN], r"\.SH JOURNAL\n", r"\.SH ")
    words = set(re.findall(r"^\.B (\S+)$", section, re.M))
    ids = set(re.findall(r'^#define AUDIT_ID_\w+ "([0-9a-f]{32})"', tree["include/audit.h"], re.M))
    compare("message id", ids, JOURNAL_MAN, {word for word in words if re.fullmatch(r"[0-9a-f]{32}", word)}, problems)
    compare("message id", ids, CATALOG, set(re.findall(r"^-- ([0-9a-f]{32})$", tree[CATALOG], re.M)), problems)
    for used in re.findall(r"MESSAGE_ID=([0-9a-f]+)", section):
        if used not in ids:
            problems.append(f"{JOURNAL_MAN}: an example looks for {used}, which is no message id")

    code = tree["common/audit-entry.c"]
    fields = set(re.findall(r'"(VERGE_[A-Z_]+)"', code))
    compare("field", fields, JOURNAL_MAN, {word for word in words if word.startswith("VERGE_")}, problems)
    for used in set(re.findall(r"VERGE_[A-Z_]+", section + tree[CATALOG])) - fields:
        problems.append(f"{JOURNAL_MAN} or {CATALOG}: speaks of {used}, which no entry has")

    answers = table(tree["common/polkit.c"], "polkit_verdict")
    listed = between(section, r"\.B VERGE_POLKIT_RESULT\n\.RS\n", r"\.RE\n")
    compare("answer of polkit", answers, JOURNAL_MAN,
            {word.replace("\\-", "-") for word in re.findall(r"^\.B (\S+)$", listed, re.M)}, problems)


def check(tree):
    problems = []
    check_journal(tree, problems)
    # This one goes out under a name of freedesktop.org.
    errors = table(tree["common/bus-error.c"], "failure_kind") - {"InteractionRequired"}
    listed = between(tree[MANAGER], r"Errors are named", r"Where polkit")
    compare("error", errors, MANAGER, set(re.findall(r"^    ([A-Z]\w+): \S", listed, re.M)), problems)

    # The manual page is made of the XML, which tests/lint/manual.py proves.
    reasons = table(tree["common/critical.c"], "critical_reason")
    compare("critical reason", reasons, DEVICE, items_before(tree[DEVICE], "Critical"), problems)
    states = table(tree.get("daemon/device.c", ""), "device_state")
    compare("state", states, DEVICE, items_before(tree[DEVICE], "State"), problems)

    listed = between(tree[CONF_MAN], r"\.SH THE FILE", r"\.SH ")
    compare("setting", set(re.findall(r'"([a-z][a-z-]+)="', tree[SETTINGS])), CONF_MAN,
            {word.replace("\\-", "-") for word in re.findall(r"^\.BI (\S+)= ", listed, re.M)}, problems)
    return problems


def sample(**changes):
    parts = {"error": '"Busy"', "error_xml": "Busy", "reason": '"swap"', "reason_xml": "swap",
             "state": '"host"', "state_xml": "host", "id": "0" * 32, "id_man": "0" * 32,
             "id_catalog": "0" * 32, "id_example": "0" * 32, "field": "VERGE_VERB", "field_man": "VERGE_VERB",
             "answer": '"not-asked"', "answer_man": "not\\-asked", "setting": "a-time", "setting_man": "a\\-time"} | changes
    return {
        "include/audit.h": f'#define AUDIT_ID_X "{parts["id"]}"\n',
        "common/audit-entry.c": f'append(d, "VERGE_POLKIT_RESULT", x);\nappend(d, "{parts["field"]}", x);\n',
        "common/polkit.c": f"polkit_verdict_table[A] = {{\n [B] = {parts['answer']},\n}};",
        CATALOG: f"-- {parts['id_catalog']}\n",
        JOURNAL_MAN: f".SH JOURNAL\njournalctl MESSAGE_ID={parts['id_example']}\n.B {parts['id_man']}\n"
                     f".B {parts['field_man']}\n"
                     f".B VERGE_POLKIT_RESULT\n.RS\n.TP\n.B {parts['answer_man']}\n.RE\n.SH END\n",
        "common/bus-error.c": f"failure_kind_table[A] = {{\n [B] = {parts['error']},\n}};",
        "common/critical.c": f"critical_reason_table[A] = {{\n [B] = {parts['reason']},\n}};",
        "daemon/device.c": f"device_state_table[A] = {{\n [B] = {parts['state']},\n}};",
        SETTINGS: f'#define SETTING "{parts["setting"]}="',
        CONF_MAN: f".SH THE FILE\n.TP\n.BI {parts['setting_man']}= N\n.SH END\n",
        MANAGER: f"Errors are named\n    {parts['error_xml']}: text\n Where polkit",
        DEVICE: f'<!-- What:\n  "{parts["reason_xml"]}": text -->\n<property name="Critical"/>'
                f'<!-- Where.\n  "{parts["state_xml"]}": text -->\n<property name="State"/>',
    }


if __name__ == "__main__":
    assert not check(sample()), check(sample())
    lint.run(check, {
        "an error that is not documented": sample(error='"Busy",\n [C] = "Late"'),
        "an error that does not exist": sample(error_xml="Busy: text\n    Never"),
        "a reason that is not documented": sample(reason='"swap",\n [C] = "console"'),
        "a reason that does not exist": sample(reason_xml='swap": text\n  "moon'),
        "a state that is not documented": sample(state='"host",\n [C] = "limbo"'),
        "tables that moved away": sample(error=""),
        "a message id that is not documented": sample(id_man="x"),
        "a message id of which the manual knows more": sample(id_man="0" * 32 + "\n.B " + "1" * 32),
        "a message id that the catalog lacks": sample(id_catalog="1" * 32),
        "an example that finds nothing": sample(id_example="0" * 31 + "1"),
        "a field that is not documented": sample(field="VERGE_NEW"),
        "a field that does not exist": sample(field_man="VERGE_VERB\n.B VERGE_OLD"),
        "a setting that is not documented": sample(setting='a-time=" "b-time'),
        "a setting that does not exist": sample(setting_man="b\\-time"),
        "an answer that is not documented": sample(answer='"not-asked",\n [C] = "yes"'),
        "an answer that does not exist": sample(answer_man="not\\-asked\n.B maybe"),
    }, "document the word in the XML, in docs/man and in the catalog, or remove it there")
