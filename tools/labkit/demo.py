# SPDX-License-Identifier: Apache-2.0
"""
The demonstration: Dyad with a stock Debian kernel as its guest.

The script types at Dyad's console what a user would, and ends well only if the
guest's shell answered and guest and host powered off in order.
"""
import secrets
from pathlib import Path

from . import image, initramfs
from .emulator import ROOT, LabError, dependencies

ALONE = Path(__file__).with_name("demo.conf").read_text()
PAIR = """
[interface net0]
address = 10.0.0.{own}/24
address = fd00::{own}/64

[partner]
address = 10.0.0.{other}
serial = com2
key = {key}
"""

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


def build_images(count, efi, build=ROOT / "build"):
    """The images that `lab run` starts when none is named, one for each host."""
    guest = dependencies() / "guest"
    for name in ("vmlinux", "busybox"):
        if not (guest / name).is_file():
            raise LabError(f"{guest / name} is missing: run `make deps`")
    build.mkdir(exist_ok=True)
    archive = build / "initramfs.cpio.gz"
    initramfs.build(guest / "busybox", archive)
    if count == 1:
        confs = {"demo": ALONE.format(name="dyad")}
    else:
        key = secrets.token_hex(32)
        confs = {name: ALONE.format(name=name) + PAIR.format(own=own, other=other, key=key)
                 for name, own, other in (("alpha", 1, 2), ("beta", 2, 1))}
    images = []
    for name, text in confs.items():
        conf = build / f"{name}.conf"
        conf.write_text(text)
        images.append(build / f"{name}.img")
        image.build(conf, images[-1], [guest / "vmlinux", archive], efi)
    return images
