"""``transrec transfer``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from transrec.recipes.fitting import FitSettings
from transrec.recipes.showing import next_steps
from transrec.recipes.transfer import transfer as transfer_recipe


def transfer(
    run: Path,
    data: Path,
    /,
    *,
    out: Path,
    config: Path | None = None,
    rules: tuple[str, ...] = (),
    resume: bool = False,
    settings: Annotated[FitSettings, Parameter(name="*")] = FitSettings(),  # noqa: B008
) -> None:
    """Move a trained run to a dataset with other users and other items.

    Args:
        run: the run to start from.
        data: the dataset folder of the target platform.
        out: the run folder to make.
        config: a YAML file of the settings below.
        rules: where parameters come from, as ``PATTERN=copy`` or ``PATTERN=fresh``; the first that matches a name counts, and
            what none matches is copied. ``--rules 'users.*=fresh'`` moves the item encoders alone.
        resume: go on with an interrupted transfer in the run folder.
        settings: how it learns.
    """
    transfer_recipe(run, data, settings, out, rules=rules, resume=resume)
    next_steps(f"transrec evaluate {out}", f"transrec recommend {out} --history ITEM,ITEM", f"transrec evaluate {run} --data {data}")
