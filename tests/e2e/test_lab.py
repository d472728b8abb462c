# SPDX-License-Identifier: Apache-2.0
"""The lab itself: its images, exit statuses, the terminal, and that nothing is left over."""
import contextlib
import filecmp
import io
import os
import re
import select
import signal
import subprocess
import sys
import termios

import pexpect
import pytest

from conftest import DETACH, PROMPT, ROOT
from labkit.emulator import LabError

LAB = str(ROOT / "tools/lab")


def lab(*arguments, **options):
    return subprocess.run([LAB, *map(str, arguments)], stdin=subprocess.DEVNULL, text=True,
                          errors="replace", capture_output=True, timeout=600, **options)


@pytest.fixture(scope="module")
def disk(efi, tmp_path_factory):
    folder = tmp_path_factory.mktemp("lab")
    (folder / "conf").write_text("[host]\nname = alpha\n")
    assert lab("image", folder / "conf", folder / "disk").returncode == 0
    return folder / "disk"


def test_the_same_input_gives_the_same_image(disk, tmp_path):
    (tmp_path / "conf").write_text("[host]\nname = alpha\n")
    done = lab("image", tmp_path / "conf", tmp_path / "again", env=dict(os.environ, TZ="Asia/Tokyo"))
    assert done.returncode == 0
    assert filecmp.cmp(disk, tmp_path / "again", shallow=False)


@pytest.mark.parametrize("arguments, words", (
    (("image", "nowhere", "out"), "nowhere"),
    (("run", "nowhere"), "nowhere"),
    (("run", "DISK", "--serial", "parrot"), "parrot"),
    (("run", "DISK", "--until", "("), "regular expression"),
    (("run", "DISK", "--emulator", "bochs", "--memory", "4096"), "2048"),
    (("run", "DISK", "--emulator", "parrot"), "parrot"),
    (("run", "DISK", "--emulator", "bochs,bochs"), "2 emulators for 1"),
    (("run", "DISK", "--emulator", "bochs", "--nic", "e1000e"), "e1000"),
    (("run", "DISK", "--nic", "default", "--fault", "colour=red"), "colour"),
    (("run", "DISK", "DISK", "DISK"), "images"),
    (("net", "1", "stats"), "hub at port 1"),
))
def test_wrong_usage_is_named_with_status_2(disk, tmp_path, arguments, words):
    done = lab(*[disk if word == "DISK" else word for word in arguments], cwd=tmp_path)
    assert done.returncode == 2
    assert words in done.stderr


def test_keys_are_fresh():
    keys = [lab("key").stdout for _ in range(2)]
    assert keys[0] != keys[1]
    assert all(re.fullmatch("[0-9a-f]{64}\n", key) for key in keys)


def test_a_script_that_is_answered_ends_with_status_0(disk):
    done = lab("run", disk, "--send-after", PROMPT, "info\\r", "--until", "alpha")
    assert done.returncode == 0, done.stderr
    assert "alpha" in done.stdout


def test_a_poweroff_before_the_answer_is_status_1(disk):
    done = lab("run", disk, "--send-after", PROMPT, "poweroff\\r", "--until", "never said")
    assert done.returncode == 1
    assert "never said" in done.stderr


def test_the_time_limit_is_status_3(disk):
    assert lab("run", disk, "--timeout", "1").returncode == 3


def test_a_reset_may_end_the_lab(disk):
    done = lab("run", disk, "--no-reboot", "--send-after", PROMPT, "reboot\\r")
    assert done.returncode == 4, done.stderr


def test_the_terminal_is_raw_and_restored(disk):
    script = f"import subprocess; subprocess.run({[LAB, 'run', str(disk)]}); input('done?')"
    # A parent keeps the terminal open, so that its settings can be read afterwards.
    with pexpect.spawn(sys.executable, ["-c", script], encoding="latin-1", timeout=300) as child:
        child.expect("dyad> ")
        assert not termios.tcgetattr(child.child_fd)[3] & termios.ICANON
        child.send("\x01x")
        child.expect("done\\?")
        assert termios.tcgetattr(child.child_fd)[3] & termios.ICANON


def processes_of(child):
    """A lab's emulators and hubs, as file descriptors that are ready when they have ended."""
    with open(f"/proc/{child.pid}/task/{child.pid}/children") as file:
        return [os.pidfd_open(int(pid)) for pid in file.read().split()]


def ended(processes, seconds=60):
    return select.select(processes, [], [], seconds)[0]


@pytest.mark.parametrize("number", (signal.SIGTERM, signal.SIGKILL))
def test_no_process_outlives_the_lab(disk, number):
    child = pexpect.spawn(LAB, ["run", str(disk), "--nic", "default"], timeout=300)
    child.expect("dyad> ")
    processes = processes_of(child)
    assert len(processes) == 2
    child.kill(number)
    child.wait()
    for process in processes:
        assert ended([process])
        os.close(process)


def test_two_hosts_have_a_console_each_and_wires(disk):
    with contextlib.ExitStack() as stack:
        def spawn(*arguments):
            child = stack.enter_context(pexpect.spawn(LAB, list(arguments), encoding="latin-1",
                                                      timeout=300))
            child.logfile_read = io.StringIO()
            return child

        one = spawn("run", str(disk), "--hosts", "2")
        one.expect(r"network 1: commands at port (\d+)")
        network = one.match[1]
        one.expect(r"host 2: console at port (\d+)")
        two = spawn("console", one.match[1])
        for host, word in ((one, "first"), (two, "second")):
            host.expect("dyad> ")
            host.send(f"{word}\r")
            host.expect(f"unknown command.*{word}")
            host.expect("dyad> ")
        assert "second" not in one.logfile_read.getvalue()
        assert "first" not in two.logfile_read.getvalue()

        assert lab("net", network, "cut 1 2").returncode == 0
        assert lab("net", network, "set", "2", "1", "drop=1%").returncode == 0
        stats = lab("net", network, "stats").stdout
        assert re.search("^1 2 .* is_cut=1$", stats, re.MULTILINE)
        assert re.search("^2 1 .* drop=0.01$", stats, re.MULTILINE)
        # Both firmwares spoke there, and neither heard the other.
        assert re.search("^serial 1 2 bytes=[1-9].* delivered=0", stats, re.MULTILINE)
        assert re.search("^serial 2 1 bytes=[1-9].* delivered=0", stats, re.MULTILINE)
        done = lab("net", network, "cut everything")
        assert done.returncode == 2
        assert "everything" in done.stderr

        processes = processes_of(one)
        for process in processes:
            stack.callback(os.close, process)
        assert len(processes) == 3
        assert not ended(processes, 0)
        two.send("poweroff\r")
        assert len(ended(processes)) == 1
        one.send("info\r")
        one.expect("alpha")
        one.expect("dyad> ")
        one.send("poweroff\r")
        one.expect("host 1 powered off")
        one.expect("host 2 powered off")
        for child in (one, two):
            child.expect(pexpect.EOF)
            child.close()
            assert child.exitstatus == 0
        assert len(ended(processes)) == 3


def pair_conf(own, other):
    return (f"[interface net0]\naddress = 10.0.0.{own}/24\naddress = fd00::{own}/64\n"
            f"[partner]\naddress = 10.0.0.{other}\nserial = com2\nkey = {'5a' * 32}\n")


@pytest.mark.parametrize("emulator", ("bochs", "qemu-tcg", "bochs,qemu-tcg"))
def test_the_hub_joins_hosts_of_any_emulator(boot_lab, emulator):
    lab = boot_lab([pair_conf(1, 2), pair_conf(2, 1)], emulator=emulator, nics=("",))
    for dyad in lab.dyads:
        dyad.boot()
    for dyad, partner in zip(lab.dyads, ("10.0.0.2", "10.0.0.1")):
        dyad.expect("net0: link up")
        dyad.type(f"ping {partner} 3")
        dyad.expect("3 sent, 3 received")
    lab.hub.cut(2, 1)
    lab.dyads[0].type("ping 10.0.0.2 2")
    lab.dyads[0].expect("2 sent, 0 received")
    assert lab.hub.stats()[1, 2]["cut"] == 0
    assert lab.hub.stats()[2, 1]["cut"] > 0
    for host in lab.hosts:
        host.stop()


def test_the_serial_cable_joins_hosts(boot_lab):
    lab = boot_lab([pair_conf(1, 2), pair_conf(2, 1)], nics=("",))
    for dyad in lab.dyads:
        dyad.boot()

    def wait_for(direction, count):
        """Until a heartbeat had this fate."""
        before = lab.hub.stats()["serial", *direction][count]
        for _ in range(1000):
            if lab.hub.stats()["serial", *direction][count] > before:
                return
            lab.dyads[0].command("info")
        pytest.fail(f"no heartbeat {direction} was {count}")

    wait_for((1, 2), "delivered")
    wait_for((2, 1), "delivered")
    lab.hub.cut_serial(1, 2)
    wait_for((1, 2), "cut")
    wait_for((2, 1), "delivered")
    for host in lab.hosts:
        host.stop()


def test_the_cable_of_a_qemu_host_can_be_pulled(boot_lab):
    dyad = boot_lab([pair_conf(1, 2)], emulator="qemu-tcg", nics=("",)).dyads[0].boot()
    dyad.expect("net0: link up")
    dyad.host.control("set_link", name="nic0", up=False)
    dyad.expect("net0: link down")
    dyad.host.control("set_link", name="nic0", up=True)
    dyad.expect("net0: link up")
    with pytest.raises(LabError, match="no_such_command"):
        dyad.host.control("no_such_command")
    dyad.host.control("system_reset")
    dyad.boot()


def test_an_image_serves_several_labs_at_once(disk):
    labs = [pexpect.spawn(LAB, ["run", str(disk)], timeout=300) for _ in range(2)]
    for one in labs:
        one.expect("dyad> ")
    for one in labs:
        one.send("poweroff\r")
        one.expect(pexpect.EOF)
        one.close()
        assert one.exitstatus == 0


def test_a_panic_is_status_1(disk):
    done = lab("run", disk, "--send-after", PROMPT, "panic --force\\r", "--until", "never said")
    assert done.returncode == 1
    assert "host 1 panicked" in done.stderr
    assert "backtrace" in done.stdout


def test_the_demonstration_ends_well():
    done = lab("demo")
    assert done.returncode == 0, done.stderr
    assert "6 times 7 is 42" in done.stdout
    assert done.stdout.splitlines()[-1].startswith("demo: ")
    assert done.stdout.endswith("it works\n")


def test_a_session_at_the_terminal():
    with pexpect.spawn(LAB, ["run"], encoding="latin-1", timeout=300) as user:
        user.expect("dyad> ")
        user.send("console debian\r")
        user.expect("guest# ")
        user.send("uname; tty\r")
        user.expect("Linux\r\n/dev/ttyS0\r\n")
        user.send(DETACH)
        user.expect("dyad> ")
        user.send("poweroff\r")
        user.expect("1 guest would be cut off")
        user.send("poweroff --force\r")
        user.expect("host 1 powered off")
        user.expect(pexpect.EOF)
        user.close()
        assert user.exitstatus == 0
