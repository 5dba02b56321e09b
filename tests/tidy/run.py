#!/usr/bin/env python3
"""Style and layering as a test.

    tests/tidy/run.py [--only WORDS] [--budget SECONDS]     look at the repository
    tests/tidy/run.py --table                               the include table, for ARCHITECTURE.md
    tests/tidy/selftest.py                                  each check finds a violation made for it

Prints `ok NAME`, `not ok NAME` with the places below it, or `skipped NAME`. clang-tidy and the header check need a
configured build and remember by content what was fine (build/tidy-cache).
"""
import argparse
import pathlib
import sys

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
import checks  # noqa: E402
import rules  # noqa: E402


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="checks whose name contains this")
    parser.add_argument("--budget", type=float, default=240, help="seconds for clang-tidy (240)")
    parser.add_argument("--root", type=pathlib.Path, default=HERE.parents[1])
    parser.add_argument("--table", action="store_true", help="print the include table")
    options = parser.parse_args()
    if options.table:
        print(rules.markdown())
        return 0
    tree = checks.Tree(options.root, budget_seconds=options.budget)
    failed = 0
    for name, check in checks.CHECKS:
        if options.only not in name:
            continue
        problems = check(tree)
        if problems is None:
            print(f"skipped {name}: nothing to look at, no configured build, or the tool is missing")
            continue
        failed += bool(problems)
        print(f"{'not ok' if problems else 'ok'} {name}", flush=True)
        for problem in problems:
            print(f"# {problem}")
    for note in tree.notes:
        print(f"# note: {note}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
