# SPDX-License-Identifier: Apache-2.0
"""The build's own tools: what they count, what they refuse."""
import shlex
import subprocess
from pathlib import Path

import pytest

TOOLS = Path(__file__).resolve().parents[2] / "tools"


def run_tests(*commands):
    """Last line and exit status of run-tests."""
    done = subprocess.run([TOOLS / "run-tests", *commands], capture_output=True, text=True)
    return done.stdout.splitlines()[-1], done.returncode


@pytest.mark.parametrize("printed, counted", [
    ("[  PASSED  ] 14 test(s).", "14 passed, 0 failed, 0 skipped"),
    ("[  SKIPPED ] 2 test(s), listed below:", "0 passed, 0 failed, 2 skipped"),
    ("[  PASSED  ] test_of_that_name", "1 passed, 0 failed, 0 skipped"),
    ("=== 3 passed, 1 skipped, 2 warnings in 0.12s ===", "3 passed, 0 failed, 1 skipped"),
    ("= 3 passed, 2 deselected, 1 xfailed in 61.02s (0:01:01) =", "4 passed, 0 failed, 0 skipped"),
    ("5 passed in 1.00s", "5 passed, 0 failed, 0 skipped"),
    ("7 passed, 0 failed, 1 skipped", "7 passed, 0 failed, 1 skipped"),
    ("nothing to count", "1 passed, 0 failed, 0 skipped"),
])
def test_what_is_counted(printed, counted):
    assert run_tests(f"echo '{printed}'") == (counted, 0)


@pytest.mark.parametrize("printed, counted", [
    ("[  FAILED  ] 2 test(s), listed below:", "0 passed, 2 failed, 0 skipped"),
    ("=== 1 failed, 3 passed, 2 errors in 0.12s ===", "3 passed, 3 failed, 0 skipped"),
    ("7 passed, 1 failed, 0 skipped", "7 passed, 1 failed, 0 skipped"),
])
def test_a_failure_that_is_counted_fails_whatever_the_status_says(printed, counted):
    assert run_tests(f"echo '{printed}'") == (counted, 1)


def test_a_crash_counts_as_one_failure():
    assert run_tests("sh -c 'echo \"[  PASSED  ] 3 test(s).\"; kill -SEGV $$'") \
        == ("3 passed, 1 failed, 0 skipped", 1)
    assert run_tests("/no/such/program") == ("0 passed, 1 failed, 0 skipped", 1)


def test_what_a_run_tests_inside_has_counted_is_not_counted_again():
    program = str(TOOLS / "run-tests")
    inner = shlex.join([program, "echo '2 passed in 1.00s'", "true"])
    assert run_tests(shlex.join([program, inner, "true"]), "true") \
        == ("5 passed, 0 failed, 0 skipped", 0)


def test_commands_are_added_up_and_all_are_run():
    assert run_tests("false", "echo '2 passed in 1.00s'", "true") \
        == ("3 passed, 1 failed, 0 skipped", 1)


@pytest.mark.parametrize("path, line, refused", [
    ("vmm/x.c", '#include "arch/x86_64/arch.h"', False),
    ("vmm/x.c", '#include "arch/x86_64/vmx.h"', True),
    ("vmm/devices/x.h", '#  include "console/console.h"', True),
    ("base/x.h", '#include "drivers/nic.h"', True),
    ("net/x.c", '#include "drivers/nic.h"', False),
    ("net/port/x.h", '#include "vmm/vm.h"', True),
    ("drivers/x.c", '#include "net/net.h"', True),
    ("boot/efi_x.c", '#include "arch/x86_64/arch.h"', True),
    ("boot/main.c", '#include "arch/x86_64/vmx.h"', False),
    ("console/x.c", "#include <string.h>", False),
])
def test_layers(tmp_path, path, line, refused):
    file = tmp_path / path
    file.parent.mkdir(parents=True)
    file.write_text(f"/* first */\n{line}\n")
    done = subprocess.run([TOOLS / "check-layers"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == refused
    assert not refused or done.stdout.startswith(f"{path}:2: ")


def test_symbols(tmp_path):
    (tmp_path / "nm").write_text("ffffffff80000000 T __text_start\n"
                                 "ffffffff80000010 t second\n"
                                 "ffffffff80000010 T also_second\n"
                                 "ffffffff80000100 T __text_end\n"
                                 "ffffffff80001000 R constant\n")
    done = subprocess.run([TOOLS / "symbols", tmp_path / "nm"], capture_output=True, text=True)
    assert [line.split("\t.")[-1] for line in done.stdout.splitlines()[1:]] == [
        "long 0x0, 0", "long 0x10, 13", 'section .symbol_names, "a"', 'string "__text_start"',
        'string "also_second"', 'section .note.GNU-stack, "", @progbits']
