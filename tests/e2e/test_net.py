# SPDX-License-Identifier: Apache-2.0
"""
A host's network as another station sees it: each card that a driver is for, in the
emulator that has it. The station is Python's (station.py), on the hub.
"""
import re

import pytest

from network import counters, ping, settle
from station import ACK, RST, SYN, Station

# More than three times round a ring of 256 descriptors.
OFTEN = 800
ECHO_MAX = 1500 - 20 - 8
JUMBO_MAX = 9000 - 20 - 8
STREAM_PORT = 8551

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


# pcap

def imported(text):
    """The frames of a hex dump, as text2pcap reads what docs/network.md has it read."""
    frames = []
    for line in text.splitlines():
        if re.match(r"[IO] \d\d:\d\d:\d\d\.\d{6}$", line):
            frames.append(("received" if line[0] == "O" else "sent", b""))
        elif re.match("[0-9a-f]{6} ", line):
            direction, frame = frames.pop()
            offset, *data = line.split()
            assert int(offset, 16) == len(frame)
            frames.append((direction, frame + bytes(int(byte, 16) for byte in data)))
    return frames


def echoes(frames, direction):
    """IPv4's, without the sums: the card may put them there after a frame was shown."""
    return [frame[:24] + bytes(2) + frame[26:36] + bytes(2) + frame[38:]
            for way, frame in frames if way == direction and frame[12:14] == b"\x08\x00"]


@pytest.mark.parametrize("size", (100, ECHO_MAX))
def test_pcap_shows_the_frames_that_were_on_the_wire(host, size):
    station = host.station
    ping(host, "10.0.0.9", 1)
    seen, start = len(station.frames), len(host.host.text)
    host.command("pcap net0 5")
    station.echo("10.0.0.1", size, 5)
    host.expect(r"^(dyad> )?pcap net0: (\d+) frames$")
    shown = imported(host.host.text[start:])
    assert len(shown) == 5
    for direction in ("sent", "received"):
        ours = echoes(shown, direction)
        assert len(ours) >= 2
        assert ours == echoes(station.frames[seen:], direction)[:len(ours)]


# Mistakes

MISTAKEN = """\
[host]
name = alpha

[interface net0]
address = 10.0.0.1/24
address = 10.0.0.300/24
address = 10.0.0.2/24
address = fd00::1/48
gateway = 192.0.2.1

[interface net1]
mac = 52:54:00:12:34:77

[interface net2]
address = dhcp

[interface net3]
mtu = 9001

[partner]
address = 10.0.0.2
key = feedfacefeedface
"""
KEYLESS = """\
[partner]
address = 10.0.0.2
address = 10.0.0.300
serial = com2
"""
NAMED = {
    "[interface net0]": (
        r'address = "10\.0\.0\.300/24" in \[interface net0\] is no address .*; allowed: ',
        r'address = "10\.0\.0\.2/24" in \[interface net0\] is a second IPv4 address; allowed: ',
        r'address = "fd00::1/48" in \[interface net0\] has another prefix .*; allowed: ',
        r'gateway = "192\.0\.2\.1" in \[interface net0\] is in no network .*; allowed: '),
    "[interface net1]": (r"\[interface net1\] has no network card: none has the address 52:54:",),
    "[interface net2]": (r"\[interface net2\] has no network card: Dyad has a driver for 1 here",),
    "mtu = 9001": (r"mtu = \"9001\" in \[interface net3\] .*; allowed: 576 to 9000",),
    "key = feedfacefeedface": (r"key in \[partner\] has another length; allowed: 64 hex",),
}


def test_each_mistake_of_the_network_is_told(boot_lab):
    lab = boot_lab([MISTAKEN, KEYLESS], emulator="qemu-tcg", nics=("",))
    alpha, beta = [dyad.boot() for dyad in lab.dyads]
    for text, mistakes in NAMED.items():
        line = MISTAKEN.splitlines().index(text) + 1
        for mistake in mistakes:
            assert re.search(rf"error: dyad\.conf:{line}: {mistake}", alpha.host.text), mistake
    # What is right is used all the same.
    assert re.search("^ +10.0.0.1/24$", alpha.command("net"), re.MULTILINE)
    assert re.search(r"error: dyad\.conf:1: \[partner\] has no key; allowed: 64 hex",
                     beta.host.text)
    for dyad in (alpha, beta):
        assert "no [partner] with an address and a key" in dyad.command("stream test 1M")
        assert "No heartbeats" in dyad.command("paths")
        assert "No streams." in dyad.command("stream")
        assert "feedface" not in dyad.host.text


def test_without_a_partner_no_port_is_open(host):
    """A connection is refused, not taken, and a heartbeat finds nobody."""
    answers = []
    host.station.on_tcp = lambda source, segment: answers.append(segment.flags)
    target = host.station.find("10.0.0.1")
    for port in (STREAM_PORT, 22):
        host.station.send_tcp(target, (2000, port), 1, 0, SYN)
    host.station.wait(lambda: len(answers) == 2)
    assert answers == [RST | ACK] * 2
