"""Every command and every Python block of the README and of the documentation is run, or says why not."""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from markdown_blocks import SLOW_PAGE, blocks_of, run_page
from warm import Warm

ROOT = Path(__file__).parents[2]
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *(p for p in sorted((ROOT / "docs").rglob("*.md")) if not {"_build", "generated"} & set(p.relative_to(ROOT).parts)),
]

# What makes a page quick to run: by page, texts that stand in a block and what is run in their place. Keep them few: a
# reader runs what is written.
QUICKER: dict[str, list[tuple[str, str]]] = {}

COLD = {"README.md"}
"""What a stranger runs first is started as a stranger starts it; other pages have their imports behind them."""


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def runnable() -> list[object]:
    """The pages with something to run; one that is not well marked is among them, and fails."""
    found: list[object] = []
    for path in PAGES:
        text = path.read_text() if path.exists() else ""
        try:
            runs = any(block.mark != "skip" for block in blocks_of(text))
        except ValueError:
            runs = True
        if runs:
            found.append(pytest.param(path, id=name_of(path), marks=[pytest.mark.slow] if SLOW_PAGE in text else []))
    return found


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_every_block_is_marked(path: Path) -> None:
    assert path.exists(), f"there is no {name_of(path)}"
    blocks_of(path.read_text())


@pytest.fixture(scope="module")
def warm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Warm | None]:
    if sys.platform != "linux":  # elsewhere processes are not forked as cheaply, or as safely: every page is cold
        yield None
        return
    server = Warm(tmp_path_factory.mktemp("warm"))
    yield server
    server.close()


@pytest.mark.parametrize("path", runnable())
def test_blocks_run(path: Path, tmp_path: Path, warm: Warm | None) -> None:
    replacements = QUICKER.get(name_of(path), [])
    programs = None if warm is None or name_of(path) in COLD else warm.programs
    variables = {"TRANSREC_ROOT": str(ROOT), "COLUMNS": "120"}
    run_page(path.read_text(), tmp_path, replacements=replacements, variables=variables, programs=programs)


def test_replacements_name_pages_that_exist() -> None:
    assert set(QUICKER) <= {name_of(path) for path in PAGES}


def test_the_readme_runs_something() -> None:
    assert any(block.mark.startswith("run") for block in blocks_of((ROOT / "README.md").read_text()))


@pytest.mark.parametrize("path", PAGES, ids=name_of)
def test_quotations_are_in_the_file_that_they_name(path: Path) -> None:
    for quoted, block in re.findall(r"a quotation from (\S+) -->\n```\w+\n(.*?)```", path.read_text(), flags=re.DOTALL):
        lines = {line.strip() for line in (ROOT / quoted).read_text().splitlines()}
        missing = [line for line in block.splitlines() if line.strip() not in lines]
        assert not missing, f"{name_of(path)} quotes {quoted}, which does not say {missing[0]!r}"
