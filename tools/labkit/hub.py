# SPDX-License-Identifier: Apache-2.0
"""
The hub between hosts, for who uses it: a program, or a person at its command port.

    with Hub(seed=1) as hub:
        udp = hub.add_port()            # for an emulator: it has UDP port P, the hub P + 1
        wire = hub.attach()             # for a test: a socket, one datagram one frame
        hub.set(1, 2, drop=0.01, delay_ms=5)
        hub.cut()
        hub.mend()
        hub.stats()[1, 2]["dropped"]

Ports have numbers from 1, in the order in which they were added. A command has effect
for the frames that are sent after it, not for those before. wires.py says what the
faults are.
"""
import socket
import subprocess
import sys
from pathlib import Path

from .emulator import LabError

PROGRAM = Path(__file__).with_name("wires.py")
ANSWER_SECONDS = 60


class Hub:
    def __init__(self, seed=1, pcap=None):
        argv = [sys.executable, str(PROGRAM), f"--seed={seed}"]
        argv += [f"--pcap={pcap}"] if pcap else []
        self._attached = []
        # Its own session: Ctrl-C at the lab's terminal is not meant for the wires.
        self._process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                                         start_new_session=True)
        started = self._process.stdout.readline()
        if not started:
            self.close()
            raise LabError("the hub did not start")
        self.command_port = int(started)
        self._line = connect(self.command_port)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._line.close()
        self.close()

    def close(self):
        for wire in self._attached:
            wire.close()
        self._process.stdin.close()
        self._process.stdout.close()
        self._process.wait()

    # Ends

    def add_port(self):
        """A port for an emulator: the UDP port P that it must have; it sends to P + 1."""
        return int(self.command("port")[0].split()[1])

    def attach(self):
        """A port of one's own: a socket that sends and receives Ethernet frames."""
        wire = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._attached.append(wire)
        wire.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        port = self.add_port()
        wire.bind(("127.0.0.1", port))
        wire.connect(("127.0.0.1", port + 1))
        return wire

    def add_serial(self):
        """An end of the serial cable, which has two: a TCP port that takes one connection."""
        return int(self.command("serial")[0].split()[1])

    # Commands; without source and target they mean all directions

    def set(self, source=None, target=None, **faults):
        """Probabilities drop, dup, reorder; delay_ms, jitter_ms; rate in bits a second."""
        self.command(" ".join(["set", *direction(source, target),
                               *(setting(*item) for item in faults.items())]))

    def cut(self, source=None, target=None):
        self.command(" ".join(["cut", *direction(source, target)]))

    def mend(self, source=None, target=None):
        self.command(" ".join(["mend", *direction(source, target)]))

    def cut_serial(self, source=None, target=None):
        self.command(" ".join(["cut serial", *direction(source, target)]))

    def mend_serial(self, source=None, target=None):
        self.command(" ".join(["mend serial", *direction(source, target)]))

    def stats(self):
        """By direction, (1, 2) or ("serial", 1, 2): its counts, by name."""
        result = {}
        for line in self.command("stats"):
            words = line.split()
            counts = dict(word.split("=") for word in words if "=" in word)
            key = tuple(int(word) if word.isdigit() else word for word in words if "=" not in word)
            result[key] = {name: float(value) if "." in value else int(value)
                           for name, value in counts.items()}
        return result

    def command(self, text):
        """A command as a person types it; the lines of its answer."""
        return ask(self._line, text)


def direction(source, target):
    return [] if source is None and target is None else [str(source), str(target)]


def setting(name, value):
    return f"{name[:-3]}={value}ms" if name.endswith("_ms") else f"{name}={value}"


def connect(port):
    """A line to the hub that takes commands at this port."""
    try:
        return socket.create_connection(("127.0.0.1", port), ANSWER_SECONDS)
    except OSError as error:
        raise LabError(f"hub at port {port}: {error.strerror or error}") from error


def ask(line, text):
    """The lines that the hub answers to a command."""
    answer = b""
    line.sendall(f"{text}\n".encode())
    while not answer.endswith(b"ok\n") and not answer.startswith(b"error"):
        data = line.recv(65536)
        if not data:
            raise LabError("the hub has ended")
        answer += data
    *lines, last = answer.decode().splitlines()
    if last != "ok":
        raise LabError(last.removeprefix("error: "))
    return lines
