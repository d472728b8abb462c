# SPDX-License-Identifier: Apache-2.0
"""
End-to-end tests: Dyad in an emulator, driven by its serial console.

A boot costs seconds, so a module boots once and its tests share the host; each
leaves it as it found it. Verdicts come from what is said on the console. The
time limits are far above what a slow machine needs: they end what hangs.
"""
import contextlib
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools"))

from labkit import image, initramfs  # noqa: E402
from labkit.dyad import DETACH, PROMPT, Dyad  # noqa: E402, F401
from labkit.emulator import LabError, Machine, choose, dependencies  # noqa: E402
from labkit.lab import Lab  # noqa: E402

SHELL = r"^guest# "


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
