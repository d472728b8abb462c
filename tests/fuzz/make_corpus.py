#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the corpora of fuzz_decode, fuzz_emulate, fuzz_load and fuzz_virtio_net.

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


def virtio_net():
    """A device, then records of what it and the host do (fuzz_virtio_net.c)."""
    all_features = 1 << 36 | 1 << 33 | 1 << 32 | 1 << 16 | 1 << 15 | 1 << 5 | 1 << 3 | 3

    def device(features=all_features, rx=256, tx=256, flags=0, mtu=9000, wanted=1500):
        return struct.pack("<QHHBBHHB3s", features, rx, tx, 1, flags, mtu, wanted, 0, bytes(3))

    def record(kind, small=0, a=0, b=0, tx=False):
        return struct.pack("<BBHI", kind + 132 * tx, small, a, b)

    poll, interrupt, toggle = record(0, 64), record(7), record(11)
    frame_in, frame_out = record(3, 1, 1, 72), record(2, 3, 14, 60)
    used = record(3, 0, 1, 0, tx=True)
    write("virtio_net", "both-ways", device() + (frame_in + frame_out + used + interrupt + poll) * 8)
    write("virtio_net", "many", device() + (record(4, 64, 1500) + poll) * 8)
    write("virtio_net", "jumbo", device(wanted=9000) +
          (record(3, 2, 0, 2048) + record(3, 2, 1, 700) + poll) * 4)
    write("virtio_net", "stop-start", device() + (frame_out + toggle) * 6)
    write("virtio_net", "line", device(flags=8) + (record(8, 1, 1) + frame_in + interrupt + poll) * 4)
    write("virtio_net", "no-vectors", device(flags=4) + (frame_in + poll) * 4)
    write("virtio_net", "no-merging", device(features=1 << 32 | 1 << 5, rx=64, tx=32, mtu=1500) +
          (frame_in + frame_out + used + poll) * 4)
    write("virtio_net", "keeps", device() + record(9, 1) + (record(4, 200, 60) + poll * 4) * 8)
    write("virtio_net", "link", device() + record(8, 2, 6, 0) + interrupt + poll + frame_out)
    for name, broken in (("index", record(5, 1, 999)), ("slot", record(5, 3, 0, 300 << 16)),
                         ("length", record(3, 1, 1, 2060)), ("header", record(3, 1, 1, 5)),
                         ("pieces", record(3, 5, 1, 100)), ("needs-reset", record(8, 0, 0x4f)),
                         ("gone", record(8, 3, 8) + record(8, 0, 0xff)),
                         ("scribble", record(6, 0, 4, 255) + record(6, 1, 2, 255))):
        write("virtio_net", f"broken-{name}", device() + frame_out + frame_in + broken +
              interrupt + poll + frame_in + used + poll)


decode_and_emulate()
load()
virtio_net()
