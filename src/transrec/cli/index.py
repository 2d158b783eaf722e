"""``transrec index``."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from transrec.cluster.asked import Cluster
from transrec.cluster.encoding import index_on
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
    cluster: str | None = None,
    workers: int | None = None,
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
        cluster: machines joined by Ray: local for this one, auto for the cluster that it is a node of, or HOST:PORT.
        workers: of --cluster: how many processes encode, each with a GPU (--device cuda) or a CPU.
    """
    asked = Cluster.asked(cluster, workers)
    do = partial(index_on, asked) if asked else index_recipe
    do(run, data, precision=precision, approximate=approximate, device=device)
