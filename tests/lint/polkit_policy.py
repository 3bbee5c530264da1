# SPDX-License-Identifier: LGPL-2.1-or-later
"""The polkit policy says what docs/security.md says, knows each action that the code uses and no other, and each
detail that a message shows is passed by the code. polkit drops a whole file silently for one bad value, so this
cannot be left to it."""

import re
import xml.etree.ElementTree as ElementTree

import lint

POLICY = "polkit/org.verge.Passthrough.policy"
NAMES = "include/names.h"
PREFIX = "org.verge.Passthrough."
OWNER = ("org.freedesktop.policykit.owner", "unix-user:verge-passthrough")

# action -> the default, for any, inactive and active sessions alike; the process that asks; its annotations
EXPECTED = {
    "manage": ("auth_admin_keep", "daemon", [OWNER]),
    "claim": ("auth_admin_keep", "daemon", [OWNER]),
    "grant": ("auth_admin", "helper", []),
    "grant-critical": ("auth_admin", "helper", []),
    "revoke": ("auth_admin", "helper", []),
}


def actions_of(text):
    return {action.get("id"): action for action in ElementTree.fromstring(text.encode()).iter("action")}


def check_action(name, action, tree, problems):
    default, asker, annotations = EXPECTED[name]
    for session in ("allow_any", "allow_inactive", "allow_active"):
        value = (action.findtext(f"defaults/{session}") or "").strip()
        if value != default:
            problems.append(f"{POLICY}: {name}: {session} is '{value}', not '{default}'")
    found = [(a.get("key"), a.text) for a in action.iter("annotate")]
    if found != annotations:
        problems.append(f"{POLICY}: {name}: annotations {found}, not {annotations}")
    if not action.findtext("description") or not action.findtext("message"):
        problems.append(f"{POLICY}: {name}: needs a description and a message")
    code = "".join(lint.below(tree, (asker,)).values())
    for key in re.findall(r"\$\(([^)]*)\)", action.findtext("message") or ""):
        if f'"{key}"' not in code:
            problems.append(f"{POLICY}: {name}: the message shows $({key}), which nothing in {asker}/ passes")


def check(tree):
    try:
        actions = actions_of(tree[POLICY])
    except ElementTree.ParseError as error:
        return [f"{POLICY}: {error}"]
    problems = []
    used = {}  # action -> who uses it
    for macro, action in re.findall(r'#define (POLKIT_ACTION_\w+) "([^"]+)"', tree[NAMES]):
        used[action] = [path for path, text in lint.below(tree, ("daemon", "helper")).items()
                        if re.search(rf"\b{macro}\b", lint.without_comments(text))]
        if not used[action]:
            problems.append(f"{NAMES}: {macro} is used nowhere")
    for path, text in lint.below(tree, ("common", "daemon", "helper")).items():
        for action in re.findall(rf'"({re.escape(PREFIX)}[a-z][a-z-]*)"', lint.without_comments(text)):
            problems.append(f"{path}: names {action} itself; use the macro of {NAMES}")

    for action in used.keys() - actions.keys():
        problems.append(f"{POLICY}: does not know {action}, so polkit denies it")
    for action in actions.keys() - used.keys():
        problems.append(f"{POLICY}: {action} is used nowhere")
    for action, element in actions.items():
        name = action.removeprefix(PREFIX)
        if name not in EXPECTED:
            problems.append(f"{POLICY}: {action} is not in the table of tests/lint/polkit_policy.py")
        else:
            check_action(name, element, tree, problems)
    return problems


def policy(name, default, extra=""):
    return (f"<policyconfig><action id='{PREFIX}{name}'><description>d</description><message>m $(device)</message>"
            f"<defaults><allow_any>{default}</allow_any><allow_inactive>{default}</allow_inactive>"
            f"<allow_active>{default}</allow_active></defaults>{extra}</action></policyconfig>")


def sample(text, names=f'#define POLKIT_ACTION_GRANT "{PREFIX}grant"\n', **code):
    return {POLICY: text, NAMES: names, "helper/verb.c": code.get("code", 'ask(POLKIT_ACTION_GRANT, "device");\n')}


if __name__ == "__main__":
    assert not check(sample(policy("grant", "auth_admin")))
    owner = f"<annotate key='{OWNER[0]}'>{OWNER[1]}</annotate>"
    lint.run(check, {
        "a policy that is not XML": sample("<policyconfig>"),
        "a value that polkit does not know": sample(policy("grant", "auth_admn")),
        "a default that is too weak": sample(policy("grant", "yes")),
        "a consent that is kept": sample(policy("grant", "auth_admin_keep")),
        "an owner who may ask for himself": sample(policy("grant", "auth_admin", owner)),
        "an action that nobody defined": sample(policy("grant", "auth_admin"), names="\n"),
        "an action that is missing": sample("<policyconfig/>"),
        "an action that is not used": sample(policy("grant", "auth_admin"), code="\n"),
        "a detail that is not passed": sample(policy("grant", "auth_admin"), code="ask(POLKIT_ACTION_GRANT);\n"),
        "an action written out": sample(policy("grant", "auth_admin"),
                                        code=f'ask(POLKIT_ACTION_GRANT, "device", "{PREFIX}grant");\n'),
    }, "make the policy, include/names.h, the code and docs/security.md say the same")
