"""Finite: a loss that is not a number is noticed before anything of it is kept, and what caused it is written down."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal, final

import torch
from torch import Tensor

from transrec.data.batches import SequenceBatch
from transrec.data.sealing import write_whole
from transrec.errors import TrainingError

OnNonfinite = Literal["stop", "skip"]
REPORT = "nonfinite.json"
MOST_SKIPPED = 10
"""After so many skipped steps in a row a training ends: it will not come back."""

NameItems = Callable[[SequenceBatch], Sequence[str]]
"""The ids of a batch's items."""


@final
class FiniteWatch:
    """Looks at the loss of every step.

    On a CPU, and where steps are to be skipped, it looks before the weights move. On an accelerator that would make every
    step wait for the last one, so there it only notes which step was the first, and :meth:`settle` looks at the note.

    Args:
        policy: ``"stop"`` ends the training; ``"skip"`` leaves the weights as they are and goes on.
        folder: where the report is written; nowhere when None.
        name_items: for the report; catalog rows stand in it without.
    """

    def __init__(self, policy: OnNonfinite, folder: Path | None, name_items: NameItems | None = None) -> None:
        self._policy = policy
        self._folder = folder
        self._name_items = name_items
        self._first: Tensor | None = None
        self._skipped = 0

    def allows(self, losses: Sequence[Tensor], gradient: Tensor | None, step: int, parts: Sequence[SequenceBatch]) -> bool:
        """Whether the weights may move.

        Args:
            losses: of every part of the step, scalars.
            gradient: its norm, a scalar, where it is known.
            step: which, from 0; told from 1, as in the log.
            parts: the batches.

        Raises:
            TrainingError: a number is not finite, and the policy is to stop; or too many steps in a row were skipped.
        """
        watched = torch.stack([*losses, *([] if gradient is None else [gradient])]).detach()
        if watched.device.type != "cpu" and self._policy == "stop":
            here = torch.where(watched.isfinite().all(), math.inf, float(step))
            self._first = here if self._first is None else torch.minimum(self._first, here)
            return True
        if bool(watched.isfinite().all()):
            self._skipped = 0
            return True
        self._skipped += 1
        if self._policy == "skip" and self._skipped <= MOST_SKIPPED:
            self._report(step, parts, watched)
            return False
        raise self._error(step, parts, watched)

    def settle(self, batches: Callable[[int], Sequence[SequenceBatch]]) -> None:
        """Look at what was only noted; to be called before anything of the training is kept or told.

        Args:
            batches: makes those of a step once more.

        Raises:
            TrainingError: some number was not finite.
        """
        if self._first is not None and math.isfinite(step := float(self._first)):
            raise self._error(int(step), batches(int(step)), None)

    def _error(self, step: int, parts: Sequence[SequenceBatch], watched: Tensor | None) -> TrainingError:
        self._report(step, parts, watched)
        items = sum(len(part.rows_U) for part in parts)
        told = f"; its {items} items are in {REPORT}" if self._folder else ""
        often = f", {self._skipped} times in a row" if self._policy == "skip" else ""
        return TrainingError(
            f"the loss or its gradient is not a number at step {step + 1}{often}{told}",
            where=str(self._folder / REPORT) if self._folder else None,
            remedy="the last checkpoint is from before: lower the learning rates, lengthen the warm-up, train in float32, "
            "look at these items, or leave such steps out with --training.on-nonfinite skip",
        )

    def _report(self, step: int, parts: Sequence[SequenceBatch], watched: Tensor | None) -> None:
        if self._folder is None:
            return
        named = [list(self._name_items(part)) if self._name_items else part.rows_U.tolist() for part in parts]
        numbers = None if watched is None else [repr(value) for value in watched.tolist()]
        document = {"format": 1, "step": step + 1, "losses, gradient": numbers, "items": named, "policy": self._policy}
        self._folder.mkdir(parents=True, exist_ok=True)
        write_whole(self._folder / REPORT, json.dumps(document, ensure_ascii=False, indent=1) + "\n")
