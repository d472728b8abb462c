# SPDX-License-Identifier: Apache-2.0
"""
Whose heartbeats count: those of a partner that was started anew do, those of a host with
another key do not. And what the hub drops is seen as loss, on its path and in its direction.
"""
import re
import time

import pytest

from network import KEY, pair, tells

OTHER_KEY = "".join(reversed(KEY))
PATHS = ("10.0.0.{}", "fd00::{}", "com2")


def row(dyad, name):
    """What `paths` says of this path."""
    return re.search(rf"^{re.escape(name)} +(.*)$", dyad.command("paths"), re.MULTILINE)[1]


def until(dyad, name, what, timeout=120):
    end = time.monotonic() + timeout
    while not re.search(what, said := row(dyad, name)):
        assert time.monotonic() < end, f"{name} does not say \"{what}\": {said}"
    return said


def start(boot_lab, confs):
    lab = boot_lab(confs, emulator="qemu-tcg", nics=("",))
    for dyad in lab.dyads:
        dyad.boot()
    return lab


def all_paths(lab):
    return [(dyad, name.format(3 - number)) for number, dyad in enumerate(lab.dyads, 1)
            for name in PATHS]


@pytest.fixture(scope="module")
def lab(boot_lab):
    lab = start(boot_lab, pair())
    for dyad, name in all_paths(lab):
        until(dyad, name, "^up ")
    return lab


def test_loss_is_seen_on_its_path_and_in_its_direction(lab):
    alpha, beta = lab.dyads
    for dyad in lab.dyads:
        dyad.command("paths reset")
    lab.hub.set(1, 2, drop=0.3)
    said = until(beta, "10.0.0.1", r"received ([5-9]\d|\d{3})")
    lab.hub.set(1, 2, drop=0)
    # Of the last 100, or of about 71.
    assert 10 <= float(re.search(r"loss ([\d.]+)%", said)[1]) <= 50, said
    assert "loss 0.0%" in row(alpha, "10.0.0.2")
    assert "loss 0.0%" in row(beta, "com2")


def test_a_partner_that_was_started_anew_is_heard_again(lab):
    alpha, beta = lab.dyads
    lab.hosts[1].control("system_reset")
    alpha.expect("com2: no heartbeat for")
    beta.boot()
    alpha.expect("the partner was started anew, as its heartbeats say")
    for dyad, name in all_paths(lab):
        assert "wrong key" not in until(dyad, name, r"^up .*received [1-9]\d")


def test_another_key_is_not_heard(boot_lab):
    lab = start(boot_lab, pair(other_key=OTHER_KEY))
    for dyad, name in all_paths(lab):
        said = until(dyad, name, r"wrong key \d\d")
        assert said.startswith("down never heard") and "received 0," in said
    for dyad in lab.dyads:
        log = dyad.command("log")
        assert len(re.findall(r"com2: heartbeats with a wrong key", log)) == 1
        assert not tells(dyad.boot_log + log) and not tells(dyad.boot_log + log, OTHER_KEY)
