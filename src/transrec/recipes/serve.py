"""Serve: a run folder as a service."""

from __future__ import annotations

import os
from pathlib import Path

from rich.console import Console
from rich.markup import escape

from transrec.data.store import Progress
from transrec.recipes.forgetting import require_remembered
from transrec.recipes.showing import progress_bar
from transrec.serving.http.application import build_app
from transrec.serving.http.held import Held
from transrec.serving.http.running import run_server
from transrec.serving.http.settings import READ_TOKEN, WRITE_TOKEN, ServeSettings, Tokens
from transrec.serving.recommender import Recommender


def serve(
    run: str | Path,
    settings: ServeSettings,
    *,
    data: str | Path | None = None,
    device: str = "cpu",
    allow_forgetting: bool = False,
    console: Console | None = None,
) -> None:
    """Serve a run until the process is told to end.

    Args:
        run: the run folder.
        settings: where, and within which limits.
        data: the dataset to recommend from; the run's own when None.
        device: where the model runs.
        allow_forgetting: whether a run is served that has forgotten more than was allowed when it went on from another.
        console: where to print; standard output when None.

    Raises:
        RunError: the folder is not a run, its dataset has moved or changed, or it has forgotten.
        MissingExtraError: the extra ``serve`` is not installed.
        SettingsError: readers are to be asked for a token that there is not.
    """
    out = console or Console()
    tokens = Tokens.of(os.environ, settings)

    def load(progress: Progress | None = None) -> Recommender:
        require_remembered(run, allow=allow_forgetting)  # also when another run has taken the folder's place
        return Recommender.load(run, data, device=device, progress=progress)

    with progress_bar() as progress:
        held = Held(load(progress=progress), load, run=Path(run))
    app = build_app(held, settings, tokens)
    base = f"http://{settings.host}:{settings.port}"
    out.print(f"{len(held.recommender.catalog):,} items of [bold]{escape(str(run))}[/bold] at {base}/v1/openapi.json")
    out.print(f"reading: {'with a token' if tokens.guard_reads else 'everybody'}; changing items: {_writers(tokens)}")
    run_server(app, settings)


def _writers(tokens: Tokens) -> str:
    if tokens.open_writes:
        return "everybody (--open-writes)"
    return (
        f"with the token in {WRITE_TOKEN}"
        if tokens.write
        else f"nobody, as {WRITE_TOKEN} is not set ({READ_TOKEN} reads only)"
    )
