#!/usr/bin/env python3
"""Real Linux against the server: boots a Debian guest (QEMU without KVM, no root needed) and runs scripts in it.

    tests/guest/run.py [--server lunaris|tgt] [SCRIPT...]     default: foundation crash sg3 chap

The guest reaches the server on the host's loopback as 10.0.2.2. A script asks for what only the host can do by creating
/share/ask.WHAT (lib.sh: `host WHAT`): `restart` stops the server in good order and starts it again, `crash` kills it
with -9 first. The kernel's log must be free of storage complaints; ALLOWED says what is not one, and why.

Test lines are `ok NAME`, `not ok NAME`, `skipped NAME`. The guest image is built once, into LUNARIS_GUEST, or
${XDG_CACHE_HOME:-~/.cache}/lunaris-guest.
"""
import argparse
import os
import pathlib
import re
import shutil
import subprocess
import sys
import threading
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "support"))
import server as servers  # noqa: E402

TOP = HERE.parents[1]
SCRIPTS = ["foundation", "crash", "sg3", "chap"]
GUEST_SECONDS = 300
# What a script needs of the server's configuration beyond the disk: members of the target, sections of the document.
TARGETS = {"chap": {"auth": {"chap": [{"username": "me", "secret": "correcthorse1"}],
                             "mutual": {"username": "thetarget", "secret": "batterystaple2"}}}}
DOCUMENTS = {"chap": {"discovery_auth": {"chap": [{"username": "finder", "secret": "discovery1234"}]}}}
INITIATOR = "iqn.2026-01.io.lunaris.tests:guest"

# Kernel lines that speak of storage at all. Whatever of them ALLOWED does not explain is a complaint.
STORAGE = re.compile(r"scsi|\bsd \d|\[sd[a-z]+\]|\bsd[a-z]+\b|connection\d+:\d+|session\d+|I/O error|EXT4|device-mapper"
                     r"|multipath|blocked for more than|print_req_error|blk_update", re.IGNORECASE)
ALWAYS = [
    (r"SCSI subsystem initialized|Block layer SCSI generic|Loading iSCSI transport class|iscsi: registered transport",
     "modules being loaded"),
    (r"scsi host\d+: iSCSI Initiator over TCP/IP", "a login"),
    (r"scsi \d+:\d+:\d+:\d+: (Direct-Access|RAID)", "the disk (and tgt's controller) being found"),
    (r"scsi \d+:\d+:\d+:\d+: (alua: (supports implicit TPGS|device |Detached)|Power-on or device reset)",
     "ALUA found and let go; the unit attention of a first login"),
    (r"scsi \d+:\d+:\d+:\d+: Attached scsi generic|sd \d+:\d+:\d+:\d+: Attached scsi generic", "sg attached"),
    (r"sd \d+:\d+:\d+:\d+: (alua: |Power-on or device reset occurred)",
     "ALUA states; the unit attention after a login"),
    (r"\[sd[a-z]+\] (\d+ \d+-byte logical blocks|\d+-byte physical blocks|Write Protect is off|Mode Sense:|"
     r"Write cache: |Attached SCSI disk|Preferred minimum I/O|Optimal transfer size)", "the disk being described"),
    (r"\[sd[a-z]+\] Synchronizing SCSI cache$", "a logout"),
    (r" sd[a-z]+: sd[a-z]+\d| sd[a-z]+:$", "partition scan"),
    (r"EXT4-fs \((vda|dm-\d+)\): (mounted|unmounting|re-mounted)", "mounts"),
    (r"device-mapper: (core: CONFIG_IMA|uevent|ioctl|multipath (round-robin|service-time|queue-length): version)|"
     r"alua: Attached|device-mapper: multipath: version", "modules being loaded"),
    (r"EXT4-fs \(dm-\d+\): .*barriers disabled|alua: rtpg", "informational"),
]
CRASH = [
    (r"connection\d+:\d+: detected conn error", "the server was killed under it: this is what the script does"),
    (r"connection\d+:\d+: (ping timeout|cannot make a connection)", "the same, noticed by the NOP"),
]
RESET = [
    (r"sd \d+:\d+:\d+:\d+: (\[sg\d+\] )?.*(reset|RESET)", "sg_reset is one of the checks"),
    (r"connection\d+:\d+: detected conn error", "a target reset may end the session; the initiator logs in again"),
]
CHAP = [
    (r"connection\d+:\d+: detected conn error \(1020\)", "a login that is refused ends its connection"),
]
ALLOWED = {"chap": ALWAYS + CHAP, "foundation": ALWAYS, "crash": ALWAYS + CRASH, "sg3": ALWAYS + RESET}


def cache_directory():
    default = pathlib.Path(os.environ.get("XDG_CACHE_HOME", pathlib.Path.home() / ".cache")) / "lunaris-guest"
    return pathlib.Path(os.environ.get("LUNARIS_GUEST", default))


class HostRequests:
    """Answers the guest's requests; remembers what went wrong. In the main thread: a server dies with the thread that
    started it."""

    def __init__(self, server, share):
        self.server, self.share = server, share
        self.problems = []

    def poll(self):
        for request in self.share.glob("ask.*"):
            what = request.suffix[1:]
            try:
                self.answer(what)
            except servers.ServerError as error:
                self.problems.append(f"{what}: {error}")
            request.unlink()
            (self.share / f"done.{what}").touch()

    def answer(self, what):
        if not self.server.alive():
            self.problems.append(f"the server was dead before '{what}': {self.server.log_tail()}")
        if what == "restart":
            status = self.server.stop()
            if status != 0:
                self.problems.append(f"the server stopped with status {status}: {self.server.log_tail()}")
        elif what == "crash":
            self.server.kill()
            time.sleep(0.5)
        else:
            raise servers.ServerError("unknown request")
        self.server.start()


class Output(threading.Thread):
    """Prints the guest's test lines, keeps everything in a file, remembers whether a test failed."""

    def __init__(self, stream, path):
        super().__init__(daemon=True)
        self.stream, self.path = stream, path
        self.failed = False

    def run(self):
        with open(self.path, "w") as output:
            for line in self.stream:
                output.write(line)
                self.failed = self.failed or line.startswith("not ok ")
                is_ours = line.startswith(("ok ", "not ok ", "skipped ", "#"))
                print(line if is_ours else f"# {line}", end="", flush=True)


def complaints(script, dmesg):
    lines = dmesg.read_text(errors="replace").splitlines() if dmesg.exists() else ["no kernel log: scsi?"]
    allowed = [re.compile(pattern) for pattern, _ in ALLOWED.get(script, ALWAYS)]
    return [line for line in lines if STORAGE.search(line) and not any(a.search(line) for a in allowed)]


def run_script(script, kind, directory):
    """Boots the guest for one script; prints its test lines; returns whether all went well."""
    shutil.rmtree(directory, ignore_errors=True)
    share = directory / "share"
    share.mkdir(parents=True)
    shutil.copy(HERE / "lib.sh", share / "lib.sh")
    server = servers.start(kind, directory / "server", [servers.Lun("128MiB")], portals=2)
    server.target_members, server.document_members = TARGETS.get(script, {}), DOCUMENTS.get(script, {})
    server.start()
    environment = {
        **os.environ, "NAME": script, "SERVER": kind, "TARGET": server.iqn, "LUN": str(server.first_lun),
        "PORTALS": " ".join(f"10.0.2.2:{port}" for port in server.ports), "INITIATOR_NAME": INITIATOR,
        "GUEST_ENV": "NAME SERVER TARGET LUN PORTALS FIO_SIZE", "GUEST_TIMEOUT": str(GUEST_SECONDS),
    }
    began = time.monotonic()
    guest = subprocess.Popen([HERE / "run.sh", cache_directory(), HERE / f"{script}.sh", share], env=environment,
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, errors="replace",
                             stdin=subprocess.DEVNULL, preexec_fn=servers.die_with_parent)
    output, requests = Output(guest.stdout, directory / "output"), HostRequests(server, share)
    output.start()
    while guest.poll() is None:
        requests.poll()
        time.sleep(0.05)
    output.join()
    fine = not output.failed
    if guest.returncode != 0 and fine:
        print(f"not ok {script}: the guest ended with {guest.returncode} (124: time limit, 125: it died)")
        fine = False
    try:
        status = server.stop()
        if status != 0:
            requests.problems.append(f"the server stopped with status {status}: {server.log_tail()}")
    except servers.ServerError as error:
        requests.problems.append(str(error))
    for problem in requests.problems:
        print(f"not ok {script}: {problem.splitlines()[0]}")
        print("# " + "\n# ".join(problem.splitlines()))
        fine = False
    found = complaints(script, share / "job/dmesg")
    print(f"{'not ok' if found else 'ok'} {script}: the kernel has nothing to complain of")
    for line in found[:20]:
        print(f"#   {line}")
    print(f"# {script}: {time.monotonic() - began:.0f} s; logs in {directory}", flush=True)
    if fine and not found:
        server.image(0).unlink(missing_ok=True)
    return fine and not found


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--server", choices=servers.KINDS, default="lunaris")
    parser.add_argument("--logs", type=pathlib.Path, default=TOP / "build/test-logs/guest")
    parser.add_argument("scripts", nargs="*", default=SCRIPTS)
    options = parser.parse_args()
    if options.server == "lunaris":
        servers.binary()
    built = subprocess.run([HERE / "build.sh", cache_directory()], check=False)
    if built.returncode != 0:
        sys.exit("guest: the image could not be built (see above)")
    results = [run_script(script, options.server, options.logs / options.server / script) for script in options.scripts]
    return 0 if all(results) else 1


if __name__ == "__main__":
    try:
        sys.exit(main())
    except servers.ServerError as error:
        sys.exit(f"guest: {error}")
