"""``transrec play``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from transrec.recipes.play import play as play_recipe
from transrec.serving.http.settings import ServeSettings


def play(
    run: Path,
    other: Path | None = None,
    /,
    *,
    data: Path | None = None,
    device: str = "cpu",
    allow_forgetting: Annotated[bool, Parameter(negative="")] = False,
    config: Path | None = None,
    settings: Annotated[ServeSettings, Parameter(name="*")] = ServeSettings(),  # noqa: B008
) -> None:
    """Look in the browser at what a run recommends and why, make histories, and try new items; the service is there, too.

    With a second run the lists stand side by side: before and after a transfer, for instance.

    Args:
        run: the run folder.
        other: a second one, over the same dataset.
        data: the dataset to look at; that of the first run when not given.
        device: where the models run: cpu, cuda or mps.
        allow_forgetting: serve the first run even if it has forgotten more than was allowed when it went on from another.
        config: a YAML file of the settings below.
        settings: where the page and the service listen, and their limits.
    """
    play_recipe(
        [run] if other is None else [run, other], settings, data=data, device=device, allow_forgetting=allow_forgetting
    )
