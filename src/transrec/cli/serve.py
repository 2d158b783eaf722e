"""``transrec serve``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from transrec.recipes.serve import serve as serve_recipe
from transrec.serving.http.settings import ServeSettings


def serve(
    run: Path,
    /,
    *,
    data: Path | None = None,
    device: str = "cpu",
    allow_forgetting: Annotated[bool, Parameter(negative="")] = False,
    config: Path | None = None,
    settings: Annotated[ServeSettings, Parameter(name="*")] = ServeSettings(),  # noqa: B008
) -> None:
    """Serve recommendations, similar items and search over HTTP; add, change and remove items meanwhile.

    Writing takes the token in the environment variable TRANSREC_TOKEN; reading the one in TRANSREC_READ_TOKEN, where there
    is one.

    Args:
        run: the run folder.
        data: the dataset to recommend from; the run's own when not given.
        device: where the model runs: cpu, cuda or mps.
        allow_forgetting: serve the run even if it has forgotten more than was allowed when it went on from another.
        config: a YAML file of the settings below.
        settings: where the service listens, and its limits.
    """
    serve_recipe(run, settings, data=data, device=device, allow_forgetting=allow_forgetting)
