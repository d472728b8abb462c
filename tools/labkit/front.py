# SPDX-License-Identifier: Apache-2.0
"""
Who is at a console: a person at the terminal, a program at a socket, a script.

A console is anything with send(bytes) and a list on_output of functions(bytes).
"""
import os
import socket
import stat
import sys
import termios
import tty
from pathlib import Path

from .emulator import LabError
from .host import read_some

ESCAPE = b"\x01"


class Quit(Exception):
    """The user ends the lab."""


class Terminal:
    """
    Standard input and output. On a terminal: raw, Ctrl-A x ends the lab, Ctrl-A
    Ctrl-A types Ctrl-A, everything else passes. Other files pass as they are.
    """

    def __init__(self, loop, console):
        self._loop = loop
        self._console = console
        self._saved = None
        self._escaped = False

    def __enter__(self):
        self._console.on_output.append(write_out)
        if sys.stdin.isatty():
            self._saved = termios.tcgetattr(sys.stdin)
            tty.setraw(sys.stdin)
        if readable(sys.stdin):
            self._loop.watch(sys.stdin, self._typed)
        return self

    def __exit__(self, *_):
        self._stop_listening()
        if self._saved:
            termios.tcsetattr(sys.stdin, termios.TCSADRAIN, self._saved)
            # The firmware and guests may have left colours and a hidden cursor.
            os.write(sys.stdout.fileno(), b"\x1b[0m\x1b[?25h\r\n")

    def _typed(self):
        data = read_some(sys.stdin)
        if not data:
            self._stop_listening()
            return
        self._console.send(self._unescape(data) if self._saved else data)

    def _unescape(self, data):
        passed = b""
        for byte in (bytes([value]) for value in data):
            if self._escaped:
                self._escaped = False
                if byte in b"xX":
                    raise Quit
                passed += byte
            elif byte == ESCAPE:
                self._escaped = True
            else:
                passed += byte
        return passed

    def _stop_listening(self):
        try:
            self._loop.forget(sys.stdin)
        except KeyError:
            pass


class Port:
    """A TCP or Unix port for one client at a time; nobody there, nothing is kept."""

    def __init__(self, loop, console, address):
        self._loop = loop
        self._console = console
        self._client = None
        self._path = None
        try:
            if isinstance(address, int):
                self._server = socket.create_server(("127.0.0.1", address))
            else:
                self._path = Path(address)
                if self._path.exists() and stat.S_ISSOCK(self._path.stat().st_mode):
                    self._path.unlink()
                self._server = socket.socket(socket.AF_UNIX)
                self._server.bind(address)
                self._server.listen()
        except OSError as error:
            raise LabError(f"console at {address}: {error.strerror}") from error
        self.address = address or self._server.getsockname()[1]

    def __enter__(self):
        self._console.on_output.append(self._said)
        self._loop.watch(self._server, self._called)
        return self

    def __exit__(self, *_):
        self._hang_up()
        self._loop.forget(self._server)
        self._server.close()
        if self._path:
            self._path.unlink(missing_ok=True)

    def _called(self):
        self._hang_up()
        self._client, _ = self._server.accept()
        self._loop.watch(self._client, self._typed)

    def _typed(self):
        data = read_some(self._client)
        if data:
            self._console.send(data)
        else:
            self._hang_up()

    def _said(self, data):
        """A client that does not read loses output, as on a serial line."""
        try:
            if self._client:
                self._client.send(data, socket.MSG_DONTWAIT)
        except BlockingIOError:
            pass
        except ConnectionError:
            self._hang_up()

    def _hang_up(self):
        if self._client:
            self._loop.forget(self._client)
            self._client.close()
            self._client = None


class Remote:
    """The console behind a Port."""

    def __init__(self, loop, address):
        self.on_output = []
        self.ended = False
        self._loop = loop
        try:
            if address.isdigit():
                self._line = socket.create_connection(("127.0.0.1", int(address)))
            else:
                self._line = socket.socket(socket.AF_UNIX)
                self._line.connect(address)
        except OSError as error:
            raise LabError(f"console at {address}: {error.strerror}") from error
        loop.watch(self._line, self._said)

    def send(self, data):
        self._line.sendall(data)

    def _said(self):
        data = read_some(self._line)
        if not data:
            self._loop.forget(self._line)
            self.ended = True
        for function in self.on_output:
            function(data)


class Script:
    """Waits for a text, types another, step by step; then waits for a last text."""

    def __init__(self, host, steps, until=None):
        self._host = host
        self._steps = list(steps)
        self._until = until
        self._asked = bool(steps or until)
        self.finished = False
        host.on_output.append(self._advance)

    @property
    def missing(self):
        """The pattern that it waits for; None when nothing is left to wait for."""
        return self._steps[0][0] if self._steps else None if self.finished else self._until

    @property
    def ended(self):
        """It is finished, or what it waits for will not come."""
        return self.finished or self._host.panicked and self._asked

    def _advance(self, _):
        while self._steps and self._host.match(self._steps[0][0]):
            self._host.send(self._steps.pop(0)[1])
        if not self._steps and self._until and self._host.match(self._until):
            self.finished = True


def write_out(data):
    while data:
        data = data[os.write(sys.stdout.fileno(), data):]


def readable(file):
    """Not a directory or a closed file, which poll reports for ever."""
    try:
        return not stat.S_ISDIR(os.fstat(file.fileno()).st_mode)
    except (OSError, ValueError):
        return False
