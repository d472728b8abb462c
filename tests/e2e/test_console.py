# SPDX-License-Identifier: Apache-2.0
"""The serial console: commands, line editing, history, completion, the log, the end."""
import re

import pytest

from conftest import PROMPT

from labkit.emulator import Ending

COMMANDS = ("help", "info", "guests", "start", "stop", "reset", "pause", "resume", "console",
            "log", "stats", "reboot", "poweroff")
UP, DOWN, LEFT, RIGHT = "\x1b[A", "\x1b[B", "\x1b[D", "\x1b[C"
BACKSPACE = "\x7f"


@pytest.fixture(scope="module")
def dyad(boot):
    return boot("[host]\nname = alpha\n").boot()


def test_help_lists_every_command(dyad):
    answer = dyad.command("help")
    for command in COMMANDS:
        assert re.search(rf"^\s*{command}\b", answer, re.MULTILINE), command


def test_info_describes_the_host(dyad):
    answer = dyad.command("info")
    assert "alpha" in answer
    for word in ("CPU", "memory", "VT-x"):
        assert re.search(word, answer, re.IGNORECASE), word


def test_an_unknown_command_is_answered_by_a_sentence(dyad):
    assert re.search(r"frobnicate.*help", dyad.command("frobnicate"), re.DOTALL)


def test_wrong_arguments_are_answered_by_the_usage(dyad):
    assert "NAME" in dyad.command("start")
    assert "NAME" in dyad.command("start one two three")


def test_an_empty_line_gives_a_new_prompt(dyad):
    dyad.send("\r")
    dyad.prompt()


def test_the_arrow_brings_back_the_last_line(dyad):
    dyad.command("help")
    dyad.command("info")
    dyad.send(UP + UP + "\r")
    dyad.expect("frobnicate|poweroff")
    dyad.prompt()
    dyad.send(UP + UP + DOWN + "\r")
    dyad.expect("alpha|poweroff")
    dyad.prompt()


def test_a_line_is_edited_in_its_middle(dyad):
    dyad.send("ifo" + LEFT + LEFT + "n" + RIGHT + RIGHT + "x" + BACKSPACE + "\r")
    dyad.expect("alpha")
    dyad.prompt()


def test_tab_completes_a_command(dyad):
    dyad.send("gue\t\r")
    dyad.expect("guests")
    dyad.prompt()


def test_tab_lists_what_is_possible(dyad):
    dyad.send("re\t\t")
    for command in ("reboot", "reset", "resume"):
        dyad.expect(command)
    dyad.send("\x15\r")
    dyad.prompt()


def test_a_line_too_long_harms_nobody(dyad):
    dyad.send("x" * 2000 + "\r")
    dyad.prompt()
    assert "alpha" in dyad.command("info")


def test_every_byte_may_be_typed(dyad):
    dyad.send(bytes(c for c in range(256) if c not in b"\r\n") + b"\x15\r")
    dyad.expect(PROMPT)
    dyad.send("\r")
    dyad.prompt()
    assert "alpha" in dyad.command("info")


def test_the_log_is_shown(dyad):
    assert dyad.command("log").strip()


# The last two: they end what the others share.

def test_reboot_boots_again(dyad):
    dyad.send("reboot\r")
    dyad.expect("BdsDxe", 300)
    dyad.boot()
    assert "alpha" in dyad.command("info")


def test_poweroff_ends_the_host_in_order(dyad):
    dyad.send("poweroff\r")
    assert dyad.host.wait() == Ending.POWEROFF
