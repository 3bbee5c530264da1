# SPDX-License-Identifier: LGPL-2.1-or-later
"""The product as its callers see it: busctl lines, and what they mean. Shared by the cases, the story and the bench."""

import json

BUS = "org.verge.Passthrough"
ROOT = "/org/verge/Passthrough"
MANAGER = f"{BUS}.Manager"
DEVICE = f"{BUS}.Device"
HELPER = f"{BUS}.Helper"
HELPER_PATH = f"{ROOT}/Helper"
PCI = "/sys/bus/pci"

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
    return ["busctl", "--timeout=120", "call", HELPER, HELPER_PATH, HELPER, "Grant", "asass", str(len(addresses)),
            *addresses, str(len(consent)), *consent, ""]


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
    vm.run(["busctl", "--timeout=120", "call", HELPER, HELPER_PATH, HELPER, "Revoke", "ass", str(len(addresses)),
            *addresses, ""])
