"""Play: a run folder, or two beside each other, as a page in the browser."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from transrec.data.store import Progress
from transrec.recipes.forgetting import require_remembered
from transrec.recipes.showing import progress_bar
from transrec.runs import open_run_data
from transrec.serving.http.held import Held
from transrec.serving.http.running import run_server
from transrec.serving.http.settings import ServeSettings, Tokens
from transrec.serving.playground.mounting import build_playground
from transrec.serving.recommender import Recommender


def play(
    runs: Sequence[str | Path],
    settings: ServeSettings,
    *,
    data: str | Path | None = None,
    device: str = "cpu",
    allow_forgetting: bool = False,
    console: Console | None = None,
) -> None:
    """Show runs over one dataset in a page until the process is told to end.

    Args:
        runs: the run folders; the first one is served, too.
        settings: where, and within which limits.
        data: the dataset that is looked at; that of the first run when None.
        device: where the models run.
        allow_forgetting: whether the first run is served if it has forgotten more than was allowed.
        console: where to print; standard output when None.

    Raises:
        RunError: a folder is not a run, its dataset has moved or changed, or the first has forgotten.
        MissingExtraError: the extras ``serve`` and ``ui`` are not installed.
        SettingsError: readers are to be asked for a token.
    """
    out = console or Console()
    tokens = Tokens.of(os.environ, settings)
    dataset = open_run_data(runs[0], data)
    names = _names(runs)

    def load(progress: Progress | None = None) -> Recommender:
        require_remembered(runs[0], allow=allow_forgetting)
        return Recommender.load(runs[0], data, device=device, progress=progress)

    with progress_bar() as progress:
        held = Held(load(progress=progress), load, run=Path(runs[0]))
        others = {
            name: Recommender.load(run, dataset, device=device, progress=progress)
            for name, run in zip(names[1:], runs[1:], strict=True)
        }
    app = build_playground(held, dataset, name=names[0], others=others, settings=settings, tokens=tokens)
    base = f"http://{settings.host}:{settings.port}"
    out.print(f"{len(held.recommender.catalog):,} items of [bold]{escape(' and '.join(names))}[/bold] at {base}/")
    run_server(app, settings)


def _names(runs: Sequence[str | Path]) -> list[str]:
    """The folders' names; the whole paths where two are called alike."""
    short = [Path(run).resolve().name for run in runs]
    return short if len(set(short)) == len(short) else [str(run) for run in runs]
