"""Counts of test cases, from the two things that our tests print: `ok NAME` lines and Catch2's XML."""
import dataclasses
import re
import xml.etree.ElementTree


@dataclasses.dataclass
class Count:
    passed: int = 0
    failed: int = 0
    skipped: int = 0
    failures: list = dataclasses.field(default_factory=list)  # what failed, a line each
    remarks: list = dataclasses.field(default_factory=list)   # why something was skipped

    def add(self, other):
        self.passed += other.passed
        self.failed += other.failed
        self.skipped += other.skipped
        self.failures += other.failures
        self.remarks += other.remarks

    def fail(self, text):
        self.failed += 1
        self.failures.append(text)


def count_lines(text):
    """`ok NAME`, `not ok NAME ...`, `skipped NAME ...`, at the beginning of a line."""
    count = Count()
    for line in text.splitlines():
        if line.startswith("ok "):
            count.passed += 1
        elif line.startswith("not ok "):
            count.fail(line[7:])
        elif line.startswith("skipped "):
            count.skipped += 1
    return count


def count_catch2(name, text, status):
    """Catch2 v2's XML report of one executable. One that ended early has no report, which is a failure of its own."""
    count = Count()
    try:
        root = xml.etree.ElementTree.fromstring(text)
    except xml.etree.ElementTree.ParseError:
        begun = re.findall(r'<TestCase name="([^"]*)"', text)
        count.passed = max(0, text.count("</TestCase>") - text.count('<OverallResult success="false"'))
        count.fail(f"{name}: ended with status {status} in '{begun[-1] if begun else 'its start'}'")
        return count
    for case in root.iter("TestCase"):
        result = case.find("OverallResult")
        if result is not None and result.get("success") == "true":
            count.passed += 1
            continue
        places = [f"{e.get('filename')}:{e.get('line')}: {(e.findtext('Expanded') or '').strip()}"
                  for e in case.iter("Expression") if e.get("success") == "false"]
        places += [" ".join((e.text or "").split()) for tag in ("Failure", "Exception") for e in case.iter(tag)]
        count.fail(f"{name}: {case.get('name')}" + "".join(f"\n    {place}" for place in places[:3]))
    if status != 0 and not count.failed:
        count.fail(f"{name}: all cases passed, but it ended with status {status}")
    if not count.passed and not count.failed:
        count.fail(f"{name}: ran no test case")
    return count
