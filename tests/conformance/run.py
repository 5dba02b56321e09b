#!/usr/bin/env python3
"""Runs libiscsi's iscsi-test-cu against a server, one test at a time, and compares with tests/conformance/expected.txt.

    tests/conformance/run.py                     # Lunaris, compared with the list
    tests/conformance/run.py --update            # writes the outcomes into the list
    tests/conformance/run.py --server tgt        # a peer: outcomes are printed and counted, nothing is compared
    tests/conformance/run.py --only Read10       # suites or tests whose name contains this

Outcomes: PASS; SKIP (the test found that the target lacks something); FAIL; HANG (time limit); CRASH (the client died
on a signal); DIED (the server did). The exit status is not enough to tell them apart, so each test's own summary is
read. Every suite has a fresh server on a fresh disk, as a test that ends badly may leave a reservation or a mode page
behind. The list may only improve, and it is kept exact: a worse outcome fails, and so does a better one until --update.
"""
import argparse
import collections
import concurrent.futures
import pathlib
import re
import shutil
import subprocess
import sys
import time

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE.parent / "support"))
import server as servers  # noqa: E402

TOP = HERE.parents[1]
LIST = HERE / "expected.txt"
ORDER = ["PASS", "SKIP", "FAIL", "HANG", "CRASH", "DIED"]  # best first
TEST_SECONDS = 30
# Tests that demand a property which the standard makes exclusive run against a disk that has it: prefix of the test's
# name, the disk, why, and how long the test may take where that is longer. The first match counts.
PLAIN = ("", servers.Lun("100MiB"), "", TEST_SECONDS)
REMOVABLE = servers.Lun("100MiB", volume={"removable": True})
DISKS = [
    ("SCSI.PreventAllow.", REMOVABLE, "a medium that can be removed", TEST_SECONDS),
    ("SCSI.StartStopUnit.", REMOVABLE, "a medium that can be removed", TEST_SECONDS),
    ("SCSI.NoMedia.", REMOVABLE, "a medium that can be removed", TEST_SECONDS),
    ("SCSI.ReadOnly.", servers.Lun("100MiB", kind="memory", volume={"read_only": True}), "a read-only medium",
     TEST_SECONDS),
    ("SCSI.GetLBAStatus.UnmapSingle", servers.Lun("100MiB", volume={"block_size": 4096}),
     "it asks for one block and expects the next physical one: they must be the same", TEST_SECONDS),
    ("SCSI.Sanitize.Reset", servers.Lun("32MiB", volume={"backend": {
        "type": "memory", "filters": [{"type": "delay", "ms": 50, "for": ["write"]}]}}),
     "a disk slow enough to be found sanitizing after four seconds", TEST_SECONDS),
]
PARALLEL = 2
BANNER = "CUnit - A unit testing framework"
CLEARING = re.compile(r"[ \t]*Send PRIN/READ_KEYS\s+\[SKIPPED\] PERSISTENT RESERVE IN is not implemented\."
                      r"(\s+Run Summary)")
SECOND_INITIATOR = "iqn.2026-01.io.lunaris.tests:second"
Outcome = collections.namedtuple("Outcome", "kind reason seconds")


def all_tests():
    """FAMILY.SUITE.TEST of the two families that speak iSCSI, in the client's order and without repeats."""
    listing = subprocess.run(["iscsi-test-cu", "-l"], capture_output=True, text=True, check=False).stdout
    names = [line.strip() for line in listing.splitlines() if re.fullmatch(r"(SCSI|iSCSI)\.[^.]+\.[^.]+", line.strip())]
    return list(dict.fromkeys(names))


def judge(status, output):
    """Outcome and reason from one test's output. What the client says of its own setting up (before the banner) and
    clearing away (before the summary) is no verdict on the test."""
    body = CLEARING.sub(r"\1", output.partition(BANNER)[2])
    summary = re.search(r"^\s*tests\s+(\d+)\s+(\d+)\s+(\d+)\s+(\d+)", output, re.MULTILINE)
    failure = re.search(r"^\s*\d+\. (\S+:\d+\s+- .*?)(?:\s+Send PRIN.*)?$", body, re.MULTILINE)
    verdicts = re.findall(r"\[FAILED\] (.*)", output)
    if status < 0:
        return "CRASH", f"client ended by signal {-status}"
    if summary is None:
        last = [line.strip() for line in output.splitlines() if line.strip()]
        return "FAIL", verdicts[-1] if verdicts else (last[-1] if last else f"client ended with {status}, no summary")
    ran, passed = int(summary[2]), int(summary[3])
    if ran != passed or ran == 0:
        reason = verdicts[0] if verdicts else "an assertion failed"
        return "FAIL", f"{reason} ({' '.join(failure[1].split())})" if failure else reason
    skipped = re.search(r"\[SKIPPED\] (.*)", body)
    if skipped:
        return "SKIP", skipped[1].strip()
    return "PASS", ""


def disk_of(kind, name):
    """The row of DISKS for a test; peers have the plain disk only."""
    rows = DISKS if kind == "lunaris" else []
    return next((row for row in rows if name.startswith(row[0])), PLAIN)


def run_test(name, server, logs, seconds_max):
    command = ["iscsi-test-cu", "-d", "-S", "-n", "-V", "-I", SECOND_INITIATOR, "-t", name, server.url(0)]
    if ".MultipathIO." in name:
        command.append(server.url(0, portal=1))
    log = logs / f"{name}.log"
    began = time.monotonic()
    with open(log, "wb") as out:
        client = subprocess.Popen(command, stdout=out, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
                                  preexec_fn=servers.die_with_parent)
        try:
            status = client.wait(seconds_max)
        except subprocess.TimeoutExpired:
            client.kill()
            client.wait()
            status = None
    seconds = time.monotonic() - began
    if not server.alive():
        return Outcome("DIED", f"server ended with {server.process.returncode}", seconds)
    if status is None:
        return Outcome("HANG", f"no end within {seconds_max} s", seconds)
    kind, reason = judge(status, log.read_text(errors="replace"))
    return Outcome(kind, " ".join(reason.split())[:140], seconds)


def run_suite(kind, suite, disk, tests, logs):
    """One suite, or the tests of it that need a certain disk, on a server of its own; the server comes back, on a fresh
    disk, when a test has ended it."""
    directory = logs / "servers" / "-".join(filter(None, [suite, disk[0]]))
    shutil.rmtree(directory, ignore_errors=True)
    outcomes = {}
    server = None
    for name in tests:
        if server is None or not server.alive():
            server = servers.start(kind, directory, [disk[1]], portals=2)
            server.image(0).unlink(missing_ok=True)
            try:
                server.start()
            except servers.ServerError as error:
                outcomes[name] = Outcome("DIED", str(error).splitlines()[0], 0.0)
                continue
        outcomes[name] = run_test(name, server, logs, disk[3])
    try:
        alive = server is not None and server.alive()
        if alive and (status := server.stop()) != 0:
            raise servers.ServerError(f"the server stopped with status {status}")
    except servers.ServerError as error:
        print(f"# after {suite}: {error}", flush=True)
        outcomes[tests[-1]] = Outcome("DIED", str(error).splitlines()[0], 0.0)
    if server is not None:
        server.image(0).unlink(missing_ok=True)
    return outcomes


def read_list():
    """TEST -> (OUTCOME, reason). What is not PASS must say why."""
    expected = {}
    for number, line in enumerate(LIST.read_text().splitlines() if LIST.exists() else [], 1):
        if not line.strip() or line.startswith("#"):
            continue
        name, kind, *reason = line.split(None, 2)
        if kind not in ORDER or (kind != "PASS" and not reason):
            sys.exit(f"{LIST}:{number}: TEST OUTCOME REASON; only PASS needs no reason")
        expected[name] = (kind, reason[0] if reason else "")
    return expected


def write_list(outcomes, expected):
    lines = ["# TEST OUTCOME [reason]. Written by tests/conformance/run.py --update; reasons may be improved by hand.",
             "# It may only improve. A test that is not here is expected to pass."]
    for name in all_tests():
        kind, reason = expected.get(name, ("PASS", ""))
        if name in outcomes:
            new = outcomes[name]
            reason = reason if new.kind == kind else new.reason
            kind = new.kind
        elif name not in expected:
            continue
        lines.append(f"{name} {kind} {reason or 'no reason printed'}" if kind != "PASS" else f"{name} PASS")
    LIST.write_text("\n".join(lines) + "\n")


def compare(name, outcome, expected):
    """(fine?, remark). A test that is not in the list is expected to pass."""
    kind, _ = expected.get(name, ("PASS", ""))
    if outcome.kind == kind:
        return True, ""
    if ORDER.index(outcome.kind) < ORDER.index(kind):
        return False, f"improved from {kind}: update the list with --update"
    return False, f"was {kind}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--server", choices=servers.KINDS, default="lunaris")
    parser.add_argument("--update", action="store_true", help="write the outcomes into the list")
    parser.add_argument("--only", default="", help="tests whose name contains this")
    parser.add_argument("--logs", type=pathlib.Path, default=TOP / "build/test-logs/conformance")
    options = parser.parse_args()
    logs = options.logs / options.server
    logs.mkdir(parents=True, exist_ok=True)
    if options.server == "lunaris":
        servers.binary()

    suites = collections.OrderedDict()
    for name in all_tests():
        if options.only in name:
            disk = disk_of(options.server, name)
            suites.setdefault((name.rpartition(".")[0], disk[0]), (disk, []))[1].append(name)
    expected = read_list()
    outcomes = {}
    failed = 0
    compared = options.server == "lunaris" and not options.update
    with concurrent.futures.ThreadPoolExecutor(PARALLEL) as pool:
        jobs = [pool.submit(run_suite, options.server, suite, disk, tests, logs)
                for (suite, _), (disk, tests) in suites.items()]
        for job in jobs:
            for name, outcome in job.result().items():
                fine, remark = compare(name, outcome, expected) if compared else (True, "")
                failed += not fine
                outcomes[name] = outcome
                # A test that does what the list says without passing is known, not passed.
                verdict = "not ok" if not fine else "ok" if outcome.kind == "PASS" else "skipped"
                text = f"{verdict} {name} {outcome.kind} {outcome.seconds:.1f}s"
                print("  ".join(filter(None, [text, outcome.reason, remark])), flush=True)

    counts = collections.Counter(outcome.kind for outcome in outcomes.values())
    if options.update and options.server == "lunaris":
        write_list(outcomes, expected)
    print(f"# {options.server}: {len(outcomes)} tests: "
          + ", ".join(f"{counts[kind]} {kind}" for kind in ORDER if counts[kind]) + f"; logs in {logs}")
    return 1 if failed or not outcomes else 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except servers.ServerError as error:
        sys.exit(f"conformance: {error}")
