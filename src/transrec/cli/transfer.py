"""``transrec transfer``."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from transrec.cluster.asked import Cluster
from transrec.cluster.training import transfer_on
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
    cluster: str | None = None,
    workers: int | None = None,
    settings: Annotated[TransferSettings, Parameter(name="*")] = TransferSettings(),  # noqa: B008
) -> None:
    """Move a trained run to a dataset with other users and other items.

    Args:
        run: the run to start from.
        data: the dataset folder of the target platform.
        out: the run folder to make.
        config: a YAML file of the settings below.
        resume: go on with an interrupted transfer in the run folder.
        cluster: machines joined by Ray: local for this one, auto for the cluster that it is a node of, or HOST:PORT.
        workers: of --cluster: how many processes train, each with a GPU or a CPU.
        settings: where parameters come from, and how it learns.
    """
    asked = Cluster.asked(cluster, workers)
    do = partial(transfer_on, asked) if asked else transfer_recipe
    do(run, data, settings, out, resume=resume)
    next_steps(
        f"transrec evaluate {out}",
        f"transrec evaluate {run} --data {data}    # the source run as it is there, to compare",
        f"transrec report {out}",
        f"transrec recommend {out} --history ITEM,ITEM",
    )
