# SPDX-License-Identifier: Apache-2.0
"""
Bootable disk images: GPT, one EFI system partition (FAT32), same input same bytes.

    \\EFI\\BOOT\\BOOTX64.EFI   Dyad
    \\dyad\\dyad.conf         its configuration
    \\dyad\\NAME              the guests' files
"""
import os
import shutil
import subprocess
from pathlib import Path

from .emulator import LabError

SECTOR = 512
MIB = 1024 * 1024
PARTITION_START = MIB
DISK_GUID = "d7ad0000-0000-4000-8000-000000000001"
PARTITION_GUID = "d7ad0000-0000-4000-8000-000000000002"
VOLUME_SERIAL = "d7ad0001"
EPOCH = "1700000000"

# A FAT with fewer clusters is no FAT32 to firmware that follows the specification.
FAT32_CLUSTERS_MIN = 65525


def build(conf, out, files=(), efi="build/dyad.efi"):
    """Write the image `out`; it appears whole or not at all."""
    contents = {"EFI/BOOT/BOOTX64.EFI": Path(efi), "dyad/dyad.conf": Path(conf)}
    for file in map(Path, files):
        name = f"dyad/{file.name}"
        if name.lower() in map(str.lower, contents):
            raise LabError(f"{file}: there is already a \\dyad\\{file.name} in the image")
        contents[name] = file
    for file in contents.values():
        if not file.is_file():
            raise LabError(f"{file}: no such file")

    total, cluster = geometry([file.stat().st_size for file in contents.values()])
    partial = Path(f"{out}.{os.getpid()}")
    try:
        with open(partial, "wb") as image:
            image.truncate(total)
        partition(partial)
        fill(partial, total, cluster, contents)
        partial.replace(out)
    except OSError as error:
        raise LabError(f"{out}: {error.strerror}") from error
    finally:
        partial.unlink(missing_ok=True)


def geometry(sizes):
    """Bytes of the disk and sectors of a cluster that hold files of these sizes."""
    cluster = 1
    while True:
        unit = cluster * SECTOR
        clusters = sum(-(-size // unit) for size in sizes) + 64
        if cluster < 8 and clusters > 2 * FAT32_CLUSTERS_MIN:
            cluster *= 2
            continue
        clusters = max(clusters, FAT32_CLUSTERS_MIN + 1024)
        # Two FATs with 4 bytes a cluster; 1 MiB before and after for the GPTs.
        volume = clusters * (unit + 8) + 64 * SECTOR
        return -(-volume // MIB) * MIB + 2 * MIB, cluster


def partition(image):
    tool("sgdisk", "--clear", f"--disk-guid={DISK_GUID}",
         f"--new=1:{PARTITION_START // SECTOR}:0", "--typecode=1:ef00",
         f"--partition-guid=1:{PARTITION_GUID}", "--change-name=1:Dyad", str(image))


def fill(image, total, cluster, contents):
    volume = f"{image}@@{PARTITION_START}"
    sectors = (total - 2 * PARTITION_START) // SECTOR
    tool("mformat", "-i", volume, "-F", "-T", str(sectors), "-c", str(cluster),
         "-N", VOLUME_SERIAL, "-v", "DYAD", "::")
    tool("mmd", "-i", volume, "::/EFI", "::/EFI/BOOT", "::/dyad")
    for name, file in contents.items():
        tool("mcopy", "-i", volume, str(file), f"::/{name}")


def tool(name, *arguments):
    """Run a tool of gdisk or mtools, silently unless it fails."""
    path = shutil.which(name) or shutil.which(name, path="/usr/sbin:/sbin")
    if path is None:
        raise LabError(f"{name} is missing: install the packages gdisk and mtools")
    # mtools stamp files with SOURCE_DATE_EPOCH, and want local time to be UTC for that.
    environment = dict(os.environ, TZ="UTC", MTOOLS_SKIP_CHECK="1")
    environment.setdefault("SOURCE_DATE_EPOCH", EPOCH)
    done = subprocess.run([path, *arguments], env=environment, text=True,
                          stdin=subprocess.DEVNULL,
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    if done.returncode != 0:
        raise LabError(f"{name} failed:\n{done.stdout.strip()}")
