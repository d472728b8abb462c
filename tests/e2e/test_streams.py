# SPDX-License-Identifier: Apache-2.0
"""
Streams between two hosts: through a bad network, with a cable that is pulled, with
another key, and beside ten thousand strangers.

What is only judged by its content runs in QEMU too, which is faster: 32 MiB through
each fault. The pairs in Bochs keep real time.
"""
import random
import re
import struct
import time

import pytest

from conftest import ROOT
from labkit.host import Missing
from network import KEY, await_stream, cut, pair, ping, settle, stream, tells, used
from station import ACK, FIN, PSH, RST, SYN, Station

STREAM_PORT = 8551
STRANGERS = 10_000
KNOCK_SECONDS = 200
OTHER_KEY = KEY[::-1]
FAULTS = ("drop", "dup", "reorder")
COUNTED = {"drop": "dropped", "dup": "duplicated", "reorder": "reordered"}
QUIET = dict.fromkeys(FAULTS, 0)
GUEST = """\
[guest vectors]
kernel = vectors_stay
cmdline = rounds=0
memory = 16M
start = manual
"""


def booted(boot_lab, confs, files=None, **machine):
    lab = boot_lab(confs, files, **machine)
    for dyad in lab.dyads:
        dyad.boot()
    for dyad in lab.dyads:
        settle(dyad)
    return lab


@pytest.fixture(scope="module")
def bochs(boot_lab):
    payload = ROOT / "build/guests/vectors_stay"
    if not payload.is_file():
        pytest.fail(f"{payload} is missing: run `make payloads`")
    return booted(boot_lab, pair(more=GUEST), {payload.name: payload}, nics=("",))


@pytest.fixture(scope="module")
def qemu(boot_lab):
    return booted(boot_lab, pair(), emulator="qemu-tcg", nics=("virtio-net-pci",))


@pytest.fixture(scope="module")
def strange(boot_lab):
    """Two hosts whose keys differ."""
    return booted(boot_lab, pair(other_key=OTHER_KEY), emulator="qemu-tcg", nics=("",))


def test_two_hosts_ping_each_other(bochs):
    alpha, beta = bochs.dyads
    for target in ("10.0.0.2", "fd00::2", "fe80::5054:ff:fe12:3402"):
        assert ping(alpha, target) == 2
    for target in ("10.0.0.1", "fd00::1", "fe80::5054:ff:fe12:3401%net0"):
        assert ping(beta, target) == 2


def test_a_stream_survives_a_bad_network(bochs):
    alpha, beta = bochs.dyads
    bochs.hub.set(**dict.fromkeys(FAULTS, 0.01))
    stream(alpha, "4M")
    beta.expect(r"stream test from alpha: 4194304 bytes in .*, content verified")
    bochs.hub.set(**QUIET)


def test_a_stream_goes_on_after_ten_seconds_without_a_cable(bochs):
    alpha, beta = bochs.dyads
    beta.type("stream test 8M")
    alpha.expect("stream probe with beta .* open")
    with cut(bochs.hub):
        # Ten, of alpha's own clock: one request a second.
        assert ping(alpha, "10.0.0.2", 10) == 0
    await_stream(beta)
    alpha.expect("stream test from beta: 8388608 bytes in .*, content verified")


def test_a_guest_keeps_its_vector_registers_while_its_cpu_encrypts(bochs):
    alpha, beta = bochs.dyads
    rounds = []
    for dyad in bochs.dyads:
        dyad.start("vectors")
        with dyad.console("vectors"):
            dyad.expect("^END ")
        rounds.append(cpuid_exits(dyad))
    stream(alpha, "4M")
    stream(beta, "4M")
    for dyad, before in zip(bochs.dyads, rounds):
        assert cpuid_exits(dyad) > before
        assert " running " in dyad.state("vectors")
        dyad.stop("vectors")


def cpuid_exits(dyad):
    """One for each round of the guest."""
    return int(re.search(r"^ +CPUID +(\d+)$", dyad.command("stats vectors"), re.MULTILINE)[1])


@pytest.mark.parametrize("faults", [FAULTS, *([fault] for fault in FAULTS)], ids="-".join)
def test_32_mib_through_faults(qemu, faults):
    alpha, beta = qemu.dyads
    before = qemu.hub.stats()[1, 2]
    qemu.hub.set(**dict.fromkeys(faults, 0.01))
    stream(alpha, "32M")
    qemu.hub.set(**QUIET)
    beta.expect(r"stream test from alpha: 33554432 bytes in .*, content verified")
    after = qemu.hub.stats()[1, 2]
    for fault in faults:
        assert after[COUNTED[fault]] - before[COUNTED[fault]] > 100


def test_both_ways_at_once(qemu):
    alpha, beta = qemu.dyads
    alpha.type("stream test 16M")
    beta.type("stream test 16M")
    alpha.expect("stream test from beta: 16777216 bytes in .*, content verified")
    beta.expect("stream test from alpha: 16777216 bytes in .*, content verified")


def test_a_pair_of_different_emulators_holds_a_stream(boot_lab):
    lab = booted(boot_lab, pair(), emulator="bochs,qemu-tcg", nics=("",))
    for one, other, target in ((*lab.dyads, "10.0.0.2"), (*lab.dyads[::-1], "fd00::1")):
        assert ping(one, target) == 2
        stream(one, "4M")
        other.expect("stream test from .*: 4194304 bytes in .*, content verified")
    assert_key_is_secret(lab)
    for host in lab.hosts:
        host.stop()


# Those who do not have the key

def test_another_key_is_refused_on_both_sides(strange):
    alpha, beta = strange.dyads
    for one, other, number in ((alpha, beta, 1), (beta, alpha, 2)):
        pages, memory = other.free_pages(), used(other)
        one.type("stream test 1M")
        one.expect(r"stream test: failed after 0 bytes: 10\.0\.0\.\d: wrong key: `key` in "
                   r"\[partner\] must be the same on both hosts")
        other.expect(rf"warning: streams: 10\.0\.0\.{number} refused: it has another key than we")
        assert "No streams." in one.command("stream")
        assert other.free_pages() == pages
        after = used(other)
        # The connection itself may be remembered for a while (RFC 793's TIME-WAIT).
        assert after.pop("TCP connections") <= memory.pop("TCP connections") + 1
        assert after == memory


def test_heartbeats_with_another_key_are_refused_on_both_sides(strange):
    for dyad in strange.dyads:
        assert re.search("warning: .*: heartbeats with a wrong key", dyad.command("log"))
        paths = dyad.command("paths")
        assert re.search("^10.0.0.[12] +down +never heard.*, wrong key [1-9]", paths, re.MULTILINE)
        assert not re.search("^[^ ]+ +up ", paths, re.MULTILINE)


class Knock:
    """One connection attempt: `parts` are said one after the other, each after an answer."""

    def __init__(self, station, target, port, parts):
        self.station, self.target, self.port = station, target, port
        self.parts = list(parts)
        self.sequence = port << 16
        self.acknowledged = 0
        self.is_over = False
        self.begin()

    def begin(self):
        """Again, when no answer has come."""
        if self.acknowledged == 0:
            self._send(SYN)

    def _send(self, flags, data=b""):
        self.station.send_tcp(self.target, (self.port, STREAM_PORT), self.sequence,
                              self.acknowledged, flags, data)

    def segment(self, segment):
        if segment.flags & RST:
            self.is_over = True
            return
        if segment.flags & SYN:
            if self.acknowledged == 0:
                self.sequence += 1
        elif segment.sequence != self.acknowledged:
            return
        elif not segment.data and not segment.flags & FIN:
            return
        self.acknowledged = (segment.sequence + len(segment.data)
                             + bool(segment.flags & (SYN | FIN))) % 2**32
        if segment.flags & FIN:
            self._send(RST | ACK)
            self.is_over = True
        else:
            part = self.parts.pop(0) if self.parts else b""
            self._send(ACK | PSH, part)
            self.sequence += len(part)


def knock(station, target, all_parts, at_once=8):
    """Attempts with these parts, each to its end."""
    deadline = time.monotonic() + KNOCK_SECONDS
    going_on = {}
    ports = iter(range(1024, 2**16))
    left = iter(all_parts)

    def segment(source, segment):
        if segment.target in going_on:
            going_on[segment.target].segment(segment)

    def begin():
        for port in [port for port, one in going_on.items() if one.is_over]:
            del going_on[port]
        while len(going_on) < at_once:
            parts = next(left, None)
            if parts is None:
                break
            port = next(ports)
            going_on[port] = Knock(station, target, port, parts)

    station.on_tcp = segment
    begin()
    while going_on:
        station.ask_until(lambda: [one.begin() for one in going_on.values()],
                          lambda: any(one.is_over for one in going_on.values()), asked=True)
        begin()
        if time.monotonic() > deadline:
            raise Missing(f"attempts still go on after {KNOCK_SECONDS} s")


def garbage(seed):
    """What strangers say: nearly TLS, or nothing like it."""
    numbers = random.Random(seed)
    noise = numbers.randbytes(numbers.randrange(1, 1000))
    return numbers.choice((
        b"GET / HTTP/1.1\r\nHost: beta\r\n\r\n",
        bytes(100),
        b"\xff" + noise,
        b"\x16\x03\x03\xff\xff" + noise,  # a record that is too long
        b"\x16\x02\x00\x00\x10" + bytes(16),  # of a version that never was
        b"\x17\x03\x03\x00\x10" + bytes(16),  # data before a handshake
        b"\x15\x03\x03\x00\x02\x02\x28",  # an alert
        b"\x16\x03\x03\x00\x04\x01\xff\xff\xff",  # a hello that is longer than any
        b"\x16\x03\x03\x00\x04\x02\x00\x00\x00",  # the other side's hello
    ))


def test_ten_thousand_strangers_change_nothing(qemu):
    alpha, beta = qemu.dyads
    station = Station(qemu)
    target = station.find("10.0.0.2")
    pages, memory = beta.free_pages(), used(beta)
    start = len(beta.host.text)
    knock(station, target, ([garbage(seed)] for seed in range(STRANGERS)))
    assert "No streams." in beta.command("stream")
    assert beta.free_pages() == pages
    after = used(beta)
    # Earlier streams' may have been forgotten meanwhile.
    assert after.pop("TCP connections") <= memory.pop("TCP connections")
    assert after == memory
    refused = [line for line in beta.host.text[start:].splitlines() if "refused" in line]
    assert 1 <= len(refused) < 50, refused


def test_strangers_do_not_keep_the_partner_out(qemu):
    alpha, beta = qemu.dyads
    station = Station(qemu, 12)
    target = station.find("10.0.0.2")
    alpha.type("stream test 8M")
    knock(station, target, ([garbage(seed)] for seed in range(STRANGERS // 10)))
    await_stream(alpha)
    alpha.type("stream test 1M")
    knock(station, target, ([b""] for _ in range(STRANGERS // 100)), at_once=16)
    await_stream(alpha)


def test_what_was_overheard_opens_nothing(qemu, tmp_path):
    """The partner's whole handshake, said again."""
    alpha, beta = qemu.dyads
    station = Station(qemu, 10)
    target = station.find("10.0.0.2")
    stream(alpha, "1M")
    said = client_flights(capture_of(qemu), alpha_number=1)
    assert len(said) >= 2
    knock(station, target, [said[:2]])
    beta.expect(r"warning: streams: 10\.0\.0\.10 refused: it has another key than we, or repeats")
    assert "No streams." in beta.command("stream")


def test_who_says_nothing_is_sent_away(qemu):
    beta = qemu.dyads[1]
    station = Station(qemu, 11)
    target = station.find("10.0.0.2")
    knock(station, target, [[b""]] * 4 + [[b"\x16\x03\x03\x02\x00\x01"]], at_once=4)
    beta.expect(r"warning: streams: (10\.0\.0\.11 refused|\d+ more refused in 10 s, the last "
                r"10\.0\.0\.11): it did not show the key within 5 s")
    assert "No streams." in beta.command("stream")


def capture_of(lab):
    """The frames that came into the hub."""
    data = (lab.hosts[0].directory.parent / "pcap").read_bytes()
    position = 24
    while position + 16 <= len(data):
        size = struct.unpack_from("<I", data, position + 8)[0]
        yield data[position + 16:position + 16 + size]
        position += 16 + size


def client_flights(frames, alpha_number):
    """What the client of the last stream in the capture said first."""
    said = {}
    for frame in frames:
        if frame[12:14] != b"\x08\x00" or frame[23] != 6 or frame[29] != alpha_number:
            continue
        size = struct.unpack_from(">H", frame, 16)[0]
        source, target = struct.unpack_from(">HH", frame, 34)
        data = frame[34 + (frame[46] >> 4 << 2):14 + size]
        if target == STREAM_PORT and data and len(said.setdefault(source, [])) < 3:
            said[source].append(data)
    return list(said.values())[-1]


# The last one: of all that was said above.

def assert_key_is_secret(lab):
    for dyad in lab.dyads:
        dyad.command("log")
        assert not tells(dyad.host.text, KEY)
        assert not tells(dyad.host.text, OTHER_KEY)


def test_the_key_is_never_told(bochs, qemu, strange):
    for lab in (bochs, qemu, strange):
        assert_key_is_secret(lab)
