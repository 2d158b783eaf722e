"""Lists of all users on a cluster: parts of users by Ray Data, one Parquet file as on one machine."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, final

import pyarrow as pa
import pyarrow.parquet as pq
from rich.console import Console

from transrec.cluster.asked import Cluster
from transrec.cluster.encoding import encoding_on, kind_of
from transrec.cluster.joining import joined, require_workers
from transrec.cluster.seeing import Ground
from transrec.cluster.streaming import made_in_order
from transrec.errors import ClusterError
from transrec.recipes.index import index
from transrec.recipes.recommend_all import recommend_all
from transrec.runs import open_run_data
from transrec.serving.lists import Lists, ListSettings
from transrec.serving.recommender import Recommender

STATE = ("state", "data")
"""What of a plan says whether two processes have the same model, items, changes and events."""


def recommend_all_on(  # noqa: PLR0913  (that of the recipe, and on which cluster)
    cluster: Cluster,
    run: str | Path,
    out: str | Path,
    settings: ListSettings | None = None,
    *,
    data: str | Path | None = None,
    overwrite: bool = False,
    device: str = "cpu",
    console: Console | None = None,
) -> Path:
    """Write the best items of every user with several processes; see :func:`transrec.recipes.recommend_all.recommend_all`.

    The index of the run is brought up to date first, by the same processes. Then each makes the lists of some users at a
    time, as one machine does, and this process writes them in order: the file is that of one machine, row for row.

    Args:
        cluster: which, and how many processes.
        run: the run folder.
        out: the Parquet file.
        settings: what is wanted for every user.
        data: the dataset whose users and items are meant; the run's own when None.
        overwrite: replace a file that is there, or lists that were interrupted and asked for otherwise.
        device: where the models of the processes run: cpu, or cuda with a GPU for each.
        console: where it is told; standard output when None.

    Returns:
        The file.

    Raises:
        ClusterError: the cluster cannot be reached, has fewer CPUs or GPUs than workers, or a worker does not see a folder.
        TransRecError: what the recipe would raise.
    """
    dataset = open_run_data(run, data)
    chosen = settings or ListSettings()
    with joined(cluster) as ray:
        require_workers(ray, cluster.workers, kind=kind_of(device))
        encoding = encoding_on(ray, cluster, run, dataset, device=device)
        index(run, data, console=Console(quiet=True), encoding=encoding)
        ground = Ground.under([run, str(dataset.folder)])
        given = {"ground": ground, "run": str(run), "data": None if data is None else str(data), "device": device}

        def making(lists: Lists, parts: Sequence[range]) -> Iterator[pa.Table]:
            state = {name: lists.plan()[name] for name in STATE}
            told = {**given, "settings": chosen, "state": state}
            for made in made_in_order(ray, cluster, ListMaker, told, parts, on_gpus=kind_of(device) == "GPU"):
                yield pq.read_table(io.BytesIO(made))

        return recommend_all(run, out, chosen, data=data, overwrite=overwrite, console=console, making=making)


@final
class ListMaker:
    """What a process of the cluster does.

    Args:
        ground: what it must see.
        run: the run folder, whose index is up to date.
        data: the dataset folder; the run's own when None.
        device: where its model runs.
        settings: what is wanted.
        state: of the command's model, items, changes and events.

    Raises:
        ClusterError: it sees something else than the command does.
    """

    def __init__(
        self,
        *,
        ground: Ground,
        run: str,
        data: str | None,
        device: str,
        settings: ListSettings,
        state: Mapping[str, Any],
    ) -> None:
        ground.stand()
        recommender = Recommender.load(run, data, device=device)
        self._lists = Lists(recommender.model, recommender.now, open_run_data(run, data), settings)
        self._shown = self._lists.shown()
        plan = self._lists.plan()
        differing = [name for name in STATE if plan[name] != state[name]]
        if differing:
            raise ClusterError(
                "a worker finds another model, catalog or dataset than the command does",
                where=f"{run}: {', '.join(differing)}",
                remedy="let no run or dataset change meanwhile; keep both on storage that all nodes share",
            )

    def __call__(self, piece: range) -> bytes:
        """The lists of these users, as Parquet."""
        made = io.BytesIO()
        pq.write_table(self._lists.part(piece, self._shown), made)
        return made.getvalue()
