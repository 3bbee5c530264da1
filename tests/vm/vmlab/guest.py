# SPDX-License-Identifier: LGPL-2.1-or-later
"""One running VM.

    with Guest("debian", destdir=...) as guest:
        guest.sh("busctl --system list")                         # text; fails when the command fails
        result = guest.run("id", user="admin", timeout=5)        # .code .out .err .seconds
        job = guest.spawn(["vfio-hold", address])                # .wait_for("ready") .write() .kill() .wait()
        guest.plug("edu", port="spare")

Emulated (TCG), one processor: with more, QEMU 7.2 and 10.0 hang now and then under an IOMMU.
As many guests at a time as the machine has processors, by locks: guests that outnumber them make each other hang.
"""

import fcntl
import os
import re
import shlex
import shutil
import socket
import subprocess
import tempfile
import time
from pathlib import Path

from . import cache, devices, emulators, image, kernels, layers
from .channel import Channel, CommandFailed, CommandTimeout, GuestDied
from .qmp import Qmp

__all__ = ["Guest", "GuestDied", "CommandFailed", "CommandTimeout", "SLOW"]

# All deadlines are stretched by this on a machine that is busy or slow.
SLOW = float(os.environ.get("VERGE_VM_SLOW", "1"))

# no_timer_check: on a busy machine QEMU may not run for so long that a kernel takes its timer for broken, and panics.
COMMAND_LINE = ("console=ttyS0 quiet panic=-1 intel_iommu=on mitigations=off nokaslr random.trust_cpu=on "
                "systemd.show_status=no loglevel=4 8250.nr_uarts=1 no_timer_check")
MACHINE = ["-nodefaults", "-no-user-config", "-display", "none", "-M", "q35,kernel-irqchip=split",
           "-accel", "tcg,tb-size=256", "-cpu", "qemu64,+rdrand,-svm", "-smp", "1", "-m", "2G", "-no-reboot"]
# What the machine has for an IOMMU.
IOMMU = ["-device", "intel-iommu,intremap=on"]
MACHINES = {"test": IOMMU,
            "no-interrupt-remapping": ["-device", "intel-iommu,intremap=off"],
            "no-iommu": [],
            "sriov": IOMMU}
# Those that need a QEMU which may be newer than this machine's.
NEWER = ("sriov",)
BOOT_DEADLINE = 120
HISTORY = 12


def take_processor():
    """One lock for each processor; if none is free, waits for one of them."""
    numbers = range(len(os.sched_getaffinity(0)))
    for number in numbers:
        lock = open(cache.cache_dir() / f".guest-{number}.lock", "w")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return lock
        except BlockingIOError:
            lock.close()
    lock = open(cache.cache_dir() / f".guest-{os.getpid() % len(numbers)}.lock", "w")
    with cache.progress("waiting for another guest on this machine to end", every=30):
        fcntl.flock(lock, fcntl.LOCK_EX)
    return lock


def kernel_line(more):
    """What the case wants comes last and so wins; but BOOT_IMAGE=, by which GRUB is known, stands first."""
    words = more.split()
    first = [word for word in words if word.startswith("BOOT_IMAGE=")]
    return " ".join([*first, COMMAND_LINE, *(word for word in words if word not in first)])


class Guest:
    def __init__(self, kernel="debian", *, variant="test", destdir=None, device_names=devices.STANDARD,
                 state=False, command_line="", machine="test", keep=False, emulator_words=()):
        self.kernel = kernels.get(kernel)
        self.root = image.root(variant)
        self.tools = layers.tools()
        self.destdir = destdir
        self.device_names = tuple(device_names)
        self.with_state = state
        self.command_line = command_line
        self.machine = machine
        self.emulator = emulators.newer() if machine in NEWER else emulators.own()
        self.keep = keep
        self.emulator_words = tuple(emulator_words)
        self.directory = None
        self.process = None
        self.lock = None
        self.boot_seconds = None
        self.history = []

    # Life

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.stop()

    def start(self):
        """Boots, and returns when systemd has finished starting and udev has settled."""
        cache.need("setpriv")
        if self.directory is None:
            self._prepare()
        begin = time.monotonic()
        self._launch()
        try:
            self.channel.wait_hello(BOOT_DEADLINE * SLOW)
            left = BOOT_DEADLINE - (time.monotonic() - begin) / SLOW
            self.run("systemctl is-system-running --wait; udevadm settle", timeout=max(left, 20))
        except CommandTimeout as error:
            raise GuestDied(f"did not finish booting: {error}") from error
        self.boot_seconds = time.monotonic() - begin
        return self

    def _prepare(self):
        runs = cache.cache_dir() / "run"
        runs.mkdir(exist_ok=True)
        self.lock = take_processor()
        self.directory = Path(tempfile.mkdtemp(prefix=f"{self.kernel.name}-", dir=runs))
        self.disks = [("layer-0-root", self.root), ("layer-1-modules", self.kernel.modules),
                      ("layer-2-tools", self.tools)]
        if self.destdir:
            self.disks.append(("layer-3-product", layers.pack(self.destdir, self.directory / "product.erofs")))
        if self.with_state:
            state = self.directory / "state.raw"
            with open(state, "wb") as handle:
                handle.truncate(512 * 1024 * 1024)
            cache.tool(["mkfs.ext4", "-q", "-F", "-E", "lazy_itable_init=1,lazy_journal_init=1", state])
            self.disks.append(("state", state))

    def _arguments(self, agent, control):
        args = [*self.emulator, *MACHINE, *MACHINES[self.machine], "-kernel", str(self.kernel.vmlinuz),
                "-initrd", str(self.kernel.initramfs), "-append", kernel_line(self.command_line),
                "-chardev", f"file,id=console,path={self.directory}/console.log,append=on",
                "-device", "isa-serial,chardev=console",
                "-chardev", f"socket,id=agent,fd={agent}",
                "-device", "virtio-serial-pci,bus=pcie.0,addr=1,disable-legacy=on",
                "-device", "virtserialport,chardev=agent,name=verge.lab.agent",
                "-chardev", f"socket,id=control,fd={control}", "-mon", "chardev=control,mode=control"]
        for index, (serial, path) in enumerate(self.disks):
            args += devices.disk(index, serial, path, writable=serial == "state")
        return args + devices.arguments(self.device_names, self.directory) + list(self.emulator_words)

    def _launch(self):
        agent, agent_remote = socket.socketpair()
        control, control_remote = socket.socketpair()
        fds = (agent_remote.fileno(), control_remote.fileno())
        args = self._arguments(*fds)
        with open(self.directory / "qemu.log", "ab") as log:
            # QEMU must not outlive us, whatever ends us.
            self.process = subprocess.Popen(["setpriv", "--pdeathsig", "KILL", *args], stdin=subprocess.DEVNULL,
                                            stdout=log, stderr=log, pass_fds=fds)
        agent_remote.close()
        control_remote.close()
        self.channel = Channel(agent)
        try:
            self.qmp = Qmp(control)
        except (EOFError, OSError) as error:
            raise cache.LabError(f"QEMU did not start: {(self.directory / 'qemu.log').read_text()}") from error

    def stop(self):
        """Pulls the plug and removes the run's directory, unless it was to be kept."""
        if self.process and self.process.poll() is None:
            try:
                self.qmp.command("quit", timeout=5)
                self.process.wait(5)
            except Exception:           # it is to be gone, however it feels
                self.process.kill()
                self.process.wait()
        self.process = None
        if self.directory and not self.keep:
            shutil.rmtree(self.directory, ignore_errors=True)
        elif self.directory:
            cache.say(f"kept: {self.directory}")
        self.directory = None
        if self.lock:
            self.lock.close()
            self.lock = None

    def reboot(self):
        """Reboots through systemd. Needs a guest with `state`, else nothing would remain of it."""
        assert self.with_state, "a guest that is to be rebooted needs state=True"
        self.spawn("systemctl reboot")
        self.wait_ended(60)
        self.start()

    def power_cut(self):
        """As when the plug is pulled: no shutdown, then a new boot from the same state."""
        assert self.with_state, "a guest that is to be booted again needs state=True"
        self.process.kill()
        self.process.wait()
        self.start()

    def wait_ended(self, timeout):
        try:
            self.process.wait(timeout * SLOW)
        except subprocess.TimeoutExpired as error:
            raise GuestDied(f"the guest did not go down within {timeout} s") from error

    @property
    def alive(self):
        """Answers, or would."""
        if self.process is None or self.process.poll() is not None or self.channel.dead:
            return False
        try:
            self.channel.start(["true"], "root", "true").wait(20 * SLOW)
        except (GuestDied, CommandTimeout):
            return False
        return True

    def console(self, lines=30):
        path = self.directory / "console.log"
        return "\n".join(path.read_text(errors="replace").splitlines()[-lines:]) if path.exists() else ""

    # Commands

    def spawn(self, command, user="root"):
        """Starts a command (shell text, or a list of words) and returns its Job."""
        text = command if isinstance(command, str) else shlex.join(str(word) for word in command)
        argv = ["sh", "-c", command] if isinstance(command, str) else [str(word) for word in command]
        job = self.channel.start(argv, user, text)
        self.history = [*self.history[-HISTORY + 1:], job]
        return job

    def run(self, command, user="root", timeout=30, stdin=None):
        """Runs a command to its end. Its exit code is the caller's to judge; see also sh()."""
        job = self.spawn(command, user)
        if stdin is not None:
            job.write(stdin)
        job.close_stdin()
        return job.wait(timeout * SLOW)

    def sh(self, command, user="root", timeout=30, stdin=None):
        """What a command that must succeed wrote to stdout, without the last newline."""
        return self.run(command, user, timeout, stdin).check().out.rstrip("\n")

    def read(self, path):
        return self.sh(["cat", path])

    def write(self, path, text):
        self.sh(f"cat > {shlex.quote(path)}", stdin=text)

    def with_agent(self, command, user="admin", password=None, answer=None, choose=None, timeout=60):
        """Runs a D-Bus client beside a polkit agent, and returns (Result, what the agent's terminal showed).

        `command` is a list of words: it must be the bus client itself. `password` is the name of the user
        whose password is typed ("admin", "alice"); else `answer` is "wrong", "cancel" or "hold".
        """
        job, log = self.spawn_with_agent(command, user, password, answer, choose)
        job.close_stdin()
        result = job.wait(timeout * SLOW)
        return result, re.sub("\x1b\\[[0-9;]*m|\r", "", self.run(["cat", log]).out)

    def spawn_with_agent(self, command, user="admin", password=None, answer=None, choose=None):
        """As with_agent, in the background: (Job, path of the log in the guest)."""
        log = f"/tmp/agent-{next(self.channel.numbers)}.log"
        words = ["with-agent", "--log", log]
        words += ["--password", f"/usr/share/lab/{password}.password"] if password else [f"--{answer or 'cancel'}"]
        words += ["--as", choose] if choose else []
        return self.spawn([*words, "--", *command], user), log

    # Devices

    def pci(self, name):
        """Address in the guest of a device by its name in devices.py (or of what is in a named empty slot)."""
        found = self.run(f"cd /sys/devices/pci0000:00 && ls -d {devices.sysfs_glob(name)}").out.split()
        if len(found) != 1:
            raise CommandFailed(f"device {name}: looked for one, found {found or 'none'}")
        return found[0].rsplit("/", 1)[-1]

    def driver(self, address):
        """Name of the bound driver, or ''."""
        return self.run(f"basename $(readlink /sys/bus/pci/devices/{address}/driver) 2>/dev/null").out.strip()

    def iommu_group(self, address):
        return self.sh(f"basename $(readlink /sys/bus/pci/devices/{address}/iommu_group)")

    def plug(self, driver, port="spare", name="hot", **properties):
        """Hot-plugs a device; returns at once, the guest sees it a moment later."""
        self.qmp.command("device_add", driver=driver, id=name, bus=f"port-{port}", **properties)

    def unplug(self, name="hot", timeout=30):
        """Asks the guest to give a device up, and waits until it is gone."""
        self.qmp.command("device_del", id=name)
        if timeout:
            self.qmp.wait_event("DEVICE_DELETED", timeout * SLOW, device=name)

    def wait_until(self, command, timeout=20, user="root"):
        """Until a shell condition holds in the guest. For what sends no event; looks ten times a second."""
        loop = f"until {command}; do sleep 0.1; done"
        self.run(["timeout", str(int(timeout * SLOW)), "sh", "-c", loop], user, timeout + 5).check()
