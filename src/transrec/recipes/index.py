"""Index: a run's catalog encoded once and kept beside the run."""

from __future__ import annotations

from pathlib import Path

from rich.console import Console
from rich.markup import escape

from transrec.data.room import readable_bytes
from transrec.errors import RunError
from transrec.model import TransRec
from transrec.recipes.showing import progress_bar
from transrec.retrieval.kept import Encoding, KeptVectors, Precision
from transrec.retrieval.opening import open_live, with_approximate
from transrec.runs import index_folder, open_run_data, place_in


def index(  # noqa: PLR0913  (whose catalog, how it is kept, and who does it)
    run: str | Path,
    data: str | Path | None = None,
    *,
    precision: Precision = "float32",
    approximate: bool = False,
    device: str = "cpu",
    console: Console | None = None,
    encoding: Encoding | None = None,
) -> KeptVectors:
    """Bring the index of a run up to date and say what that took.

    Args:
        run: the run folder.
        data: the dataset; the run's own when None.
        precision: of the vectors.
        approximate: whether lists for approximate search are made, too; recommending uses them from then on.
        device: where the model runs.
        console: where to print; standard output when None.
        encoding: who encodes the items when no vectors are kept; this process when None.

    Raises:
        RunError: the folder is not a run, or nothing may be written beside it.
    """
    out = console or Console()
    model, dataset = TransRec.load(run, device=device), open_run_data(run, data)
    folder = index_folder(run, dataset)
    if folder is None:
        raise RunError("nothing may be written into the run folder", where=str(run), remedy="give yourself the right to")
    place = 0 if data is None else place_in(run, dataset)
    with progress_bar() as progress:
        live, kept = open_live(
            model, dataset, folder, place=place, precision=precision, progress=progress, encoding=encoding
        )
    if approximate:
        search = with_approximate(model, dataset, kept, place=place)
        out.print(f"approximate search finds {search.recall:.1%} of the exact {search.at} best ({search.probes} lists)")
    rows, shown = len(kept.vectors), len(live.now.index) - len(live.now.index.removed)
    size = readable_bytes(rows * kept.vectors.kept_width * (2 if precision == "float16" else 4))
    out.print(f"{kept.encoded:,} of {rows:,} items of {escape(dataset.name)} were encoded now; vectors take {size}")
    if shown != rows:
        out.print(f"with what was added and removed while serving, {shown:,} items can be recommended")
    out.print(f"[dim]{escape(str(kept.folder))}[/dim]", soft_wrap=True)
    return kept
