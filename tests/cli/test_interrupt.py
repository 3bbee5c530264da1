#!/usr/bin/env python3
# SPDX-License-Identifier: LGPL-2.1-or-later
"""test_interrupt.py STAGE TOOL: what the tool does while it waits: ctrl-C, a service that is lost, progress at a
terminal, and the agent of polkit that it starts there. TAP, one case for each function that begins with "case_"."""

import json
import os
import pty
import re
import select
import signal
import stat
import sys
import time
import traceback
from contextlib import contextmanager
from pathlib import Path
from subprocess import PIPE

from stage import OTHER, Stage

NIC = "0000:01:00.0"
DEADLINE = 60  # seconds; only a failed test waits so long

# It stops itself, so that it goes only if it is woken up, too.
AGENT = """#!/bin/sh
echo "$$ $*" >> {log}
eval "exec $2>&-"
kill -STOP $$
"""


class Terminal:
    """The tool at a terminal of its own."""

    def __init__(self, stage, *arguments, env=None, **options):
        self.text = ""
        self.master, slave = pty.openpty()
        self.child = stage.popen("passthroughctl", *arguments, stdin=slave, stdout=slave, stderr=slave,
                                 env={"PAGER": "", "NO_COLOR": "1"} | (env or {}), **options)
        os.close(slave)

    def read(self):
        """One piece more; False at the end."""
        ready, _, _ = select.select([self.master], [], [], DEADLINE)
        assert ready, f"nothing more came behind {self.text!r}"
        try:
            piece = os.read(self.master, 4096)
        except OSError:  # EIO: nobody has the other side any more
            return False
        self.text += piece.decode()
        return bool(piece)

    def until(self, pattern):
        while not re.search(pattern, self.text):
            assert self.read(), f"no {pattern!r} in {self.text!r}"

    def end(self):
        """Its code, when it has ended."""
        while self.read():
            pass
        os.close(self.master)
        return self.child.wait(DEADLINE)


@contextmanager
def granted(program, tool):
    """A stage where the NIC may leave."""
    with Stage(program, tool) as stage:
        run(stage, "grant", NIC)
        yield stage


def run(stage, *arguments, code=0, **options):
    done = stage.run("passthroughctl", *arguments, **options)
    assert done.returncode == code, f"{arguments}: {done.returncode}, {done.stdout}{done.stderr}"
    return done.stdout


def show(stage, device=NIC):
    return json.loads(run(stage, "show", device, "--json"))[0]


def start(stage, *arguments):
    return stage.popen("passthroughctl", *arguments, stdin=PIPE, stdout=PIPE, stderr=PIPE)


def finish(child, code, sentence):
    out, err = child.communicate(timeout=DEADLINE)
    assert child.returncode == code, f"{child.returncode}, {out}{err}"
    assert out == "" and re.search(sentence, err), f"{out!r}, {err!r}"


def interrupt(child, sentence, by=signal.SIGINT):
    child.send_signal(by)
    finish(child, 130, sentence)


def case_ctrl_c_at_a_prompt(program, tool):
    for n, by in enumerate((signal.SIGINT, signal.SIGTERM)):
        with Stage(program, tool) as stage:
            stage.order("polkit hang")
            child = start(stage, *(("grant", NIC), ("make", NIC, "--group", "nics", "--binding", "persistent"))[n])
            stage.order("asked 1")
            interrupt(child, ("^passthroughctl: Interrupted while giving consent. .*'passthroughctl show'",
                              f"^passthroughctl: Interrupted while making {NIC} passthrough. ")[n], by)
            stage.order("cancelled 1")
            device = show(stage)
            assert not device["Granted"] and device["State"] == "host" and not device["Groups"], device
            stage.order("polkit yes")
            run(stage, "make", NIC, "--group", "nics")


def case_ctrl_c_in_a_move(program, tool):
    with granted(program, tool) as stage:
        stage.order(f"fail unbind {NIC} hang 1")
        child = start(stage, "bind", NIC)
        stage.order(f"until {NIC} State moving")
        interrupt(child, f"^passthroughctl: Interrupted while binding {NIC}. What had begun")
        assert show(stage)["State"] == "moving"
        stage.order("let-go")
        stage.order(f"until {NIC} State pool")
        run(stage, "release", NIC)
        assert show(stage)["Driver"] == "e1000e"


def case_ctrl_c_with_others_to_come(program, tool):
    """The one that has begun ends; the next ones are not begun."""
    with Stage(program, tool) as stage:
        run(stage, "grant", NIC, "05:01.0", "05:02.0")
        stage.order(f"fail unbind {NIC} hang 1")
        child = start(stage, "bind", NIC, "05:01.0")
        stage.order(f"until {NIC} State moving")
        interrupt(child, "Interrupted while binding.*\n.*Not tried any more: 0000:05:01.0")
        stage.order("let-go")
        stage.order(f"until {NIC} State pool")
        assert show(stage, "05:01.0")["State"] == "host"


def case_ctrl_c_while_it_is_made(program, tool):
    """The change is the service's by then: it is made as a whole, and can be taken back as one."""
    with Stage(program, tool) as stage:
        stage.order(f"fail unbind {NIC} hang 1")
        child = start(stage, "make", NIC, "--group", "nics", "--binding", "persistent")
        stage.order(f"until {NIC} State moving")
        interrupt(child, f"^passthroughctl: Interrupted while making {NIC} passthrough")
        stage.order("let-go")
        stage.order(f"until {NIC} State pool")
        # Behind its devices the change itself has to come to its end: until then one is told to try again.
        began = time.monotonic()
        while stage.run("passthroughctl", "make", NIC, "--group", "nics").returncode == 6:
            assert time.monotonic() < began + DEADLINE
        device = show(stage)
        assert device["Granted"] and device["Groups"] == ["nics"], device
        run(stage, "return", NIC)
        device = show(stage)
        assert device["State"] == "host" and not device["Granted"] and not device["Groups"], device


def case_root_says_that_consent_stays(program, tool):
    for dies in (False, True):
        with Stage(program, tool) as stage:
            stage.order(f"fail unbind {NIC} hang 1")
            child = stage.popen("passthroughctl", "make", NIC, "--group", "nics", "--binding", "persistent", uid=0,
                                stdin=PIPE, stdout=PIPE, stderr=PIPE)
            stage.order(f"until {NIC} State moving")
            stays = f"\n.*The consent for {NIC} stays; 'passthroughctl revoke'"
            if dies:
                stage.order("kill")
                finish(child, 7, "does not answer .*" + stays)
                stage.order("let-go")
                stage.order("start")
            else:
                interrupt(child, "Interrupted while making.*" + stays)
                stage.order("let-go")
                stage.order(f"until {NIC} State pool")
            assert show(stage)["Granted"]


def case_the_service_dies_in_a_move(program, tool):
    with granted(program, tool) as stage:
        stage.order(f"fail unbind {NIC} hang 1")
        child = start(stage, "bind", NIC)
        stage.order(f"until {NIC} State moving")
        stage.order("kill")
        finish(child, 7, "^passthroughctl: The service does not answer .*'passthroughctl doctor'")
        stage.order("let-go")
        stage.order("start")
        stage.order(f"until {NIC} State pool")
        run(stage, "release", NIC)
        assert show(stage)["Driver"] == "e1000e"


def case_the_service_dies_at_a_prompt(program, tool):
    with Stage(program, tool) as stage:
        stage.order("polkit hang")
        child = start(stage, "make", NIC, "--group", "nics")
        stage.order("asked 1")
        stage.order("kill")
        finish(child, 7, "^passthroughctl: The service does not answer")
        stage.order("polkit yes")
        stage.order("start")
        device = show(stage)
        assert not device["Granted"] and not device["Groups"], device


def case_progress_at_a_terminal(program, tool):
    with granted(program, tool) as stage:
        stage.order(f"fail unbind {NIC} hang 1")
        terminal = Terminal(stage, "bind", NIC)
        terminal.until(rf"(?m)^ +\d+\.\d s  {NIC}: moving\r$")
        terminal.until(rf"\rBinding {NIC} \.\.\. \d+ s\x1b\[K")
        stage.order("let-go")
        assert terminal.end() == 0
        # The clock is gone before anything else is written.
        assert re.search(rf"\r\x1b\[K +\d+\.\d s  {NIC}: pool\r\n", terminal.text), terminal.text
        assert terminal.text.endswith(f"\n{NIC} is on vfio-pci until 'passthroughctl release' or a reboot.\r\n"), \
            terminal.text


def find_connection(stage, pid):
    """The unique name of this process on the bus."""
    def ask(*arguments):
        return stage.run("busctl", "call", *["org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus"],
                         *arguments, uid=0).stdout
    for name in re.findall(r'"(:[^"]*)"', ask("ListNames")):
        if ask("GetConnectionUnixProcessID", "s", name).split()[-1:] == [str(pid)]:
            return name
    raise AssertionError(f"process {pid} is not on the bus")


def case_nobody_else_tells_of_progress(program, tool):
    """Another user sends such a signal to the tool alone, with orders to the terminal in the path and the text."""
    with granted(program, tool) as stage:
        stage.order(f"fail unbind {NIC} hang 1")
        terminal = Terminal(stage, "bind", NIC)
        terminal.until(r"\.\.\. \d+ s")
        done = stage.run("busctl", "emit", f"--destination={find_connection(stage, terminal.child.pid)}",
                         "/org/verge/Passthrough/device/forged_1b_5b31m", "org.freedesktop.DBus.Properties",
                         "PropertiesChanged", "sa{sv}as", "org.verge.Passthrough.Device", "1", "State", "s",
                         "\x1b[31mforged", "0", uid=OTHER)
        assert done.returncode == 0, done.stderr
        stage.order("let-go")
        assert terminal.end() == 0
        assert "forged" not in terminal.text and "\x1b[31m" not in terminal.text, terminal.text


def case_complaints_give_no_orders_to_the_terminal(program, tool):
    with Stage(program, tool) as stage:
        for arguments in (("\x1b[31m",), ("show", "\x1b[31m"), ("import", "/\x1b[31m"), ("export", "/no/\x1b[31m\n")):
            done = stage.run("passthroughctl", *arguments)
            assert done.returncode != 0 and "?[31m" in done.stderr and "\x1b" not in done.stderr, done
            assert done.stderr.count("\n") == 1, done


def case_no_progress_in_a_pipe(program, tool):
    with granted(program, tool) as stage:
        done = stage.run("passthroughctl", "bind", NIC)
        assert done.returncode == 0 and done.stderr == "" and done.stdout.count("\n") == 1, done


def case_ctrl_c_wipes_the_clock(program, tool):
    with granted(program, tool) as stage:
        stage.order(f"fail unbind {NIC} hang 1")
        terminal = Terminal(stage, "bind", NIC)
        terminal.until(r"\.\.\. \d+ s\x1b\[K")
        terminal.child.send_signal(signal.SIGINT)
        assert terminal.end() == 130
        assert "\r\x1b[Kpassthroughctl: Interrupted while binding" in terminal.text, terminal.text
        stage.order("let-go")
        stage.order(f"until {NIC} State pool")


class Agent:
    """Stands in PATH as pkttyagent, and tells what it was started with."""

    def __init__(self, stage):
        directory = Path(stage.directory.name) / "agent"
        directory.mkdir()
        self.log = directory / "log"
        self.log.touch()
        self.log.chmod(0o666)
        program = directory / "pkttyagent"
        program.write_text(AGENT.format(log=self.log), encoding="utf-8")
        program.chmod(program.stat().st_mode | stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)
        self.environment = {"PATH": f"{directory}:{os.environ['PATH']}"}

    def calls(self):
        """(pid, arguments) of each time; and forgets them."""
        lines = self.log.read_text(encoding="utf-8").splitlines()
        self.log.write_text("", encoding="utf-8")
        return [(int(line.split(" ", 1)[0]), line.split(" ", 1)[1]) for line in lines]

    def expect_one(self):
        """It was started once, as it should be, and is gone."""
        calls = self.calls()
        assert len(calls) == 1, calls
        assert re.fullmatch(r"--notify-fd \d+( --fallback)?", calls[0][1]), calls
        try:
            os.kill(calls[0][0], 0)
        except ProcessLookupError:
            return
        raise AssertionError(f"the agent, process {calls[0][0]}, is still there")


def case_the_agent_of_the_terminal(program, tool):
    with Stage(program, tool) as stage:
        agent = Agent(stage)
        assert Terminal(stage, "grant", NIC, env=agent.environment).end() == 0
        agent.expect_one()
        # Once, however many calls it takes.
        assert Terminal(stage, "bind", NIC, NIC, env=agent.environment).end() == 0
        agent.expect_one()
        assert Terminal(stage, "release", NIC, env=agent.environment).end() == 0
        agent.expect_one()


def case_no_agent_where_nobody_is_asked(program, tool):
    with Stage(program, tool) as stage:
        agent = Agent(stage)
        for arguments in (("list",), ("show", NIC), ("plan", NIC), ("check", "77"),
                          ("grant", NIC, "--no-ask-password")):
            Terminal(stage, *arguments, env=agent.environment).end()
            assert not agent.calls(), arguments
        assert Terminal(stage, "bind", NIC, env=agent.environment, uid=0).end() == 0
        assert not agent.calls()
        run(stage, "release", NIC, env=agent.environment)
        assert not agent.calls()
        assert Terminal(stage, "bind", NIC, env=agent.environment).end() == 0
        agent.expect_one()


def case_the_agent_ends_with_ctrl_c(program, tool):
    with Stage(program, tool) as stage:
        agent = Agent(stage)
        stage.order("polkit hang")
        terminal = Terminal(stage, "grant", NIC, env=agent.environment)
        stage.order("asked 1")
        terminal.child.send_signal(signal.SIGINT)
        assert terminal.end() == 130
        agent.expect_one()
        stage.order("cancelled 1")


def case_the_agent_dies_with_the_tool(program, tool):
    """By kill -9 of the tool: nobody else would end it."""
    with Stage(program, tool) as stage:
        agent = Agent(stage)
        stage.order("polkit hang")
        terminal = Terminal(stage, "grant", NIC, env=agent.environment)
        stage.order("asked 1")
        [(pid, _)] = agent.calls()
        agents = os.pidfd_open(pid)
        os.kill(pid, signal.SIGCONT)
        terminal.child.kill()
        terminal.child.wait(DEADLINE)
        assert select.select([agents], [], [], DEADLINE)[0], "the agent goes on"
        os.close(agents)
        os.close(terminal.master)
        stage.order("cancelled 1")


def case_no_agent_is_installed(program, tool):
    with Stage(program, tool) as stage:
        terminal = Terminal(stage, "grant", NIC, env={"PATH": stage.directory.name})
        assert terminal.end() == 0, terminal.text


def case_the_pager(program, tool):
    """A long answer goes through it at a terminal, as wide as that is; what is no pager does no harm."""
    with Stage(program, tool) as stage:
        paged = {"PASSTHROUGHCTL_PAGER": "sed s/^/PAGED:/"}

        def answer(*words, **env):
            terminal = Terminal(stage, *words, env=env)
            assert terminal.end() == 0, terminal.text
            return terminal.text

        assert f"PAGED:{NIC}" in answer("list", **paged)
        assert f"PAGED:{NIC}" in answer("list", PAGER="sed s/^/PAGED:/")
        for words, env in ((["list", "--no-pager"], paged),
                           (["list"], {"PASSTHROUGHCTL_PAGER": "", "PAGER": "sed s/^/PAGED:/"}),
                           (["list"], {"PASSTHROUGHCTL_PAGER": "/nowhere/pager -x"})):
            text = answer(*words, **env)
            assert NIC in text and "PAGED" not in text, text
        # The person leaves before the end.
        assert NIC not in answer("list", PASSTHROUGHCTL_PAGER="true")
        assert "PAGED" not in stage.run("passthroughctl", "list", env=paged).stdout


def main():
    cases = [(name, case) for name, case in globals().items() if name.startswith("case_")]
    failed = 0
    for number, (name, case) in enumerate(cases, 1):
        began = time.monotonic()
        try:
            case(*sys.argv[1:3])
        except Exception:  # whatever it is, the next case has a stage of its own
            failed += 1
            print("".join(f"# {line}\n" for line in traceback.format_exc().splitlines()), end="")
            print(f"not ok {number} - {name[5:]}", flush=True)
            continue
        print(f"ok {number} - {name[5:]} # {time.monotonic() - began:.1f} s", flush=True)
    print(f"1..{len(cases)}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
