#!/usr/bin/env python3
"""Runs the stages of tests/run, counts their tests and prints the summary.

    tests/run [--only STAGE]... [--list]

A stage is a command (or a set of executables) with a time limit; its output is kept in build/test-logs/STAGE.log. The
last line is `N passed, N failed`, with `, N skipped` when something was skipped; the status is 0 when nothing failed.
"""
import argparse
import collections
import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import counting

TOP = pathlib.Path(__file__).resolve().parents[2]
LOGS = TOP / "build/test-logs"
EXECUTABLE_SECONDS = 180
SANITIZERS = {
    "ASAN_OPTIONS": "abort_on_error=0:detect_leaks=1:strict_string_checks=1:detect_stack_use_after_return=0:"
                    "quarantine_size_mb=32",
    "UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1",
}

Stage = collections.namedtuple("Stage", "name builds seconds run what")


def run_process(command, seconds, output, environment=None, separate_errors=None):
    """Runs to the end or to the limit, with everything it has started. Returns its status, None when out of time."""
    with open(output, "ab") as out, open(separate_errors or os.devnull, "ab") as errors:
        process = subprocess.Popen([*map(str, command)], cwd=TOP, stdin=subprocess.DEVNULL, stdout=out,
                                   stderr=errors if separate_errors else subprocess.STDOUT, start_new_session=True,
                                   env={**os.environ, **(environment or {})})
        try:
            return process.wait(max(1, seconds))
        except subprocess.TimeoutExpired:
            return None
        finally:
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                pass
            process.wait()


def tail(path, lines=12):
    text = path.read_text(errors="replace").splitlines() if path.exists() else []
    return "".join(f"\n    {line}" for line in text[-lines:])


def commands(*list_of_commands):
    """A stage that runs commands one after the other and counts their `ok` lines."""
    def run(name, seconds):
        count = counting.Count()
        deadline = time.monotonic() + seconds
        log = LOGS / f"{name}.log"
        for command in list_of_commands:
            if not (TOP / command[0]).exists():
                count.skipped += 1
                count.remarks.append(f"{command[0]} is not there")
                continue
            part = LOGS / f"{name}.part"
            part.write_bytes(b"")
            status = run_process(command, deadline - time.monotonic(), part, SANITIZERS)
            text = part.read_text(errors="replace")
            with open(log, "a") as whole:
                whole.write(f"$ {' '.join(command)}\n{text}")
            found = counting.count_lines(text)
            if status is None:
                found.fail(f"{' '.join(command)}: not done after {seconds} s")
            elif status != 0 and not found.failed:
                found.fail(f"{' '.join(command)}: status {status}{tail(part)}")
            elif status == 0 and not found.passed:
                found.fail(f"{' '.join(command)}: no test was run")
            found.remarks += [line for line in text.splitlines() if line.startswith("# note: ")]
            part.unlink()
            count.add(found)
        return count
    return run


def is_replay(name):
    """tests/fuzz makes one executable per target that runs the committed inputs; no Catch2 in it."""
    return name.startswith("replay_")


def executables(preset, wanted):
    """A stage of the executables that CMake knows as tests and whose name is `wanted`."""
    def run(name, seconds):
        count = counting.Count()
        listing = subprocess.run(["ctest", "--test-dir", TOP / "build" / preset, "--show-only=json-v1"],
                                 capture_output=True, text=True, check=False)
        tests = [test for test in json.loads(listing.stdout or "{}").get("tests", []) if wanted(test["name"])]
        if not tests:
            count.skipped += 1
            count.remarks.append(f"no such executable in build/{preset}")
        deadline = time.monotonic() + seconds
        for test in tests:
            if not test.get("command"):
                count.fail(f"{test['name']}: is not built")
                continue
            report, errors = LOGS / f"{test['name']}.xml", LOGS / f"{test['name']}.log"
            for path in (report, errors):
                path.write_bytes(b"")
            command = test["command"] + ([] if is_replay(test["name"]) else ["-r", "xml"])
            limit = min(EXECUTABLE_SECONDS, deadline - time.monotonic())
            status = run_process(command, limit, report, SANITIZERS, errors)
            text = report.read_text(errors="replace")
            if status is None:
                found = counting.Count()
                found.fail(f"{test['name']}: not done after {limit:.0f} s{tail(errors)}")
            elif "<Catch" in text:
                found = counting.count_catch2(test["name"], text, status)
                if status < 0 or status > 128 or errors.stat().st_size and found.failed:
                    found.failures[-1] += tail(errors)
            else:
                found = counting.count_lines(text)
                if status != 0 and not found.failed:
                    found.fail(f"{test['name']}: status {status}{tail(report)}{tail(errors)}")
                elif not found.passed and not found.failed:
                    found.passed += 1
            count.add(found)
        return count
    return run


def configured(preset, run):
    """A stage that needs to know how the sources are compiled, but nothing built."""
    def configure(name, seconds):
        status = run_process(["cmake", "--preset", preset], seconds, LOGS / f"{name}.log")
        count = run(name, seconds)
        if status != 0:
            count.fail(f"cmake --preset {preset}: status {status}{tail(LOGS / f'{name}.log')}")
        return count
    return configure


# What the stages run of a preset, where that is not everything: optimised at link time, each program costs its time.
TARGETS = {"release": ["lunaris", "iscsi_load", "alloc_count"]}


def build(preset):
    def run(name, seconds):
        count = counting.Count()
        log = LOGS / f"{name}.log"
        targets = [option for target in TARGETS.get(preset, []) for option in ("--target", target)]
        for command in (["cmake", "--preset", preset],
                        ["cmake", "--build", "--preset", preset, "-j", str(jobs()), *targets]):
            status = run_process(command, seconds, log)
            if status != 0:
                count.fail(f"{' '.join(command)}: {'not done in time' if status is None else f'status {status}'}"
                           f"{tail(log, 25)}")
                return count
        count.passed += 1
        return count
    return run


def jobs():
    return max(1, min(len(os.sched_getaffinity(0)), 16))


STAGES = [
    Stage("tidy", [], 1000,
          configured("asan", commands(["tests/tidy/selftest.py"], ["tests/tidy/run.py", "--budget", "400"])),
          "style, layering, headers, clang-tidy"),
    Stage("harness", [], 60, commands(["tests/support/selftest.py"]), "the test tools judge rightly"),
    Stage("unit", ["asan"], 420, executables("asan", lambda name: "sim" not in name and not is_replay(name)),
          "Catch2, with AddressSanitizer and UndefinedBehaviorSanitizer"),
    Stage("sim", ["asan"], 240, executables("asan", lambda name: "sim" in name), "seeded simulation, sanitizers"),
    Stage("fuzz", ["asan"], 240, executables("asan", is_replay), "replay of the fuzzers' corpora"),
    Stage("integration", ["release"], 300, commands(["tests/integration/run"]), "the server as a process"),
    Stage("web", ["release"], 300, commands(["tests/web/run"]), "the HTTP API, the dashboard in a browser"),
    Stage("conformance", ["release"], 360, commands(["tests/conformance/run.py"]), "libiscsi's 230 tests"),
    Stage("qemu", ["release"], 150, commands(["tests/qemu/run.py"]), "QEMU's block driver, iPXE"),
    Stage("robustness", ["release", "asan"], 180,
          commands(["tests/robustness/garbage.py"],
                   ["tests/robustness/garbage.py", "--seconds", "10", "--binary", "build/asan/server/lunaris"],
                   ["tests/robustness/crash.py"]),
          "garbage and kill -9 beside verified I/O"),
    Stage("bench", ["release"], 120, commands(["tests/bench/run", "--check"]),
          "system calls, allocations and workers per command"),
    Stage("guest", ["release"], 600, commands(["tests/guest/run.py"]), "Linux: multipath, ext4, crashes, sg3_utils"),
]


def plan(only):
    """The chosen stages, each build before the first stage that needs it."""
    chosen = [stage for stage in STAGES if not only or stage.name in only]
    planned, built = [], set()
    for stage in chosen:
        for preset in stage.builds:
            if preset not in built:
                built.add(preset)
                planned.append(Stage(f"build-{preset}", [], 1200, build(preset), f"the {preset} preset"))
        planned.append(stage)
    return planned


def run_stage(stage, broken):
    log = LOGS / f"{stage.name}.log"
    log.write_bytes(b"")
    missing = [preset for preset in stage.builds if f"build-{preset}" in broken]
    began = time.monotonic()
    if missing:
        count = counting.Count(skipped=1, remarks=[f"the {missing[0]} build failed"])
    else:
        print(f"{stage.name}: {stage.what} ...", flush=True)
        count = stage.run(stage.name, stage.seconds)
    seconds = time.monotonic() - began
    print(f"{stage.name}: {count.passed} passed, {count.failed} failed, {count.skipped} skipped, {seconds:.0f} s",
          flush=True)
    for text in count.failures:
        print(f"  FAILED {text}")
    for text in count.remarks:
        print(f"  {text}")
    return count, seconds


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", metavar="STAGE", choices=[stage.name for stage in STAGES])
    parser.add_argument("--list", action="store_true", help="print the stages")
    options = parser.parse_args()
    if options.list:
        for stage in STAGES:
            print(f"{stage.name:12} {stage.what}")
        return 0
    LOGS.mkdir(parents=True, exist_ok=True)
    began = time.monotonic()
    total, broken, rows = counting.Count(), set(), []
    for stage in plan(options.only):
        count, seconds = run_stage(stage, broken)
        if stage.name.startswith("build-"):
            if count.failed:
                broken.add(stage.name)
            else:
                count.passed = 0  # a build that works is no test case
        rows.append((stage.name, count, seconds))
        total.add(count)

    print(f"\n{'stage':14}{'passed':>8}{'failed':>8}{'skipped':>9}{'seconds':>9}")
    for name, count, seconds in rows:
        print(f"{name:14}{count.passed:8}{count.failed:8}{count.skipped:9}{seconds:9.0f}")
    for text in total.failures:
        print(f"FAILED {text.splitlines()[0]}")
    print(f"logs in {LOGS.relative_to(TOP)}, {(time.monotonic() - began) / 60:.1f} minutes\n")
    print(f"{total.passed} passed, {total.failed} failed" + (f", {total.skipped} skipped" if total.skipped else ""))
    return 1 if total.failed or not total.passed else 0


if __name__ == "__main__":
    sys.exit(main())
