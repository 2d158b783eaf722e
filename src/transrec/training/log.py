"""TrainingLog: what happened, as JSON lines and TensorBoard, and as a progress line for people."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn, TimeRemainingColumn

from transrec.data.sealing import write_whole

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

MUCH = 0.1
"""Share of the time from which on waiting for input is worth telling."""


class TrainingLog:
    """Writes ``metrics.jsonl`` and TensorBoard files, and draws one progress line.

    Use it as a context manager.

    Args:
        folder: the run folder; nothing is written when None.
        total: steps at most.
        start: steps done already; rows of the log from later steps (of an interrupted run) are taken out.
        tensorboard: whether to write TensorBoard files.
        console: where the progress line goes; the terminal when None.
    """

    def __init__(
        self, folder: Path | None, *, total: int, start: int = 0, tensorboard: bool = True, console: Console | None = None
    ) -> None:
        self._path = folder / "metrics.jsonl" if folder else None
        self._writer: SummaryWriter | None = None
        if folder and tensorboard:
            from torch.utils.tensorboard import SummaryWriter

            self._writer = SummaryWriter(str(folder / "tensorboard"), purge_step=start)
        if self._path:
            self._keep_until(start)
        self._progress = Progress(
            TextColumn("[bold]{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[told]}"),
            TimeElapsedColumn(),
            TextColumn("left"),
            TimeRemainingColumn(),
            console=console or Console(stderr=True),
        )
        self.console = self._progress.console
        """Where lines beside the progress line go."""
        self._task = self._progress.add_task("training", total=total, completed=start, told="")
        self._begin()

    def __enter__(self) -> Self:
        self._progress.start()
        self._begin()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._progress.stop()
        if self._writer:
            self._writer.close()

    def stepped(self, users: int) -> None:
        """A step is done that saw this many windows."""
        self._users += users
        self._progress.advance(self._task)

    def waited(self, seconds: float) -> None:
        """A step waited so long for its batch; an upper bound on a GPU, which may have been at work meanwhile."""
        self._waited += seconds

    def training(self, step: int, epoch: float, values: Mapping[str, float]) -> None:
        """Log the loss and its parts; adds the speed since the last call and the share of the time spent waiting."""
        seconds = max(time.perf_counter() - self._since, 1e-9)
        speed, waiting = self._users / seconds, min(self._waited / seconds, 1.0)
        self._begin()
        measured = {"windows_per_second": speed, "waiting_for_input": waiting}
        self._write("train", step, {"epoch": round(epoch, 3), **values, **measured})
        # the line has to fit into 80 columns, so it tells the speed or what limits it
        pace = f"{speed:,.0f} windows/s" if waiting < MUCH else f"waits for input {waiting:.0%}"
        self._progress.update(self._task, told=f"loss {values['loss']:.4f} · {pace}")

    def validation(self, step: int, epoch: float, values: Mapping[str, float], *, best: bool) -> None:
        """Log the metrics of a validation and tell the person."""
        self._write("validation", step, {"epoch": round(epoch, 3), **values})
        told = "  ".join(f"{name} {value:.4f}" for name, value in values.items())
        mark = "  [green]best" if best else ""
        self._progress.console.print(f"epoch {epoch:5.1f}  step {step:6d}  validation {told}{mark}", soft_wrap=True)
        self._begin()  # validating is not training time

    def _begin(self) -> None:
        """Begin to measure the next steps."""
        self._since, self._users, self._waited = time.perf_counter(), 0, 0.0

    def _write(self, kind: str, step: int, values: Mapping[str, float]) -> None:
        if self._path:
            with self._path.open("a") as file:
                file.write(json.dumps({"kind": kind, "step": step, **values}) + "\n")
        if self._writer:
            for name, value in values.items():
                self._writer.add_scalar(f"{kind}/{name}", value, step)

    def _keep_until(self, step: int) -> None:
        assert self._path is not None
        rows: list[dict[str, Any]] = []
        if step and self._path.exists():
            rows = list(_whole_rows(self._path.read_text()))
        self._path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(self._path, "".join(json.dumps(row) + "\n" for row in rows if row["step"] <= step))


def _whole_rows(text: str) -> Iterator[dict[str, Any]]:
    """The rows of a log; the last one is left out where a kill cut it off."""
    for line in text.splitlines(keepends=True):
        if line.endswith("\n"):
            yield json.loads(line)
