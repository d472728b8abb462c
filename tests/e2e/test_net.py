# SPDX-License-Identifier: Apache-2.0
"""
A host's network as another station sees it: each card that a driver is for, in the
emulator that has it. The station is Python's (station.py), on the hub.
"""
import re

import pytest

from network import counters, ping, settle
from station import Station

# More than three times round a ring of 256 descriptors.
OFTEN = 800
ECHO_MAX = 1500 - 20 - 8
JUMBO_MAX = 9000 - 20 - 8

CONF = """\
[host]
name = alpha
[interface net0]
address = 10.0.0.1/24
address = fd00::1/64
"""
ADDRESSES = ("10.0.0.1", "fd00::1", "fe80::5054:ff:fe12:3401")
CARDS = {
    "bochs-e1000": ("bochs", "e1000", "Intel 82540EM (e1000)"),
    "qemu-e1000": ("qemu-tcg", "e1000", "Intel 82540EM (e1000)"),
    "qemu-e1000e": ("qemu-tcg", "e1000e", "Intel 82574L (e1000)"),
    "qemu-virtio": ("qemu-tcg", "virtio-net-pci,host_mtu=9000", "virtio-net (virtio-net)"),
}


@pytest.fixture(scope="module", params=CARDS)
def host(request, boot_lab):
    """One with this card, at its prompt, and a station beside it."""
    emulator, model, name = CARDS[request.param]
    lab = boot_lab([CONF + "mtu = 9000\n"], emulator=emulator, nics=(model,))
    dyad = lab.dyads[0]
    dyad.station = Station(lab)
    dyad.card = name
    dyad.boot()
    settle(dyad)
    yield dyad
    dyad.host.stop()


def test_the_card_is_known(host):
    net = host.command("net")
    assert re.search(r"^net0 +link up, .*MTU 9000$", net, re.MULTILINE)
    assert f"{host.card}, 52:54:00:12:34:01, " in net
    for address in ("10.0.0.1/24", "fd00::1/64", "fe80::5054:ff:fe12:3401/64"):
        assert re.search(f"^ +{address}$", net, re.MULTILINE)


@pytest.mark.parametrize("target", ("10.0.0.9", "fd00::9", "fe80::9", "fe80::9%net0"))
def test_the_host_pings(host, target):
    assert ping(host, target) == 2


@pytest.mark.parametrize("target", ADDRESSES)
def test_the_host_answers(host, target):
    for size in (0, 1, 18, 19, 100, 1000, ECHO_MAX - 20):
        host.station.echo(target, size)


def test_nobody_answers_and_ping_says_so(host):
    assert ping(host, "10.0.0.77") == 0
    assert "no way to" in host.command("ping 192.0.2.1")


@pytest.mark.parametrize("size", (64, ECHO_MAX))
def test_rings_wrap_around(host, size):
    before = counters(host)
    host.station.echo("10.0.0.1", size, OFTEN)
    after = counters(host)
    for name in ("received frames", "sent frames"):
        assert after[name] - before[name] >= OFTEN
    for name in ("received with errors", "sent with errors", "resets"):
        assert after[name] == before[name]


def test_a_frame_of_several_descriptors_is_whole(host):
    host.station.echo("10.0.0.1", JUMBO_MAX, 100)
    host.station.echo("fd00::1", JUMBO_MAX - 20, 100)


def test_a_reset_amid_traffic_loses_frames_at_most(host):
    host.station.echo("10.0.0.1", 1000, OFTEN, {100: lambda: host.send("net reset net0\r")})
    host.expect("net0 was reset")
    assert ping(host, "10.0.0.9") == 2
    host.station.echo("fd00::1", 1000, OFTEN)


# Bochs's link is always up.
@pytest.mark.parametrize("host", [card for card in CARDS if "qemu" in card], indirect=True)
def test_a_cable_that_is_pulled(host):
    host.host.control("set_link", name="nic0", up=False)
    host.expect("warning: net0: link down: ")
    assert re.search("^net0 +link down,", host.command("net"), re.MULTILINE)
    assert "no way to" in host.command("ping 10.0.0.9")
    host.host.control("set_link", name="nic0", up=True)
    host.expect("net0: link up")
    assert ping(host, "10.0.0.9") == 2
    host.station.echo("fd00::1", 1000)
