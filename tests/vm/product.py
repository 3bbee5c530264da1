# SPDX-License-Identifier: LGPL-2.1-or-later
"""The product as its callers see it: busctl lines, and what they mean. Shared by the cases, the story and the bench."""

import json
import shlex

BUS = "org.verge.Passthrough"
ROOT = "/org/verge/Passthrough"
MANAGER = f"{BUS}.Manager"
DEVICE = f"{BUS}.Device"
GROUP = f"{BUS}.Group"
RULE = f"{BUS}.Rule"
HELPER = f"{BUS}.Helper"
HELPER_PATH = f"{ROOT}/Helper"
PCI = "/sys/bus/pci"
GRANTS = "/etc/verge-passthrough/grants.d"
PENDING = "/run/verge-passthrough/grants.d"
STORE = "/var/lib/verge-passthrough/store.db"

BUSCTL = ["busctl", "--allow-interactive-authorization=true", "--timeout=120"]


def path(address):
    """The object of a device, as sd_bus_path_encode(3) makes it."""
    first, rest = address[0], address[1:]
    escaped = f"_{ord(first):x}" if first.isdigit() else first
    return f"{ROOT}/device/" + escaped + "".join(c if c.isalnum() else f"_{ord(c):x}" for c in rest)


def call(object_path, interface, member, signature="", *words):
    """A busctl command line, as words."""
    return [*BUSCTL, "call", BUS, object_path, interface, member, *([signature] if signature else []),
            *(str(w) for w in words)]


def device_call(address, member):
    return call(path(address), DEVICE, member)


def grant_call(addresses, siblings=(), consent=()):
    options = []
    if siblings:
        options += ["siblings", "ao", len(siblings), *map(path, siblings)]
    if consent:
        options += ["consent", "as", len(consent), *consent]
    return call(ROOT, MANAGER, "Grant", "aoa{sv}", len(addresses), *map(path, addresses),
                bool(siblings) + bool(consent), *options)


def revoke_call(addresses):
    return call(ROOT, MANAGER, "Revoke", "ao", len(addresses), *map(path, addresses))


def root_grant_call(addresses, consent=()):
    """Root consents at the helper itself."""
    return ["busctl", "--timeout=120", "call", HELPER, HELPER_PATH, HELPER, "Grant", "asasbus", str(len(addresses)),
            *addresses, str(len(consent)), *consent, "false", "0", ""]


def root_grant_vfs_call(addresses):
    """The same for what is virtual of these, and not for themselves."""
    return ["busctl", "--timeout=120", "call", HELPER, HELPER_PATH, HELPER, "GrantVfs", "asbs", str(len(addresses)),
            *addresses, "false", ""]


def root_revoke_call(addresses):
    return ["busctl", "--timeout=120", "call", HELPER, HELPER_PATH, HELPER, "Revoke", "asbs", str(len(addresses)),
            *addresses, "false", ""]


def get(vm, address, name, interface=DEVICE):
    """A property, as JSON has it."""
    where = path(address) if interface == DEVICE else ROOT      # the manager has no address
    text = vm.sh(["busctl", "--json=short", "get-property", BUS, where, interface, name])
    return json.loads(text)["data"]


def objects(vm):
    """Everything: object path -> interface -> property -> value."""
    text = vm.sh(["busctl", "--json=short", "call", BUS, ROOT, "org.freedesktop.DBus.ObjectManager",
                  "GetManagedObjects"])
    tree = json.loads(text)["data"][0]
    return {p: {i: {n: v["data"] for n, v in properties.items()} for i, properties in interfaces.items()}
            for p, interfaces in tree.items()}


def devices(vm):
    """Address -> properties."""
    return {o[DEVICE]["Address"]: o[DEVICE] for o in objects(vm).values() if DEVICE in o}


def override(vm, address):
    text = vm.read(f"{PCI}/devices/{address}/driver_override").strip()
    return "" if text == "(null)" else text


def driver_of(vm, addresses):
    return {a: vm.driver(a) for a in addresses}


def restore(vm, addresses):
    """At home, without grant or override, however a case ended."""
    for address in addresses:
        vm.run(["busctl", "--timeout=120", *device_call(address, "Release")[3:]])
    vm.run(root_revoke_call(addresses))


# Groups, rules and what is made of them

def variants(**texts):
    """Arguments for a{sv} of strings, numbers, lists of strings and further ones; `_` in a name stands for `-`."""
    words = [word for name, value in texts.items() for word in (name.replace("_", "-"), *variant(value))]
    return [len(texts), *words]


def variant(value):
    if isinstance(value, bool):
        return ["b", str(value).lower()]
    if isinstance(value, int):
        return ["u", value]
    if isinstance(value, dict):
        return ["a{sv}", *variants(**value)]
    return ["s", value] if isinstance(value, str) else ["as", len(value), *value]


def make_call(addresses, group, **options):
    return call(ROOT, MANAGER, "MakePassthrough", "aosa{sv}", len(addresses), *map(path, addresses), group,
                *variants(**options))


def return_call(addresses):
    return call(ROOT, MANAGER, "ReturnToHost", "ao", len(addresses), *map(path, addresses))


def create_group(vm, name, **options):
    """As root; returns the object."""
    return answer(vm, call(ROOT, MANAGER, "CreateGroup", "ssa{sv}", name, "pci", *variants(**options)))[0]


def create_rule(vm, group, name, text, **options):
    return answer(vm, call(ROOT, MANAGER, "CreateRule", "ossa{sv}", group, name, text, *variants(**options)))[0]


def answer(vm, command, user="root"):
    """What a call returned, as JSON has it."""
    text = vm.sh(["busctl", "--json=short", *command[1:]], user=user, timeout=120)
    return json.loads(text)["data"] if text else []


def groups(vm):
    """Name -> (object, properties)."""
    return {o[GROUP]["Name"]: (p, o[GROUP]) for p, o in objects(vm).items() if GROUP in o}


def rules(vm):
    """Object -> properties."""
    return {p: o[RULE] for p, o in objects(vm).items() if RULE in o}


def drift(vm):
    """Address -> (kind, sentence)."""
    return {address: (kind, text) for kind, address, text in get(vm, "", "Drift", MANAGER)}


def says(object_path, interface, name, text):
    """Shell condition: this text is in what busctl shows of a property."""
    return f"busctl get-property {BUS} {object_path} {interface} {name} | grep -qF -- {shlex.quote(text)}"


def state_is(address, state):
    return says(path(address), DEVICE, "State", f'"{state}"')


def as_admin(vm, command, **kwargs):
    """Runs it as admin, who knows his password; it must succeed. Returns what the prompt showed."""
    result, log = vm.with_agent(command, password="admin", timeout=120, **kwargs)
    assert result.ok, f"{result.describe()}\n{log}"
    return log


def prompts(log):
    """How often polkit asked for a password."""
    return log.count("==== AUTHENTICATING FOR")


def clean(vm):
    """No group, no rule, no grant, all at home, however a case ended."""
    for object_path, _ in groups(vm).values():
        vm.run(["busctl", "--timeout=120", *call(object_path, GROUP, "Delete")[3:]], timeout=60)
    ids = get(vm, "", "GrantedIds", MANAGER)
    granted = [g.rsplit("/", 1)[-1][:-len(".grant")] for g in vm.run(f"ls {GRANTS}/*.grant").out.split()]
    for address in granted:
        vm.run(["busctl", "--timeout=120", "call", HELPER, HELPER_PATH, HELPER, "Revoke", "asbs", "1", address,
                "true", ""], timeout=60)
    if ids:
        vm.run(["busctl", "call", HELPER, HELPER_PATH, HELPER, "RevokeIds", "ass", str(len(ids)), *ids, ""])
