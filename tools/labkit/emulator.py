# SPDX-License-Identifier: Apache-2.0
"""
Emulators: which one, its command line, and what it says about a host's end.

Rules: the host's COM1 connects to a port where the lab listens already, so no
port is ever free in between and two labs cannot meet. The emulator's process
ends when its host does, and its exit status does not tell how: the verdict is
read from its report (Bochs: its log; QEMU: the events of QMP and its log).
"""
import json
import os
import re
import shutil
from dataclasses import dataclass
from enum import IntEnum
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]


class LabError(Exception):
    """Something that the user can put right: wrong usage or a missing thing."""


class Ending(IntEnum):
    """How a host ended; the value is the lab's exit status."""
    POWEROFF = 0
    CRASH = 1
    TIMEOUT = 3
    RESET = 4


@dataclass(frozen=True)
class Machine:
    """What a host is made of. Zero or None: the emulator's default."""
    memory_mib: int = 512
    cpus: int = 1
    cpu_model: str = None
    # Models of network cards, with properties as the emulator names them
    # ("virtio-net-pci,host_mtu=9000"); "": the emulator's default model.
    nics: tuple = ()
    ips: int = 0
    sync: str = ""
    ignore_bad_msrs: bool = True
    reboot: bool = True


@dataclass(frozen=True)
class Wiring:
    """What a host is connected to. Its folder holds disk.img; the emulator runs there."""
    number: int
    directory: Path
    console_port: int
    control_port: int
    # For each network card its UDP port on a hub; None for the second serial port's
    # TCP port: there is none.
    net_ports: tuple = ()
    serial_port: int = None

    def mac(self, nic):
        """The address of the host's network card `nic`, from 0."""
        return f"52:54:00:12:{0x34 + nic:02x}:{self.number:02x}"


class Bochs:
    name = "bochs"
    has_control = False
    # After these its process ends by itself, with the registers in its log.
    ends_itself = (Ending.POWEROFF, Ending.CRASH)

    POWEROFF = re.compile(r"ACPI control: soft power off|Shutdown port: shutdown requested")
    CRASH = re.compile(r"exception with no resolution|>>PANIC<<")
    RESET = re.compile(r"bx_pc_system_c::Reset\(")

    # IA32_PLATFORM_ID: firmware reads it, and Bochs does not know it. Address, type,
    # then high and low half of the reset value, of reserved and of ignored bits.
    MSRS = "0x017 0 00000000 00000000 00000000 00000000 00000000 00000000\n"

    def __init__(self, path, packaged=False):
        self.path = path
        self.packaged = packaged

    def argv(self, machine, wiring):
        config = "\n".join(self.config(machine, wiring)) + "\n"
        (wiring.directory / "bochsrc").write_text(config)
        (wiring.directory / "msrs.def").write_text(self.MSRS)
        argv = [str(self.path), "-q", "-f", "bochsrc"]
        if self.packaged:
            # A build with the debugger: continue at its prompt, quit at the next.
            (wiring.directory / "debugger").write_text("c\nq\n")
            argv += ["-rc", "debugger"]
        return argv

    def config(self, machine, wiring):
        if machine.memory_mib > 2048:
            raise LabError("Bochs: a host has at most 2048 MiB of memory")
        rom = firmware()
        sync = machine.sync or "none"
        ips = machine.ips or (50_000_000 if sync == "none" else 80_000_000)
        display = ["display_library: nogui"]
        slots = {}
        if self.packaged:
            display = [
                "display_library: rfb, options=\"timeout=0\"",
                "plugin_ctrl: unmapped=true, biosdev=true, speaker=false, extfpuirq=true, "
                "parallel=false, serial=true, iodebug=true, e1000=true",
                "vga: extension=vbe, update_freq=1",
            ]
            slots["slot1"] = "pcivga"
        if len(machine.nics) > 4 or any(nic not in ("", "e1000") for nic in machine.nics):
            raise LabError("Bochs: a host has at most 4 network cards, all of them e1000")
        nics = []
        for nic, port in enumerate(wiring.net_ports):
            slots[f"slot{nic + 2}"] = "e1000"
            nics.append(f"e1000: card={nic}, enabled=1, mac={wiring.mac(nic)}, ethmod=socket, "
                        f"ethdev={port}")
        second_serial = []
        if wiring.serial_port:
            second_serial.append("com2: enabled=1, mode=socket-client, "
                                 f"dev=localhost:{wiring.serial_port}")
        return [
            *display,
            "config_interface: textconfig",
            f"cpu: model={machine.cpu_model or 'corei7_skylake_x'}, count=1:{machine.cpus}:1, "
            f"ips={ips}, reset_on_triple_fault=0, "
            f"ignore_bad_msrs={int(machine.ignore_bad_msrs)}, "
            "msrs=msrs.def",
            f"memory: guest={machine.memory_mib}, host={machine.memory_mib}",
            f"romimage: file={rom}, address={2**32 - rom.stat().st_size:#x}",
            "vgaromimage: file=/usr/share/seabios/vgabios-stdvga.bin",
            "pci: enabled=1, chipset=i440fx" + "".join(f", {s}={d}" for s, d in slots.items()),
            *nics,
            "ata0: enabled=1, ioaddr1=0x1f0, ioaddr2=0x3f0, irq=14",
            "ata0-master: type=disk, path=disk.img, mode=flat, cylinders=0",
            f"com1: enabled=1, mode=socket-client, dev=localhost:{wiring.console_port}",
            *second_serial,
            "port_e9_hack: enabled=1",
            f"clock: sync={sync}, time0=1000000000",
            "info: action=report",
            "error: action=report",
            "panic: action=fatal",
            "log: -",
        ]

    def reader(self, machine):
        """A function from a line that Bochs reports to the Ending that it tells, or None."""
        power_on = True

        def read(line):
            nonlocal power_on
            if self.POWEROFF.search(line):
                return Ending.POWEROFF
            if self.CRASH.search(line):
                return Ending.CRASH
            if self.RESET.search(line):
                if not power_on and not machine.reboot:
                    return Ending.RESET
                power_on = False
            return None

        return read


class Qemu:
    has_control = True
    ends_itself = (Ending.POWEROFF,)
    # What QMP wants to hear before it reports events.
    GREETING = b'{"execute": "qmp_capabilities"}\n'

    TRIPLE_FAULT = re.compile(r"^Triple fault")
    REASONS = {"guest-shutdown": Ending.POWEROFF, "guest-reset": Ending.RESET}

    def __init__(self, path, kvm):
        self.path = path
        self.kvm = kvm
        self.name = "qemu-kvm" if kvm else "qemu-tcg"

    def argv(self, machine, wiring):
        wires = []
        for nic, (model, port) in enumerate(zip(machine.nics, wiring.net_ports)):
            wires += [
                "-netdev", f"dgram,id=net{nic},local.type=inet,local.host=127.0.0.1,"
                f"local.port={port},remote.type=inet,remote.host=127.0.0.1,"
                f"remote.port={port + 1}",
                "-device", f"{model or 'e1000e'},netdev=net{nic},id=nic{nic},"
                f"mac={wiring.mac(nic)}"]
        if wiring.serial_port:
            wires += ["-chardev", "socket,id=com2,host=127.0.0.1,nodelay=on,"
                      f"port={wiring.serial_port}", "-serial", "chardev:com2"]
        return [
            str(self.path), "-name", f"host{wiring.number}", "-nodefaults", "-no-user-config",
            "-display", "none", "-machine", "q35", "-accel", "kvm" if self.kvm else "tcg",
            "-cpu", machine.cpu_model or ("host" if self.kvm else "max"),
            "-smp", str(machine.cpus), "-m", str(machine.memory_mib),
            "-bios", str(firmware()),
            "-drive", "file=disk.img,format=raw,if=ide",
            "-chardev", f"socket,id=com1,host=127.0.0.1,port={wiring.console_port},nodelay=on",
            "-serial", "chardev:com1",
            "-chardev", f"socket,id=qmp,host=127.0.0.1,port={wiring.control_port}",
            "-mon", "chardev=qmp,mode=control",
            "-debugcon", "file:debug.log",
            "-global", "isa-debugcon.iobase=0xe9",
            # Tells a triple fault from a reset.
            "-d", "cpu_reset",
            *wires,
            *([] if machine.reboot else ["-no-reboot"]),
        ]

    def reader(self, machine):
        def read(line):
            if self.TRIPLE_FAULT.search(line):
                return Ending.CRASH
            if not line.startswith("{"):
                return None
            event = json.loads(line)
            if event.get("event") != "SHUTDOWN":
                return None
            return self.REASONS.get(event["data"]["reason"], Ending.CRASH)

        return read


def dependencies():
    """Where `make deps` keeps what it fetched and built."""
    return Path(os.environ.get("DYAD_DEPS") or ROOT / ".deps").resolve()


def firmware():
    path = Path("/usr/share/ovmf/OVMF.fd")
    if not path.is_file():
        raise LabError(f"{path} is missing: install the package ovmf")
    return path


def choose(wanted="auto"):
    """The emulator to use, and in a few words why."""
    if wanted == "qemu-tcg":
        return Qemu(find_qemu(), kvm=False), "as asked (it has no VT-x)"
    if wanted == "qemu-kvm":
        obstacle = nested_vtx_obstacle()
        if obstacle:
            raise LabError(f"QEMU/KVM cannot offer VT-x here: {obstacle}")
        return Qemu(find_qemu(), kvm=True), "as asked"
    if wanted == "bochs":
        return find_bochs("as asked")
    obstacle = nested_vtx_obstacle()
    if obstacle:
        return find_bochs(f"no nested VT-x: {obstacle}")
    return Qemu(find_qemu(), kvm=True), "nested VT-x is usable"


def nested_vtx_obstacle():
    """Why a guest of KVM would have no VT-x, or None."""
    if not re.search(r"^flags\s*:.*\bvmx\b", Path("/proc/cpuinfo").read_text(), re.MULTILINE):
        return "the CPU has no vmx"
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return "/dev/kvm is not accessible"
    nested = Path("/sys/module/kvm_intel/parameters/nested")
    if not nested.exists() or nested.read_text().strip() not in ("Y", "1"):
        return "kvm_intel runs without nested=Y"
    if not shutil.which("qemu-system-x86_64"):
        return "qemu-system-x86_64 is not installed"
    return None


def find_qemu():
    path = shutil.which("qemu-system-x86_64")
    if path is None:
        raise LabError("qemu-system-x86_64 is missing: install the package qemu-system-x86")
    return path


def find_bochs(why):
    named = os.environ.get("BOCHS")
    built = dependencies() / "bochs/bin/bochs"
    packaged = shutil.which("bochs")
    if named:
        if not shutil.which(named):
            raise LabError(f"BOCHS={named}: no such program")
        return Bochs(Path(shutil.which(named)).resolve()), why
    if built.is_file():
        return Bochs(built), why
    if packaged:
        return Bochs(packaged, packaged=True), why + "; Debian's build, a fifth of the speed "\
            "of the one that `make deps` builds"
    raise LabError("Bochs is missing: run `make deps`, which builds it")
