# SPDX-License-Identifier: Apache-2.0
"""
A guest's root file system: busybox and an init, as a cpio archive ("newc").

The headers are written here, so it needs no root, no mknod, and the same
busybox gives the same bytes. There are no links for the applets: busybox's shell
finds them by /proc/self/exe, so /proc comes first.
"""
import gzip
import os
from pathlib import Path

from .emulator import LabError

DIRECTORY, FILE, LINK, DEVICE = 0o040755, 0o100755, 0o120777, 0o020600
CONSOLE = (5, 1)

INIT = b"""\
#!/bin/sh
/bin/busybox mount -t proc proc /proc
mount -t devtmpfs dev /dev
mount -t sysfs sys /sys
export PS1='guest# '
echo 'dyad-guest: init reached'
while :; do
	setsid cttyhack sh
done
"""


def build(busybox, out, init=INIT):
    """Write the archive `out`, compressed if its name ends in .gz."""
    try:
        program = Path(busybox).read_bytes()
        archive = b"".join(entries(program, init))
        if str(out).endswith(".gz"):
            archive = gzip.compress(archive, mtime=0)
        partial = Path(f"{out}.{os.getpid()}")
        partial.write_bytes(archive)
        partial.replace(out)
    except OSError as error:
        raise LabError(f"{error.filename}: {error.strerror}") from error


def entries(program, init):
    contents = [(name, DIRECTORY, b"", (0, 0)) for name in ("bin", "dev", "proc", "sys", "tmp")]
    contents += [
        ("dev/console", DEVICE, b"", CONSOLE),
        ("bin/busybox", FILE, program, (0, 0)),
        ("bin/sh", LINK, b"busybox", (0, 0)),
        ("init", FILE, init, (0, 0)),
    ]
    for inode, (name, mode, data, device) in enumerate(contents, 1):
        yield entry(name, inode, mode, data, device)
    yield entry("TRAILER!!!", 0, 0, b"", (0, 0))


def entry(name, inode, mode, data, device):
    """One header with its name and data, each padded to 4 bytes."""
    links = 2 if mode == DIRECTORY else 1
    # ino mode uid gid nlink mtime size dev(2) rdev(2) name-size check
    fields = (inode, mode, 0, 0, links, 0, len(data), 0, 0, *device, len(name) + 1, 0)
    header = b"070701" + b"".join(b"%08X" % field for field in fields)
    return padded(header + name.encode() + b"\0") + padded(data)


def padded(data):
    return data + bytes(-len(data) % 4)
