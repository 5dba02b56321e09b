#!/usr/bin/env python3
"""Writes the seed inputs of fuzz_cdb to tests/fuzz/corpus/cdb/: one per family of commands."""
import pathlib
import struct

CORPUS = pathlib.Path(__file__).resolve().parent / "corpus" / "cdb"


def command(cdb, expected=512, data=b"", choices=0):
    return struct.pack(">BHH", choices, expected, len(data)) + bytes(cdb).ljust(16, b"\0") + data


def block(opcode, lba=1, count=2, flags=0):
    return struct.pack(">BBQIBB", opcode, flags, lba, count, 0, 0)


def ten(opcode, lba=1, count=2, flags=0):
    return struct.pack(">BBIBHB", opcode, flags, lba, 0, count, 0)


def reserve_out(action, key, action_key, kind=0, flags=0, more=b""):
    data = struct.pack(">QQIBBH", key, action_key, 0, flags, 0, 0) + more
    return command([0x5F, action, kind, 0, 0] + list(struct.pack(">I", len(data))), 0, data)


def transport_id(name):
    name = name.ljust((len(name) // 4 + 1) * 4, b"\0")
    return struct.pack(">BBH", 0x45, 0, len(name)) + name


OTHER = transport_id(b"iqn.2026-01.io.lunaris:fuzz,i,0x00023d000001")
READY = command([0x00])
DATA = bytes(range(256)) * 40
UNMAP_LIST = struct.pack(">HHI", 38, 32, 0) + struct.pack(">QII", 0, 8, 0) + struct.pack(">QII", 16, 1, 0)
CACHING = bytes([0, 0, 0, 0, 0x08, 0x12]) + bytes(18)
CONTROL = bytes([0, 0, 0, 0, 0x0A, 0x0A, 0x24, 0x10, 0, 0, 0, 0, 0xFF, 0xFF, 0, 0])
PAGES = (0, 0x80, 0x83, 0x86, 0xB0, 0xB1, 0xB2)
SEEDS = {
    "inquiry": [command([0x12, 1, page, 1, 0, 0], 256) for page in PAGES]
    + [command([0x12, 0, 0, 0, 96, 0], 96, choices=4)],
    "read_write": [
        READY,
        command(block(0x8A), 0, DATA[:8192]),
        command(block(0x88), 8192),
        command(ten(0x2A, flags=0x08), 0, DATA[:8192]),
        command(ten(0x28), 700),
        command([0x08, 0, 0, 0, 1, 0]),
    ],
    "verify": [
        READY,
        command(ten(0x2E, flags=2), 0, DATA[:8192]),
        command(ten(0x2F, flags=2), 0, DATA[:8192]),
        command(block(0x8F, flags=6), 0, DATA[:4096]),
        command(block(0x8F)),
    ],
    "provisioning": [
        READY,
        command([0x42, 0, 0, 0, 0, 0, 0, 0, 40, 0], 0, UNMAP_LIST),
        command(block(0x93, flags=0x08), 0, bytes(4096)),
        command(block(0x93, flags=1), 0),
        command(ten(0x41), 0, DATA[:4096]),
        command([0x9E, 0x12] + [0] * 10 + [2, 0, 0, 0]),
    ],
    "mode": [
        READY,
        command([0x1A, 0, 0x3F, 0xFF, 255, 0], 255),
        command([0x5A, 0x10, 0x3F, 0xFF, 0, 0, 0, 1, 0, 0], 256),
        command([0x15, 0x10, 0, 0, len(CACHING), 0], 0, CACHING),
        command([0x15, 0x10, 0, 0, len(CONTROL), 0], 0, CONTROL),
        command(block(0x88, lba=2**64 - 1), 512),
    ],
    "report": [
        READY,
        command([0xA0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0], 256),
        command([0xA3, 0x0A, 0, 0, 0, 0, 0, 0, 1, 0], 256),
        command([0xA3, 0x0C, 0x80, 0, 0, 0, 0, 0, 8, 0], 2048),
        command([0xA3, 0x0C, 3, 0x9E, 0, 0x10, 0, 0, 1, 0], 256),
        command([0xA3, 0x0D, 0x80, 0, 0, 0, 0, 0, 1, 0], 256),
        command([0x4D, 0, 0x40, 0, 0, 0, 0, 1, 0, 0], 256),
    ],
    "reservations": [
        READY,
        reserve_out(0, 0, 1, flags=0x0C, more=struct.pack(">I", len(OTHER)) + OTHER),
        reserve_out(6, 0, 2),
        reserve_out(1, 2, 0, kind=5),
        command([0x5E, 3, 0, 0, 0, 0, 0, 2, 0], 512),
        reserve_out(4, 2, 1, kind=3),
        reserve_out(2, 2, 0, kind=5),
        command([0x5E, 0, 0, 0, 0, 0, 0, 2, 0], 512),
        reserve_out(3, 2, 0),
        command([0x16], 0),
        command([0x5E, 2, 0, 0, 0, 0, 0, 2, 0], 512),
        command([0x17], 0),
    ],
    "attention": [
        command(block(0x88)),
        command([0x03, 1, 0, 0, 252, 0], 252, choices=0x80),
        command(block(0x88), 512),
        command([0x25], 8, choices=3),
        command([0xFF], 8, choices=2),
        command([0x1B, 0, 0, 0, 0, 0], 0, choices=1),
    ],
}

CORPUS.mkdir(parents=True, exist_ok=True)
for name, commands in SEEDS.items():
    seed = b"".join(commands)
    (CORPUS / name).write_bytes(seed)
    # The parity of the size chooses the block size.
    (CORPUS / f"{name}_other_blocks").write_bytes(seed + b"\0")
