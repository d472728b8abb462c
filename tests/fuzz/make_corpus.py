#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the corpora of fuzz_decode, fuzz_emulate and fuzz_load.

    tests/fuzz/make_corpus.py      (from the root of the repository)
"""
import pathlib
import re
import struct

CORPUS = pathlib.Path("tests/fuzz/corpus")


def write(target, name, data):
    folder = CORPUS / target
    folder.mkdir(parents=True, exist_ok=True)
    (folder / name).write_bytes(data)


def instructions():
    """One instruction of each operation, and of each size in 64-bit mode."""
    seen = set()
    for line in open("tests/unit/decode_cases.inc", encoding="ascii"):
        row = re.match(r'\{(\d), ".*?", "(.*?)", \d+, INSN_(\w+), (\d), ', line)
        key = row and row.group(*((1, 3, 4) if row.group(1) == "8" else (1, 3)))
        if row and key not in seen:
            seen.add(key)
            mode, code, op, size = row.groups()
            yield int(mode), op.lower(), size, bytes.fromhex(code.replace("\\x", ""))


def decode_and_emulate():
    registers = struct.pack("<16Q", *(0x200000 + 0x101 * i for i in range(16)))
    for mode, op, size, code in instructions():
        name = f"{op}-{8 * mode}-{size}"
        write("decode", name, bytes([{2: 0, 4: 1, 8: 2}[mode]]) + code)
        if mode == 8:
            write("emulate", name, b"\1" + registers + code)


def elf(is_64, segments, entry):
    """segments: (type, virtual, physical, content, memory size)."""
    header_size, stride = (64, 56) if is_64 else (52, 32)
    offset = header_size + stride * len(segments)
    ident = b"\x7fELF" + bytes([2 if is_64 else 1, 1, 1]) + bytes(9)
    body = b""
    headers = b""
    for kind, virtual, physical, content, memory in segments:
        at = offset + len(body)
        fields = (at, virtual, physical, len(content), memory)
        headers += (struct.pack("<II6Q", kind, 5, *fields, 4) if is_64
                    else struct.pack("<8I", kind, *fields, 5, 4))
        body += content
    word = "Q" if is_64 else "I"
    rest = struct.pack(f"<HHI{word}{word}{word}IHHHHHH", 2, 62 if is_64 else 3, 1, entry,
                       header_size, 0, 0, header_size, stride, len(segments), 0, 0, 0)
    return ident + rest + headers + body


def multiboot(flags, *addresses):
    magic = 0x1badb002
    return struct.pack("<3I", magic, flags, -(magic + flags) & 0xffffffff) + \
        struct.pack(f"<{len(addresses)}I", *addresses)


def bzimage(pref_address):
    image = bytearray(0x400 + 0x400)
    for at, form, value in ((0x1f1, "B", 1), (0x1f4, "I", 0x40), (0x1fe, "H", 0xaa55),
                            (0x200, "H", 0x66eb), (0x202, "4s", b"HdrS"), (0x206, "H", 0x20f),
                            (0x211, "B", 1), (0x22c, "I", 0x7fffffff), (0x230, "I", 0x100000),
                            (0x234, "B", 1), (0x236, "H", 1), (0x238, "I", 255),
                            (0x258, "Q", pref_address), (0x260, "I", 0x1000)):
        struct.pack_into("<" + form, image, at, value)
    return bytes(image)


def load():
    code = bytes(range(64))
    note = struct.pack("<3I4sI", 4, 4, 18, b"Xen\0", 0x100010)
    other = struct.pack("<3I4s8s", 4, 5, 1, b"GNU\0", b"other")
    for is_64 in (True, False):
        bits = 64 if is_64 else 32
        write("load", f"pvh-{bits}", b"\1" + elf(
            is_64, [(1, 0x80100000, 0x100000, code, 80), (4, 0, 0, other + note, 44)], 0))
        write("load", f"multiboot-{bits}", b"\2" + elf(
            is_64, [(1, 0x80100000, 0x100000, multiboot(3) + code, 0x1000)], 0x80100010))
    write("load", "multiboot-addresses", b"\3" + bytes(16) + multiboot(
        0x10001, 0x100010, 0x100000, 0x100060, 0x101000, 0x100030) + code)
    write("load", "multiboot-video", b"\0" + multiboot(4) + bytes(64))
    write("load", "bzimage", b"\1" + bzimage(0x100000))
    write("load", "bzimage-moved", b"\0" + bzimage(0x10000000))
    write("load", "nothing", b"\0" + b"MZ" + bytes(62))


decode_and_emulate()
load()
