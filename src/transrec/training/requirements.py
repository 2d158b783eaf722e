"""What a training cannot do, said before its first step."""

from __future__ import annotations

import torch

from transrec.data.batches import SequenceBatch
from transrec.errors import TrainingError
from transrec.model import TransRec
from transrec.training.settings import AUTO, TrainingSettings


def require_times(model: TransRec, batch: SequenceBatch) -> None:
    """Raise a TrainingError where users depend on times and would learn without them what is measured with them."""
    if model.users.reads_times and batch.times_BL is None:
        raise TrainingError(
            "the user encoder reads when events were, and the batches do not say so",
            remedy="set times in the objective's WindowPlan (build_objective does), or model.users.gated.time_bias to false",
        )


def chunk_of(settings: TrainingSettings, device: torch.device) -> int | None:
    """How many items an encoder reads at a time.

    Raises:
        TrainingError: the number is still to be found, or torch does not put the random state of chunks back on the device.
    """
    if settings.items_at_once == AUTO:
        raise TrainingError(
            "what fits is found by the verbs train and transfer, before they call the loop",
            where="training.items_at_once",
            remedy="give the loop a number",
        )
    if settings.items_at_once and device.type not in ("cpu", "cuda"):
        raise TrainingError(
            f"encoders cannot read some items at a time on {device.type}: torch does not draw the same dropout there when a "
            "chunk is run again",
            where="training.items_at_once",
            remedy="leave it out, or make training.batch_size smaller",
        )
    return settings.items_at_once
