# SPDX-License-Identifier: LGPL-2.1-or-later
"""The README's first five minutes, typed into a real terminal by people without root: tmux is the terminal, polkit's
agent asks for the passwords in it."""

import re
import time

from vmlab.cases import case

from claims import clean_claims
from product import driver_of

FIRMWARE = "/usr/share/lab/nested.rom"
QEMU = f"qemu-system-x86_64 -nodefaults -display none -M q35 -m 16M -serial stdio -bios {FIRMWARE}"
PROMPT = "%% "      # at the beginning of a line when the shell waits


class Terminal:
    """A tmux session of this user."""

    def __init__(self, vm, user, columns=110):
        self.vm, self.user, self.begin = vm, user, 0
        limit = f"ulimit -l {(16 << 10) + (1 << 20)}; "
        shell = f"{limit}exec env PS1='{PROMPT}' LC_ALL=C.UTF-8 TERM=screen bash --norc --noprofile -i"
        vm.write(f"/run/terminal-{user}", f"#!/bin/sh\n{shell}\n")
        # As root, who may raise limits; the shell is the user's.
        vm.sh(f"chmod 755 /run/terminal-{user}; tmux -L {user} -f /dev/null new-session -d -x {columns} -y 200 "
              f"'setpriv --reuid={user} --regid={user} --init-groups --reset-env prlimit --memlock=unlimited "
              f"/run/terminal-{user}'")
        self.wait(re.escape(PROMPT.strip()))

    def screen(self):
        text = self.vm.run(f"tmux -L {self.user} capture-pane -p -J -S -5000").out
        return text.rstrip("\n")

    def wait(self, pattern, timeout=90):
        """Waits until it stands on the screen behind what was there when something was typed last."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            text = self.screen()
            if re.search(pattern, text[self.begin:], re.M | re.S):
                return text[self.begin:]
            time.sleep(0.3)
        raise AssertionError(f"/{pattern}/ did not come:\n{self.screen()[self.begin:]}")

    def type(self, text, *keys):
        self.begin = max(len(self.screen()) - 2, 0)
        self.vm.sh(["tmux", "-L", self.user, "send-keys", "-l", text])
        self.vm.sh(["tmux", "-L", self.user, "send-keys", *(keys or ["Enter"])])

    def run(self, command, password=None, timeout=90):
        """Types it, and the password when it is asked for; returns what stands there when the shell waits again."""
        self.type(command)
        if password:
            self.wait("Password: ?$", timeout)
            self.vm.sh(["tmux", "-L", self.user, "send-keys", "-l", password])
            self.vm.sh(["tmux", "-L", self.user, "send-keys", "Enter"])
        text = self.wait(f"\n{re.escape(PROMPT.strip())}\\s*\\Z", timeout)
        self.tell(text)
        return text

    @staticmethod
    def tell(text):
        print("".join(f"#   {line}\n" for line in text.rstrip().splitlines()[:-1]), end="", flush=True)

    def end(self):
        self.vm.run(f"tmux -L {self.user} kill-server")


@case("the README's first five minutes in a terminal: an administrator and a user, both without root", variant="qemu",
      kernels=("debian",), fresh=True, deadline=400)
def _(vm):
    nic = vm.pci("nic")
    short = nic.removeprefix("0000:")
    admin, alice = Terminal(vm, "admin"), Terminal(vm, "alice")

    text = admin.run("passthroughctl doctor")
    assert re.search(r"^ok +service: ", text, re.M) and "This host is ready" in text, text
    text = admin.run("passthroughctl list --class network")
    assert re.search(rf"{nic} .* eligible", text), text
    assert "would" in admin.run(f"passthroughctl plan {short}") or "vfio-pci" in admin.screen()
    # Colours and steps with their times, as this is a terminal; and a prompt in it.
    text = admin.run(f'passthroughctl make {short} --group "PCI NICs" --class network --binding persistent',
                     password="admin")
    assert re.search(rf"\d\.\d s +{nic}: moving", text), text
    assert driver_of(vm, [nic]) == {nic: "vfio-pci"}
    assert "pool" in admin.run(f"passthroughctl show {short}")
    assert nic in admin.run("passthroughctl rule preview \"device_type eq 'network'\"")

    # alice asks for one of them; an administrator types a password at her prompt.
    alice.type('passthroughctl claim add web "PCI NICs"')
    alice.wait(r"Password: ?$")
    vm.sh(["tmux", "-L", "alice", "send-keys", "-l", "admin"])
    vm.sh(["tmux", "-L", "alice", "send-keys", "Enter"])
    alice.tell(alice.wait(f"\n{re.escape(PROMPT.strip())}\\s*\\Z"))
    alice.type(f"passthroughctl vm start web --access acl -- {QEMU}")
    text = alice.wait("NESTED done", 150)
    alice.tell(text)
    assert "NESTED 8086:10d3 52:54:00:00:00:01" in text, text
    assert re.search(rf"{nic}.* claimed", admin.run("passthroughctl list --class network"))
    assert "online" in admin.run("passthroughctl vm list")
    text = admin.run(f"passthroughctl return {short}")
    assert "web" in text and driver_of(vm, [nic]) == {nic: "vfio-pci"}, "it was taken away from a running VM"

    # ctrl-C ends QEMU, which stands in the tool's place, and with it the lifeline.
    alice.type("", "C-c")
    alice.wait(f"\n{re.escape(PROMPT.strip())}\\s*\\Z", 60)
    vm.wait_until(f"passthroughctl list --no-legend | grep -q '^{nic} .* pool '", timeout=60)

    # ctrl-C at the prompt: nothing has happened.
    admin.type("passthroughctl claim delete web")
    admin.wait("Password: ?$")
    admin.type("", "C-c")
    text = admin.wait(f"\n{re.escape(PROMPT.strip())}\\s*\\Z", 60)
    assert "Interrupted" in text, text
    assert re.search(r"^web ", admin.run("passthroughctl claim list --no-legend"), re.M)

    alice.run("passthroughctl claim delete web")
    admin.run(f"passthroughctl return {short}", password="admin")
    assert driver_of(vm, [nic]) == {nic: "e1000e"}
    alice.end()
    admin.end()
    clean_claims(vm)
