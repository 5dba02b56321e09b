#!/usr/bin/env python3
"""Shows that iscsi_load notices what a wrong target does: a scripted target misbehaves in one way per case.

Usage: violations.py PATH_OF_ISCSI_LOAD. Prints ok / not ok lines; ctest runs it.
"""

import json
import socket
import struct
import subprocess
import sys
import threading

BLOCKS = 2048  # of 512 bytes
NO_TAG = 0xFFFFFFFF


class Target:
    """Accepts one connection and serves it; `mischief(number, answer)` may change the answer to command `number`."""

    def __init__(self, mischief, window=64):
        self.mischief = mischief
        self.window = window
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port = self.listener.getsockname()[1]
        self.stat_sn = 1
        self.exp_cmd_sn = 1
        self.beyond_window = 0
        self.commands = 0
        threading.Thread(target=self.serve, daemon=True).start()

    def serve(self):
        self.connection, _ = self.listener.accept()
        self.stream = self.connection.makefile("rb")
        try:
            while header := self.stream.read(48):
                length = int.from_bytes(header[5:8], "big")
                data = self.stream.read((length + 3) & ~3)[:length]
                self.request(header, data)
        except (OSError, ValueError):
            pass  # the client has had enough, which is what most cases are about

    def answer(self, opcode, flags, tag, data=b"", status=0, takes_stat_sn=True, **fields):
        """One PDU; `fields` are numbers at offsets: w20=..., w36=..., w40=..., w44=..."""
        header = bytearray(48)
        header[0], header[1], header[3] = opcode, flags, status
        header[5:8] = len(data).to_bytes(3, "big")
        header[16:20] = tag
        struct.pack_into(">III", header, 24, self.stat_sn, self.exp_cmd_sn, self.exp_cmd_sn + self.window - 1)
        for name, value in fields.items():
            struct.pack_into(">I", header, int(name[1:]), value)
        if takes_stat_sn:
            self.stat_sn += 1
        return header, data

    def send(self, header, data):
        self.connection.sendall(bytes(header) + data + bytes(-len(data) % 4))

    def request(self, header, data):
        opcode, tag = header[0] & 0x3F, header[16:20]
        if opcode == 0x03:
            self.send(*self.answer(0x23, header[1], tag))
        elif opcode == 0x06:
            self.send(*self.answer(0x26, 0x80, tag))
        elif opcode == 0x01:
            self.command(header, tag)
        elif opcode == 0x05 and header[1] & 0x80:
            self.send(*self.answer(0x21, 0x80, tag))

    def command(self, header, tag):
        cmd_sn = struct.unpack_from(">I", header, 24)[0]
        if cmd_sn > self.exp_cmd_sn + self.window - 1:
            self.beyond_window += 1
        self.exp_cmd_sn += 1
        operation = header[32]
        if operation == 0x00:
            return self.send(*self.answer(0x21, 0x80, tag))
        if operation == 0x9E:
            return self.send(*self.answer(0x25, 0x81, tag, struct.pack(">QI20x", BLOCKS - 1, 512)))
        self.commands += 1
        if operation == 0x2A:
            answer = self.answer(0x31, 0x80, tag, takes_stat_sn=False, w20=7, w36=0, w40=0, w44=4096)
        else:
            answer = self.answer(0x25, 0x81, tag, bytes(4096), w20=NO_TAG)
        changed = self.mischief(self, self.commands, *answer)
        if changed is not None:
            self.send(*changed)
        return None


def at(number, change):
    """Mischief at one command only."""
    def mischief(target, count, header, data):
        return change(target, header, data) if count == number else (header, data)
    return mischief


def field(offset, value, form=">I"):
    def change(_target, header, data):
        struct.pack_into(form, header, offset, value)
        return header, data
    return change


def status(code, sense_key=0):
    def change(_target, header, _data):
        sense = struct.pack(">H18s", 18, bytes([0x70, 0, sense_key, 0, 0, 0, 0, 10])) if sense_key else b""
        header[0], header[1], header[3] = 0x21, 0x80, code
        header[5:8] = len(sense).to_bytes(3, "big")
        return header, sense
    return change


def close(target, _header, _data):
    target.connection.shutdown(socket.SHUT_RDWR)


def shorter(_target, header, data):
    header[5:8] = (2048).to_bytes(3, "big")
    return header, data[:2048]


def longer(_target, header, data):
    header[5:8] = (8192).to_bytes(3, "big")
    return header, data + bytes(4096)


def twice(target, header, data):
    target.send(header, data)
    return target.answer(0x25, 0x81, header[16:20], bytes(4096))


def honest(_target, _count, header, data):
    return header, data


# title, mischief, extra options, exit status, words of stderr, or of "first_error" for status 1
CASES = [
    ("an honest target passes", honest, [], 0, ""),
    ("a wrong StatSN", at(20, field(24, 99)), [], 2, "StatSN"),
    ("a wrong DataSN", at(20, field(36, 1)), [], 2, "DataSN"),
    ("data at a wrong offset", at(20, field(40, 512)), [], 2, "out of order"),
    ("an answer to a task that is not open", at(20, field(16, 0x00770000)), [], 2, "not open"),
    ("a task answered twice", at(20, twice), [], 2, "not open"),
    ("more data than was asked for", at(20, longer), [], 2, "beyond"),
    ("a closed connection", at(20, close), [], 2, "closed"),
    ("a Reject", at(20, field(0, 0x3F, ">B")), [], 2, "Reject"),
    ("an R2T beyond the transfer", at(20, field(44, 8192)), ["-r", "0"], 2, "R2T"),
    ("an R2T out of order", at(20, field(36, 3)), ["-r", "0"], 2, "R2TSN"),
    ("an R2T for a read", at(20, field(0, 0x31, ">B")), [], 2, "R2T"),
    ("fewer bytes than asked for with status GOOD", at(20, shorter), [], 1, "short transfer"),
    ("CHECK CONDITION, hardware error", at(20, status(0x02, 4)), [], 1, "sense key 4"),
    ("a unit attention is issued again", at(20, status(0x02, 6)), [], 0, "unit_attention"),
    ("BUSY is issued again", at(20, status(0x08)), [], 0, "busy"),
    ("TASK SET FULL is issued again", at(20, status(0x28)), [], 0, "task_set_full"),
]


def run_case(load, title, mischief, options, expected, words, window=64):
    target = Target(mischief, window)
    command = [load, "--json", "-q", "8", "-d", "0.2", "--warmup", "0", "--no-immediate-data", "--initial-r2t",
               *options,
               f"iscsi://127.0.0.1:{target.port}/iqn.2026-01.io.lunaris.bench:t0/0"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=40, check=False)
    result = json.loads(done.stdout) if done.stdout else {}
    good = done.returncode == expected
    if expected == 2:
        good = good and words in done.stderr
    elif expected == 1:
        good = good and words in result.get("first_error", "")
    else:
        good = good and result["ios"] > 20 and (not words or result[words] == 1)
    good = good and target.beyond_window == 0
    detail = f": status {done.returncode}, {done.stderr.strip()} {result.get('first_error', '')}"
    print(f"{'ok' if good else 'not ok'} {title}" + ("" if good else detail))
    return good


def main():
    load = sys.argv[1]
    verdicts = [run_case(load, *case) for case in CASES]
    title = "a command window smaller than the queue depth is kept"
    verdicts.append(run_case(load, title, honest, [], 0, "", window=3))
    print(f"{sum(verdicts)} passed, {len(verdicts) - sum(verdicts)} failed")
    return 0 if all(verdicts) else 1


if __name__ == "__main__":
    sys.exit(main())
