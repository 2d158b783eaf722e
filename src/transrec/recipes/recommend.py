"""Recommend: a list for one history, for people or for programs."""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from pathlib import Path

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from transrec.recipes.showing import progress_bar
from transrec.serving.recommender import Recommendations, Recommender


def recommend(  # noqa: PLR0913  (what to recommend from, for whom, how, and where to say it)
    run: str | Path,
    history: str,
    *,
    k: int = 10,
    popularity: float = 1.0,
    as_json: bool = False,
    data: str | Path | None = None,
    console: Console | None = None,
) -> Recommendations:
    r"""Print and return the best items for a history.

    Args:
        run: the run folder.
        history: item ids, oldest first, separated by commas; a comma inside an id is written as ``\,``.
        k: how many.
        popularity: how much popularity counts, 1 as learned; see :meth:`Recommender.recommend`.
        as_json: print one JSON document instead of a table.
        data: the dataset to recommend from; the run's own when None.
        console: where to print; standard output when None.

    Raises:
        RunError: the folder is not a run.
        UnknownItemError: the catalog holds none of the ids.
    """
    out = console or Console()
    with progress_bar() as progress:
        recommender = Recommender.load(run, data, progress=progress)
    ids = [part.replace("\\,", ",").strip() for part in re.split(r"(?<!\\),", history)]
    found = recommender.recommend([i for i in ids if i], k, popularity=popularity)
    if as_json:
        out.print_json(json.dumps(asdict(found), ensure_ascii=False))
        return found
    if found.unknown:
        shown = ", ".join(map(repr, found.unknown[:5])) + (" ..." if len(found.unknown) > 5 else "")
        out.print(f"[yellow]not in the catalog, left out:[/yellow] {escape(shown)}")
    rows = recommender.catalog.rows(found.used)
    for item_id, title in zip(found.used, recommender.catalog.titles(rows), strict=True):
        out.print(f"[dim]history[/dim]  {escape(title)}  [dim]{escape(item_id)}[/dim]")
    table = Table("", "recommended", "id", "score")
    for place, item in enumerate(found.items, start=1):
        table.add_row(str(place), escape(item.title), escape(item.id), f"{item.score:.3f}")
    out.print(table)
    return found
