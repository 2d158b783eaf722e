"""No pickle, no code that comes with data, and no door to either: looked for in the source, so that none can slip in."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[2] / "src" / "transrec"
FILES = sorted(PACKAGE.rglob("*.py"))

MODULES = {"pickle", "dill", "cloudpickle", "joblib", "shelve", "marshal"}
CALLS = {"eval", "exec", "compile", "__import__"}
DOTTED = {
    *("torch.load", "torch.save", "torch.hub.load", "torch.jit.load", "pd.read_pickle", "pandas.read_pickle"),
    *("yaml.load", "yaml.full_load", "yaml.unsafe_load", "yaml.unsafe_load_all", "os.system", "os.popen"),
}


def findings(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text())):
        line = getattr(node, "lineno", 0)
        if isinstance(node, ast.Import):
            yield from (f"{line}: import {name.name}" for name in node.names if name.name.partition(".")[0] in MODULES)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] in MODULES:
            yield f"{line}: from {node.module}"
        elif isinstance(node, ast.Call):
            name = ast.unparse(node.func)
            if name in CALLS or name in DOTTED:
                yield f"{line}: {name}"
            for keyword in node.keywords:
                said = ast.unparse(keyword.value)
                if keyword.arg in ("trust_remote_code", "allow_pickle", "shell") and said != "False":
                    yield f"{line}: {keyword.arg}={said}"


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(PACKAGE).as_posix())
def test_nothing_reads_pickles_or_runs_what_comes_with_data(path: Path) -> None:
    assert list(findings(path)) == []


def test_the_search_finds_what_it_looks_for(tmp_path: Path) -> None:
    bad = tmp_path / "bad.py"
    bad.write_text(
        "import pickle\nfrom joblib import load\neval('1')\ntorch.load('x')\nyaml.load('x')\n"
        "AutoModel.from_pretrained('x', trust_remote_code=True)\nnp.load('x', allow_pickle=True)\n"
        "AutoModel.from_pretrained('x', trust_remote_code=False)\n"
    )
    assert [found.partition(":")[0] for found in findings(bad)] == ["1", "2", "3", "4", "5", "6", "7"]


def test_every_test_that_the_promises_name_is_there() -> None:
    root = PACKAGE.parents[1]
    rows = [line for line in (root / "SECURITY.md").read_text().splitlines() if line.startswith("| ") and "`tests/" in line]
    assert len(rows) >= 10
    for row in rows:
        folder = root
        for name in row.rstrip("| ").rpartition("|")[2].split("`")[1::2]:
            path = root / name if name.startswith("tests/") else folder / name
            assert path.exists(), name
            folder = path.parent
