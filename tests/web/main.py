"""Runs the web tests: every function test_* of test_*.py with a server of its own, then the dashboard in a browser.

    tests/web/run [WORD...]     only tests whose name contains one of the words; "browser" is the dashboard's
"""
import importlib
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import traceback

import client
from io_load import Io

FOLDER = pathlib.Path(__file__).resolve().parent
TOP = FOLDER.parents[1]
DASHBOARD = TOP / "web/dashboard"
PACKAGES = TOP / "build/web-tests"
SCREENSHOTS = TOP / "build/screenshots"


def find_tests(words):
    for file in sorted(FOLDER.glob("test_*.py")):
        for name, function in list(vars(importlib.import_module(file.stem)).items()):
            if name.startswith("test_") and (not words or any(word in name for word in words)):
                yield name.removeprefix("test_"), function


def run_one(function):
    """Nothing when it passes, else the reason."""
    with tempfile.TemporaryDirectory(prefix="lunaris-web-") as folder:
        server = client.WebServer(folder)
        try:
            function(server)
            if "ERROR: AddressSanitizer" in server.output() or "runtime error:" in server.output():
                return "a sanitizer spoke: " + server.output()
            if server.process.poll() is None and server.stop() != 0:
                return "the server did not stop well: " + server.output()
        except client.harness.Failed as failed:
            return str(failed)
        except Exception:  # pylint: disable=broad-except  a test that breaks is a failed test, the others go on
            return traceback.format_exc() + server.output()
        finally:
            server.kill()
    return None


def missing_for_browser():
    """Why the dashboard cannot be tried here; empty when it can."""
    for program in ("node", "npm", "chromium", "qemu-io"):
        if not shutil.which(program):
            return f"{program} is not installed"
    PACKAGES.mkdir(parents=True, exist_ok=True)
    lock = (DASHBOARD / "package-lock.json").read_text()
    if not (PACKAGES / "node_modules").exists() or (PACKAGES / "package-lock.json").read_text() != lock:
        for name in ("package.json", "package-lock.json"):
            shutil.copy(DASHBOARD / name, PACKAGES / name)
        done = subprocess.run(["npm", "ci", "--no-fund", "--no-audit", "--loglevel=error"], cwd=PACKAGES,
                              capture_output=True, text=True, timeout=300, check=False)
        if done.returncode != 0:
            return f"npm ci: {done.stderr.strip()[:200]}"
    return ""


def check_types():
    """The dashboard's TypeScript, by its compiler. Lines `ok` or `not ok`."""
    folder = PACKAGES / "dashboard"
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(DASHBOARD, folder, ignore=shutil.ignore_patterns("node_modules"))
    done = subprocess.run([PACKAGES / "node_modules/.bin/tsc", "-p", folder], capture_output=True, text=True,
                          timeout=300, check=False)
    reason = " / ".join((done.stdout + done.stderr).splitlines()[:5])
    return "ok dashboard_types" if done.returncode == 0 else f"not ok dashboard_types {reason}"


def browser_lines():
    """The lines of browser.mjs, while an initiator works from its line `# io` on."""
    with tempfile.TemporaryDirectory(prefix="lunaris-web-") as folder:
        server = client.WebServer(folder).start()
        io = None
        command = ["node", FOLDER / "browser.mjs", server.base, server.setup_token(), SCREENSHOTS, PACKAGES,
                   shutil.which("chromium")]
        with subprocess.Popen(list(map(str, command)), stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
                              text=True, env={**os.environ, "HOME": folder}) as script:
            for line in script.stdout:
                if line.startswith("# io"):
                    io = Io(server.port, client.DEMO)
                yield line.rstrip()
        if io:
            io.stop()
        server.kill()
        if script.returncode not in (0, 1):
            yield f"not ok browser the script ended with {script.returncode}"


def main():
    words = sys.argv[1:]
    passed = failed = 0
    for name, function in find_tests(words):
        reason = run_one(function)
        print(f"ok {name}" if reason is None else f"not ok {name} " + reason.replace("\n", " | "), flush=True)
        passed, failed = passed + (reason is None), failed + (reason is not None)
    skipped = 0
    if not words or "browser" in words:
        reason = missing_for_browser()
        if reason:
            skipped = 1
            print(f"# note: the dashboard was not tried in a browser: {reason}")
        for line in [] if reason else [check_types(), *browser_lines()]:
            print(line, flush=True)
            passed, failed = passed + line.startswith("ok "), failed + line.startswith("not ok ")
    print(f"{passed} passed, {failed} failed" + (f", {skipped} skipped" if skipped else ""))
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
