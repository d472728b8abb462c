# SPDX-License-Identifier: Apache-2.0
"""
End-to-end tests: Dyad in an emulator, driven by its serial console.

A boot costs seconds, so a module boots once and its tests share the host; each
leaves it as it found it. Verdicts come from what is said on the console. The
time limits are far above what a slow machine needs: they end what hangs.
"""
import contextlib
import re
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))

from labkit import image, initramfs  # noqa: E402
from labkit.emulator import LabError, Machine, choose, dependencies  # noqa: E402
from labkit.lab import Lab  # noqa: E402

PROMPT = r"^dyad> "
SHELL = r"^guest# "
DETACH = "\x1d"


class Dyad:
    """A host with Dyad's console at its prompt."""

    def __init__(self, host):
        self.host = host
        self.boot_log = ""

    def boot(self, timeout=300):
        start = len(self.host.text)
        self.prompt(timeout)
        self.boot_log = self.host.text[start:]
        return self

    def prompt(self, timeout=120):
        self.host.expect(PROMPT, timeout)

    def command(self, line, timeout=120):
        """Type a command; its answer."""
        return self.host.ask(line, PROMPT, timeout)

    def expect(self, pattern, timeout=120):
        return self.host.expect(pattern, timeout)

    def send(self, text):
        self.host.send(text)

    def type(self, line):
        """Type a command and wait for its echo only."""
        self.send(line + "\r")
        self.expect(re.escape(line) + r"\n")

    def says(self, guest, what):
        """Wait for a line of the log about the guest."""
        return self.expect(rf"guest {re.escape(guest)}: {what}")

    def start(self, guest):
        self.type(f"start {guest}")
        self.says(guest, "running")

    def stop(self, guest):
        self.type(f"stop {guest}")
        self.says(guest, "stopped: stopped by the operator")

    def state(self, guest):
        """The guest's line in `guests`."""
        answer = self.command("guests")
        line = re.search(rf"^{re.escape(guest)}\b.*$", answer, re.MULTILINE)
        assert line, f"{guest} is not in:\n{answer}"
        return line.group()

    def free_pages(self):
        answer = self.command("info")
        match = re.search(r"\((\d+) pages\)", answer)
        assert match, f"no count of free pages in:\n{answer}"
        return int(match.group(1))

    @contextlib.contextmanager
    def console(self, guest):
        """Inside it, expect and send talk to the guest."""
        self.type(f"console {guest}")
        self.expect(rf"^--- console of {re.escape(guest)}; Ctrl-\] returns ---\n")
        yield
        self.send(DETACH)
        self.expect(rf"^--- {re.escape(guest)} goes on without the console ---\n")
        self.prompt()


@pytest.fixture(scope="session")
def efi():
    path = ROOT / "build/dyad.efi"
    if not path.is_file():
        pytest.fail(f"{path} is missing: run `make`")
    return path


@pytest.fixture(scope="session")
def debian(tmp_path_factory):
    """Debian's kernel in both forms and a busybox root file system, by name."""
    folder = tmp_path_factory.mktemp("debian")
    guest = dependencies() / "guest"
    archive = folder / "initramfs.cpio.gz"
    try:
        initramfs.build(guest / "busybox", archive)
    except LabError as error:
        pytest.fail(f"{error}: run `make deps`")
    return {"vmlinux": guest / "vmlinux", "bzImage": guest / "bzImage", archive.name: archive}


@pytest.fixture(scope="module")
def make_image(efi, tmp_path_factory):
    """make_image(conf, files): a disk image; files by name, as bytes or paths."""
    def make(conf, files=None):
        folder = tmp_path_factory.mktemp("image")
        (folder / "dyad.conf").write_text(conf)
        paths = []
        for name, content in (files or {}).items():
            path = content
            if isinstance(content, bytes):
                path = folder / name
                path.write_bytes(content)
            paths.append(path)
        image.build(folder / "dyad.conf", folder / "image", paths, efi)
        return folder / "image"

    return make


@pytest.fixture(scope="module")
def boot_lab(make_image, tmp_path_factory):
    """
    boot_lab([conf, conf], files, ...): starts hosts and wires (labkit/lab.py), the
    hosts in .dyads, .hub between them; ends what still runs after the module's tests.
    """
    with contextlib.ExitStack() as stack:
        def start(confs, files=None, emulator="auto", seed=1, **machine):
            images = [make_image(conf, files) for conf in confs]
            folder = tmp_path_factory.mktemp("lab")
            names = emulator.split(",") if "," in emulator else [emulator] * len(confs)
            lab = stack.enter_context(Lab(
                Machine(**machine), images, [choose(name)[0] for name in names], seed,
                folder / "pcap" if len(confs) > 1 else None, folder))
            lab.dyads = [Dyad(host) for host in lab.hosts]
            return lab

        yield start


@pytest.fixture(scope="module")
def boot(boot_lab):
    """boot(conf, files, ...): starts one host."""
    def start(conf, files=None, **options):
        return boot_lab([conf], files, **options).dyads[0]

    return start
