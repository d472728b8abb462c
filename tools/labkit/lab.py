# SPDX-License-Identifier: Apache-2.0
"""
Hosts and the wires between them.

    with Lab(Machine(nics=("",)), [alpha_image, beta_image], seed=1) as lab:
        alpha, beta = lab.hosts
        lab.hub.set(1, 2, drop=0.01)       # hub.py
        lab.hub.cut_serial()

Card n of every host is at hub n, where a host's port has the host's number. Two
hosts have a serial cable between their second ports, which the first hub holds.
More than one host keep real time, since their clocks must agree.
"""
import contextlib
import functools
from dataclasses import replace
from pathlib import Path

from .emulator import choose
from .host import Host, Loop
from .hub import Hub


class Lab:
    """`machine`, `emulators`: one for all hosts, or a list. `loop`: theirs."""

    def __init__(self, machine, images, emulators=None, seed=1, pcap=None, log_dir=None, loop=None):
        count = len(images)
        emulators = each(emulators or choose()[0], count)
        sync = "none" if count == 1 else "slowdown"
        machines = [replace(one, sync=one.sync or sync) for one in each(machine, count)]
        loop = loop or Loop()
        nics = max(len(one.nics) for one in machines)
        self.hubs = []
        with contextlib.ExitStack() as stack:
            for number in range(1, max(nics, count == 2) + 1):
                path = pcap if number == 1 or not pcap else f"{pcap}.{number}"
                self.hubs.append(stack.enter_context(Hub(seed, path)))
            self.hosts = []
            for number in range(1, count + 1):
                ports = [hub.add_port() for hub in self.hubs]
                self.hosts.append(Host(
                    machines[number - 1], images[number - 1], emulators[number - 1], number, loop,
                    log_dir and Path(log_dir) / f"host{number}",
                    net_ports=ports[:len(machines[number - 1].nics)],
                    serial_port=self.hub.add_serial() if count == 2 else None))
            if count == 2:
                for host in self.hosts:
                    host.on_stage.append(functools.partial(self._plug, host))
            self._stack = stack.pop_all()

    def _plug(self, host, is_up):
        self.hub.command(f"{'plug' if is_up else 'unplug'} {host.number}")

    @property
    def hub(self):
        return self.hubs[0]

    def __enter__(self):
        with self._stack:
            for host in self.hosts:
                self._stack.enter_context(host)
            self._stack = self._stack.pop_all()
        return self

    def __exit__(self, *_):
        self._stack.close()


def each(one, count):
    return list(one) if isinstance(one, (list, tuple)) else [one] * count
