# SPDX-License-Identifier: Apache-2.0
"""
One emulated host: its process, its serial console, what it said, how it ended.

    with Host(Machine(), "dyad.img") as host:
        host.expect(r"^dyad> ")
        host.send("poweroff\\r")
        assert host.wait() == Ending.POWEROFF

A Loop delivers events; several hosts may share one. A host runs on a private
copy of its image, and its process cannot outlive the lab's. The end comes when
the process is gone and all that it left behind is read.
"""
import codecs
import collections
import ctypes
import json
import os
import re
import selectors
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path

from .emulator import Ending, LabError, Wiring, choose

PR_SET_PDEATHSIG = 1
libc = ctypes.CDLL(None)

# What a terminal does not show: control sequences, and returns before line feeds.
UNSEEN = re.compile(r"\x1b\[[0-9;?=]*[ -/]*[@-~]|\x1b[()][0-9A-B]|\x1b[=>78cDEHM]|[\r\0]")
UNFINISHED = re.compile(r"\x1b(\[[0-9;?=]*[ -/]*|[()])?$")

# Dyad's last words before a reset of its own making, or for ever (arch/x86_64/panic.c).
PANIC = "*** panic on CPU "
PANIC_END = re.compile(r"^(reset in \d+ s|halted|panic inside a panic, reset)$", re.MULTILINE)

# The firmware takes the console: UEFI sets the terminal's mode. Dyad does: its first log line.
STAGE = re.compile(rb"(?P<firmware>\x1b\[=3h)|^\[ *\d+\.\d+\] ", re.MULTILINE)
STAGE_MAX = 24

CONTROL_SECONDS = 60


class Missing(AssertionError):
    """The host did not say, or do, what was expected."""


class Loop:
    """Calls a function for each file that has something to read."""

    def __init__(self):
        self._selector = selectors.PollSelector()

    def watch(self, file, function):
        self._selector.register(file, selectors.EVENT_READ, function)

    def forget(self, file):
        self._selector.unregister(file)

    def step(self, deadline=None):
        """Handle what comes next. False when the deadline (monotonic) has passed."""
        rest = None if deadline is None else deadline - time.monotonic()
        if rest is not None and rest <= 0:
            return False
        for key, _ in self._selector.select(rest):
            # An earlier event of this round may have closed it.
            if self._selector.get_map().get(key.fileobj) is key:
                key.data()
        return True


class Host:
    def __init__(self, machine, image, emulator=None, number=1, loop=None, log_dir=None,
                 net_ports=(), serial_port=None):
        self.machine = machine
        self.image = Path(image)
        self.emulator = emulator or choose()[0]
        self.number = number
        self.loop = loop or Loop()
        self.directory = None
        self.ending = None
        self.panicked = False
        # Dyad has the machine, not the firmware; functions to call when that changes.
        self.is_up = False
        self.on_stage = []
        self.text = ""
        self.on_output = []
        self._log_dir = log_dir
        self._net_ports = net_ports
        self._serial_port = serial_port
        self._keep_logs = log_dir is not None
        self._logs = []
        self._position = 0
        self._hidden = ""
        self._last_bytes = b""
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace")
        self._unsent = b""
        self._control = None
        self._controlled = 0
        self._answers = {}
        self._read_report = self.emulator.reader(machine)
        self._report = collections.deque(maxlen=400)
        self._verdict = None
        self._process = None
        self._console = None
        self._servers = []
        self._open = []

    # Life

    def __enter__(self):
        if self._log_dir is None:
            self.directory = Path(tempfile.mkdtemp(prefix="dyad-lab-"))
        else:
            self.directory = Path(self._log_dir).resolve()
            self.directory.mkdir(parents=True, exist_ok=True)
        try:
            self._start()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self.stop()
        (self.directory / "disk.img").unlink(missing_ok=True)
        (self.directory / "disk.img.lock").unlink(missing_ok=True)
        if not self._keep_logs:
            shutil.rmtree(self.directory, ignore_errors=True)

    def _start(self):
        disk = self.directory / "disk.img"
        try:
            shutil.copyfile(self.image, disk)
        except OSError as error:
            raise LabError(f"{error.filename}: {error.strerror}") from error
        self._serial_log = self._log("serial.log")
        self._emulator_log = self._log("emulator.log")

        console_port = self._listen(self._console_connected)
        control_port = self._listen(self._control_connected) if self.emulator.has_control else None
        argv = self.emulator.argv(self.machine, Wiring(
            number=self.number, directory=self.directory,
            console_port=console_port, control_port=control_port,
            net_ports=self._net_ports, serial_port=self._serial_port))
        lab = os.getpid()

        def prepare():
            # The emulator must not outlive the lab.
            libc.prctl(PR_SET_PDEATHSIG, signal.SIGKILL)
            if os.getppid() != lab:
                os._exit(1)
            # Once a second Bochs reports its speed out of this signal's handler, and
            # waits for itself for ever when that interrupts another report.
            signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGALRM])

        # Its own session: Ctrl-C at the lab's terminal is not meant for the emulator.
        self._process = subprocess.Popen(
            argv, cwd=self.directory, stdin=subprocess.DEVNULL, stdout=self._log("debug.log"),
            stderr=subprocess.PIPE, start_new_session=True, preexec_fn=prepare)
        self._watch_lines(self._process.stderr)
        gone = os.fdopen(os.pidfd_open(self._process.pid), "rb", buffering=0)
        self._watch(gone, lambda: self._exited(gone))

    def stop(self):
        """End the host at once, if it still runs. Leaves no process and no socket."""
        if self._process and self._process.poll() is None:
            self._process.kill()
            self._process.wait()
        while self._open:
            self._close(self._open[-1])
        while self._logs:
            self._logs.pop().close()

    def keep_logs(self):
        """Something went wrong: leave the logs for a look."""
        self._keep_logs = True

    def wait(self, timeout=120):
        """Let the host run to its end; how it ended."""
        deadline = time.monotonic() + timeout
        while self.ending is None:
            if not self.loop.step(deadline):
                raise Missing(self._complaint(f"still runs after {timeout} s"))
        return self.ending

    # Console

    def send(self, data):
        """Type."""
        self._unsent += data.encode() if isinstance(data, str) else data
        self._flush()

    def expect(self, pattern, timeout=120):
        """Wait until the host says `pattern` after what was matched last; the match."""
        deadline = time.monotonic() + timeout
        while True:
            match = self.match(pattern)
            if match:
                return match
            if self.ending is not None:
                raise Missing(self._complaint(f"ended ({self.ending.name.lower()}) "
                                              f"before it said {pattern!r}"))
            if not self.loop.step(deadline):
                raise Missing(self._complaint(f"did not say {pattern!r} within {timeout} s"))

    def match(self, pattern):
        """As expect, of what was said already: the match or None."""
        match = re.compile(pattern, re.MULTILINE).search(self.text, self._position)
        if match:
            self._position = match.end()
        return match

    def ask(self, command, prompt, timeout=120):
        """Type a line; what was said between its echo and the next prompt."""
        self.send(command + "\r")
        self.expect(re.escape(command) + r"\n", timeout)
        start = self._position
        end = self.expect(prompt, timeout).start()
        return self.text[start:end]

    # Control

    def control(self, command, **arguments):
        """A command of QMP to the emulator, and what it returns: "set_link", "system_reset" ..."""
        if not self.emulator.has_control:
            raise LabError(f"{self.emulator.name} takes no commands: {command}")
        deadline = time.monotonic() + CONTROL_SECONDS
        while not self._control and self.loop.step(deadline):
            pass
        self._controlled += 1
        request = {"execute": command, "arguments": arguments, "id": self._controlled}
        self._control.sendall(json.dumps(request).encode() + b"\n")
        while self._controlled not in self._answers:
            if self.ending is not None or not self.loop.step(deadline):
                raise Missing(self._complaint(f"did not answer {command}"))
        answer = self._answers.pop(self._controlled)
        if "error" in answer:
            raise LabError(f"{command}: {answer['error']['desc']}")
        return answer["return"]

    def tail(self, count=25):
        return "\n".join(line[:200] for line in self.text.splitlines()[-count:])

    def report(self, count=12):
        """The last lines of what the emulator reported."""
        return "\n".join(list(self._report)[-count:])

    def _complaint(self, what):
        self.keep_logs()
        return f"host {self.number} {what}; logs in {self.directory}; it said last:\n{self.tail()}"

    # Events

    def _console_connected(self, connection):
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._console = connection
        self._watch(connection, self._console_readable)
        self._flush()

    def _console_readable(self):
        data = read_some(self._console)
        if not data:
            self._close(self._console)
            self._console = None
            return
        self._serial_log.write(data)
        text = self._hidden + self._decoder.decode(data)
        unfinished = UNFINISHED.search(text)
        end = unfinished.start() if unfinished else len(text)
        self._hidden = text[end:]
        last_row = self.text.rfind("\n") + 1
        self.text += UNSEEN.sub("", text[:end])
        if PANIC_END.search(self.text, last_row) and PANIC in self.text:
            self.panicked = True
        self._watch_stage(data)
        for function in self.on_output:
            function(data)
        self._flush()

    def _watch_stage(self, data):
        seen = self._last_bytes + data
        self._last_bytes = seen[-STAGE_MAX:]
        *_, last = None, *STAGE.finditer(seen)
        is_up = self.is_up if last is None else last["firmware"] is None
        if is_up != self.is_up:
            self.is_up = is_up
            for function in self.on_stage:
                function(is_up)

    def _flush(self):
        """Hand over typed bytes; what the line does not take now goes with the next output."""
        if not self._console or not self._unsent:
            return
        try:
            sent = self._console.send(self._unsent, socket.MSG_DONTWAIT)
        except BlockingIOError:
            return
        except ConnectionError:
            sent = len(self._unsent)
        self._unsent = self._unsent[sent:]

    def _control_connected(self, connection):
        connection.sendall(self.emulator.GREETING)
        self._control = connection
        self._watch_lines(connection)

    def _watch_lines(self, file):
        partial = b""

        def readable():
            nonlocal partial
            data = read_some(file)
            *lines, partial = (partial + data).split(b"\n")
            for line in lines:
                self._reported(line)
            if not data:
                self._close(file)

        self._watch(file, readable)

    def _reported(self, line):
        self._emulator_log.write(line + b"\n")
        line = line.decode(errors="replace").strip()
        self._report.append(line)
        if line.startswith('{"') and '"id":' in line:
            answer = json.loads(line)
            self._answers[answer.get("id")] = answer
        verdict = self._read_report(line)
        if verdict is not None and self._verdict is None:
            self._verdict = verdict
            if verdict not in self.emulator.ends_itself:
                self._process.kill()

    def _exited(self, gone):
        self._process.wait()
        for server in self._servers:
            self._close(server)
        self._close(gone)

    # Files

    def _log(self, name):
        file = open(self.directory / name, "wb", buffering=0)
        self._logs.append(file)
        return file

    def _listen(self, connected):
        """A port for one connection."""
        server = socket.create_server(("127.0.0.1", 0))

        def accept():
            connection, _ = server.accept()
            self._servers.remove(server)
            self._close(server)
            connected(connection)

        self._servers.append(server)
        self._watch(server, accept)
        return server.getsockname()[1]

    def _watch(self, file, function):
        self._open.append(file)
        self.loop.watch(file, function)

    def _close(self, file):
        self._open.remove(file)
        self.loop.forget(file)
        file.close()
        if not self._open and self._process and self._process.returncode is not None:
            self.ending = Ending.CRASH if self._verdict is None else self._verdict


def read_some(file):
    """What there is to read now; nothing at the end of the file."""
    try:
        return os.read(file.fileno(), 65536)
    except ConnectionError:
        return b""
