# SPDX-License-Identifier: Apache-2.0
"""What tests of the network share: a pair's configuration, and reading what a host says."""
import contextlib
import hashlib
import re

KEY = hashlib.sha256(b"alpha and beta").hexdigest()


def pair(key=KEY, other_key=None, interface="", more="", nets=1):
    """The configurations of alpha and beta: `nets` cards each, every address a path, and com2."""
    return [configuration(*numbers, secret, interface, more, nets)
            for numbers, secret in (((1, 2), key), ((2, 1), other_key or key))]


def configuration(number, other, key, interface="", more="", nets=1):
    lines = ["[host]", f"name = {'alpha' if number == 1 else 'beta'}"]
    for net in range(nets):
        lines += [f"[interface net{net}]", f"address = 10.0.{net}.{number}/24",
                  f"address = fd0{net}::{number}/64", interface]
    lines += ["[partner]"]
    lines += [f"address = 10.0.{net}.{other}" for net in range(nets)]
    lines += [f"address = fd0{net}::{other}" for net in range(nets)]
    return "\n".join([*lines, "serial = com2", f"key = {key}", more, ""])


def settle(dyad, interface="net0"):
    """Until the link is up and nobody else is found to have the addresses."""
    dyad.expect(f"{interface}: link up")
    while "not used yet" in dyad.command("net"):
        pass


def stream(dyad, size, timeout=600):
    """Send the partner so much; both hosts say that all of it came, and came right."""
    dyad.type(f"stream test {size}")
    await_stream(dyad, timeout)


def await_stream(dyad, timeout=600):
    said = dyad.expect(r"^(?:dyad> )?stream test: (.*(?:verified|WRONG|failed|ended).*)\n", timeout)
    assert said[1].endswith(", content verified"), said[1]


@contextlib.contextmanager
def cut(*hubs):
    """Nothing passes there, inside it."""
    for hub in hubs:
        hub.cut()
    try:
        yield
    finally:
        for hub in hubs:
            hub.mend()


def used(dyad):
    """What of lwIP's memory is in use, by the pool's name."""
    found = re.findall(r"^ +(\S.*\S) +(\d+) used, +\d+ at most", dyad.command("net"), re.MULTILINE)
    return {name: int(value) for name, value in found if name != "timers"}


def tells(text, key=KEY):
    """Does the text have the key in it, or a good part of it?"""
    digits = text.lower()
    return any(key[i:i + 16] in digits for i in range(0, len(key) - 15, 2))


def counters(dyad, interface="net0"):
    """Those of `net stats`, by name."""
    found = re.findall(r"^  (\S.*\S) +(\d+)$", dyad.command(f"net stats {interface}"), re.MULTILINE)
    return {name: int(value) for name, value in found}


def ping(dyad, target, count=2):
    """How many were answered."""
    dyad.type(f"ping {target} {count}")
    return int(dyad.expect(rf"{re.escape(target)}: {count} sent, (\d+) received, ")[1])
