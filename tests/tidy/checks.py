"""The checks. Each takes a Tree and returns its problems, one line each: `file:line: what, and what to do`."""
import concurrent.futures
import hashlib
import json
import pathlib
import re
import shlex
import shutil
import subprocess
import time

import rules
import source

LINE_COLUMNS = 120
FUNCTION_LINES = 70
FILE_LINES_NOTE = 500
FILE_LINES = 600
CPP = (".h", ".cpp")
TEXT = CPP + (".py", ".sh", ".md", ".txt", ".json", ".yaml", ".yml", ".ts", ".tsx", ".css", ".html", ".cmake")
INCLUDE = re.compile(r'^\s*#\s*include\s+([<"])([^>"]+)[>"]', re.MULTILINE)
TEST_CASE = re.compile(r'\b(?:TEST_CASE|SCENARIO|TEMPLATE_TEST_CASE|TEST_CASE_METHOD)\s*\('
                       r'\s*(?:\w+\s*,\s*)?((?:"(?:\\.|[^"\\])*"\s*)+)')
HERE = pathlib.Path(__file__).resolve().parent
PARALLEL = 2


class Tree:
    """The files to look at and where results of the slow checks are kept."""

    def __init__(self, root, build=None, budget_seconds=240):
        self.root = pathlib.Path(root)
        self.build = pathlib.Path(build) if build else self.root / "build"
        self.budget_seconds = budget_seconds
        self.notes = []
        self.files = sorted(self.listed())
        self._text = {}
        self._closure = {}

    def listed(self):
        git = subprocess.run(["git", "-C", self.root, "ls-files", "-co", "--exclude-standard"], capture_output=True,
                             text=True,
                             check=False)
        if git.returncode == 0:
            names = git.stdout.splitlines()
        else:
            names = [str(path.relative_to(self.root)) for path in self.root.rglob("*") if path.is_file()]
            names = [name for name in names if not name.startswith(("build/", ".git/"))]
        return {name for name in names if (self.root / name).is_file() and (self.root / name).stat().st_size < 1 << 20}

    def text(self, name):
        if name not in self._text:
            self._text[name] = (self.root / name).read_text(errors="replace")
        return self._text[name]

    def cpp(self, *folders):
        return [name for name in self.files if name.endswith(CPP) and (not folders or name.startswith(folders))]

    def scripts(self):
        """Shell scripts, told by their first line."""
        return [name for name in self.files if "." not in pathlib.Path(name).name or name.endswith(".sh")
                if re.match(r"#!.*\b(ba)?sh\b", self.text(name))]

    def closure(self, name):
        """Our own files that this one includes, with all that they include."""
        if name not in self._closure:
            self._closure[name] = {name}
            for _, header in INCLUDE.findall(self.text(name)):
                for path in (header, str(pathlib.Path(name).parent / header)):
                    if path in self.files:
                        self._closure[name] |= self.closure(path)
                        break
        return self._closure[name]

    def flags(self, name):
        """How this file is compiled; a header as its nearest source is. None when nothing has been configured."""
        if not hasattr(self, "_commands"):
            databases = [self.build / preset / "compile_commands.json" for preset in ("asan", "debug", "release")]
            database = next((path for path in databases if path.exists()), None)
            self._commands = {}
            for entry in json.loads(database.read_text()) if database else []:
                try:
                    source = (pathlib.Path(entry["directory"]) / entry["file"]).resolve()
                    path = str(source.relative_to(self.root.resolve()))
                except ValueError:
                    continue
                self._commands[path] = strip_command(shlex.split(entry["command"]))
        if not self._commands:
            return None
        def nearness(other):
            common = 0
            for mine, theirs in zip(pathlib.Path(name).parts, pathlib.Path(other).parts):
                if mine != theirs:
                    break
                common += 1
            return (pathlib.Path(other).stem == pathlib.Path(name).stem, common)
        return self._commands.get(name) or self._commands[max(sorted(self._commands), key=nearness)]

    def key(self, name, *extra):
        digest = hashlib.sha256()
        for path in sorted(self.closure(name)):
            digest.update(path.encode() + b"\0" + self.text(path).encode() + b"\0")
        for part in extra:
            digest.update(str(part).encode() + b"\0")
        return digest.hexdigest()

    def slow(self, what, names, command_of, budget=None):
        """Runs a command per file, two at a time, remembering what was fine. Returns (problems, files unchecked)."""
        cache = self.build / "tidy-cache" / what
        cache.mkdir(parents=True, exist_ok=True)
        todo = []
        for name in names:
            command = command_of(name)
            key = self.key(name, *command)
            if not (cache / key).exists():
                todo.append((name, command, cache / key))
        deadline = time.monotonic() + budget if budget else None

        def run(job):
            name, command, key = job
            if deadline and time.monotonic() > deadline:
                return None
            done = subprocess.run(command, capture_output=True, text=True, cwd=self.root, check=False)
            if done.returncode == 0:
                key.touch()
                return []
            lines = [line for line in (done.stdout + done.stderr).splitlines() if re.search(r"(error|warning):", line)]
            said = (done.stderr or done.stdout).strip()[:300]
            return lines[:6] or [f"{name}: {what} ended with {done.returncode}: {said}"]

        with concurrent.futures.ThreadPoolExecutor(PARALLEL) as pool:
            results = list(pool.map(run, todo))
        prefix = str(self.root.resolve()) + "/"
        problems = [line.replace(prefix, "") for lines in results if lines for line in lines]
        return list(dict.fromkeys(problems)), [job[0] for job, lines in zip(todo, results) if lines is None]


def strip_command(words):
    """Compiler and flags, without launcher, input, output and dependency files."""
    while words and "ccache" in words[0]:
        words = words[1:]
    kept, skip = [], False
    for word, following in zip(words, [*words[1:], ""]):
        if skip:
            skip = False
        elif word in ("-o", "-MF", "-MT", "-MQ"):
            skip = True
        elif word in ("-c", "-MD", "-MMD") or (word.endswith(".cpp") and following == ""):
            continue
        elif not word.endswith((".cpp", ".o")):
            kept.append(word)
    return kept


def line_of(text, position):
    return text.count("\n", 0, position) + 1


def include_table(tree):
    problems = []
    for name in tree.cpp("protocol/", "backends/", "server/", "web/"):
        rule = rules.rule_for(name)
        if rule is None:
            problems.append(f"{name}:1: no row of tests/tidy/rules.py covers this folder")
            continue
        for match in INCLUDE.finditer(tree.text(name)):
            where = f"{name}:{line_of(tree.text(name), match.start(1))}"
            quote, header = match.groups()
            if quote == '"':
                if header in rules.PRIVATE and name not in rules.PRIVATE[header]:
                    problems.append(f'{where}: nobody includes "{header}"')
                elif header not in tree.files:
                    problems.append(f'{where}: "{header}" is not a path from the root')
                elif not header.startswith(tuple(rule.own)):
                    problems.append(f'{where}: {rule.folder} may not include "{header}"')
            else:
                library = rules.library_of(header)
                if library and library not in rule.libraries:
                    problems.append(f"{where}: {rule.folder} may not use {library} (<{header}>)")
    return problems


def table_is_documented(tree):
    name = "ARCHITECTURE.md"
    if name not in tree.files:
        return [f"{name}:1: is missing"]
    return [f"{name}:1: the include table lacks this row of tests/tidy/rules.py: {row}"
            for row in rules.markdown().splitlines() if row not in tree.text(name)]


def documented_files_exist(tree):
    """A path in backticks, from the root or from the document's folder. What is a pattern (<kind>, NAME, *) is left."""
    problems = []
    for name in tree.files:
        if not name.endswith(".md"):
            continue
        folder = str(pathlib.Path(name).parent) + "/"
        paths = r"`((?:server|protocol|backends|web|docker|tests|\.ci)/[a-z0-9_./]+)`"
        for match in re.finditer(paths, tree.text(name)):
            path = match[1].rstrip("/")
            if not any(known in tree.files or any(file.startswith(known + "/") for file in tree.files)
                       for known in (path, folder + path)):
                problems.append(f"{name}:{line_of(tree.text(name), match.start())}: `{match[1]}` does not exist")
    return problems


def forbidden_words(tree):
    words = []
    for line in (HERE / "words.txt").read_text().splitlines():
        if line and not line.startswith("#"):
            pattern, advice = re.split(r"\s{2,}", line, maxsplit=1)
            words.append((re.compile(pattern), advice))
    problems = []
    for name in tree.files:
        if not name.endswith(TEXT) and "." in pathlib.Path(name).name.lstrip("."):
            continue
        for number, line in enumerate(tree.text(name).splitlines(), 1):
            problems += [f"{name}:{number}: '{found[0]}': {advice}" for pattern, advice in words
                         if (found := pattern.search(line))]
    return problems


def line_length(tree):
    return [f"{name}:{number}: {len(line)} columns, {LINE_COLUMNS} at most"
            for name in tree.files if name.endswith(CPP + (".py", ".sh")) or name in tree.scripts()
            for number, line in enumerate(tree.text(name).splitlines(), 1) if len(line) > LINE_COLUMNS]


def function_length(tree):
    return [f"{name}:{first}: a function of {lines} lines, {FUNCTION_LINES} at most"
            for name in tree.cpp() for first, lines in source.functions(tree.text(name)) if lines > FUNCTION_LINES]


def file_length(tree):
    problems = []
    for name in tree.cpp("protocol/", "backends/", "server/", "web/"):
        lines = tree.text(name).count("\n")
        if lines > FILE_LINES:
            problems.append(f"{name}:1: {lines} lines, {FILE_LINES} at most: what in it wants a name of its own?")
        elif lines > FILE_LINES_NOTE:
            tree.notes.append(f"{name}: {lines} lines (reviewed above {FILE_LINES_NOTE})")
    return problems


def first_sentence(tree):
    """A source file beside its header is introduced by the header."""
    return [f"{name}:1: begin with a sentence: what this file is for and who uses it"
            for name in tree.cpp() if not tree.text(name).lstrip().startswith("//")
            and not (name.endswith(".cpp") and name[:-4] + ".h" in tree.files)]


def readme_in_folders(tree):
    """Every folder of the first two levels; a back end or an area of unit tests is described by the folder above."""
    folders = set()
    for name in tree.files:
        parts = name.split("/")[:-1]
        if parts and not parts[0].startswith("."):
            folders.add(parts[0])
            if len(parts) > 1 and parts[0] != "backends":
                folders.add("/".join(parts[:2]))
    return [f"{folder}/README.md:1: is missing: what the folder is, its rule, how to add to it"
            for folder in sorted(folders) if f"{folder}/README.md" not in tree.files]


def test_names(tree):
    """A test's name is the sentence it shows: three words at least, once in an executable (a folder), no , [ ]."""
    problems, seen = [], {}
    for name in tree.cpp("tests/"):
        for match in TEST_CASE.finditer(tree.text(name)):
            where = f"{name}:{line_of(tree.text(name), match.start())}"
            title = "".join(re.findall(r'"((?:\\.|[^"\\])*)"', match[1]))
            if len(title.split()) < 3:
                problems.append(f"{where}: '{title}' is no sentence")
            if re.search(r"[,\[\]]", title):
                problems.append(f"{where}: '{title}' has a comma or bracket, which Catch2's command line cannot name")
            place = seen.setdefault((str(pathlib.Path(name).parent), title), where)
            if place != where:
                problems.append(f"{where}: '{title}' is also the name of {place}")
    return problems


def formatted(tree):
    problems, _ = tree.slow("clang-format", tree.cpp(), lambda name: [
        "clang-format-19", "--dry-run", "-Werror", "--style=file:" + str(tree.root / ".clang-format"), name])
    return problems


def headers_compile_alone(tree):
    headers = [name for name in tree.cpp() if name.endswith(".h")]
    if headers and tree.flags(headers[0]) is None:
        return None
    # A header that only another one includes says so: its definitions complete that one's templates.
    headers = [name for name in headers if not re.search(r"Included by \S+, by nobody else", tree.text(name))]
    # Included from nothing, as what the build includes everywhere (-include) must not come twice.
    problems, _ = tree.slow("headers", headers, lambda name: [
        *tree.flags(name), "-fsyntax-only", "-include", name, "-x", "c++", "/dev/null"])
    return problems


def clang_tidy(tree):
    sources = [name for name in tree.cpp("protocol/", "backends/", "server/", "web/") if name.endswith(".cpp")]
    if not sources or tree.flags(sources[0]) is None:
        return None
    config = tree.root / ".clang-tidy"
    settings = hashlib.sha256(config.read_bytes()).hexdigest() if config.exists() else ""
    problems, unchecked = tree.slow("clang-tidy", sources, lambda name: [
        "clang-tidy-19", "--quiet", "--config-file=" + str(config), name, "--", *tree.flags(name)[1:], "-D",
        f"LUN_TIDY_{settings[:8]}"],
        tree.budget_seconds)
    if unchecked:
        tree.notes.append(f"clang-tidy: {len(unchecked)} of {len(sources)} sources not reached within "
                          f"{tree.budget_seconds} s; what was fine is remembered, so run it again")
    return problems


def shellcheck(tree):
    if not shutil.which("shellcheck") or not tree.scripts():
        return None
    done = subprocess.run(["shellcheck", "-x", "-S", "warning", "-f", "gcc", *tree.scripts()], cwd=tree.root,
                          capture_output=True, text=True, check=False)
    return done.stdout.splitlines() + done.stderr.splitlines()


CHECKS = [
    ("the include table is kept", include_table),
    ("the include table is documented", table_is_documented),
    ("documents name files that exist", documented_files_exist),
    ("no forbidden words", forbidden_words),
    (f"lines have {LINE_COLUMNS} columns at most", line_length),
    (f"functions have {FUNCTION_LINES} lines at most", function_length),
    (f"files have {FILE_LINES} lines at most", file_length),
    ("files begin with a sentence", first_sentence),
    ("folders have a README", readme_in_folders),
    ("tests are named by a sentence", test_names),
    ("the code is formatted", formatted),
    ("scripts pass shellcheck", shellcheck),
    ("headers compile alone", headers_compile_alone),
    ("clang-tidy finds nothing", clang_tidy),
]
