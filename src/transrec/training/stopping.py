"""Stopping: a training that is told to end finishes its step, keeps its state and says how to go on."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any, Self, final

from rich.console import Console


@final
class Stopping:
    """Notices SIGINT (Ctrl-C) and SIGTERM instead of ending at once; a second one ends at once.

    Use it as a context manager. Outside of the main thread, which alone can listen to signals, and where several processes
    train together, which would wait for one that left earlier than they, signals do what they did before.

    Args:
        console: where it is told that the step is finished first.
        alone: whether this process trains by itself.
    """

    def __init__(self, console: Console, *, alone: bool) -> None:
        self.asked: int | None = None
        """The number of the signal that asked to end; None while nothing has."""
        self._console = console
        self._listens = alone and threading.current_thread() is threading.main_thread()
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        for number in (signal.SIGINT, signal.SIGTERM) if self._listens else ():
            if signal.getsignal(number) != signal.SIG_IGN:  # as nohup and shells leave it for what runs in the background
                self._before[number] = signal.signal(number, self._noticed)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._restore()

    def _noticed(self, number: int, _: FrameType | None) -> None:
        self.asked = number
        self._restore()
        self._console.print(f"{signal.Signals(number).name}: finishing this step; once more ends at once", highlight=False)

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler if handler is not None else signal.SIG_DFL)
        self._before = {}
