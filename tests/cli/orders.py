# SPDX-License-Identifier: LGPL-2.1-or-later
"""Groups and claims for tests, made over D-Bus, not by the tool that is tested."""

from stage import ADMIN

SERVICE, PATH, MANAGER = "org.verge.Passthrough", "/org/verge/Passthrough", "org.verge.Passthrough.Manager"


def device_path(address):
    return f"{PATH}/device/_3{address[0]}" + address[1:].replace(":", "_3a").replace(".", "_2e")


def call(stage, path, interface, member, *arguments, uid=ADMIN):
    """The paths in the answer."""
    done = stage.run("busctl", "--timeout=60", "call", SERVICE, path, interface, member, *map(str, arguments), uid=uid)
    if done.returncode != 0:
        raise AssertionError(f"{member}: {done.stderr}")
    return [word.strip('"') for word in done.stdout.split() if word.startswith('"/')]


def make_group(stage, name, *addresses):
    """A group that binds on claim."""
    return call(stage, PATH, MANAGER, "MakePassthrough", "aosa{sv}", len(addresses),
                *map(device_path, addresses), name, 0)[0]


def make_claim(stage, vm, group, name, count=1, uid=ADMIN, description=""):
    return call(stage, PATH, MANAGER, "CreateClaim", "soua{sv}", "--", vm, group, count, 2, "name", "s", name,
                "description", "s", description, uid=uid)[0]
