"""``transrec transfer``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from transrec.recipes.fitting import TransferSettings
from transrec.recipes.showing import next_steps
from transrec.recipes.transfer import transfer as transfer_recipe


def transfer(
    run: Path,
    data: Path,
    /,
    *,
    out: Path,
    config: Path | None = None,
    resume: bool = False,
    settings: Annotated[TransferSettings, Parameter(name="*")] = TransferSettings(),  # noqa: B008
) -> None:
    """Move a trained run to a dataset with other users and other items.

    Args:
        run: the run to start from.
        data: the dataset folder of the target platform.
        out: the run folder to make.
        config: a YAML file of the settings below.
        resume: go on with an interrupted transfer in the run folder.
        settings: where parameters come from, and how it learns.
    """
    transfer_recipe(run, data, settings, out, resume=resume)
    next_steps(
        f"transrec evaluate {out}",
        f"transrec evaluate {run} --data {data}    # the source run as it is there, to compare",
        f"transrec report {out}",
        f"transrec recommend {out} --history ITEM,ITEM",
    )
