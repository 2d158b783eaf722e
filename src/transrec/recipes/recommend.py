"""Recommend: a list for one history, for people or for programs."""

from __future__ import annotations

import json
import re
from dataclasses import asdict
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from transrec.data.catalog import Catalog
from transrec.recipes.showing import progress_bar
from transrec.retrieval.explaining import Reason
from transrec.serving.recommender import Recommender
from transrec.serving.request import Recommendation, Recommendations, Request


def recommend(
    run: str | Path,
    request: Request,
    *,
    as_json: bool = False,
    data: str | Path | None = None,
    console: Console | None = None,
) -> Recommendations:
    """Print and return the best items for a history.

    Args:
        run: the run folder.
        request: whose history, and what is wanted.
        as_json: print one JSON document instead of a table.
        data: the dataset to recommend from; the run's own when None.
        console: where to print; standard output when None.

    Raises:
        RunError: the folder is not a run.
        UnknownItemError: the catalog holds none of the ids.
        DataError: the filter cannot be used.
    """
    out = console or Console()
    with progress_bar() as progress:
        recommender = Recommender.load(run, data, progress=progress)
    [found] = recommender.answer([request])
    if as_json:
        items = [_for_programs(item) for item in found]
        out.print_json(json.dumps({**asdict(found), "items": items}, ensure_ascii=False))
        return found
    if found.unknown:
        shown = ", ".join(map(repr, found.unknown[:5])) + (" ..." if len(found.unknown) > 5 else "")
        out.print(f"[yellow]not in the catalog, left out:[/yellow] {escape(shown)}")
    rows = recommender.catalog.rows(found.used)
    for item_id, title in zip(found.used, recommender.catalog.titles(rows), strict=True):
        out.print(f"[dim]history[/dim]  {escape(title)}  [dim]{escape(item_id)}[/dim]")
    table = Table("", "recommended", "id", "score", *(["why"] if request.explain else []))
    for place, item in enumerate(found.items, start=1):
        why = [] if item.reason is None else [escape(_told(item.reason, recommender.catalog))]
        table.add_row(str(place), escape(item.title), escape(item.id), f"{item.score:.3f}", *why)
    out.print(table)
    return found


def ids_in(text: str) -> tuple[str, ...]:
    r"""The ids in a text that separates them by commas; a comma inside an id is written as ``\,``."""
    ids = [part.replace("\\,", ",").strip() for part in re.split(r"(?<!\\),", text)]
    return tuple(item_id for item_id in ids if item_id)


def _for_programs(item: Recommendation) -> dict[str, Any]:
    said = asdict(item)
    if said["reason"] is None:
        del said["reason"]
    return said


def _told(reason: Reason, catalog: Catalog) -> str:
    """A reason in a few words."""
    shares = " ".join(f"{name} {share:.0%}" for name, share in reason.views.items())
    near = catalog.titles(catalog.rows([reason.nearest[0][0]]))[0] if reason.nearest else ""
    counts = f"; counts {reason.counts:+.2f}" if reason.counts else ""
    return f"near {near} ({reason.nearest[0][1]:.2f}); {shares}{counts}" if near else shares + counts
