"""VectorMemory: what the items of former batches were encoded as, to be compared with once more.

Axes: C candidates (the items of the batch, then those of former ones), R items of former batches, D width.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import final

import torch
from torch import Tensor

from transrec.data.batches import SequenceBatch
from transrec.errors import TrainingError


@final
class VectorMemory:
    """The latest vectors of the items that the next batch of each platform may name.

    The batches name the items (:attr:`~transrec.data.batches.SequenceBatch.former_R`), so all that depends on the step alone
    is theirs, and only vectors are kept here: no more than those of the items of the last batches of each platform.
    """

    def __init__(self) -> None:
        self._known: dict[int, tuple[Tensor, Tensor]] = {}

    def with_former(self, batch: SequenceBatch, items_UD: Tensor) -> Tensor:
        """The vectors of all candidates, (C, D), those of former batches without gradient; they are known from now on.

        Args:
            batch: one whose plan has a memory.
            items_UD: the vectors of its own items.

        Raises:
            TrainingError: it names items of batches that were not seen here.
        """
        assert batch.former_R is not None, "the plan remembers"
        candidates_CD = torch.cat([items_UD, self._former(batch, items_UD)])
        rows_C, order = torch.cat([batch.rows_U, batch.former_R]).sort()
        self._known[batch.items.platform] = (rows_C, candidates_CD.detach()[order])
        return candidates_CD

    def _former(self, batch: SequenceBatch, items_UD: Tensor) -> Tensor:
        """The vectors of the named items, (R, D)."""
        wanted_R = batch.former_R
        assert wanted_R is not None
        if not len(wanted_R):
            return items_UD.new_empty(0, items_UD.shape[1])
        rows, vectors = self._known.get(batch.items.platform, (wanted_R[:0], items_UD[:0]))
        rows, vectors = rows.to(wanted_R.device), vectors.to(items_UD)
        places_R = torch.searchsorted(rows, wanted_R)
        if not len(rows) or not bool((rows[places_R.clamp(max=len(rows) - 1)] == wanted_R).all()):
            raise TrainingError(
                "a batch names items of former batches that were not trained on",
                where="objective.softmax.memory",
                remedy="give the batches in order from step 0 on, or restore what was remembered",
            )
        return vectors[places_R]

    def state(self) -> dict[str, Tensor]:
        """Everything that is remembered, by name."""
        return {
            f"{platform}.{name}": tensor.contiguous()
            for platform, known in self._known.items()
            for name, tensor in zip(("rows", "vectors"), known, strict=True)
        }

    def restore(self, state: Mapping[str, Tensor]) -> None:
        """Remember what :meth:`state` gave, and nothing else."""
        platforms = {name.partition(".")[0] for name in state}
        self._known = {int(place): (state[f"{place}.rows"], state[f"{place}.vectors"]) for place in platforms}


def learning(vectors_UD: Tensor, often_U: Tensor) -> Tensor:
    """The same vectors; what goes back to them is multiplied by these numbers."""
    still_UD = vectors_UD.detach()
    return still_UD + often_U[:, None] * (vectors_UD - still_UD)
