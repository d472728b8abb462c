# SPDX-License-Identifier: Apache-2.0
"""
Heartbeats between two hosts: their period while the CPU that sends them has a stream
and guests to carry, and the paths that are left when others are cut.

The hosts keep real time. The period is the sender's, by its own clock; how far the
clocks of the two hosts and the machine's ran apart is printed beside it.
"""
import re
import time
from types import SimpleNamespace

import pytest

from conftest import ROOT
from labkit.host import Missing
from network import cut, pair, ping, settle, stream

PERIOD_MS = 100
LOOKS_MAX = 100
PERIODS_MIN = 25
STREAMS_MAX = 10
# Two CPUs of Bochs share its instructions: each has as many in a second of its clock as
# the one of the other hosts has, though this machine may take longer for them.
IPS_OF_TWO = 160_000_000
ADDRESSES = ("10.0.0.{}", "10.0.1.{}", "fd00::{}", "fd01::{}")
GUESTS = {"spin": "spin", "exits": "spin", "faults": "spin"}
CONF = "".join(f"[guest {name}]\nkernel = {kernel}\ncmdline = how={name}\nmemory = 8M\n"
               "start = manual\n" for name, kernel in GUESTS.items())


def paths(dyad):
    """The rows of `paths`, by name."""
    rows = {}
    for row in re.finditer(r"^(\S+) +(up|down) +(.*)$", dyad.command("paths"), re.MULTILINE):
        received = re.search(r"received (\d+)", row[3])
        rows[row[1]] = SimpleNamespace(up=row[2] == "up", text=row[0], received=int(received[1]))
    return rows


def timing(dyad):
    """What the sender measured: milliseconds, and of how many periods."""
    answer = dyad.command("paths")
    match = re.search(r"^period (\d+) ms: shortest ([\d.]+), longest ([\d.]+), mean ([\d.]+) "
                      r"over (\d+)$", answer, re.MULTILINE)
    assert match, f"no timing in:\n{answer}"
    assert int(match[1]) == PERIOD_MS
    return SimpleNamespace(shortest=float(match[2]), longest=float(match[3]),
                           mean=float(match[4]), count=int(match[5]))


def start(boot_lab, **machine):
    payload = ROOT / "build/guests/spin"
    if not payload.is_file():
        pytest.fail(f"{payload} is missing: run `make payloads`")
    lab = boot_lab(pair(more=CONF, nets=2), {payload.name: payload}, nics=("", ""), **machine)
    for dyad in lab.dyads:
        dyad.boot()
    for dyad in lab.dyads:
        settle(dyad)
    return lab


@pytest.fixture(scope="module")
def lab(boot_lab):
    """Two hosts with a CPU each, two cables and the serial one."""
    return start(boot_lab)


def names(number, *more):
    return [address.format(number) for address in ADDRESSES] + list(more)


def wait_for(dyad, up):
    """Until these paths are up and no others; their rows."""
    for _ in range(LOOKS_MAX):
        rows = paths(dyad)
        if {name for name in rows if rows[name].up} == set(up):
            return rows
    raise Missing(f"{up} should be up, but: {dyad.command('paths')}")


def all_are_up(lab):
    for dyad, number in zip(lab.dyads, (2, 1)):
        wait_for(dyad, names(number, "com2"))


def test_every_path_is_up(lab):
    all_are_up(lab)
    for dyad, number in zip(lab.dyads, (2, 1)):
        before = paths(dyad)
        assert ping(dyad, f"10.0.0.{number}", 3) == 3
        for name, row in paths(dyad).items():
            assert row.received - before[name].received >= 15, row.text


def test_the_serial_cable_carries_on_when_both_networks_are_cut(lab):
    with cut(*lab.hubs):
        for dyad, number in zip(lab.dyads, (2, 1)):
            before = wait_for(dyad, ["com2"])["com2"].received
            # Some seconds, as this host counts them.
            assert ping(dyad, f"10.0.0.{number}", 3) == 0
            assert paths(dyad)["com2"].received - before >= 15
            log = dyad.command("log")
            for name in names(number):
                assert f"warning: {name}: no heartbeat for" in log
    all_are_up(lab)


def test_the_networks_carry_on_when_the_serial_cable_is_cut(lab):
    lab.hub.cut_serial()
    for dyad, number in zip(lab.dyads, (2, 1)):
        wait_for(dyad, names(number))
        assert ping(dyad, f"10.0.0.{number}", 3) == 3
        assert "warning: com2: no heartbeat for" in dyad.command("log")
    lab.hub.mend_serial()
    all_are_up(lab)


def test_one_network_fails_in_one_direction(lab):
    alpha, beta = lab.dyads
    lab.hubs[1].cut(1, 2)
    wait_for(beta, ("10.0.0.1", "fd00::1", "com2"))
    wait_for(alpha, names(2, "com2"))
    lab.hubs[1].mend(1, 2)
    all_are_up(lab)


def keep_the_period(lab):
    """The sender's intervals on both hosts, while a stream and guests want their CPUs."""
    alpha, _ = lab.dyads
    for dyad in lab.dyads:
        dyad.command("paths reset")
    began = time.monotonic()
    # A clock that this machine holds up counts less: more until there is enough to judge.
    for _ in range(STREAMS_MAX):
        stream(alpha, "8M")
        senders = [timing(dyad) for dyad in lab.dyads]
        if min(sender.count for sender in senders) >= PERIODS_MIN:
            break
    real = time.monotonic() - began
    for dyad, sender in zip(lab.dyads, senders):
        print(f"host {dyad.host.number}: {sender.count} periods of its clock in {real:.1f} s of "
              f"the machine's, shortest {sender.shortest} ms, longest {sender.longest} ms")
        assert sender.count >= PERIODS_MIN
        assert 0.9 * PERIOD_MS <= sender.shortest
        assert sender.longest <= 1.1 * PERIOD_MS


def test_the_period_is_kept_on_one_cpu_with_a_stream(lab):
    keep_the_period(lab)


@pytest.mark.parametrize("guests", (("spin",), tuple(GUESTS)))
def test_the_period_is_kept_on_one_cpu_with_a_stream_and_guests(lab, guests):
    for dyad in lab.dyads:
        for guest in guests:
            dyad.start(guest)
    keep_the_period(lab)
    for dyad in lab.dyads:
        for guest in guests:
            assert " running " in dyad.state(guest)
            dyad.stop(guest)


def test_the_period_is_kept_on_two_cpus_with_a_stream_and_a_guest_on_the_other(boot_lab):
    lab = start(boot_lab, cpus=2, ips=IPS_OF_TWO)
    for dyad in lab.dyads:
        dyad.start("spin")
        assert re.search(" running +1 ", dyad.state("spin"))
    keep_the_period(lab)
