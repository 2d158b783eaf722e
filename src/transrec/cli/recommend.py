"""``transrec recommend``."""

from __future__ import annotations

from pathlib import Path

from transrec.recipes.recommend import ids_in
from transrec.recipes.recommend import recommend as recommend_recipe
from transrec.serving.request import Request


def recommend(
    run: Path,
    /,
    *,
    history: str,
    k: int = 10,
    where: str | None = None,
    exclude: str = "",
    diversity: float = 0.0,
    explain: bool = False,
    popularity: float = 1.0,
    json: bool = False,
    data: Path | None = None,
) -> None:
    r"""Recommend for a history of item ids.

    Args:
        run: the run folder.
        history: item ids, oldest first, separated by commas; a comma inside an id is written as ``\,``.
        k: how many items.
        where: only items of which this is true, over the catalog's columns: 'in_stock = true and price < 50'.
        exclude: ids that must not be recommended, separated by commas.
        diversity: from 0, the best items, to 1, items as far from each other as may be.
        explain: say why: what of the history is near, what text and picture were worth, what counts added.
        popularity: how much popularity counts: 1 as learned; with less, rare and new items come up; 0 for none.
        json: print one JSON document instead of a table.
        data: the dataset to recommend from; the run's own when not given.
    """
    recommend_recipe(
        run,
        Request(
            ids_in(history),
            k,
            popularity=popularity,
            where=where,
            exclude=ids_in(exclude),
            diversity=diversity,
            explain=explain,
        ),
        as_json=json,
        data=data,
    )
