#!/usr/bin/env python3
"""kill -9 under verified writers, again and again: what was acknowledged is there, what was not is old or new.

    tests/robustness/crash.py [--cycles 5] [--seed N] [--server lunaris|tgt]

Three sessions write to parts of one disk of their own. Each cycle kills the server at a random moment, starts it on the
same file and reads everything back: a block of an acknowledged write holds the new bytes, a block of the write that was
under way holds the old ones or the new ones, never anything else.
"""
import argparse
import pathlib
import random
import shutil
import struct
import sys
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "support"))
import initiator as iscsi  # noqa: E402
import server as servers  # noqa: E402

TOP = HERE.parents[1]
WRITERS = 3
BLOCKS = 8192  # of each writer
BLOCK = 512


def block_bytes(lba, tag):
    return struct.pack(">QQ", lba, tag) * (BLOCK // 16) if tag else bytes(BLOCK)


class Writer(threading.Thread):
    """Writes until the server is gone. `state` survives the cycles: block -> set of tags that may be found there."""

    def __init__(self, server, number, state, rng):
        super().__init__(daemon=True)
        self.server, self.first, self.state, self.rng = server, number * BLOCKS, state, rng
        self.acknowledged = 0
        self.error = None

    def run(self):
        lun = self.server.first_lun
        try:
            session = iscsi.Initiator(self.server.ports[0], self.server.iqn, timeout=20).login(
                ImmediateData=self.rng.choice(["Yes", "No"])).ready(lun)
            while True:
                self.write(session, lun)
        except (OSError, iscsi.ProtocolError) as error:
            if self.server.alive() and not self.server.doomed:
                self.error = f"{type(error).__name__}: {error}"

    def write(self, session, lun):
        count = self.rng.choice([1, 8, 64, 200])
        lba = self.first + self.rng.randrange(BLOCKS - count)
        tag = self.rng.randrange(1, 2**64)
        for block in range(lba, lba + count):  # from now on either may be found
            self.state.setdefault(block, {0}).add(tag)
        data = b"".join(block_bytes(block, tag) for block in range(lba, lba + count))
        fua = 0x08 if self.rng.random() < 0.2 else 0
        status, _, sense = session.command(lun, struct.pack(">BBQIBB", 0x8A, fua, lba, count, 0, 0), write=data)
        if status != 0:
            raise iscsi.ProtocolError(f"WRITE at {lba}: status 0x{status:02x}, sense {sense.hex()}")
        for block in range(lba, lba + count):
            self.state[block] = {tag}
        self.acknowledged += 1


def verify(server, states):
    """Every block ever written; returns the problems."""
    problems = []
    session = iscsi.Initiator(server.ports[0], server.iqn, timeout=20).login().ready(server.first_lun)
    for number, state in enumerate(states):
        for lba in range(number * BLOCKS, (number + 1) * BLOCKS, 256):
            status, data, sense = session.read(server.first_lun, lba, 256)
            if status != 0:
                return [f"READ at {lba}: status 0x{status:02x}, sense {sense.hex()}"]
            for block in range(lba, lba + 256):
                found = data[(block - lba) * BLOCK:(block - lba + 1) * BLOCK]
                tags = [tag for tag in state.get(block, {0}) if found == block_bytes(block, tag)]
                if not tags:
                    allowed = len(state.get(block, {0}))
                    problems.append(f"block {block} holds {found[:16].hex()}, none of {allowed} allowed")
                else:
                    state[block] = {tags[0]}  # what has been read once must stay
    session.logout()
    return problems


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--server", choices=servers.KINDS, default="lunaris")
    parser.add_argument("--cycles", type=int, default=5)
    parser.add_argument("--seed", type=int, default=random.randrange(2**32))
    parser.add_argument("--logs", type=pathlib.Path, default=TOP / "build/test-logs/crash")
    options = parser.parse_args()
    print(f"# seed {options.seed}", flush=True)
    shutil.rmtree(options.logs / options.server, ignore_errors=True)
    rng = random.Random(options.seed)
    server = servers.start(options.server, options.logs / options.server, [servers.Lun("16MiB")])
    states = [{} for _ in range(WRITERS)]
    acknowledged = failed = 0
    server.doomed = False
    server.start()
    for cycle in range(options.cycles):
        writers = [Writer(server, number, states[number], random.Random(rng.random())) for number in range(WRITERS)]
        for writer in writers:
            writer.start()
        time.sleep(rng.uniform(0.2, 1.0))
        alive, server.doomed = server.alive(), True
        server.kill()
        for writer in writers:
            writer.join(30)
        problems = [] if alive else [f"the server ended by itself with {server.process.returncode}"]
        problems += [writer.error for writer in writers if writer.error]
        written = sum(writer.acknowledged for writer in writers)
        if written < WRITERS:
            problems.append(f"only {written} writes were acknowledged")
        acknowledged += written
        server.start()
        server.doomed = False
        problems += verify(server, states)
        failed += bool(problems)
        print(f"not ok crash {cycle + 1}: {len(problems)} problems: {problems[0]}" if problems
              else f"ok crash {cycle + 1}: {written} acknowledged writes are there", flush=True)
    status = server.stop()
    failed += status != 0
    print(f"{'ok' if status == 0 else 'not ok'} the server stops in good order (status {status})")
    print(f"# {options.cycles} crashes, {acknowledged} acknowledged writes, seed {options.seed}")
    return 1 if failed else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except servers.ServerError as error:
        sys.exit(f"crash: {error}")
