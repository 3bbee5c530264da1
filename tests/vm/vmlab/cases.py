# SPDX-License-Identifier: LGPL-2.1-or-later
"""What a test case is.

A case is a function with the guest as its argument, registered where it is written:

    @case("admin binds an e1000e", product=True)
    def _(vm):
        address = vm.pci("nic")
        ...

It passes when it returns, fails when it raises (assert is fine), and is skipped by skip("the reason").
Cases run in the order of their files and lines; several share one boot, so a case puts back what it moved.
After a failure the next case gets a new guest.
"""

import dataclasses
import importlib.util
import sys
from pathlib import Path
from typing import Callable, Optional

from . import devices as device_catalogue

CASES = Path(__file__).resolve().parents[1] / "cases"


class Skip(Exception):
    """This case cannot run here; the message says why."""


def skip(reason):
    raise Skip(reason)


@dataclasses.dataclass(frozen=True)
class Case:
    title: str
    function: Callable
    source: str                 # file, without .py
    product: bool               # needs the product installed
    fresh: bool                 # wants a guest that nobody used, and leaves none behind
    state: bool                 # on a disk that survives vm.reboot() and vm.power_cut(); implies fresh
    deadline: float             # seconds, boot not counted
    kernels: Optional[tuple]    # names; None: all
    variant: str                # of the image
    devices: tuple
    command_line: str
    machine: str                # "test", or what it lacks: vmlab.guest.MACHINES
    content: Optional[Callable]  # gives the directory that is laid over the root in place of the product

    @property
    def boot(self):
        """Cases that agree in this can share a guest."""
        return (self.variant, self.devices, self.state, self.command_line, self.machine, self.content)


registered = []


def case(title, *, product=True, fresh=False, state=False, deadline=60, kernels=None, variant="test",
         devices=device_catalogue.STANDARD, command_line="", machine="test",
         content=None):
    def register(function):
        registered.append(Case(title, function, Path(function.__code__.co_filename).stem, product,
                               fresh or state, state, deadline, tuple(kernels) if kernels else None, variant,
                               tuple(devices), command_line, machine, content))
        return function
    return register


def load(directory=CASES):
    """Imports every file of cases, in order of their names, and returns what they registered."""
    registered.clear()
    for path in sorted(Path(directory).glob("*.py")):
        name = "vmcases_" + path.stem.replace("-", "_")
        spec = importlib.util.spec_from_file_location(name, path)
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
    return list(registered)


def until(condition, what, vm, timeout=20):
    """Waits in the guest until a shell condition holds; fails with `what` in words."""
    from .channel import CommandFailed
    try:
        vm.wait_until(condition, timeout)
    except CommandFailed as error:
        raise AssertionError(f"{what}: not within {timeout} s ({condition})") from error
