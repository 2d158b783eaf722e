"""Objective: the contract of a training term, and the value that it returns."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Self

from torch import Tensor, nn

from transrec.data.batches import SequenceBatch
from transrec.data.windows import WindowPlan
from transrec.errors import ModelError, RunError
from transrec.model import Outputs, TransRec

HEAD = "objective_head"
"""What the head of an objective is called in a model while it trains."""


@dataclass(frozen=True, slots=True, eq=False)
class Loss:
    """A training loss.

    Attributes:
        total: what is made smaller, a scalar.
        parts: named numbers for the log, scalars without gradient.
    """

    total: Tensor
    parts: Mapping[str, Tensor]


class Objective(nn.Module, ABC):
    """A term of the training loss.

    It gets the outputs of the one shared forward pass; negatives are in the batch already.

    Attributes:
        plan: which windows of the training events it learns from.
        asks_counts: whether it looks at what the platform's counts say about its targets.
        teaches_ranking: whether users learn to meet the items that they take; if not, a training cannot end with it.
        head: what it learns besides the model and throws away with itself; None in most objectives.
    """

    plan: WindowPlan
    asks_counts: bool = False
    teaches_ranking: bool = True
    head: nn.Module | None

    def __init__(self) -> None:
        super().__init__()
        self.head = None

    @classmethod
    def from_options(cls, options: Mapping[str, str], model: TransRec) -> Self:
        """Build the objective from settings: what ``objective.custom_options`` holds, as texts.

        An objective that people name by its import path (``objective.custom``) defines this.

        Args:
            options: by name.
            model: what it is to train; its ``window`` belongs into the plan.

        Raises:
            ModelError: it does not define this, or an option cannot be used.
        """
        raise ModelError(
            f"{cls.__name__} cannot be built from settings" + (f" such as {dict(options)}" if options else ""),
            where=f"{cls.__module__}:{cls.__qualname__}",
            remedy=f"give it a classmethod from_options(options, model); the model here has a window of {model.window}",
        )

    @abstractmethod
    def check(self, model: TransRec) -> None:
        """Say so when this objective cannot train this model.

        Raises:
            ModelError: for example every position is to predict, but the user encoder sees what comes next.
        """

    def state(self) -> dict[str, Tensor]:
        """What it remembers of the batches so far, by name, for a training that is resumed; nothing in most objectives."""
        return {}

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Go on from what :meth:`state` gave.

        Raises:
            RunError: another objective gave it.
        """
        if state:
            raise RunError(
                "the checkpoint holds what another objective remembered",
                remedy="resume with the settings that the run was started with",
            )

    @contextmanager
    def lending(self, model: TransRec) -> Iterator[None]:
        """The model with the head as a part of it: so it learns, is kept in checkpoints, and is gone afterwards."""
        if self.head is None:
            yield
            return
        model.add_module(HEAD, self.head)
        try:
            yield
        finally:
            delattr(model, HEAD)

    @abstractmethod
    def forward(self, model: TransRec, outputs: Outputs, batch: SequenceBatch) -> Loss:
        """The loss of a batch."""


def require_logits(model: TransRec, name: str) -> None:
    """Say so when a model's scores are nothing that a softmax or a sigmoid can read.

    Args:
        model: whose scorer it is about.
        name: of the objective.

    Raises:
        ModelError: they are distances.
    """
    if model.scorer.says != "logits":
        raise ModelError(
            f"{name} reads scores as logits, the scorer {model.settings.scorer} gives {model.scorer.says}, "
            "which have no temperature",
            remedy="set model.scorer to cosine or dot, or objective.kind to hinge",
        )
