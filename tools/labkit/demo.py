# SPDX-License-Identifier: Apache-2.0
"""
The demonstration: Dyad with a stock Debian kernel as its guest.

The script types at Dyad's console what a user would, and ends well only if the
guest's shell answered and guest and host powered off in order.
"""
from pathlib import Path

from . import image, initramfs
from .emulator import ROOT, LabError, dependencies

CONF = Path(__file__).with_name("demo.conf")

BEFORE = """\
demo: Dyad boots from one EFI file and starts a stock Debian kernel as its guest. What follows
demo: is Dyad's serial console: the guest's shell is asked a question, then all is switched off."""
WORKED = "demo: the shell of the Debian guest answered, guest and host powered off: it works"
FAILED = "demo: this did not go as it should; the lines above say how far it came"

STEPS = [
    (r"^dyad> ", "console debian\r"),
    (r"^guest# ", "uname -srm; echo 6 times 7 is $((6*7))\r"),
    (r"^6 times 7 is 42$", "poweroff -f\r"),
    (r"^dyad> ", "guests\r"),
    (r"^dyad> ", "poweroff\r"),
]


def build_image(efi, build=ROOT / "build"):
    """The image that `lab run` starts when none is named."""
    guest = dependencies() / "guest"
    for name in ("vmlinux", "busybox"):
        if not (guest / name).is_file():
            raise LabError(f"{guest / name} is missing: run `make deps`")
    build.mkdir(exist_ok=True)
    archive = build / "initramfs.cpio.gz"
    initramfs.build(guest / "busybox", archive)
    out = build / "demo.img"
    image.build(CONF, out, [guest / "vmlinux", archive], efi)
    return out
