"""The core works without the extras, and a missing one says how to install it."""

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from transrec.errors import MissingExtraError, require_extra

ROOT = Path(__file__).parents[2]

# the import names of what the extras bring and the core has to do without; jinja2 comes along with torch
ABSENT = (
    "fastapi",
    "uvicorn",
    "starlette",
    "python_multipart",
    "prometheus_client",
    "gradio",
    "faiss",
    "onnx",
    "onnxruntime",
    "onnxscript",
    "ray",
    "optuna",
    "peft",
)
DEVELOPMENT = ("pandas", "ranx", "hypothesis", "pytest")

IMPORT_EVERYTHING = f"""
import importlib, pkgutil, sys
from importlib.machinery import PathFinder

class WithoutExtras(PathFinder):
    @classmethod
    def find_spec(cls, name, path=None, target=None):
        return None if name.partition(".")[0] in {ABSENT + DEVELOPMENT!r} else super().find_spec(name, path, target)

sys.meta_path[:] = [WithoutExtras if finder is PathFinder else finder for finder in sys.meta_path]
try:
    import pytest
except ModuleNotFoundError:
    pass
else:
    raise AssertionError("the extras are not hidden")

import transrec
names = [m.name for m in pkgutil.walk_packages(transrec.__path__, "transrec.")]
for name in names:
    if not name.endswith("__main__"):
        importlib.import_module(name)
for name in transrec.__all__:
    getattr(transrec, name)
print(len(names))
"""


def test_every_module_imports_without_the_extras() -> None:
    done = subprocess.run([sys.executable, "-c", IMPORT_EVERYTHING], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) > 20


def test_a_missing_extra_says_which_one_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "gradio", None)
    with pytest.raises(MissingExtraError) as caught:
        require_extra("gradio", extra="ui", purpose="the playground")
    assert "the playground" in str(caught.value)
    assert "pip install 'transrec[ui]'" in str(caught.value)


def test_a_broken_extra_keeps_its_own_message(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "an_extra_with_a_gap.py").write_text("import a_part_that_is_not_there\n")
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(ModuleNotFoundError, match="a_part_that_is_not_there"):
        require_extra("an_extra_with_a_gap", extra="ui", purpose="this test")


def test_an_extra_that_is_there_is_returned() -> None:
    assert require_extra("json", extra="ui", purpose="this test").loads("1") == 1


def test_extras_are_declared() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert {"serve", "ui", "ann", "cluster", "tune", "report", "export", "dev"} <= set(project["optional-dependencies"])


def test_constraints_cover_what_the_project_needs() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    wanted = [*project["dependencies"], *project["optional-dependencies"]["dev"]]
    lines = [line for line in (ROOT / "constraints.txt").read_text().splitlines() if line and not line.startswith("#")]
    pinned = {line.partition("==")[0].lower().replace("_", "-"): line.partition("==")[2] for line in lines}
    for requirement in wanted:
        name = requirement.partition(">")[0].partition("[")[0].strip().lower().replace("_", "-")
        assert name in pinned, f"constraints.txt does not pin {name}"
    assert not any("+" in version or "@" in line for line, version in zip(lines, pinned.values(), strict=True))
    assert pinned["torch"] == "2.13.0"
