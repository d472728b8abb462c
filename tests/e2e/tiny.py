# SPDX-License-Identifier: Apache-2.0
"""
The smallest guests: multiboot ELF images of a few instructions, written here.

They boot in no time, so that a test of Dyad's console needs no Linux.
"""
import struct

BASE = 0x100000
HEADERS = 52 + 32
MULTIBOOT = struct.pack("<III", 0x1BADB002, 0, 2**32 - 0x1BADB002)
CODE = BASE + HEADERS + len(MULTIBOOT)


def image(*code):
    """An ELF32 executable with a multiboot header; its code runs with interrupts off."""
    body = MULTIBOOT + b"".join(code) + bytes(16)
    size = HEADERS + len(body)
    elf = struct.pack("<16sHHIIIIIHHHHHH", b"\x7fELF\x01\x01\x01", 2, 3, 1, CODE,
                      52, 0, 0, 52, 32, 1, 0, 0, 0)
    segment = struct.pack("<IIIIIIII", 1, 0, BASE, BASE, size, size, 7, 4096)
    return elf + segment + body


def say(text):
    """Write to COM1."""
    write = b"".join(b"\xb0" + bytes([c]) + b"\xee" for c in text.encode())  # mov al, c; out dx, al
    return b"\x66\xba\xf8\x03" + write  # mov dx, 0x3f8


def say_often(character, count):
    """Write a character to COM1 again and again."""
    # mov dx, 0x3f8; mov al, character; mov ecx, count; 1: out dx, al; loop 1b
    return (b"\x66\xba\xf8\x03\xb0" + character.encode() + b"\xb9" + struct.pack("<I", count)
            + b"\xee\xe2\xfd")


def exit_with(code):
    """Write to the debug-exit port."""
    return b"\xb8" + struct.pack("<I", code) + b"\x66\xba\xf4\x00\xef"  # out 0xf4, eax


HALT = b"\xf4\xeb\xfd"  # 1: hlt; jmp 1b
SPIN = b"\xeb\xfe"  # 1: jmp 1b
TRIPLE_FAULT = b"\x6a\x00\x6a\x00\x0f\x01\x1c\x24\xcc"  # push 0; push 0; lidt [esp]; int3
STACK = b"\xbc" + struct.pack("<I", BASE)  # mov esp, BASE
KEYBOARD_RESET = b"\xb0\xfe\xe6\x64"  # mov al, 0xfe; out 0x64, al

# mov dx, 0x3fd; 1: in al, dx; test al, 1; jz 1b
WAIT_FOR_KEY = b"\x66\xba\xfd\x03\xec\xa8\x01\x74\xfb"

# 1: in al, 0x3fd; test al, 1; jz 1b; in al, 0x3f8; out 0x3f8, al; jmp 1b
ECHO = b"\x66\xba\xfd\x03\xec\xa8\x01\x74\xfb\x66\xba\xf8\x03\xec\xee\xeb\xef"
