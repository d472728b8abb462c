#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""
Guest images whose headers lie: make_bad_images.py GOOD_ELF FOLDER

Each is a good image, a multiboot ELF or a small bzImage, with one thing wrong.
The loader must refuse it with a sentence, or start a guest that harms itself only.
"""
import struct
import sys
from pathlib import Path

# Offsets in an ELF32 file and in its first program header.
ELF_ENTRY, ELF_TABLE, ELF_TABLE_STRIDE, ELF_TABLE_COUNT = 24, 28, 42, 44
SEGMENT_OFFSET, SEGMENT_PHYSICAL, SEGMENT_FILE_SIZE, SEGMENT_MEMORY_SIZE = 4, 12, 16, 20
PT_NOTE, XEN_ELFNOTE_PHYS32_ENTRY, NOTE_AT = 4, 18, 0x200
MULTIBOOT_MAGIC = 0x1BADB002

# Offsets in a bzImage (Linux, Documentation/arch/x86/boot.rst).
BZ_SETUP_SECTORS, BZ_CODE_SIZE, BZ_VERSION, BZ_ALIGNMENT = 0x1F1, 0x1F4, 0x206, 0x230
BZ_PREF_ADDRESS, BZ_INIT_SIZE, BZ_JUMP_LENGTH = 0x258, 0x260, 0x201


def with_word(image, offset, value, form="<I"):
    """The image with one field changed."""
    changed = bytearray(image)
    struct.pack_into(form, changed, offset, value)
    return bytes(changed)


def with_segment(image, field, value):
    table = struct.unpack_from("<I", image, ELF_TABLE)[0]
    return with_word(image, table + field, value)


def with_multiboot_header(image, *fields):
    """The header's words from `flags` on, its checksum made right."""
    flags = fields[0]
    at = image.index(struct.pack("<I", MULTIBOOT_MAGIC))
    words = (MULTIBOOT_MAGIC, flags, -(MULTIBOOT_MAGIC + flags) & 0xFFFFFFFF, *fields[1:])
    changed = bytearray(image)
    struct.pack_into(f"<{len(words)}I", changed, at, *words)
    return bytes(changed)


def with_note(image, name_size=4, value=struct.pack("<I", 0x100000), value_size=None,
              segment_offset=NOTE_AT):
    """The image with a PVH entry note, in the gap between its headers and its code."""
    changed = bytearray(image)
    note = struct.pack("<III4s", name_size, len(value) if value_size is None else value_size,
                       XEN_ELFNOTE_PHYS32_ENTRY, b"Xen\0") + value
    table, stride = struct.unpack_from("<I", image, ELF_TABLE)[0], 32
    struct.pack_into("<8I", changed, table + stride, PT_NOTE, segment_offset, 0, 0,
                     len(note), len(note), 4, 4)
    struct.pack_into("<H", changed, ELF_TABLE_COUNT, 2)
    changed[NOTE_AT:NOTE_AT + len(note)] = note
    return bytes(changed)


def bzimage():
    """As small as the protocol allows: setup, and code that exits with 0."""
    image = bytearray(5 * 512)
    struct.pack_into("<B", image, BZ_SETUP_SECTORS, 4)
    struct.pack_into("<H", image, 0x1FE, 0xAA55)
    struct.pack_into("<BB4sH", image, 0x200, 0xEB, 0x66, b"HdrS", 0x020F)
    struct.pack_into("<B", image, 0x211, 1)  # loaded high
    struct.pack_into("<I", image, 0x22C, 0x7FFFFFFF)  # the initrd's highest address
    struct.pack_into("<IBBH", image, BZ_ALIGNMENT, 0x200000, 1, 21, 1)  # 64-bit entry
    struct.pack_into("<I", image, 0x238, 255)  # the command line's length
    struct.pack_into("<QI", image, BZ_PREF_ADDRESS, 0x200000, 0x10000)
    code = b"\x31\xc0\xe7\xf4" * 0x400  # xor %eax, %eax; out %eax, $0xf4
    struct.pack_into("<I", image, BZ_CODE_SIZE, len(code) // 16)
    return bytes(image) + code


def images(good):
    bz = bzimage()
    return {
        "bad_empty": b"",
        "bad_one_byte": b"\x7f",
        "bad_no_format": bytes(range(256)) * 64,
        "bad_elf_cut": good[:60],
        "bad_elf_table": with_word(good, ELF_TABLE, 0xFFFFFFF0),
        "bad_elf_table_count": with_word(good, ELF_TABLE_COUNT, 0xFFFF, "<H"),
        "bad_elf_stride": with_word(good, ELF_TABLE_STRIDE, 1, "<H"),
        "bad_elf_offset": with_segment(good, SEGMENT_OFFSET, 0xFFFFF000),
        "bad_elf_file_size": with_segment(good, SEGMENT_FILE_SIZE, 0xFFFFFFFF),
        "bad_elf_memory_size": with_segment(good, SEGMENT_MEMORY_SIZE, 0xFFFFFFFF),
        "bad_elf_address": with_segment(good, SEGMENT_PHYSICAL, 0xFEE00000),
        "bad_elf_wrap": with_segment(good, SEGMENT_PHYSICAL, 0xFFFFF000),
        "bad_elf_low": with_segment(good, SEGMENT_PHYSICAL, 0),
        "bad_elf_entry": with_word(good, ELF_ENTRY, 0x50000000),
        "bad_elf_cut_segment": good[:len(good) // 2],
        "bad_mb_addresses": with_multiboot_header(
            good, 0x10003, 0x100000, 0xFFFFF000, 0xFFFFFFFF, 0xFFFFFFFF, 0x50000000),
        "bad_mb_unordered": with_multiboot_header(
            good, 0x10003, 0x200000, 0x100000, 0x80000, 0x40000, 0x100000),
        "bad_mb_flags": with_multiboot_header(good, 0xFFFF),
        "bad_pvh_name_size": with_note(good, name_size=0xFFFFFFFF),
        "bad_pvh_value_size": with_note(good, value_size=0xFFFFFFF0),
        "bad_pvh_segment": with_note(good, segment_offset=0xFFFFFFF0),
        "bad_pvh_entry": with_note(good, value=struct.pack("<I", 0x50000000)),
        "bad_pvh_entry_64": with_note(good, value=struct.pack("<Q", 2**63)),
        "bad_bz_setup": with_word(bz, BZ_SETUP_SECTORS, 255, "<B"),
        "bad_bz_code_size": with_word(bz, BZ_CODE_SIZE, 0xFFFFFFFF),
        "bad_bz_no_code": with_word(bz, BZ_CODE_SIZE, 0),
        "bad_bz_init_size": with_word(bz, BZ_INIT_SIZE, 0xFFFFFFFF),
        "bad_bz_alignment": with_word(bz, BZ_ALIGNMENT, 3),
        "bad_bz_address": with_word(bz, BZ_PREF_ADDRESS, 0xFFFFFFFFFFFFF000, "<Q"),
        "bad_bz_version": with_word(bz, BZ_VERSION, 0x0100, "<H"),
        "bad_bz_header_end": with_word(bz, BZ_JUMP_LENGTH, 0xFF, "<B"),
        "bad_bz_cut": bz[:0x250],
    }


def main():
    good, folder = Path(sys.argv[1]).read_bytes(), Path(sys.argv[2])
    folder.mkdir(parents=True, exist_ok=True)
    for name, image in images(good).items():
        (folder / name).write_bytes(image)


if __name__ == "__main__":
    main()
