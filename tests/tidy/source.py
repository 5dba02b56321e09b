"""Reading C++ well enough to measure it: text without comments and literals, and the extent of each function."""
import re

TOKEN = re.compile(
    r'R"(?P<delimiter>[^()\\ ]{0,16})\((?:.|\n)*?\)(?P=delimiter)"'  # raw string
    r'|//[^\n]*|/\*(?:.|\n)*?\*/'
    r'|"(?:\\.|[^"\\\n])*"'
    r"|(?<![0-9a-zA-Z_])'(?:\\.|[^'\\\n])+'")  # not the separator in 1'000
DIRECTIVE = re.compile(r"^[ \t]*#(?:[^\n]*\\\n)*[^\n]*", re.MULTILINE)
CONTAINER = re.compile(r"\b(namespace|class|struct|union|extern)\b")


def code_only(text):
    """The text with comments, literals and directives blanked; lines and columns stay where they are."""
    def blank(match):
        return re.sub(r"[^\n]", " ", match.group(0))
    return DIRECTIVE.sub(blank, TOKEN.sub(blank, text))


def head_kind(head):
    """What a `{` opens, told by the text since the last statement."""
    if re.search(r"\benum\b", head):
        return "other"
    if CONTAINER.search(head) and not re.search(r"\)\s*(const|noexcept|override|final|\s)*$", head):
        return "container"
    if re.search(r"(?<![=!<>+\-*/%&|^])=\s*$", head) or "(" not in head:
        return "other"
    return "function"


def functions(text):
    """(first line, number of lines) of every function at namespace or class level, TEST_CASE bodies included."""
    code = code_only(text)
    found = []
    stack = []  # (kind, first line, head before the brace)
    head, head_line, line = "", None, 1
    for position, char in enumerate(code):
        if char == "\n":
            line += 1
        inside = any(kind != "container" for kind, _, _, _ in stack)
        if char == "{":
            kind = "nested" if inside else head_kind(head)
            stack.append((kind, head_line or line, head, line))
            if not inside:
                head, head_line = "", None
        elif char == "}":
            if not stack:
                continue
            kind, first, before, _ = stack.pop()
            if any(other != "container" for other, _, _, _ in stack):
                continue
            follows = code[position + 1:position + 200].lstrip()[:1]
            if kind in ("function", "other") and follows in (",", "{"):  # a member initializer: the body is to come
                head, head_line = before + "()", first
                continue
            if kind == "function":
                found.append((first, line - first + 1))
            head, head_line = "", None
        elif not inside:
            if char in ";" or (char == ":" and re.search(r"\b(public|private|protected)\s*$", head)):
                head, head_line = "", None
            else:
                if head_line is None and not char.isspace():
                    head_line = line
                head += char
    return found
