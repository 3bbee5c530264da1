# SPDX-License-Identifier: LGPL-2.1-or-later
"""Commit-confirm: who cuts himself off has his connection back, whatever dies meanwhile."""

from vmlab.cases import case, until

from product import (GRANTS, MANAGER, PCI, PENDING, ROOT, call, clean, device_call, driver_of, get, groups, make_call,
                     override, path, return_call, rules, says, state_is)
from safety import ONE, SAFETY, consent_of, let_admin, missed, stays

# The one who comes in is in another network namespace, with a card of his own at the other end of the wire.
INSIDE, OUTSIDE = "10.77.0.1", "10.77.0.2"
SSH = (f"exec ip netns exec outside ssh -i /root/key -o StrictHostKeyChecking=no -o UserKnownHostsFile=/dev/null "
       f"-o LogLevel=ERROR admin@{INSIDE} sh")

# Any network manager does what this has networkd do: when the card is back its address is, too.
NETWORK = f"""[Match]
MACAddress=52:54:00:00:00:05
[Network]
Address={INSIDE}/24
Gateway={OUTSIDE}
LinkLocalAddressing=no
"""

UNITS = ("verge-passthroughd", "verge-passthrough-helper")


def administered_from_outside(vm):
    """Address and route by networkd, sshd, a key for admin, and somebody at the other end."""
    let_admin(vm)
    outside = vm.sh(f"ls {PCI}/devices/{vm.pci('outside')}/net")
    vm.sh(f"ip netns add outside; ip link set {outside} netns outside; "
          f"ip -n outside address add {OUTSIDE}/24 dev {outside}; ip -n outside link set {outside} up")
    vm.sh("mkdir -p /etc/systemd/network ~admin/.ssh; ssh-keygen -q -t ed25519 -N '' -f /root/key; "
          "cp /root/key.pub ~admin/.ssh/authorized_keys; chown -R admin: ~admin/.ssh; "
          "chmod 700 ~admin/.ssh")
    vm.write("/etc/systemd/network/10-lan.network", NETWORK)
    vm.sh("rm /etc/systemd/system/systemd-networkd.service; systemctl daemon-reload; "
          "systemctl start systemd-networkd ssh", timeout=60)
    until(f"ip address | grep -qF {INSIDE}", "networkd has given the card its address", vm)


def log_in(vm):
    """A job that is admin's shell, as far away as the kernel can tell."""
    session = vm.spawn(SSH)
    session.write("echo here $SSH_CONNECTION\n")
    session.wait_for("here " + OUTSIDE, 60)
    return session


def make(addresses, group, **options):
    return make_call(addresses, group, binding="persistent", **options)


def in_session(session, command, marker):
    """Has the shell run it and say `marker CODE`; a busctl line has no words that a shell would take apart."""
    session.write(" ".join(f"'{word}'" for word in command) + f"; echo {marker} $?\n")


def pending(vm):
    """When it ends (0: nothing waits to be confirmed), the uid of who made it, the devices."""
    return tuple(get(vm, "", name, MANAGER) for name in ("ConfirmUntil", "ConfirmUser", "ConfirmDevices"))


NOTHING = (0, 4294967295, [])


def is_home(vm, address, timeout=60):
    """By itself, and nothing is left of it: no consent, rule, group, override, nor anything to confirm."""
    until(f"[ -e {PCI}/drivers/e1000e/{address} ]", f"{address} is back at its host driver", vm, timeout=timeout)
    until(says(ROOT, MANAGER, "ConfirmUntil", "t 0"), "nothing waits to be confirmed", vm, timeout=30)
    until(state_is(address, "host"), f"{address} is shown at the host", vm)
    assert consent_of(vm, f"{address}.*") == [] and override(vm, address) == ""
    assert "Taken" not in groups(vm) and pending(vm) == NOTHING
    assert vm.sh("ls /run/verge-passthrough/moves") == ""


def refused_while_pending(vm, commands):
    for command in commands:
        result = vm.run(command, user="admin", timeout=60)
        assert not result.ok, result.describe()
        for word in ("admin", "Confirm", "Revert"):
            assert word in result.err, f"no {word!r}: {result.describe()}"


@case("the card of his own ssh session: refused; forced: the session freezes, and comes back by itself",
      devices=SAFETY, kernels=ONE, deadline=240)
def _(vm):
    administered_from_outside(vm)
    lan, nic = vm.pci("lan"), vm.pci("nic")
    session = log_in(vm)
    in_session(session, make([lan], "Taken"), "refused")
    session.wait_for("refused ", 60)
    words = session.stderr.decode()
    assert "refused 0" not in session.stdout.decode() and "must stay with the host" in words, words
    stays(vm, [lan], ["default-route", "address", "your-connection"], ("address", INSIDE),
          ("your-connection", OUTSIDE))

    reasons = sorted(missed(vm, lan))
    in_session(session, make([lan], "Taken", consent=reasons, confirm_seconds=15), "forced")
    until(state_is(lan, "pool"), "the card is taken", vm)
    session.write("echo still here\n")
    until_, uid, which = pending(vm)
    assert until_ > 0 and (uid, which) == (1000, [path(lan)])
    assert consent_of(vm) == [f"{PENDING}/{lan}.confirm", f"{PENDING}/{lan}.grant"], "a reboot would find consent"
    refused_while_pending(vm, [make([nic], "Other"), return_call([lan]), device_call(lan, "Release")])
    assert b"still here" not in session.stdout and b"forced" not in session.stdout, "the session did not freeze"

    is_home(vm, lan)
    session.wait_for("forced 0", 120)
    session.wait_for("still here", 30)
    session.write("exit\n")
    assert session.wait(30).ok
    assert groups(vm) == {} and rules(vm) == {}


def kill(vm, units):
    vm.sh(" ".join(f"kill -KILL $(systemctl show -P MainPID {unit});" for unit in units))


@case("confirmed, it stays; reverted, it goes; unconfirmed it goes by itself, whoever of us is killed",
      devices=SAFETY, kernels=ONE, deadline=240)
def _(vm):
    let_admin(vm)
    nic, uplink = vm.pci("nic"), vm.pci("uplink")
    try:
        vm.run(make([nic], "Kept", confirm_seconds=10), user="admin", timeout=60).check()
        vm.run(call(ROOT, MANAGER, "Confirm"), user="admin", timeout=60).check()
        assert pending(vm) == NOTHING
        assert consent_of(vm) == [f"{GRANTS}/{nic}.boot", f"{GRANTS}/{nic}.grant"]
        assert "confirm-until" not in vm.read(f"{GRANTS}/{nic}.grant")

        vm.run(make([uplink], "Taken", confirm_seconds=600), user="admin", timeout=60).check()
        stranger = vm.run([w for w in call(ROOT, MANAGER, "Revert") if "interactive" not in w], user="alice")
        assert not stranger.ok and vm.driver(uplink) == "vfio-pci", stranger.describe()
        vm.run(call(ROOT, MANAGER, "Revert"), user="admin", timeout=60).check()
        is_home(vm, uplink, timeout=5)

        for units in (UNITS[:1], UNITS[1:], UNITS):
            vm.run(make([uplink], "Taken", confirm_seconds=10), user="admin", timeout=60).check()
            kill(vm, units)
            assert vm.driver(uplink) == "vfio-pci", f"{units} killed: not at once, there is time to confirm"
            is_home(vm, uplink)
        # Its own ten seconds are long past.
        assert driver_of(vm, [nic]) == {nic: "vfio-pci"} and get(vm, nic, "State") == "pool"
    finally:
        clean(vm)
