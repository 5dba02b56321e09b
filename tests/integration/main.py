"""Runs the integration tests: every function test_* of every test_*.py here, each with a server of its own.

    tests/integration/run [WORD...]     only tests whose name contains one of the words
"""
import importlib
import pathlib
import sys
import tempfile
import traceback

FOLDER = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(FOLDER))
import harness  # noqa: E402


def find_tests(words):
    for file in sorted(FOLDER.glob("test_*.py")):
        module = importlib.import_module(file.stem)
        for name, function in list(vars(module).items()):  # a test may add to its module
            if name.startswith("test_") and (not words or any(word in name for word in words)):
                yield name.removeprefix("test_"), function


def run_one(function):
    """Nothing when it passes, else the reason in one line."""
    with tempfile.TemporaryDirectory(prefix="lunaris-it-") as folder:
        server = harness.Server(folder)
        try:
            function(server)
            if "ERROR: AddressSanitizer" in server.output() or "runtime error:" in server.output():
                return "a sanitizer spoke: " + server.output()
        except harness.Failed as failed:
            return str(failed)
        except Exception:  # pylint: disable=broad-except  a test that breaks is a failed test, the others go on
            return traceback.format_exc()
        finally:
            server.kill()
    return None


def main():
    passed = failed = 0
    for name, function in find_tests(sys.argv[1:]):
        reason = run_one(function)
        if reason is None:
            passed += 1
            print(f"ok {name}", flush=True)
        else:
            failed += 1
            print(f"not ok {name} {' | '.join(reason.strip().splitlines())[-2000:]}", flush=True)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed or not passed else 0


if __name__ == "__main__":
    sys.exit(main())
