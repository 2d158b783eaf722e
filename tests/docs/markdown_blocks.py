"""The code blocks of a Markdown page, each marked as run or skipped, and a way to run them in order.

A block is marked by an HTML comment on the line before it (readers do not see it)::

    <!-- test: run -->
    <!-- test: run continued -->             (Python: after the page's earlier Python blocks, in one process)
    <!-- test: run fails -->                 (the block shows an error: it must end with one)
    <!-- test: skip because it needs a GPU -->

and shell commands that readers need not see, such as making the tables that a page speaks of, stand in::

    <!-- test: setup
    transrec demo --fast --out demo
    -->

A page with ``<!-- test: slow page -->`` in it is left to ``make test-long``. In a console block the lines that begin with
``$ `` are commands and those that begin with ``> `` continue them; the others are output, which is not compared.
"""

import os
import re
import subprocess
import sys
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

SHELLS = ("console", "bash", "sh", "shell")
PYTHON = ("python", "py", "pycon")
SLOW_PAGE = "<!-- test: slow page -->"

FENCE = re.compile(r"^(?P<indent>\s*)(?P<fence>`{3,}|~{3,})\s*(?P<language>[\w-]*).*$")
MARK = re.compile(r"^\s*<!-- test: (?P<mark>.+?) -->\s*$")
SETUP = re.compile(r"^\s*<!-- test: setup\s*$")

Mark = Literal["run", "run continued", "run fails", "skip", "setup"]


@dataclass(frozen=True)
class Block:
    """One block: where it is (a line number), its language, what to do with it, why not if not, and its text."""

    line: int
    language: str
    mark: Mark
    reason: str
    text: str

    @property
    def is_shell(self) -> bool:
        return self.language in SHELLS

    @property
    def script(self) -> str:
        """What to run: the block itself, or of a console block the commands without their prompts."""
        if self.language != "console":
            return self.text
        commands: list[str] = []
        inside = False  # a command that ends in a backslash goes on in the next line, with a prompt or without
        for line in self.text.splitlines():
            prompted = line.startswith(("$ ", "> "))
            if prompted or inside:
                commands.append(line[2:] if prompted else line)
                inside = line.endswith("\\")
        return "\n".join(commands)


def blocks_of(page: str) -> list[Block]:
    """The shell and Python blocks and the setups of a page, in order.

    Raises:
        ValueError: a block is not marked, is marked in an unknown way, or is skipped without a reason.
    """
    lines = page.splitlines()
    blocks: list[Block] = []
    mark = ""
    number = 0
    while number < len(lines):
        line = lines[number]
        begin = number + 1
        if SETUP.match(line):
            end = _find(lines, number + 1, lambda text: text.strip() == "-->", what="setup", begin=begin)
            blocks.append(Block(begin, "bash", "setup", "", _text(lines[number + 1 : end])))
            number = end
        elif fence := FENCE.match(line):
            closing = re.compile(rf"^\s*{re.escape(fence['fence'])}\s*$")
            end = _find(lines, number + 1, lambda text, c=closing: c.match(text), what="block", begin=begin)
            language = fence["language"].lower()
            if language in SHELLS + PYTHON:
                kind, reason = _marked(mark, begin)
                blocks.append(Block(begin, language, kind, reason, _text(lines[number + 1 : end])))
            number, mark = end, ""
        elif marked := MARK.match(line):
            mark = marked["mark"]
        elif line.strip():
            mark = ""
        number += 1
    return blocks


def run_page(
    page: str,
    folder: Path,
    *,
    replacements: Sequence[tuple[str, str]] = (),
    seconds: float = 900,
    variables: dict[str, str],
    programs: Path | None = None,
) -> None:
    """Run the blocks of a page in order, in one folder.

    Args:
        page: the Markdown text.
        folder: where to run them; what one block writes the next one finds.
        replacements: texts to replace in what is run, to make it quick; each must occur on the page.
        seconds: the most that one block may take.
        variables: further environment variables.
        programs: a folder with a ``python`` and others that are to be run instead of those of this environment.

    Raises:
        AssertionError: a block fails, or a replacement does not occur; says which line, and what the block printed.
    """
    folders = [*([programs] if programs else []), Path(sys.executable).parent]
    path = os.pathsep.join([*map(str, folders), os.environ["PATH"]])
    python = str(programs / "python") if programs else sys.executable
    environment = {**os.environ, **variables, "PATH": path}
    used: set[str] = set()
    before = ""
    for block in blocks_of(page):
        script = block.script
        for old, new in replacements:
            if old in script:
                script = script.replace(old, new)
                used.add(old)
        if block.mark == "skip":
            continue
        if block.is_shell:
            command = ["bash", "-c", "set -euo pipefail\n" + script]
        else:
            before = before + "\n" + script if block.mark == "run continued" else script
            command = [python, "-c", before]
        done = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, timeout=seconds, check=False
        )
        printed = f"--- stdout\n{done.stdout[-3000:]}\n--- stderr\n{done.stderr[-3000:]}"
        assert (done.returncode != 0) == (block.mark == "run fails"), (
            f"exit status {done.returncode} from the block at line {block.line} ({block.mark}):\n{script}\n{printed}"
        )
    unused = [old for old, _ in replacements if old not in used]
    assert not unused, f"these replacements occur on no block any more: {unused}"


def _marked(mark: str, line: int) -> tuple[Mark, str]:
    if mark in ("run", "run continued", "run fails"):
        return mark, ""  # type: ignore[return-value]
    if mark.startswith("skip because ") and len(mark.split()) > 3:
        return "skip", mark.removeprefix("skip because ")
    said = f"is marked {mark!r}" if mark else "is not marked"
    raise ValueError(f"the block at line {line} {said}: mark it <!-- test: run --> or <!-- test: skip because ... -->")


def _find(lines: Sequence[str], start: int, closes: Callable[[str], object], *, what: str, begin: int) -> int:
    for number in range(start, len(lines)):
        if closes(lines[number]):
            return number
    raise ValueError(f"the {what} that begins at line {begin} has no end")


def _text(lines: Sequence[str]) -> str:
    return textwrap.dedent("\n".join(lines))
