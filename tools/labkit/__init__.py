# SPDX-License-Identifier: Apache-2.0
"""
The lab: emulated hosts for Dyad.

image.py     a bootable disk image from a configuration and guest files
emulator.py  which emulator, its command line, what its log says about the end
host.py      one running host: its console, what it said, how it ended
lab.py       hosts and the wires between them
hub.py       commands to the wires
wires.py     the wires: a process that carries frames and bytes, and loses some
dyad.py      Dyad at a host's console, for tests
front.py     who talks to a console: the terminal, a socket, a script
initramfs.py the guest's root file system
demo.py      the demonstration: its image and its script

Everything waits for events in one Loop; nothing here sleeps.
"""
