# SPDX-License-Identifier: Apache-2.0
"""A host with Dyad's console at its prompt, for tests."""
import contextlib
import re

PROMPT = r"^dyad> "
DETACH = "\x1d"


class Dyad:
    def __init__(self, host):
        self.host = host
        self.boot_log = ""

    def boot(self, timeout=300):
        start = len(self.host.text)
        self.prompt(timeout)
        self.boot_log = self.host.text[start:]
        return self

    def prompt(self, timeout=120):
        self.host.expect(PROMPT, timeout)

    def command(self, line, timeout=120):
        """Type a command; its answer."""
        return self.host.ask(line, PROMPT, timeout)

    def expect(self, pattern, timeout=120):
        return self.host.expect(pattern, timeout)

    def send(self, text):
        self.host.send(text)

    def type(self, line):
        """Type a command and wait for its echo only."""
        self.send(line + "\r")
        self.expect(re.escape(line) + r"\n")

    def says(self, guest, what):
        """Wait for a line of the log about the guest."""
        return self.expect(rf"guest {re.escape(guest)}: {what}")

    def start(self, guest):
        self.type(f"start {guest}")
        self.says(guest, "running")

    def stop(self, guest):
        self.type(f"stop {guest}")
        self.says(guest, "stopped: stopped by the operator")

    def state(self, guest):
        """The guest's line in `guests`."""
        answer = self.command("guests")
        line = re.search(rf"^{re.escape(guest)}\b.*$", answer, re.MULTILINE)
        assert line, f"{guest} is not in:\n{answer}"
        return line.group()

    def free_pages(self):
        answer = self.command("info")
        match = re.search(r"\((\d+) pages\)", answer)
        assert match, f"no count of free pages in:\n{answer}"
        return int(match.group(1))

    @contextlib.contextmanager
    def console(self, guest):
        """Inside it, expect and send talk to the guest."""
        self.type(f"console {guest}")
        self.expect(rf"^--- console of {re.escape(guest)}; Ctrl-\] returns ---\n")
        yield
        self.send(DETACH)
        self.expect(rf"^--- {re.escape(guest)} goes on without the console ---\n")
        self.prompt()
