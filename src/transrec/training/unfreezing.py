"""Unfreezing: the blocks of the encoders begin to learn one after another, from the top."""

from __future__ import annotations

from collections.abc import Mapping
from typing import final

from transrec.errors import TrainingError
from transrec.model import TransRec
from transrec.rules import learning_depths

PURPOSE = "--training.unfreeze-every"


def resting_epochs(model: TransRec, every: int | None) -> Mapping[str, int]:
    """How many epochs each parameter of a backbone rests before it learns, by its name; what is not named does not rest.

    Args:
        model: what is to learn in the end learns now.
        every: epochs between one block and the next; None for no unfreezing at all.

    Raises:
        TrainingError: no backbone learns.
        ModelError: an encoder does not say what its blocks are.
    """
    if every is None:
        return {}
    depths = learning_depths(model, purpose=PURPOSE)
    if not depths:
        raise TrainingError("no backbone learns, so there is nothing to unfreeze", where=PURPOSE, remedy="leave it out")
    return {name: every * (1 + depth) for name, depth in depths.items()}


@final
class Unfreezing:
    """Gradual unfreezing (ULMFiT, arXiv 1801.06146).

    In the first epochs the backbones of the encoders rest and all above them learns; then their top blocks begin to learn,
    with what follows these; then the next ones, and last what is before the first block, such as embeddings. What learns at
    a step depends on the step alone, so that resuming needs no memory of it. A resting block has no gradient, no decay and
    no state in the optimiser.

    Args:
        model: what is to learn in the end learns now.
        every: epochs between one block and the next; None for no unfreezing at all.
        per_epoch: steps.
        total: steps of the whole training.

    Raises:
        TrainingError: no backbone learns, or the training ends before all of it would.
        ModelError: an encoder does not say what its blocks are.
    """

    def __init__(self, model: TransRec, every: int | None, *, per_epoch: int, total: int) -> None:
        resting = resting_epochs(model, every)
        epochs = max(resting.values(), default=0)
        if resting and epochs * per_epoch >= total:
            raise TrainingError(
                f"the lowest blocks would begin to learn after {epochs} epochs of {per_epoch} steps, and the training has "
                f"{total} steps",
                where=PURPOSE,
                remedy="unfreeze more often, train longer, or tune fewer blocks",
            )
        self._begin = {name: own * per_epoch for name, own in resting.items()}
        self._parameters = {name: p for name, p in model.named_parameters() if name in resting}

    def at(self, step: int) -> None:
        """Let learn what learns at this step, and the rest rest."""
        for name, parameter in self._parameters.items():
            parameter.requires_grad_(step >= self._begin[name])

    def end(self) -> None:
        """Mark everything as learning again, as before the training."""
        for parameter in self._parameters.values():
            parameter.requires_grad_()
