"""Told: a console whose text can be read afterwards."""

from __future__ import annotations

import io

from rich.console import Console


class Told(Console):
    """A console that remembers, as wide as an old terminal."""

    def __init__(self) -> None:
        super().__init__(file=io.StringIO(), width=80, highlight=False)

    @property
    def text(self) -> str:
        assert isinstance(self.file, io.StringIO)
        return self.file.getvalue()
