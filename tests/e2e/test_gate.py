# SPDX-License-Identifier: Apache-2.0
"""CPUs that lack something: what is missing is named, and the host stays reachable."""
import re

CONF = "[host]\nname = alpha\n"


def test_a_cpu_without_ept_comes_up_with_its_console(boot):
    dyad = boot(CONF, emulator="bochs", cpu_model="core2_penryn_t9600").boot()
    for name in ("preemption timer", r"\(EPT\)", r"\(VPID\)", "unrestricted guests"):
        assert re.search(f"VT-x without.* {name}", dyad.boot_log)
    assert "no-virt" in dyad.command("info")


def test_a_cpu_that_cannot_run_the_host_ends_with_the_reason(boot):
    dyad = boot(CONF, emulator="bochs", cpu_model="corei5_lynnfield_750")
    dyad.expect("panic on CPU 0: .*cannot run Dyad: the CPU has no XSAVE")
    dyad.expect(r"boot_main\+0x")
    dyad.expect("^halted")
