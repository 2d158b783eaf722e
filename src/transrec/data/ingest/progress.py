"""Steps: tells a person how far long work has come, or nobody."""

from __future__ import annotations

from collections.abc import Callable
from typing import final

from rich.progress import Progress


@final
class Steps:
    """Steps of long work, shown in a progress display where there is one."""

    def __init__(self, progress: Progress | None = None) -> None:
        self._progress = progress

    def step(self, name: str, total: int | None = None) -> Callable[[int], None]:
        """Begin a step; the callable is told how much more of it is done."""
        if self._progress is None:
            return lambda _: None
        progress, task = self._progress, self._progress.add_task(name, total=total)
        return lambda more: progress.advance(task, more)
