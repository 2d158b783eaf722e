"""The form of the source: names, sizes, docstrings, the staircase covering every package, and no machine's own paths."""

import ast
import re
import subprocess
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src" / "transrec"
FILES = sorted(PACKAGE.rglob("*.py"))

FORBIDDEN_NAMES = {"utils", "util", "common", "base", "core", "helpers", "helper", "misc", "tools", "manager"}
LONGEST_FILE = 320
LONGEST_FUNCTION = 55

# These are smells, not laws (docs/principles.md): an entry here is an exception with its reason.
LONGER_FILES: dict[str, str] = {}
LONGER_FUNCTIONS: dict[str, str] = {}

# the folders of the machines that this was written on, spelled so that this file does not hold them
LEAKS = re.compile(r"(?<![\w.$}~])(?:" + "|".join(["/" + "work/", "/" + "root/", "/" + "opt/(?:pypi|wheels)"]) + ")")
BINARY = {".png", ".jpg", ".jpeg", ".gif", ".ico", ".parquet", ".safetensors", ".webp", ".svg", ".pdf"}


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def functions_of(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    return (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))


def lines_of_code(function: ast.FunctionDef | ast.AsyncFunctionDef) -> int:
    """Lines from `def` to the end without the docstring: a reader skips one and has to read the other."""
    lines = (function.end_lineno or function.lineno) - function.lineno + 1
    if ast.get_docstring(function) is None:
        return lines
    docstring = function.body[0]
    return lines - ((docstring.end_lineno or docstring.lineno) - docstring.lineno + 1)


def test_no_file_is_named_after_nothing() -> None:
    parts = {part for path in FILES for part in (*path.relative_to(PACKAGE).parts[:-1], path.stem)}
    vague = sorted(part for part in parts if part.strip("_") in FORBIDDEN_NAMES)
    assert not vague, f"{vague}: a file is named after its idea"


@pytest.mark.parametrize("path", FILES, ids=name_of)
def test_file(path: Path) -> None:
    text = path.read_text()
    tree = ast.parse(text)
    assert ast.get_docstring(tree), f"{name_of(path)} has no docstring: say in one sentence what it is"
    lines = len(text.splitlines())
    assert lines <= LONGEST_FILE or name_of(path) in LONGER_FILES, (
        f"{name_of(path)} has {lines} lines, more than {LONGEST_FILE}: it holds more than one idea"
    )
    long = {
        function.name: lines_of_code(function)
        for function in functions_of(tree)
        if lines_of_code(function) > LONGEST_FUNCTION and f"{name_of(path)}:{function.name}" not in LONGER_FUNCTIONS
    }
    assert not long, f"{name_of(path)}: functions of more than {LONGEST_FUNCTION} lines without their docstring: {long}"


def test_exceptions_are_still_needed() -> None:
    kept = {name for name in LONGER_FILES if len((ROOT / name).read_text().splitlines()) > LONGEST_FILE}
    assert kept == set(LONGER_FILES), "these files are short again: take them out of LONGER_FILES"
    long = {
        f"{name_of(path)}:{function.name}"
        for path in FILES
        for function in functions_of(ast.parse(path.read_text()))
        if lines_of_code(function) > LONGEST_FUNCTION
    }
    assert set(LONGER_FUNCTIONS) <= long, "these functions are short again: take them out of LONGER_FUNCTIONS"


def test_every_folder_is_a_package() -> None:
    folders = {path.parent for path in FILES}
    bare = sorted(name_of(folder) for folder in folders if not (folder / "__init__.py").exists())
    assert not bare, f"{bare} have no __init__.py: the checks of types and imports would pass them over"


def test_the_staircase_covers_every_part() -> None:
    tools = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]
    contract = next(c for c in tools["importlinter"]["contracts"] if c["type"] == "layers")
    listed = {unit.strip(" ()") for layer in contract["layers"] for unit in re.split(r"[|:]", layer)}
    there = {path.stem for path in PACKAGE.glob("*.py")} | {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    there -= {"__init__", *contract["exhaustive_ignores"]}
    assert contract["exhaustive"] is True
    assert there <= listed, f"{sorted(there - listed)}: give them a step on the staircase in pyproject.toml"


def test_the_staircase_in_the_principles_is_the_one_that_is_checked() -> None:
    tools = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]
    contract = next(c for c in tools["importlinter"]["contracts"] if c["type"] == "layers")
    page = (ROOT / "docs" / "principles.md").read_text()
    drawn = page.partition("<!-- the staircase -->")[2].split("```")[1].splitlines()[1:]
    # what follows a name after two spaces is a remark
    layers = [re.split(r" {2,}", line.strip())[0] for line in drawn if line.strip()]
    assert layers == [re.sub(r"[()]", "", layer) for layer in contract["layers"]]


def test_no_path_of_one_machine_is_left() -> None:
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("not a git checkout")
    leaks = []
    for name in listed.stdout.splitlines():
        path = ROOT / name
        if path.suffix in BINARY or not path.is_file():
            continue
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), start=1):
            if LEAKS.search(line):
                leaks.append(f"{name}:{number}: {line.strip()[:100]}")
    assert not leaks, "paths of one machine:\n" + "\n".join(leaks)


@pytest.mark.parametrize(
    ("line", "leaks"),
    [
        ("see /" + "work/x", True),
        ("find-links=/" + "opt/wheels", True),
        ("https://example.org/" + "work/x", False),
        ("home/" + "work/x", False),
        ("$HOME/" + "work/x", False),
    ],
)
def test_what_counts_as_a_path_of_one_machine(line: str, leaks: bool) -> None:
    assert bool(LEAKS.search(line)) == leaks
