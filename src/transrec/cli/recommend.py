"""``transrec recommend``."""

from __future__ import annotations

from pathlib import Path

from transrec.recipes.recommend import recommend as recommend_recipe


def recommend(
    run: Path,
    /,
    *,
    history: str,
    k: int = 10,
    popularity: float = 1.0,
    json: bool = False,
    data: Path | None = None,
) -> None:
    r"""Recommend for a history of item ids.

    Args:
        run: the run folder.
        history: item ids, oldest first, separated by commas; a comma inside an id is written as ``\,``.
        k: how many items.
        popularity: how much popularity counts: 1 as learned; with less, rare and new items come up; 0 for none.
        json: print one JSON document instead of a table.
        data: the dataset to recommend from; the run's own when not given.
    """
    recommend_recipe(run, history, k=k, popularity=popularity, as_json=json, data=data)
