# SPDX-License-Identifier: Apache-2.0
"""The wires between hosts, with sockets in the emulators' place: each fault by its counts."""
import contextlib
import socket
import struct
import sys
import time
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "tools"))

from labkit.emulator import LabError  # noqa: E402
from labkit.hub import Hub  # noqa: E402

COUNT = 2000
SHARE = 64  # fits into any socket's buffer


@pytest.fixture
def hub():
    with Hub(seed=7) as hub:
        yield hub


def frame(number, size=60):
    return struct.pack(">6s6sHI", b"\xff" * 6, b"\x02" * 6, 0x88B5, number).ljust(size, b"\0")


def number_of(data):
    return struct.unpack_from(">I", data, 14)[0]


def received(hub, wire):
    """The numbers of all frames that come, until nothing is on its way."""
    numbers = []
    while True:
        done = not any(counts.get("waiting") for counts in hub.stats().values())
        with contextlib.suppress(BlockingIOError):
            while True:
                numbers.append(number_of(wire.recv(10000, socket.MSG_DONTWAIT)))
        if done:
            return numbers


def pass_through(hub, source, target, count=COUNT, start=0):
    """The numbers of the frames that come out when `count` go in."""
    for number in range(start, start + count):
        source.send(frame(number))
        if number % SHARE == 0:
            hub.stats()  # waits until the hub has them
    return received(hub, target)


def test_a_frame_goes_to_all_others_as_it_is(hub):
    wires = [hub.attach() for _ in range(3)]
    data = bytes(range(256)) * 35 + b"end"
    wires[1].send(data)
    for wire in (wires[0], wires[2]):
        wire.settimeout(60)
        assert wire.recv(10000) == data
    assert received(hub, wires[1]) == []
    stats = hub.stats()
    assert stats[2, 1]["frames"] == stats[2, 1]["delivered"] == 1
    assert stats[2, 3]["bytes"] == len(data)
    assert stats[1, 2]["frames"] == 0


def test_without_faults_all_come_in_order(hub):
    one, two = hub.attach(), hub.attach()
    assert pass_through(hub, one, two) == list(range(COUNT))
    assert hub.stats()[1, 2]["delivered"] == COUNT


def test_what_is_dropped_depends_on_the_seed_and_the_number_alone():
    def survivors(seed, drop_from=0):
        with Hub(seed) as hub:
            one, two = hub.attach(), hub.attach()
            numbers = pass_through(hub, one, two, drop_from)
            hub.set(1, 2, drop=0.1)
            numbers += pass_through(hub, one, two, COUNT - drop_from, drop_from)
            assert hub.stats()[1, 2]["dropped"] == COUNT - len(numbers)
            return numbers

    first = survivors(7)
    assert len(first) == 1800
    assert survivors(7) == first
    assert survivors(8) != first
    late = survivors(7, COUNT // 2)
    assert late[:COUNT // 2] == list(range(COUNT // 2))
    assert late[COUNT // 2:] == [number for number in first if number >= COUNT // 2]


def test_a_duplicate_follows_its_frame(hub):
    one, two = hub.attach(), hub.attach()
    hub.set(1, 2, dup=0.1)
    numbers = pass_through(hub, one, two)
    assert len(numbers) == 2187
    assert hub.stats()[1, 2]["duplicated"] == len(numbers) - COUNT
    assert numbers == sorted(numbers)
    assert sorted(set(numbers)) == list(range(COUNT))


def test_reordering_loses_nothing_and_is_bounded(hub):
    one, two = hub.attach(), hub.attach()
    hub.set(1, 2, reorder=0.1)
    numbers = pass_through(hub, one, two)
    assert hub.stats()[1, 2]["reordered"] == 213
    assert sorted(numbers) == list(range(COUNT))
    overtaken = [sum(earlier > number for earlier in numbers[max(0, place - 20):place])
                 for place, number in enumerate(numbers)]
    assert sum(count > 0 for count in overtaken) > 150
    assert max(overtaken) == 3


def test_the_last_frame_is_not_held_for_ever(hub):
    one, two = hub.attach(), hub.attach()
    hub.set(1, 2, reorder=1)
    one.send(frame(1))
    two.settimeout(60)
    assert number_of(two.recv(10000)) == 1


def test_faults_of_one_direction_leave_the_other_alone(hub):
    one, two = hub.attach(), hub.attach()
    hub.set(drop="100%", dup="1")
    hub.set(2, 1, drop=0, dup=0)
    assert pass_through(hub, one, two, 100) == []
    assert pass_through(hub, two, one, 100) == list(range(100))


def test_all_faults_together_add_up(hub):
    one, two = hub.attach(), hub.attach()
    hub.set(drop="1%", dup="1%", reorder="1%", delay_ms=2, jitter_ms=2)
    numbers = pass_through(hub, one, two)
    counts = hub.stats()[1, 2]
    assert (counts["dropped"], counts["duplicated"], counts["reordered"]) == (25, 15, 31)
    assert len(numbers) == counts["delivered"] == COUNT - 25 + 15
    assert counts["drop"] == 0.01 and counts["delay"] == 0.002


def test_a_cut_is_total_and_may_be_one_way(hub):
    one, two = hub.attach(), hub.attach()
    hub.cut(1, 2)
    assert pass_through(hub, one, two, 10) == []
    assert pass_through(hub, two, one, 10) == list(range(10))
    hub.cut()
    assert pass_through(hub, two, one, 10) == []
    hub.mend(1, 2)
    assert pass_through(hub, one, two, 10) == list(range(10))
    assert pass_through(hub, two, one, 10) == []
    hub.mend()
    assert pass_through(hub, two, one, 10) == list(range(10))
    assert hub.stats()[1, 2]["cut"] == 10
    assert hub.stats()[2, 1]["cut"] == 20


def test_a_command_stands_between_the_frames_before_and_after_it(hub):
    one, two = hub.attach(), hub.attach()
    for number in range(20):
        one.send(frame(number))
    hub.cut()
    for number in range(20, 40):
        one.send(frame(number))
    hub.mend()
    assert received(hub, two) == list(range(20))


def test_a_cut_takes_what_is_on_its_way(hub):
    one, two = hub.attach(), hub.attach()
    hub.set(delay_ms=100)
    one.send(frame(1))
    hub.cut()
    assert received(hub, two) == []
    hub.mend()
    one.send(frame(2))
    assert received(hub, two) == [2]


def test_delay_and_jitter_keep_the_order(hub):
    one, two = hub.attach(), hub.attach()
    hub.set(delay_ms=20, jitter_ms=20)
    two.settimeout(60)
    sent = []
    for number in range(100):
        sent.append(time.monotonic())
        one.send(frame(number))
    for number in range(100):
        assert number_of(two.recv(10000)) == number
        assert time.monotonic() - sent[number] >= 0.020


def test_a_rate_holds_back_and_what_waits_is_bounded(hub):
    one, two = hub.attach(), hub.attach()
    hub.set(rate=1)
    for number in range(5000):
        one.send(frame(number))
        counts = hub.stats()[1, 2]
    assert (counts["delivered"], counts["waiting"]) == (1, 4096)
    assert counts["overflowed"] == 5000 - 1 - 4096


def serial_lines(hub):
    lines = [socket.create_connection(("127.0.0.1", hub.add_serial())) for _ in range(2)]
    for line in lines:
        line.settimeout(60)
    return lines


def test_the_serial_cable_carries_and_can_be_cut(hub):
    one, two = serial_lines(hub)
    with one, two:
        hub.command("plug 1")
        one.send(b"to firmware")
        while hub.stats()["serial", 1, 2]["unplugged"] < 11:
            pass
        hub.command("plug 2")
        for source, target in ((one, two), (two, one)):
            source.send(b"\x00\xffhello")
            assert target.recv(100) == b"\x00\xffhello"
        hub.cut_serial(1, 2)
        one.send(b"lost")
        two.send(b"heard")
        assert one.recv(100) == b"heard"
        while hub.stats()["serial", 1, 2]["cut"] < 4:
            pass
        hub.mend_serial()
        one.send(b"again")
        assert two.recv(100) == b"again"
        hub.command("unplug 2")
        two.send(b"firmware speaks")
        while hub.stats()["serial", 2, 1]["unplugged"] < 15:
            pass
    with pytest.raises(LabError, match="two ends"):
        hub.add_serial()


def test_a_reader_that_sleeps_stops_nobody(hub):
    one, two = serial_lines(hub)
    with one, two:
        hub.command("plug 1")
        hub.command("plug 2")
        while not hub.stats()["serial", 1, 2]["overflowed"]:
            one.send(bytes(65536))


@pytest.mark.parametrize("command, complaint", [
    ("set drop=2", "probability"),
    ("set drop=-1%", "probability"),
    ("set drop=nan", "probability"),
    ("set delay=11s", "time"),
    ("set rate=fast", "rate"),
    ("set colour=red", "colour"),
    ("set 1 3 drop=0", "1 3"),
    ("set 1 drop=0", "FROM TO"),
    ("cut 1 1", "1 1"),
    ("cut one two", "one two"),
    ("cut serial 1 2", "1 2"),
    ("plug 3", "3"),
    ("", "no command"),
    ("run", "no command"),
    ("__init__", "no command"),
])
def test_a_command_that_makes_no_sense_is_refused(hub, command, complaint):
    hub.add_port()
    hub.add_port()
    before = hub.stats()
    with pytest.raises(LabError, match=complaint):
        hub.command(command)
    assert hub.stats() == before


def test_hubs_do_not_share_ports():
    with contextlib.ExitStack() as stack:
        hubs = [stack.enter_context(Hub()) for _ in range(4)]
        ports = [hub.add_port() for hub in hubs for _ in range(4)]
        assert len(set(ports)) == len(ports)
        assert all(port % 2 == 0 for port in ports)


def test_the_capture_has_each_frame_once(tmp_path):
    with Hub(pcap=tmp_path / "pcap") as hub:
        one, two = hub.attach(), hub.attach()
        hub.set(drop=1)
        one.send(frame(1))
        two.send(frame(2, 9018))
        hub.stats()
    data = (tmp_path / "pcap").read_bytes()
    assert struct.unpack_from("<IHH", data) == (0xA1B2C3D4, 2, 4)
    assert data[24 + 16:24 + 16 + 60] == frame(1)
    assert data[-9018:] == frame(2, 9018)
    assert len(data) == 24 + 16 + 60 + 16 + 9018
