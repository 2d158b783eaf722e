"""Recommend for everybody: the lists of all users of a dataset, as one Parquet file."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console

from transrec.data.dataset import Dataset
from transrec.recipes.showing import progress_bar
from transrec.runs import open_run_data
from transrec.serving.lists import Lists, ListSettings, Making
from transrec.serving.recommender import Recommender


def recommend_all(  # noqa: PLR0913  (what to recommend from, what is wanted, and where to put it)
    run: str | Path,
    out: str | Path,
    settings: ListSettings | None = None,
    *,
    data: str | Path | Dataset | None = None,
    overwrite: bool = False,
    device: str = "cpu",
    console: Console | None = None,
    making: Making | None = None,
) -> Path:
    """Write the best items of every user; after an interruption the same call goes on.

    Args:
        run: the run folder.
        out: the Parquet file, with the columns user_id, rank (from 1), item_id and score.
        settings: what is wanted for every user.
        data: the dataset whose users and items are meant; the run's own when None.
        overwrite: replace a file that is there, or lists that were interrupted and asked for otherwise.
        device: where the model runs.
        console: where it is told; standard output when None.
        making: who makes the lists; this process when None.

    Returns:
        The file.

    Raises:
        RunError: the folder is not a run, its data has moved or changed, or the file is there already.
    """
    told, out = console or Console(highlight=False, soft_wrap=True), Path(out)
    dataset = data if isinstance(data, Dataset) else open_run_data(run, data)
    with progress_bar() as progress:
        recommender = Recommender.load(run, None if data is None else dataset, device=device, progress=progress)
        lists = Lists(recommender.model, recommender.now, dataset, settings or ListSettings())
        found = lists.write(out, overwrite=overwrite, progress=progress, making=making)
    if found.before:
        told.print(f"{found.before:,} users had been done before an interruption")
    if found.without:
        told.print(f"{found.without:,} users have no row: nothing is left that they may be shown")
    told.print(f"{found.users - found.without:,} users have their lists in {out}", markup=False)
    return out
