#!/usr/bin/env python3
"""A tree with one violation of every rule: each check must report it, in its place, and nothing about the good file."""
import json
import pathlib
import sys
import tempfile

HERE = pathlib.Path(__file__).resolve().parent
sys.path.insert(0, str(HERE))
import checks  # noqa: E402
import source  # noqa: E402

GOOD = "// A file without fault.\n#pragma once\n\nint good();\n"
LONG = "// Too long a function, whose braces in \"strings {\" and 'c' do not count.\nnamespace a {\n" \
    "A::A(int b) : b_{b}, c_{'{'} {\n" + "  b_ += 1'000;  // {\n" * 70 + "}\n}  // namespace a\n"

# check's function -> (file, its text, what the report must contain)
FIXTURES = {
    "include_table": ("protocol/iscsi/bad.cpp", "// Bad.\n#include <boost/asio.hpp>\n", "protocol/iscsi/bad.cpp:2:"),
    "documented_files_exist": ("server/README.md", "Good: `server/README.md`.\nBad: `server/gone.h`.\n",
                               "server/README.md:2:"),
    "forbidden_words": ("server/control/word.cpp", "// Bad.\n// FIX" "ME later\n", "server/control/word.cpp:2:"),
    "line_length": ("server/control/wide.cpp", "// Bad.\n//" + "x" * 119 + "\n", "server/control/wide.cpp:2: 121"),
    "function_length": ("server/control/long.cpp", LONG, "server/control/long.cpp:3: a function of 72"),
    "file_length": ("server/control/huge.cpp", "// Bad.\n" + "//\n" * 600, "server/control/huge.cpp:1: 601"),
    "first_sentence": ("server/control/silent.cpp", "int silent;\n", "server/control/silent.cpp:1:"),
    "readme_in_folders": ("docker/thing/file.txt", "x\n", "docker/thing/README.md:1:"),
    "test_names": ("tests/unit/a/t.cpp", '// T.\nTEST_CASE("one, two [three]") {}\n', "tests/unit/a/t.cpp:2:"),
    "formatted": ("server/control/ugly.cpp", "// Bad.\nint   ugly ( ) ;\n", "server/control/ugly.cpp:2:"),
    "headers_compile_alone": ("server/control/needy.h", "// Bad.\n#pragma once\nmissing_type x();\n",
                              "server/control/needy.h:3:"),
    "clang_tidy": ("server/control/careless.cpp",
                   "// Bad.\nint careless(int a) {\n  if (a == 1);\n    a = 2;\n  return a;\n}\n",
                   "server/control/careless.cpp:3:"),
    "shellcheck": ("bad.sh", "#!/bin/bash\nunused=1\n", "bad.sh:2:"),
    "table_is_documented": ("ARCHITECTURE.md", "no table\n", "ARCHITECTURE.md:1:"),
}

# (text, the functions' lines): what is easy to measure wrongly.
MEASURES = [
    ("int a() {\n}\n", [2]),
    ("struct S {\n  int a() const {\n    return 1;\n  }\n  int b{f(1)};\n};\n", [3]),
    ("S::S()\n    : a_(1),\n      b_{2},\n      c_{3, {4}} {\n  go();\n}\n", [6]),
    ("const Row rows[] = {\n  {1, f(2)},\n  {2, [] {\n  }},\n};\n", []),
    ("enum class E : int {\n  a,\n};\ntemplate <class T>\nint f(T t) {\n  if (t) {\n  }\n}\n", [5]),
    ("#define X(a) { \\\n  a\nint f() {\n  return R\"({{{)\";\n}\n", [3]),
    ("Task<int> f(struct stat& s) {\n}\n", [2]),
]


def main():
    failed = 0

    def verdict(name, fine, detail=""):
        nonlocal failed
        failed += not fine
        print(f"{'ok' if fine else 'not ok'} {name}" + (f": {detail}" if detail and not fine else ""))

    for text, expected in MEASURES:
        measured = [lines for _, lines in source.functions(text)]
        verdict(f"functions are measured in {text.splitlines()[0]!r}", measured == expected,
                f"{measured}, not {expected}")

    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder).resolve()
        files = {name: text for name, text, _ in FIXTURES.values()}
        for name, text in {**files, "server/control/good.h": GOOD}.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text)
        for name in (".clang-format", ".clang-tidy"):
            (root / name).write_text((HERE.parents[1] / name).read_text())
        database = root / "build/debug/compile_commands.json"
        database.parent.mkdir(parents=True)
        database.write_text(json.dumps([{"directory": str(root), "file": name,
                                         "command": f"clang++-19 -std=c++20 -c {name}"}
                                        for name in files if name.endswith(".cpp")]))
        for title, check in checks.CHECKS:
            problems = check(checks.Tree(root, budget_seconds=60)) or []
            _, _, expected = FIXTURES[check.__name__]
            verdict(f"'{title}' reports a violation", any(expected in problem for problem in problems),
                    str(problems[:3]))
            verdict(f"'{title}' leaves the good file alone", not any("good.h" in problem for problem in problems),
                    str(problems))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
