"""``transrec recommend``."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from transrec.cluster.asked import Cluster
from transrec.cluster.lists import recommend_all_on
from transrec.errors import SettingsError
from transrec.recipes.recommend import ids_in
from transrec.recipes.recommend import recommend as recommend_recipe
from transrec.recipes.recommend_all import recommend_all
from transrec.serving.lists import ListSettings
from transrec.serving.request import Request


def recommend(
    run: Path,
    /,
    *,
    history: str | None = None,
    all: Annotated[bool, Parameter(negative="")] = False,  # noqa: A002  (the flag is called so)
    out: Path | None = None,
    seen: Annotated[bool, Parameter(negative="")] = False,
    overwrite: Annotated[bool, Parameter(negative="")] = False,
    device: str = "cpu",
    k: int = 10,
    where: str | None = None,
    exclude: str = "",
    diversity: float = 0.0,
    explain: bool = False,
    popularity: float = 1.0,
    json: bool = False,
    data: Path | None = None,
    cluster: str | None = None,
    workers: int | None = None,
) -> None:
    r"""Recommend for a history of item ids, or for all users of a dataset.

    Args:
        run: the run folder.
        history: item ids, oldest first, separated by commas; a comma inside an id is written as ``\,``.
        all: for all users of the dataset, into a Parquet file, with where, exclude, popularity and k; a call that was
            interrupted goes on where it was.
        out: the Parquet file of --all.
        seen: items of the history may be recommended again.
        overwrite: of --all: replace a file that is there.
        device: of --all: where the model runs: cpu, cuda or mps.
        k: how many items.
        where: only items of which this is true, over the catalog's columns: 'in_stock = true and price < 50'.
        exclude: ids that must not be recommended, separated by commas.
        diversity: from 0, the best items, to 1, items as far from each other as may be.
        explain: say why: what of the history is near, what text and picture were worth, what counts added.
        popularity: how much popularity counts: 1 as learned; with less, rare and new items come up; 0 for none.
        json: print one JSON document instead of a table.
        data: the dataset to recommend from; the run's own when not given.
        cluster: of --all: machines joined by Ray: local, auto for the cluster that this one is a node of, or HOST:PORT.
        workers: of --cluster: how many processes work, each with a GPU (--device cuda) or a CPU.
    """
    asked = Cluster.asked(cluster, workers)
    if all:
        if history is not None or out is None or diversity or explain or json:
            raise SettingsError(
                "--all writes the lists of all users into a file",
                remedy="give --out FILE.parquet, and leave out --history, --diversity, --explain and --json",
            )
        chosen = ListSettings.from_mapping(
            {"k": k, "seen": seen, "popularity": popularity, "where": where, "exclude": ids_in(exclude)},
            where="the flags",
        )
        write = partial(recommend_all_on, asked) if asked else recommend_all
        write(run, out, chosen, data=data, overwrite=overwrite, device=device)
        return
    if history is None:
        raise SettingsError(
            "it is not said for whom", remedy="give --history ID,ID, or --all --out FILE.parquet for all users"
        )
    if out is not None or overwrite or asked is not None:
        raise SettingsError("--out, --overwrite and --cluster belong to --all", remedy="leave them out, or add --all")
    request = Request(
        ids_in(history),
        k,
        seen=seen,
        popularity=popularity,
        where=where,
        exclude=ids_in(exclude),
        diversity=diversity,
        explain=explain,
    )
    recommend_recipe(run, request, as_json=json, data=data)
