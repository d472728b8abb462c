# SPDX-License-Identifier: Apache-2.0
"""
The wires between hosts: an Ethernet hub and a serial cable that can go wrong.

Runs as a process of its own (hub.py starts it), so that frames pass while the lab
does something else. It prints the port where it takes commands, and ends when its
standard input does.

Ethernet: every port is a UDP socket, one datagram one frame, on loopback. The
emulator has port P and sends to P + 1, which is the hub's; whoever has P + 1 owns
both, so labs cannot meet. What comes in at a port goes out at all others.

Faults belong to one direction between two ports, a Link. What happens to its n-th
frame depends on the seed and on n alone. Only `reorder` changes the order, and a
frame comes at most REORDER_PLACES places late. Whatever waits is bounded.

The serial cable is plugged in only while its host runs Dyad: firmware takes every
serial port for a console, and what the other host sends there for keys.

Commands, a line each; the answer is lines and then `ok` or `error: what is wrong`.
A command stands between the frames that were sent before and after it. FROM and TO
are numbers of ports; without them a command means every direction.

    set [FROM TO] NAME=VALUE...   drop, dup, reorder: 0.01 or 1%
                                  delay, jitter: 5ms; rate: 10M (bits a second), 0: none
    cut [FROM TO]                 nothing passes, what is on its way is lost
    mend [FROM TO]                it passes again
    cut serial [FROM TO]          the same for the serial cable
    mend serial [FROM TO]
    stats                         counts and settings of each direction
    port                          a new port: its number and P
    serial                        a new end of the serial cable: its number, a TCP port
    plug NUMBER, unplug NUMBER    an end of the serial cable, from and to its host
"""
import argparse
import heapq
import os
import random
import select
import socket
import struct
import sys
import time

FRAME_MAX = 10000
QUEUE_MAX = 4096
SECOND_NS = 10**9

# Emulators take a frame from their socket now and then and the kernel drops what it
# has no room for: nothing goes faster than this, but for short bursts.
FRAME_SPACE_NS = 50_000
BURST_NS = 32 * FRAME_SPACE_NS

REORDER_PLACES = 3
REORDER_NS = 10_000_000

# Below the ports that systems hand out by themselves.
PORTS = range(20000, 32000, 2)


class Refused(Exception):
    """A command that makes no sense."""


class Timers:
    """Functions to call later."""

    def __init__(self):
        self._heap = []
        self._count = 0

    def add(self, due, function, argument):
        self._count += 1
        heapq.heappush(self._heap, (due, self._count, function, argument))

    def wait_s(self):
        """Seconds until the next is due, None without one."""
        if not self._heap:
            return None
        return max(0, self._heap[0][0] - time.monotonic_ns()) / SECOND_NS

    def run(self):
        heap = self._heap
        while heap and heap[0][0] <= time.monotonic_ns():
            _, _, function, argument = heapq.heappop(heap)
            function(argument)


class Port:
    """One end of the Ethernet."""

    def __init__(self, number):
        self.number = number
        self.links = []
        self.socket, self.address = bind_pair()

    def send(self, frame):
        try:
            self.socket.sendto(frame, self.address)
        except OSError:
            pass  # The emulator is not there yet, or has gone.


def bind_pair():
    """A socket at P + 1, and the address P, which is free."""
    first = random.SystemRandom().randrange(len(PORTS))
    for port in [*PORTS[first:], *PORTS[:first]]:
        ours = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            ours.bind(("127.0.0.1", port + 1))
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as theirs:
                theirs.bind(("", port))
        except OSError:
            ours.close()
            continue
        ours.setblocking(False)
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        return ours, ("127.0.0.1", port)
    raise Refused("no UDP port is free")


class Link:
    """One direction between two ports: its faults, its counts."""

    def __init__(self, seed, source, target, timers):
        self.source = source
        self.target = target
        self.settings = dict.fromkeys(SETTINGS, 0)
        self.is_cut = False
        self.counts = dict.fromkeys(("frames", "bytes", "delivered", "cut", "dropped",
                                     "duplicated", "reordered", "overflowed"), 0)
        self._random = random.Random(f"{seed} {source.number} {target.number}").random
        self._timers = timers
        self._held = []  # [places to go, copies of a frame]
        self._queued = 0
        self._free_at = 0
        self._last_due = 0

    def told(self):
        """Its counts, its settings."""
        waiting = self._queued + sum(len(frames) for _, frames in self._held)
        return {**self.counts, "waiting": waiting,
                **{name: value for name, value in self.settings.items() if value}}

    def carry(self, frame, now):
        """A frame enters."""
        # As many numbers for each frame, whatever is set now.
        drop, dup, reorder, places, jitter = (self._random(), self._random(), self._random(),
                                              self._random(), self._random())
        settings, counts = self.settings, self.counts
        counts["frames"] += 1
        counts["bytes"] += len(frame)
        if self.is_cut:
            counts["cut"] += 1
            return
        if drop < settings["drop"]:
            counts["dropped"] += 1
            return
        frames = [frame]
        if dup < settings["dup"]:
            counts["duplicated"] += 1
            frames *= 2
        if reorder < settings["reorder"]:
            counts["reordered"] += 1
            self._overtaken(now)
            held = [1 + int(places * REORDER_PLACES), frames]
            self._held.append(held)
            self._timers.add(now + REORDER_NS, self._give_up, held)
            return
        for one in frames:
            self._queue(one, now, jitter)
        self._overtaken(now)

    def _overtaken(self, now):
        """Another frame has come after those that are held back."""
        for held in self._held[:]:
            held[0] -= 1
            if held[0] == 0:
                self._let_go(held, now)

    def _give_up(self, held):
        """No other frame came."""
        if held in self._held:
            self._let_go(held, time.monotonic_ns())

    def _let_go(self, held, now):
        self._held.remove(held)
        for frame in held[1]:
            self._queue(frame, now, 0)

    def _queue(self, frame, now, jitter):
        """Out now, or when the wire is free and the delay over."""
        settings = self.settings
        if self._queued == QUEUE_MAX:
            self.counts["overflowed"] += 1
            return
        space = FRAME_SPACE_NS
        if settings["rate"]:
            space = max(space, int(len(frame) * 8 * SECOND_NS / settings["rate"]))
        due = max(now, self._free_at - BURST_NS)
        self._free_at = max(now, self._free_at) + space
        due += int((settings["delay"] + jitter * settings["jitter"]) * SECOND_NS)
        self._last_due = due = max(due, self._last_due)
        if due <= now and not self._queued:
            self._deliver(frame)
        else:
            self._queued += 1
            self._timers.add(due, self._deliver_queued, frame)

    def _deliver_queued(self, frame):
        self._queued -= 1
        self._deliver(frame)

    def _deliver(self, frame):
        if self.is_cut:
            self.counts["cut"] += 1
            return
        self.counts["delivered"] += 1
        self.target.send(frame)


class Cable:
    """The serial cable: two ends, each a TCP port for one emulator."""

    def __init__(self, loop):
        self.ends = []
        self._loop = loop

    def add_end(self):
        if len(self.ends) == 2:
            raise Refused("the serial cable has two ends")
        end = SerialEnd(len(self.ends) + 1, self._loop)
        for other in self.ends:
            end.peer, other.peer = other, end
        self.ends.append(end)
        return end


class SerialEnd:
    """What its host sends, on the way to the peer."""

    def __init__(self, number, loop):
        self.number = number
        self.peer = None
        self.is_plugged = False
        self.is_cut = False
        self.counts = {"bytes": 0, "delivered": 0, "unplugged": 0, "cut": 0, "overflowed": 0}
        self._loop = loop
        self._line = None
        self._server = socket.create_server(("127.0.0.1", 0))
        self.port = self._server.getsockname()[1]
        loop[self._server] = self._connected

    def _connected(self):
        self._line, _ = self._server.accept()
        self._line.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._line.setblocking(False)
        del self._loop[self._server]
        self._server.close()
        self._loop[self._line] = self._readable

    def _readable(self):
        data = receive(self._line)
        if not data:
            del self._loop[self._line]
            self._line.close()
            self._line = None
            return
        self.counts["bytes"] += len(data)
        if not self.is_plugged or not self.peer or not self.peer.is_plugged:
            self.counts["unplugged"] += len(data)
        elif self.is_cut:
            self.counts["cut"] += len(data)
        else:
            taken = self.peer.send(data)
            self.counts["delivered"] += taken
            self.counts["overflowed"] += len(data) - taken

    def send(self, data):
        """How many bytes the emulator took; a line does not wait for its reader."""
        try:
            return self._line.send(data) if self._line else 0
        except OSError:
            return 0


class Client:
    """Somebody who gives commands."""

    def __init__(self, connection, wires):
        self._connection = connection
        self._wires = wires
        self._partial = b""
        wires.loop[connection] = self._readable

    def _readable(self):
        data = receive(self._connection)
        *lines, self._partial = (self._partial + data).split(b"\n")
        for line in lines:
            self._answer(line.decode(errors="replace"))
        if not data:
            del self._wires.loop[self._connection]
            self._connection.close()

    def _answer(self, line):
        try:
            answer = [*self._wires.command(line.split()), "ok"]
        except Refused as error:
            answer = [f"error: {error}"]
        try:
            self._connection.sendall("".join(f"{line}\n" for line in answer).encode())
        except OSError:
            pass  # Gone before the answer.


class Wires:
    """All of it, and the loop that moves it."""

    def __init__(self, seed, capture=None):
        self.loop = {}  # socket: what to call when it has something to read
        self.ports = []
        self.links = {}
        self.cable = Cable(self.loop)
        self._seed = seed
        self._capture = capture
        self._timers = Timers()
        self._server = socket.create_server(("127.0.0.1", 0))
        self.loop[self._server] = self._called
        self.command_port = self._server.getsockname()[1]

    def run(self):
        """Until standard input ends."""
        stop = sys.stdin.fileno()
        while True:
            ready, _, _ = select.select([stop, *self.loop], [], [], self._timers.wait_s())
            if stop in ready and not os.read(stop, 4096):
                return
            for file in ready:
                # An earlier one of this round may have closed it.
                if file in self.loop:
                    self.loop[file]()
            self._timers.run()

    def _called(self):
        Client(self._server.accept()[0], self)

    def _frames(self, port, count=32):
        """A share of what waits at a port; the others have theirs in between."""
        receive_frame = port.socket.recv
        for _ in range(count):
            try:
                frame = receive_frame(FRAME_MAX)
            except OSError:
                return
            now = time.monotonic_ns()
            if self._capture:
                self._capture.write(frame)
            for link in port.links:
                link.carry(frame, now)

    # Commands

    def command(self, words):
        name, *words = words or [""]
        for port in self.ports:
            self._frames(port, QUEUE_MAX)  # Those that were sent before the command.
        method = getattr(self, f"_command_{name}", None)
        if method is None:
            raise Refused(f"no command {name!r}; there are stats, cut, mend and set")
        return method(words) or []

    def _command_port(self, _):
        port = Port(len(self.ports) + 1)
        for other in self.ports:
            for source, target in ((port, other), (other, port)):
                link = Link(self._seed, source, target, self._timers)
                source.links.append(link)
                self.links[source.number, target.number] = link
        self.ports.append(port)
        self.loop[port.socket] = lambda: self._frames(port)
        return [f"{port.number} {port.address[1]}"]

    def _command_serial(self, _):
        end = self.cable.add_end()
        return [f"{end.number} {end.port}"]

    def _command_plug(self, words, is_plugged=True):
        for end in self.cable.ends:
            if words == [str(end.number)]:
                end.is_plugged = is_plugged
                return
        raise Refused(f"no end {' '.join(words)!r} of a serial cable")

    def _command_unplug(self, words):
        self._command_plug(words, False)

    def _command_set(self, words):
        numbers = [word for word in words if word.isdigit()]
        links = self._chosen(numbers)
        settings = [parse_setting(word) for word in words[len(numbers):]]
        for link in links:
            link.settings.update(settings)

    def _command_cut(self, words, is_cut=True):
        for one in self._chosen(words):
            one.is_cut = is_cut

    def _command_mend(self, words):
        self._command_cut(words, False)

    def _command_stats(self, _):
        return [*(describe(f"{link.source.number} {link.target.number}", link.told(), link.is_cut)
                  for link in self.links.values()),
                *(describe(f"serial {end.number} {3 - end.number}", end.counts, end.is_cut)
                  for end in self.cable.ends)]

    def _chosen(self, words):
        """The directions that a command means."""
        if words[:1] == ["serial"]:
            there = {(end.number, 3 - end.number): end for end in self.cable.ends}
            words = words[1:]
        else:
            there = self.links
        if not words:
            return list(there.values())
        try:
            return [there[tuple(map(int, words))]]
        except (KeyError, ValueError):
            raise Refused(f"no wire {' '.join(words)!r}: say FROM TO, two numbers of ports")


def describe(name, told, is_cut):
    words = [f"{key}={value}" for key, value in told.items()]
    return " ".join([name, *words, *(["is_cut=1"] if is_cut else [])])


def probability(text):
    value = float(text[:-1]) / 100 if text.endswith("%") else float(text)
    if not 0 <= value <= 1:
        raise ValueError
    return value


def seconds(text):
    value = float(text[:-2]) / 1000 if text.endswith("ms") else float(text.removesuffix("s"))
    if not 0 <= value <= 10:
        raise ValueError
    return value


def bit_rate(text):
    units = {"k": 1e3, "M": 1e6, "G": 1e9}
    value = float(text[:-1]) * units[text[-1]] if text[-1:] in units else float(text)
    if value < 0:
        raise ValueError
    return value


SETTINGS = {"drop": probability, "dup": probability, "reorder": probability,
            "delay": seconds, "jitter": seconds, "rate": bit_rate}


def parse_setting(text):
    """(name, value) of NAME=VALUE."""
    name, _, value = text.partition("=")
    if name not in SETTINGS:
        raise Refused(f"{text!r}: no {name!r} to set; there are {', '.join(SETTINGS)}")
    try:
        return name, SETTINGS[name](value)
    except ValueError:
        raise Refused(f"{text!r}: a probability is 0 to 1 or 0% to 100%, "
                      "a time is 0ms to 10s, a rate is like 10M")


class Capture:
    """A pcap file of the frames as they came in, before anything went wrong with them."""

    def __init__(self, path):
        self._file = open(path, "wb", buffering=0)
        # Magic of microseconds, version 2.4, time zone, accuracy, longest frame, Ethernet.
        self._file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, FRAME_MAX, 1))

    def write(self, frame):
        us = time.time_ns() // 1000
        self._file.write(struct.pack("<IIII", us // 10**6, us % 10**6, len(frame), len(frame))
                         + frame)


def receive(connection):
    """What there is to read now; nothing at the end."""
    try:
        return connection.recv(65536)
    except OSError:
        return b""


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--pcap", metavar="FILE")
    args = parser.parse_args()
    wires = Wires(args.seed, args.pcap and Capture(args.pcap))
    print(wires.command_port, flush=True)
    wires.run()


if __name__ == "__main__":
    main()
