#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Writes tests/unit/decode_cases.inc, the table that the decoder is tested against.

What each case should decode to is known from how it is put together; the bytes
are the GNU assembler's, the text is what objdump makes of them.

    tests/unit/decode_cases.py > tests/unit/decode_cases.inc
"""
import re
import subprocess
import tempfile

REG8 = "al cl dl bl spl bpl sil dil r8b r9b r10b r11b r12b r13b r14b r15b".split()
HIGH = "ah ch dh bh".split()
REG16 = "ax cx dx bx sp bp si di r8w r9w r10w r11w r12w r13w r14w r15w".split()
REG32 = ("eax ecx edx ebx esp ebp esi edi "
         "r8d r9d r10d r11d r12d r13d r14d r15d").split()
REG64 = "rax rcx rdx rbx rsp rbp rsi rdi r8 r9 r10 r11 r12 r13 r14 r15".split()
REGS = {1: REG8, 2: REG16, 4: REG32, 8: REG64}
POINTER = {1: "byte", 2: "word", 4: "dword", 8: "qword"}
SEGMENTS = "es cs ss ds fs gs".split()
RSP, RBP = 4, 5

cases = []


class Memory:
    """An address: registers by number (None: none), scale, displacement, segment."""

    def __init__(self, size, base=None, index=None, scale=1, disp=0, rip=False, segment=None):
        self.size, self.base, self.index, self.scale = size, base, index, scale
        self.disp, self.rip, self.override = disp, rip, segment
        self.segment = segment or ("ss" if base in (RSP, RBP) else "ds")

    def text(self):
        names = REGS[self.size]
        parts = ["rip" if self.size == 8 else "eip"] if self.rip else []
        if self.base is not None:
            parts.append(names[self.base])
        if self.index is not None:
            parts.append(f"{names[self.index]}*{self.scale}" if self.size > 2
                         else names[self.index])
        override = f"{self.override}:" if self.override else ""
        if not parts:
            return f"{override or 'ds:'}[{self.disp & (2 ** (8 * self.size) - 1):#x}]"
        return f"{override}[{'+'.join(parts)}{self.disp:+d}]"

    def row(self):
        base = -1 if self.base is None else self.base
        index = -1 if self.index is None else self.index
        scale = self.scale if self.index is not None else 0
        return (f"{{{base}, {index}, {scale}, {int(self.rip)}, SEG_{self.segment.upper()}, "
                f"{self.disp}}}")


def reg(number):
    return f"R({number})"


def add(mode, text, op, sizes, destination="NONE", source="NONE", memory=None, flags="0"):
    """sizes: operand, memory, address."""
    cases.append((mode, text, op, sizes, destination, source, memory, flags))


def sizes_of(mode):
    return (1, 2, 4, 8) if mode == 8 else (1, 2, 4)


def registers_of(mode, size):
    """Pairs of (name, expectation) that are worth trying."""
    numbers = (3, 7, 13) if mode == 8 else (1, 6 if size > 1 else 2)
    result = [(REGS[size][n], reg(n)) for n in numbers]
    if size == 1:
        result += [(name, f"H({n})") for n, name in enumerate(HIGH)][mode == 4::2]
    return result


def plain(mode):
    """Two addresses for those who do not care about addresses."""
    if mode == 2:
        return Memory(2, base=3, index=6, disp=-2), Memory(2, base=7)
    return Memory(mode, base=6, index=1, scale=8, disp=0x1234), Memory(mode, base=1)


def addressing(mode):
    load = lambda m: add(mode, f"mov edx, dword ptr {m.text()}", "MOV", (4, 4, m.size),
                         reg(2), "MEM", m)
    for size in {2: (2, 4), 4: (4, 2), 8: (8, 4)}[mode]:
        if size == 2:
            for base, index in ((3, 6), (3, 7), (5, 6), (5, 7), (6, None), (7, None),
                                (5, None), (3, None)):
                for disp in (0, 0x7f, -128, 0x1234, -0x1234):
                    load(Memory(2, base=base, index=index, disp=disp))
            if mode == 2:
                load(Memory(2, disp=0x7234))
            continue
        count = 16 if mode == 8 else 8
        for base in range(count):
            sign = 1 if base % 2 else -1
            for disp in (0, 127 * sign, 0x12345678 * sign):
                load(Memory(size, base=base, disp=disp))
            for index in (0, 5) + ((12, 13) if mode == 8 else ()):
                load(Memory(size, base=base, index=index, scale=1 << (base & 3),
                            disp=(0, 0x40, -0x400)[(base + index) % 3]))
        for index in range(count):
            if index != RSP:
                load(Memory(size, index=index, scale=2 << (index % 3), disp=0x1000 * index))
        if size == mode:
            load(Memory(size, disp=0x12345678))
        if mode == 8:
            load(Memory(size, disp=0x1234, rip=True))
            load(Memory(size, disp=-0x1234, rip=True))
    for segment in SEGMENTS if mode != 8 else ("fs", "gs"):
        load(Memory(mode, base=5, disp=0x10, segment=segment))
        load(Memory(mode, base=3, segment=segment))


def two_operands(mode):
    ops = "add or adc sbb and sub xor cmp mov test xchg".split()
    for op in ops + "cmpxchg bt bts btr btc".split():
        for size in sizes_of(mode):
            if size == 1 and op.startswith("bt"):
                continue
            for i, (name, expectation) in enumerate(registers_of(mode, size)):
                memory = plain(mode)[i % 2]
                address = f"{POINTER[size]} ptr {memory.text()}"
                add(mode, f"{op} {address}, {name}", op.upper(), (size, size, memory.size),
                    "MEM", expectation, memory)
                if op in ops[:9]:
                    add(mode, f"{op} {name}, {address}", op.upper(), (size, size, memory.size),
                        expectation, "MEM", memory)


def immediates(mode):
    memory = plain(mode)[1]
    for op in "add or adc sbb and sub xor cmp mov test".split():
        for size in sizes_of(mode):
            address = f"{POINTER[size]} ptr {memory.text()}"
            for value in (1, -1) + ((0x1234,) if size > 1 else ()) + \
                    ((-0x12345678,) if size > 2 else ()):
                add(mode, f"{op} {address}, {value}", op.upper(), (size, size, memory.size),
                    "MEM", f"I({value})", memory)
    for op in "bt bts btr btc".split():
        for size in sizes_of(mode)[1:]:
            add(mode, f"{op} {POINTER[size]} ptr {memory.text()}, 5", op.upper(),
                (size, size, memory.size), "MEM", "I(5)", memory)


def one_operand(mode):
    for op in "inc dec not neg".split():
        for size in sizes_of(mode):
            for memory in plain(mode):
                add(mode, f"{op} {POINTER[size]} ptr {memory.text()}", op.upper(),
                    (size, size, memory.size), "MEM", "NONE", memory)
    memory = plain(mode)[0]
    for text, op in (("lock add {}, eax", "ADD"), ("lock cmpxchg {}, ecx", "CMPXCHG"),
                     ("lock bts {}, edx", "BTS")):
        register = {"eax": 0, "ecx": 1, "edx": 2}[text[-3:]]
        add(mode, text.format(f"dword ptr {memory.text()}"), op, (4, 4, memory.size), "MEM",
            reg(register), memory, "LOCKED")
    add(mode, f"lock inc dword ptr {memory.text()}", "INC", (4, 4, memory.size), "MEM", "NONE",
        memory, "LOCKED")
    add(mode, f"lock btr dword ptr {memory.text()}, 9", "BTR", (4, 4, memory.size), "MEM", "I(9)",
        memory, "LOCKED")


def extensions(mode):
    for op, flags in (("movzx", "0"), ("movsx", "SIGNED")):
        for size in sizes_of(mode)[1:]:
            for source in (1, 2):
                if source == size:
                    continue
                for name, expectation in registers_of(mode, size)[:4]:
                    memory = plain(mode)[0]
                    add(mode, f"{op} {name}, {POINTER[source]} ptr {memory.text()}", "MOV",
                        (size, source, memory.size), expectation, "MEM", memory, flags)
    if mode == 8:
        for name, expectation in registers_of(8, 8):
            memory = plain(8)[1]
            add(8, f"movsxd {name}, dword ptr {memory.text()}", "MOV", (8, 4, 8), expectation,
                "MEM", memory, "SIGNED")


def offsets(mode):
    value = {2: 0x1234, 4: 0x12345678, 8: 0x123456789abcdef0}[mode]
    memory = Memory(mode, disp=value)
    mov = "movabs" if mode == 8 else "mov"
    for size in sizes_of(mode):
        add(mode, f"{mov} {REGS[size][0]}, {memory.text()}", "MOV", (size, size, mode), reg(0),
            "MEM", memory)
        add(mode, f"{mov} {memory.text()}, {REGS[size][0]}", "MOV", (size, size, mode), "MEM",
            reg(0), memory)


def strings(mode):
    width = {1: "b", 2: "w", 4: "d", 8: "q"}
    for op in "movs stos lods ins outs".split():
        for size in sizes_of(mode):
            if size == 8 and op in ("ins", "outs"):
                continue
            for prefix, flags in (("", "0"), ("rep ", "REPEAT")):
                add(mode, f"{prefix}{op}{width[size]}", op.upper(), (size, size, mode),
                    memory=Memory(mode), flags=flags)
    rsi = {2: "si", 4: "esi", 8: "rsi"}[mode]
    add(mode, f"lodsb al, byte ptr fs:[{rsi}]", "LODS", (1, 1, mode),
        memory=Memory(mode, segment="fs"))


def assemble(mode):
    """For each case of the mode: its bytes and objdump's text."""
    mine = [case for case in cases if case[0] == mode]
    with tempfile.TemporaryDirectory() as folder:
        source, target = folder + "/a.s", folder + "/a.o"
        with open(source, "w") as file:
            file.write(f".intel_syntax noprefix\n.code{8 * mode}\n")
            file.writelines(f"l{i}: {case[1]}\n" for i, case in enumerate(mine))
        subprocess.run(["as", "--64" if mode == 8 else "--32", source, "-o", target], check=True)
        machine = {2: "i8086", 4: "i386", 8: "i386:x86-64"}[mode]
        listing = subprocess.run(
            ["objdump", "-d", "-w", "-z", "-M", "intel", "--insn-width=16", "-m", machine, target],
            check=True, capture_output=True, text=True).stdout
    lines = re.findall(r"^ *[0-9a-f]+:\t((?:[0-9a-f]{2} )+) *\t(.*)$", listing, re.M)
    assert len(lines) == len(mine), (len(lines), len(mine))
    for case, (code, text) in zip(mine, lines):
        text = re.sub(r"\s*(#|<).*", "", re.sub(r"\s+", " ", text.strip()))
        yield case, code.split(), text


def main():
    for mode in (2, 4, 8):
        for part in (addressing, two_operands, immediates, one_operand, extensions, offsets,
                     strings):
            part(mode)
    print("/* SPDX-License-Identifier: Apache-2.0 */")
    print("/* Written by tests/unit/decode_cases.py. */")
    print("/* clang-format off */")
    for mode in (2, 4, 8):
        for case, code, text in assemble(mode):
            _, _, op, sizes, destination, source, memory, flags = case
            to_memory, operand = (1, source) if destination == "MEM" else (0, destination)
            code = "".join("\\x" + byte for byte in code)
            row = memory.row() if memory else "{-1, -1, 0, 0, 0, 0}"
            print(f'{{{mode}, "{text}", "{code}", {len(code) // 4}, INSN_{op}, '
                  f"{', '.join(map(str, sizes))}, {flags}, {to_memory}, {operand}, {row}}},")


main()
