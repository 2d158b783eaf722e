"""``transrec index``."""

from __future__ import annotations

from pathlib import Path

from transrec.recipes.index import index as index_recipe
from transrec.retrieval.kept import Precision


def index(
    run: Path,
    /,
    *,
    data: Path | None = None,
    precision: Precision = "float32",
    approximate: bool = False,
    device: str = "cpu",
) -> None:
    """Encode the catalog of a run and keep the vectors beside it.

    Only items that are new or have changed are encoded; an interruption is gone on with. ``transrec recommend`` does the
    same when it has to.

    Args:
        run: the run folder.
        data: the dataset to recommend from; the run's own when not given.
        precision: float16 takes half the room.
        approximate: make lists for approximate search, too, and say how much it finds; for millions of items.
        device: where the model runs: cpu, cuda or mps.
    """
    index_recipe(run, data, precision=precision, approximate=approximate, device=device)
