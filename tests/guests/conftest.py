# SPDX-License-Identifier: Apache-2.0
"""
Payloads as guests of Dyad: declared in test_guests.py, run and judged here.

A host has room for GUESTS_MAX guests, so the payloads go in several boots; in
each they run one after the other, every one as a guest of its own.
"""
import contextlib
import re
import sys
import warnings
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))

from labkit import image  # noqa: E402
from labkit.dyad import DETACH, PROMPT, Dyad  # noqa: E402
from labkit.emulator import Machine, choose  # noqa: E402
from labkit.host import Host, Missing  # noqa: E402

GUESTS_MAX = 16  # base/config.h, CONFIG_GUEST_MAX
BOOT_SECONDS = 300


@dataclass(frozen=True)
class Guest:
    """A payload, how it is started, and how it must end."""
    name: str
    payload: str = ""  # a file in build/guests; default: the name
    cmdline: str = ""
    modules: tuple = ()  # (file name, bytes)
    memory: int = 16
    cpu: str = "host"
    # What Dyad says about its end; None: it runs until it is stopped.
    ending: str = r"stopped: exit code 0$"
    # Every announced test passed; False: the loader or the guest may end before.
    judged: bool = True
    seconds: int = 60

    @property
    def image(self):
        return self.payload or self.name

    def section(self):
        lines = [f"[guest {self.name}]", f"kernel = {Path(self.image).name}",
                 f"memory = {self.memory}M", f"cpu = {self.cpu}", "start = manual",
                 "on-reboot = stop"]
        lines += [f"cmdline = {self.cmdline}"] if self.cmdline else []
        for file, data in self.modules:
            lines.append(f"module = {file} size={len(data)} sum={sum(data)}")
        return "\n".join(lines) + "\n\n"


class Payloads(Dyad):
    """A host that runs payloads."""

    def __init__(self, host):
        super().__init__(host)
        self._started = {}  # by guest's name: where in the host's text that was

    def start(self, guest):
        self._started[guest.name] = len(self.host.text)
        self.command(f"start {guest.name}")

    def stop(self, guest):
        """What Dyad says about it."""
        self._started[guest.name] = len(self.host.text)
        self.command(f"stop {guest.name}")
        return self.wait_end(guest)

    def wait_end(self, guest):
        """What Dyad says, or has said already, about the end of the guest that was started."""
        said = re.compile(
            rf"guest {guest.name}: ((?:stopped|restarting|cannot start): [^\n]*)\n")
        match = said.search(self.host.text, self._started[guest.name])
        if match is None:
            match = self.host.expect(said.pattern, guest.seconds)
        return match.group(1)

    def output(self, guest):
        """What a stopped guest printed since its last start."""
        text = self.command(f"console {guest.name}")
        start = text.rfind(f"BEGIN {Path(guest.image).name} ")
        end = text.rfind(f"--- {guest.name} has ended ---")
        return text[max(start, 0):end].rstrip("\n")

    def wait_marker(self, guest):
        """Until a guest that goes on running printed its end marker; its output."""
        self.host.send(f"console {guest.name}\r")
        text = self.host.expect(rf"(?s)BEGIN {guest.image} .*?^END [^\n]*(?=\n)", guest.seconds)
        self.host.send(DETACH)
        self.host.expect(PROMPT)
        return text.group()


def judge(guest, output):
    """
    All announced tests passed, and nothing follows the end marker. What the CPU
    underneath lacks is a warning, what the guest's policy hides is as it should
    be; every other skip is a failure.
    """
    begin = re.match(r"BEGIN \S+ (\d+)$", output, re.MULTILINE)
    assert begin, f"no begin marker in:\n{output}"
    count = int(begin.group(1))
    passed = re.findall(r"^ok (\d+) ", output, re.MULTILINE)
    lacking = re.findall(r"^skip (\d+) (.*the CPU has no .*)$", output, re.MULTILINE)
    for _, reason in lacking:
        if guest.cpu == "host":
            warnings.warn(f"{guest.name}: {reason}")
    tried = sorted(int(number) for number in passed + [number for number, _ in lacking])
    assert tried == list(range(1, count + 1)), output
    assert re.search(rf"^END \S+ {len(passed)}/{count}$\Z", output, re.MULTILINE), output


def config(guests):
    return "[host]\nname = payloads\n\n" + "".join(guest.section() for guest in guests)


def chunks(guests):
    return [guests[i:i + GUESTS_MAX] for i in range(0, len(guests), GUESTS_MAX)]


@contextlib.contextmanager
def booted(guests, folder, **machine):
    """Dyad with these guests."""
    efi = ROOT / "build/dyad.efi"
    files = {}
    if not efi.is_file():
        pytest.fail(f"{efi} is missing: run `make`")
    for guest in guests:
        path = ROOT / "build/guests" / guest.image
        if not path.is_file():
            pytest.fail(f"{path} is missing: run `make payloads`")
        files[path.name] = path
        for name, data in guest.modules:
            files[name] = folder / name
            files[name].write_bytes(data)
    (folder / "dyad.conf").write_text(config(guests))
    image.build(folder / "dyad.conf", folder / "image", files.values(), efi)
    with Host(Machine(**machine), folder / "image", choose()[0], log_dir=folder / "logs") as host:
        host.expect(PROMPT, BOOT_SECONDS)
        yield Payloads(host)


class Rack:
    """At most one host at a time, kept while tests ask for the same group of guests."""

    def __init__(self, tmp_path_factory):
        self._tmp_path_factory = tmp_path_factory
        self._running = contextlib.ExitStack()
        self._group = None
        self._dyad = None

    @contextlib.contextmanager
    def host(self, group, **machine):
        """Dyad with these guests, on this machine. One that does not answer is given up."""
        if self._group != (group, machine):
            self.clear()
            self._dyad = self._running.enter_context(
                booted(group, self._tmp_path_factory.mktemp("host"), **machine))
            self._group = (group, machine)
        try:
            yield self._dyad
        except Missing:
            self.clear()
            raise

    def clear(self):
        self._group = None
        self._running.close()


@pytest.fixture(scope="module")
def rack(tmp_path_factory):
    rack = Rack(tmp_path_factory)
    yield rack
    rack.clear()
