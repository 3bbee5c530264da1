#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""test_vm.py STAGE TOOL: `vm start` and `monitor` as they run: what the command gets, and that its devices come back in
whatever way it ends. `monitor --json` tells when; nothing waits by the clock. TAP."""

import json
import os
import re
import select
import signal
import subprocess
import sys
from pathlib import Path

from orders import MANAGER, PATH, SERVICE, call, device_path, make_claim, make_group
from stage import ADMIN, OTHER, Stage
from tap import Tap

NIC, SECOND, THIRD = "0000:01:00.0", "0000:20:00.0", "0000:20:01.0"
PIPES = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}

# Tell what they were given; the shell makes signals its own.
ASK = "ls -l /proc/$$/fd; env"
ASK_SIGNALS = 'BEGIN { while ((getline line < "/proc/self/status") > 0) print line }'


def check(condition, *what):
    if not condition:
        raise AssertionError(" ".join(map(str, what)))


def check_equal(came, expected):
    check(came == expected, "came:", came, "expected:", expected)


class Watch:
    """`monitor --json` beside what happens."""

    all = []

    def __init__(self, stage, uid=ADMIN):
        self.process = stage.popen("passthroughctl", "monitor", "--json", uid=uid, **PIPES)
        check("Following" in self.process.stderr.readline(), "the monitor did not begin")
        self.events, self.text = [], b""

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGINT)
        self.rest, self.complaints = self.process.communicate()

    def next(self):
        while b"\n" not in self.text:
            check(select.select([self.process.stdout], [], [], 60)[0], "no event any more; so far:", self.events)
            got = os.read(self.process.stdout.fileno(), 65536)
            check(got, "the monitor has ended")
            self.text += got
        line, _, self.text = self.text.partition(b"\n")
        self.events.append(json.loads(line))
        self.all.append(self.events[-1])
        return self.events[-1]

    def until(self, what, kind=None, name=None, **properties):
        """The next event like this."""
        while True:
            event = self.next()
            if (event["Event"] == what and kind in (None, event["Kind"]) and name in (None, event["Name"]) and
                    properties.items() <= event["Properties"].items()):
                return event


def start(stage, vm, *command, options=(), uid=ADMIN, **more):
    return stage.popen("passthroughctl", "vm", "start", vm, *options, "--", *command, uid=uid, **PIPES | more)


def run(stage, vm, *command, options=(), uid=ADMIN, **more):
    child = start(stage, vm, *command, options=options, uid=uid, **more)
    out, err = child.communicate(timeout=60)
    return child.returncode, out, err


def until_back(watch, claim="web/net", device=NIC):
    watch.until("changed", "device", device, State="host")
    watch.until("changed", "claim", claim, Status="idle", Devices=[])


def case_in_place(stage):
    """the command takes the tool's place, and kill -9 brings the devices back"""
    with Watch(stage) as watch:
        child = start(stage, "web", "sh", "-c", "echo $$; read x")
        check_equal(child.stdout.readline(), f"{child.pid}\n")
        watch.until("changed", "claim", "web/net", Status="online")
        child.kill()
        _, err = child.communicate()
        check_equal(child.returncode, -signal.SIGKILL)
        check_equal(err, f"VM web has {NIC} (set 7)\n")
        until_back(watch)


def case_heirs(stage):
    """the devices stay until the last process that has the lifeline has ended"""
    with Watch(stage) as watch:
        child = start(stage, "web", "sh", "-c", "exec 4<&0; sh -c 'echo $$; read x <&4' & wait")
        heir = int(child.stdout.readline())
        watch.until("changed", "claim", "web/net", Status="online")
        child.kill()
        child.wait()
        listed = json.loads(stage.run("passthroughctl", "vm", "list", "--json").stdout)
        check_equal([vm["Status"] for vm in listed if vm["Name"] == "web"], ["online"])
        os.kill(heir, signal.SIGKILL)
        until_back(watch)


def case_status(stage):
    """the command's status is the tool's"""
    with Watch(stage) as watch:
        check_equal(run(stage, "web", "sh", "-c", "echo out; echo err >&2; exit 42"),
                    (42, "out\n", f"VM web has {NIC} (set 7)\nerr\n"))
        until_back(watch)


def case_no_command(stage):
    """127 for a command that is not there, and the devices come back"""
    with Watch(stage) as watch:
        check_equal(run(stage, "web", "no-such-vm", env={"PATH": "/usr/bin:/bin"}),
                    (127, "", f"VM web has {NIC} (set 7)\npassthroughctl: There is no command 'no-such-vm', so VM "
                     "web was not started; its devices go back.\n"))
        until_back(watch)


def case_cannot_run(stage):
    """126 for one that cannot be run, and the devices come back"""
    with Watch(stage) as watch:
        check_equal(run(stage, "web", "/etc/passwd"),
                    (126, "", f"VM web has {NIC} (set 7)\npassthroughctl: '/etc/passwd' cannot be run: Permission "
                     "denied. VM web was not started; its devices go back.\n"))
        until_back(watch)


def case_no_devices(stage):
    """125 when the devices cannot be had, and the command does not run"""
    for vm, sentence in (("greedy", "nics"), ("nobody's", "no VM 'nobody's'")):
        code, out, err = run(stage, vm, "echo", "ran")
        check_equal((code, out), (125, ""))
        check(sentence in err, err)
    stage.order("polkit no")
    code, out, err = run(stage, "web", "echo", "ran", uid=OTHER)
    stage.order("polkit yes")
    check_equal((code, out), (125, ""))


def case_no_service(stage):
    """125 without the service"""
    stage.order("kill")
    code, out, err = run(stage, "web", "echo", "ran")
    stage.order("start")
    check_equal((code, out), (125, ""))
    check("does not answer" in err, err)


def wait_and_end(stage, how):
    with Watch(stage) as watch:
        first = start(stage, "web", "sh", "-c", "echo up; read x")
        check_equal(first.stdout.readline(), "up\n")
        second = start(stage, "next", "echo", "ran", options=["--wait", "1h"])
        watch.until("changed", "claim", "next/net", Status="waiting")
        second.send_signal(how)
        out, err = second.communicate()
        check_equal((second.returncode, out), (130, ""))
        check("Interrupted while starting VM next" in err, err)
        watch.until("changed", "claim", "next/net", Status="idle")
        first.communicate("end\n")
        check_equal(first.returncode, 0)
        until_back(watch)


def case_interrupted(stage):
    """ctrl-C calls off a start that waits"""
    wait_and_end(stage, signal.SIGINT)


def case_terminated(stage):
    """SIGTERM calls off a start that waits"""
    wait_and_end(stage, signal.SIGTERM)


def case_called_off(stage):
    """'vm stop' calls off a start that waits: 125"""
    with Watch(stage) as watch:
        first = start(stage, "web", "sh", "-c", "echo up; read x")
        first.stdout.readline()
        second = start(stage, "next", "echo", "ran", options=["--wait", "1h"])
        watch.until("changed", "claim", "next/net", Status="waiting")
        check_equal(stage.run("passthroughctl", "vm", "stop", "next").returncode, 0)
        out, _ = second.communicate()
        check_equal((second.returncode, out), (125, ""))
        first.communicate("end\n")
        until_back(watch)


def case_wait(stage):
    """a start that waits begins when the devices are free"""
    with Watch(stage) as watch:
        first = start(stage, "web", "sh", "-c", "echo up; read x")
        first.stdout.readline()
        second = start(stage, "next", "echo", "ran", options=["--wait", "1h"])
        watch.until("changed", "claim", "next/net", Status="waiting")
        first.communicate("end\n")
        out, err = second.communicate()
        check_equal((second.returncode, out.split()[0]), (0, "ran"))
        until_back(watch, "next/net")


def ask(stage, vm, options=(), **more):
    """Its descriptors and its environment."""
    code, out, err = run(stage, vm, "sh", "-c", ASK, options=options, **more)
    check_equal(code, 0)
    fds = {int(fd): link for fd, link in re.findall(r" (\d+) -> (.*)", out)}
    return fds, dict(line.split("=", 1) for line in out.splitlines() if line.startswith("PASSTHROUGH_"))


def ask_signals(stage, vm, **more):
    """Those that are blocked, and those that are ignored."""
    code, out, _ = run(stage, vm, "awk", ASK_SIGNALS, **more)
    check_equal(code, 0)
    sets = dict(line.split() for line in out.splitlines() if line.startswith("Sig"))
    return tuple({n for n in range(1, 65) if int(sets[name], 16) >> n - 1 & 1} for name in ("SigBlk:", "SigIgn:"))


def case_given_acl(stage):
    """access acl: the lifeline is 3, and nothing else is open"""
    read, write = os.pipe()
    with Watch(stage) as watch:
        fds, environment = ask(stage, "web", ["--access", "acl"], pass_fds=[read, write])
        until_back(watch)
    os.close(read)
    os.close(write)
    check_equal(sorted(fds), [0, 1, 2, 3])
    check_equal(environment,
                {"PASSTHROUGH_VM": "web", "PASSTHROUGH_DEVICES": NIC, "PASSTHROUGH_NODES": "/dev/vfio/7",
                 "PASSTHROUGH_LIFELINE": "3", "PASSTHROUGH_QEMU_ARGUMENTS": f"-device vfio-pci,host={NIC}"})


def case_signals(stage):
    """what was blocked before is blocked after, and no more"""
    mine = {signal.SIGUSR1, signal.SIGINT}
    ignored = {n for n in signal.valid_signals() if signal.getsignal(n) == signal.SIG_IGN}
    ignored -= {signal.SIGPIPE, signal.SIGXFSZ}     # by Python, which does not hand that on
    for blocked in (set(), mine):
        with Watch(stage) as watch:
            came = ask_signals(stage, "web", preexec_fn=lambda: signal.pthread_sigmask(signal.SIG_SETMASK, blocked))
            until_back(watch)
        check_equal(came, (blocked, ignored))


def case_arguments(stage):
    """QEMU's arguments replace {}, each a word of its own, or stand behind all"""
    words = f"-device\nvfio-pci,host={NIC}\n"
    for command, expected in ((["a", "{}", "b c"], f"a\n{words}b c\n"), (["a"], f"a\n{words}"),
                              (["{}", "x{}", "{}"], f"{words}x{{}}\n{words}")):
        with Watch(stage) as watch:
            code, out, _ = run(stage, "web", "printf", "%s\\n", *command)
            check_equal((code, out), (0, expected))
            until_back(watch)


def case_running(stage):
    """list, arguments and stop of a VM that runs"""
    with Watch(stage) as watch:
        child = start(stage, "web", "sh", "-c", "echo up; read x")
        child.stdout.readline()
        watch.until("changed", "claim", "web/net", Status="online")
        listed = json.loads(stage.run("passthroughctl", "vm", "list", "--json=short", uid=OTHER).stdout)
        check({"Name": "web", "Owner": ADMIN, "Status": "online", "Claims": ["web/net"], "Devices": [NIC]} in listed,
              listed)
        check_equal(json.loads(stage.run("passthroughctl", "vm", "arguments", "web", "--json", uid=OTHER).stdout),
                    ["-device", f"vfio-pci,host={NIC}"])
        check_equal(stage.run("passthroughctl", "vm", "arguments", "web", "--owner", str(OTHER)).returncode, 3)
        check_equal(stage.run("passthroughctl", "vm", "stop", "web").returncode, 0)
        until_back(watch)
        child.communicate("end\n")


def case_memory(stage):
    """says when the user may not lock as much memory"""
    with Watch(stage) as watch:
        child = stage.popen("sh", "-c", 'echo $$; read x; exec "$@"', "-", stage.tool, "vm", "start", "web", "--memory",
                            "4G", "--", "true", **PIPES)
        limits = Path(stage.root, "proc", child.stdout.readline().strip(), "limits")
        limits.parent.mkdir(parents=True)
        limits.write_text("Limit                     Soft Limit           Hard Limit           Units     \n"
                          "Max locked memory         1048576              1048576              bytes     \n",
                          encoding="ascii")
        _, err = child.communicate("go\n")
        until_back(watch)
    check_equal(child.returncode, 0)
    check("\nClaim web/net: The VM must be able to lock 5120 MiB of memory" in err, err)


def case_optional(stage):
    """says which optional claims were left out"""
    claim = make_claim(stage, "web", call_group(stage), "spare", 4)
    call(stage, claim, f"{SERVICE}.Claim", "Update", "a{sv}", 1, "optional", "b", "true")
    with Watch(stage) as watch:
        code, _, err = run(stage, "web", "true")
        until_back(watch)
    call(stage, claim, f"{SERVICE}.Claim", "Delete")
    check_equal(code, 0)
    check("Claim web/spare: The VM runs without it" in err, err)


def call_group(stage):
    """The path of the group "nics"."""
    listed = stage.run("busctl", "tree", "--list", SERVICE).stdout.split()
    return next(path for path in listed if path.startswith(f"{PATH}/group/"))


def case_owner(stage):
    """root starts a user's VM by --owner, by name and by number"""
    with Watch(stage) as watch:
        for owner in ("bin", str(ADMIN)):
            check_equal(run(stage, "web", "true", options=["--owner", owner], uid=0)[0], 0)
            until_back(watch)


def case_monitor_service(stage):
    """the monitor outlives the service, and tells what has changed meanwhile"""
    with Watch(stage) as watch:
        stage.order("kill")
        watch.until("service-lost", "host")
        stage.order(f"unplug {THIRD}")
        stage.order("start")
        watch.until("service-back", "host")
        watch.until("removed", "device", THIRD)
        group = make_group(stage, "later", SECOND)
        watch.until("added", "group", "later", Name="later", Path=group)
        watch.process.send_signal(signal.SIGTERM)
        _, err = watch.process.communicate()
        check_equal((watch.process.returncode, err), (0, ""))


def case_monitor_names(stage):
    """the monitor knows new names at once, and tells nothing that has not changed"""
    with Watch(stage) as watch:
        claim = make_claim(stage, "named", call_group(stage), "old")
        watch.until("added", "claim", "named/old")
        call(stage, claim, f"{SERVICE}.Claim", "Update", "a{sv}", 1, "name", "s", "new")
        watch.until("changed", "claim", "named/new", Name="new")
        call(stage, claim, f"{SERVICE}.Claim", "Delete")
        watch.until("removed", "claim", "named/new")
        known = {}
        for event in watch.events:
            if event["Event"] == "changed":
                for name, value in event["Properties"].items():
                    key = event["Kind"], event["Name"], name
                    check(key not in known or known[key] != value, "told twice:", key, value)
                    known[key] = value


def case_monitor_forged(stage):
    """signals that somebody else sends to the monitor are not the service's"""
    with Watch(stage) as watch:
        listed = json.loads(stage.run("busctl", "list", "--json=short", uid=0).stdout)
        target = next(row["name"] for row in listed if row["pid"] == watch.process.pid)
        done = stage.run("busctl", f"--destination={target}", "emit", f"{PATH}/device/_30000_3a01_3a00_2e0",
                         "org.freedesktop.DBus.Properties", "PropertiesChanged", "sa{sv}as", f"{SERVICE}.Device", "1",
                         "State", "s", "forged", "0", uid=0)
        check_equal((done.returncode, done.stderr), (0, ""))
        stage.run("busctl", f"--destination={target}", "emit", "/org/freedesktop/DBus", "org.freedesktop.DBus",
                  "NameOwnerChanged", "sss", SERVICE, ":1.1", "", uid=0)
        claim = make_claim(stage, "after", call_group(stage), "all")
        watch.until("added", "claim", "after/all")
        call(stage, claim, f"{SERVICE}.Claim", "Delete")
        check(not any(event["Event"] == "service-lost" or event["Properties"].get("State") == "forged"
                      for event in watch.events), watch.events)


def case_monitor_text(stage):
    """the monitor for people"""
    child = stage.popen("passthroughctl", "monitor", **PIPES)
    child.stderr.readline()
    check_equal(run(stage, "web", "true")[0], 0)
    lines = []
    while not lines or not lines[-1].endswith("claim web/net  Status: idle"):
        lines.append(child.stdout.readline().rstrip("\n"))
        check(lines[-1], "the monitor has ended:", lines)
    child.send_signal(signal.SIGINT)
    child.communicate()
    check_equal(child.returncode, 0)
    told = [line[17:] for line in lines]  # without the time
    for line in (f"device {NIC}  State: claimed", f"device {NIC}  Driver: vfio-pci", f"device {NIC}  Claim: web/net",
                 "claim web/net  Status: online", f"device {NIC}  Claim: -"):
        check(line in told, line, told)


def case_vanished(stage):
    """the monitor tells that a device has left the host, and the VM goes on"""
    with Watch(stage) as watch:
        child = start(stage, "web", "sh", "-c", "echo up; read x")
        child.stdout.readline()
        stage.order(f"unplug {NIC}")
        watch.until("device-vanished", "claim", "web/net", Address=NIC)
        watch.until("changed", "claim", "web/net", Status="missing")
        child.communicate("end\n")
        check_equal(child.returncode, 0)
        watch.until("changed", "claim", "web/net", Status="idle")


def case_given_fds(stage):
    """access fds: 3 is the iommufd, behind it the devices, then the lifeline"""
    with Watch(stage) as watch:
        fds, environment = ask(stage, "pair", ["--access", "fds"])
        until_back(watch, "pair/net", SECOND)
    check_equal(sorted(fds), [0, 1, 2, 3, 4, 5, 6])
    check(fds[3].endswith("/dev/iommu"), fds)
    check(all("/dev/vfio/devices/" in fds[n] for n in (4, 5)) and fds[4] != fds[5], fds)
    check(fds[6].startswith("pipe:"), fds)
    check_equal([environment[f"PASSTHROUGH_{name}"] for name in ("IOMMUFD", "DEVICE_FDS", "LIFELINE")],
                ["3", "4 5", "6"])
    check_equal(environment["PASSTHROUGH_QEMU_ARGUMENTS"],
                "-object iommufd,id=verge-iommufd,fd=3 -device vfio-pci,iommufd=verge-iommufd,fd=4 "
                "-device vfio-pci,iommufd=verge-iommufd,fd=5")


def read_until(child, wanted):
    """Lines of the monitor for people, to the one that has this."""
    while True:
        line = child.stdout.readline()
        check(line, "the monitor has ended before", wanted)
        if wanted in line:
            return line


def case_monitor_pending(stage):
    """the monitor tells that a change waits for confirmation"""
    with Watch(stage) as watch:
        people = stage.popen("passthroughctl", "monitor", **PIPES)
        people.stderr.readline()
        call(stage, PATH, MANAGER, "MakePassthrough", "aosa{sv}", 1, device_path(SECOND), "trial", 1, "confirm-seconds",
             "u", 60)
        event = watch.until("confirmation-pending", "host", "test-node")
        check_equal((event["Properties"]["ConfirmDevices"], event["Properties"]["ConfirmUser"]), ([SECOND], ADMIN))
        check(event["Properties"]["ConfirmUntil"] > 0, event)
        check(f"The change of {SECOND} is undone at " in read_until(people, "unless 'passthroughctl confirm' comes"))
        call(stage, PATH, MANAGER, "Revert")
        watch.until("changed", "host", "test-node", ConfirmUntil=0, ConfirmUser=None, ConfirmDevices=[])
        read_until(people, "host test-node  ConfirmDevices: -")
        people.send_signal(signal.SIGINT)
        people.communicate()
        check_equal(people.returncode, 0)


def case_monitor_stuck(stage):
    """the monitor tells that the kernel does not answer"""
    stage.order("clear")
    stage.order(f"fail unbind {SECOND} hang 1")
    with Watch(stage) as watch:
        done = stage.run("busctl", "call", SERVICE, device_path(SECOND), f"{SERVICE}.Device", "Bind")
        check("has not answered" in done.stderr, done.stderr)
        event = watch.until("device-stuck", "device", SECOND)
        check(SECOND in event["Properties"]["Reason"], event)
        stage.order("let-go")
        watch.until("changed", "device", SECOND, State="host")


def case_schema():
    """each line of 'monitor --json' is what the schema says"""
    from test_schema import check_value, load_schema
    schema = load_schema(Path(__file__).resolve().parents[2])
    check(len(Watch.all) > 100, len(Watch.all))
    for event in Watch.all:
        check_equal(check_value(schema, "one", "Event", event), [])
        if event["Event"] == "added":
            # The service does not tell of overlaps; they are computed for who asks.
            properties = event["Properties"] | ({"Overlaps": []} if event["Kind"] == "rule" else {})
            check_equal(check_value(schema, "one", event["Kind"].capitalize(), properties), [])


CASES = [case_in_place, case_heirs, case_status, case_no_command, case_cannot_run, case_no_devices, case_no_service,
         case_interrupted, case_terminated, case_called_off, case_wait, case_given_acl, case_signals, case_arguments,
         case_running, case_memory, case_optional, case_owner, case_monitor_names, case_monitor_forged,
         case_monitor_text, case_monitor_pending, case_monitor_service, case_vanished]


def main():
    tap = Tap()
    with Stage(*sys.argv[1:3]) as stage:
        stage.order("fill 2")
        group = make_group(stage, "nics", NIC)
        for vm, count in (("web", 1), ("next", 1), ("greedy", 2)):
            make_claim(stage, vm, group, "net", count)
        for case in CASES:
            tap.run(case, stage)
    with Stage(*sys.argv[1:3], start=False) as stage:
        stage.order("cdev")
        stage.order("deadline 2")      # seconds that the kernel has
        stage.order("fill 1")
        stage.order("start")
        make_claim(stage, "pair", make_group(stage, "nics", NIC, SECOND), "net", 2)
        tap.run(case_given_fds, stage)
        tap.run(case_monitor_stuck, stage)
    try:
        import jsonschema  # noqa: F401
    except ImportError:
        tap.skip(case_schema.__doc__, "python3-jsonschema is missing")
    else:
        tap.run(case_schema)
    return tap.end()


if __name__ == "__main__":
    sys.exit(main())
