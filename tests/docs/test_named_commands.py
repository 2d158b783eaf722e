"""Every command of ours that a page names has the words and flags that it is given, also where the block cannot be run."""

from __future__ import annotations

import importlib
import os
import re
import shlex
from pathlib import Path

import pytest
from cyclopts import CycloptsError
from markdown_blocks import blocks_of
from test_readme import PAGES, ROOT, name_of

from transrec.cli import app

SCRIPT = re.compile(r"experiments/(\w+)\.py")


def commands_of(page: str) -> list[tuple[int, list[str]]]:
    """The calls of ``transrec`` and of the scripts in experiments/, with the line of their block; none that is to fail."""
    found = []
    for block in blocks_of(page):
        if not block.is_shell or block.mark == "run fails":
            continue
        for line in block.script.replace("\\\n", " ").splitlines():
            for words in _calls(line):
                found.append((block.line, words))
    return found


def _calls(line: str) -> list[list[str]]:
    """The commands of a line that are ours, without what stands before them and behind: variables, pipes, redirections."""
    lexer = shlex.shlex(line, posix=True, punctuation_chars=True)
    lexer.whitespace_split = True
    calls: list[list[str]] = [[]]
    for word in lexer:
        if set(word) <= set("();<>|&"):
            calls.append([])
        else:
            calls[-1].append(word)
    found = []
    for words in calls:
        while words and ("=" in words[0] or words[0] == "python"):
            words = words[1:]
        if words and (words[0] == "transrec" or SCRIPT.fullmatch(words[0])):
            found.append(words)
    return found


def parse(words: list[str]) -> None:
    """Read a command as it would be read, and do nothing.

    Raises:
        CycloptsError: a verb does not know what it is given.
        SystemExit: a script does not.
    """
    name, *given = words
    if name == "transrec":
        place = given.index("--config") + 1 if "--config" in given else 0
        if place and not Path(given[place]).exists():  # a page has its reader write it
            given[place] = os.devnull
        app.parse_args(given, exit_on_error=False, print_error=False)
    else:
        importlib.import_module(f"experiments.{Path(name).stem}").command_line().parse_args(given)


@pytest.mark.parametrize("path", [path for path in PAGES if commands_of(path.read_text())], ids=name_of)
def test_the_commands_of_a_page_are_understood(
    path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(ROOT)  # from where files of settings are named
    monkeypatch.syspath_prepend(str(ROOT))
    wrong = []
    for line, words in commands_of(path.read_text()):
        try:
            parse(words)
        except (CycloptsError, SystemExit) as error:
            wrong.append(f"line {line}: {shlex.join(words)}\n{error} {capsys.readouterr().err}")
    assert not wrong, "\n".join([f"{name_of(path)} names what there is not:", *wrong])


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("PYTHONPATH=. python experiments/moving.py --out OUT --gone 1", "unrecognized arguments: --gone"),
        ("PYTHONPATH=. transrec train DATA --out RUN --gone 1", "gone"),
        ("transrec gone", "gone"),
    ],
)
def test_a_flag_that_is_gone_is_found(
    line: str, said: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.syspath_prepend(str(ROOT))
    [words] = _calls(line)
    with pytest.raises((CycloptsError, SystemExit)) as caught:
        parse(words)
    assert said in f"{caught.value} {capsys.readouterr().err}"


def test_a_line_is_read_as_a_shell_reads_it() -> None:
    line = "cd x && PYTHONPATH=. transrec train 'a b' --out RUN > log 2>&1; python experiments/real.py --out OUT | tail"
    assert _calls(line) == [["transrec", "train", "a b", "--out", "RUN"], ["experiments/real.py", "--out", "OUT"]]
