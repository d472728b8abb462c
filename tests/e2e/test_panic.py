# SPDX-License-Identifier: Apache-2.0
"""A dying host says why, with the way that led there, and comes back by itself."""

CONF = """[host]
name = alpha
panic-reboot-s = 1
"""


def test_panic_dumps_and_resets(boot):
    dyad = boot(CONF, emulator="bochs", cpus=2).boot()
    assert "panic --force" in dyad.command("panic --please")
    dyad.send("panic --force\r")
    dyad.expect("panic on CPU 0: asked for on the console")
    dyad.expect(r"run_panic\+0x[0-9a-f]+")
    dyad.expect(r"sched_loop\+0x[0-9a-f]+")
    dyad.prompt(300)
    assert "alpha" in dyad.command("info")
