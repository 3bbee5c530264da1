# SPDX-License-Identifier: LGPL-2.1-or-later
"""The bus policy, on a real dbus-daemon: who may own which name, and who may call what there. Needs root, to be
several users."""

import os
import pwd
import re
import shutil
import socket
import struct
import subprocess
import sys
import tempfile
from pathlib import Path

import lint

POLICY = "dbus/org.verge.Passthrough.conf"
# The bus lets only users in whom the system knows; these two every system has.
DAEMON_STAND_IN, STRANGER_STAND_IN = "daemon", "nobody"
NAME, HELPER = "org.verge.Passthrough", "org.verge.Passthrough.Helper"
DRIVER, TIMEOUT = "org.freedesktop.DBus", 20
ROOT, DAEMON, STRANGER = (pwd.getpwnam(name).pw_uid for name in ("root", DAEMON_STAND_IN, STRANGER_STAND_IN))

# The default of the system bus (dbus-daemon's system.conf), without its services and users.
CONFIG = """<busconfig>
  <type>system</type>
  <listen>unix:path={directory}/bus</listen>
  <auth>EXTERNAL</auth>
  <policy context="default">
    <allow user="*"/>
    <deny own="*"/>
    <deny send_type="method_call"/>
    <allow send_type="signal"/>
    <allow send_requested_reply="true" send_type="method_return"/>
    <allow send_requested_reply="true" send_type="error"/>
    <allow receive_type="method_call"/>
    <allow receive_type="method_return"/>
    <allow receive_type="error"/>
    <allow receive_type="signal"/>
    <allow send_destination="org.freedesktop.DBus" send_interface="org.freedesktop.DBus"/>
  </policy>
  <include>{directory}/policy.conf</include>
</busconfig>
"""


class Connection:
    """As much of a D-Bus client as this needs: calls with strings and numbers, and who answered what."""

    def __init__(self, path, uid):
        self.serial = 0
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(TIMEOUT)
        os.seteuid(uid)  # what the bus reads from the socket
        try:
            self.socket.connect(path)
        finally:
            os.seteuid(0)
        self.socket.sendall(b"\0AUTH EXTERNAL " + str(uid).encode().hex().encode() + b"\r\n")
        assert self.socket.recv(4096).startswith(b"OK "), "the bus does not take the connection"
        self.socket.sendall(b"BEGIN\r\n")
        self.buffer = b""
        self.call(DRIVER, DRIVER, "Hello")

    def call(self, destination, interface, member, *arguments):
        """Sends a call and returns the error's name, or None for an answer or a message that got through."""
        self.serial += 1
        fields = [(1, "o", "/"), (3, "s", member), (6, "s", destination)]
        fields += [(2, "s", interface)] if interface else []
        signature = "".join("u" if isinstance(argument, int) else "s" for argument in arguments)
        fields += [(8, "g", signature)] if signature else []
        head = b""
        for code, kind, value in fields:
            head += bytes(-len(head) % 8) + struct.pack("<BB", code, 1) + kind.encode() + b"\0"
            head += (struct.pack("<B", len(value)) if kind == "g" else bytes(-len(head) % 4) + struct.pack(
                "<I", len(value))) + value.encode() + b"\0"
        body = b""
        for argument in arguments:
            body += bytes(-len(body) % 4)
            body += struct.pack("<I", argument) if isinstance(argument, int) else struct.pack(
                "<I", len(argument)) + argument.encode() + b"\0"
        self.socket.sendall(struct.pack("<BBBBIII", ord("l"), 1, 0, 1, len(body), self.serial, len(head)) + head
                            + bytes(-len(head) % 8) + body)

    def receive(self):
        """(type, serial it answers, error name) of the next message."""
        while True:
            if len(self.buffer) >= 16:
                body, _, head = struct.unpack_from("<III", self.buffer, 4)
                size = 16 + head + -head % 8 + body
                if len(self.buffer) >= size:
                    message, self.buffer = self.buffer[:size], self.buffer[size:]
                    reply = re.search(rb"\x05\x01u\0(....)", message[:16 + head], re.S)
                    error = re.search(rb"\x04\x01s\0....([A-Za-z0-9_.]+)\0", message[:16 + head], re.S)
                    return (message[1], struct.unpack("<I", reply.group(1))[0] if reply else 0,
                            error.group(1).decode() if error else None)
            data = self.socket.recv(65536)
            assert data, "the bus has closed the connection"
            self.buffer += data

    def result(self):
        """The answer to the last call: None, or the name of the error."""
        while True:
            kind, serial, error = self.receive()
            if kind in (2, 3) and serial == self.serial:
                return error


class Bus:
    def __init__(self, policy):
        self.directory = tempfile.mkdtemp()
        os.chmod(self.directory, 0o755)
        (Path(self.directory) / "policy.conf").write_text(
            policy.replace('user="verge-passthrough"', f'user="{DAEMON_STAND_IN}"'), encoding="utf-8")
        (Path(self.directory) / "bus.conf").write_text(CONFIG.format(directory=self.directory), encoding="utf-8")
        self.process = subprocess.Popen(
            ["dbus-daemon", "--nofork", "--nopidfile", "--nosyslog", "--print-address=1",
             f"--config-file={self.directory}/bus.conf"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
        if not self.process.stdout.readline():
            raise ValueError(self.process.stderr.read().strip())

    def connect(self, uid):
        return Connection(f"{self.directory}/bus", uid)

    def close(self):
        self.process.terminate()
        self.process.wait(TIMEOUT)
        self.process.stdout.close()
        self.process.stderr.close()
        shutil.rmtree(self.directory)


def owns(bus, uid, name):
    connection = bus.connect(uid)
    connection.call(DRIVER, DRIVER, "RequestName", name, 4)
    return connection if connection.result() is None else None


def may_send(bus, uid, owner, name, interface):
    """Denied by the bus, or did it arrive at the owner of the name?"""
    connection = bus.connect(uid)
    connection.call(name, interface, "Something")
    # The bus answers at once or not at all: what it says to a later call comes after what it said to this one.
    denied_serial = connection.serial
    connection.call(DRIVER, DRIVER, "GetId")
    denied = False
    while True:
        kind, serial, error = connection.receive()
        if kind == 3 and serial == denied_serial:
            denied = error == "org.freedesktop.DBus.Error.AccessDenied"
        if kind in (2, 3) and serial == connection.serial:
            return not denied


STANDARD = ["org.freedesktop.DBus.Introspectable", "org.freedesktop.DBus.Peer"]
PUBLIC = [f"{NAME}.{interface}" for interface in ("Manager", "Device", "Group", "Rule")] + [
    "org.freedesktop.DBus.ObjectManager", "org.freedesktop.DBus.Properties"] + STANDARD


def expectations():
    """(uid, name, interface, whether it may)"""
    for uid in (ROOT, DAEMON, STRANGER):
        for interface in PUBLIC:
            yield uid, NAME, interface, True
        for interface in (f"{NAME}.Helper", "org.freedesktop.systemd1.Manager", None):
            yield uid, NAME, interface, False
    for interface in [HELPER] + STANDARD:
        yield ROOT, HELPER, interface, True
        yield DAEMON, HELPER, interface, True
        yield STRANGER, HELPER, interface, False
    for uid in (DAEMON, STRANGER):
        yield uid, HELPER, "org.freedesktop.DBus.Properties", False
        yield uid, HELPER, f"{NAME}.Manager", False
        yield uid, HELPER, None, False


def check(tree):
    try:
        bus = Bus(tree[POLICY])
    except ValueError as error:
        return [f"{POLICY}: {error}"]
    problems = []
    try:
        for uid, name, may in ((ROOT, NAME, False), (STRANGER, NAME, False), (DAEMON, HELPER, False),
                               (STRANGER, HELPER, False), (DAEMON, f"{NAME}.Other", False)):
            if bool(owns(bus, uid, name)) != may:
                problems.append(f"{POLICY}: uid {uid} can own {name}")
        owners = {NAME: owns(bus, DAEMON, NAME), HELPER: owns(bus, ROOT, HELPER)}
        if None in owners.values():
            return problems + [f"{POLICY}: daemon or helper cannot own its name"]
        for uid, name, interface, may in expectations():
            if may_send(bus, uid, owners[name], name, interface) != may:
                problems.append(f"{POLICY}: uid {uid} may {'not ' if may else ''}call {interface} at {name}")
    finally:
        bus.close()
    return problems


def main():
    if not shutil.which("dbus-daemon"):
        lint.skip("dbus-daemon is not installed")
    if os.geteuid() != 0:
        lint.skip("only root can be several users on a bus")
    policy = (lint.root() / POLICY).read_text(encoding="utf-8")
    lint.run(check, {
        "an empty policy": {POLICY: "<busconfig/>"},
        "not XML": {POLICY: "<busconfig>"},
        "everybody at the helper": {POLICY: policy.replace("</policy>", f'<allow send_destination="{HELPER}"/></policy>',
                                                           1)},
        "everything at the daemon": {POLICY: policy.replace("</policy>", f'<allow send_destination="{NAME}"/></policy>',
                                                            1)},
        "everybody owns the name": {POLICY: policy.replace(f'<deny own="{NAME}"/>', f'<allow own="{NAME}"/>')},
        "the daemon is not let to the helper": {POLICY: policy.replace('user="verge-passthrough"', 'user="root"')},
    }, "see dbus-daemon(1), and docs/security.md for who may do what", {POLICY: policy})


if __name__ == "__main__":
    sys.exit(main())
