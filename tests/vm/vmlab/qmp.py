# SPDX-License-Identifier: LGPL-2.1-or-later
"""QEMU's control socket: one command at a time, and events that can be waited for."""

import json
import time


class QmpError(Exception):
    """QEMU refused a command."""


class Qmp:
    def __init__(self, sock):
        self.socket = sock
        self.buffer = b""
        self.events = []
        self._read(time.monotonic() + 30)               # the greeting
        self.command("qmp_capabilities")

    def _read(self, until):
        """The next message; TimeoutError after `until`, EOFError when QEMU is gone."""
        while b"\n" not in self.buffer:
            left = until - time.monotonic()
            if left <= 0:
                raise TimeoutError("QMP")
            self.socket.settimeout(left)
            data = self.socket.recv(65536)
            if not data:
                raise EOFError("QEMU closed its control socket")
            self.buffer += data
        line, _, self.buffer = self.buffer.partition(b"\n")
        return json.loads(line)

    def command(self, name, /, timeout=30, **arguments):
        """Runs a command and returns its answer."""
        request = {"execute": name, "arguments": arguments} if arguments else {"execute": name}
        self.socket.sendall(json.dumps(request).encode() + b"\n")
        until = time.monotonic() + timeout
        while True:
            message = self._read(until)
            if "event" in message:
                self.events.append(message)
            elif "error" in message:
                raise QmpError(f"{name}: {message['error']['desc']}")
            elif "return" in message:
                return message["return"]

    def wait_event(self, name, timeout=30, **match):
        """The first event of that name, seen already or still to come, whose data has these values."""
        until = time.monotonic() + timeout
        index = 0
        while True:
            while index < len(self.events):
                event = self.events[index]
                data = event.get("data", {})
                if event["event"] == name and all(data.get(key) == value for key, value in match.items()):
                    return self.events.pop(index)
                index += 1
            message = self._read(until)
            if "event" in message:
                self.events.append(message)
