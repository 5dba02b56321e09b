#!/usr/bin/env python3
"""The tools that judge, judged: what each makes of output whose verdict is known."""
import importlib.util
import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
import counting  # noqa: E402
import initiator  # noqa: E402


def load(path):
    spec = importlib.util.spec_from_file_location(path.stem + "_" + path.parent.name, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


conformance = load(HERE.parent / "conformance/run.py")
guest = load(HERE.parent / "guest/run.py")

SUMMARY = "CUnit - A unit testing framework\n{}\n  suites 1 1 n/a 0 0\n  tests 1 {} {} {} 0\n  asserts 2 2 2 0 n/a\n"
CLEARED = "    Send PRIN/READ_KEYS\n    [SKIPPED] PERSISTENT RESERVE IN is not implemented.\n\n\nRun Summary: Type"
PASSED = '<Catch name="x"><Group><TestCase name="a"><OverallResult success="true"/></TestCase>{}</Group></Catch>'
FAILED = '<TestCase name="b"><Expression success="false" filename="f.cpp" line="3"><Original>a</Original>' \
         '<Expanded>1 == 2</Expanded></Expression><OverallResult success="false"/></TestCase>'


def catch2(text, status):
    count = counting.count_catch2("unit", text, status)
    return count.passed, count.failed


def lines(text):
    count = counting.count_lines(text)
    return count.passed, count.failed, count.skipped


def kernel(line, script="foundation"):
    class Log:
        def exists(self):
            return True

        def read_text(self, errors):
            return f"[    6.0] {line}\n[    7.0] eth0: link becomes ready\n"
    return len(guest.complaints(script, Log()))


CASES = [
    ("a conformance test that passed", lambda: conformance.judge(0, SUMMARY.format("", 1, 1, 0))[0], "PASS"),
    ("a conformance test that skipped", lambda: conformance.judge(0, SUMMARY.format("[SKIPPED] x", 1, 1, 0)),
     ("SKIP", "x")),
    ("a skip of the set-up is none", lambda: conformance.judge(0, "[SKIPPED] x\n" + SUMMARY.format("", 1, 1, 0))[0],
     "PASS"),
    ("a skip of the clearing away is none",
     lambda: conformance.judge(0, SUMMARY.format(CLEARED, 1, 1, 0))[0], "PASS"),
    ("the same skip in the test itself is one",
     lambda: conformance.judge(0, SUMMARY.format(CLEARED.replace("Run Summary", "") + CLEARED, 1, 1, 0))[0], "SKIP"),
    ("a conformance test that failed", lambda: conformance.judge(1, SUMMARY.format("[FAILED] y", 1, 0, 1)),
     ("FAIL", "y")),
    ("a conformance test that did not run", lambda: conformance.judge(0, SUMMARY.format("", 0, 0, 0))[0], "FAIL"),
    ("a client without a summary", lambda: conformance.judge(10, "no connection")[0], "FAIL"),
    ("a client that crashed", lambda: conformance.judge(-11, "")[0], "CRASH"),
    ("a worse outcome", lambda: conformance.compare("t", conformance.Outcome("FAIL", "", 0), {"t": ("SKIP", "r")})[0],
     False),
    ("a better outcome", lambda: conformance.compare("t", conformance.Outcome("PASS", "", 0), {"t": ("SKIP", "r")})[0],
     False),
    ("the expected outcome", lambda: conformance.compare("t", conformance.Outcome("SKIP", "", 0),
                                                         {"t": ("SKIP", "r")})[0], True),
    ("an unlisted test must pass", lambda: conformance.compare("t", conformance.Outcome("SKIP", "", 0), {})[0], False),
    ("Catch2: one passed", lambda: catch2(PASSED.format(""), 0), (1, 0)),
    ("Catch2: one of two failed", lambda: catch2(PASSED.format(FAILED), 1), (1, 1)),
    ("Catch2: died in the second", lambda: catch2(PASSED.format('<TestCase name="b">').split("</Group>")[0], -6),
     (1, 1)),
    ("Catch2: nothing ran", lambda: catch2('<Catch name="x"></Catch>', 0), (0, 1)),
    ("Catch2: leaks after the last case", lambda: catch2(PASSED.format(""), 23), (1, 1)),
    ("test lines", lambda: lines("ok a\nnot ok b: c\nskipped d\n# ok e\nokay\n"), (1, 1, 1)),
    ("the kernel on an I/O error", lambda: kernel("blk_update_request: I/O error, dev sda, sector 8"), 1),
    ("the kernel on a lost connection", lambda: kernel(" connection1:0: detected conn error (1020)"), 1),
    ("the kernel on a lost connection when the server is killed",
     lambda: kernel(" connection1:0: detected conn error (1020)", "crash"), 0),
    ("the kernel on a disk found", lambda: kernel("sd 0:0:0:0: [sda] Attached SCSI disk"), 0),
    ("the kernel on failed sense", lambda: kernel("sd 0:0:0:0: [sda] tag#1 Sense Key : Medium Error [current]"), 1),
    ("a PDU is padded and counted", lambda: initiator.pdu(bytes(48), b"abcde")[5:8] + initiator.pdu(bytes(48),
                                                                                                    b"abcde")[48:],
     b"\0\0\5abcde\0\0\0"),
]


def main():
    failed = 0
    for name, case, expected in CASES:
        found = case()
        failed += found != expected
        print(f"ok {name}" if found == expected else f"not ok {name}: {found}, not {expected}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
