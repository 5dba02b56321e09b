#!/usr/bin/env python3
"""Attackers send what no initiator would, at every stage; a third session verifies its data all the while.

    tests/robustness/garbage.py [--seconds 20] [--seed N] [--server lunaris|tgt] [--binary PATH]

Stages: before the login, in the middle of one, in full feature. The server must live, the verified session must see no
error and no wrong byte, and a new session must be served at the end. The seed is printed and repeats the attackers'
bytes.
"""
import argparse
import os
import pathlib
import random
import re
import shutil
import socket
import struct
import sys
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "support"))
import initiator as iscsi  # noqa: E402
import server as servers  # noqa: E402

TOP = HERE.parents[1]
BLOCKS = 100 * 2048
# A mutated WRITE is still a WRITE: the attackers' commands go to a disk of their own, the verified bytes are elsewhere.
ATTACKED, VERIFIED = 0, 1


def random_bytes(rng, _):
    return rng.randbytes(rng.choice([1, 47, 48, 49, 512, 70000]))


def random_header(rng, _):
    """A known opcode, everything else random, and as many bytes as its lengths announce (up to a point)."""
    bhs = bytearray(rng.randbytes(iscsi.BHS))
    bhs[0] = rng.choice([0, 1, 2, 3, 4, 5, 6, 0x10, 0x40, 0x41, 0x42, 0x43, 0x44, 0x46, 0x1F, 0x3F])
    bhs[4] = rng.choice([0, 0, 0, 1, 255])
    bhs[5:8] = rng.choice([0, 1, 5, 255, 8192, 8193, 262145]).to_bytes(3, "big")
    length = int.from_bytes(bhs[5:8], "big")
    return bytes(bhs) + rng.randbytes(bhs[4] * 4 + length + -length % 4)


def absurd_length(rng, session):
    whole = bytearray(proper(rng, session))
    whole[rng.choice([4, 5])] = 255
    return bytes(whole)


def truncated(rng, session):
    whole = proper(rng, session)
    return whole[:rng.randrange(1, len(whole))]


def mutated(rng, session):
    """A proper PDU with a few bytes changed."""
    whole = bytearray(proper(rng, session))
    for _ in range(rng.randrange(1, 6)):
        whole[rng.randrange(len(whole))] = rng.randrange(256)
    return bytes(whole)


def proper(rng, session):
    """A PDU that could be right: a login request, a read, a write without its data, a Data-Out nobody asked for."""
    kind = rng.randrange(5)
    if kind == 0:
        keys = {"InitiatorName": "iqn.2026-01.io.lunaris.tests:attacker", "TargetName": session.target,
                rng.choice(["X-" + "k" * 70, "MaxBurstLength", "CHAP_A", "HeaderDigest"]): "v" * rng.choice([1, 300,
                                                                                                             9000])}
        return session.login_pdu(rng.randrange(4), rng.randrange(4), keys, transit=rng.random() < 0.7)
    lba = rng.choice([0, rng.randrange(BLOCKS), BLOCKS - 1, BLOCKS, 2**64 - 1])
    blocks = rng.choice([0, 1, 8, 2048, 2**32 - 1])
    if kind == 1:
        return session.command_pdu(rng.choice([ATTACKED, 77]), struct.pack(">BBQIBB", 0x88, 0, lba, blocks, 0, 0),
                                   rng.choice([0, 512, blocks * 512 % 2**32]))
    if kind == 2:
        return session.command_pdu(ATTACKED, struct.pack(">BBQIBB", 0x8A, 0, lba, blocks, 0, 0),
                                   rng.choice([1, 512, 2**32 - 1]), write=True)
    if kind == 3:
        return session.command_pdu(ATTACKED, rng.randbytes(16), rng.choice([0, 252, 65536]), write=rng.random() < 0.5)
    bhs = struct.pack(">BBHIQIIIIIIII", iscsi.DATA_OUT, 0x80, 0, 0, 0, rng.randrange(8),
                      rng.choice([0, 1, iscsi.NO_TAG]),
                      0, 0, 0, 0, rng.choice([0, 512, 2**32 - 512]), 0)
    return iscsi.pdu(bhs, rng.randbytes(rng.choice([0, 512, 8192])))


ATTACKS = [random_bytes, random_header, absurd_length, truncated, mutated, proper]
STAGES = ["before the login", "in the login", "in full feature"]


class Attacker(threading.Thread):
    def __init__(self, server, seed, until):
        super().__init__(daemon=True)
        self.server, self.rng, self.until = server, random.Random(seed), until
        self.sent = dict.fromkeys(STAGES, 0)
        self.error = None

    def run(self):
        try:
            while time.monotonic() < self.until:
                self.attack(self.rng.choice(STAGES))
        except Exception as error:  # an attacker's own defect must fail the test, not end its thread in silence
            self.error = f"{type(error).__name__}: {error}"

    def attack(self, stage):
        try:
            session = iscsi.Initiator(self.server.ports[0], self.server.iqn,
                                      f"iqn.2026-01.io.lunaris.tests:{self.name}",
                                      timeout=0.5)
        except OSError:
            time.sleep(0.05)  # refused for now (a limit on connections, say); the verifier judges the server
            return
        try:
            if stage == "in full feature":
                session.login()
            elif stage == "in the login":
                session.socket.sendall(session.login_pdu(0, 1, {"InitiatorName": session.name, "AuthMethod": "None",
                                                                "TargetName": session.target}))
                session.receive()
            self.sent[stage] += 1
            for _ in range(self.rng.randrange(1, 5)):
                data = self.rng.choice(ATTACKS)(self.rng, session)
                if data[0] & 0x3F in (iscsi.SCSI_COMMAND, iscsi.DATA_OUT):
                    data = self.keep_off_the_verified_disk(data)
                session.socket.sendall(data)
            session.socket.settimeout(0.05)
            while session.socket.recv(65536):
                pass
        except (OSError, iscsi.ProtocolError):
            pass  # the server closing on us, or not answering, is its good right
        finally:
            if self.rng.random() < 0.5:  # half of them end with a reset
                session.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            session.close()

    def keep_off_the_verified_disk(self, data):
        lun = self.server.first_lun + ATTACKED
        return data[:8] + iscsi.lun_bytes(lun) + data[16:] if len(data) >= 16 else data


class Verifier(threading.Thread):
    """Writes blocks whose bytes follow from place and tag, and reads them back: one session, no error allowed."""

    def __init__(self, server, seed, until):
        super().__init__(daemon=True)
        self.server, self.rng, self.until = server, random.Random(seed), until
        self.lun = server.first_lun + VERIFIED
        self.written = {}
        self.operations = 0
        self.slowest = 0.0
        self.error = None

    def run(self):
        try:
            session = iscsi.Initiator(self.server.ports[0], self.server.iqn, "iqn.2026-01.io.lunaris.tests:verifier",
                                      timeout=20).login().ready(self.lun)
            while time.monotonic() < self.until:
                began = time.monotonic()
                self.one(session)
                self.slowest = max(self.slowest, time.monotonic() - began)
                self.operations += 1
            for lba in list(self.written):
                self.verify(session, lba)
            session.logout()
        except (OSError, iscsi.ProtocolError) as error:
            self.error = f"after {self.operations} operations: {type(error).__name__}: {error}"

    def one(self, session):
        lba = self.rng.randrange(BLOCKS // 256) * 256
        if self.rng.random() < 0.5 or lba not in self.written:
            blocks, tag = self.rng.choice([1, 8, 64, 256]), self.rng.randrange(2**32)
            self.written[lba] = (blocks, tag)
            status, _, sense = session.write(self.lun, lba, pattern(lba, blocks, tag))
            if status != 0:
                raise iscsi.ProtocolError(f"WRITE at {lba}: status 0x{status:02x}, sense {sense.hex()}")
        self.verify(session, lba)

    def verify(self, session, lba):
        blocks, tag = self.written[lba]
        status, data, sense = session.read(self.lun, lba, blocks)
        if status != 0:
            raise iscsi.ProtocolError(f"READ at {lba}: status 0x{status:02x}, sense {sense.hex()}")
        if data != pattern(lba, blocks, tag):
            raise iscsi.ProtocolError(f"wrong bytes at block {lba}, {blocks} blocks")


def pattern(lba, blocks, tag):
    return b"".join(struct.pack(">QI", lba + block, tag) * 42 + b"verified" for block in range(blocks))


def served_once_more(server):
    """A new session after the storm."""
    lun = server.first_lun + VERIFIED
    session = iscsi.Initiator(server.ports[0], server.iqn).login().ready(lun)
    status, _, sense = session.read(lun, 0, 8)
    session.logout()
    return None if status == 0 else f"READ: status 0x{status:02x}, sense {sense.hex()}"


def resident_kib(server):
    status = pathlib.Path(f"/proc/{server.process.pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", status)[1])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--server", choices=servers.KINDS, default="lunaris")
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--seed", type=int, default=random.randrange(2**32))
    parser.add_argument("--logs", type=pathlib.Path, default=TOP / "build/test-logs/robustness")
    parser.add_argument("--binary", help="another build of the server, such as build/asan/server/lunaris")
    options = parser.parse_args()
    if options.binary:
        os.environ["LUNARIS_BINARY"] = str(pathlib.Path(options.binary).resolve())
    print(f"# seed {options.seed}", flush=True)
    shutil.rmtree(options.logs / options.server, ignore_errors=True)
    server = servers.start(options.server, options.logs / options.server,
                           [servers.Lun("100MiB"), servers.Lun("100MiB")])
    server.start()
    before = resident_kib(server)
    until = time.monotonic() + options.seconds
    attackers = [Attacker(server, options.seed + number, until) for number in range(2)]
    verifier = Verifier(server, options.seed, until)
    for thread in [verifier, *attackers]:
        thread.start()
    for thread in [*attackers, verifier]:
        thread.join(options.seconds + 60)

    attacks = {stage: sum(attacker.sent[stage] for attacker in attackers) for stage in STAGES}
    alive, operations = server.alive(), verifier.operations
    results = [("the server lives", None if alive else f"it ended with {server.process.returncode}"),
               ("the verified session sees no error", "it hangs" if verifier.is_alive() else verifier.error),
               ("the verified session made progress", None if operations >= 20 else f"{operations} operations")]
    results += [(f"attacks were made {stage}", None if count >= 10 else f"only {count}") for stage,
                count in attacks.items()]
    results += [("the attackers did their work", next((attacker.error for attacker in attackers if attacker.error),
                                                      None))]
    if alive:
        after = resident_kib(server)
        results.append(("memory stays bounded", None if after - before < 256 << 10 else f"{before}, then {after} KiB"))
        try:
            results.append(("a new session is served afterwards", served_once_more(server)))
        except (OSError, iscsi.ProtocolError) as error:
            results.append(("a new session is served afterwards", str(error)))
        status = server.stop()
        results.append(("the server stops in good order", None if status == 0 else f"status {status}"))
    for name, problem in results:
        print(f"ok {name}" if problem is None else f"not ok {name}: {problem}")
    print(f"# {sum(attacks.values())} attacks, {verifier.operations} verified operations, slowest "
          f"{verifier.slowest * 1000:.0f} ms, seed {options.seed}")
    failed = any(problem for _, problem in results)
    if failed:
        print("# " + server.log_tail().replace("\n", "\n# "))
    return 1 if failed else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except servers.ServerError as error:
        sys.exit(f"robustness: {error}")
