#!/usr/bin/env python3
"""QEMU as an initiator: its iscsi:// block driver (libiscsi) and its firmware (iPXE), which shares no code with it.

    tests/qemu/run.py [--server lunaris|tgt]

Prints `ok NAME` or `not ok NAME` for each test; what the tools said is in the log folder.
"""
import argparse
import hashlib
import pathlib
import random
import shutil
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "support"))
import server as servers  # noqa: E402

TOP = HERE.parents[1]
TOOL_SECONDS = 60
SIZE = 64 << 20


class Failure(Exception):
    """A test's verdict, in words."""


class Bench:
    """One server, one scratch folder, and the tools run against it."""

    def __init__(self, server, logs):
        self.server, self.logs = server, logs
        self.pattern = logs / "pattern.raw"

    def tool(self, *command):
        with open(self.logs / "tools.log", "a") as log:
            log.write(f"$ {' '.join(map(str, command))}\n")
            log.flush()
            done = subprocess.run([*map(str, command)], capture_output=True, text=True, timeout=TOOL_SECONDS,
                                  stdin=subprocess.DEVNULL, check=False)
            log.write(done.stdout + done.stderr)
        if done.returncode != 0:
            message = (done.stderr or done.stdout).strip().splitlines()
            raise Failure(f"{command[0]} {command[1]}: status {done.returncode}: {message[-1] if message else ''}")
        return done.stdout

    def qemu_io(self, *commands):
        arguments = [part for command in commands for part in ("-c", command)]
        output = self.tool("qemu-io", "-f", "raw", *arguments, self.server.url())
        if "failed" in output:
            raise Failure([line for line in output.splitlines() if "failed" in line][0])
        return output


def write_pattern(path, seed):
    """Half random, half holes, so that zero detection and discards have something to do."""
    rng = random.Random(seed)
    with open(path, "wb") as file:
        file.truncate(SIZE)
        for offset in range(0, SIZE, 2 << 20):
            file.seek(offset)
            file.write(rng.randbytes(1 << 20))


def digest(path):
    return hashlib.sha256(path.read_bytes()).hexdigest()


def size_is_reported(bench):
    info = bench.tool("qemu-img", "info", "-f", "raw", bench.server.url())
    if f"({SIZE} bytes)" not in info:
        raise Failure(f"not {SIZE} bytes: {info.splitlines()[2]}")


def image_goes_in(bench):
    bench.tool("qemu-img", "convert", "-n", "-f", "raw", "-O", "raw", bench.pattern, bench.server.url())


def image_compares_equal(bench):
    bench.tool("qemu-img", "compare", "-f", "raw", "-F", "raw", bench.pattern, bench.server.url())


def image_comes_out(bench):
    copy = bench.logs / "copy.raw"
    bench.tool("qemu-img", "convert", "-f", "raw", "-O", "raw", bench.server.url(), copy)
    if digest(copy) != digest(bench.pattern):
        raise Failure("the copy differs from what was written")
    copy.unlink()


def parallel_copy_with_reordering(bench):
    # -W lets writes complete out of order, -m 16 keeps sixteen of them going.
    write_pattern(bench.pattern, seed=2)
    bench.tool("qemu-img", "convert", "-n", "-W", "-m", "16", "-f", "raw", "-O", "raw", bench.pattern,
               bench.server.url())
    bench.tool("qemu-img", "compare", "-f", "raw", "-F", "raw", bench.pattern, bench.server.url())


def patterns_verify(bench):
    bench.qemu_io("write -P 0xa5 0 1M", "write -P 0x5a 1M 64k", "write -P 0x3c 1536k 512", "flush",
                  "read -P 0xa5 0 1M", "read -P 0x5a 1M 64k", "read -P 0x3c 1536k 512")


def fua_write_verifies(bench):
    bench.qemu_io("write -f -P 0x77 4M 1M", "read -P 0x77 4M 1M")


def large_request_verifies(bench):
    bench.qemu_io("write -P 0x11 8M 16M", "read -P 0x11 8M 16M")


def overlapping_requests_verify(bench):
    bench.qemu_io("aio_write -P 0x21 32M 1M", "aio_write -P 0x22 33M 1M", "aio_write -P 0x23 34M 1M", "aio_flush",
                  "read -P 0x21 32M 1M", "read -P 0x22 33M 1M", "read -P 0x23 34M 1M")


def zeroes_read_as_zero(bench):
    bench.qemu_io("write -P 0xff 16M 4M", "write -z 17M 1M", "read -P 0 17M 1M", "read -P 0xff 16M 1M",
                  "read -P 0xff 18M 2M")


def discard_is_accepted(bench):
    bench.qemu_io("discard 40M 8M", "read 40M 8M")


def bench_runs(bench):
    bench.tool("qemu-img", "bench", "-f", "raw", "-c", "2000", "-d", "32", "-s", "4096", bench.server.url())
    bench.tool("qemu-img", "bench", "-w", "-f", "raw", "-c", "500", "-d", "16", "-s", "65536", bench.server.url())


def firmware_boots(bench):
    image = bench.logs / "boot.raw"
    script = HERE / "ipxe-sanboot.sh"
    bench.tool(script, "image", image)
    bench.tool("qemu-img", "convert", "-n", "-f", "raw", "-O", "raw", image, bench.server.url())
    bench.tool(script, "boot", str(bench.server.ports[0]), bench.server.iqn, str(bench.server.first_lun))


TESTS = [
    ("the size is reported", size_is_reported),
    ("an image goes in", image_goes_in),
    ("the image compares equal", image_compares_equal),
    ("the image comes out the same", image_comes_out),
    ("a parallel copy with writes out of order is the same", parallel_copy_with_reordering),
    ("patterns verify", patterns_verify),
    ("a FUA write verifies", fua_write_verifies),
    ("a 16 MiB request verifies", large_request_verifies),
    ("requests in flight together verify", overlapping_requests_verify),
    ("zeroed ranges read as zero and their neighbours stay", zeroes_read_as_zero),
    ("a discard is accepted", discard_is_accepted),
    ("qemu-img bench ends without an error", bench_runs),
    ("iPXE boots from the disk", firmware_boots),
]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--server", choices=servers.KINDS, default="lunaris")
    parser.add_argument("--logs", type=pathlib.Path, default=TOP / "build/test-logs/qemu")
    options = parser.parse_args()
    logs = options.logs / options.server
    shutil.rmtree(logs, ignore_errors=True)
    logs.mkdir(parents=True)
    server = servers.start(options.server, logs, [servers.Lun(f"{SIZE >> 20}MiB")])
    bench = Bench(server, logs)
    write_pattern(bench.pattern, seed=1)
    failed = 0
    server.start()
    for name, test in TESTS:
        try:
            if not server.alive():
                server.start()
            test(bench)
            if not server.alive():
                raise Failure(f"the server died with {server.process.returncode}\n{server.log_tail()}")
            print(f"ok {name}", flush=True)
        except (Failure, subprocess.TimeoutExpired) as failure:
            failed += 1
            first, *rest = str(failure).splitlines()
            print(f"not ok {name}: {first}", *rest, sep="\n# ", flush=True)
    status = server.stop()
    if status != 0:
        failed += 1
    print(f"{'ok' if status == 0 else 'not ok'} the server stops in good order (status {status})")
    print(f"# logs in {logs}")
    return 1 if failed else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except servers.ServerError as error:
        sys.exit(f"qemu: {error}")
