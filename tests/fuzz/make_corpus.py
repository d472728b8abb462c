#!/usr/bin/python3
# SPDX-License-Identifier: Apache-2.0
"""Writes the corpora of fuzz_beat, fuzz_decode, fuzz_dhcp, fuzz_emulate, fuzz_load,
fuzz_stream and fuzz_virtio_net.

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


def dhcp():
    """Records of what is on the wire (fuzz_dhcp.c)."""
    def record(kind, data=b""):
        return struct.pack("<BH", kind, len(data)) + data

    def options(kind, lease=240):
        return (bytes([53, 1, kind, 54, 4, 10, 0, 0, 254, 51, 4]) + struct.pack(">I", lease) +
                bytes([58, 4, 0, 0, 0, 120, 59, 4, 0, 0, 0, 180, 1, 4, 255, 255, 255, 0,
                       3, 4, 10, 0, 0, 254, 255]))

    def wait(tens_of_ms):
        return struct.pack("<BH", 3, tens_of_ms)

    def packet(kind, *parts):
        return record(1, bytes([kind]) + b"".join(parts))

    def ip4(protocol, l4, destination=7, options=b""):
        return (bytes([0x45 + len(options) // 4, 0]) +
                struct.pack(">HHHBBH", 20 + len(options) + len(l4), 1, 0, 64, protocol, 0) +
                bytes([10, 0, 0, 9, 10, 0, 0, destination]) + options + l4)

    def ip6(header, l4, source=9, destination="1"):
        to = {"1": b"\xfd" + bytes(14) + b"\x01", "all": b"\xff\x02" + bytes(13) + b"\x01"}
        return (b"\x60\0\0\0" + struct.pack(">HBB", len(l4), header, 255) +
                b"\xfd" + bytes(14) + bytes([source]) + to[destination] + l4)

    def tcp(flags, number, data=b"", options=b"", ack=0):
        return struct.pack(">HHIIBBHHH", 1234, 8551, number, ack, (5 + len(options) // 4) << 4,
                           flags, 8192, 0, 0) + options + data

    mac = bytes([2, 0, 0, 0, 0, 0x99])
    bound = record(2, options(2)) + wait(20) + record(2, options(5)) + wait(200)
    arp = packet(0, b"\0\1\x08\0\6\4\0\1", mac, bytes([10, 0, 0, 9]), bytes(6),
                 bytes([10, 0, 0, 7]))
    neighbour = packet(2, ip6(58, bytes([135, 0] + [0] * 6) + b"\xfd" + bytes(14) + b"\1" +
                              b"\1\1" + mac))
    write("dhcp", "bound", bound)
    write("dhcp", "renewed", bound + wait(255) * 30 + record(2, options(5)) + wait(255))
    write("dhcp", "refused", record(2, options(2)) + wait(20) + record(2, options(6)) + wait(255))
    write("dhcp", "link", bound + record(4) + wait(50) + record(4) + wait(50) +
          record(2, options(5)) + wait(255))
    write("dhcp", "short-lease", record(2, options(2, 1)) + wait(20) + record(2, options(5, 1)) +
          wait(255) * 40)
    write("dhcp", "options-cut", record(2, options(2)[:9]) + record(2, bytes([53, 200, 2])))
    write("dhcp", "overload", record(2, bytes([52, 1, 3]) + options(2)))
    write("dhcp", "arp-ping", bound + arp + packet(1, ip4(1, bytes([8, 0] + [0] * 62))))
    write("dhcp", "udp", bound + packet(1, ip4(17, struct.pack(">HHHH", 9, 9, 16, 0) + bytes(8))))
    write("dhcp", "ip-options", bound + packet(1, ip4(1, bytes(8), options=b"\x83\7\4" + bytes(5))))
    write("dhcp", "neighbour", wait(250) + neighbour + packet(2, ip6(58, bytes([128, 0] + [0] * 30))))
    write("dhcp", "duplicate", packet(2, ip6(58, bytes([136, 0, 0, 0, 0x20, 0, 0, 0]) + b"\xfd" +
                                             bytes(14) + b"\1\2\1" + mac, 1, "all")))
    write("dhcp", "router", packet(2, ip6(58, bytes([134, 0, 0, 0, 64, 0, 7, 8] + [0] * 8) +
                                          bytes([3, 4, 64, 0xc0] + [0] * 28), 9, "all")))
    write("dhcp", "multicast-query", packet(2, ip6(58, bytes([130, 0] + [0] * 22), 9, "all")))
    write("dhcp", "extension-headers", packet(2, ip6(0, bytes([60, 0] + [0] * 6 + [43, 0] + [0] * 6 +
                                                             [44, 0] + [0] * 6 + [59, 0] + [0] * 14))))
    write("dhcp", "tcp", bound + arp + packet(1, ip4(6, tcp(2, 1000, options=bytes(
        [2, 4, 5, 180, 3, 3, 5, 1, 4, 2, 1, 1])))) + packet(1, ip4(6, tcp(16, 1001, b"x" * 100))) +
        packet(1, ip4(6, tcp(24, 1200, b"y" * 100))) + packet(1, ip4(6, tcp(17, 1001))))
    write("dhcp", "tcp6", wait(250) + neighbour + packet(2, ip6(6, tcp(2, 1000))) +
          packet(0x42, ip6(6, tcp(4, 1001))))


def beat():
    def sized(data):
        return bytes([len(data) // 2]) + data

    def fields(session, peer, sequence, sent, echo, age):
        return struct.pack("<6Q", session, peer, sequence, sent, echo, age)

    now = 1_000_000_000
    partner = b"\4\0" * 3
    raw = b"DYHB\1\0" + struct.pack("<H", 0) + fields(2, 1, 1, now, now, 0) + bytes(16)
    write("beat", "partner", partner + b"\2\x64" + b"\4\1" * 3)
    write("beat", "restart", partner + b"\6\2\xff\2\xff" + partner + b"\5\0")
    write("beat", "raw", b"\0\1" + sized(raw) + b"\0\1" + sized(raw[:70]))
    write("beat", "greeting", b"\1\0" + sized(fields(3, 0, 1, now, 0, 0)) + b"\0\0")
    write("beat", "signed", b"\1\2" + sized(fields(3, 1, 200, now, now, 0)) + b"\1\x20"
          + partner + b"\1\2" + sized(fields(3, 1, 100, now, now, 0)) + b"\1\0\7")
    write("beat", "line", b"\3" + sized(b"\xc0\xdb\xdc" + raw + b"\xdb\xdd\xc0\xc0\xdb\1"))


def stream():
    """Records of what the other end of a connection does (fuzz_stream.c)."""
    def record(kind, data=b""):
        return bytes([kind]) + struct.pack("<H", len(data)) + data

    def frame(kind, data=b"", size=None, reserved=0):
        return struct.pack("<IHH", len(data) if size is None else size, kind, reserved) + data

    def greeting(kind, version, word, name=b"beta"):
        return record(1, frame(kind, struct.pack("<HH", version, word) + name.ljust(32, b"\0")))

    def handshake(kind, body):
        message = bytes([kind]) + len(body).to_bytes(3, "big") + body
        return b"\x16\3\3" + len(message).to_bytes(2, "big") + message

    shake = record(5)
    hello = shake + greeting(1, 1, 0)
    answer = shake + greeting(2, 1, 0)
    # An empty session, TLS_PSK_WITH_AES_128_GCM_SHA256, no compression; extended master secret.
    client = b"\3\3" + bytes(32) + b"\0\0\2\0\xa8\1\0\0\4\0\x17\0\0"
    server = b"\3\3" + bytes(32) + b"\0\0\xa8\0\0\4\0\x17\0\0"
    exchange = handshake(16, b"\0\4dyad") + b"\x14\3\3\0\1\1\x16\3\3\0\x28" + bytes(40)
    write("stream", "garbage", b"\0" + record(0, b"GET / HTTP/1.1\r\n\r\n"))
    write("stream", "client-hello", b"\0" + record(0, handshake(1, client)) +
          record(0, exchange))
    write("stream", "client-hello-cut", b"\0" + record(0, handshake(1, client)[:20]) + record(3))
    write("stream", "server-hello", b"\1" + record(2) + record(0, handshake(2, server)) +
          record(0, handshake(14, b"")) + record(0, b"\x14\3\3\0\1\1"))
    write("stream", "alert", b"\1" + record(2) + record(0, b"\x15\3\3\0\2\2\x14"))
    write("stream", "silence", b"\0" + record(2, bytes(251)))
    write("stream", "silence-with-key", b"\0" + shake + record(2, bytes(251)))
    write("stream", "broken", b"\1" + record(2) + record(4))
    write("stream", "damaged-handshake", b"\0" + record(6, b"\x50\0\1") + shake)
    write("stream", "frames", b"\0" + hello + record(1, frame(7, b"x" * 100)) +
          record(1, frame(8) + frame(9, b"y" * 20)[:15]) + record(1, (b"y" * 20)[7:]) +
          record(7, b"\3\x20\xff"))
    write("stream", "answered", b"\1" + answer + record(7, b"\x10\xff\xff\xff") + record(3))
    write("stream", "refused", b"\1" + shake + greeting(2, 1, 3))
    write("stream", "slow", b"\0" + hello + record(7, b"\0") + record(1, frame(7, b"z" * 50) * 9) +
          record(7, b"\1") + record(7, b"\2"))
    write("stream", "oversized", b"\0" + hello + record(1, frame(7, size=65537)))
    write("stream", "reserved", b"\0" + hello + record(1, frame(7, b"", reserved=1)))
    write("stream", "version", b"\0" + shake + greeting(1, 2, 0))
    write("stream", "service", b"\0" + shake + greeting(1, 1, 7))
    write("stream", "name", b"\0" + shake + greeting(1, 1, 0, b"a\nb"))
    write("stream", "damaged-record", b"\0" + hello + record(6, b"\6\0\1") + record(1, frame(1)))


beat()
decode_and_emulate()
dhcp()
load()
stream()
virtio_net()
