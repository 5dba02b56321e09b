#!/usr/bin/env python3
"""Writes the seed inputs of the iSCSI fuzz targets to tests/fuzz/corpus/. Run it again after adding a seed here;
inputs that libFuzzer found (named otherwise) stay as they are."""
import hashlib
import pathlib
import struct

CORPUS = pathlib.Path(__file__).resolve().parent / "corpus"
NO_TAG = 0xFFFFFFFF


def crc32c(data):
    value = 0xFFFFFFFF
    for byte in data:
        value ^= byte
        for _ in range(8):
            value = value >> 1 ^ 0x82F63B78 if value & 1 else value >> 1
    return value ^ 0xFFFFFFFF


def header(opcode, flags=0x80, byte2=0, byte3=0, ahs=b"", data=b"", lun=b"\0" * 8, tag=1, words=()):
    """48 bytes: the words are those from byte 20 on."""
    length = len(data).to_bytes(3, "big")
    head = struct.pack(">BBBBB3s8sI", opcode, flags, byte2, byte3, len(ahs) // 4, length, lun, tag)
    tail = b"".join(struct.pack(">I", word) for word in words)
    return (head + tail).ljust(48, b"\0") + ahs


def pdu(*args, digests=(False, False), data=b"", **named):
    head = header(*args, data=data, **named)
    if digests[0]:
        head += struct.pack("<I", crc32c(head))
    body = data + b"\0" * (-len(data) % 4)
    if digests[1] and data:
        body += struct.pack("<I", crc32c(body))
    return head + body


def text(*pairs):
    return b"".join(pair.encode() + b"\0" for pair in pairs)


NAMES = ["InitiatorName=iqn.1993-08.org.debian:01:seed", "TargetName=iqn.2026-01.test:disk", "SessionType=Normal"]
OPERATIONAL = ["HeaderDigest=CRC32C,None", "DataDigest=None", "MaxConnections=1", "InitialR2T=No", "ImmediateData=Yes",
               "MaxRecvDataSegmentLength=262144", "MaxBurstLength=16776192", "FirstBurstLength=65536",
               "DefaultTime2Wait=2", "DefaultTime2Retain=20", "MaxOutstandingR2T=4", "DataPDUInOrder=Yes",
               "DataSequenceInOrder=Yes", "ErrorRecoveryLevel=0", "IFMarker=No", "OFMarker=No", "TaskReporting=RFC3720",
               "iSCSIProtocolLevel=2", "X-com.example.key=1"]
CHAP = ["AuthMethod=CHAP,None", "CHAP_A=7,5", "CHAP_N=me", "CHAP_R=0x" + "ab" * 32]


def login(flags, *pairs):
    isid = b"\x40\0\0\x01\0\0" + b"\0\0"
    return pdu(0x43, flags, data=text(*pairs), lun=isid, words=(0, 1, 0))


def write(tag=7, length=8192, data=b"", flags=0xA1, cmd_sn=1):
    return pdu(0x01, flags, tag=tag, data=data, words=(length, cmd_sn, 1, 0x2A000000, 0, 0x10000000))


def data_out(offset, data, data_sn=0, tag=7, transfer=0, flags=0x80):
    return pdu(0x05, flags, tag=tag, data=data, words=(transfer, 0, 1, 0, data_sn, offset))


CHAP_NAMES = [NAMES[0], NAMES[1] + ".chap"]
CHAP_CHALLENGE = bytes(16) + hashlib.sha256(bytes(32 + 16)).digest()[:16]  # as fuzz_iscsi_login.cpp has it
CHAP_RIGHT = "CHAP_R=0x" + hashlib.sha256(b"\x17" + b"correct horse battery" + CHAP_CHALLENGE).hexdigest()


def chap(*keys, algorithms="7"):
    """A CHAP login whose last request has `keys`, and what comes after it."""
    return (login(0x81, *CHAP_NAMES, "AuthMethod=CHAP,None") + login(0x00, "CHAP_A=" + algorithms) +
            login(0x81, *keys) + login(0x87, "InitialR2T=No"))


FULL = login(0x81, *NAMES, "AuthMethod=None") + login(0x87, *OPERATIONAL)
EXTENDED = struct.pack(">HBB", 17, 1, 0) + bytes(range(16))
SEEDS = {
    "iscsi_decode": {
        "nop_out": header(0x40, tag=NO_TAG, words=(NO_TAG, 1, 1)),
        "write": write()[:48], "read": header(0x01, 0xC1, words=(512, 1, 1, 0x28000000)),
        "extended_cdb": header(0x01, 0xC1, ahs=EXTENDED, words=(512, 1, 1, 0x7F000000)),
        "bidirectional": header(0x01, 0xE1, ahs=struct.pack(">HBBI", 5, 2, 0, 4096), words=(512, 1, 1)),
        "abort_task": header(0x02, 0x81, words=(7, 1, 1, 1)), "login": login(0x87)[:48],
        "text": header(0x04, words=(NO_TAG, 1, 1)), "data_out": data_out(0, b"")[:48],
        "logout": header(0x06, words=(0, 1, 1)), "snack": header(0x10, words=(NO_TAG, 0, 1, 0, 0, 0, 1)),
        "nop_in": header(0x20, words=(5, 1, 1, 9)), "scsi_response": header(0x21, 0x82, words=(0, 1, 1, 9, 0, 0, 512)),
        "task_response": header(0x22), "login_response": header(0x23, 0x87), "text_response": header(0x24),
        "data_in": header(0x25, 0x81, words=(NO_TAG, 1, 1, 9)), "logout_response": header(0x26),
        "r2t": header(0x31, words=(1, 1, 1, 9, 0, 0, 4096)), "async": header(0x32, tag=NO_TAG),
        "reject": header(0x3F, byte2=4, tag=NO_TAG),
    },
    "iscsi_stream": {
        "plain": b"\0\x1f" + pdu(0x00, data=b"ping!") + pdu(0x00) + pdu(0x00, data=b"x" * 600),
        "digests": b"\x03\x06" + pdu(0x00, data=b"ping!", digests=(True, True)) + pdu(0x00, digests=(True, True)),
        "damaged_data": (b"\x03\xff" + pdu(0x00, data=b"ping!", digests=(True, True))[:-1] + b"?" +
                         pdu(0x00, digests=(True, True))),
        "damaged_header": b"\x01\xff" + pdu(0x00, digests=(True, False))[:-1] + b"?",
        "ahs": b"\x21\x03" + pdu(0x01, 0xA1, ahs=EXTENDED, data=b"d" * 33, digests=(True, False)),
        "parts": b"\x42\x28" + pdu(0x05, data=b"0123456789" * 40, digests=(False, True)) * 2,
        "discard": b"\x12\x10" + pdu(0x05, data=b"0123456789", digests=(False, True)) * 3,
        "too_long": b"\x04\x40" + pdu(0x05, data=b"x" * 513), "long_ahs": b"\x08\x40" + pdu(0x01, ahs=b"\0" * 80),
    },
    "iscsi_text": {
        "names": b"\x0c" + text(*NAMES, *CHAP), "operational": b"\x1c" + text(*OPERATIONAL),
        "discovery": b"\x1c" + text("SessionType=Discovery", *OPERATIONAL),
        "send_targets": b"\x2c" + text("SendTargets=All"),
        "numbers": b"\x1c" + text("MaxBurstLength=0x200", "FirstBurstLength=99999999999", "MaxOutstandingR2T=-1"),
        "not_terminated": b"\x1c" + b"InitialR2T=Yes", "no_equals": b"\x1c" + b"InitialR2T\0", "empty": b"\x1c\0\0",
        "long_key": b"\x1c" + text("K" * 64 + "=1"),
        "long_value": b"\x1c" + text("X-a=" + "v" * 300, "X-b=" + "w" * 256),
        "repeated": b"\x1c" + text("InitialR2T=Yes", "InitialR2T=No"),
        "binary": b"\x0c" + text("CHAP_C=0b" + "TWFu" * 9),
        "not_ascii": b"\x0c" + "InitiatorName=iqn.2026-01.test:größe\0".encode() + b"X=\xff\xfe\0",
    },
    "iscsi_login": {
        "two_stages": FULL, "straight": login(0x87, *NAMES, *OPERATIONAL), "security_to_full": login(0x83, *NAMES),
        "discovery": login(0x83, NAMES[0], "SessionType=Discovery") + pdu(0x04, data=text("SendTargets=All"),
                                                                          words=(NO_TAG, 1, 1)),
        "continued": login(0x40, NAMES[0]) + login(0x81, *NAMES[1:]) + login(0x87),
        "write": FULL + write(length=600, data=b"i" * 100) + data_out(100, b"r" * 500),
        "unsolicited": FULL + write(flags=0x21, length=600) + data_out(0, b"u" * 600, transfer=NO_TAG),
        "other_first": pdu(0x00), "text_continue": FULL + pdu(0x04, 0x40, words=(NO_TAG, 1, 1)) * 3,
        "send_targets": FULL + pdu(0x04, data=text("SendTargets="), words=(NO_TAG, 1, 1)),
        "wrong_stage": login(0x8B, *NAMES), "login_again": FULL + FULL,
        "chap": chap("CHAP_N=me", CHAP_RIGHT),
        "chap_mutual": chap("CHAP_N=me", CHAP_RIGHT, "CHAP_I=66", "CHAP_C=0bAQIDBAUGBwg="),
        "chap_reflected": chap("CHAP_N=me", CHAP_RIGHT, "CHAP_I=23", "CHAP_C=0x" + CHAP_CHALLENGE.hex()),
        "chap_wrong": chap("CHAP_N=you", "CHAP_R=0x" + "00" * 32, algorithms="99,8,5"),
        "chap_no_algorithm": chap("CHAP_N=me", algorithms="1,2,3"),
        "chap_skipped": login(0x87, *CHAP_NAMES), "chap_none": login(0x81, *CHAP_NAMES, "AuthMethod=None"),
        "not_found": login(0x87, NAMES[0], NAMES[1] + ".gone"),
    },
}

for target, seeds in SEEDS.items():
    (CORPUS / target).mkdir(parents=True, exist_ok=True)
    for name, content in seeds.items():
        (CORPUS / target / name).write_bytes(content)
